/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/clock.h"

#include <time.h>

#include "tests/unit/unit.h"

START_TEST(never_steps_back)
{
	uint64_t last_ns = clock_now_ns(), now_ns;

	for (int i = 0; i < 10000; i++) {
		now_ns = clock_now_ns();
		ck_assert_uint_ge(now_ns, last_ns);
		last_ns = now_ns;
	}
}
END_TEST

START_TEST(tells_the_time_of_day_in_nanoseconds)
{
	uint64_t before = (uint64_t)time(NULL);
	uint64_t seconds = clock_wall_ns() / CLOCK_SECOND_NS;

	/* time() may lag a tick behind the precise clock. */
	ck_assert_uint_ge(seconds + 1, before);
	ck_assert_uint_le(seconds, (uint64_t)time(NULL) + 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("clock");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, never_steps_back);
	tcase_add_test(tc, tells_the_time_of_day_in_nanoseconds);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
