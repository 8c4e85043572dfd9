/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/tally.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

#define BRIDGES 4u

static struct tally *tally;

static void
setup(void)
{
	tally = tally_new(BRIDGES);
	ck_assert_ptr_nonnull(tally);
}

static void
teardown(void)
{
	tally_free(tally);
}

static void
expect(unsigned bridge, uint64_t offered, uint64_t accepted, uint64_t declined)
{
	struct tally_terms sum = { 0 };

	tally_add(tally, bridge, &sum);
	ck_assert_uint_eq(sum.offered, offered);
	ck_assert_uint_eq(sum.accepted, accepted);
	ck_assert_uint_eq(sum.declined, declined);
}

START_TEST(counts_for_each_bridge_of_a_set)
{
	tally_offered(tally, 0x5);
	tally_offered(tally, 0x4);
	tally_accepted(tally, 0x1);
	tally_declined(tally, 0x4);
	expect(0, 1, 1, 0);
	expect(1, 0, 0, 0);
	expect(2, 2, 0, 1);
}
END_TEST

START_TEST(moves_what_is_for_others_now)
{
	tally_offered(tally, 0x3);
	tally_moved(tally, 0x3, 0x6);
	expect(0, 0, 0, 0);
	expect(1, 1, 0, 0);
	expect(2, 1, 0, 0);
}
END_TEST

START_TEST(adds_to_a_sum)
{
	struct tally_terms sum = { 100, 10, 1, 5 };

	tally_offered(tally, 0x8);
	tally_add(tally, 3, &sum);
	ck_assert_uint_eq(sum.offered, 101);
	ck_assert_uint_eq(sum.accepted, 10);
	ck_assert_uint_eq(sum.declined, 1);
	tally_stalled(tally, 0x8);
	tally_add(tally, 3, &sum);
	ck_assert_uint_eq(sum.stalled, 6);
	ck_assert_uint_eq(sum.offered, 102);
}
END_TEST

/* The promise: each bridge has what was said for it, and nothing else. */
START_TEST(keeps_all_bridges_apart)
{
	uint64_t want[BRIDGES][3] = { { 0 } }, set;

	srand((unsigned)_i);
	for (int step = 0; step < 2000; step++) {
		const int term = rand() % 3;

		set = (uint64_t)rand() % (1u << BRIDGES);
		if (term == 0)
			tally_offered(tally, set);
		else if (term == 1)
			tally_accepted(tally, set);
		else
			tally_declined(tally, set);
		for (unsigned i = 0; i < BRIDGES; i++)
			want[i][term] += set >> i & 1;
	}
	for (unsigned i = 0; i < BRIDGES; i++)
		expect(i, want[i][0], want[i][1], want[i][2]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tally");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, counts_for_each_bridge_of_a_set);
	tcase_add_test(tc, moves_what_is_for_others_now);
	tcase_add_test(tc, adds_to_a_sum);
	tcase_add_loop_test(tc, keeps_all_bridges_apart, 1, 21);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
