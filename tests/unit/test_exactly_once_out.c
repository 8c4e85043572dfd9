/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the ring to a remote at QoS 2: not lost and not twice, wherever this
 * process dies.  Death is a longjmp out of one of the functions wrapped below
 * (each store that outlives us, each packet), before or after; what is left
 * is the shared memory and what the remote knows.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridged/counters.h"
#include "bridged/forward.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/msg/record.h"
#include "common/ring/ring_producer.h"
#include "tests/unit/far_mqtt.h"
#include "tests/unit/unit.h"

#define SHIFT 14u
#define SIZE (UINT64_C(1) << SHIFT)
#define SELF "0123456789abcdef0123456789abcdef"
#define NOW (1000 * CLOCK_SECOND_NS)

/* More steps than any sound run needs. */
#define MOST_STEPS 20000

struct memory {
	struct ring_head head;
	struct ring_lane_producer producer;
	struct ring_lane_consumer consumer;
	_Alignas(4096) struct notes_memory notes;
	uint8_t data[RING_PAGE + SIZE];
};

static struct memory *memory;
static struct ring_producer *producer;
static struct ring_consumer *consumer;
static struct far_mqtt *far;
static struct forward forward;
static struct notes notes;
static struct mapping rules;
static struct stats *stats;
static size_t window;
static unsigned put_count;
static bool pubrec_seen[FAR_NUMBERS]; /* by some life, until the end */
static bool alive;

/* What remote_mqtt_input.c remembers of a connection. */
static enum {
	FREE,
	WANTS_PUBREC,
	WANTS_PUBCOMP
} flows[FAR_IDS];
static bool ending[FAR_IDS];

static jmp_buf dead;
static unsigned die_at, points; /* die at that point, from 1; 0: never */

static char filter[] = "#";
static char none[] = "";
static struct conf_rule rule = { .filter = filter, .qos = 2, .local_prefix = none, .remote_prefix = none, .line = 1 };
static char name[] = "cloud";
static struct conf_bridge conf = {
	.name = name,
	.max_inflight = 8,
	.overflow = CONF_OVERFLOW_STALL,
};

static void
point(void)
{
	points++;
	if (die_at != 0 && points == die_at)
		longjmp(dead, 1);
}

/* ---- what outlives us, and what goes out ------------------------------ */

bool __real_ring_release(struct ring_consumer *consumer, uint64_t word,
    const struct ring_outcome *outcome, uint64_t now_ns);
bool __wrap_ring_release(struct ring_consumer *consumer, uint64_t word,
    const struct ring_outcome *outcome, uint64_t now_ns);
void __real_notes_publishing(struct notes *notes, uint64_t sequence);
void __wrap_notes_publishing(struct notes *notes, uint64_t sequence);
void __real_notes_keep(struct notes *notes, uint64_t sequence);
void __wrap_notes_keep(struct notes *notes, uint64_t sequence);
void __real_notes_claim(
    struct notes *notes, uint64_t first, uint64_t last, uint64_t ids);
void __wrap_notes_claim(
    struct notes *notes, uint64_t first, uint64_t last, uint64_t ids);

bool
__wrap_ring_release(struct ring_consumer *c, uint64_t word,
    const struct ring_outcome *outcome, uint64_t now_ns)
{
	bool moved;

	point();
	moved = __real_ring_release(c, word, outcome, now_ns);
	point();
	return moved;
}

void
__wrap_notes_publishing(struct notes *n, uint64_t sequence)
{
	point();
	__real_notes_publishing(n, sequence);
	point();
}

void
__wrap_notes_keep(struct notes *n, uint64_t sequence)
{
	point();
	__real_notes_keep(n, sequence);
	point();
}

void
__wrap_notes_claim(struct notes *n, uint64_t first, uint64_t last, uint64_t ids)
{
	point();
	__real_notes_claim(n, first, last, ids);
	point();
}

static int
fake_send(struct remote *remote, const struct remote_message *message)
{
	unsigned number;

	ck_assert_ptr_null(remote);
	ck_assert_uint_eq(message->qos, 2);
	ck_assert_uint_eq(message->payload.len, sizeof(number));
	memcpy(&number, message->payload.data, sizeof(number));
	/* [MQTT-4.3.3-6] */
	ck_assert_msg(
	    !pubrec_seen[number], "%u published after PUBREC", number);
	flows[message->id] = WANTS_PUBREC;
	far_push(&far->to_far, FAR_PUBLISH, message->id, number);
	point();
	return 0;
}

static int
fake_release(struct remote *remote, uint16_t id)
{
	ck_assert_ptr_null(remote);
	flows[id] = WANTS_PUBCOMP;
	far_push(&far->to_far, FAR_PUBREL, id, 0);
	point();
	return 0;
}

static int
fake_end(struct remote *remote, uint16_t id)
{
	ck_assert_ptr_null(remote);
	ending[id] = true;
	far_push(&far->to_far, FAR_PUBREL, id, 0);
	return 0;
}

static const struct remote_kind fake = {
	.type = "fake",
	.send = fake_send,
	.release = fake_release,
	.end = fake_end,
};

/* ---- one life --------------------------------------------------------- */

static const struct stats_row counter_rows[] = {
#define STAT(kind, name, help) STATS_ROW(kind, name, help)
#include "bridged/counters.def"
#undef STAT
};

static void
begin_life(void)
{
	static const uint64_t committed[RING_LANES];
	const struct ring_consumer_memory c = {
		.head = &memory->head,
		.peer = &memory->producer,
		.own = &memory->consumer,
		.data = memory->data,
		.min_shift = SHIFT,
		.classes = 1,
	};
	const char *fault;

	consumer = ring_consumer_new(&c);
	ck_assert_ptr_nonnull(consumer);
	memset(&notes, 0, sizeof(notes));
	ck_assert_int_ne(
	    notes_open(&notes, &memory->notes, 1, committed, &fault),
	    NOTES_DAMAGED);
	ck_assert_int_eq(forward_init(&forward, &conf, &rules, &fake, NULL,
			     &notes, stats_block(stats, 0), SIZE / 4, NOW),
	    0);
	forward_attach(&forward, consumer, SELF);
	alive = true;
}

static void
end_life(void)
{
	forward_fini(&forward);
	ring_consumer_free(consumer);
	far_hang_up(far);
	alive = false;
}

static void
work(void)
{
	const char *fault = NULL;

	forward_work(&forward, NOW, &fault);
	ck_assert_ptr_null(fault);
}

static void
connect_to_far(void)
{
	struct remote_limits limits = { .window = window, .max_qos = 2 };

	if (!alive)
		begin_life();
	memset(flows, 0, sizeof(flows));
	memset(ending, 0, sizeof(ending));
	limits.session_present = far_connect(far);
	forward_up(&forward, &limits);
	work();
}

static void
lose_connection(void)
{
	forward_down(&forward);
	connect_to_far();
}

static void
note_pubrec(uint16_t id)
{
	struct inflight_entry *entry = inflight_find(&forward.inflight, id);
	struct record_message message;
	unsigned number;

	if (entry == NULL)
		return;
	ck_assert_int_eq(record_message_parse(
			     entry->payload, entry->record.length, &message),
	    0);
	memcpy(&number, message.payload.data, sizeof(number));
	pubrec_seen[number] = true;
}

/* As remote_mqtt_input.c does. */
static void
read_packet(const struct far_packet *packet)
{
	uint16_t id = packet->id;

	if (packet->type == FAR_PUBREC) {
		if (flows[id] == FREE && ending[id])
			return;
		if (flows[id] != WANTS_PUBCOMP && forward_kept(&forward, id)) {
			flows[id] = WANTS_PUBCOMP;
			note_pubrec(id);
		}
		far_push(&far->to_far, FAR_PUBREL, id, 0);
		point();
	} else if (ending[id]) {
		ending[id] = false;
		forward_ended(&forward);
	} else if (flows[id] == WANTS_PUBCOMP) {
		flows[id] = FREE;
		forward_settled(&forward, id, REMOTE_TOOK, "", NOW);
	}
}

static void
near_step(size_t at)
{
	struct far_packet packet = far_take(&far->to_us, at);

	read_packet(&packet);
	work();
}

/* ---- the ring --------------------------------------------------------- */

static void
make_world(void)
{
	const struct ring_producer_memory p = {
		.head = &memory->head,
		.own = &memory->producer,
		.peer = &memory->consumer,
		.data = memory->data,
		.min_shift = SHIFT,
		.classes = 1,
	};

	memset(memory, 0, sizeof(*memory));
	memset(far, 0, sizeof(*far));
	memset(pubrec_seen, 0, sizeof(pubrec_seen));
	put_count = 0;
	points = 0;
	die_at = 0;
	producer = ring_producer_new(&p);
	ck_assert_ptr_nonnull(producer);
	begin_life();
	work();
}

static void
unmake_world(void)
{
	if (alive)
		end_life();
	ring_producer_free(producer);
}

static void
put(void)
{
	struct record_message message = {
		.qos = 2,
		.expiry_s = RECORD_NEVER_EXPIRES,
		.topic = slice_of_string("a"),
		.payload = slice_of(&put_count, sizeof(put_count)),
	};
	struct ring_record record = { .kind = RECORD_MESSAGE, .time_ns = NOW };
	void *place;

	record.length = (uint32_t)record_message_size(&message);
	ck_assert_int_eq(ring_claim(producer, record.length, &place), 0);
	record_message_write(&message, place);
	ring_put(producer, &record);
	ring_commit(producer, NOW);
	put_count++;
}

static void
setup(void)
{
	size_t bad;

	log_set_level(LOG_LEVEL_ERROR);
	window = 3;
	conf.overflow = CONF_OVERFLOW_STALL;
	memory = aligned_alloc(4096, (sizeof(*memory) + 4095) & ~4095ul);
	far = malloc(sizeof(*far));
	ck_assert(memory != NULL && far != NULL);
	ck_assert_int_eq(
	    mapping_init(&rules, &rule, 1, MAPPING_FORWARD, &bad), 0);
	ck_assert_int_eq(
	    stats_create("test", counter_rows, BRIDGED_COUNTERS, 1, &stats), 0);
}

static void
teardown(void)
{
	mapping_fini(&rules);
	stats_free(stats);
	free(memory);
	free(far);
}

/* ---- what may happen -------------------------------------------------- */

enum happening {
	EVENT_FAR,  /* the remote takes a packet */
	EVENT_NEAR, /* we take one */
	EVENT_LOSS, /* the connection breaks */
	EVENT_DEATH /* and so does the process */
};

/* Those that can happen now; trouble only while it is allowed. */
static size_t
possible(enum happening *out, unsigned trouble_left)
{
	size_t count = 0;

	if (far->to_far.count != 0)
		out[count++] = EVENT_FAR;
	if (far->to_us.count != 0)
		out[count++] = EVENT_NEAR;
	if (count != 0 && trouble_left != 0) {
		out[count++] = EVENT_DEATH;
		out[count++] = EVENT_LOSS;
	}
	return count;
}

static void
happen(enum happening what)
{
	switch (what) {
	case EVENT_FAR:
		far_step(far);
		break;
	case EVENT_NEAR:
		near_step(0);
		break;
	case EVENT_DEATH:
		end_life();
		connect_to_far();
		break;
	case EVENT_LOSS:
		lose_connection();
		break;
	}
}

static void
finish(void)
{
	enum happening events[4];

	for (int step = 0; possible(events, 0) != 0; step++) {
		ck_assert_int_lt(step, MOST_STEPS);
		happen(events[0]);
	}
}

static void
check_once(const char *what, uint64_t which)
{
	for (unsigned n = 0; n < put_count; n++)
		ck_assert_msg(far->passed_on[n] == 1,
		    "%s %llu: message %u was passed on %u times", what,
		    (unsigned long long)which, n, far->passed_on[n]);
	ck_assert_uint_eq(far->out_of_order, 0);
	ck_assert_uint_eq(ring_producer_used_bytes(producer), 0);
}

/* ---- all of it, for a few messages ------------------------------------ */

#define DEEPEST 64

/* A path through the tree of what may happen, and the next one. */
static unsigned chosen[DEEPEST], choices[DEEPEST];

static void
walk(unsigned messages, unsigned trouble)
{
	enum happening events[4];
	size_t count;

	for (unsigned i = 0; i < messages; i++)
		put();
	connect_to_far();
	for (unsigned depth = 0; (count = possible(events, trouble)) != 0;
	     depth++) {
		ck_assert_uint_lt(depth, DEEPEST);
		if (choices[depth] == 0) {
			choices[depth] = (unsigned)count;
			chosen[depth] = 0;
		}
		if (events[chosen[depth]] >= EVENT_LOSS)
			trouble--;
		happen(events[chosen[depth]]);
	}
}

static bool
next_path(void)
{
	int depth = DEEPEST - 1;

	while (depth >= 0 &&
	    (choices[depth] == 0 || chosen[depth] + 1 == choices[depth])) {
		choices[depth] = 0;
		depth--;
	}
	if (depth < 0)
		return false;
	chosen[depth]++;
	return true;
}

START_TEST(is_exact_in_every_order_of_packets_losses_and_deaths)
{
	/* A remote that repeats its PUBRECs makes many more paths. */
	static const unsigned messages[] = { 3, 2, 2, 1 };
	static const unsigned trouble[] = { 1, 2, 1, 2 };
	uint64_t paths = 0;

	memset(choices, 0, sizeof(choices));
	do {
		make_world();
		far->passes_on_at_pubrel = (_i & 4) != 0;
		far->repeats_pubrec = (_i & 2) != 0;
		walk(messages[_i & 3], trouble[_i & 3]);
		check_once("path", paths);
		unmake_world();
		paths++;
	} while (next_path());
	fprintf(stderr, "# %llu paths\n", (unsigned long long)paths);
	ck_assert_uint_gt(paths, 100);
}
END_TEST

/* ---- death between any two stores ------------------------------------- */

static void
live(uint32_t dice)
{
	enum happening events[4];
	size_t count;

	connect_to_far();
	while ((count = possible(events, 0)) != 0 || put_count < 6) {
		dice = dice * 1664525 + 1013904223;
		if (count == 0 || (put_count < 6 && dice >> 30 == 0)) {
			put();
			work();
		} else {
			happen(events[(dice >> 24) % count]);
		}
	}
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
			make_world();
			far->passes_on_at_pubrel = (_i & 1) != 0;
			far->repeats_pubrec = (_i & 2) != 0;
			if (!dies_at(first, (uint32_t)_i))
				break;
			if (!dies_at(second, (uint32_t)_i + 99) && second != 0)
				break;
			if (!alive)
				live((uint32_t)_i);
			finish();
			check_once("death at", first);
			unmake_world();
		}
		unmake_world();
		if (second == 0)
			break;
	}
	ck_assert_uint_gt(first, 40);
}
END_TEST

/* ---- anything, for long ----------------------------------------------- */

static void
anything(uint32_t dice)
{
	size_t at;

	switch ((dice >> 24) % 16) {
	case 0:
		if (put_count < 200 && (dice >> 8) % 4 != 0 &&
		    ring_producer_has_room(producer, 64))
			put();
		work();
		break;
	case 1:
		if ((dice >> 8) % 4 == 0) {
			end_life();
			connect_to_far();
		}
		break;
	case 2:
		if ((dice >> 8) % 4 == 0)
			lose_connection();
		break;
	case 3: /* twice the same */
		if (far->to_us.count != 0)
			far_push(&far->to_us, far->to_us.packets[0].type,
			    far->to_us.packets[0].id, 0);
		break;
	case 4: /* nobody's */
		far_push(&far->to_us, (dice & 1) ? FAR_PUBREC : FAR_PUBCOMP,
		    (uint16_t)(3000 + (dice >> 8) % 1000), 0);
		break;
	case 5:
	case 6:
	case 7: /* in any order */
		at = far->to_us.count == 0 ? 0 : (dice >> 8) % far->to_us.count;
		if (far->to_us.count != 0)
			near_step(at);
		break;
	case 8:
	case 9:
	case 10:
		if (far->to_us.count != 0)
			near_step(0);
		break;
	default:
		if (far->to_far.count != 0)
			far_step(far);
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
	make_world();
	far->passes_on_at_pubrel = (_i & 1) != 0;
	far->repeats_pubrec = (_i & 2) != 0;
	connect_to_far();
	for (int step = 0; step < 6000; step++) {
		dice = dice * 1664525 + 1013904223;
		anything(dice);
		ck_assert_uint_le(forward_in_flight(&forward), window);
	}
	lose_connection();
	finish();
	ck_assert_uint_gt(put_count, 50);
	/* Answers out of order may change the order of what is passed on. */
	far->out_of_order = 0;
	check_once("seed", seed);
	unmake_world();
}
END_TEST

/* ---- when the remote forgets ------------------------------------------ */

/* What it said PUBREC for counts as its own; the rest is sent anew. */
START_TEST(sends_anew_what_a_remote_forgot_that_it_did_not_have)
{
	make_world();
	for (int i = 0; i < 3; i++)
		put();
	connect_to_far();
	far_step(far);
	far_step(far);
	near_step(0);
	if (_i == 0)
		forward_down(&forward);
	else
		end_life();
	far_forget(far);
	connect_to_far();
	/* Of three, the first was kept; the second's PUBREC was not seen. */
	ck_assert_uint_eq(far->to_far.count, 2);
	finish();
	ck_assert_uint_eq(far->passed_on[0], 1);
	ck_assert_uint_eq(far->passed_on[1], 2);
	ck_assert_uint_eq(far->passed_on[2], 1);
	ck_assert_uint_eq(ring_producer_used_bytes(producer), 0);
	unmake_world();
}
END_TEST

/* A ring that is new, a remote that remembers the one before. */
static void
rebuild_ring(void)
{
	struct far_mqtt *known = malloc(sizeof(*known));

	ck_assert_ptr_nonnull(known);
	end_life();
	ring_producer_free(producer);
	*known = *far;
	make_world();
	*far = *known;
	free(known);
	memset(far->passed_on, 0, sizeof(far->passed_on));
	far->newest = 0;
	end_life();
}

START_TEST(is_exact_after_a_ring_of_which_the_remote_knows_some)
{
	unsigned first, passed_before[2];

	for (first = 1;; first++) {
		make_world();
		put();
		put();
		connect_to_far();
		far->passes_on_at_pubrel = (_i & 1) != 0;
		far->repeats_pubrec = (_i & 2) != 0;
		far_step(far);
		far_step(far);
		rebuild_ring();
		if (!dies_at(first, (uint32_t)_i))
			break;
		live((uint32_t)_i);
		finish();
		/* What the old ring left half done may be passed on now. */
		passed_before[0] = far->passed_on[0];
		passed_before[1] = far->passed_on[1];
		ck_assert_uint_ge(passed_before[0], 1);
		ck_assert_uint_le(passed_before[0], 1 + (_i & 1));
		ck_assert_uint_ge(passed_before[1], 1);
		ck_assert_uint_le(passed_before[1], 1 + (_i & 1));
		far->passed_on[0] = far->passed_on[1] = 1;
		far->out_of_order = 0;
		check_once("death at", first);
		unmake_world();
	}
	ck_assert_uint_gt(first, 40);
	unmake_world();
}
END_TEST

/* "drop_oldest" loses what was under way, not what comes long after. */
START_TEST(frees_the_identifiers_of_what_it_lost)
{
	conf.overflow = CONF_OVERFLOW_DROP_OLDEST;
	make_world();
	put();
	put();
	connect_to_far();
	far_step(far);
	end_life();
	connect_to_far();
	finish();
	ck_assert_int_eq(far->stored[inflight_id(1)], 0);
	put();
	work();
	finish();
	ck_assert_uint_eq(far->passed_on[2], 1);
	unmake_world();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("exactly_once_out");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(
	    tc, is_exact_in_every_order_of_packets_losses_and_deaths, 0, 8);
	tcase_add_loop_test(
	    tc, is_exact_when_it_dies_between_any_two_stores, 0, 4);
	tcase_add_loop_test(tc, is_exact_whatever_happens, 0, 8);
	tcase_add_loop_test(
	    tc, sends_anew_what_a_remote_forgot_that_it_did_not_have, 0, 2);
	tcase_add_loop_test(
	    tc, is_exact_after_a_ring_of_which_the_remote_knows_some, 0, 4);
	tcase_add_test(tc, frees_the_identifiers_of_what_it_lost);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
