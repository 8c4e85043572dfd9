/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/sys_topics.h"

#include <math.h>
#include <stdbool.h>

#include "common/base/clock.h"
#include "tests/unit/unit.h"

static bool
is_near(double a, double b)
{
	return fabs(a - b) < 0.01;
}

START_TEST(begins_with_nothing)
{
	struct sys_load load = { 0 };

	/* What was counted before the first look is of no minute. */
	sys_load_add(&load, 1000, 0);
	for (int i = 0; i < 3; i++)
		ck_assert(is_near(load.minutes[i], 0));
	sys_load_add(&load, 1000, 10 * CLOCK_SECOND_NS);
	for (int i = 0; i < 3; i++)
		ck_assert(is_near(load.minutes[i], 0));
}
END_TEST

START_TEST(comes_to_a_steady_rate_at_the_speed_of_its_window)
{
	struct sys_load load = { 0 };
	uint64_t count = 0;

	sys_load_add(&load, count, 0);
	/* Two a second, for one minute: 1 - 1/e of it in the first window. */
	for (int i = 0; i < 6; i++)
		sys_load_add(&load, count += 20, 10 * CLOCK_SECOND_NS);
	ck_assert(is_near(load.minutes[0], 120 * (1 - exp(-1))));
	ck_assert(is_near(load.minutes[1], 120 * (1 - exp(-60.0 / 300))));
	ck_assert(is_near(load.minutes[2], 120 * (1 - exp(-60.0 / 900))));
	for (int i = 0; i < 1000; i++)
		sys_load_add(&load, count += 20, 10 * CLOCK_SECOND_NS);
	for (int i = 0; i < 3; i++)
		ck_assert(is_near(load.minutes[i], 120));
}
END_TEST

START_TEST(is_the_same_however_often_it_looks)
{
	struct sys_load often = { 0 }, seldom = { 0 };

	for (int i = 1; i <= 30; i++)
		sys_load_add(&often, (uint64_t)i * 7, CLOCK_SECOND_NS);
	sys_load_add(&seldom, 30 * 7, 30 * CLOCK_SECOND_NS);
	for (int i = 0; i < 3; i++)
		ck_assert(is_near(often.minutes[i], seldom.minutes[i]));
}
END_TEST

START_TEST(takes_a_number_that_fell_for_a_new_beginning)
{
	struct sys_load load = { .before = 1000 };

	sys_load_add(&load, 60, 3600 * CLOCK_SECOND_NS);
	ck_assert(is_near(load.minutes[0], 1));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sys_topics");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, begins_with_nothing);
	tcase_add_test(tc, comes_to_a_steady_rate_at_the_speed_of_its_window);
	tcase_add_test(tc, is_the_same_however_often_it_looks);
	tcase_add_test(tc, takes_a_number_that_fell_for_a_new_beginning);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
