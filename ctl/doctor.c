/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "ctl/table.h"

/* Faster than this, it is no disk, or one that says so too early. */
#define SYNC_TOO_FAST_NS UINT64_C(8000)
#define SYNC_SLOW_NS UINT64_C(30000000)
#define SYNC_STALL_NS UINT64_C(250000000)

/* Above this the processor is the limit, not the disk. */
#define RATE_MAX UINT64_C(100000)

#define GROUP_PUBLISHERS 32u

/* 2024-01-01: no machine that runs this is older. */
#define CLOCK_MIN_NS (UINT64_C(1704067200) * CLOCK_SECOND_NS)

struct report {
	struct doctor_finding *findings;
	size_t count;
};

static struct doctor_finding *
add(struct report *report, enum doctor_level level, const char *name)
{
	struct doctor_finding *finding = &report->findings[report->count++];

	*finding = (struct doctor_finding){ .level = level, .name = name };
	return finding;
}

static void __attribute__((format(printf, 2, 3)))
say(struct doctor_finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(finding->text, sizeof(finding->text), format, args);
	va_end(args);
}

static void __attribute__((format(printf, 2, 3)))
advise(struct doctor_finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(finding->advice, sizeof(finding->advice), format, args);
	va_end(args);
}

/* Two digits of it, as in "160" and "5,300"; `text` has 32 bytes. */
static const char *
rate(uint64_t publishers, uint64_t sync_ns, char *text)
{
	uint64_t rate = publishers * CLOCK_SECOND_NS / (sync_ns | 1), unit = 1;

	if (rate > RATE_MAX)
		return "more than 100,000/s";
	if (rate == 0)
		return "less than 1/s";
	while (rate / unit >= 100)
		unit *= 10;
	rate = (rate + unit / 2) / unit * unit;
	if (rate < 1000)
		snprintf(text, 32, "about %u/s", (unsigned)rate);
	else
		snprintf(text, 32, "about %u,%03u/s", (unsigned)(rate / 1000),
		    (unsigned)(rate % 1000));
	return text;
}

static void
judge_sync(const struct doctor_facts *facts, struct report *report)
{
	struct doctor_finding *finding = add(report, DOCTOR_OK, "disk");
	char p50[32], p99[32], one[32], group[32];

	if (facts->sync_err != 0) {
		finding->level = facts->has_journal ? DOCTOR_FAIL : DOCTOR_WARN;
		say(finding, "the sync time cannot be measured: %s",
		    strerror(facts->sync_err));
		advise(finding, "run it as root or as the broker's user");
		return;
	}
	say(finding,
	    "sync %s (of 100, the slowest: %s): one publisher %s, %u %s",
	    table_milliseconds(facts->sync_p50_ns, p50),
	    table_milliseconds(facts->sync_p99_ns, p99),
	    rate(1, facts->sync_p50_ns, one), GROUP_PUBLISHERS,
	    rate(GROUP_PUBLISHERS, facts->sync_p50_ns, group));
	if (!facts->has_journal)
		return;
	if (facts->sync_p50_ns < SYNC_TOO_FAST_NS) {
		finding->level = DOCTOR_WARN;
		advise(finding,
		    "that is faster than any disk: memory, or a cache that "
		    "forgets; then nothing here survives a power cut");
	} else if (facts->sync_p50_ns > SYNC_SLOW_NS ||
	    facts->sync_p99_ns > SYNC_STALL_NS) {
		finding->level = DOCTOR_WARN;
		advise(finding,
		    "each acknowledgement waits so long: put state_dir on an "
		    "SSD, or publish with a larger window or more "
		    "connections");
	}
}

static void
judge_state_dir(const struct doctor_facts *facts, struct report *report)
{
	const struct doctor_folder *folder = &facts->state;
	struct doctor_finding *finding = add(report, DOCTOR_OK, "state_dir");

	say(finding, "%s", facts->state_dir);
	if (folder->err != 0 || !folder->is_folder) {
		finding->level = DOCTOR_FAIL;
		say(finding, "%s: %s", facts->state_dir,
		    folder->err != 0 ? strerror(folder->err) : "no folder");
		advise(finding,
		    "make it, for the broker's user: install -d -m 0750 -o "
		    "weir-broker %s",
		    facts->state_dir);
	} else if (!folder->is_usable) {
		finding->level = DOCTOR_FAIL;
		say(finding, "%s: the broker may not write there",
		    facts->state_dir);
		advise(finding, "chown it to the broker's user, mode 0750");
	} else if (folder->is_memory && facts->has_journal) {
		finding->level = DOCTOR_FAIL;
		say(finding, "%s is in memory (tmpfs)", facts->state_dir);
		advise(finding,
		    "a power cut takes it away: set state_dir to a folder on a "
		    "disk, or durability to what is meant");
	} else if (folder->is_remote && facts->has_journal) {
		finding->level = DOCTOR_WARN;
		say(finding, "%s is on another machine (a network file system)",
		    facts->state_dir);
		advise(finding,
		    "its sync promises what that machine keeps; a local disk "
		    "is surer and faster");
	} else if (folder->is_open) {
		finding->level = DOCTOR_WARN;
		say(finding, "%s: everybody may look into it",
		    facts->state_dir);
		advise(finding, "chmod o-rwx %s", facts->state_dir);
	}
}

static void
judge_space(const struct doctor_facts *facts, struct report *report)
{
	struct doctor_finding *finding;
	uint64_t wanted = 0;
	char a[32], b[32], c[32];

	if (!facts->has_journal || facts->state.err != 0)
		return;
	finding = add(report, DOCTOR_OK, "space");
	if (facts->journal_max_bytes > facts->journal_bytes)
		wanted = facts->journal_max_bytes - facts->journal_bytes;
	say(finding, "%s free; the journal has %s of max_size %s",
	    table_bytes(facts->state.free_bytes, a),
	    table_bytes(facts->journal_bytes, b),
	    table_bytes(facts->journal_max_bytes, c));
	if (facts->state.free_bytes >= wanted)
		return;
	/* It refuses publishers then, which is bad and no loss. */
	finding->level =
	    facts->state.free_bytes < wanted / 10 ? DOCTOR_FAIL : DOCTOR_WARN;
	advise(finding,
	    "the disk is full before the journal is: make room, or set "
	    "journal.max_size to %s or less",
	    table_bytes(facts->journal_bytes + facts->state.free_bytes, a));
}

static void
judge_backlogs(const struct doctor_facts *facts, struct report *report)
{
	struct doctor_finding *finding;
	char a[32], b[32];

	if (!facts->has_journal || facts->backlog_bytes == 0)
		return;
	finding = add(report, DOCTOR_OK, "backlog");
	say(finding, "the bridges' backlogs are %s together, max_size is %s",
	    table_bytes(facts->backlog_bytes, a),
	    table_bytes(facts->journal_max_bytes, b));
	if (facts->backlog_bytes <= facts->journal_max_bytes / 2)
		return;
	finding->level = DOCTOR_WARN;
	advise(finding,
	    "bridges that are away could fill the journal for everybody: "
	    "raise journal.max_size or lower backlog");
}

static void
judge_run_dir(const struct doctor_facts *facts, struct report *report)
{
	const struct doctor_folder *folder = &facts->run;
	struct doctor_finding *finding = add(report, DOCTOR_OK, "run_dir");

	say(finding, "%s", facts->run_dir);
	if (folder->err != 0 || !folder->is_folder) {
		finding->level = DOCTOR_FAIL;
		say(finding, "%s: %s", facts->run_dir,
		    folder->err != 0 ? strerror(folder->err) : "no folder");
		advise(finding,
		    "systemd-tmpfiles --create makes it, or: install -d -m "
		    "0755 %s",
		    facts->run_dir);
	} else if (!folder->is_usable && !facts->is_running) {
		/* With systemd the socket is made by root. */
		finding->level = DOCTOR_WARN;
		say(finding, "%s: the broker may not write there",
		    facts->run_dir);
		advise(finding,
		    "that is well with weir-broker.socket of systemd, else "
		    "chown it to the broker's user");
	}
}

static void
judge_broker(const struct doctor_facts *facts, struct report *report)
{
	struct doctor_finding *finding = add(report, DOCTOR_OK, "broker");

	if (facts->is_running) {
		say(finding, "it runs and answers");
		return;
	}
	finding->level = DOCTOR_WARN;
	say(finding, "no answer: %s", strerror(facts->no_answer));
	advise(finding,
	    "systemctl start weir-broker, or weirctl run; its log says why if "
	    "it ended");
}

static void
judge_files(const struct doctor_facts *facts, struct report *report)
{
	struct doctor_finding *finding = add(report, DOCTOR_OK, "descriptors");
	uint64_t wanted = facts->max_connections + DOCTOR_OTHER_FILES;

	say(finding, "%llu allowed, max_connections is %llu",
	    (unsigned long long)facts->file_limit,
	    (unsigned long long)facts->max_connections);
	if (facts->file_limit >= wanted)
		return;
	finding->level = facts->file_limit < facts->max_connections
	    ? DOCTOR_FAIL
	    : DOCTOR_WARN;
	advise(finding,
	    "set LimitNOFILE= of weir-broker.service (or ulimit -n) to %llu "
	    "or more, or lower max_connections",
	    (unsigned long long)wanted);
}

static void
judge_memory(const struct doctor_facts *facts, struct report *report)
{
	struct doctor_finding *finding = add(report, DOCTOR_OK, "memory");
	char a[32], b[32];

	say(finding,
	    "at most %s, were all clients at all their limits; %s is %s",
	    table_bytes(facts->memory_bound, a), facts->memory_whose,
	    table_bytes(facts->memory_limit, b));
	/* Limits are generous: nobody's clients are at all of them. */
	if (!facts->is_memory_set || facts->memory_bound <= facts->memory_limit)
		return;
	finding->level = DOCTOR_WARN;
	advise(finding,
	    "lower max_connections, max_queued_bytes, max_packet_size or the "
	    "rings' max_capacity; weirctl status prints the terms");
}

static void
judge_clock(const struct doctor_facts *facts, struct report *report)
{
	struct doctor_finding *finding = add(report, DOCTOR_OK, "clock");

	if (facts->wall_ns < CLOCK_MIN_NS) {
		finding->level = DOCTOR_FAIL;
		say(finding, "it says a day before 2024");
		advise(finding,
		    "messages and sessions expire by it after a restart: set "
		    "it (timedatectl) before the broker starts");
	} else if (!facts->is_clock_synchronised) {
		finding->level = DOCTOR_WARN;
		say(finding, "it is not synchronised");
		advise(finding,
		    "messages and sessions expire by it after a restart: "
		    "timedatectl set-ntp true");
	} else {
		say(finding, "it is synchronised");
	}
}

size_t
doctor_judge(const struct doctor_facts *facts,
    struct doctor_finding out_findings[DOCTOR_FINDINGS])
{
	struct report report = { out_findings, 0 };

	judge_sync(facts, &report);
	judge_state_dir(facts, &report);
	judge_space(facts, &report);
	judge_backlogs(facts, &report);
	judge_run_dir(facts, &report);
	judge_broker(facts, &report);
	judge_files(facts, &report);
	judge_memory(facts, &report);
	judge_clock(facts, &report);
	return report.count;
}
