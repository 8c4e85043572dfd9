/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A journal that is made by hand, and what the broker is after it.  The walk
 * that a checkpoint takes writes the same again: what is recovered from that
 * has to be the same broker.
 */

#include "broker/recover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/auth_accounts.h"
#include "broker/auth_key.h"
#include "broker/checkpoint.h"
#include "broker/retain.h"
#include "broker/route.h"
#include "broker/session_walk.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "tests/unit/store_sim.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define WORKERS 3u

static char state_dir[64];
static char anna[] = "anna", secret[] = "secret", cloud[] = "cloud";
static struct conf_account accounts[1];
static struct conf_bridge bridges[1];
static struct conf conf;
static struct broker broker;
static struct store_sim *sim;
static struct store *store; /* while the journal is written */

/* ---- a broker without threads -------------------------------------------- */

static void
configure(void)
{
	snprintf(
	    state_dir, sizeof(state_dir), "/tmp/weir-recover-%d", getpid());
	accounts[0] = (struct conf_account){ .name = anna, .password = secret };
	bridges[0] = (struct conf_bridge){ .name = cloud };
	conf = (struct conf){
		.state_dir = state_dir,
		.accounts = accounts,
		.account_count = 1,
		.bridges = bridges,
		.bridge_count = 1,
		.max_sessions = 2,
		.max_queued_messages = 1000,
		.max_queued_bytes = 1000000,
	};
}

static void
worker_ended(void *context, struct worker *worker)
{
	(void)context;
	(void)worker;
}

static void
make_broker(void)
{
	static struct worker *workers[WORKERS];

	broker = (struct broker){
		.conf = &conf,
		.workers = workers,
		.worker_count = WORKERS,
		.client_seed = 7,
	};
	atomic_init(&broker.next_cursor, 1);
	broker.auth = auth_new(&conf);
	broker.bridges = bridge_table_new(&conf);
	broker.subscriptions = subscription_tree_new();
	broker.retained = retained_new(100, 1000000);
	ck_assert_int_eq(stats_create("test", counter_rows, COUNT_ROWS, WORKERS,
			     &broker.stats),
	    0);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(
		    worker_new(&broker, i, worker_ended, NULL, &workers[i]),
		    EXIT_OK);
}

static void
free_broker(void)
{
	struct message_pools *pools[WORKERS];
	struct router *routers[WORKERS];

	for (unsigned i = 0; i < WORKERS; i++)
		worker_end_sessions(broker.workers[i]);
	urcu_memb_barrier();
	for (unsigned i = 0; i < WORKERS; i++) {
		mailbox_open(broker.workers[i]->mailbox, 0);
		pools[i] = broker.workers[i]->messages;
		routers[i] = broker.workers[i]->router;
		worker_free(broker.workers[i]);
	}
	retained_free(broker.retained);
	for (unsigned i = 0; i < WORKERS; i++) {
		router_free(routers[i]);
		message_pools_free(pools[i]);
	}
	store_close(broker.store);
	checkpoint_desk_free(broker.checkpoints);
	recovered_free(broker.recovered);
	subscription_tree_free(broker.subscriptions);
	bridge_table_free(broker.bridges);
	auth_free(broker.auth);
	stats_free(broker.stats);
}

/* ---- the journal ----------------------------------------------------------
 */

static int
no_state(void *context, uint8_t kind, uint64_t sequence, struct slice body)
{
	(void)context;
	(void)kind;
	(void)sequence;
	(void)body;
	return 0;
}

static int
no_message(
    void *context, uint64_t sequence, const struct store_message *message)
{
	(void)context;
	(void)sequence;
	(void)message;
	return 0;
}

static int
no_done(void *context, const struct store_done *done)
{
	(void)context;
	(void)done;
	return 0;
}

static int
no_cursor(void *context, uint64_t cursor)
{
	(void)context;
	(void)cursor;
	return 0;
}

static void
no_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	(void)done;
	(void)total;
}

static void
no_damage(void *context, const struct store_damage *damage)
{
	(void)context;
	ck_abort_msg("damaged: %s", damage->what);
}

static struct store_spec
spec_of_disk(void)
{
	return (struct store_spec){
		.io = store_sim_io(sim),
		.segment_bytes = 256u << 10,
		.max_bytes = 64u << 20,
		.is_synced = true,
	};
}

static void
open_journal(void)
{
	static const struct store_sink sink = {
		.state = no_state,
		.message = no_message,
		.done = no_done,
		.opened = no_cursor,
		.closed = no_cursor,
		.progress = no_progress,
		.damaged = no_damage,
	};
	const struct store_spec spec = spec_of_disk();

	ck_assert_int_eq(store_open(&spec, &sink, &store), 0);
}

static void
append(enum store_kind kind, const void *body, size_t length)
{
	const struct slice slice = slice_of(body, length);
	uint64_t sequence;
	int err;

	err = store_append(store, (uint8_t)kind, slice, &sequence);
	if (err == -EAGAIN) {
		/* The batch is full. */
		ck_assert_int_eq(store_commit(store, true), 0);
		err = store_append(store, (uint8_t)kind, slice, &sequence);
	}
	ck_assert_int_eq(err, 0);
}

static void
append_open(uint64_t cursor)
{
	int err = store_append_open(store, cursor);

	if (err == -EAGAIN) {
		ck_assert_int_eq(store_commit(store, true), 0);
		err = store_append_open(store, cursor);
	}
	ck_assert_int_eq(err, 0);
}

/* The power fails behind all this. */
static void
cut(void)
{
	ck_assert_int_eq(store_commit(store, true), 0);
	store_close(store);
	store = NULL;
	store_sim_cut(sim, STORE_SIM_LOSE_ALL);
}

static int
recover(void)
{
	const struct store_spec spec = spec_of_disk();

	make_broker();
	return recover_broker(&broker, &spec);
}

static void
set_up(void)
{
	rcu_thread_start();
	log_set_level(LOG_LEVEL_ERROR);
	configure();
	sim = store_sim_new(1);
	open_journal();
}

static void
tear_down(void)
{
	char path[128];

	free_broker();
	store_sim_free(sim);
	snprintf(path, sizeof(path), "%s/" AUTH_KEY_FILE, state_dir);
	unlink(path);
	rmdir(state_dir);
	rcu_thread_end();
}

/* ---- records ---------------------------------------------------------------
 */

static void
put_session(const struct store_session *session)
{
	uint8_t bytes[512];

	store_session_write(session, bytes);
	append(STORE_SESSION, bytes, store_session_size(session));
}

static struct store_session
session_record(uint64_t cursor, const char *id)
{
	return (struct store_session){
		.cursor = cursor,
		.client_id = slice_of_string(id),
		.expiry_ns = 3600 * SECOND,
	};
}

static void
open_session(uint64_t cursor, const char *id)
{
	const struct store_session record = session_record(cursor, id);

	append_open(cursor);
	put_session(&record);
}

static void
put_leave(uint64_t cursor, uint64_t left_ns, bool keeps_will)
{
	const struct store_leave leave = { cursor, left_ns, keeps_will };
	uint8_t bytes[STORE_SMALL_MAX];

	append(STORE_LEAVE, bytes, store_leave_write(&leave, bytes));
}

static void
put_subscribe(enum store_kind kind, uint64_t cursor, const char *filter)
{
	const struct store_subscribe record = {
		.cursor = cursor,
		.qos = 1,
		.no_local = true,
		.identifier = 77,
		.filter = slice_of_string(filter),
	};
	uint8_t bytes[512];

	store_subscribe_write(&record, bytes);
	append(kind, bytes, store_subscribe_size(&record));
}

static void
put_packet(enum store_kind kind, uint64_t cursor, uint64_t number)
{
	const struct store_packet record = {
		.cursor = cursor,
		.sequence = kind == STORE_RECEIVED ? number : 0,
		.packet_id = kind == STORE_RELEASED ? (uint16_t)number : 0,
	};
	uint8_t bytes[STORE_SMALL_MAX];

	append(kind, bytes, store_packet_write(&record, bytes));
}

static uint64_t
put_message(const struct store_message *message)
{
	uint64_t sequence;

	ck_assert_int_eq(store_append_message(store, message, &sequence), 0);
	return sequence;
}

/* To one cursor, or (0) to none. */
static struct store_message
message_to(const struct store_delivery *delivery)
{
	return (struct store_message){
		.qos = 2,
		.source = { .link = UINT32_MAX },
		.created_ns = clock_wall_ns(),
		.expires_ns = UINT64_MAX,
		.topic = slice_of_string("t"),
		.payload = slice_of_string("p"),
		.deliveries = delivery,
		.delivery_count = delivery == NULL ? 0 : 1,
	};
}

static void
put_retained(const char *topic, const char *payload, uint64_t serial)
{
	struct store_message message = message_to(NULL);

	message.retain = true;
	message.retain_serial = serial;
	message.topic = slice_of_string(topic);
	message.payload = slice_of_string(payload);
	put_message(&message);
}

/* ---- what is found ----------------------------------------------------------
 */

static struct session *
find(const char *id)
{
	const struct slice slice = slice_of_string(id);
	struct worker *worker =
	    broker.workers[worker_of_client(&broker, slice)];

	return session_find(&worker->sessions, slice);
}

static size_t
session_count(void)
{
	return (size_t)stats_read(broker.stats, COUNT_sessions);
}

static struct subscription_matches matches;

static size_t
match(const char *topic)
{
	matches.count = 0;
	rcu_enter();
	ck_assert_int_eq(subscription_tree_match(broker.subscriptions,
			     slice_of_string(topic), &matches),
	    0);
	rcu_leave();
	return matches.count;
}

static size_t
waiting_wills(void)
{
	size_t count = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		count += broker.workers[i]->waiting_wills.count;
	return count;
}

/* "" if the topic has nothing. */
static const char *
retained(const char *topic)
{
	static char payload[64];
	struct retained_cursor cursor = { 0 };
	struct message *message;

	payload[0] = '\0';
	if (retained_find(broker.retained, slice_of_string(topic), &cursor,
		&message, 1, clock_now_ns()) == 1) {
		snprintf(payload, sizeof(payload), "%.*s",
		    (int)message->payload_length,
		    (const char *)message_payload(message).data);
		message_put(message);
	}
	retained_cursor_fini(&cursor);
	return payload;
}

/* ---- the tests
 * --------------------------------------------------------------- */

START_TEST(begins_with_nothing)
{
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 0);
	ck_assert_uint_ge(atomic_load(&broker.next_cursor), 1);
	ck_assert(!broker.recovered->is_changed);
}
END_TEST

START_TEST(has_open_sessions_and_no_others)
{
	struct store_session record;

	open_session(10, "a");
	open_session(11, "b");
	record = session_record(11, "b");
	record.expiry_ns = UINT64_MAX;
	record.account = slice_of_string(anna);
	put_session(&record);
	open_session(12, "gone");
	put_subscribe(STORE_SUBSCRIBE, 12, "x");
	ck_assert_int_eq(store_append_close(store, 12), 0);
	open_session(13, "gone");
	/* More than max_sessions: what was kept is kept. */
	open_session(14, "c");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 4);
	ck_assert_uint_eq(find("a")->cursor, 10);
	ck_assert_uint_eq(find("a")->identity, AUTH_ANONYMOUS);
	ck_assert_uint_eq(find("gone")->cursor, 13);
	ck_assert_uint_eq(find("b")->expiry_ns, SESSION_NEVER);
	ck_assert_str_eq(
	    auth_identity_name(broker.auth, find("b")->identity), anna);
	ck_assert_uint_eq(match("x"), 0);
	ck_assert_uint_eq(atomic_load(&broker.kept_sessions), 4);
	ck_assert_uint_eq(atomic_load(&broker.next_cursor), 15);
	ck_assert(broker.recovered->is_changed);
}
END_TEST

START_TEST(counts_expiry_from_when_a_session_was_left)
{
	const uint64_t now_ns = clock_now_ns(), wall_ns = clock_wall_ns();
	struct store_session record = session_record(3, "over");

	open_session(1, "connected");
	open_session(2, "left");
	put_leave(2, wall_ns - 3000 * SECOND, false);
	open_session(3, "over");
	record.left_ns = wall_ns - 7200 * SECOND;
	put_session(&record);
	open_session(4, "never");
	record = session_record(4, "never");
	record.expiry_ns = UINT64_MAX;
	put_session(&record);
	/* Left in the future: its clock was set back. */
	open_session(5, "future");
	put_leave(5, wall_ns + 5000 * SECOND, false);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_ge(
	    find("connected")->expires_at_ns, now_ns + 3600 * SECOND);
	ck_assert_uint_ge(find("connected")->left_ns, wall_ns);
	ck_assert_uint_ge(find("left")->expires_at_ns, now_ns + 600 * SECOND);
	ck_assert_uint_lt(find("left")->expires_at_ns, now_ns + 660 * SECOND);
	ck_assert_uint_eq(find("left")->left_ns, wall_ns - 3000 * SECOND);
	ck_assert_uint_eq(find("never")->expires_at_ns, SESSION_NEVER);
	ck_assert(!alarm_is_set(&find("never")->alarm));
	ck_assert_uint_lt(
	    find("future")->expires_at_ns, now_ns + 3660 * SECOND);
	/* It is due at once: the first turn ends it, and says so. */
	ck_assert_uint_le(find("over")->alarm.when_ns, clock_now_ns());
	ck_assert(alarm_is_set(&find("over")->alarm));
}
END_TEST

START_TEST(has_subscriptions_as_they_were_last)
{
	open_session(1, "a");
	open_session(2, "b");
	put_subscribe(STORE_SUBSCRIBE, 1, "t/+");
	put_subscribe(STORE_SUBSCRIBE, 2, "t/#");
	put_subscribe(STORE_SUBSCRIBE, 2, "gone");
	put_subscribe(STORE_UNSUBSCRIBE, 2, "gone");
	put_subscribe(STORE_UNSUBSCRIBE, 2, "never/was");
	put_subscribe(STORE_SUBSCRIBE, 1, "$share/g/s");
	put_subscribe(STORE_SUBSCRIBE, 99, "of/nobody");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(match("t/1"), 2);
	ck_assert_uint_eq(matches.list[0].options.qos, 1);
	ck_assert(matches.list[0].options.no_local);
	ck_assert_uint_eq(matches.list[0].options.identifier, 77);
	ck_assert_uint_eq(match("gone"), 0);
	ck_assert_uint_eq(match("s"), 1);
	ck_assert(matches.list[0].shared);
	ck_assert_uint_eq(match("of/nobody"), 0);
}
END_TEST

START_TEST(retains_by_serial_not_by_order)
{
	struct store_message expired = message_to(NULL);

	put_retained("a", "new", 5);
	put_retained("a", "old", 3);
	put_retained("cleared", "", 7);
	put_retained("cleared", "old", 6);
	put_retained("b", "1", 1);
	put_retained("b", "2", 8);
	expired.retain = true;
	expired.retain_serial = 9;
	expired.expires_ns = clock_wall_ns() - SECOND;
	expired.topic = slice_of_string("expired");
	put_message(&expired);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_str_eq(retained("a"), "new");
	ck_assert_str_eq(retained("cleared"), "");
	ck_assert_str_eq(retained("b"), "2");
	ck_assert_str_eq(retained("expired"), "");
	ck_assert_uint_eq(retained_serial(broker.retained), 9);
}
END_TEST

static void
put_will(uint64_t cursor, const char *id, uint64_t delay_ns)
{
	struct store_session record = session_record(cursor, id);

	record.has_will = true;
	record.will_delay_ns = delay_ns;
	record.will_expiry_ns = UINT64_MAX;
	record.will_topic = slice_of_string("w");
	record.will_payload = slice_of_string("p");
	put_session(&record);
}

START_TEST(publishes_wills_that_are_due)
{
	const uint64_t wall_ns = clock_wall_ns(), now_ns = clock_now_ns();

	put_will(1, "transient", 0);
	put_will(2, "transient that left", 0);
	put_leave(2, wall_ns, false);
	open_session(3, "connected");
	put_will(3, "connected", 0);
	open_session(4, "delayed");
	put_will(4, "delayed", 100 * SECOND);
	put_leave(4, wall_ns - 40 * SECOND, true);
	open_session(5, "said goodbye");
	put_will(5, "said goodbye", 0);
	put_leave(5, wall_ns, false);
	/* Ended, but its will had still to be published. */
	open_session(6, "ended");
	put_will(6, "ended", 10 * SECOND);
	put_leave(6, wall_ns, true);
	ck_assert_int_eq(store_append_close(store, 6), 0);
	/* Back: the will of the connection before is no more. */
	open_session(7, "back");
	put_will(7, "back", 1000 * SECOND);
	put_leave(7, wall_ns, true);
	open_session(7, "back");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(waiting_wills(), 3);
	ck_assert_uint_eq(session_count(), 4);
	ck_assert_ptr_null(find("connected")->will);
	ck_assert_ptr_nonnull(find("delayed")->will);
	ck_assert_uint_ge(find("delayed")->will_at_ns, now_ns + 59 * SECOND);
	ck_assert_uint_lt(find("delayed")->will_at_ns, now_ns + 90 * SECOND);
	ck_assert_uint_eq(
	    find("delayed")->alarm.when_ns, find("delayed")->will_at_ns);
	ck_assert_uint_eq(will_cursor(find("delayed")->will), 4);
	ck_assert_ptr_null(find("said goodbye")->will);
	ck_assert_ptr_null(find("back")->will);
}
END_TEST

START_TEST(knows_unfinished_packets_of_both_sides)
{
	const struct store_delivery delivery = { .cursor = 2, .qos = 2 };
	struct store_message message = message_to(&delivery);
	struct store_done done = { .cursor = 2 };
	uint64_t sequences[4];
	struct session *session;

	open_session(1, "publisher");
	open_session(2, "subscriber");
	message.publisher = 1;
	for (unsigned i = 0; i < 4; i++) {
		message.packet_id = (uint16_t)(100 + i);
		sequences[i] = put_message(&message);
	}
	put_packet(STORE_RELEASED, 1, 101);
	put_packet(STORE_RECEIVED, 2, sequences[2]);
	put_packet(STORE_RECEIVED, 2, sequences[0]);
	put_packet(STORE_RECEIVED, 2, sequences[1]);
	done.sequence = sequences[1];
	ck_assert_int_eq(store_append_done(store, &done, 1), 0);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	session = find("publisher");
	ck_assert_uint_eq(session->received.count, 3);
	ck_assert(packet_ids_has(&session->received, 100));
	ck_assert(!packet_ids_has(&session->received, 101));
	session = find("subscriber");
	ck_assert_uint_eq(session->outbox.in_flight.count, 2);
	ck_assert_uint_eq(
	    session->outbox.in_flight.first->sequence, sequences[0]);
	ck_assert_uint_eq(
	    session->outbox.in_flight.last->sequence, sequences[2]);
	ck_assert_uint_eq(
	    session->outbox.in_flight.last->stage, OUTGOING_RECEIVED);
	/* One of the four is over, two are in flight. */
	ck_assert_uint_eq(atomic_load(&session->queue.count), 1);
}
END_TEST

static void
put_bridge(uint64_t cursor, const char *name)
{
	const struct store_bridge record = { cursor, slice_of_string(name) };
	uint8_t bytes[128];

	store_bridge_write(&record, bytes);
	append(STORE_BRIDGE, bytes, store_bridge_size(&record));
	append_open(cursor);
}

START_TEST(gives_bridges_and_lanes_to_links)
{
	const struct store_delivery delivery = { .cursor = 20, .qos = 1 };
	struct store_message message = message_to(&delivery);
	uint64_t last;

	put_bridge(20, "cloud");
	put_bridge(21, "not configured");
	message.source = (struct store_source){ sources_name(3, 5), 1, 900 };
	put_message(&message);
	message.source.sequence = 901;
	last = put_message(&message);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(broker.recovered->bridges[0].cursor, 20);
	ck_assert_uint_eq(broker.recovered->bridges[0].queued, 2);
	ck_assert_uint_ge(broker.recovered->bridges[0].last, last);
	ck_assert_uint_lt(broker.recovered->bridges[0].floor, last - 1);
	ck_assert(sources_has(
	    &broker.recovered->sources, sources_name(3, 5), 1, 901));
	ck_assert(!sources_has(
	    &broker.recovered->sources, sources_name(3, 5), 1, 902));
	/* The other one is nobody's, and kept nevertheless. */
	ck_assert_uint_eq(broker.recovered->closing_count, 0);
}
END_TEST

START_TEST(closes_what_nobody_has)
{
	struct store_session record = session_record(31, "of nobody");

	append_open(30);
	open_session(31, "of nobody");
	record.account = slice_of_string("fired");
	put_session(&record);
	open_session(32, "kept");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 1);
	ck_assert_ptr_null(find("of nobody"));
	ck_assert_uint_eq(broker.recovered->closing_count, 2);
	ck_assert_uint_eq(
	    broker.recovered->closing[0] + broker.recovered->closing[1],
	    30 + 31);
}
END_TEST

START_TEST(passes_over_a_body_that_makes_no_sense)
{
	open_session(1, "a");
	append(STORE_SUBSCRIBE, "?", 1);
	append(STORE_SESSION, "", 0);
	open_session(2, "b");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 2);
}
END_TEST

/* The store says so, as damage. */
START_TEST(passes_over_a_record_of_a_newer_kind)
{
	open_session(1, "a");
	append((enum store_kind)200, "new", 3);
	open_session(2, "b");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 2);
}
END_TEST

/* ---- and back --------------------------------------------------------------
 */

static int
put_walked(void *context, enum store_kind kind, struct slice body)
{
	unsigned *count = context;

	++*count;
	append(kind, body.data, body.len);
	return 0;
}

/* Written by the walk to another disk, with what changes in the midst of it. */
static unsigned
rewrite(void (*meanwhile)(unsigned step))
{
	struct session_walk walk;
	unsigned records = 0, steps = 0;

	store_sim_free(sim);
	sim = store_sim_new(2);
	open_journal();
	for (unsigned i = 0; i < WORKERS; i++) {
		memset(&walk, 0, sizeof(walk));
		while (!walk.is_over) {
			ck_assert_int_eq(session_walk_step(broker.workers[i],
					     &walk, put_walked, &records),
			    0);
			if (meanwhile != NULL)
				meanwhile(steps);
			steps++;
		}
	}
	return steps;
}

/* Cursors are the store's to keep: the checkpoint has them by itself. */
static void
reopen_cursors(uint64_t first, uint64_t last)
{
	for (uint64_t cursor = first; cursor <= last; cursor++)
		append_open(cursor);
}

static void
recover_rewritten(void)
{
	struct store *kept = store;

	store = NULL;
	free_broker();
	store = kept;
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
}

START_TEST(walks_all_that_it_recovered)
{
	const uint64_t wall_ns = clock_wall_ns();
	struct store_session record;
	struct store_message message = message_to(NULL);

	open_session(1, "a");
	put_subscribe(STORE_SUBSCRIBE, 1, "t/+");
	put_subscribe(STORE_SUBSCRIBE, 1, "$share/g/s/#");
	message.publisher = 1;
	for (unsigned i = 1; i <= 600; i++) {
		message.packet_id = (uint16_t)i;
		put_message(&message);
	}
	record = session_record(1, "a");
	record.account = slice_of_string(anna);
	put_session(&record);
	open_session(2, "b");
	put_will(2, "b", 500 * SECOND);
	put_leave(2, wall_ns - 9 * SECOND, true);
	put_will(3, "transient", 0);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(waiting_wills(), 1);

	rewrite(NULL);
	reopen_cursors(1, 2);
	recover_rewritten();
	ck_assert_uint_eq(session_count(), 2);
	ck_assert_str_eq(
	    auth_identity_name(broker.auth, find("a")->identity), anna);
	ck_assert_uint_eq(find("a")->received.count, 600);
	ck_assert(packet_ids_has(&find("a")->received, 600));
	ck_assert_uint_eq(match("t/1"), 1);
	ck_assert_uint_eq(match("s"), 1);
	ck_assert_uint_eq(find("b")->left_ns, wall_ns - 9 * SECOND);
	ck_assert_ptr_nonnull(find("b")->will);
	ck_assert_uint_eq(waiting_wills(), 1);
}
END_TEST

#define MANY 2000u

/* Sessions come, so that tables grow; subscriptions of the walked come and go.
 */
static void
stir(unsigned step)
{
	const struct subscription_options options = { .qos = 1 };
	struct session *wide = find("wide");
	char text[32];
	bool existed;

	for (unsigned i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "new-%u-%u", step, i);
		session_restore(&broker.workers[i % WORKERS]->sessions,
		    slice_of_string(text), 1000000 + step * 60 + i);
	}
	snprintf(text, sizeof(text), "fresh/%u", step);
	subscription_tree_add(broker.subscriptions, slice_of_string(text),
	    &wide->subscriber, &options, &existed);
	snprintf(text, sizeof(text), "wide/%u",
	    CHECKPOINT_TURN_SUBSCRIPTIONS * (step % 3) + 1);
	subscription_tree_remove(
	    broker.subscriptions, slice_of_string(text), &wide->subscriber);
	subscription_tree_add(broker.subscriptions, slice_of_string(text),
	    &wide->subscriber, &options, &existed);
}

START_TEST(walks_in_turns_whatever_comes_and_goes)
{
	const unsigned wide = CHECKPOINT_TURN_SUBSCRIPTIONS * 3 + 5;
	char text[32];
	unsigned steps, found = 0;

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "many-%u", i);
		open_session(i + 1, text);
		put_subscribe(STORE_SUBSCRIBE, i + 1, text);
	}
	open_session(MANY + 1, "wide");
	for (unsigned i = 0; i < wide; i++) {
		snprintf(text, sizeof(text), "wide/%u", i);
		put_subscribe(STORE_SUBSCRIBE, MANY + 1, text);
	}
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);

	steps = rewrite(stir);
	ck_assert_uint_ge(steps, MANY / CHECKPOINT_TURN_SESSIONS);
	reopen_cursors(1, MANY + 1);
	recover_rewritten();
	ck_assert_uint_eq(session_count(), MANY + 1);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "many-%u", i);
		ck_assert_ptr_nonnull(find(text));
		ck_assert_uint_eq(match(text), 1);
	}
	for (unsigned i = 0; i < wide; i++) {
		snprintf(text, sizeof(text), "wide/%u", i);
		found += match(text) == 1;
	}
	ck_assert_uint_eq(found, wide);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("recover");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, begins_with_nothing);
	tcase_add_test(tc, has_open_sessions_and_no_others);
	tcase_add_test(tc, counts_expiry_from_when_a_session_was_left);
	tcase_add_test(tc, has_subscriptions_as_they_were_last);
	tcase_add_test(tc, retains_by_serial_not_by_order);
	tcase_add_test(tc, publishes_wills_that_are_due);
	tcase_add_test(tc, knows_unfinished_packets_of_both_sides);
	tcase_add_test(tc, gives_bridges_and_lanes_to_links);
	tcase_add_test(tc, closes_what_nobody_has);
	tcase_add_test(tc, passes_over_a_body_that_makes_no_sense);
	tcase_add_test(tc, passes_over_a_record_of_a_newer_kind);
	tcase_add_test(tc, walks_all_that_it_recovered);
	tcase_add_test(tc, walks_in_turns_whatever_comes_and_goes);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
