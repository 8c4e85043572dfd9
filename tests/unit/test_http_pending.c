/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/pending.h"

#include <errno.h>

#include "tests/unit/unit.h"

#define MS UINT64_C(1000000)
#define STALL (2000 * MS)
#define RECEIPT (10000 * MS)

/* A broker that takes what `room` says, and a client that is told. */
struct world {
	struct pending *pending;
	int room[PENDING_LANES]; /* messages that a lane still takes */
	int error;               /* put() returns it instead */
	uint32_t reroute_to;
	uint64_t put[4096]; /* correlations in the order of their put */
	unsigned puts;
	uint64_t read_ns; /* of the last one */
	unsigned outcomes[PENDING_RESULTS];
	unsigned settled;
	uint32_t last_index;
	unsigned unstalled;
	int open[PENDING_LANES]; /* offered to a lane, and not settled in it */
};

static void
offered(void *context, uint32_t lane)
{
	((struct world *)context)->open[lane]++;
}

static void
rerouted(void *context, uint32_t from, uint32_t to)
{
	((struct world *)context)->open[from]--;
	((struct world *)context)->open[to]++;
}

static void
expect_no_lane_open(const struct world *world)
{
	for (uint32_t lane = 0; lane < PENDING_LANES; lane++)
		ck_assert_int_eq(world->open[lane], 0);
}

static int
put(void *context, uint32_t lane, const struct record_message *message,
    uint64_t identity, uint64_t correlation, uint64_t read_ns)
{
	struct world *world = context;

	(void)message;
	ck_assert_uint_eq(identity, 7);
	if (world->error != 0)
		return world->error;
	if (world->room[lane] == 0)
		return -EAGAIN;
	world->room[lane]--;
	world->put[world->puts++] = correlation;
	world->read_ns = read_ns;
	return 0;
}

static bool
has_room(void *context, uint32_t lane, size_t length)
{
	struct world *world = context;

	(void)length;
	return world->room[lane] > 0;
}

static void
unstalled(void *context, uint32_t lane)
{
	struct world *world = context;

	(void)lane;
	world->unstalled++;
}

static uint32_t
lane_of(void *context, struct slice topic)
{
	struct world *world = context;

	ck_assert(slice_equal_string(topic, "a/b"));
	return world->reroute_to;
}

static void
settled(void *context, void *owner, uint32_t index,
    const struct pending_outcome *outcome)
{
	struct world *world = context;

	ck_assert_ptr_nonnull(owner);
	world->outcomes[outcome->result]++;
	world->settled++;
	world->open[outcome->lane]--;
	world->last_index = index;
}

static const struct pending_ops ops = {
	.put = put,
	.offered = offered,
	.rerouted = rerouted,
	.has_room = has_room,
	.unstalled = unstalled,
	.lane_of = lane_of,
	.settled = settled,
};

static void
setup_size(struct world *world, uint32_t max_pending, uint32_t receipts)
{
	struct pending_config config = { .max_pending = max_pending,
		.max_stalled = max_pending,
		.max_held_bytes = 1 << 20,
		.stall_timeout_ns = STALL,
		.receipt_timeout_ns = RECEIPT };

	*world = (struct world){ .puts = 0 };
	world->pending = pending_new(&config, &ops, world);
	ck_assert_ptr_nonnull(world->pending);
	pending_attach(world->pending, 1, receipts, false);
}

static void
send(struct world *world, uint32_t lane, uint32_t index, uint64_t now_ns)
{
	struct record_message message = { .topic = slice_of("a/b", 3),
		.payload = slice_of("hello", 5),
		.expiry_s = RECORD_NEVER_EXPIRES };

	pending_send(world->pending, lane, &message, 7, world, index, now_ns);
}

/* As another request of `owner`: only its address is looked at. */
static void
send_of(struct world *world, void *owner, uint32_t lane, uint64_t now_ns)
{
	struct record_message message = { .topic = slice_of("a/b", 3),
		.payload = slice_of("hello", 5),
		.expiry_s = RECORD_NEVER_EXPIRES };

	pending_send(world->pending, lane, &message, 7, owner, 0, now_ns);
}

static void
setup_stalled(struct world *world, uint32_t max_stalled, uint64_t max_bytes)
{
	struct pending_config config = { .max_pending = 64,
		.max_stalled = max_stalled,
		.max_held_bytes = max_bytes,
		.stall_timeout_ns = STALL,
		.receipt_timeout_ns = RECEIPT };

	*world = (struct world){ .puts = 0 };
	world->pending = pending_new(&config, &ops, world);
	ck_assert_ptr_nonnull(world->pending);
	pending_attach(world->pending, 1, 64, false);
}

static bool
receipt(struct world *world, uint64_t correlation)
{
	struct record_answer answer = { .code = 0, .receivers = 1 };

	return pending_receipt(world->pending, correlation, &answer);
}

START_TEST(answers_only_on_the_receipt)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = 1;
	send(&world, 0, 5, 0);
	ck_assert_uint_eq(world.settled, 0);
	ck_assert(receipt(&world, world.put[0]));
	ck_assert_uint_eq(world.outcomes[PENDING_ANSWERED], 1);
	ck_assert_uint_eq(world.last_index, 5);
	ck_assert(!receipt(&world, world.put[0]));
	ck_assert_uint_eq(world.settled, 1);
	ck_assert_uint_eq(pending_use(world.pending).in_use, 0);
	ck_assert_uint_eq(pending_use(world.pending).high_water, 1);
	ck_assert_uint_eq(pending_use(world.pending).max, 16);
	pending_free(world.pending);
}
END_TEST

START_TEST(holds_without_credit_and_refuses_after_the_stall_timeout)
{
	struct world world;

	setup_size(&world, 16, 16);
	send(&world, 1, 0, 0);
	ck_assert_uint_eq(pending_held(world.pending), 1);
	pending_expire(world.pending, STALL - 1);
	ck_assert_uint_eq(world.settled, 0);
	pending_expire(world.pending, STALL);
	ck_assert_uint_eq(world.outcomes[PENDING_NO_CREDIT], 1);
	ck_assert_uint_eq(world.unstalled, 1);
	ck_assert_uint_eq(pending_held(world.pending), 0);
	pending_free(world.pending);
}
END_TEST

START_TEST(holds_no_more_requests_in_a_lane_than_allowed)
{
	struct world world;
	char owners[4];

	setup_stalled(&world, 2, 1 << 20);
	/* Any number of one request's messages is one request. */
	for (int i = 0; i < 5; i++)
		send_of(&world, &owners[0], 1, 0);
	send_of(&world, &owners[1], 1, 0);
	ck_assert_uint_eq(world.settled, 0);
	send_of(&world, &owners[2], 1, 0);
	ck_assert_uint_eq(world.outcomes[PENDING_NO_STALLED_PLACE], 1);
	send_of(&world, &owners[1], 1, 0);
	send_of(&world, &owners[2], 2, 0);
	ck_assert_uint_eq(world.settled, 1);

	/* A place is free when the last of a request's messages has gone. */
	world.room[1] = 4;
	pending_turn(world.pending, 1);
	send_of(&world, &owners[3], 1, 0);
	ck_assert_uint_eq(world.outcomes[PENDING_NO_STALLED_PLACE], 2);
	world.room[1] = 1;
	pending_turn(world.pending, 1);
	send_of(&world, &owners[3], 1, 0);
	ck_assert_uint_eq(world.settled, 2);

	world.reroute_to = 3;
	pending_reroute(world.pending);
	ck_assert_uint_eq(pending_lane_held(world.pending, 3), 4);
	send_of(&world, &owners[0], 3, 0);
	ck_assert_uint_eq(world.outcomes[PENDING_NO_STALLED_PLACE], 3);
	/* The lane they came from is empty. */
	send_of(&world, &owners[0], 1, 0);
	send_of(&world, &owners[3], 1, 0);
	ck_assert_uint_eq(world.outcomes[PENDING_NO_STALLED_PLACE], 3);
	pending_abandon(world.pending, &owners[1]);
	pending_abandon(world.pending, &owners[2]);
	send_of(&world, &owners[0], 3, 0);
	ck_assert_uint_eq(world.outcomes[PENDING_NO_STALLED_PLACE], 3);
	pending_free(world.pending);
}
END_TEST

START_TEST(holds_no_more_bytes_than_allowed)
{
	struct world world;
	uint64_t one;

	setup_stalled(&world, 64, 1 << 20);
	send(&world, 1, 0, 0);
	one = pending_lane_held_bytes(world.pending, 1);
	ck_assert_uint_gt(one, 8);
	pending_free(world.pending);

	setup_stalled(&world, 64, 6 * one);
	for (int i = 0; i < 5; i++)
		send(&world, 1, 0, 0);
	/* A lane takes as much as is still free. */
	ck_assert_uint_eq(world.outcomes[PENDING_NO_STALLED_BYTES], 2);
	ck_assert_uint_eq(pending_lane_held_bytes(world.pending, 1), 3 * one);
	send(&world, 2, 0, 0);
	ck_assert_uint_eq(pending_lane_held_bytes(world.pending, 2), one);
	ck_assert_uint_eq(pending_lane_held_total(world.pending, 1), 3);
	pending_expire(world.pending, STALL);
	ck_assert_uint_eq(pending_lane_held_bytes(world.pending, 1), 0);
	ck_assert_uint_eq(pending_lane_held_total(world.pending, 1), 3);
	pending_free(world.pending);
}
END_TEST

START_TEST(tells_the_next_deadline)
{
	struct world world;

	setup_size(&world, 16, 16);
	ck_assert_uint_eq(pending_next_deadline(world.pending), UINT64_MAX);
	world.room[0] = 1;
	send(&world, 0, 0, 3 * MS);
	ck_assert_uint_eq(
	    pending_next_deadline(world.pending), RECEIPT + 3 * MS);
	send(&world, 2, 0, 6 * MS);
	send(&world, 1, 0, 5 * MS);
	ck_assert_uint_eq(pending_next_deadline(world.pending), STALL + 5 * MS);
	pending_expire(world.pending, STALL + 5 * MS);
	ck_assert_uint_eq(pending_next_deadline(world.pending), STALL + 6 * MS);
	pending_expire(world.pending, RECEIPT + 3 * MS);
	ck_assert_uint_eq(pending_next_deadline(world.pending), UINT64_MAX);
	pending_free(world.pending);
}
END_TEST

START_TEST(says_when_a_message_was_read_also_if_it_was_held)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = 1;
	send(&world, 0, 0, 3 * MS);
	ck_assert_uint_eq(world.read_ns, 3 * MS);
	send(&world, 1, 0, 5 * MS);
	world.room[1] = 1;
	pending_turn(world.pending, 9 * MS);
	ck_assert_uint_eq(world.puts, 2);
	ck_assert_uint_eq(world.read_ns, 5 * MS);
	pending_free(world.pending);
}
END_TEST

START_TEST(lets_nobody_pass_those_who_wait_in_the_same_lane)
{
	struct world world;

	setup_size(&world, 16, 16);
	send(&world, 1, 0, 0);
	world.room[1] = 1;
	send(&world, 1, 1, 0);
	ck_assert_uint_eq(world.puts, 0);
	pending_turn(world.pending, MS);
	ck_assert_uint_eq(world.puts, 1);
	receipt(&world, world.put[0]);
	ck_assert_uint_eq(world.last_index, 0);
	ck_assert_uint_eq(pending_held(world.pending), 1);
	pending_free(world.pending);
}
END_TEST

START_TEST(lets_other_lanes_go_on)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = 1;
	send(&world, 1, 0, 0);
	send(&world, 0, 1, 0);
	ck_assert_uint_eq(world.puts, 1);
	pending_free(world.pending);
}
END_TEST

START_TEST(leaves_places_to_others_however_long_one_lane_stalls)
{
	struct world world;

	setup_size(&world, 64, 64);
	for (uint32_t i = 0; i < 200; i++)
		send(&world, 1, i, 0);
	ck_assert_uint_eq(pending_held(world.pending), 32);
	ck_assert_uint_eq(world.outcomes[PENDING_NO_PLACE], 168);
	world.room[0] = 1;
	send(&world, 0, 0, 0);
	ck_assert_uint_eq(world.puts, 1);
	pending_free(world.pending);
}
END_TEST

START_TEST(never_has_more_outstanding_than_receipts_fit)
{
	struct world world;

	setup_size(&world, 1000, 10);
	for (uint32_t lane = 0; lane < 4; lane++) {
		world.room[lane] = 1000;
		for (uint32_t i = 0; i < 100; i++)
			send(&world, lane, i, 0);
		/* The first takes half, the next half of the rest, ... */
		ck_assert(lane != 0 || world.puts == 5);
	}
	ck_assert_uint_le(world.puts, 10);
	ck_assert_uint_ge(world.puts, 5);
	/* A receipt that is late still has its place. */
	pending_expire(world.pending, RECEIPT);
	ck_assert_uint_eq(pending_outstanding(world.pending), world.puts);
	pending_free(world.pending);
}
END_TEST

START_TEST(gives_the_places_back_with_the_receipts)
{
	struct world world;

	setup_size(&world, 16, 4);
	world.room[0] = 100;
	for (unsigned i = 0; i < 100; i++) {
		send(&world, 0, i, 0);
		ck_assert_uint_eq(world.puts, i + 1);
		ck_assert(receipt(&world, world.put[i]));
	}
	pending_free(world.pending);
}
END_TEST

START_TEST(commits_nothing_while_a_smaller_ring_is_overbooked)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = world.room[1] = 100;
	for (uint32_t i = 0; i < 5; i++)
		send(&world, 0, i, 0);
	pending_committed(world.pending);
	pending_detach(world.pending);
	pending_attach(world.pending, 2, 3, true);
	send(&world, 1, 0, 0);
	ck_assert_uint_eq(world.puts, 5);
	ck_assert_uint_eq(pending_held(world.pending), 1);
	pending_free(world.pending);
}
END_TEST

START_TEST(calls_it_unknown_when_the_receipt_does_not_come)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = 1;
	send(&world, 0, 0, 0);
	pending_expire(world.pending, RECEIPT);
	ck_assert_uint_eq(world.outcomes[PENDING_UNKNOWN], 1);
	/* It comes after all: the place is free, nobody is told twice. */
	ck_assert(receipt(&world, world.put[0]));
	ck_assert_uint_eq(world.settled, 1);
	ck_assert_uint_eq(pending_outstanding(world.pending), 0);
	pending_free(world.pending);
}
END_TEST

START_TEST(tells_the_committed_from_the_others_when_the_broker_dies)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = 2;
	send(&world, 0, 0, 0);
	pending_committed(world.pending);
	send(&world, 0, 1, 0);
	send(&world, 1, 2, 0);
	pending_detach(world.pending);
	ck_assert_uint_eq(world.outcomes[PENDING_AWAY], 2);
	send(&world, 0, 3, 0);
	ck_assert_uint_eq(world.outcomes[PENDING_AWAY], 3);
	ck_assert_uint_eq(pending_outstanding(world.pending), 1);
	pending_attach(world.pending, 1, 16, false);
	ck_assert_uint_eq(world.outcomes[PENDING_UNKNOWN], 1);
	pending_free(world.pending);
}
END_TEST

START_TEST(takes_the_receipt_after_coming_back_to_the_same_broker)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = 1;
	send(&world, 0, 0, 0);
	pending_committed(world.pending);
	pending_detach(world.pending);
	pending_attach(world.pending, 2, 16, true);
	ck_assert_uint_eq(world.settled, 0);
	ck_assert(receipt(&world, world.put[0]));
	ck_assert_uint_eq(world.outcomes[PENDING_ANSWERED], 1);
	pending_free(world.pending);
}
END_TEST

START_TEST(ignores_receipts_of_a_former_life)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = 1;
	send(&world, 0, 0, 0);
	ck_assert(!receipt(&world, world.put[0] + (UINT64_C(1) << 40)));
	ck_assert(!receipt(&world, world.put[0] + 1));
	ck_assert(!receipt(&world, UINT64_MAX));
	ck_assert_uint_eq(world.settled, 0);
	pending_free(world.pending);
}
END_TEST

START_TEST(drops_what_an_absent_client_had_not_committed)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.room[0] = 1;
	send(&world, 0, 0, 0);
	send(&world, 0, 1, 0);
	pending_abandon(world.pending, &world);
	ck_assert_uint_eq(world.outcomes[PENDING_ABANDONED], 1);
	ck_assert_uint_eq(pending_held(world.pending), 0);
	ck_assert(receipt(&world, world.put[0]));
	pending_free(world.pending);
}
END_TEST

START_TEST(moves_held_messages_in_order_when_filters_change)
{
	struct world world;

	setup_size(&world, 16, 16);
	send(&world, 1, 0, 0);
	send(&world, 2, 1, 0);
	send(&world, 1, 2, 0);
	world.reroute_to = 3;
	pending_reroute(world.pending);
	ck_assert_uint_eq(pending_lane_held(world.pending, 3), 3);
	world.room[3] = 3;
	ck_assert(pending_is_movable(world.pending));
	pending_turn(world.pending, 0);
	for (uint32_t i = 0; i < 3; i++) {
		receipt(&world, world.put[i]);
		ck_assert_uint_eq(world.last_index, i);
	}
	ck_assert(!pending_is_movable(world.pending));
	expect_no_lane_open(&world);
	pending_free(world.pending);
}
END_TEST

START_TEST(refuses_what_can_never_fit)
{
	struct world world;

	setup_size(&world, 16, 16);
	world.error = -EMSGSIZE;
	send(&world, 0, 0, 0);
	ck_assert_uint_eq(world.outcomes[PENDING_TOO_LARGE], 1);
	pending_free(world.pending);
}
END_TEST

/* The promise: each message is settled exactly once, whatever happens. */
START_TEST(settles_every_message_exactly_once)
{
	struct world world;
	uint32_t dice = (uint32_t)_i + 1;
	uint64_t now_ns = 0;
	unsigned sent = 0, answered = 0;

	setup_size(&world, 32, 20);
	for (int turn = 0; turn < 3000; turn++) {
		dice = dice * 1664525 + 1013904223;
		now_ns += (dice >> 8) % (300 * MS);
		world.room[(dice >> 4) % 3] = (int)((dice >> 12) % 4);
		if ((dice >> 28) < 8) {
			send(&world, (dice >> 20) % 3, 0, now_ns);
			sent++;
		}
		if ((dice >> 24) % 4 == 0 && answered < world.puts)
			receipt(&world, world.put[answered++]);
		pending_turn(world.pending, now_ns);
		if ((dice >> 16) % 97 != 0)
			pending_committed(world.pending);
		if ((dice >> 16) % 97 == 0) {
			pending_detach(world.pending);
			pending_attach(world.pending, (uint64_t)turn, 20,
			    (dice & 1024) != 0);
		}
		pending_expire(world.pending, now_ns);
		ck_assert_uint_le(pending_outstanding(world.pending), 20);
	}
	pending_detach(world.pending);
	pending_attach(world.pending, 9999, 20, false);
	ck_assert_uint_eq(world.settled, sent);
	ck_assert_uint_eq(pending_outstanding(world.pending), 0);
	ck_assert_uint_eq(pending_held(world.pending), 0);
	expect_no_lane_open(&world);
	pending_free(world.pending);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_pending");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, answers_only_on_the_receipt);
	tcase_add_test(
	    tc, holds_without_credit_and_refuses_after_the_stall_timeout);
	tcase_add_test(tc, holds_no_more_requests_in_a_lane_than_allowed);
	tcase_add_test(tc, holds_no_more_bytes_than_allowed);
	tcase_add_test(tc, tells_the_next_deadline);
	tcase_add_test(tc, says_when_a_message_was_read_also_if_it_was_held);
	tcase_add_test(tc, lets_nobody_pass_those_who_wait_in_the_same_lane);
	tcase_add_test(tc, lets_other_lanes_go_on);
	tcase_add_test(
	    tc, leaves_places_to_others_however_long_one_lane_stalls);
	tcase_add_test(tc, never_has_more_outstanding_than_receipts_fit);
	tcase_add_test(tc, gives_the_places_back_with_the_receipts);
	tcase_add_test(tc, commits_nothing_while_a_smaller_ring_is_overbooked);
	tcase_add_test(tc, calls_it_unknown_when_the_receipt_does_not_come);
	tcase_add_test(
	    tc, tells_the_committed_from_the_others_when_the_broker_dies);
	tcase_add_test(
	    tc, takes_the_receipt_after_coming_back_to_the_same_broker);
	tcase_add_test(tc, ignores_receipts_of_a_former_life);
	tcase_add_test(tc, drops_what_an_absent_client_had_not_committed);
	tcase_add_test(tc, moves_held_messages_in_order_when_filters_change);
	tcase_add_test(tc, refuses_what_can_never_fit);
	tcase_add_loop_test(tc, settles_every_message_exactly_once, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
