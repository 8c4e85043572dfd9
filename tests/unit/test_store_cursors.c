/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/store_cursors.h"

#include <string.h>

#include "tests/unit/store_sim.h"
#include "tests/unit/unit.h"

#define SEGMENTS 4u
#define A_SEGMENT 500u /* sequences of each */
#define SEQUENCES (SEGMENTS * A_SEGMENT)

static struct store_cursors cursors;
static struct segment segments[SEGMENTS];
static uint64_t dice;

static void
setup(void)
{
	memset(&cursors, 0, sizeof(cursors));
	memset(segments, 0, sizeof(segments));
	for (unsigned i = 0; i < SEGMENTS; i++)
		segments[i].first_sequence = 1 + i * A_SEGMENT;
	dice = 1;
}

static void
teardown(void)
{
	cursors_fini(&cursors);
}

static struct segment *
segment_of(uint64_t sequence)
{
	return &segments[(sequence - 1) / A_SEGMENT];
}

static void
open_cursor(uint64_t number, uint64_t sequence)
{
	ck_assert_int_eq(cursors_reserve_open(&cursors, number), 0);
	cursors_open(&cursors, number, sequence);
}

static void
deliver(uint64_t number, uint64_t sequence)
{
	ck_assert_int_eq(cursors_reserve_delivery(&cursors, number), 0);
	cursors_deliver(&cursors, number, segment_of(sequence), sequence, 100);
}

static void
done(uint64_t number, uint64_t sequence, uint64_t floor, uint64_t applied)
{
	struct store_done one = { number, sequence, floor };

	ck_assert_int_eq(cursors_reserve_done(&cursors, number), 0);
	cursors_done(&cursors, &one, applied);
	cursors_unreserve(&cursors, number);
}

static uint64_t
queued(uint64_t number)
{
	const struct cursor *cursor = cursors_find(&cursors, number);
	uint64_t bytes, count;

	ck_assert_ptr_nonnull(cursor);
	count = cursor_queued(cursor, &bytes);
	ck_assert_uint_eq(bytes, count * 100);
	return count;
}

static uint64_t
live(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SEGMENTS; i++)
		sum += segments[i].live;
	return sum;
}

START_TEST(finds_each_of_many_and_none_that_is_gone)
{
	const uint64_t many = 5000;

	for (uint64_t n = 1; n <= many; n++)
		open_cursor(n * 3, 0);
	ck_assert_uint_eq(cursors.open, many);
	for (uint64_t n = 1; n <= many; n += 2)
		cursors_close(&cursors, n * 3);
	for (uint64_t n = 1; n <= many; n++) {
		ck_assert(
		    (cursors_find(&cursors, n * 3) == NULL) == (n % 2 == 1));
		ck_assert_ptr_null(cursors_find(&cursors, n * 3 + 1));
	}
	ck_assert_uint_eq(cursors.open, many / 2);
	ck_assert_uint_eq(cursors.next, many * 3 + 1);
}
END_TEST

START_TEST(a_cursor_that_was_not_committed_leaves_nothing)
{
	ck_assert_int_eq(cursors_reserve_open(&cursors, 5), 0);
	deliver(5, 1);
	ck_assert_uint_eq(live(), 0);
	cursors_unreserve(&cursors, 5);
	ck_assert_ptr_null(cursors_find(&cursors, 5));
	ck_assert_uint_eq(cursors.count, 0);
	cursors_unreserve(&cursors, 5);
}
END_TEST

START_TEST(a_closed_cursor_holds_nothing)
{
	open_cursor(1, 0);
	open_cursor(2, 0);
	for (uint64_t s = 1; s <= SEQUENCES; s++)
		deliver(1 + s % 2, s);
	ck_assert_uint_eq(live(), SEQUENCES);
	cursors_close(&cursors, 1);
	ck_assert_uint_eq(live(), SEQUENCES / 2);
	ck_assert_uint_eq(cursors.queued, SEQUENCES / 2);
	ck_assert(cursors_is_over(&cursors, 1, 2));
	ck_assert(!cursors_is_over(&cursors, 2, 3));
}
END_TEST

START_TEST(a_floor_alone_frees_whole_segments_exactly)
{
	open_cursor(1, 0);
	for (uint64_t s = 1; s <= SEQUENCES; s++)
		deliver(1, s);
	done(1, 0, A_SEGMENT, SEQUENCES);
	ck_assert_uint_eq(segments[0].live, 0);
	ck_assert_uint_eq(queued(1), SEQUENCES - A_SEGMENT);
	/* Within a segment a mark's distance may be missing, no more. */
	done(1, 0, A_SEGMENT + 200, SEQUENCES);
	ck_assert_uint_ge(segments[1].live, A_SEGMENT - 200);
	ck_assert_uint_lt(segments[1].live, A_SEGMENT - 200 + STORE_MARK_EVERY);
	done(1, 0, UINT64_MAX, SEQUENCES);
	ck_assert_uint_eq(live(), 0);
	ck_assert_uint_eq(cursors_find(&cursors, 1)->floor, SEQUENCES);
}
END_TEST

START_TEST(a_cursor_with_nothing_left_remembers_nothing)
{
	open_cursor(1, 0);
	for (uint64_t s = 1; s <= 100; s++)
		deliver(1, s);
	for (uint64_t s = 100; s >= 1; s--)
		done(1, s, 0, 150);
	ck_assert_uint_eq(queued(1), 0);
	ck_assert_uint_eq(cursors_find(&cursors, 1)->over_count, 0);
	ck_assert_uint_eq(cursors_find(&cursors, 1)->floor, 150);
	/* What comes now counts, in the same segment too. */
	deliver(1, 151);
	ck_assert_uint_eq(queued(1), 1);
	ck_assert_uint_eq(segments[0].live, 1);
}
END_TEST

START_TEST(a_checkpoint_brings_back_floor_and_over_set)
{
	const uint64_t over[] = { 3, 10, 12, 700 };

	ck_assert_int_eq(cursors_restore(&cursors, 1, 10, over, 4), 0);
	ck_assert_uint_eq(cursors_find(&cursors, 1)->over_count, 2);
	ck_assert_uint_eq(cursors.highest, 700);
	for (uint64_t s = 9; s <= 13; s++)
		deliver(1, s);
	deliver(1, 700);
	ck_assert_uint_eq(queued(1), 2);
	done(1, 11, 0, 800);
	done(1, 13, 0, 800);
	ck_assert_uint_eq(queued(1), 0);
	ck_assert_int_eq(cursors_restore(&cursors, 0, 900, NULL, 0), 0);
	ck_assert_uint_eq(cursors.highest, 900);
	ck_assert_ptr_null(cursors_find(&cursors, 0));
}
END_TEST

/* What one cursor should have. */
static bool is_delivered[SEQUENCES + 1], is_done[SEQUENCES + 1];

static uint64_t
expected(void)
{
	uint64_t count = 0;

	for (uint64_t s = 1; s <= SEQUENCES; s++)
		if (is_delivered[s] && !is_done[s])
			count++;
	return count;
}

/* The highest sequence before which nothing is left. */
static uint64_t
true_floor(uint64_t upto)
{
	for (uint64_t s = 1; s <= upto; s++)
		if (is_delivered[s] && !is_done[s])
			return s - 1;
	return upto;
}

static void
check_all(int seed, uint64_t upto)
{
	for (uint64_t s = 1; s <= upto; s++)
		if (is_delivered[s])
			ck_assert_msg(
			    cursors_is_over(&cursors, 1, s) == is_done[s],
			    "seed %d, sequence %d", seed, (int)s);
}

/*
 * Deliveries that end in any order, with floors that follow: counted exactly,
 * for the cursor and for its segments, and none is taken for over that is not.
 */
START_TEST(counts_what_is_left_whatever_ends_first)
{
	uint64_t pick, upto = 0;

	dice = (uint64_t)_i + 1;
	memset(is_delivered, 0, sizeof(is_delivered));
	memset(is_done, 0, sizeof(is_done));
	open_cursor(1, 0);
	open_cursor(2, 0);
	while (upto < SEQUENCES) {
		upto++;
		if (store_sim_dice(&dice, 4) != 0) {
			is_delivered[upto] = true;
			deliver(1, upto);
		} else
			deliver(2, upto);
		for (uint64_t n = store_sim_dice(&dice, 3); n > 0; n--) {
			pick = 1 + store_sim_dice(&dice, upto);
			if (!is_delivered[pick])
				continue;
			is_done[pick] = true;
			done(1, pick,
			    store_sim_dice(&dice, 2) ? true_floor(upto) : 0,
			    upto);
		}
		ck_assert_uint_eq(queued(1), expected());
		if (upto % 97 == 0)
			check_all(_i, upto);
	}
	check_all(_i, upto);
	ck_assert_uint_eq(live(), queued(1) + queued(2));
	ck_assert_uint_eq(cursors.queued, live());
}
END_TEST

/* Merged, it counts as before, and goes on doing so. */
START_TEST(counts_the_same_after_a_merge)
{
	struct segment into = { .first_sequence = 1 };
	struct segment *from[] = { &segments[0], &segments[1], &segments[2] };
	uint64_t before;

	open_cursor(1, 0);
	for (uint64_t s = 1; s <= SEQUENCES; s++)
		if (s % 3 != 0)
			deliver(1, s);
	for (uint64_t s = 1; s <= SEQUENCES; s += 7)
		done(1, s, 0, SEQUENCES);
	before = queued(1);
	cursors_merge(&cursors, 1, from, 3, &into);
	ck_assert_uint_eq(queued(1), before);
	ck_assert_uint_eq(into.live + segments[3].live, before);
	ck_assert_uint_eq(segments[0].live + segments[1].live, 0);
	for (uint64_t s = 1; s <= 3 * A_SEGMENT; s++)
		done(1, s, 0, SEQUENCES);
	ck_assert_uint_eq(into.live, 0);
	done(1, 0, SEQUENCES, SEQUENCES);
	ck_assert_uint_eq(live(), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_cursors");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, finds_each_of_many_and_none_that_is_gone);
	tcase_add_test(tc, a_cursor_that_was_not_committed_leaves_nothing);
	tcase_add_test(tc, a_closed_cursor_holds_nothing);
	tcase_add_test(tc, a_floor_alone_frees_whole_segments_exactly);
	tcase_add_test(tc, a_cursor_with_nothing_left_remembers_nothing);
	tcase_add_test(tc, a_checkpoint_brings_back_floor_and_over_set);
	tcase_add_loop_test(tc, counts_what_is_left_whatever_ends_first, 0, 8);
	tcase_add_test(tc, counts_the_same_after_a_merge);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
