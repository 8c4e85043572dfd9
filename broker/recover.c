/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/checkpoint.h"
#include "broker/recover_state.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/service/service.h"

/* A line in the log so often; systemd is told that so much more may pass. */
#define TELL_NS CLOCK_SECOND_NS
#define MORE_NS (30 * CLOCK_SECOND_NS)

struct recovery {
	struct broker *broker;
	struct recovery_state *state;
	uint64_t began_ns;
	uint64_t told_ns;
	unsigned torn, damaged;
};

/* ---- what the store tells -------------------------------------------------
 */

static int
on_state(void *context, uint8_t kind, uint64_t sequence, struct slice body)
{
	struct recovery *recovery = context;

	return recovery_state_record(recovery->state, kind, sequence, body);
}

static int
on_message(
    void *context, uint64_t sequence, const struct store_message *message)
{
	struct recovery *recovery = context;

	return recovery_state_message(recovery->state, sequence, message);
}

static int
on_covered(
    void *context, uint64_t sequence, const struct store_message *message)
{
	struct recovery *recovery = context;

	(void)sequence;
	return recovery_state_covered(recovery->state, message);
}

static int
on_closed(void *context, uint64_t cursor)
{
	struct recovery *recovery = context;

	return recovery_state_closed(recovery->state, cursor);
}

static void
on_progress(void *context, uint64_t done, uint64_t total)
{
	struct recovery *recovery = context;
	const uint64_t now_ns = clock_now_ns();
	const unsigned percent =
	    total == 0 ? 100 : (unsigned)(done * 100 / total);

	if (now_ns - recovery->told_ns < TELL_NS)
		return;
	recovery->told_ns = now_ns;
	log_info("recovering", "percent=%u bytes=%" PRIu64 " of=%" PRIu64,
	    percent, done, total);
	service_starting(NULL, MORE_NS,
	    "reading the journal: %u %% of %" PRIu64 " MiB", percent,
	    total >> 20);
}

static void
tell_torn(const struct store_damage *damage)
{
	log_warning("journal_torn",
	    "file=%s offset=%" PRIu64 " bytes=%" PRIu64
	    " what=%s help=\"the broker died while it wrote: nothing that was "
	    "acknowledged is lost\"",
	    log_quote(damage->file), damage->offset, damage->bytes,
	    log_quote(damage->what));
}

static void
tell_damaged(const struct store_damage *damage)
{
	log_error("journal_damaged",
	    "file=%s offset=%" PRIu64 " bytes=%" PRIu64
	    " first_sequence=%" PRIu64 " last_sequence=%" PRIu64
	    " kept_as=%s what=%s help=\"what these sequences said is lost, the "
	    "rest is in use; check the disk, and see weirctl store check\"",
	    log_quote(damage->file), damage->offset, damage->bytes,
	    damage->first_sequence, damage->last_sequence,
	    log_quote(damage->kept_as == NULL ? "" : damage->kept_as),
	    log_quote(damage->what));
}

static void
on_damaged(void *context, const struct store_damage *damage)
{
	struct recovery *recovery = context;

	if (damage->is_torn_tail) {
		recovery->torn++;
		tell_torn(damage);
		return;
	}
	recovery->damaged++;
	tell_damaged(damage);
}

/* What was whole at the start, and is not when it is read. */
static void
on_damaged_since(void *context, const struct store_damage *damage)
{
	(void)context;
	tell_damaged(damage);
}

/* ---- all of it ------------------------------------------------------------
 */

/* What was kept stays, whatever max_sessions says now. */
static void
set_max_sessions(struct broker *broker, uint32_t max)
{
	for (unsigned i = 0; i < broker->worker_count; i++)
		broker->workers[i]->sessions.max_kept = max;
}

static void
tell_recovered(
    const struct recovery *recovery, const struct recovery_counts *counts)
{
	const uint64_t ns = clock_now_ns() - recovery->began_ns;
	struct store_stat stat;

	store_stat(recovery->broker->store, &stat);
	log_info("recovered",
	    "sessions=%zu subscriptions=%zu retained=%zu queued=%" PRIu64
	    " wills=%zu bridges=%zu bytes=%" PRIu64 " torn=%u damaged=%u "
	    "ms=%" PRIu64,
	    counts->sessions, counts->subscriptions, counts->retained,
	    counts->queued, counts->wills, counts->bridges, stat.bytes,
	    recovery->torn, recovery->damaged, ns / CLOCK_MS_NS);
}

static void
tell_failed(int err)
{
	const char *help = "see the manual page weir-broker(8), DURABILITY";

	if (err == -ENOTSUP)
		help = "it was written by a newer Weir: start that one";
	else if (err == -EIO)
		help = "the disk cannot be read: see the kernel's log";
	log_error("recovery_failed", "error=%s help=\"%s\"",
	    log_quote(strerror(-err)), help);
}

static int
run(struct recovery *recovery, const struct store_spec *spec)
{
	/* DONE and OPEN are the store's own to count. */
	const struct store_sink sink = {
		.context = recovery,
		.state = on_state,
		.message = on_message,
		.covered = on_covered,
		.closed = on_closed,
		.progress = on_progress,
		.damaged = on_damaged,
	};
	struct broker *broker = recovery->broker;
	struct recovery_counts counts;
	uint64_t next;
	int err;

	err = store_open(spec, &sink, &broker->store);
	if (err == 0)
		store_on_damage(broker->store, on_damaged_since, NULL);
	if (err == 0)
		err = recovery_state_finish(
		    recovery->state, broker->store, &counts);
	if (err != 0)
		return err;
	next = store_next_cursor(broker->store);
	if (next <= recovery_state_last_cursor(recovery->state))
		next = recovery_state_last_cursor(recovery->state) + 1;
	atomic_store_explicit(&broker->next_cursor, next, memory_order_relaxed);
	tell_recovered(recovery, &counts);
	return 0;
}

int
recover_broker(struct broker *broker, const struct store_spec *spec)
{
	struct recovery recovery = { .broker = broker };
	int err = -ENOMEM;

	recovery.began_ns = recovery.told_ns = clock_now_ns();
	message_pools_adopt(broker->workers[0]->messages);
	broker->recovered = calloc(1, sizeof(*broker->recovered));
	broker->checkpoints = checkpoint_desk_new(broker);
	recovery.state = recovery_state_new(broker, broker->recovered);
	set_max_sessions(broker, UINT32_MAX);
	if (broker->recovered != NULL && broker->checkpoints != NULL &&
	    recovery.state != NULL)
		err = run(&recovery, spec);
	set_max_sessions(broker, broker->conf->max_sessions);
	recovery_state_free(recovery.state);
	if (err == 0)
		return EXIT_OK;
	tell_failed(err);
	return EXIT_OSERR;
}

void
recovered_free(struct recovered *recovered)
{
	if (recovered == NULL)
		return;
	for (unsigned i = 0; i < 64; i++)
		dead_fini(&recovered->bridges[i].dead);
	sources_fini(&recovered->sources);
	free(recovered->closing);
	free(recovered);
}
