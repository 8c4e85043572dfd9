/* SPDX-License-Identifier: Apache-2.0 */

/*
 * recover_box - a broker without threads, and a journal on a disk in memory
 * that is made by hand.  Included by one test program each.
 *
 *	set_up()	the journal is open
 *	put_...()	records
 *	cut()		the power fails
 *	recover()	the broker is as the journal left it
 *	tear_down()
 */

#ifndef WEIR_TESTS_UNIT_RECOVER_BOX_H
#define WEIR_TESTS_UNIT_RECOVER_BOX_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/auth_initial.h"
#include "broker/auth_key.h"
#include "broker/checkpoint.h"
#include "broker/recover.h"
#include "broker/retain.h"
#include "broker/route.h"
#include "broker/session_walk.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "tests/unit/store_sim.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#ifndef WORKERS
#define WORKERS 3u
#endif

static char state_dir[64];
static char anna[] = "anna", secret[] = "secret", cloud[] = "cloud";
static struct conf_account accounts[1];
static struct conf_bridge bridges[1];
static struct conf conf;
static struct broker broker;
static struct store_sim *sim;
static struct store *store; /* while the journal is written */

/* ---- a broker without threads -------------------------------------------- */

static inline void
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
		.max_connect_size = 65536,
		.output_buffer = 262144,
	};
}

static inline void
worker_ended(void *context, struct worker *worker)
{
	(void)context;
	(void)worker;
}

static inline void
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

static inline void
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

static inline void
no_damage(void *context, const struct store_damage *damage)
{
	(void)context;
	ck_abort_msg("damaged: %s", damage->what);
}

static inline struct store_spec
spec_of_disk(void)
{
	return (struct store_spec){
		.io = store_sim_io(sim),
		.segment_bytes = 256u << 10,
		.max_bytes = 64u << 20,
		.is_synced = true,
	};
}

static inline void
open_journal(void)
{
	static const struct store_sink sink = { .damaged = no_damage };
	const struct store_spec spec = spec_of_disk();

	ck_assert_int_eq(store_open(&spec, &sink, &store), 0);
}

static inline void
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

static inline void
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
static inline void
cut(void)
{
	ck_assert_int_eq(store_commit(store, true), 0);
	store_close(store);
	store = NULL;
	store_sim_cut(sim, STORE_SIM_LOSE_ALL);
}

static inline int
recover(void)
{
	const struct store_spec spec = spec_of_disk();

	make_broker();
	return recover_broker(&broker, &spec);
}

static inline void
set_up(void)
{
	rcu_thread_start();
	log_set_level(LOG_LEVEL_ERROR);
	configure();
	sim = store_sim_new(1);
	open_journal();
}

static inline void
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

static inline void
put_session(const struct store_session *session)
{
	uint8_t bytes[512];

	store_session_write(session, bytes);
	append(STORE_SESSION, bytes, store_session_size(session));
}

static inline struct store_session
session_record(uint64_t cursor, const char *id)
{
	return (struct store_session){
		.cursor = cursor,
		.client_id = slice_of_string(id),
		.expiry_ns = 3600 * SECOND,
	};
}

static inline void
open_session(uint64_t cursor, const char *id)
{
	const struct store_session record = session_record(cursor, id);

	append_open(cursor);
	put_session(&record);
}

static inline void
put_leave(uint64_t cursor, uint64_t left_ns, bool keeps_will)
{
	const struct store_leave leave = { cursor, left_ns, keeps_will };
	uint8_t bytes[STORE_SMALL_MAX];

	append(STORE_LEAVE, bytes, store_leave_write(&leave, bytes));
}

static inline void
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

static inline void
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

static inline uint64_t
put_message(const struct store_message *message)
{
	uint64_t sequence;

	ck_assert_int_eq(store_append_message(store, message, &sequence), 0);
	return sequence;
}

/* To one cursor, or (0) to none. */
static inline struct store_message
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

static inline void
put_retained(const char *topic, const char *payload, uint64_t serial)
{
	struct store_message message = message_to(NULL);

	message.retain = true;
	message.retain_serial = serial;
	message.topic = slice_of_string(topic);
	message.payload = slice_of_string(payload);
	put_message(&message);
}

static inline void
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

/* ---- what is found ----------------------------------------------------------
 */

static inline struct session *
find(const char *id)
{
	const struct slice slice = slice_of_string(id);
	struct worker *worker =
	    broker.workers[worker_of_client(&broker, slice)];

	return session_find(&worker->sessions, slice);
}

static inline size_t
session_count(void)
{
	return (size_t)stats_read(broker.stats, COUNT_sessions);
}

static struct subscription_matches matches;

static inline size_t
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

static inline size_t
waiting_wills(void)
{
	size_t count = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		count += broker.workers[i]->waiting_wills.count;
	return count;
}

/* "" if the topic has nothing. */
static inline const char *
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

#endif
