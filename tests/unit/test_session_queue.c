/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/session_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/counters.h"
#include "broker/store/store.h"
#include "tests/unit/unit.h"

#define CURSOR 77u

static struct sessions sessions;
static struct alarms alarms;
static struct message_pools *pools;
static struct stats *stats;
static struct message *message;
static _Atomic uint64_t next_cursor = 1;
static atomic_uint kept_count;
static char someone; /* stands for a client, is not looked at */

static uint64_t
tell_time(void *context)
{
	(void)context;
	return 1;
}

static void
set_up(void)
{
	const struct message_parts parts = {
		.topic = slice_of_string("t"),
		.qos = 2,
		.expires_ns = UINT64_MAX,
	};

	rcu_thread_start();
	memset(&alarms, 0, sizeof(alarms));
	memset(&sessions, 0, sizeof(sessions));
	pools = message_pools_new();
	message = message_new(pools, &parts);
	ck_assert_int_eq(
	    stats_create("test", counter_rows, COUNT_ROWS, 1, &stats), 0);
	sessions.limits = (struct outbox_limits){ 1000000, UINT64_MAX / 2 };
	sessions.kept = &kept_count;
	sessions.max_kept = 1000;
	sessions.next_cursor = &next_cursor;
	sessions.alarms = &alarms;
	sessions.mailbox = mailbox_new(NULL);
	sessions.tree = subscription_tree_new();
	sessions.counters = stats_block(stats, 0);
	sessions.now_ns = tell_time;
	ck_assert_int_eq(sessions_init(&sessions), 0);
}

static void
tear_down(void)
{
	sessions_end_all(&sessions);
	urcu_memb_barrier();
	mailbox_open(sessions.mailbox, 0);
	sessions_fini(&sessions);
	subscription_tree_free(sessions.tree);
	mailbox_free(sessions.mailbox);
	alarms_fini(&alarms);
	message_put(message);
	message_pools_free(pools);
	stats_free(stats);
	rcu_thread_end();
}

static struct session *
restored(const struct store_cursor *cursor, uint64_t last)
{
	struct session *session;

	session = session_restore(&sessions, slice_of_string("a"), CURSOR);
	session->outbox.window = 4;
	session_keep(session, SESSION_NEVER);
	ck_assert_int_eq(session_queue_restore(session, cursor, last), 0);
	return session;
}

/* A session that has nothing yet, whose client is there. */
static struct session *
online(void)
{
	struct session *session =
	    restored(&(struct store_cursor){ .floor = 10 }, 10);

	session_attach(session, (struct client *)&someone);
	session_queue_resume(session);
	return session;
}

static struct outbox_item
item_of(uint64_t sequence)
{
	return (struct outbox_item){
		.message = message,
		.sequence = sequence,
		.qos = 2,
	};
}

static enum session_arrival
arrives(struct session *session, uint64_t sequence)
{
	const struct outbox_item item = item_of(sequence);

	return session_queue_arrives(session, &item);
}

static enum session_arrival
loads(struct session *session, uint64_t sequence)
{
	const struct outbox_item item = item_of(sequence);

	return session_queue_loads(session, &item);
}

/* The next one goes in flight; 0: none may. */
static uint64_t
sends(struct session *session, bool *out_dup)
{
	struct outgoing *outgoing = outbox_peek(&session->outbox);
	bool dup;

	if (outgoing == NULL || outbox_take(&session->outbox, outgoing) != 0)
		return 0;
	dup = session_queue_leaves(
	    session, outgoing->sequence, message_weight(message));
	if (out_dup != NULL)
		*out_dup = dup;
	return outgoing->sequence;
}

static struct store_done
ends(struct session *session, uint64_t sequence)
{
	struct outgoing *outgoing =
	    outbox_find(&session->outbox, outbox_packet_id(sequence));

	ck_assert_ptr_nonnull(outgoing);
	ck_assert_uint_eq(outgoing->sequence, sequence);
	outbox_done(&session->outbox, &sessions.outgoing, outgoing);
	return session_queue_done(session, sequence);
}

/* ---- what arrives ---- */

START_TEST(keeps_a_window_and_leaves_the_rest_in_the_journal)
{
	struct session *session = online();
	uint64_t sequence = 11;

	for (unsigned i = 0; i < SESSION_WINDOW_MESSAGES; i++)
		ck_assert_int_eq(arrives(session, sequence++), SESSION_KEPT);
	for (unsigned i = 0; i < 5000; i++)
		ck_assert_int_eq(arrives(session, sequence++), SESSION_LATER);
	ck_assert_uint_eq(
	    session->outbox.waiting_count, SESSION_WINDOW_MESSAGES);
	ck_assert_uint_eq(
	    session_queue_count(session), SESSION_WINDOW_MESSAGES + 5000);
	ck_assert_uint_eq(
	    stats_read(stats, COUNT_queued), SESSION_WINDOW_MESSAGES + 5000);
	ck_assert(!session_queue_wants_read(session));
	session->client = NULL;
}
END_TEST

START_TEST(keeps_nothing_while_the_client_is_away)
{
	struct session *session = online();

	ck_assert_int_eq(arrives(session, 11), SESSION_KEPT);
	ck_assert_int_eq(arrives(session, 14), SESSION_KEPT);
	session_leave(session, false);
	ck_assert_uint_eq(session->outbox.waiting_count, 0);
	ck_assert_int_eq(arrives(session, 15), SESSION_LATER);
	ck_assert_uint_eq(session_queue_count(session), 3);
	ck_assert(!session_queue_wants_read(session));
	session_attach(session, (struct client *)&someone);
	ck_assert(session_queue_wants_read(session));
	ck_assert_uint_eq(session->queue.feed.next, 11);
	session->client = NULL;
}
END_TEST

START_TEST(takes_nothing_more_of_a_read_when_the_client_has_gone)
{
	struct session *session = online();

	session_leave(session, false);
	for (uint64_t i = 11; i < 20; i++)
		arrives(session, i);
	session_attach(session, (struct client *)&someone);
	ck_assert(session_queue_wants_read(session));
	ck_assert_int_eq(loads(session, 11), SESSION_KEPT);
	ck_assert_int_eq(loads(session, 12), SESSION_KEPT);
	ck_assert_uint_eq(sends(session, NULL), 11);
	session_leave(session, false);
	session_attach(session, (struct client *)&someone);
	ck_assert_int_eq(loads(session, 13), SESSION_KNOWN);
	ck_assert(!session_queue_wants_read(session));
	session_queue_loaded(session, 19);
	ck_assert(session_queue_wants_read(session));
	/* 11 is in flight, and not read again. */
	ck_assert_uint_eq(session->queue.feed.next, 12);
	session->client = NULL;
}
END_TEST

START_TEST(leaves_out_what_is_beyond_the_limits_and_says_it_is_over)
{
	struct session *session = online();
	struct store_done done;

	sessions.limits.max_messages = 2;
	ck_assert_int_eq(arrives(session, 11), SESSION_KEPT);
	ck_assert_int_eq(arrives(session, 12), SESSION_KEPT);
	ck_assert(session_queue_is_full(session, 1));
	ck_assert_int_eq(arrives(session, 13), SESSION_FULL);
	done = session_queue_done(session, 13);
	ck_assert_uint_eq(done.sequence, 13);
	ck_assert_uint_eq(done.floor, 10);
	ck_assert_uint_eq(sends(session, NULL), 11);
	ck_assert_int_eq(arrives(session, 14), SESSION_KEPT);
	ck_assert_uint_eq(sends(session, NULL), 12);
	ck_assert_uint_eq(sends(session, NULL), 14);
	session->client = NULL;
}
END_TEST

START_TEST(drops_the_oldest_in_the_journal_when_they_are_read)
{
	struct session *session = online();
	struct store_done done;

	sessions.limits.max_messages = 2;
	sessions.slow_subscriber = CONF_SLOW_DROP_OLDEST;
	session_leave(session, false);
	ck_assert_uint_eq(session_queue_excess(session), 0);
	for (uint64_t sequence = 11; sequence <= 15; sequence++)
		ck_assert_int_eq(arrives(session, sequence), SESSION_LATER);
	ck_assert(!session_queue_refuses(session, 1));
	ck_assert_uint_eq(session_queue_excess(session), 3);
	ck_assert(session_queue_drop_unread(session, 3));
	ck_assert_uint_eq(session_queue_excess(session), 0);
	/* Its client is away: so many are read, and no more. */
	ck_assert(session_queue_wants_read(session));
	ck_assert_uint_eq(session_queue_read_count(session), 3);
	ck_assert_int_eq(loads(session, 11), SESSION_DROPPED);
	done = session_queue_done(session, 11);
	ck_assert_uint_eq(done.floor, 11);
	ck_assert_int_eq(loads(session, 12), SESSION_DROPPED);
	ck_assert_int_eq(loads(session, 13), SESSION_DROPPED);
	session_queue_loaded(session, 13);
	ck_assert_uint_eq(session_queue_count(session), 2);
	ck_assert(!session_queue_wants_read(session));
	session_attach(session, (struct client *)&someone);
	ck_assert(session_queue_wants_read(session));
	ck_assert_int_eq(loads(session, 14), SESSION_KEPT);
	ck_assert_int_eq(loads(session, 15), SESSION_KEPT);
	session_queue_loaded(session, 15);
	ck_assert_uint_eq(sends(session, NULL), 14);
	session->client = NULL;
}
END_TEST

START_TEST(keeps_what_was_read_beyond_what_is_to_be_dropped)
{
	struct session *session = online();

	sessions.limits.max_messages = 2;
	sessions.slow_subscriber = CONF_SLOW_DROP_OLDEST;
	session_leave(session, false);
	for (uint64_t sequence = 11; sequence <= 14; sequence++)
		arrives(session, sequence);
	session_queue_drop_unread(session, session_queue_excess(session));
	ck_assert(session_queue_wants_read(session));
	ck_assert_int_eq(loads(session, 11), SESSION_DROPPED);
	ck_assert_int_eq(loads(session, 12), SESSION_DROPPED);
	/* Nobody is there for this one: it is read again. */
	ck_assert_int_eq(loads(session, 13), SESSION_LATER);
	session_queue_loaded(session, 14);
	session_attach(session, (struct client *)&someone);
	ck_assert(session_queue_wants_read(session));
	ck_assert_uint_eq(session->queue.feed.next, 13);
	ck_assert_int_eq(loads(session, 13), SESSION_KEPT);
	session->client = NULL;
}
END_TEST

START_TEST(has_the_bytes_of_a_queue_within_their_limit)
{
	struct session *session = online();

	sessions.slow_subscriber = CONF_SLOW_DROP_OLDEST;
	sessions.limits.max_bytes = 3 * message_weight(message);
	session_leave(session, false);
	for (uint64_t sequence = 11; sequence <= 15; sequence++)
		arrives(session, sequence);
	ck_assert_uint_eq(session_queue_excess(session), 2);
	/* However large, one may stay. */
	sessions.limits.max_bytes = 1;
	ck_assert_uint_eq(session_queue_excess(session), 4);
}
END_TEST

START_TEST(reads_no_more_bytes_than_the_window_has_room_for)
{
	struct session *session = online();

	ck_assert_uint_eq(
	    session_queue_read_bytes(session), SESSION_WINDOW_BYTES);
	ck_assert_int_eq(arrives(session, 11), SESSION_KEPT);
	ck_assert_uint_eq(session_queue_read_bytes(session),
	    SESSION_WINDOW_BYTES - message_weight(message));
	session->outbox.waiting_bytes += SESSION_WINDOW_BYTES;
	ck_assert_uint_eq(session_queue_read_bytes(session), 0);
	session->outbox.waiting_bytes -= SESSION_WINDOW_BYTES;
	session->client = NULL;
}
END_TEST

START_TEST(does_not_send_later_what_it_left_out)
{
	struct session *session = online();

	sessions.limits.max_messages = 2;
	session_leave(session, false);
	ck_assert_int_eq(arrives(session, 11), SESSION_LATER);
	ck_assert_int_eq(arrives(session, 12), SESSION_LATER);
	ck_assert_int_eq(arrives(session, 13), SESSION_FULL);
	session_attach(session, (struct client *)&someone);
	ck_assert(session_queue_wants_read(session));
	ck_assert_int_eq(loads(session, 11), SESSION_KEPT);
	ck_assert_int_eq(loads(session, 12), SESSION_KEPT);
	ck_assert_int_eq(loads(session, 13), SESSION_KNOWN);
	session_queue_loaded(session, 13);
	ck_assert_int_eq(session->outbox.waiting_count, 2);
	/* Nor when it is read once more. */
	session_leave(session, false);
	session_attach(session, (struct client *)&someone);
	ck_assert(session_queue_wants_read(session));
	ck_assert_int_eq(loads(session, 11), SESSION_KEPT);
	ck_assert_int_eq(loads(session, 12), SESSION_KEPT);
	ck_assert_int_eq(loads(session, 13), SESSION_KNOWN);
	session_queue_loaded(session, 13);
	sends(session, NULL);
	sends(session, NULL);
	ck_assert_ptr_null(session->queue.over);
	session->client = NULL;
}
END_TEST

/* By publishers, on any thread. */
START_TEST(counts_those_that_publishers_left_out)
{
	struct session *session = online();

	ck_assert(session_queue_leave_out(session));
	ck_assert(!session_queue_leave_out(session));
	mailbox_open(sessions.mailbox, 0);
	ck_assert_uint_eq(stats_read(stats, COUNT_dropped_queue_full), 2);
	ck_assert_uint_eq(stats_read(stats, COUNT_deliveries), 2);
	ck_assert_uint_eq(stats_read(stats, COUNT_drop_episodes), 1);
	ck_assert(session_queue_leave_out(session));
	mailbox_open(sessions.mailbox, 0);
	ck_assert_uint_eq(stats_read(stats, COUNT_dropped_queue_full), 3);
	session->client = NULL;
}
END_TEST

/* ---- what is over ---- */

START_TEST(says_how_far_all_is_over)
{
	struct session *session = online();

	for (uint64_t i = 11; i < 15; i++)
		arrives(session, i);
	for (uint64_t i = 11; i < 14; i++)
		ck_assert_uint_eq(sends(session, NULL), i);
	ck_assert_uint_eq(ends(session, 12).floor, 10);
	ck_assert_uint_eq(ends(session, 11).floor, 12);
	ck_assert_uint_eq(ends(session, 13).floor, 13);
	arrives(session, 20);
	ck_assert_uint_eq(sends(session, NULL), 14);
	ck_assert_uint_eq(ends(session, 14).floor, 19);
	session_leave(session, false);
	ck_assert_uint_eq(session_queue_done(session, 14).floor, 19);
	session_attach(session, (struct client *)&someone);
	session_queue_wants_read(session);
	loads(session, 20);
	session_queue_loaded(session, 25);
	ck_assert_uint_eq(sends(session, NULL), 20);
	ck_assert_uint_eq(ends(session, 20).floor, 25);
	session->client = NULL;
}
END_TEST

/* ---- a former life ---- */

START_TEST(marks_what_may_have_been_sent_in_a_former_life)
{
	const uint64_t over[] = { 12, 13 };
	struct session *session = restored(
	    &(struct store_cursor){
		.floor = 10,
		.queued = 7,
		.over = over,
		.over_count = 2,
	    },
	    19);
	bool dup;

	session_attach(session, (struct client *)&someone);
	session_queue_resume(session);
	ck_assert(session_queue_wants_read(session));
	ck_assert_uint_eq(session->queue.feed.next, 11);
	for (uint64_t i = 11; i <= 19; i++)
		ck_assert_int_eq(loads(session, i),
		    i == 12 || i == 13 ? SESSION_KNOWN : SESSION_KEPT);
	session_queue_loaded(session, 19);
	ck_assert_uint_eq(sends(session, &dup), 11);
	ck_assert(dup);
	for (uint64_t i = 14; i <= 16; i++) {
		ck_assert_uint_eq(sends(session, &dup), i);
		ck_assert(dup);
	}
	/* The window was full. */
	ck_assert_uint_eq(sends(session, &dup), 0);
	ends(session, 14);
	ck_assert_uint_eq(sends(session, &dup), 17);
	ck_assert(!dup);
	session->client = NULL;
}
END_TEST

START_TEST(does_not_send_again_what_the_client_has)
{
	struct session *session =
	    restored(&(struct store_cursor){ .floor = 10, .queued = 2 }, 12);
	struct outgoing *outgoing;

	ck_assert_int_eq(session_queue_restore_received(session, 12), 0);
	ck_assert_int_eq(session_queue_restore_received(session, 9), 0);
	ck_assert_uint_eq(session_queue_count(session), 1);
	ck_assert_uint_eq(stats_read(stats, COUNT_in_flight), 1);
	session_attach(session, (struct client *)&someone);
	session_queue_resume(session);
	session_queue_wants_read(session);
	ck_assert_int_eq(loads(session, 11), SESSION_KEPT);
	ck_assert_int_eq(loads(session, 12), SESSION_KNOWN);
	session_queue_loaded(session, 12);
	ck_assert_uint_eq(sends(session, NULL), 11);
	/* In the order of the journal. */
	outgoing = session->outbox.in_flight.first;
	ck_assert_uint_eq(outgoing->sequence, 11);
	ck_assert_uint_eq(outgoing->next->sequence, 12);
	ck_assert_int_eq(outgoing->next->stage, OUTGOING_RECEIVED);
	ck_assert_uint_eq(ends(session, 12).floor, 10);
	ck_assert_uint_eq(ends(session, 11).floor, 12);
	session->client = NULL;
}
END_TEST

/* 1 and 65,536 have one identifier: the second waits for the first. */
START_TEST(has_no_two_in_flight_under_one_identifier)
{
	struct session *session =
	    restored(&(struct store_cursor){ .floor = 0 }, 0);

	session_attach(session, (struct client *)&someone);
	ck_assert_uint_eq(outbox_packet_id(65534), 65535);
	ck_assert_uint_eq(outbox_packet_id(65535), 1);
	arrives(session, 1);
	arrives(session, 1 + 65535);
	arrives(session, 2 + 65535);
	ck_assert_uint_eq(sends(session, NULL), 1);
	ck_assert_uint_eq(sends(session, NULL), 0);
	ends(session, 1);
	ck_assert_uint_eq(sends(session, NULL), 1 + 65535);
	ck_assert_uint_eq(sends(session, NULL), 2 + 65535);
	session->client = NULL;
}
END_TEST

/* ---- the promise ---- */

#define MOST 1000u

/* A journal with one cursor, and a client that remembers. */
static struct {
	uint64_t sequences[MOST];
	bool is_over[MOST];     /* DONE was written */
	bool is_received[MOST]; /* RECEIVED was */
	bool is_had[MOST];      /* by the client */
	unsigned count;         /* committed */
	unsigned mailed;        /* whose mail was opened */
	uint64_t committed;     /* the last sequence of the journal */
	uint64_t floor;
	unsigned had_count;
	unsigned over_count;

	bool is_reading;
	unsigned read_at;
	unsigned read_end;
	uint64_t read_upto;
} world;

static uint32_t dice;

static uint32_t
roll(uint32_t sides)
{
	dice = dice * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)dice * sides) >> 32);
}

static unsigned
index_of(uint64_t sequence)
{
	unsigned i = 0;

	while (world.sequences[i] != sequence)
		i++;
	return i;
}

static void
commit_one(void)
{
	if (world.count == MOST)
		return;
	world.committed += 1 + roll(roll(10) == 0 ? 30000 : 3);
	world.sequences[world.count++] = world.committed;
}

static void
open_mail(struct session *session)
{
	if (world.mailed == world.count)
		return;
	arrives(session, world.sequences[world.mailed++]);
}

static void
read_on(struct session *session)
{
	if (!world.is_reading) {
		if (!session_queue_wants_read(session))
			return;
		world.is_reading = true;
		world.read_at = 0;
		while (world.read_at < world.count &&
		    world.sequences[world.read_at] < session->queue.feed.next)
			world.read_at++;
		world.read_end = world.read_at + 1 + roll(40);
		world.read_upto = world.committed;
		if (world.read_end < world.count)
			world.read_upto = world.sequences[world.read_end - 1];
		else
			world.read_end = world.count;
		return;
	}
	if (world.read_at < world.read_end) {
		/* The store leaves out what it knows to be over, or not. */
		loads(session, world.sequences[world.read_at++]);
		return;
	}
	world.is_reading = false;
	if (roll(8) == 0)
		session_queue_read_failed(session);
	else
		session_queue_loaded(session, world.read_upto);
}

/* The client gets one: new, and the next; or again, and marked. */
static void
send_one(struct session *session)
{
	uint64_t sequence;
	unsigned i;
	bool dup;

	if (session->client == NULL)
		return;
	sequence = sends(session, &dup);
	if (sequence == 0)
		return;
	i = index_of(sequence);
	ck_assert(!world.is_over[i] && !world.is_received[i]);
	ck_assert(!world.is_had[i] || dup);
	if (world.is_had[i])
		return;
	/* The one behind the last that was new. */
	ck_assert_uint_eq(i, world.had_count);
	world.had_count++;
	world.is_had[i] = true;
}

static void
end_one(struct session *session)
{
	struct outgoing *outgoing = session->outbox.in_flight.first;
	struct store_done done;
	unsigned i;

	for (uint32_t left = roll(4); outgoing != NULL && left != 0; left--)
		outgoing = outgoing->next;
	if (outgoing == NULL || session->client == NULL)
		return;
	i = index_of(outgoing->sequence);
	if (outgoing->stage == OUTGOING_SENT && roll(2) == 0) {
		outbox_received(outgoing);
		world.is_received[i] = true;
		return;
	}
	done = ends(session, outgoing->sequence);
	world.is_over[i] = true;
	world.over_count++;
	ck_assert_uint_ge(done.floor, world.floor);
	world.floor = done.floor;
	for (i = 0; i < world.count; i++)
		if (world.sequences[i] <= done.floor && !world.is_over[i])
			ck_abort_msg("the floor is above %u", i);
}

static struct session *
come_back(struct session *session)
{
	if (session->client == NULL) {
		session_attach(session, (struct client *)&someone);
		session_queue_resume(session);
	} else {
		session_leave(session, false);
	}
	return session;
}

static struct session *
live_again(void)
{
	static uint64_t over[MOST];
	struct store_cursor cursor = { .floor = world.floor, .over = over };
	struct session *session;

	world.is_reading = false;
	world.mailed = world.count;
	for (unsigned i = 0; i < world.count; i++) {
		if (world.is_over[i] && world.sequences[i] > world.floor)
			over[cursor.over_count++] = world.sequences[i];
		cursor.queued += !world.is_over[i];
	}
	session = restored(&cursor, world.committed);
	for (unsigned i = 0; i < world.count; i++)
		if (world.is_received[i])
			ck_assert_int_eq(session_queue_restore_received(
					     session, world.sequences[i]),
			    0);
	return session;
}

static struct session *
crash(struct session *session)
{
	session->client = NULL;
	session_end(session);
	urcu_memb_barrier();
	mailbox_open(sessions.mailbox, 0);
	return live_again();
}

static struct session *
step(struct session *session)
{
	switch (roll(1000) < 3 ? 9 : roll(8)) {
	case 0:
		commit_one();
		break;
	case 1:
	case 2:
		open_mail(session);
		break;
	case 3:
	case 4:
		read_on(session);
		break;
	case 5:
		send_one(session);
		break;
	case 6:
		end_one(session);
		break;
	case 7:
		return roll(20) == 0 ? come_back(session) : session;
	default:
		return crash(session);
	}
	return session;
}

/*
 * Whatever comes when, and however often the broker dies: each message once,
 * in order, again only when marked; the floor never above what is not over.
 */
START_TEST(gives_each_message_once_and_in_order_over_many_lives)
{
	struct session *session;

	memset(&world, 0, sizeof(world));
	dice = (uint32_t)_i + 1;
	session = live_again();
	for (unsigned turn = 0; turn < 10000; turn++)
		session = step(session);
	if (session->client == NULL)
		come_back(session);
	for (unsigned turn = 0; turn < 100000 && world.over_count < world.count;
	     turn++) {
		open_mail(session);
		read_on(session);
		send_one(session);
		end_one(session);
	}
	ck_assert_uint_eq(world.over_count, world.count);
	ck_assert_uint_eq(world.count, MOST);
	ck_assert_uint_eq(session_queue_count(session), 0);
	ck_assert_uint_eq(stats_read(stats, COUNT_queued), 0);
	session->client = NULL;
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("session_queue");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, keeps_a_window_and_leaves_the_rest_in_the_journal);
	tcase_add_test(tc, keeps_nothing_while_the_client_is_away);
	tcase_add_test(
	    tc, takes_nothing_more_of_a_read_when_the_client_has_gone);
	tcase_add_test(
	    tc, leaves_out_what_is_beyond_the_limits_and_says_it_is_over);
	tcase_add_test(tc, drops_the_oldest_in_the_journal_when_they_are_read);
	tcase_add_test(tc, keeps_what_was_read_beyond_what_is_to_be_dropped);
	tcase_add_test(tc, has_the_bytes_of_a_queue_within_their_limit);
	tcase_add_test(tc, reads_no_more_bytes_than_the_window_has_room_for);
	tcase_add_test(tc, does_not_send_later_what_it_left_out);
	tcase_add_test(tc, counts_those_that_publishers_left_out);
	tcase_add_test(tc, says_how_far_all_is_over);
	tcase_add_test(tc, marks_what_may_have_been_sent_in_a_former_life);
	tcase_add_test(tc, does_not_send_again_what_the_client_has);
	tcase_add_test(tc, has_no_two_in_flight_under_one_identifier);
	tcase_add_loop_test(
	    tc, gives_each_message_once_and_in_order_over_many_lives, 0, 6);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
