/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The module is compiled here with stores that can be the last one of a life:
 * each test of a crash dies before, between and after all of them.
 */

#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

static jmp_buf death;
static int stores_left; /* before it dies; -1: it lives */

static void
die_in_time(void)
{
	if (stores_left == 0)
		longjmp(death, 1);
	if (stores_left > 0)
		stores_left--;
}

#undef atomic_store_explicit
#define atomic_store_explicit(word, value, order)                              \
	do {                                                                   \
		die_in_time();                                                 \
		*(word) = (value);                                             \
	} while (0)

/* What a life that dies while it attaches would leave behind. */
static void *in_the_making;

static void *
make(size_t count, size_t size)
{
	in_the_making = calloc(count, size);
	return in_the_making;
}

#define calloc(count, size) make(count, size)
#include "common/ring/ring_forward.c"
#undef calloc

#include "tests/unit/unit.h"

#define OUTPUTS 2u
#define INPUTS 2u
#define RECORDS 5u
#define LINK 3u /* of input 0; the next is of the next link */

/* ---- one output ------------------------------------------------------------
 */

static struct ring_forwarded table[PAIRS];

static struct ring_forward *
attach(uint64_t head)
{
	struct ring_forward *forward = ring_forward_new(table, head);

	ck_assert_ptr_nonnull(forward);
	return forward;
}

static void
set_up(void)
{
	memset(table, 0, sizeof(table));
	stores_left = -1;
}

START_TEST(has_nothing_at_first)
{
	struct ring_forward *forward = attach(0);

	ck_assert(!ring_forward_has(forward, 0, 0, 1));
	ck_assert(!ring_forward_has(forward, 63, 31, 1));
	ring_forward_free(forward);
}
END_TEST

START_TEST(has_what_was_noted_and_all_before_it_from_that_lane)
{
	struct ring_forward *forward = attach(0);

	ring_forward_note(forward, 1, 2, 7);
	ck_assert(ring_forward_has(forward, 1, 2, 6));
	ck_assert(ring_forward_has(forward, 1, 2, 7));
	ck_assert(!ring_forward_has(forward, 1, 2, 8));
	ck_assert(!ring_forward_has(forward, 2, 1, 1));
	ring_forward_free(forward);
}
END_TEST

START_TEST(what_was_filled_counts_once_the_head_is_there)
{
	struct ring_forward *forward = attach(0);

	ring_forward_note(forward, 1, 2, 7);
	ring_forward_fill(forward, 128);
	ring_forward_free(forward);
	forward = attach(128);
	ck_assert_uint_eq(ring_forward_sequence(forward, 1, 2), 7);
	ring_forward_free(forward);
}
END_TEST

START_TEST(a_head_that_never_came_leaves_what_was_before)
{
	struct ring_forward *forward = attach(0);

	ring_forward_note(forward, 1, 2, 7);
	ring_forward_fill(forward, 128);
	ring_forward_note(forward, 1, 2, 9);
	ring_forward_fill(forward, 256);
	ring_forward_free(forward);
	forward = attach(128);
	ck_assert_uint_eq(ring_forward_sequence(forward, 1, 2), 7);
	ring_forward_free(forward);

	/* Erased: it does not come true with other records. */
	forward = attach(512);
	ck_assert_uint_eq(ring_forward_sequence(forward, 1, 2), 7);
	ring_forward_free(forward);
}
END_TEST

/* Recovery picks by the greatest head that is not above the ring's. */
START_TEST(the_greatest_head_that_is_reached_counts)
{
	static const struct {
		uint64_t head[2], sequence[2], ring, counts;
	} cases[] = {
		{ { 0, 0 }, { 5, 6 }, 64, 5 }, /* a tie: slot 0 */
		{ { 64, 64 }, { 5, 6 }, 64, 5 },
		{ { 64, 128 }, { 5, 6 }, 128, 6 },
		{ { 64, 128 }, { 5, 6 }, 64, 5 },
		{ { 128, 64 }, { 5, 6 }, 64, 6 },
		{ { 128, 64 }, { 5, 6 }, 192, 5 },
		{ { 128, 192 }, { 5, 6 }, 64, 0 }, /* none is reached */
	};
	struct ring_forward *forward;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned k = 0; k < 2; k++) {
			table[0].slot[k].head = cases[i].head[k];
			table[0].slot[k].sequence = cases[i].sequence[k];
		}
		forward = attach(cases[i].ring);
		ck_assert_uint_eq(
		    ring_forward_sequence(forward, 0, 0), cases[i].counts);
		for (unsigned k = 0; k < 2; k++)
			ck_assert_uint_le(table[0].slot[k].head, cases[i].ring);
		ring_forward_free(forward);
	}
}
END_TEST

static void
check_five_forgotten(const struct ring_forward *forward)
{
	ck_assert_uint_eq(ring_forward_sequence(forward, 4, 0), 128);
	ck_assert_uint_eq(ring_forward_sequence(forward, 5, 0), 0);
	ck_assert_uint_eq(ring_forward_sequence(forward, 5, 31), 0);
	ck_assert_uint_eq(ring_forward_sequence(forward, 6, 0), 128);
}

START_TEST(a_link_that_is_made_anew_is_forgotten_and_no_other)
{
	struct ring_forward *forward = attach(0);

	for (uint64_t head = 64; head <= 128; head += 64) {
		ring_forward_note(forward, 4, 0, head);
		ring_forward_note(forward, 5, 0, head);
		ring_forward_note(forward, 5, 31, head);
		ring_forward_note(forward, 6, 0, head);
		ring_forward_fill(forward, head);
	}
	ring_forward_forget(forward, 5);
	check_five_forgotten(forward);
	ring_forward_free(forward);
	forward = attach(128);
	check_five_forgotten(forward);
	/* It counts again. */
	ring_forward_note(forward, 5, 0, 1);
	ring_forward_fill(forward, 192);
	ring_forward_free(forward);
	forward = attach(192);
	ck_assert_uint_eq(ring_forward_sequence(forward, 5, 0), 1);
	ring_forward_free(forward);
}
END_TEST

START_TEST(what_is_carried_over_is_known_but_not_in_memory)
{
	struct ring_forward *old = attach(0), *forward;

	ring_forward_note(old, 1, 1, 9);
	ring_forward_fill(old, 64);
	memset(table, 0, sizeof(table));
	forward = attach(0);
	ring_forward_carry(forward, old);
	ring_forward_free(old);
	ck_assert(ring_forward_has(forward, 1, 1, 9));
	ring_forward_free(forward);
	forward = attach(0);
	ck_assert(!ring_forward_has(forward, 1, 1, 9));
	ring_forward_free(forward);
}
END_TEST

/* ---- the hand-over, dying anywhere --------------------------------------- */

/*
 * Shared memory, which outlives the lives: two inputs with RECORDS records
 * each, two outputs that take one record a position.
 */
struct world {
	struct ring_forwarded table[OUTPUTS][PAIRS];
	uint64_t head[OUTPUTS];
	struct {
		uint32_t input;
		uint64_t sequence;
	} put[OUTPUTS][64];
	uint64_t receipt[INPUTS], tail[INPUTS];
};

static struct world world;
static struct ring_forward *forwards[OUTPUTS];

/* A store to shared memory that is not the module's. */
static void
store_word(uint64_t *word, uint64_t value)
{
	die_in_time();
	*word = value;
}

/* Record 3 of input 1 goes to output 0 alone. */
static bool
goes(uint32_t output, uint32_t input, uint64_t sequence)
{
	return output == 0 || input == 0 || sequence != 3;
}

static bool
is_committed(uint32_t output, uint32_t input, uint64_t sequence)
{
	for (uint64_t at = 0; at < world.head[output] / RING_ALIGN; at++) {
		if (world.put[output][at].input == input &&
		    world.put[output][at].sequence == sequence)
			return true;
	}
	return false;
}

static void
put(uint32_t output, uint64_t *next, uint32_t input, uint64_t sequence)
{
	if (!goes(output, input, sequence) ||
	    ring_forward_has(forwards[output], LINK + input, 0, sequence))
		return;
	world.put[output][*next / RING_ALIGN].input = input;
	world.put[output][*next / RING_ALIGN].sequence = sequence;
	*next += RING_ALIGN;
	ring_forward_note(forwards[output], LINK + input, 0, sequence);
}

/* A round: up to `batch` records of each input, outputs, receipts, tails. */
static void
hand_over(uint64_t batch)
{
	uint64_t next[OUTPUTS], taken[INPUTS];

	for (uint32_t o = 0; o < OUTPUTS; o++)
		next[o] = world.head[o];
	for (uint32_t i = 0; i < INPUTS; i++) {
		for (taken[i] = world.tail[i];
		     taken[i] < RECORDS && taken[i] < world.tail[i] + batch;
		     taken[i]++) {
			for (uint32_t o = 0; o < OUTPUTS; o++)
				put(o, &next[o], i, taken[i] + 1);
		}
	}
	for (uint32_t o = 0; o < OUTPUTS; o++) {
		ring_forward_fill(forwards[o], next[o]);
		if (next[o] != world.head[o])
			store_word(&world.head[o], next[o]);
	}
	for (uint32_t i = 0; i < INPUTS; i++)
		store_word(&world.receipt[i], taken[i]);
	for (uint32_t i = 0; i < INPUTS; i++)
		store_word(&world.tail[i], taken[i]);
}

/* Runs until it returns or dies; returns false if it died. */
static bool
survives(void (*run)(void *arg), void *arg)
{
	if (setjmp(death) != 0)
		return false;
	run(arg);
	return true;
}

static void
run_life(void *arg)
{
	for (uint32_t o = 0; o < OUTPUTS; o++) {
		forwards[o] = ring_forward_new(world.table[o], world.head[o]);
		in_the_making = NULL;
	}
	while (world.tail[0] < RECORDS || world.tail[1] < RECORDS)
		hand_over(*(uint64_t *)arg);
}

/* One life; returns false if it died. */
static bool
live(int stores, uint64_t batch)
{
	bool is_alive;

	stores_left = stores;
	is_alive = survives(run_life, &batch);
	stores_left = -1;
	free(in_the_making);
	in_the_making = NULL;
	for (uint32_t o = 0; o < OUTPUTS; o++) {
		ring_forward_free(forwards[o]);
		forwards[o] = NULL;
	}
	return is_alive;
}

static unsigned
times_put(uint32_t output, uint32_t input, uint64_t sequence)
{
	unsigned times = 0;

	for (uint64_t at = 0; at < world.head[output] / RING_ALIGN; at++)
		times += world.put[output][at].input == input &&
		    world.put[output][at].sequence == sequence;
	return times;
}

static void
check_between_lives(void)
{
	for (uint32_t i = 0; i < INPUTS; i++) {
		ck_assert_uint_le(world.tail[i], world.receipt[i]);
		for (uint64_t s = 1; s <= world.receipt[i]; s++)
			for (uint32_t o = 0; o < OUTPUTS; o++)
				ck_assert(
				    !goes(o, i, s) || is_committed(o, i, s));
	}
}

static void
check_exactly_once(void)
{
	uint64_t last[INPUTS];

	for (uint32_t o = 0; o < OUTPUTS; o++) {
		for (uint32_t i = 0; i < INPUTS; i++)
			for (uint64_t s = 1; s <= RECORDS; s++)
				ck_assert_uint_eq(
				    times_put(o, i, s), goes(o, i, s));
		memset(last, 0, sizeof(last));
		for (uint64_t at = 0; at < world.head[o] / RING_ALIGN; at++) {
			ck_assert_uint_gt(world.put[o][at].sequence,
			    last[world.put[o][at].input]);
			last[world.put[o][at].input] =
			    world.put[o][at].sequence;
		}
	}
}

/* Returns true if the first life did not die. */
static bool
die_again_at_each_store(int first, uint64_t batch)
{
	bool is_whole = false, second_is_whole = false;

	for (int second = 0; !second_is_whole; second++) {
		memset(&world, 0, sizeof(world));
		is_whole = live(first, batch);
		check_between_lives();
		second_is_whole = live(second, 3 - batch);
		check_between_lives();
		ck_assert(live(-1, 2));
		check_exactly_once();
	}
	return is_whole;
}

/*
 * Dies at store `first`, then at store `second` of its next life, then lives
 * to the end.  The batches differ from life to life, as they do.
 */
START_TEST(each_output_has_each_record_once_wherever_two_lives_end)
{
	const uint64_t batch = 1 + (uint64_t)_i % 2;
	bool is_whole = false;
	int first;

	for (first = 0; !is_whole; first++)
		is_whole = die_again_at_each_store(first, batch);
	/* Two stores a slot, a head, receipts, tails, for each batch. */
	ck_assert_int_gt(first, 20);
}
END_TEST

static void
forget_five(void *arg)
{
	ring_forward_forget(arg, 5);
}

/* Dying while it forgets leaves nothing that counts too much, done again. */
START_TEST(forgetting_can_be_cut_short_and_done_again)
{
	struct ring_forward *forward;

	for (int stores = 0; stores < 4; stores++) {
		set_up();
		forward = attach(0);
		for (uint64_t head = 64; head <= 192; head += 64) {
			ring_forward_note(forward, 5, 1, head);
			ring_forward_fill(forward, head);
		}
		stores_left = stores;
		ck_assert(!survives(forget_five, forward));
		stores_left = -1;
		ring_forward_free(forward);
		forward = attach(192);
		ring_forward_forget(forward, 5);
		ring_forward_free(forward);
		forward = attach(192);
		ck_assert_uint_eq(ring_forward_sequence(forward, 5, 1), 0);
		ring_forward_free(forward);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_forward");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, has_nothing_at_first);
	tcase_add_test(tc, has_what_was_noted_and_all_before_it_from_that_lane);
	tcase_add_test(tc, what_was_filled_counts_once_the_head_is_there);
	tcase_add_test(tc, a_head_that_never_came_leaves_what_was_before);
	tcase_add_test(tc, the_greatest_head_that_is_reached_counts);
	tcase_add_test(tc, a_link_that_is_made_anew_is_forgotten_and_no_other);
	tcase_add_test(tc, what_is_carried_over_is_known_but_not_in_memory);
	tcase_add_loop_test(
	    tc, each_output_has_each_record_once_wherever_two_lives_end, 0, 2);
	tcase_add_test(tc, forgetting_can_be_cut_short_and_done_again);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
