/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/pace.h"

#include "common/base/clock.h"
#include "tests/unit/unit.h"

#define MS CLOCK_MS_NS
#define START (1000 * CLOCK_SECOND_NS)

static struct pace pace;

static void
setup(void)
{
	pace = (struct pace){ 0 };
}

static void
change(uint32_t messages, uint32_t burst, uint32_t bytes, uint32_t bytes_burst)
{
	const struct conf_rate rate = {
		.per_second = messages,
		.burst = burst,
		.bytes_per_second = bytes,
		.bytes_burst = bytes_burst,
	};

	pace_change(&pace, &rate, START);
}

START_TEST(lets_all_through_without_a_limit)
{
	change(0, 0, 0, 0);
	for (int i = 0; i < 100000; i++)
		ck_assert(pace_take(&pace, 1000000, START));
}
END_TEST

START_TEST(says_when_the_next_may_go)
{
	change(10, 2, 0, 0);
	ck_assert(pace_take(&pace, 5, START));
	ck_assert(pace_take(&pace, 5, START));
	ck_assert(!pace_take(&pace, 5, START));
	ck_assert_uint_eq(pace.until_ns, START + 100 * MS);
	ck_assert(!pace_take(&pace, 5, START + 99 * MS));
	ck_assert(pace_take(&pace, 5, START + 100 * MS));
	ck_assert_uint_eq(pace.until_ns, 0);
}
END_TEST

START_TEST(takes_of_both_or_of_none)
{
	change(10, 2, 100, 100);
	ck_assert(pace_take(&pace, 100, START));
	/* No bytes are left: the message's token is not lost by asking. */
	for (int i = 0; i < 10; i++)
		ck_assert(!pace_take(&pace, 50, START));
	ck_assert_uint_eq(pace.until_ns, START + 500 * MS);
	ck_assert(pace_take(&pace, 0, START));
	ck_assert(!pace_take(&pace, 0, START));
}
END_TEST

START_TEST(counts_a_message_above_the_burst_as_the_burst)
{
	change(0, 0, 100, 100);
	ck_assert(pace_take(&pace, 5000, START));
	ck_assert(!pace_take(&pace, 5000, START + 999 * MS));
	ck_assert(pace_take(&pace, 5000, START + 1000 * MS));
}
END_TEST

START_TEST(takes_back_what_was_not_sent)
{
	change(10, 1, 100, 100);
	ck_assert(pace_take(&pace, 70, START));
	pace_give(&pace, 70);
	ck_assert(pace_take(&pace, 100, START));
}
END_TEST

START_TEST(keeps_what_was_used_when_the_limit_changes)
{
	change(10, 10, 0, 0);
	for (int i = 0; i < 10; i++)
		ck_assert(pace_take(&pace, 1, START));
	change(20, 10, 0, 0);
	ck_assert(!pace_take(&pace, 1, START));
	ck_assert_uint_eq(pace.until_ns, START + 50 * MS);
	change(0, 0, 0, 0);
	ck_assert(pace_take(&pace, 1, START));
	change(20, 1, 0, 0);
	ck_assert(pace_take(&pace, 1, START));
	ck_assert(!pace_take(&pace, 1, START));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pace");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, lets_all_through_without_a_limit);
	tcase_add_test(tc, says_when_the_next_may_go);
	tcase_add_test(tc, takes_of_both_or_of_none);
	tcase_add_test(tc, counts_a_message_above_the_burst_as_the_burst);
	tcase_add_test(tc, takes_back_what_was_not_sent);
	tcase_add_test(tc, keeps_what_was_used_when_the_limit_changes);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
