/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/overflow.h"

#include "tests/unit/unit.h"

#define MS CLOCK_MS_NS

static struct overflow_episode episode;

static enum overflow_news
look(struct overflow *overflow, uint64_t at_ns, uint32_t holds, uint64_t held,
    uint64_t refused)
{
	const struct overflow_now now = { at_ns, holds, held, refused };

	return overflow_look(overflow, &now, &episode);
}

START_TEST(says_nothing_of_a_lane_that_throttles)
{
	struct overflow overflow = { 0 };

	for (uint64_t i = 1; i < 100; i++) {
		ck_assert_int_eq(
		    look(&overflow, 1000 * i * MS, 3, i, 0), OVERFLOW_NOTHING);
		ck_assert_int_eq(
		    look(&overflow, (1000 * i + 900) * MS, 0, i, 0),
		    OVERFLOW_NOTHING);
	}
}
END_TEST

START_TEST(tells_of_a_refusal_at_once_and_sums_it_up)
{
	struct overflow overflow = { 0 };

	ck_assert_int_eq(look(&overflow, 100 * MS, 2, 2, 0), OVERFLOW_NOTHING);
	ck_assert_int_eq(look(&overflow, 200 * MS, 1, 2, 1), OVERFLOW_BEGAN);
	ck_assert_int_eq(look(&overflow, 300 * MS, 9, 10, 4), OVERFLOW_NOTHING);
	ck_assert_int_eq(look(&overflow, 400 * MS, 0, 12, 4), OVERFLOW_NOTHING);
	ck_assert_int_eq(
	    look(&overflow, 5299 * MS, 0, 12, 4), OVERFLOW_NOTHING);
	ck_assert_int_eq(look(&overflow, 5300 * MS, 0, 12, 4), OVERFLOW_ENDED);
	ck_assert_uint_eq(episode.lasted_ns, 200 * MS);
	ck_assert_uint_eq(episode.stalled, 12);
	ck_assert_uint_eq(episode.refused, 4);
	ck_assert_int_eq(
	    look(&overflow, 9000 * MS, 0, 12, 4), OVERFLOW_NOTHING);
	ck_assert(!overflow_close(&overflow, &episode));
}
END_TEST

START_TEST(tells_of_a_long_stall_before_anybody_is_refused)
{
	struct overflow overflow = { 0 };

	ck_assert_int_eq(look(&overflow, 100 * MS, 1, 1, 0), OVERFLOW_NOTHING);
	ck_assert_int_eq(look(&overflow, 1099 * MS, 1, 1, 0), OVERFLOW_NOTHING);
	ck_assert_int_eq(look(&overflow, 1100 * MS, 1, 1, 0), OVERFLOW_BEGAN);
	ck_assert(overflow_close(&overflow, &episode));
	ck_assert_uint_eq(episode.lasted_ns, 1000 * MS);
	ck_assert_uint_eq(episode.stalled, 1);
	ck_assert_uint_eq(episode.refused, 0);
}
END_TEST

START_TEST(a_flood_is_one_episode)
{
	struct overflow overflow = { 0 };
	unsigned told = 0;

	for (uint64_t i = 1; i < 10000; i++)
		told += look(&overflow, i * 50 * MS, i % 2, i, i / 100) !=
		    OVERFLOW_NOTHING;
	ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(the_next_episode_counts_its_own)
{
	struct overflow overflow = { 0 };

	ck_assert_int_eq(look(&overflow, 100 * MS, 0, 0, 7), OVERFLOW_BEGAN);
	ck_assert_int_eq(look(&overflow, 6000 * MS, 0, 0, 7), OVERFLOW_ENDED);
	ck_assert_uint_eq(episode.refused, 7);
	/* Held and gone between the looks: of no episode. */
	ck_assert_int_eq(
	    look(&overflow, 7000 * MS, 0, 50, 7), OVERFLOW_NOTHING);
	ck_assert_int_eq(look(&overflow, 8000 * MS, 1, 51, 8), OVERFLOW_BEGAN);
	ck_assert_int_eq(look(&overflow, 13000 * MS, 0, 51, 8), OVERFLOW_ENDED);
	ck_assert_uint_eq(episode.refused, 1);
	ck_assert_uint_eq(episode.stalled, 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_overflow");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, says_nothing_of_a_lane_that_throttles);
	tcase_add_test(tc, tells_of_a_refusal_at_once_and_sums_it_up);
	tcase_add_test(tc, tells_of_a_long_stall_before_anybody_is_refused);
	tcase_add_test(tc, a_flood_is_one_episode);
	tcase_add_test(tc, the_next_episode_counts_its_own);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
