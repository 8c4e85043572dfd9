/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From a remote into a lane at QoS 2: not lost and not twice, wherever this
 * process dies.  The remote is a sender with a session; it gives a new
 * message the lowest identifier that is free, so that a note which outlives
 * its message is soon found out.
 */

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridged/counters.h"
#include "bridged/ingest.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/msg/record.h"
#include "common/shm/memfd.h"
#include "tests/unit/unit.h"

#define SELF "0123456789abcdef0123456789abcdef"
#define MOST 256 /* messages of a run */
#define WINDOW 4 /* of the remote */
#define WIRE 4096

enum type {
	PUBLISH,
	PUBREC,
	PUBREL,
	PUBCOMP
};

struct packet {
	enum type type;
	uint16_t id;
	unsigned number;
};

struct wire {
	struct packet packets[WIRE];
	size_t count;
};

/* What the remote knows of the message under an identifier. */
struct exchange {
	enum {
		NONE,
		WANTS_PUBREC,
		WANTS_PUBCOMP
	} state;
	unsigned number;
};

static struct {
	bool has_session, is_subscribed, is_connected;
	struct exchange exchanges[WINDOW + 1]; /* by identifier */
	unsigned next;                         /* message to be sent */
	unsigned last;                         /* there are so many */
	struct wire to_us, to_far;
} far;

static struct ingest ingest;
static struct notes notes;
static struct mapping rules;
static struct stats *stats;
static struct ring_link *broker, *endpoint;
static struct ring_consumer *lane;
static int broker_fd, endpoint_fd, read_only_fd, lane_fd;
static struct bell_fds bells;
static unsigned arrived[MOST];
static unsigned newest, out_of_order;
static bool alive;

static jmp_buf dead;
static unsigned die_at, points;

static char filter[] = "#";
static char none[] = "";
static struct conf_rule rule = { .filter = filter,
	.qos = 2,
	.local_prefix = none,
	.remote_prefix = none,
	.line = 1 };

static const struct ring_link_identity identity = {
	.instance = { 1, 2, 3 },
	.link = 5,
	.endpoint_role = RING_ROLE_BRIDGE,
	.name = "cloud",
	.run_dir = "/run/weir-test",
};

static const struct ring_lane_geometry geometry = {
	.lane = 3, .min_shift = RING_MIN_SHIFT_LOW, .classes = 1
};

static void
point(void)
{
	points++;
	if (die_at != 0 && points == die_at)
		longjmp(dead, 1);
}

static void
push(struct wire *wire, enum type type, uint16_t id, unsigned number)
{
	ck_assert_uint_lt(wire->count, WIRE);
	wire->packets[wire->count++] = (struct packet){ type, id, number };
}

static struct packet
take(struct wire *wire)
{
	struct packet packet = wire->packets[0];

	wire->count--;
	memmove(wire->packets, wire->packets + 1, wire->count * sizeof(packet));
	return packet;
}

/* ---- the remote ------------------------------------------------------- */

static void
far_send(void)
{
	while (far.is_subscribed && far.is_connected && far.next < far.last) {
		uint16_t id = 1;

		while (id <= WINDOW && far.exchanges[id].state != NONE)
			id++;
		if (id > WINDOW)
			return;
		far.exchanges[id] = (struct exchange){ WANTS_PUBREC, far.next };
		push(&far.to_us, PUBLISH, id, far.next++);
	}
}

/* In the order in which it was first sent [MQTT-4.6.0-1]. */
static void
far_send_again(void)
{
	struct exchange *exchange;

	for (unsigned number = 0; number < far.next; number++)
		for (uint16_t id = 1; id <= WINDOW; id++) {
			exchange = &far.exchanges[id];
			if (exchange->number != number)
				continue;
			if (exchange->state == WANTS_PUBREC)
				push(&far.to_us, PUBLISH, id, number);
			else if (exchange->state == WANTS_PUBCOMP)
				push(&far.to_us, PUBREL, id, 0);
		}
}

static void
far_step(void)
{
	struct packet packet = take(&far.to_far);
	struct exchange *exchange;

	ck_assert_uint_ge(packet.id, 1);
	ck_assert_uint_le(packet.id, WINDOW);
	exchange = &far.exchanges[packet.id];
	if (packet.type == PUBREC) {
		if (exchange->state == WANTS_PUBREC)
			exchange->state = WANTS_PUBCOMP;
		push(&far.to_us, PUBREL, packet.id, 0);
	} else if (exchange->state == WANTS_PUBCOMP) {
		exchange->state = NONE;
	}
	far_send();
}

/* The session is lost, with what is under way. */
static void
far_forget(void)
{
	for (uint16_t id = 1; id <= WINDOW; id++)
		if (far.exchanges[id].state != NONE)
			/* Whether we have it or not: it comes no more. */
			arrived[far.exchanges[id].number] |= 0x100;
	memset(far.exchanges, 0, sizeof(far.exchanges));
	far.has_session = false;
	far.is_subscribed = false;
}

static void
far_hang_up(void)
{
	far.is_connected = false;
	far.to_us.count = far.to_far.count = 0;
}

/* ---- what outlives us, and what goes out ------------------------------ */

bool __real_ring_commit(struct ring_producer *producer, uint64_t now_ns);
bool __wrap_ring_commit(struct ring_producer *producer, uint64_t now_ns);
size_t __real_notes_take(
    struct notes *notes, uint16_t id, uint32_t lane, uint64_t sequence);
size_t __wrap_notes_take(
    struct notes *notes, uint16_t id, uint32_t lane, uint64_t sequence);
void __real_notes_confirm(struct notes *notes, size_t slot);
void __wrap_notes_confirm(struct notes *notes, size_t slot);
bool __real_notes_release(struct notes *notes, uint16_t id);
bool __wrap_notes_release(struct notes *notes, uint16_t id);

bool
__wrap_ring_commit(struct ring_producer *producer, uint64_t now_ns)
{
	bool any;

	point();
	any = __real_ring_commit(producer, now_ns);
	point();
	return any;
}

size_t
__wrap_notes_take(struct notes *n, uint16_t id, uint32_t at, uint64_t sequence)
{
	size_t slot;

	point();
	slot = __real_notes_take(n, id, at, sequence);
	point();
	return slot;
}

void
__wrap_notes_confirm(struct notes *n, size_t slot)
{
	point();
	__real_notes_confirm(n, slot);
	point();
}

bool
__wrap_notes_release(struct notes *n, uint16_t id)
{
	bool known;

	point();
	known = __real_notes_release(n, id);
	point();
	return known;
}

static void
fake_acknowledge(struct remote *remote, uint16_t id, uint8_t qos, bool accepted)
{
	ck_assert_ptr_null(remote);
	ck_assert_uint_eq(qos, 2);
	ck_assert(accepted);
	push(&far.to_far, PUBREC, id, 0);
	point();
}

static void
fake_remind(struct remote *remote, uint16_t id)
{
	ck_assert_ptr_null(remote);
	push(&far.to_far, PUBREC, id, 0);
	point();
}

static const struct remote_kind fake = {
	.type = "fake",
	.acknowledge = fake_acknowledge,
	.remind = fake_remind,
};

/* ---- the broker ------------------------------------------------------- */

static void
consume(unsigned most)
{
	struct record_message message;
	struct ring_record record;
	const void *payload;
	unsigned number;

	while (most-- != 0 && ring_peek(lane, &record, &payload) == 1) {
		ck_assert_int_eq(
		    record_message_parse(payload, record.length, &message), 0);
		memcpy(&number, message.payload.data, sizeof(number));
		ring_release(lane, ring_next(lane), NULL, 0);
		arrived[number]++;
		if (number < newest)
			out_of_order++;
		newest = number;
	}
}

/* ---- one life --------------------------------------------------------- */

static const struct stats_row counter_rows[] = {
#define STAT(kind, name, help) STATS_ROW(kind, name, help)
#include "bridged/counters.def"
#undef STAT
};

static void
no_lane(void *arg, const char *set)
{
	(void)arg;
	ck_abort_msg("asked for lane \"%s\"", set);
}

static void
open_endpoint(void)
{
	struct bell_fds e = { dup(bells.to_broker), -1,
		dup(bells.to_endpoint_wait) };
	struct ring_producer *producer;

	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BRIDGE,
			     endpoint_fd, read_only_fd, &e, &endpoint),
	    0);
	ck_assert_int_eq(
	    ring_link_add_producer(endpoint, &geometry, lane_fd, &producer), 0);
}

static void
begin_life(void)
{
	uint64_t committed[RING_LANES] = { 0 };
	const char *fault;

	open_endpoint();
	committed[geometry.lane] =
	    ring_producer_sequence(ring_link_producer(endpoint, geometry.lane));
	memset(&notes, 0, sizeof(notes));
	ck_assert_int_ne(
	    notes_open(&notes, ring_link_notes(endpoint), 1, committed, &fault),
	    NOTES_DAMAGED);
	ck_assert_int_eq(ingest_init(&ingest, "cloud", &rules, &fake, NULL,
			     &notes, stats_block(stats, 0), no_lane, NULL),
	    0);
	ingest_attach(&ingest, endpoint, SELF);
	lane_table_opened(ingest.lanes, "", geometry.lane);
	alive = true;
}

static void
end_life(void)
{
	ingest_fini(&ingest);
	ring_link_detach(endpoint);
	far_hang_up();
	alive = false;
}

static void
subscribe(void)
{
	far.is_subscribed = true;
	far_send();
}

/* The remote has seen our CONNECT; whether we see its answer is not said. */
static bool
say_connect(void)
{
	bool session_present = far.has_session;

	if (!alive)
		begin_life();
	notes_connecting(&notes);
	far_hang_up();
	far.has_session = true;
	far.is_connected = true;
	point();
	return session_present;
}

static void
connect_to_far(void)
{
	struct remote_limits limits = { .max_qos = 2 };

	limits.session_present = say_connect();
	far_send_again();
	if (ingest_up(&ingest, &limits)) {
		point();
		subscribe();
	}
}

static void
lose_connection(void)
{
	ingest_down(&ingest);
	far_hang_up();
}

/* As remote_mqtt_input.c and session.c do. */
static void
near_step(void)
{
	struct packet packet = take(&far.to_us);
	bool was_in_doubt = notes_is_in_doubt(&notes);
	struct remote_message message = {
		.id = packet.id,
		.qos = 2,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = slice_of_string("a"),
		.payload = slice_of(&packet.number, sizeof(packet.number)),
	};

	if (packet.type == PUBLISH) {
		ingest_received(&ingest, &message, CLOCK_SECOND_NS);
	} else {
		ingest_forgotten(&ingest, packet.id);
		push(&far.to_far, PUBCOMP, packet.id, 0);
		point();
		if (was_in_doubt && !notes_is_in_doubt(&notes))
			subscribe();
	}
	ingest_work(&ingest, CLOCK_SECOND_NS);
}

static void
make_world(unsigned messages)
{
	struct bell_fds b;

	memset(&far, 0, sizeof(far));
	memset(arrived, 0, sizeof(arrived));
	far.last = messages;
	newest = out_of_order = points = die_at = 0;
	ck_assert_int_eq(
	    ring_link_create(&identity, &broker_fd, &endpoint_fd), 0);
	read_only_fd = memfd_reopen_read_only(broker_fd);
	lane_fd = ring_link_create_lane(&identity, RING_ROLE_BRIDGE, &geometry);
	ck_assert_int_ge(lane_fd, 0);
	ck_assert_int_eq(bell_open(&bells), 0);
	b = (struct bell_fds){ dup(bells.to_broker),
		dup(bells.to_endpoint_send), -1 };
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BROKER,
			     broker_fd, endpoint_fd, &b, &broker),
	    0);
	ck_assert_int_eq(
	    ring_link_add_consumer(broker, &geometry, lane_fd, &lane), 0);
	ring_grant(lane, UINT64_C(1) << 40);
}

static void
unmake_world(void)
{
	if (alive)
		end_life();
	ring_link_detach(broker);
	bell_close(&bells);
	close(broker_fd);
	close(endpoint_fd);
	close(read_only_fd);
	close(lane_fd);
}

static void
setup(void)
{
	size_t bad;

	log_set_level(LOG_LEVEL_ERROR);
	ck_assert_int_eq(
	    mapping_init(&rules, &rule, 1, MAPPING_RECEIVE, &bad), 0);
	ck_assert_int_eq(
	    stats_create("test", counter_rows, BRIDGED_COUNTERS, 1, &stats), 0);
}

static void
teardown(void)
{
	mapping_fini(&rules);
	stats_free(stats);
}

/* ---- what may happen -------------------------------------------------- */

static bool
can_go_on(void)
{
	return far.to_us.count != 0 || far.to_far.count != 0;
}

static void
go_on(uint32_t dice)
{
	if (far.to_us.count != 0 && (far.to_far.count == 0 || (dice & 1) != 0))
		near_step();
	else
		far_step();
}

static void
live(uint32_t dice)
{
	connect_to_far();
	while (can_go_on()) {
		dice = dice * 1664525 + 1013904223;
		go_on(dice >> 16);
		consume(dice >> 30);
	}
}

/* No more trouble: all that is to come comes. */
static void
finish(void)
{
	if (alive)
		lose_connection();
	live(1);
	for (int i = 0; far.next < far.last || can_go_on(); i++) {
		ck_assert_int_lt(i, 1000);
		consume(UINT32_MAX);
		ingest_work(&ingest, CLOCK_SECOND_NS);
		if (can_go_on())
			go_on(0);
	}
	consume(UINT32_MAX);
}

static void
check_once(const char *what, unsigned which)
{
	for (unsigned n = 0; n < far.last; n++) {
		/* What a session took with it may be missing, never double. */
		if ((arrived[n] & 0x100) != 0 && (arrived[n] & 0xff) == 0)
			continue;
		ck_assert_msg((arrived[n] & 0xff) == 1,
		    "%s %u: message %u arrived %u times", what, which, n,
		    arrived[n] & 0xff);
	}
	ck_assert_uint_eq(out_of_order, 0);
	ck_assert_uint_eq(notes.taken_count, 0);
}

static bool
dies_at(unsigned at, uint32_t dice)
{
	if (setjmp(dead) != 0) {
		die_at = 0;
		end_life();
		return true;
	}
	points = 0;
	die_at = at;
	live(dice);
	die_at = 0;
	return false;
}

START_TEST(is_exact_when_it_dies_between_any_two_stores)
{
	unsigned first, second;

	for (first = 1;; first++) {
		for (second = 0;; second += 3) {
			make_world(6);
			if (!dies_at(first, (uint32_t)_i))
				break;
			if (second != 0 && !dies_at(second, (uint32_t)_i + 99))
				break;
			finish();
			check_once("death at", first);
			unmake_world();
		}
		unmake_world();
		if (second == 0)
			break;
	}
	ck_assert_uint_gt(first, 60);
}
END_TEST

/* The same, with a remote that has lost the session meanwhile. */
START_TEST(loses_nothing_new_when_the_remote_forgot)
{
	unsigned first, second;

	for (first = 1;; first++) {
		/* The second death may be between CONNECT and CONNACK. */
		for (second = 1; second < 12; second++) {
			make_world(8);
			if (!dies_at(first, (uint32_t)_i))
				break;
			far_forget();
			if (!dies_at(second, (uint32_t)_i + 99))
				break;
			finish();
			check_once("death at", first);
			unmake_world();
		}
		if (second == 1)
			break;
		if (second != 12)
			unmake_world();
	}
	unmake_world();
	ck_assert_uint_gt(first, 60);
}
END_TEST

static void
anything(uint32_t dice)
{
	switch ((dice >> 24) % 32) {
	case 0:
		end_life();
		connect_to_far();
		break;
	case 1:
		lose_connection();
		connect_to_far();
		break;
	case 2: /* CONNECT, and nothing came back */
		lose_connection();
		(void)say_connect();
		if ((dice & 1) != 0)
			end_life();
		connect_to_far();
		break;
	case 3:
		lose_connection();
		if ((dice >> 8) % 4 == 0)
			far_forget();
		connect_to_far();
		break;
	case 4:
	case 5:
	case 6:
		consume((dice >> 8) % 4);
		ingest_work(&ingest, CLOCK_SECOND_NS);
		break;
	default:
		if (can_go_on())
			go_on(dice >> 8);
	}
}

static uint32_t
seed_of(int loop)
{
	const char *text = getenv("WEIR_SEED");
	uint32_t seed = text == NULL ? 1 : (uint32_t)strtoul(text, NULL, 0);

	return seed * 1000 + (uint32_t)loop;
}

START_TEST(is_exact_whatever_happens)
{
	uint32_t seed = seed_of(_i), dice = seed;

	fprintf(stderr, "# seed %u\n", (unsigned)seed);
	make_world(MOST);
	connect_to_far();
	for (int step = 0; step < 4000; step++) {
		dice = dice * 1664525 + 1013904223;
		anything(dice);
		ck_assert_uint_le(notes.taken_count, WINDOW);
	}
	finish();
	check_once("seed", seed);
	unmake_world();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("exactly_once_in");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(
	    tc, is_exact_when_it_dies_between_any_two_stores, 0, 4);
	tcase_add_loop_test(tc, loses_nothing_new_when_the_remote_forgot, 0, 4);
	tcase_add_loop_test(tc, is_exact_whatever_happens, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
