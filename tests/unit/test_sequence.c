/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/sequence.h"

#include <stdbool.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct sequence stream;

static void
forget(void)
{
	sequence_fini(&stream);
}

START_TEST(a_stream_in_order_has_nothing_to_remember)
{
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_int_eq(sequence_note(&stream, i), SEQUENCE_NEXT);
	ck_assert_ptr_null(stream.gaps);
	ck_assert_uint_eq(sequence_missing(&stream, 1000), 0);
	ck_assert_uint_eq(sequence_missing(&stream, 1003), 3);
}
END_TEST

START_TEST(what_is_jumped_over_is_missing)
{
	ck_assert_int_eq(sequence_note(&stream, 2), SEQUENCE_AHEAD);
	ck_assert_int_eq(sequence_note(&stream, 3), SEQUENCE_NEXT);
	ck_assert_int_eq(sequence_note(&stream, 7), SEQUENCE_AHEAD);
	ck_assert_uint_eq(sequence_missing(&stream, 8), 5);
	ck_assert_uint_eq(sequence_missing(&stream, 5), 3);
	ck_assert_uint_eq(sequence_missing(&stream, 1), 1);
}
END_TEST

START_TEST(what_comes_behind_a_greater_one_is_late_and_not_missing)
{
	sequence_note(&stream, 5);
	ck_assert_int_eq(sequence_note(&stream, 2), SEQUENCE_LATE);
	ck_assert_int_eq(sequence_note(&stream, 0), SEQUENCE_LATE);
	ck_assert_int_eq(sequence_note(&stream, 4), SEQUENCE_LATE);
	ck_assert_uint_eq(sequence_missing(&stream, 6), 2);
	ck_assert_int_eq(sequence_note(&stream, 1), SEQUENCE_LATE);
	ck_assert_int_eq(sequence_note(&stream, 3), SEQUENCE_LATE);
	ck_assert_uint_eq(sequence_missing(&stream, 6), 0);
}
END_TEST

START_TEST(what_was_here_is_doubled_also_when_it_was_late)
{
	sequence_note(&stream, 0);
	ck_assert_int_eq(sequence_note(&stream, 0), SEQUENCE_DOUBLED);
	sequence_note(&stream, 4);
	ck_assert_int_eq(sequence_note(&stream, 4), SEQUENCE_DOUBLED);
	ck_assert_int_eq(sequence_note(&stream, 2), SEQUENCE_LATE);
	ck_assert_int_eq(sequence_note(&stream, 2), SEQUENCE_DOUBLED);
	ck_assert_uint_eq(sequence_missing(&stream, 5), 2);
}
END_TEST

/* The promise: as a set of all numbers would have it. */
START_TEST(says_what_a_set_of_all_numbers_says)
{
	enum {
		NUMBERS = 300
	};
	bool seen[NUMBERS] = { false };
	uint32_t dice = (uint32_t)_i + 1, number, next = 0, missing = 0;
	enum sequence_verdict expected;

	for (int turn = 0; turn < 1500; turn++) {
		dice = dice * 1664525 + 1013904223;
		number = (dice >> 8) % NUMBERS;
		if (number < next)
			expected =
			    seen[number] ? SEQUENCE_DOUBLED : SEQUENCE_LATE;
		else
			expected =
			    number == next ? SEQUENCE_NEXT : SEQUENCE_AHEAD;
		if (number >= next)
			next = number + 1;
		seen[number] = true;
		ck_assert_int_eq(sequence_note(&stream, number), expected);
	}
	for (number = 0; number < NUMBERS; number++)
		missing += !seen[number];
	ck_assert_uint_eq(sequence_missing(&stream, NUMBERS), missing);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sequence");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, forget);
	tcase_add_test(tc, a_stream_in_order_has_nothing_to_remember);
	tcase_add_test(tc, what_is_jumped_over_is_missing);
	tcase_add_test(
	    tc, what_comes_behind_a_greater_one_is_late_and_not_missing);
	tcase_add_test(tc, what_was_here_is_doubled_also_when_it_was_late);
	tcase_add_loop_test(tc, says_what_a_set_of_all_numbers_says, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
