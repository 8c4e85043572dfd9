/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/backoff.h"

#include "common/base/clock.h"
#include "tests/unit/unit.h"

#define MS CLOCK_MS_NS
#define SECOND CLOCK_SECOND_NS

/* From 100 ms to 1 s; ten seconds count as stable. */
static struct backoff
quick(void)
{
	struct backoff backoff;

	backoff_init(&backoff, 100 * MS, SECOND, 10 * SECOND);
	return backoff;
}

/* The dice that draw the whole of a bound. */
static uint64_t
longest(struct backoff *backoff)
{
	uint64_t bound_ns = backoff->bound_ns;

	return backoff_next(backoff, bound_ns);
}

START_TEST(doubles_its_bound_up_to_the_maximum)
{
	struct backoff backoff = quick();

	ck_assert_uint_eq(longest(&backoff), 100 * MS);
	ck_assert_uint_eq(longest(&backoff), 200 * MS);
	ck_assert_uint_eq(longest(&backoff), 400 * MS);
	ck_assert_uint_eq(longest(&backoff), 800 * MS);
	ck_assert_uint_eq(longest(&backoff), SECOND);
	ck_assert_uint_eq(longest(&backoff), SECOND);
}
END_TEST

START_TEST(waits_a_millisecond_at_least)
{
	struct backoff backoff = quick();

	ck_assert_uint_eq(backoff_next(&backoff, 0), MS);
}
END_TEST

START_TEST(starts_anew_after_a_stable_connection)
{
	struct backoff backoff = quick();

	longest(&backoff);
	longest(&backoff);
	backoff_connected(&backoff, SECOND);
	backoff_lost(&backoff, 11 * SECOND);
	ck_assert_uint_eq(longest(&backoff), 100 * MS);
}
END_TEST

START_TEST(goes_on_after_a_short_connection)
{
	struct backoff backoff = quick();

	longest(&backoff);
	longest(&backoff);
	backoff_connected(&backoff, SECOND);
	backoff_lost(&backoff, 11 * SECOND - 1);
	ck_assert_uint_eq(longest(&backoff), 400 * MS);
}
END_TEST

START_TEST(takes_no_failed_attempt_for_a_stable_connection)
{
	struct backoff backoff = quick();

	longest(&backoff);
	backoff_lost(&backoff, 1000 * SECOND);
	ck_assert_uint_eq(longest(&backoff), 200 * MS);
}
END_TEST

START_TEST(is_slow_from_the_first_time_when_denied)
{
	struct backoff backoff = quick();

	ck_assert_uint_ge(backoff_slow(&backoff, 0), 500 * MS);
	ck_assert_uint_le(backoff_slow(&backoff, UINT64_MAX), SECOND);
	ck_assert_uint_eq(longest(&backoff), SECOND);
}
END_TEST

START_TEST(is_sooner_when_somebody_waits)
{
	struct backoff backoff = quick();

	ck_assert_uint_eq(backoff_soon(&backoff, 300 * MS, 100 * MS), 100 * MS);
	ck_assert_uint_eq(backoff_soon(&backoff, 300 * MS, 200 * MS), 200 * MS);
	ck_assert_uint_eq(backoff_soon(&backoff, 300 * MS, 300 * MS), 300 * MS);
	ck_assert_uint_le(
	    backoff_soon(&backoff, 300 * MS, UINT64_MAX), 300 * MS);
	/* Never below the minimum's bound; the sequence goes on meanwhile. */
	ck_assert_uint_eq(backoff_soon(&backoff, MS, 100 * MS), 100 * MS);
	ck_assert_uint_eq(longest(&backoff), SECOND);
}
END_TEST

START_TEST(goes_on_within_other_bounds)
{
	struct backoff backoff = quick();

	longest(&backoff);
	longest(&backoff);
	backoff_change(&backoff, 50 * MS, 300 * MS, SECOND);
	ck_assert_uint_eq(longest(&backoff), 300 * MS);
	backoff_change(&backoff, 2 * SECOND, 8 * SECOND, SECOND);
	ck_assert_uint_eq(longest(&backoff), 2 * SECOND);
	backoff_connected(&backoff, 0);
	backoff_lost(&backoff, SECOND);
	ck_assert_uint_eq(longest(&backoff), 2 * SECOND);
}
END_TEST

START_TEST(does_not_overflow_with_the_longest_times)
{
	struct backoff backoff;

	backoff_init(&backoff, UINT64_MAX / 2 + 1, UINT64_MAX, SECOND);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_ge(backoff_next(&backoff, UINT64_MAX), MS);
	ck_assert_uint_eq(backoff.bound_ns, UINT64_MAX);
}
END_TEST

/* The promise: no wait above the maximum, and they spread over the bound. */
START_TEST(spreads_its_waits_over_the_whole_bound)
{
	struct backoff backoff = quick();
	unsigned low = 0, high = 0;
	uint64_t dice = 1, wait_ns;

	for (int i = 0; i < 6; i++)
		longest(&backoff);
	for (int i = 0; i < 10000; i++) {
		dice =
		    dice * UINT64_C(6364136223846793005) + 1442695040888963407;
		wait_ns = backoff_next(&backoff, dice >> 11);
		ck_assert_uint_le(wait_ns, SECOND);
		low += wait_ns < 250 * MS;
		high += wait_ns > 750 * MS;
	}
	ck_assert_uint_ge(low, 2000);
	ck_assert_uint_ge(high, 2000);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backoff");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, doubles_its_bound_up_to_the_maximum);
	tcase_add_test(tc, waits_a_millisecond_at_least);
	tcase_add_test(tc, starts_anew_after_a_stable_connection);
	tcase_add_test(tc, goes_on_after_a_short_connection);
	tcase_add_test(tc, takes_no_failed_attempt_for_a_stable_connection);
	tcase_add_test(tc, is_slow_from_the_first_time_when_denied);
	tcase_add_test(tc, is_sooner_when_somebody_waits);
	tcase_add_test(tc, goes_on_within_other_bounds);
	tcase_add_test(tc, does_not_overflow_with_the_longest_times);
	tcase_add_test(tc, spreads_its_waits_over_the_whole_bound);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
