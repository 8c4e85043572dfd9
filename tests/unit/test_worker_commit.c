/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A worker with its clients, in turns, and a journal of paper: what was sent
 * to it lies in a list until the test says how it ended.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/bridge_port_links.h"
#include "broker/client.h"
#include "broker/commit.h"
#include "broker/retain.h"
#include "broker/route.h"
#include "broker/session_queue.h"
#include "tests/unit/unit.h"

/* ---- a journal of paper -------------------------------------------------- */

#define ITEMS 256u
#define WAYS 8u

struct commit_item {
	struct message *message; /* NULL: a record of state */
	struct commit_origin origin;
	struct commit_delivery ways[WAYS];
	unsigned way_count;
	enum store_kind kind;
	struct store_packet packet;
	uint64_t cursor;
	uint64_t ticket;
};

static struct {
	struct commit_item *items[ITEMS];
	unsigned count;
	uint64_t ticket, settled, sequence;
	enum commit_answer answer;
	enum mqtt_reason refusal;
	struct store_done dones[ITEMS];
	unsigned done_count;
	uint64_t read_cursor, read_from;
	unsigned reads;
	unsigned sent[64];           /* by kind */
	struct commit_delivery last; /* of the last message with one */
	uint64_t last_serial;
	struct commit_member member;
	bool has_no_memory;
} journal;

enum commit_answer
commit_offer(struct commit_port *port, size_t weight)
{
	(void)port;
	(void)weight;
	return journal.answer;
}

enum mqtt_reason
commit_refusal(const struct commit_port *port)
{
	(void)port;
	return journal.refusal;
}

struct commit_item *
commit_begin(struct commit_port *port, struct message *message)
{
	struct commit_item *item;

	(void)port;
	if (journal.has_no_memory)
		return NULL;
	item = calloc(1, sizeof(*item));
	item->message = message_take(message);
	return item;
}

bool
commit_add(struct commit_item *item, const struct commit_delivery *delivery)
{
	ck_assert_uint_lt(item->way_count, WAYS);
	item->ways[item->way_count] = *delivery;
	item->ways[item->way_count++].identifier_count = 0;
	return true;
}

bool
commit_add_copy(
    struct commit_item *item, const struct commit_delivery *delivery)
{
	return commit_add(item, delivery);
}

unsigned
commit_receivers(const struct commit_item *item)
{
	return item->way_count;
}

void
commit_cancel(struct commit_port *port, struct commit_item *item)
{
	(void)port;
	message_put(item->message);
	free(item);
}

static uint64_t
send_item(struct commit_item *item)
{
	ck_assert_uint_lt(journal.count, ITEMS);
	item->ticket = ++journal.ticket;
	journal.items[journal.count++] = item;
	return item->ticket;
}

uint64_t
commit_send(struct commit_port *port, struct commit_item *item,
    const struct commit_origin *origin)
{
	(void)port;
	item->origin = *origin;
	if (item->way_count != 0) {
		journal.last = item->ways[0];
		journal.last_serial = origin->retain_serial;
	}
	return send_item(item);
}

uint64_t
commit_send_state(struct commit_port *port, enum store_kind kind,
    struct slice body, bool must_sync)
{
	struct commit_item *item = calloc(1, sizeof(*item));

	(void)port;
	(void)must_sync;
	item->kind = kind;
	journal.sent[kind]++;
	if (kind == STORE_RELEASED || kind == STORE_RECEIVED)
		ck_assert_int_eq(store_packet_parse(body, &item->packet), 0);
	return send_item(item);
}

uint64_t
commit_send_cursor(
    struct commit_port *port, enum store_kind kind, uint64_t cursor)
{
	struct commit_item *item = calloc(1, sizeof(*item));

	(void)port;
	item->kind = kind;
	item->cursor = cursor;
	return send_item(item);
}

void
commit_done(struct commit_port *port, const struct store_done *done)
{
	(void)port;
	journal.dones[journal.done_count++] = *done;
}

uint64_t
commit_settled(const struct commit_port *port)
{
	(void)port;
	return journal.settled;
}

uint64_t
commit_last_ticket(const struct commit_port *port)
{
	(void)port;
	return journal.ticket;
}

int
commit_read(struct commit_port *port, uint64_t cursor, uint64_t from,
    size_t max_messages, size_t max_bytes)
{
	(void)port;
	(void)max_messages;
	(void)max_bytes;
	journal.read_cursor = cursor;
	journal.read_from = from;
	journal.reads++;
	return journal.has_no_memory ? -ENOMEM : 0;
}

void
commit_port_trim(struct commit_port *port, struct pool_trimmer *trimmer)
{
	(void)port;
	(void)trimmer;
}

void
commit_port_level(const struct commit_port *port, struct pool_level *level)
{
	(void)port;
	(void)level;
}

void
commit_flush(struct commit_port *port)
{
	(void)port;
}

static void
deliver_item(const struct commit_item *item)
{
	bool is_written = item->origin.is_written;

	for (unsigned i = 0; i < item->way_count; i++)
		is_written |= item->ways[i].is_durable;
	if (is_written)
		journal.sequence++;
	for (unsigned i = 0; i < item->way_count; i++)
		journal.member.deliver(journal.member.context, item->message,
		    is_written ? journal.sequence : 0, &item->ways[i]);
}

static void
drop_items(void)
{
	for (unsigned i = 0; i < journal.count; i++) {
		message_put(journal.items[i]->message);
		free(journal.items[i]);
	}
	journal.count = 0;
}

/* All that was sent is committed, or has failed for `reason`. */
static void
settle(enum mqtt_reason reason)
{
	const struct commit_letter letter = {
		.first_ticket = journal.settled + 1,
		.last_ticket = journal.ticket,
		.reason = reason,
	};
	const unsigned count = journal.count;
	struct commit_item *items[ITEMS];

	if (letter.last_ticket < letter.first_ticket)
		return;
	memcpy(items, journal.items, sizeof(items));
	for (unsigned i = 0; i < count && reason == MQTT_SUCCESS; i++)
		if (items[i]->message != NULL)
			deliver_item(items[i]);
	ck_assert_uint_eq(journal.count, count);
	drop_items();
	journal.settled = letter.last_ticket;
	journal.member.settled(journal.member.context, &letter);
}

/* ---- the worker ---------------------------------------------------------- */

static struct conf_listener door = { .allow_anonymous = true };
static struct conf conf;
static struct broker broker;
static struct worker *worker;
static struct worker *workers[1];
static _Atomic uint64_t full;

static void
ended(void *context, struct worker *which)
{
	(void)context;
	(void)which;
}

static void
sent_to_bridges(void *context, struct bridge_port *port)
{
	(void)context;
	(void)port;
}

static void
set_up(void)
{
	static char nowhere[] = "/proc/nonexistent";

	memset(&journal, 0, sizeof(journal));
	journal.sequence = 100;
	conf = (struct conf){
		.state_dir = nowhere,
		.workers = 1,
		.listeners = &door, /* it counts none: none is opened */
		.receive_maximum = 64,
		.max_qos = 2,
		.retain_available = true,
		.shared_subscriptions = true,
		.max_inflight = 4,
		.max_queued_messages = 1000,
		.max_queued_bytes = 1000000,
		.max_connect_size = 65536,
		.output_buffer = 262144,
		.max_sessions = 100,
		.session_expiry_max_ns = SESSION_NEVER,
		.connect_timeout_ns = UINT64_C(60000000000),
		.max_keepalive = UINT16_MAX,
		.read_ahead = 65536,
		.worker_window = 65536,
	};
	broker = (struct broker){
		.conf = &conf,
		.workers = workers,
		.worker_count = 1,
		.max_packet_size = 65536,
		.next_cursor = 1,
	};
	rcu_thread_start();
	ck_assert_int_eq(
	    stats_create("test", counter_rows, COUNT_ROWS, 2, &broker.stats),
	    0);
	broker.auth = auth_new(&conf);
	broker.bridges = bridge_table_new(&conf);
	broker.subscriptions = subscription_tree_new();
	broker.retained = retained_new(100, 100000);
	broker.links_mailbox = mailbox_new(&broker);
	ck_assert_int_eq(worker_new(&broker, 0, ended, NULL, &worker), 0);
	workers[0] = worker;
	worker->port = bridge_port_new(&(struct bridge_port_spec){
	    .window_bytes = 65536,
	    .full = &full,
	    .links_mailbox = broker.links_mailbox,
	    .sent = sent_to_bridges,
	    .worker_mailbox = worker->mailbox,
	    .moved = worker_bridges_moved,
	    .moved_context = worker,
	});
	worker_use_commit(worker, (struct commit_port *)&journal);
	worker_commit_member(worker, &journal.member);
}

static void
tear_down(void)
{
	struct message_pools *messages = worker->messages;
	struct router *router = worker->router;

	drop_items();
	route_flush(&broker, worker);
	worker_end_sessions(worker);
	urcu_memb_barrier();
	mailbox_open(worker->mailbox, 0);
	bridge_port_free(worker->port);
	worker_free(worker);
	retained_free(broker.retained);
	router_free(router);
	message_pools_free(messages);
	subscription_tree_free(broker.subscriptions);
	bridge_table_free(broker.bridges);
	auth_free(broker.auth);
	mailbox_free(broker.links_mailbox);
	stats_free(broker.stats);
	rcu_thread_end();
}

static uint64_t
counted(enum counter counter)
{
	return stats_read(broker.stats, counter);
}

/* ---- clients ------------------------------------------------------------- */

struct peer {
	int fd;
	uint8_t bytes[4096]; /* that came */
	size_t length;
};

static void
turn(void)
{
	for (int i = 0; i < 3; i++) {
		loop_again(worker->loop);
		ck_assert_int_eq(loop_turn(worker->loop, false), 0);
	}
}

static void
say(const struct peer *peer, const void *bytes, size_t length)
{
	ck_assert_int_eq(write(peer->fd, bytes, length), (ssize_t)length);
	turn();
}

static void
hear(struct peer *peer)
{
	ssize_t n;

	turn();
	n = read(peer->fd, peer->bytes + peer->length,
	    sizeof(peer->bytes) - peer->length);
	if (n > 0)
		peer->length += (size_t)n;
}

/* The next thing that the client hears is this; else fail. */
static void
hears(struct peer *peer, const void *bytes, size_t length)
{
	hear(peer);
	ck_assert_uint_ge(peer->length, length);
	ck_assert_mem_eq(peer->bytes, bytes, length);
	peer->length -= length;
	memmove(peer->bytes, peer->bytes + length, peer->length);
}

#define SAY(peer, ...)                                                         \
	say(peer, (uint8_t[]){ __VA_ARGS__ },                                  \
	    sizeof((uint8_t[]){ __VA_ARGS__ }))
#define HEARS(peer, ...)                                                       \
	hears(peer, (uint8_t[]){ __VA_ARGS__ },                                \
	    sizeof((uint8_t[]){ __VA_ARGS__ }))

static void
hears_nothing(struct peer *peer)
{
	hear(peer);
	ck_assert_uint_eq(peer->length, 0);
}

static bool
is_closed(struct peer *peer)
{
	uint8_t byte;

	turn();
	return read(peer->fd, &byte, 1) == 0;
}

static struct peer
connecting(uint8_t name, uint8_t version, bool is_durable)
{
	const uint8_t v3[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4,
		is_durable ? 0 : 2, 0, 0, 0, 1, name };
	/* Session Expiry Interval; no Request Problem Information. */
	const uint8_t v5[] = { 0x10, 21, 0, 4, 'M', 'Q', 'T', 'T', 5, 0, 0, 0,
		7, 0x11, 0, 0, is_durable, 0, 0x17, 0, 0, 1, name };
	struct peer peer = { 0 };
	int fds[2];

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	peer.fd = fds[0];
	client_new(worker,
	    &(struct client_origin){
		.parts.fd = fds[1], .accepted_ns = worker_now_ns(worker) });
	if (version == 5)
		say(&peer, v5, sizeof(v5));
	else
		say(&peer, v3, sizeof(v3));
	return peer;
}

static struct peer
connected(uint8_t name, uint8_t version, bool is_durable)
{
	struct peer peer = connecting(name, version, is_durable);

	settle(MQTT_SUCCESS);
	hear(&peer);
	ck_assert_uint_ge(peer.length, 4);
	ck_assert_uint_eq(peer.bytes[0], 0x20);
	ck_assert_uint_eq(peer.bytes[3], 0);
	peer.length = 0;
	return peer;
}

/* Version 3.1.1, with a subscription of "t". */
static struct peer
subscribed(uint8_t name, bool is_durable, uint8_t qos)
{
	struct peer peer = connected(name, 4, is_durable);

	SAY(&peer, 0x82, 6, 0, 1, 0, 1, 't', qos);
	settle(MQTT_SUCCESS);
	HEARS(&peer, 0x90, 3, 0, 1, qos);
	return peer;
}

static struct session *
session_of(uint8_t name)
{
	return session_find(&worker->sessions, slice_of(&name, 1));
}

static void
leave(struct peer *peer)
{
	SAY(peer, 0xe0, 0);
	close(peer->fd);
	turn();
	settle(MQTT_SUCCESS);
}

/* The packet identifier that the next message gets. */
static uint8_t
next_id(void)
{
	return (uint8_t)outbox_packet_id(journal.sequence + 1);
}

/* ---- publishing ---- */

START_TEST(acknowledges_and_delivers_what_is_committed_and_not_before)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 4, false);
	uint8_t id;

	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	ck_assert_uint_eq(journal.count, 1);
	ck_assert_uint_eq(journal.items[0]->way_count, 1);
	ck_assert(journal.items[0]->ways[0].is_durable);
	hears_nothing(&sender);
	hears_nothing(&taker);
	id = next_id();
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x40, 2, 0, 9);
	HEARS(&taker, 0x32, 6, 0, 1, 't', 0, id, 'x');
	ck_assert_uint_eq(journal.done_count, 0);
	SAY(&taker, 0x40, 2, 0, id);
	ck_assert_uint_eq(journal.done_count, 1);
	ck_assert_uint_eq(journal.dones[0].cursor, session_of('a')->cursor);
	ck_assert_uint_eq(journal.dones[0].sequence, journal.sequence);
	ck_assert_uint_eq(journal.dones[0].floor, journal.sequence);
	ck_assert_uint_eq(counted(COUNT_in_flight), 0);
	ck_assert_uint_eq(counted(COUNT_queued), 0);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

/* Its disk is not waited for: nobody needs it. */
START_TEST(goes_past_the_journal_without_a_durable_receiver)
{
	struct peer taker = subscribed('a', false, 1);
	struct peer sender = connected('b', 4, false);

	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	ck_assert_uint_eq(journal.count, 0);
	HEARS(&sender, 0x40, 2, 0, 9);
	HEARS(&taker, 0x32, 6, 0, 1, 't', 0, 1, 'x');
	close(taker.fd);
	close(sender.fd);
}
END_TEST

/* Else it would overtake what the same client sent before. */
START_TEST(keeps_the_order_of_a_client_that_has_used_the_journal)
{
	struct peer durable = subscribed('a', true, 1);
	struct peer taker = subscribed('c', false, 1);
	struct peer sender = connected('b', 4, false);

	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	leave(&durable);
	session_end(session_of('a'));
	settle(MQTT_SUCCESS);
	HEARS(&taker, 0x32, 6, 0, 1, 't', 0, 1, 'x');
	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 10, 'y');
	ck_assert_uint_eq(journal.count, 1);
	ck_assert_uint_eq(journal.items[0]->way_count, 1);
	ck_assert(!journal.items[0]->ways[0].is_durable);
	hears_nothing(&taker);
	settle(MQTT_SUCCESS);
	HEARS(&taker, 0x32, 6, 0, 1, 't', 0, 2, 'y');
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(tells_a_client_of_mqtt_5_why_its_message_was_not_kept)
{
	struct peer taker = subscribed('a', true, 2);
	struct peer sender = connected('b', 5, true);

	SAY(&sender, 0x34, 7, 0, 1, 't', 0, 9, 0, 'x');
	settle(MQTT_QUOTA_EXCEEDED);
	HEARS(&sender, 0x50, 3, 0, 9, 0x97);
	hears_nothing(&taker);
	/* It was not taken, so it is not a duplicate. */
	SAY(&sender, 0x34, 7, 0, 1, 't', 0, 9, 0, 'x');
	ck_assert_uint_eq(journal.count, 1);
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x50, 2, 0, 9);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(closes_an_older_client_whose_message_was_not_kept)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 4, true);

	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	settle(MQTT_IMPLEMENTATION_SPECIFIC_ERROR);
	ck_assert(is_closed(&sender));
	hears_nothing(&taker);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(refuses_while_the_journal_does)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 5, true);

	journal.answer = COMMIT_REFUSES;
	journal.refusal = MQTT_IMPLEMENTATION_SPECIFIC_ERROR;
	SAY(&sender, 0x32, 7, 0, 1, 't', 0, 9, 0, 'x');
	HEARS(&sender, 0x40, 3, 0, 9, 0x83);
	ck_assert_uint_eq(journal.count, 0);
	/* What needs no journal goes on. */
	SAY(&sender, 0x30, 5, 0, 1, 't', 0, 'x');
	HEARS(&taker, 0x30, 4, 0, 1, 't', 'x');
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(holds_while_the_disk_is_behind)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 4, true);
	uint8_t id;

	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	journal.answer = COMMIT_STALLS;
	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 10, 'y');
	ck_assert_uint_eq(journal.count, 1);
	journal.answer = COMMIT_TAKES;
	id = next_id();
	settle(MQTT_SUCCESS);
	ck_assert_uint_eq(journal.count, 1);
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x40, 2, 0, 9, 0x40, 2, 0, 10);
	HEARS(&taker, 0x32, 6, 0, 1, 't', 0, id, 'x');
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(notes_what_is_unfinished_and_completes_it_when_that_is_safe)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 4, true);

	SAY(&sender, 0x34, 6, 0, 1, 't', 0, 9, 'x');
	ck_assert_uint_eq(journal.items[0]->origin.packet_id, 9);
	ck_assert_uint_eq(
	    journal.items[0]->origin.publisher, session_of('b')->cursor);
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x50, 2, 0, 9);
	SAY(&sender, 0x3c, 6, 0, 1, 't', 0, 9, 'x');
	ck_assert_uint_eq(journal.count, 0);
	HEARS(&sender, 0x50, 2, 0, 9);
	SAY(&sender, 0x62, 2, 0, 9);
	ck_assert_uint_eq(journal.count, 1);
	ck_assert_int_eq(journal.items[0]->kind, STORE_RELEASED);
	ck_assert_uint_eq(journal.items[0]->packet.packet_id, 9);
	hears_nothing(&sender);
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x70, 2, 0, 9);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

/* It has no receiver, and is kept for its identifier alone. */
START_TEST(keeps_an_identifier_of_a_message_that_nobody_wants)
{
	struct peer sender = connected('b', 4, true);

	SAY(&sender, 0x34, 6, 0, 1, 'u', 0, 9, 'x');
	ck_assert_uint_eq(journal.count, 1);
	ck_assert(journal.items[0]->origin.is_written);
	ck_assert_uint_eq(journal.items[0]->way_count, 0);
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x50, 2, 0, 9);
	close(sender.fd);
}
END_TEST

START_TEST(keeps_a_retained_message_of_qos_0_without_a_wait)
{
	struct peer taker = subscribed('a', true, 0);
	struct peer sender = connected('b', 4, false);

	SAY(&sender, 0x31, 4, 0, 1, 't', 'x');
	HEARS(&taker, 0x30, 4, 0, 1, 't', 'x');
	ck_assert_uint_eq(journal.count, 1);
	ck_assert_uint_ne(journal.items[0]->origin.retain_serial, 0);
	ck_assert_uint_eq(journal.items[0]->way_count, 0);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(publishes_nothing_without_memory_and_tries_again)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 4, true);

	journal.has_no_memory = true;
	SAY(&sender, 0x34, 6, 0, 1, 't', 0, 9, 'x');
	ck_assert_uint_eq(journal.count, 0);
	hears_nothing(&sender);
	ck_assert_uint_eq(packet_ids_count(&session_of('b')->received), 0);
	journal.has_no_memory = false;
	worker_bridges_moved(worker);
	ck_assert_uint_eq(journal.count, 1);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

/* ---- delivering ---- */

START_TEST(releases_what_the_client_has_when_that_is_noted)
{
	struct peer taker = subscribed('a', true, 2);
	struct peer sender = connected('b', 4, false);
	const uint8_t id = next_id();

	SAY(&sender, 0x34, 6, 0, 1, 't', 0, 9, 'x');
	settle(MQTT_SUCCESS);
	HEARS(&taker, 0x34, 6, 0, 1, 't', 0, id, 'x');
	SAY(&taker, 0x50, 2, 0, id);
	ck_assert_uint_eq(journal.count, 1);
	ck_assert_int_eq(journal.items[0]->kind, STORE_RECEIVED);
	ck_assert_uint_eq(journal.items[0]->packet.sequence, journal.sequence);
	hears_nothing(&taker);
	settle(MQTT_SUCCESS);
	HEARS(&taker, 0x62, 2, 0, id);
	ck_assert_uint_eq(journal.done_count, 0);
	SAY(&taker, 0x70, 2, 0, id);
	ck_assert_uint_eq(journal.done_count, 1);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

/* The client has done nothing wrong: it waits until the note is made. */
START_TEST(releases_nothing_before_it_could_be_noted)
{
	struct peer taker = subscribed('a', true, 2);
	struct peer sender = connected('b', 4, false);
	const uint8_t id = next_id();

	SAY(&sender, 0x34, 6, 0, 1, 't', 0, 9, 'x');
	settle(MQTT_SUCCESS);
	HEARS(&taker, 0x34, 6, 0, 1, 't', 0, id, 'x');
	SAY(&taker, 0x50, 2, 0, id);
	settle(MQTT_QUOTA_EXCEEDED);
	hears_nothing(&taker);
	ck_assert(loop_timer_is_running(&worker->notes_timer));
	ck_assert_uint_eq(journal.sent[STORE_RECEIVED], 1);
	acks_retry(worker);
	ck_assert_uint_eq(journal.sent[STORE_RECEIVED], 2);
	ck_assert_uint_eq(journal.items[0]->packet.sequence, journal.sequence);
	acks_retry(worker);
	ck_assert_uint_eq(journal.sent[STORE_RECEIVED], 2);
	hears_nothing(&taker);
	settle(MQTT_SUCCESS);
	HEARS(&taker, 0x62, 2, 0, id);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(completes_nothing_before_it_could_be_noted)
{
	struct peer sender = connected('b', 4, true);

	SAY(&sender, 0x34, 6, 0, 1, 'u', 0, 9, 'x');
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x50, 2, 0, 9);
	SAY(&sender, 0x62, 2, 0, 9);
	settle(MQTT_IMPLEMENTATION_SPECIFIC_ERROR);
	hears_nothing(&sender);
	acks_retry(worker);
	ck_assert_uint_eq(journal.sent[STORE_RELEASED], 2);
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x70, 2, 0, 9);
	close(sender.fd);
}
END_TEST

START_TEST(notes_once_more_for_a_client_that_comes_back)
{
	struct peer taker = subscribed('a', true, 2);
	struct peer sender = connected('b', 4, false);
	const uint8_t id = next_id();

	SAY(&sender, 0x34, 6, 0, 1, 't', 0, 9, 'x');
	settle(MQTT_SUCCESS);
	HEARS(&taker, 0x34, 6, 0, 1, 't', 0, id, 'x');
	SAY(&taker, 0x50, 2, 0, id);
	settle(MQTT_QUOTA_EXCEEDED);
	leave(&taker);
	taker = connecting('a', 4, true);
	hear(&taker);
	ck_assert_uint_le(taker.length, 4);
	for (int i = 0; i < 3; i++) {
		settle(MQTT_SUCCESS);
		hear(&taker);
	}
	ck_assert_uint_eq(journal.sent[STORE_RECEIVED], 2);
	HEARS(&taker, 0x20, 2, 1, 0, 0x62, 2, 0, id);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(reads_for_a_client_that_was_away)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 4, false);
	const uint64_t cursor = session_of('a')->cursor;
	struct commit_delivery way = {
		.cursor = cursor, .qos = 1, .is_durable = true
	};
	struct message *message;

	leave(&taker);
	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	message = message_take(journal.items[0]->message);
	settle(MQTT_SUCCESS);
	ck_assert_uint_eq(counted(COUNT_queued), 1);
	taker = connected('a', 4, true);
	ck_assert_uint_eq(journal.read_cursor, cursor);
	ck_assert_uint_le(journal.read_from, journal.sequence);
	hears_nothing(&taker);
	journal.member.loaded(worker, cursor, message, journal.sequence, &way);
	journal.member.loaded_upto(worker, cursor, journal.sequence, 0);
	message_put(message);
	HEARS(&taker, 0x32, 6, 0, 1, 't', 0,
	    (uint8_t)outbox_packet_id(journal.sequence), 'x');
	ck_assert_uint_eq(counted(COUNT_queued), 0);
	ck_assert_uint_eq(counted(COUNT_deliveries), 1);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(reads_again_what_could_not_be_read)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 4, false);
	const uint64_t cursor = session_of('a')->cursor;

	leave(&taker);
	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	settle(MQTT_SUCCESS);
	taker = connected('a', 4, true);
	ck_assert_uint_eq(journal.read_cursor, cursor);
	journal.read_cursor = 0;
	journal.member.loaded_upto(worker, cursor, 0, -EIO);
	turn();
	/* Not at once: the disk is ill. */
	ck_assert_uint_eq(journal.read_cursor, 0);
	session_of('a')->queue.read_again_ns = 0;
	turn();
	ck_assert_uint_eq(journal.read_cursor, cursor);
	close(taker.fd);
	close(sender.fd);
}
END_TEST

START_TEST(ends_a_session_in_the_journal_too)
{
	struct peer taker = subscribed('a', true, 1);
	const uint64_t cursor = session_of('a')->cursor;
	unsigned closes = 0;

	leave(&taker);
	session_end(session_of('a'));
	for (unsigned i = 0; i < journal.count; i++)
		closes += journal.items[i]->kind == STORE_CLOSE &&
		    journal.items[i]->cursor == cursor;
	ck_assert_uint_eq(closes, 1);
}
END_TEST

/* ---- what a member of a share leaves ---- */

static struct peer
member(uint8_t name)
{
	struct peer peer = connected(name, 4, true);

	SAY(&peer, 0x82, 15, 0, 1, 0, 10, '$', 's', 'h', 'a', 'r', 'e', '/',
	    'g', '/', 't', 1);
	settle(MQTT_SUCCESS);
	HEARS(&peer, 0x90, 3, 0, 1, 1);
	return peer;
}

static unsigned
closes_of(uint64_t cursor)
{
	unsigned closes = 0;

	for (unsigned i = 0; i < journal.count; i++)
		closes += journal.items[i]->kind == STORE_CLOSE &&
		    journal.items[i]->cursor == cursor;
	return closes;
}

/* A grace period passes, and what was waited for is committed. */
static void
let_rest(void)
{
	settle(MQTT_SUCCESS);
	urcu_memb_barrier();
	turn();
	settle(MQTT_SUCCESS);
	turn();
}

/* Not before another has it is it over for the first one. */
START_TEST(gives_on_what_a_durable_member_leaves)
{
	struct peer first = member('a'), heir;
	struct peer sender = connected('b', 4, false);
	const uint64_t cursor = session_of('a')->cursor;
	struct commit_delivery way;
	struct message *message;
	uint64_t sequence;

	leave(&first);
	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	message = message_take(journal.items[0]->message);
	way = journal.items[0]->ways[0];
	ck_assert_uint_eq(way.cursor, cursor);
	ck_assert_uint_ne(way.share, 0);
	settle(MQTT_SUCCESS);
	sequence = journal.sequence;
	heir = member('c');

	journal.sent[STORE_SESSION] = 0;
	session_end(session_of('a'));
	ck_assert_uint_eq(journal.sent[STORE_SESSION], 1);
	ck_assert_uint_eq(closes_of(cursor), 0);
	let_rest();
	ck_assert_uint_eq(journal.read_cursor, cursor);
	ck_assert_uint_eq(journal.read_from, 1);

	journal.member.loaded(worker, cursor, message, sequence, &way);
	journal.member.loaded_upto(worker, cursor, sequence, 0);
	message_put(message);
	turn();
	ck_assert_uint_eq(journal.count, 1);
	ck_assert_uint_eq(
	    journal.items[0]->ways[0].cursor, session_of('c')->cursor);
	/* It is tried again until the journal takes it. */
	settle(MQTT_QUOTA_EXCEEDED);
	ck_assert_uint_eq(journal.done_count, 0);
	turn();
	ck_assert_uint_eq(journal.count, 1);
	hears_nothing(&heir);
	settle(MQTT_SUCCESS);
	HEARS(&heir, 0x32, 6, 0, 1, 't', 0,
	    (uint8_t)outbox_packet_id(journal.sequence), 'x');
	ck_assert_uint_eq(journal.done_count, 1);
	ck_assert_uint_eq(journal.dones[0].cursor, cursor);
	ck_assert_uint_eq(journal.dones[0].sequence, sequence);
	ck_assert_uint_eq(counted(COUNT_shared_redispatched), 1);

	ck_assert_uint_eq(journal.read_from, sequence + 1);
	ck_assert_uint_eq(closes_of(cursor), 0);
	journal.member.loaded_upto(worker, cursor, journal.sequence, 0);
	turn();
	ck_assert_uint_eq(closes_of(cursor), 1);
	ck_assert_ptr_null(worker->estates.first);
	close(heir.fd);
	close(sender.fd);
}
END_TEST

/* Nobody is left, and a message that was no share's: both are dropped. */
/* More than one turn deals with do not wait for a timer. */
START_TEST(goes_on_at_once_with_what_is_left_of_shares)
{
	const struct message_parts parts = {
		.topic = slice_of_string("t"),
		.qos = 1,
		.link = MESSAGE_FROM_MQTT,
		.expires_ns = UINT64_MAX,
	};
	struct message *message = message_new(worker->messages, &parts);
	unsigned turns = 0;

	for (unsigned i = 0; i < 2000; i++)
		redispatch_message(worker, message, 77);
	for (; redispatch_is_due(worker); turns++)
		redispatch_run(worker);
	ck_assert_ptr_null(worker->redispatch.ready.first);
	ck_assert_uint_gt(turns, 1);
	ck_assert_uint_eq(counted(COUNT_dropped_session_end), 2000);
	message_put(message);
}
END_TEST

/* Each has a page in memory: so many at a time, and all in the end. */
START_TEST(reads_what_few_members_left_at_a_time)
{
	const unsigned members = 20;
	unsigned turns = 0;
	struct peer peer;

	for (unsigned i = 0; i < members; i++) {
		peer = member((uint8_t)('A' + i));
		leave(&peer);
	}
	for (unsigned i = 0; i < members; i++)
		session_end(session_of((uint8_t)('A' + i)));
	journal.reads = 0;
	let_rest();
	ck_assert_uint_eq(journal.reads, 16);
	while (worker->estates.first != NULL && turns++ < 2 * members) {
		for (struct estate *estate = worker->estates.first;
		     estate != NULL; estate = estate->next)
			if (estate->state == ESTATE_READING)
				journal.member.loaded_upto(
				    worker, estate->cursor, 0, 0);
		turn();
	}
	ck_assert_ptr_null(worker->estates.first);
	ck_assert_uint_eq(journal.reads, members);
}
END_TEST

START_TEST(does_not_read_at_once_what_could_not_be_read)
{
	struct peer first = member('a');
	const uint64_t cursor = session_of('a')->cursor;

	leave(&first);
	session_end(session_of('a'));
	journal.reads = 0;
	let_rest();
	ck_assert_uint_eq(journal.reads, 1);
	journal.member.loaded_upto(worker, cursor, 0, -EIO);
	turn();
	turn();
	ck_assert_uint_eq(journal.reads, 1);
	worker->estates.first->read_again_ns = 0;
	turn();
	ck_assert_uint_eq(journal.reads, 2);
}
END_TEST

START_TEST(closes_what_nobody_is_left_for)
{
	struct peer first = member('a');
	const uint64_t cursor = session_of('a')->cursor;
	struct commit_delivery way = {
		.cursor = cursor, .qos = 1, .is_durable = true
	};
	struct peer sender = connected('b', 4, false);
	struct message *message;

	leave(&first);
	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	message = message_take(journal.items[0]->message);
	settle(MQTT_SUCCESS);
	session_end(session_of('a'));
	let_rest();
	journal.member.loaded(worker, cursor, message, 1, &way);
	way.share = 77;
	journal.member.loaded(worker, cursor, message, 2, &way);
	message_put(message);
	/* The disk is ill in between: it is read again. */
	journal.read_from = 0;
	journal.member.loaded_upto(worker, cursor, 2, 0);
	turn();
	ck_assert_uint_eq(journal.read_from, 3);
	ck_assert_uint_eq(journal.done_count, 1);
	ck_assert_uint_eq(journal.dones[0].sequence, 2);
	ck_assert_uint_eq(counted(COUNT_dropped_session_end), 2);
	journal.read_from = 0;
	journal.member.loaded_upto(worker, cursor, 0, -EIO);
	worker->estates.first->read_again_ns = 0; /* and time passes */
	turn();
	ck_assert_uint_eq(journal.read_from, 3);
	ck_assert_uint_eq(closes_of(cursor), 0);
	journal.member.loaded_upto(worker, cursor, journal.sequence, 0);
	turn();
	ck_assert_uint_eq(closes_of(cursor), 1);
	close(sender.fd);
}
END_TEST

START_TEST(sends_retained_messages_to_a_durable_session_by_the_journal)
{
	struct peer sender = connected('b', 4, false);
	struct peer taker;
	uint8_t id;

	SAY(&sender, 0x33, 6, 0, 1, 't', 0, 9, 'x');
	ck_assert(journal.items[0]->origin.is_written);
	settle(MQTT_SUCCESS);
	HEARS(&sender, 0x40, 2, 0, 9);
	taker = subscribed('a', true, 1);
	turn();
	settle(MQTT_SUCCESS);
	ck_assert_uint_eq(journal.last.cursor, session_of('a')->cursor);
	ck_assert(journal.last.retain && journal.last.is_durable);
	ck_assert_uint_eq(journal.last_serial, 0);
	id = (uint8_t)outbox_packet_id(journal.sequence);
	HEARS(&taker, 0x33, 6, 0, 1, 't', 0, id, 'x');
	close(taker.fd);
	close(sender.fd);
}
END_TEST

/* By the publisher, before it is written. */
START_TEST(leaves_out_a_session_that_is_full)
{
	struct peer taker = subscribed('a', true, 1);
	struct peer sender = connected('b', 4, false);

	conf.max_queued_messages = 1;
	worker->sessions.limits.max_messages = 1;
	leave(&taker);
	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 9, 'x');
	settle(MQTT_SUCCESS);
	SAY(&sender, 0x32, 6, 0, 1, 't', 0, 10, 'y');
	ck_assert_uint_eq(journal.count, 1);
	ck_assert_uint_eq(journal.items[0]->way_count, 0);
	settle(MQTT_SUCCESS);
	turn();
	ck_assert_uint_eq(counted(COUNT_dropped_queue_full), 1);
	ck_assert_uint_eq(counted(COUNT_queued), 1);
	close(sender.fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("worker_commit");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(
	    tc, acknowledges_and_delivers_what_is_committed_and_not_before);
	tcase_add_test(tc, goes_past_the_journal_without_a_durable_receiver);
	tcase_add_test(
	    tc, keeps_the_order_of_a_client_that_has_used_the_journal);
	tcase_add_test(
	    tc, tells_a_client_of_mqtt_5_why_its_message_was_not_kept);
	tcase_add_test(tc, closes_an_older_client_whose_message_was_not_kept);
	tcase_add_test(tc, refuses_while_the_journal_does);
	tcase_add_test(tc, holds_while_the_disk_is_behind);
	tcase_add_test(
	    tc, notes_what_is_unfinished_and_completes_it_when_that_is_safe);
	tcase_add_test(tc, keeps_an_identifier_of_a_message_that_nobody_wants);
	tcase_add_test(tc, keeps_a_retained_message_of_qos_0_without_a_wait);
	tcase_add_test(tc, publishes_nothing_without_memory_and_tries_again);
	tcase_add_test(tc, releases_what_the_client_has_when_that_is_noted);
	tcase_add_test(tc, releases_nothing_before_it_could_be_noted);
	tcase_add_test(tc, completes_nothing_before_it_could_be_noted);
	tcase_add_test(tc, notes_once_more_for_a_client_that_comes_back);
	tcase_add_test(tc, reads_for_a_client_that_was_away);
	tcase_add_test(tc, reads_again_what_could_not_be_read);
	tcase_add_test(tc, ends_a_session_in_the_journal_too);
	tcase_add_test(tc, gives_on_what_a_durable_member_leaves);
	tcase_add_test(tc, goes_on_at_once_with_what_is_left_of_shares);
	tcase_add_test(tc, reads_what_few_members_left_at_a_time);
	tcase_add_test(tc, does_not_read_at_once_what_could_not_be_read);
	tcase_add_test(tc, closes_what_nobody_is_left_for);
	tcase_add_test(
	    tc, sends_retained_messages_to_a_durable_session_by_the_journal);
	tcase_add_test(tc, leaves_out_a_session_that_is_full);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
