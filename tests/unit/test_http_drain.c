/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/drain.h"

#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS

/* Noted every 50 ms up to `until_ns`, as so many bytes a second are taken. */
static uint64_t
run(struct drain *drain, uint64_t from, uint64_t from_ns, uint64_t until_ns,
    uint64_t rate)
{
	uint64_t released = from;

	for (uint64_t now_ns = from_ns; now_ns <= until_ns;
	     now_ns += 50 * CLOCK_MS_NS) {
		released = from + rate * (now_ns - from_ns) / SECOND;
		drain_note(drain, released, now_ns);
	}
	return released;
}

START_TEST(knows_nothing_at_first)
{
	struct drain drain = { 0 };

	ck_assert_uint_eq(drain_rate(&drain, 0, SECOND), 0);
	ck_assert_uint_eq(drain_retry_after_s(&drain, 0, 1000, SECOND), 1);
}
END_TEST

START_TEST(tells_when_those_before_have_gone_in)
{
	struct drain drain = { 0 };
	uint64_t released = run(&drain, 0, SECOND, 10 * SECOND, 1000);

	ck_assert_uint_eq(released, 9000);
	ck_assert_uint_eq(drain_rate(&drain, released, 10 * SECOND), 1000);
	ck_assert_uint_eq(
	    drain_retry_after_s(&drain, released, 3000, 10 * SECOND), 3);
	ck_assert_uint_eq(
	    drain_retry_after_s(&drain, released, 3001, 10 * SECOND), 4);
	ck_assert_uint_eq(
	    drain_retry_after_s(&drain, released, 0, 10 * SECOND), 1);
	ck_assert_uint_eq(
	    drain_retry_after_s(&drain, released, 99000, 10 * SECOND), 60);
}
END_TEST

START_TEST(forgets_what_is_before_the_window)
{
	struct drain drain = { 0 };
	uint64_t released = run(&drain, 0, SECOND, 10 * SECOND, 100000);

	released = run(&drain, released, 10 * SECOND, 20 * SECOND, 10);
	ck_assert_uint_eq(drain_rate(&drain, released, 20 * SECOND), 10);
}
END_TEST

START_TEST(takes_no_rate_from_before_a_pause)
{
	struct drain drain = { 0 };
	uint64_t released = run(&drain, 0, SECOND, 2 * SECOND, 0);

	ck_assert_uint_eq(released, 0);
	ck_assert_uint_eq(drain_rate(&drain, 100000, 101 * SECOND), 0);
	drain_note(&drain, 100000, 101 * SECOND);
	ck_assert_uint_eq(drain_rate(&drain, 101000, 102 * SECOND), 1000);
}
END_TEST

START_TEST(sees_the_stall_while_it_lasts)
{
	struct drain drain = { 0 };
	uint64_t released = run(&drain, 0, SECOND, 10 * SECOND, 1000);

	run(&drain, released, 10 * SECOND, 17 * SECOND, 0);
	ck_assert_uint_eq(drain_rate(&drain, released, 17 * SECOND), 0);
	ck_assert_uint_eq(
	    drain_retry_after_s(&drain, released, 1, 17 * SECOND), 7);
	run(&drain, released, 17 * SECOND, 200 * SECOND, 0);
	ck_assert_uint_eq(
	    drain_retry_after_s(&drain, released, 1, 200 * SECOND), 60);
}
END_TEST

START_TEST(counts_what_moved_since_the_last_note)
{
	struct drain drain = { 0 };

	run(&drain, 500, SECOND, 10 * SECOND, 0);
	/* 5.5 seconds after the oldest step that it knows. */
	ck_assert_uint_eq(
	    drain_rate(&drain, 500 + 5000, 10 * SECOND + SECOND / 2), 1000);
}
END_TEST

START_TEST(begins_anew_with_another_lane)
{
	struct drain drain = { 0 };

	run(&drain, 50000, SECOND, 10 * SECOND, 1000);
	run(&drain, 0, 10 * SECOND, 12 * SECOND, 0);
	ck_assert_uint_eq(drain_rate(&drain, 0, 12 * SECOND), 0);
	ck_assert_uint_eq(drain_retry_after_s(&drain, 0, 1, 13 * SECOND), 3);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_drain");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, knows_nothing_at_first);
	tcase_add_test(tc, tells_when_those_before_have_gone_in);
	tcase_add_test(tc, forgets_what_is_before_the_window);
	tcase_add_test(tc, takes_no_rate_from_before_a_pause);
	tcase_add_test(tc, sees_the_stall_while_it_lasts);
	tcase_add_test(tc, counts_what_moved_since_the_last_note);
	tcase_add_test(tc, begins_anew_with_another_lane);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
