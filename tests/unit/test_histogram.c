/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/histogram.h"

#include "tests/unit/unit.h"

static struct histogram h, other;

START_TEST(says_nothing_about_nothing)
{
	histogram_reset(&h);
	ck_assert_uint_eq(histogram_percentile(&h, 50), 0);
}
END_TEST

START_TEST(is_exact_below_32)
{
	histogram_reset(&h);
	for (uint64_t v = 1; v <= 10; v++)
		histogram_record(&h, v);
	ck_assert_uint_eq(histogram_percentile(&h, 0), 1);
	ck_assert_uint_eq(histogram_percentile(&h, 50), 5);
	ck_assert_uint_eq(histogram_percentile(&h, 51), 6);
	ck_assert_uint_eq(histogram_percentile(&h, 100), 10);
	ck_assert_uint_eq(h.sum, 55);
	ck_assert_uint_eq(h.min, 1);
}
END_TEST

START_TEST(takes_every_value_there_is)
{
	histogram_reset(&h);
	histogram_record(&h, 0);
	histogram_record(&h, UINT64_MAX);
	ck_assert_uint_eq(histogram_percentile(&h, 100), UINT64_MAX);
	ck_assert_uint_eq(histogram_percentile(&h, 50), 0);
	ck_assert_uint_eq(h.buckets[HISTOGRAM_BUCKETS - 1], 1);
}
END_TEST

START_TEST(merges_as_if_recorded_together)
{
	histogram_reset(&h);
	histogram_reset(&other);
	histogram_record(&h, 100);
	histogram_merge(&h, &other);
	histogram_record(&other, 5);
	histogram_record(&other, 7000);
	histogram_merge(&h, &other);
	ck_assert_uint_eq(h.count, 3);
	ck_assert_uint_eq(h.min, 5);
	ck_assert_uint_eq(h.max, 7000);
	ck_assert_uint_eq(histogram_percentile(&h, 30), 5);
}
END_TEST

/* The promise: at most 1/32 above the value, never below it. */
START_TEST(is_never_off_by_more_than_its_promise)
{
	uint64_t dice = 88172645463325252ull, value, answer;

	for (int i = 0; i < 2000; i++) {
		dice ^= dice << 13;
		dice ^= dice >> 7;
		dice ^= dice << 17;
		value = dice >> (dice % 64);
		histogram_reset(&h);
		histogram_record(&h, value);
		histogram_record(&h, UINT64_MAX);
		answer = histogram_percentile(&h, 50);
		ck_assert_uint_ge(answer, value);
		ck_assert_uint_le(answer - value, value / 32);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("histogram");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, says_nothing_about_nothing);
	tcase_add_test(tc, is_exact_below_32);
	tcase_add_test(tc, takes_every_value_there_is);
	tcase_add_test(tc, merges_as_if_recorded_together);
	tcase_add_test(tc, is_never_off_by_more_than_its_promise);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
