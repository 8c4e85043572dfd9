/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/commit.h"
#include "broker/counters.h"
#include "broker/retain_job.h"
#include "broker/session_queue.h"
#include "broker/session_records.h"
#include "broker/will.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mqtt/protocol.h"

#define FIRST_BUCKETS 64

/* Messages under way to all sessions of one worker. */
#define MAX_OUTGOING 16000000

static void on_alarm(struct alarm *alarm);
static void publish_will(struct session *session);

int
sessions_init(struct sessions *sessions)
{
	int err;

	err = pool_init(
	    &sessions->outgoing, sizeof(struct outgoing), 0, MAX_OUTGOING);
	if (err != 0)
		return err;
	sessions->buckets = calloc(FIRST_BUCKETS, sizeof(struct session *));
	sessions->by_cursor = calloc(FIRST_BUCKETS, sizeof(struct session *));
	if (sessions->buckets == NULL || sessions->by_cursor == NULL) {
		free(sessions->buckets);
		free(sessions->by_cursor);
		sessions->buckets = NULL;
		sessions->by_cursor = NULL;
		pool_fini(&sessions->outgoing);
		return -ENOMEM;
	}
	sessions->bucket_count = FIRST_BUCKETS;
	return 0;
}

void
sessions_end_all(struct sessions *sessions)
{
	for (size_t i = 0; i < sessions->bucket_count; i++)
		while (sessions->buckets[i] != NULL)
			session_end(sessions->buckets[i]);
}

void
sessions_publish_wills(struct sessions *sessions)
{
	struct session *session;

	for (size_t i = 0; i < sessions->bucket_count; i++)
		for (session = sessions->buckets[i]; session != NULL;
		     session = session->next_in_table)
			if (session->client == NULL && !session->is_durable)
				publish_will(session);
}

void
sessions_fini(struct sessions *sessions)
{
	BUG_ON(sessions->count != 0);
	free(sessions->buckets);
	free(sessions->by_cursor);
	sessions->buckets = NULL;
	sessions->by_cursor = NULL;
	pool_fini(&sessions->outgoing);
}

/* ---- the tables ------------------------------------------------------- */

static struct session **
bucket_of(const struct sessions *sessions, struct slice id)
{
	return &sessions->buckets[slice_hash(id, sessions->seed) &
	    (sessions->bucket_count - 1)];
}

/* Numbers are given out in sequence: they are hash enough. */
static struct session **
cursor_bucket_of(const struct sessions *sessions, uint64_t cursor)
{
	return &sessions->by_cursor[cursor & (sessions->bucket_count - 1)];
}

static void
put_into_tables(struct sessions *sessions, struct session *session)
{
	struct session **bucket;

	bucket = bucket_of(sessions, session_id(session));
	session->next_in_table = *bucket;
	*bucket = session;
	bucket = cursor_bucket_of(sessions, session->cursor);
	session->next_by_cursor = *bucket;
	*bucket = session;
}

/* More buckets are only faster: without memory the old ones go on. */
static void
grow(struct sessions *sessions)
{
	const size_t old_count = sessions->bucket_count;
	struct session **old = sessions->buckets, **buckets, **by_cursor;
	struct session *session, *next;

	buckets = calloc(old_count * 2, sizeof(struct session *));
	by_cursor = calloc(old_count * 2, sizeof(struct session *));
	if (buckets == NULL || by_cursor == NULL) {
		free(buckets);
		free(by_cursor);
		return;
	}
	free(sessions->by_cursor);
	sessions->buckets = buckets;
	sessions->by_cursor = by_cursor;
	sessions->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		for (session = old[i]; session != NULL; session = next) {
			next = session->next_in_table;
			put_into_tables(sessions, session);
		}
	}
	free(old);
}

struct session *
session_find(struct sessions *sessions, struct slice id)
{
	struct session *session = *bucket_of(sessions, id);

	while (session != NULL && !slice_equal(session_id(session), id))
		session = session->next_in_table;
	return session;
}

struct session *
session_find_cursor(struct sessions *sessions, uint64_t cursor)
{
	struct session *session = *cursor_bucket_of(sessions, cursor);

	while (session != NULL && session->cursor != cursor)
		session = session->next_by_cursor;
	return session;
}

static struct session *
make_session(struct sessions *sessions, struct slice id, uint64_t cursor,
    bool is_durable)
{
	const size_t size = session_size(is_durable);
	struct session *session;

	BUG_ON(id.len > UINT16_MAX || cursor == 0);
	session = calloc(1, size + id.len);
	if (session == NULL)
		return NULL;
	session->home = sessions;
	session->cursor = cursor;
	session->is_durable = is_durable;
	session->subscriber.worker = sessions->worker;
	session->outbox.window = 1;
	session->alarm.fire = on_alarm;
	session->id_length = (uint16_t)id.len;
	if (id.len != 0)
		memcpy((uint8_t *)session + size, id.data, id.len);

	if (sessions->count >= sessions->bucket_count)
		grow(sessions);
	put_into_tables(sessions, session);
	sessions->count++;
	stats_increment(sessions->counters, COUNT_sessions);
	return session;
}

struct session *
session_new(struct sessions *sessions, struct slice id, bool is_durable)
{
	/* Relaxed: only that no two are alike. */
	const uint64_t cursor = atomic_fetch_add_explicit(
	    sessions->next_cursor, 1, memory_order_relaxed);

	return make_session(
	    sessions, id, cursor, is_durable && sessions->commit != NULL);
}

struct session *
session_restore(struct sessions *sessions, struct slice id, uint64_t cursor)
{
	return make_session(sessions, id, cursor, true);
}

static void
remove_from_tables(struct session *session)
{
	struct session **link;

	link = bucket_of(session->home, session_id(session));
	while (*link != session)
		link = &(*link)->next_in_table;
	*link = session->next_in_table;
	link = cursor_bucket_of(session->home, session->cursor);
	while (*link != session)
		link = &(*link)->next_by_cursor;
	*link = session->next_by_cursor;
}

bool
session_keep(struct session *session, uint64_t expiry_ns)
{
	struct sessions *sessions = session->home;
	const bool is_kept = expiry_ns != 0;

	if (is_kept && !session->is_kept &&
	    atomic_fetch_add_explicit(sessions->kept, 1,
		memory_order_relaxed) >= sessions->max_kept) {
		atomic_fetch_sub_explicit(
		    sessions->kept, 1, memory_order_relaxed);
		return false;
	}
	if (!is_kept && session->is_kept)
		atomic_fetch_sub_explicit(
		    sessions->kept, 1, memory_order_relaxed);
	session->is_kept = is_kept;
	session->expiry_ns = expiry_ns;
	return true;
}

const char *
session_quote(const struct session *session)
{
	const struct slice id = session_id(session);

	return log_quote_n(id.data, id.len);
}

/* ---- losses ----------------------------------------------------------- */

static void
say_dropping(const struct session *session)
{
	const struct outbox *outbox = &session->outbox;
	uint64_t count = outbox->waiting_count, bytes = outbox->waiting_bytes;

	if (session->is_durable) {
		count = session_queue_count(session);
		bytes = session_queue_bytes(session);
	}
	log_warning("session_dropping",
	    "client=%s online=%s queued=%llu queued_bytes=%llu "
	    "help=\"see max_queued_messages and max_queued_bytes; it is "
	    "summed up at the end\"",
	    session_quote(session), session->client != NULL ? "yes" : "no",
	    (unsigned long long)count, (unsigned long long)bytes);
}

void
session_note_drops(struct session *session, uint64_t count)
{
	struct sessions *sessions = session->home;
	const uint64_t now = sessions->now_ns(sessions->context);

	if (session->drops == NULL)
		session->drops = calloc(1, sizeof(*session->drops));
	/* Without memory they are counted, and not told. */
	while (session->drops != NULL && count-- != 0) {
		if (!drop_episode_count(session->drops, now))
			continue;
		stats_increment(sessions->counters, COUNT_drop_episodes);
		say_dropping(session);
	}
}

static void
sum_up(const struct session *session, uint64_t dropped, uint64_t lasted_ns)
{
	log_warning("session_dropped",
	    "client=%s dropped=%llu duration_ms=%llu", session_quote(session),
	    (unsigned long long)dropped,
	    (unsigned long long)(lasted_ns / CLOCK_MS_NS));
}

void
session_note_caught_up(struct session *session)
{
	struct sessions *sessions = session->home;
	uint64_t dropped, lasted_ns;

	if (session->drops != NULL && session->drops->is_told &&
	    drop_episode_end(session->drops,
		sessions->now_ns(sessions->context), &dropped, &lasted_ns))
		sum_up(session, dropped, lasted_ns);
}

static void
close_episode(struct session *session)
{
	struct sessions *sessions = session->home;
	uint64_t dropped, lasted_ns;

	if (session->drops != NULL &&
	    drop_episode_close(session->drops,
		sessions->now_ns(sessions->context), &dropped, &lasted_ns))
		sum_up(session, dropped, lasted_ns);
}

/* ---- its end --------------------------------------------------------- */

static void
on_last_mail(struct mail *mail, void *owner)
{
	struct session *session = CONTAINER_OF(mail, struct session, mail);
	struct sessions *sessions = session->home;

	(void)owner;
	if (session->is_pumped || session->is_acking) {
		/* Still on a list of this turn: come again. */
		mailbox_put(sessions->mailbox, &session->mail);
		mailbox_wake(sessions->mailbox);
		return;
	}
	if (session->leaves_estate)
		sessions->begin_estate(sessions->context, session->cursor);
	sessions->count--;
	free(session->drops);
	free(session);
}

/* On liburcu's thread: no reader can put mail for the session any more. */
static void
on_grace_period(struct rcu_head *rcu)
{
	struct session *session = CONTAINER_OF(rcu, struct session, rcu);
	struct mailbox *mailbox;

	rcu_called(rcu);
	mailbox = session->home->mailbox;
	session->mail.open = on_last_mail;
	mailbox_put(mailbox, &session->mail);
	mailbox_wake(mailbox);
}

static void
publish_will(struct session *session)
{
	struct sessions *sessions = session->home;
	struct will *will = session->will;

	session->will = NULL;
	if (will != NULL)
		sessions->publish_will(sessions->context, will);
}

static void
drop_messages(struct session *session)
{
	struct stats_block *counters = session->home->counters;
	struct outbox *outbox = &session->outbox;

	if (session->subscriber.is_member && !session->is_durable &&
	    session->home->leave_shared != NULL)
		session->home->leave_shared(session->home->context, session);
	if (session->is_durable) {
		session_queue_fini(session);
	} else {
		stats_add(
		    counters, COUNT_dropped_session_end, outbox->waiting_count);
		stats_subtract(counters, COUNT_queued, outbox->waiting_count);
		session->home->queued_bytes -= outbox->waiting_bytes;
	}
	stats_subtract(counters, COUNT_in_flight, outbox->in_flight_count);
	session->resend = NULL;
	outbox_fini(outbox, &session->home->outgoing);
}

static void
end_in_journal(struct session *session)
{
	struct sessions *sessions = session->home;

	session->leaves_estate = sessions->leave_estate != NULL &&
	    sessions->leave_estate(sessions->context, session);
	if (!session->leaves_estate)
		commit_send_cursor(
		    sessions->commit, STORE_CLOSE, session->cursor);
}

void
session_end(struct session *session)
{
	struct sessions *sessions = session->home;

	BUG_ON(session->ended || session->client != NULL);
	session->ended = true;
	alarms_stop(sessions->alarms, &session->alarm);
	remove_from_tables(session);
	stats_subtract(sessions->counters, COUNT_sessions, 1);
	subscription_tree_remove_all(sessions->tree, &session->subscriber);
	publish_will(session);
	if (session->is_durable && sessions->commit != NULL)
		end_in_journal(session);
	session_keep(session, 0);
	close_episode(session);
	drop_messages(session);
	packet_ids_fini(&session->received);
	ack_queue_fini(&session->acks);
	retain_jobs_fini(session);
	rcu_call(&session->rcu, on_grace_period);
}

/* ---- coming and going ------------------------------------------------ */

static void
set_alarm(struct session *session)
{
	uint64_t when = session->expires_at_ns;

	if (session->will != NULL && will_due_ns(session->will) < when)
		when = will_due_ns(session->will);
	if (when == SESSION_NEVER) {
		alarms_stop(session->home->alarms, &session->alarm);
		return;
	}
	/* Without memory for the alarm the session ends early, not never. */
	if (alarms_set(session->home->alarms, &session->alarm, when) != 0)
		session_end(session);
}

static void
on_alarm(struct alarm *alarm)
{
	struct session *session = CONTAINER_OF(alarm, struct session, alarm);
	struct sessions *sessions = session->home;
	const uint64_t now = sessions->now_ns(sessions->context);

	if (session->will != NULL && will_due_ns(session->will) <= now)
		publish_will(session);
	if (session->expires_at_ns <= now) {
		stats_increment(sessions->counters, COUNT_sessions_expired);
		session_end(session);
	} else {
		set_alarm(session);
	}
}

void
session_attach(struct session *session, struct client *client)
{
	alarms_stop(session->home->alarms, &session->alarm);
	will_free(session->will);
	session->will = NULL;
	session->client = client;
	atomic_store_explicit(
	    &session->subscriber.online, true, memory_order_relaxed);
}

static uint64_t
after(uint64_t now_ns, uint64_t interval_ns)
{
	return interval_ns > SESSION_NEVER - now_ns ? SESSION_NEVER
						    : now_ns + interval_ns;
}

/* Of what is not durable the journal knows the will, or nothing. */
static void
journal_leave(struct session *session, bool send_will)
{
	struct will *will = session->will;
	const bool has_will = will != NULL && will_cursor(will) != 0;

	if (session->home->commit == NULL ||
	    (!session->is_durable && !has_will))
		return;
	session->left_ns = clock_wall_ns();
	if (has_will)
		will_set_owner(will, session->cursor, session->left_ns);
	session_records_leave(session, has_will && send_will);
}

void
session_leave(struct session *session, bool send_will)
{
	struct sessions *sessions = session->home;
	const uint64_t now = sessions->now_ns(sessions->context);

	session->client = NULL;
	atomic_store_explicit(
	    &session->subscriber.online, false, memory_order_relaxed);
	/*
	 * The client sends QoS 1 again; PUBREC is owed once it is back.  What
	 * else waits it asks for again, or it is not the same connection's.
	 */
	ack_queue_keep_type(&session->acks, MQTT_PUBREC);
	if (session->is_durable)
		session_queue_rest(session);

	journal_leave(session, send_will);
	if (!send_will) {
		will_free(session->will);
		session->will = NULL;
	}
	session->expires_at_ns = after(now, session->expiry_ns);
	if (session->will != NULL) {
		will_set_due(
		    session->will, after(now, will_delay_ns(session->will)));
		if (will_due_ns(session->will) <= now)
			publish_will(session);
	}
	if (session->expires_at_ns <= now)
		session_end(session);
	else
		set_alarm(session);
}
