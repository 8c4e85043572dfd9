/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The end of a recovery: which cursors are open, what they wait for, and what
 * is due.
 */

#include <errno.h>
#include <stdlib.h>

#include "broker/checkpoint.h"
#include "broker/links_dead.h"
#include "broker/recover_private.h"
#include "broker/retain.h"
#include "broker/session_queue.h"
#include "broker/worker.h"
#include "common/base/clock.h"

/* ---- which cursors are open --------------------------------------
 */

static int
note_closing(struct recovery_state *state, uint64_t cursor)
{
	struct recovered *recovered = state->recovered;
	const size_t count = recovered->closing_count;
	uint64_t *list;

	if ((count & (count - 1)) == 0) {
		list = realloc(recovered->closing,
		    (count == 0 ? 1 : count * 2) * sizeof(*list));
		if (list == NULL)
			return -ENOMEM;
		recovered->closing = list;
	}
	recovered->closing[recovered->closing_count++] = cursor;
	return 0;
}

static uint64_t
accepted_behind(const struct recovery_entry *entry)
{
	const struct recovery_behind *behind;
	uint64_t count = 0;

	for (uint32_t i = 0; i < entry->behind.count; i++) {
		behind = fifo_at(&entry->behind, sizeof(*behind), i);
		count += !behind->is_httpds;
	}
	return count;
}

/* Until it is configured again. */
static int
keep_bridge(struct recovery_state *state, const struct recovery_entry *entry,
    const struct store_bridge *record)
{
	struct checkpoint_desk *desk = state->broker->checkpoints;
	int err = checkpoint_keep_bridge(desk, record);

	if (err == 0)
		err = links_dead_each_record(
		    &entry->dead, entry->cursor, checkpoint_keep_record, desk);
	return err;
}

static int
open_bridge(struct recovery_state *state, struct recovery_entry *entry,
    const struct store_cursor *cursor)
{
	const struct slice name = slice_of_string(entry->bridge);
	const int number = bridge_table_find(state->broker->bridges, name);
	const struct store_bridge record = {
		.cursor = cursor->cursor,
		.name = name,
		.terms = entry->terms,
	};

	if (number < 0) {
		log_warning("bridge_absent",
		    "bridge=%s queued=%llu help=\"it is not configured; what "
		    "waits for it is kept until it is\"",
		    log_quote(entry->bridge),
		    (unsigned long long)cursor->queued);
		return keep_bridge(state, entry, &record);
	}
	state->counts.bridges++;
	state->recovered->bridges[number] = (struct recovered_bridge){
		.cursor = cursor->cursor,
		.floor = cursor->floor,
		.last = cursor->queued == 0 ? 0 : state->last,
		.queued = cursor->queued,
		.queued_bytes = cursor->queued_bytes,
		.dead = entry->dead,
		.terms = entry->terms,
		.given_behind = entry->behind.count,
		.accepted_behind = accepted_behind(entry),
	};
	entry->dead = (struct dead){ 0 };
	return 0;
}

static int
by_sequence(const void *a, const void *b)
{
	const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return one < other ? -1 : one > other;
}

static int
open_session(struct recovery_state *state, struct recovery_entry *entry,
    const struct store_cursor *cursor)
{
	int err;

	state->counts.queued += cursor->queued;
	err = session_queue_restore(entry->session, cursor, state->last);
	if (entry->received_count != 0)
		qsort(entry->received, entry->received_count,
		    sizeof(*entry->received), by_sequence);
	for (size_t i = 0; i < entry->received_count && err == 0; i++)
		err = session_queue_restore_received(
		    entry->session, entry->received[i]);
	return err;
}

/* For store_each_cursor(). */
static int
on_open_cursor(void *arg, const struct store_cursor *cursor)
{
	struct recovery_state *state = arg;
	struct recovery_entry *entry =
	    recovery_state_find(state, cursor->cursor);

	if (entry == NULL)
		return note_closing(state, cursor->cursor);
	entry->is_open = true;
	if (entry->bridge != NULL)
		return open_bridge(state, entry, cursor);
	if (entry->session == NULL || entry->account != NULL)
		return note_closing(state, cursor->cursor);
	return open_session(state, entry, cursor);
}

/* ---- what is due -------------------------------------------------
 */

static uint64_t
after(uint64_t now_ns, uint64_t interval_ns, uint64_t elapsed_ns)
{
	const uint64_t left_ns =
	    interval_ns > elapsed_ns ? interval_ns - elapsed_ns : 0;

	if (interval_ns == SESSION_NEVER || left_ns > SESSION_NEVER - now_ns)
		return SESSION_NEVER;
	return now_ns + left_ns;
}

static void
count_session(struct recovery_state *state, const struct recovery_entry *entry)
{
	state->counts.sessions++;
	state->counts.subscriptions += entry->session->subscriber.count;
	if (entry->left_ns == 0) {
		state->counts.were_connected++;
		state->recovered->is_changed = true;
	}
}

static struct worker *
worker_of(
    const struct recovery_state *state, const struct recovery_entry *entry)
{
	struct broker *broker = state->broker;

	return broker->workers[entry->session != NULL
		? entry->session->subscriber.worker
		: entry->cursor % broker->worker_count];
}

static void
publish(struct recovery_state *state, struct recovery_entry *entry)
{
	will_set_owner(entry->will, entry->cursor, entry->left_ns);
	will_publish_restored(worker_of(state, entry), entry->will);
	entry->will = NULL;
	state->counts.wills++;
}

/* It is offline: until when, and when is its will due? */
static int
settle_session(struct recovery_state *state, struct recovery_entry *entry)
{
	const uint64_t now_ns = clock_now_ns(), wall_ns = clock_wall_ns();
	struct session *session = entry->session;
	uint64_t elapsed_ns, when_ns;

	count_session(state, entry);
	if (entry->left_ns == 0)
		entry->left_ns = wall_ns;
	elapsed_ns = wall_ns > entry->left_ns ? wall_ns - entry->left_ns : 0;
	session->left_ns = entry->left_ns;
	session->expires_at_ns = after(now_ns, session->expiry_ns, elapsed_ns);
	when_ns = session->expires_at_ns;
	if (entry->will != NULL) {
		will_set_due(entry->will,
		    after(now_ns, will_delay_ns(entry->will), elapsed_ns));
		if (will_due_ns(entry->will) < when_ns)
			when_ns = will_due_ns(entry->will);
		will_set_owner(entry->will, entry->cursor, entry->left_ns);
		if (will_due_ns(entry->will) > now_ns) {
			session->will = entry->will;
			entry->will = NULL;
		} else {
			publish(state, entry);
		}
	}
	if (when_ns == SESSION_NEVER)
		return 0;
	return alarms_set(session->home->alarms, &session->alarm, when_ns);
}

static void
end_orphan(struct recovery_state *state, struct recovery_entry *entry)
{
	log_warning("session_orphaned",
	    "client=%s account=%s help=\"the account is not there any more: "
	    "its "
	    "session ends, and what waited for it is lost\"",
	    session_quote(entry->session), log_quote(entry->account));
	state->counts.orphans++;
	state->recovered->is_changed = true;
}

/* A will alone, or a session that is no more, or never was for its client. */
static void
settle_rest(struct recovery_state *state, struct recovery_entry *entry)
{
	if (entry->left_ns == 0)
		entry->left_ns = clock_wall_ns();
	if (entry->will != NULL && entry->account == NULL)
		publish(state, entry);
	if (entry->session != NULL)
		session_end(entry->session);
	entry->session = NULL;
}

static int
settle_entry(struct recovery_state *state, struct recovery_entry *entry)
{
	if (entry->session != NULL && entry->is_open) {
		if (entry->account == NULL)
			return settle_session(state, entry);
		end_orphan(state, entry);
	}
	settle_rest(state, entry);
	return 0;
}

static void
wake_workers(struct broker *broker)
{
	for (unsigned i = 0; i < broker->worker_count; i++)
		loop_again(broker->workers[i]->loop);
}

int
recovery_state_finish(struct recovery_state *state, struct store *store,
    struct recovery_counts *out_counts)
{
	struct broker *broker = state->broker;
	struct recovery_entry *entry;
	int err;

	state->last = store_committed(store);
	state->recovered->committed = state->last;
	err = store_each_cursor(store, on_open_cursor, state);
	for (size_t i = 0; i < state->bucket_count && err == 0; i++)
		for (entry = state->buckets[i]; entry != NULL && err == 0;
		     entry = entry->next)
			err = settle_entry(state, entry);
	if (err != 0)
		return err;
	retained_restored(broker->retained, state->serial);
	state->counts.retained = retained_count(broker->retained);
	/* The first turn fires the alarms and publishes the wills. */
	wake_workers(broker);
	*out_counts = state->counts;
	return 0;
}
