/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/journal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/backlog.h"
#include "broker/checkpoint.h"
#include "broker/commit.h"
#include "broker/links.h"
#include "broker/recover.h"
#include "broker/store/store.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/log.h"

/*
 * A broker that was killed keeps its lock as long as one of its threads is in
 * the midst of a sync.
 */
#define LOCK_NS (5 * CLOCK_SECOND_NS)
#define LOCK_POLL_MS 20

/* At the end what was sent gets so long to be written. */
#define STOP_NS (2 * CLOCK_SECOND_NS)
#define STOP_POLL_MS 1

struct journal {
	struct store_io io;
	char *directory;
	bool has_io;
	bool is_started;
};

/* ---- the start ------------------------------------------------------------
 */

static const char *
help_for(int err)
{
	switch (err) {
	case -EBUSY:
		return "another weir-broker has it: two need a state_dir each";
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return "weir-broker must be able to write there: see the owner "
		       "and mode of state_dir";
	case -ENOTDIR:
	case -ENOENT:
		return "state_dir must be a folder";
	default:
		return "see state_dir and durability in weir.conf(5)";
	}
}

static int
lock(struct journal *journal)
{
	const uint64_t until_ns = clock_now_ns() + LOCK_NS;
	int err;

	err = store_io_posix_open(journal->directory, false, &journal->io);
	if (err == -EBUSY)
		log_info("journal_busy",
		    "folder=%s reason=\"another process has it, which may be "
		    "about to end\"",
		    log_quote(journal->directory));
	while (err == -EBUSY && clock_now_ns() < until_ns) {
		poll(NULL, 0, LOCK_POLL_MS);
		err = store_io_posix_open(
		    journal->directory, false, &journal->io);
	}
	return err;
}

static int
open_io(struct journal *journal, const struct conf *conf)
{
	const size_t size =
	    strlen(conf->state_dir) + sizeof("/" JOURNAL_FOLDER);
	int err;

	journal->directory = malloc(size);
	if (journal->directory == NULL)
		return -ENOMEM;
	snprintf(
	    journal->directory, size, "%s/%s", conf->state_dir, JOURNAL_FOLDER);
	err = lock(journal);
	journal->has_io = err == 0;
	if (err != 0)
		log_error("journal_unusable", "folder=%s error=%s help=\"%s\"",
		    log_quote(journal->directory), log_quote(strerror(-err)),
		    help_for(err));
	return err;
}

int
journal_open(struct broker *broker)
{
	const struct conf *conf = broker->conf;
	struct store_spec spec = {
		.segment_bytes = conf->journal.segment_bytes,
		.max_bytes = conf->journal.max_bytes,
		.is_synced = conf->durability == CONF_DURABILITY_DISK,
	};

	if (!conf_has_journal(conf))
		return EXIT_OK;
	broker->backlogs = backlogs_new(conf);
	broker->journal = calloc(1, sizeof(*broker->journal));
	if (broker->journal == NULL || broker->backlogs == NULL)
		return EXIT_OSERR;
	if (open_io(broker->journal, conf) != 0)
		return EXIT_OSERR;
	spec.io = &broker->journal->io;
	return recover_broker(broker, &spec);
}

static struct commit *
make_commit(struct broker *broker)
{
	struct commit_member members[BROKER_MAX_WORKERS + 1];
	const struct commit_spec spec = {
		.store = broker->store,
		.members = members,
		.member_count = broker->worker_count + 1,
		.window_bytes = conf_commit_window(broker->conf),
		/* Behind those of the workers and of links. */
		.counters =
		    stats_block(broker->stats, broker->worker_count + 1),
		.write_state = checkpoint_write_state,
		.context = broker,
	};

	memset(members, 0, sizeof(members));
	for (unsigned i = 0; i < broker->worker_count; i++)
		worker_commit_member(broker->workers[i], &members[i]);
	links_commit_member(broker->links, &members[broker->worker_count]);
	return commit_new(&spec);
}

static void
give_ports(struct broker *broker)
{
	for (unsigned i = 0; i < broker->worker_count; i++)
		worker_use_commit(
		    broker->workers[i], commit_port(broker->commit, i));
}

/* The first records of this life. */
static bool
send_first(struct broker *broker)
{
	struct commit_port *port =
	    commit_port(broker->commit, broker->worker_count);
	const struct recovered *recovered = broker->recovered;
	struct store_start start = { .wall_ns = clock_wall_ns() };
	uint8_t bytes[STORE_SMALL_MAX];

	memcpy(start.instance, broker->instance, sizeof(start.instance));
	if (commit_send_state(port, STORE_START,
		slice_of(bytes, store_start_write(&start, bytes)), true) == 0)
		return false;
	for (size_t i = 0; i < recovered->closing_count; i++)
		if (commit_send_cursor(
			port, STORE_CLOSE, recovered->closing[i]) == 0)
			return false;
	commit_flush(port);
	if (recovered->is_changed)
		commit_ask_checkpoint(broker->commit);
	return true;
}

int
journal_start(struct broker *broker)
{
	int err;

	if (broker->journal == NULL)
		return EXIT_OK;
	broker->commit = make_commit(broker);
	err = broker->commit == NULL ? -errno : 0;
	if (err == 0) {
		give_ports(broker);
		err = commit_start(broker->commit);
	}
	if (err == 0) {
		broker->journal->is_started = true;
		err = send_first(broker) ? 0 : -ENOMEM;
	}
	if (err == 0)
		return EXIT_OK;
	log_error("journal_failed", "error=%s", log_quote(strerror(-err)));
	return EXIT_OSERR;
}

/* ---- the end ---------------------------------------------------------------
 */

static bool
is_settled(struct broker *broker)
{
	struct commit_port *port;

	for (unsigned i = 0; i <= broker->worker_count; i++) {
		port = commit_port(broker->commit, i);
		if (commit_settled(port) < commit_last_ticket(port))
			return false;
	}
	return true;
}

static void
open_mail(struct broker *broker)
{
	for (unsigned i = 0; i < broker->worker_count; i++)
		mailbox_open(broker->workers[i]->mailbox, 0);
	mailbox_open(broker->links_mailbox, 0);
	/* What was just heard may have been answered. */
	for (unsigned i = 0; i <= broker->worker_count; i++)
		commit_flush(commit_port(broker->commit, i));
}

/* The main thread is all members now.  False: it takes too long. */
static bool
settle(struct broker *broker)
{
	const uint64_t until_ns = clock_now_ns() + STOP_NS;

	open_mail(broker);
	while (!is_settled(broker)) {
		if (clock_now_ns() >= until_ns)
			return false;
		poll(NULL, 0, STOP_POLL_MS);
		open_mail(broker);
	}
	return true;
}

void
journal_stop(struct broker *broker)
{
	bool is_whole;

	if (broker->journal == NULL || !broker->journal->is_started)
		return;
	checkpoint_members_ended(broker->checkpoints);
	is_whole = settle(broker) && store_state(broker->store) == 0;
	if (is_whole)
		checkpoint_read_directly(broker->checkpoints);
	else
		log_warning("journal_left",
		    "reason=\"the disk did not take the last of it in time: "
		    "the next start reads the journal instead of a "
		    "checkpoint\"");
	commit_stop(broker->commit, is_whole);
	broker->journal->is_started = false;
}

void
journal_close(struct broker *broker)
{
	struct journal *journal = broker->journal;

	if (journal == NULL)
		return;
	commit_free(broker->commit);
	store_close(broker->store);
	if (journal->has_io)
		store_io_posix_close(&journal->io);
	checkpoint_desk_free(broker->checkpoints);
	recovered_free(broker->recovered);
	backlogs_free(broker->backlogs);
	free(journal->directory);
	free(journal);
}
