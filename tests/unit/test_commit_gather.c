/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/commit_private.h"
#include "common/base/clock.h"
#include "tests/unit/unit.h"

#define SYNC_NS (3200 * CLOCK_US_NS)
#define STEP_NS (SYNC_NS / 32)
#define BEGIN_NS CLOCK_SECOND_NS

/* After many syncs of that length; the last had `items`, at BEGIN_NS. */
static struct commit_gather
after_a_run_of(uint64_t items)
{
	struct commit_gather gather = { 0 };

	for (unsigned i = 0; i < 100; i++) {
		commit_gather_came(&gather, items);
		commit_gather_ended(&gather, items, SYNC_NS, BEGIN_NS);
	}
	ck_assert_uint_ge(gather.sync_ns, SYNC_NS - 100);
	gather.sync_ns = SYNC_NS;
	/* While it was synced, as many came. */
	commit_gather_came(&gather, items);
	return gather;
}

START_TEST(waits_for_those_that_were_just_answered)
{
	struct commit_gather gather = after_a_run_of(100);
	uint64_t now_ns = BEGIN_NS;

	for (unsigned came = 0; came < 100; came += 20) {
		ck_assert_uint_eq(
		    commit_gather_ns(&gather, 100, now_ns), STEP_NS);
		commit_gather_came(&gather, 20);
		now_ns += STEP_NS;
	}
	ck_assert_uint_eq(commit_gather_ns(&gather, 100, now_ns), 0);
}
END_TEST

/* On the average 100 items take a sync, and so long more. */
static bool
waits_with(uint64_t in_each_step, uint64_t waited_ns)
{
	struct commit_gather gather = after_a_run_of(1000);
	uint64_t steps = waited_ns / STEP_NS, step;

	for (step = 0; step < steps; step++) {
		commit_gather_ns(&gather, 100, BEGIN_NS + step * STEP_NS);
		commit_gather_came(&gather, in_each_step);
	}
	return commit_gather_ns(&gather, 100, BEGIN_NS + waited_ns) != 0;
}

START_TEST(waits_while_they_come_faster_than_a_run_carries_them)
{
	/* 100 in 32 steps and those that it has waited for. */
	ck_assert(waits_with(5, 8 * STEP_NS));
	ck_assert(!waits_with(3, 8 * STEP_NS));
	ck_assert(!waits_with(0, 8 * STEP_NS));

	/* But a little in any case: they have a way to go. */
	ck_assert(waits_with(0, 3 * STEP_NS));
	ck_assert(!waits_with(0, 4 * STEP_NS));
}
END_TEST

START_TEST(waits_half_a_sync_at_most)
{
	ck_assert(waits_with(10, 15 * STEP_NS));
	ck_assert(!waits_with(10, 16 * STEP_NS));
}
END_TEST

START_TEST(does_not_wait_after_a_small_run_or_a_fast_sync)
{
	struct commit_gather gather = after_a_run_of(31);

	ck_assert_uint_eq(commit_gather_ns(&gather, 100, BEGIN_NS), 0);
	gather = after_a_run_of(32);
	ck_assert_uint_ne(commit_gather_ns(&gather, 100, BEGIN_NS), 0);
	gather.sync_ns = 300 * CLOCK_US_NS;
	ck_assert_uint_eq(commit_gather_ns(&gather, 100, BEGIN_NS), 0);
}
END_TEST

START_TEST(stops_waiting_for_publishers_that_do_not_come_back)
{
	struct commit_gather gather = after_a_run_of(100);
	unsigned pauses = 0;

	ck_assert_uint_ne(commit_gather_ns(&gather, 100, BEGIN_NS), 0);
	commit_gather_came(&gather, 49);
	commit_gather_ended(&gather, 100, SYNC_NS, BEGIN_NS);
	while (commit_gather_ns(&gather, 100, BEGIN_NS) == 0) {
		commit_gather_ended(&gather, 100, SYNC_NS, BEGIN_NS);
		pauses++;
		ck_assert_uint_lt(pauses, 100);
	}
	ck_assert_uint_eq(pauses, 32);

	/* Enough came this time. */
	commit_gather_came(&gather, 0);
	commit_gather_came(&gather, 50);
	commit_gather_ended(&gather, 100, SYNC_NS, BEGIN_NS);
	ck_assert_uint_ne(commit_gather_ns(&gather, 100, BEGIN_NS), 0);
}
END_TEST

START_TEST(does_not_count_what_came_during_the_sync)
{
	struct commit_gather gather = after_a_run_of(100);

	ck_assert_uint_ne(commit_gather_ns(&gather, 100, BEGIN_NS), 0);
	ck_assert_uint_ne(commit_gather_ns(&gather, 100, BEGIN_NS), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("commit_gather");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, waits_for_those_that_were_just_answered);
	tcase_add_test(
	    tc, waits_while_they_come_faster_than_a_run_carries_them);
	tcase_add_test(tc, waits_half_a_sync_at_most);
	tcase_add_test(tc, does_not_wait_after_a_small_run_or_a_fast_sync);
	tcase_add_test(tc, stops_waiting_for_publishers_that_do_not_come_back);
	tcase_add_test(tc, does_not_count_what_came_during_the_sync);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
