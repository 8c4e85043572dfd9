/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The power fails in each call of a run that changes anything on the disk.
 *
 * WEIR_ROUNDS: so many ways to lose each time.
 */

#include <stdlib.h>

#include "tests/unit/store_script.h"
#include "tests/unit/unit.h"

static unsigned
rounds(void)
{
	const char *text = getenv("WEIR_ROUNDS");

	return text == NULL ? 2 : (unsigned)atoi(text);
}

static void
start(struct twin *twin, uint64_t seed, bool is_synced)
{
	twin_init(
	    twin, seed, SCRIPT_SEGMENT_BYTES, SCRIPT_MAX_BYTES, is_synced);
	ck_assert_int_eq(twin_open(twin), 0);
}

/* How many calls there are, of a run without a cut. */
static uint64_t
count_changes(bool is_synced)
{
	struct twin twin;
	uint64_t before, count;

	start(&twin, 1, is_synced);
	before = store_sim_changes(twin.sim);
	script_run(&twin);
	count = store_sim_changes(twin.sim) - before;
	twin_check(&twin);
	twin_fini(&twin);
	return count;
}

/* Cut in call `nth`; then it has all that was acknowledged, and goes on. */
static void
cut_at(uint64_t nth, uint64_t seed, enum store_sim_loss loss, bool is_synced)
{
	struct twin twin;

	start(&twin, seed, is_synced);
	store_sim_cut_at(twin.sim, nth, loss);
	script_run(&twin);
	ck_assert(store_sim_is_off(twin.sim));
	twin_power_on(&twin, loss);
	ck_assert_int_eq(twin_open(&twin), 0);
	if (is_synced) {
		twin_crash(&twin, STORE_SIM_LOSE_ALL);
		ck_assert_int_eq(twin_open(&twin), 0);
	}
	script_goes_on(&twin);
	twin_fini(&twin);
}

START_TEST(nothing_acknowledged_is_lost_when_all_else_is)
{
	uint64_t count = count_changes(true);

	ck_assert_uint_gt(count, 50);
	for (uint64_t nth = 0; nth < count; nth++)
		cut_at(nth, nth, STORE_SIM_LOSE_ALL, true);
}
END_TEST

START_TEST(nothing_is_taken_twice_when_all_survives)
{
	uint64_t count = count_changes(true);

	for (uint64_t nth = 0; nth < count; nth++)
		cut_at(nth, nth, STORE_SIM_LOSE_NONE, true);
}
END_TEST

START_TEST(nothing_acknowledged_is_lost_when_any_part_of_the_rest_is)
{
	uint64_t count = count_changes(true);

	for (uint64_t nth = 0; nth < count; nth++)
		for (unsigned way = 0; way < rounds(); way++)
			cut_at(
			    nth, way * count + nth, STORE_SIM_LOSE_SOME, true);
}
END_TEST

/* Else it would be lost when the power fails, later, behind its users. */
START_TEST(what_is_there_after_a_kill_is_safe_once_it_has_been_found)
{
	uint64_t count = count_changes(true);

	for (uint64_t nth = 0; nth < count; nth++)
		cut_at(nth, nth, STORE_SIM_KILL, true);
}
END_TEST

/* The process dies; what it wrote is in the kernel's hands. */
START_TEST(without_syncs_a_kill_loses_nothing_acknowledged)
{
	uint64_t count = count_changes(false);

	for (uint64_t nth = 0; nth < count; nth++)
		cut_at(nth, nth, STORE_SIM_KILL, false);
}
END_TEST

/* And again while it recovers, wherever. */
START_TEST(recovery_may_be_cut_too)
{
	uint64_t count = count_changes(true);
	struct twin twin;

	for (uint64_t nth = 0; nth < count; nth++) {
		start(&twin, nth, true);
		store_sim_cut_at(twin.sim, nth, STORE_SIM_LOSE_SOME);
		script_run(&twin);
		for (unsigned again = 0; again < 3; again++) {
			twin_power_on(&twin, STORE_SIM_LOSE_SOME);
			store_sim_cut_at(
			    twin.sim, twin_dice(&twin, 8), STORE_SIM_LOSE_SOME);
			twin_open_in_vain(&twin);
		}
		twin_power_on(&twin, STORE_SIM_LOSE_SOME);
		ck_assert_int_eq(twin_open(&twin), 0);
		script_goes_on(&twin);
		twin_fini(&twin);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_power");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_acknowledged_is_lost_when_all_else_is);
	tcase_add_test(tc, nothing_is_taken_twice_when_all_survives);
	tcase_add_test(
	    tc, nothing_acknowledged_is_lost_when_any_part_of_the_rest_is);
	tcase_add_test(
	    tc, what_is_there_after_a_kill_is_safe_once_it_has_been_found);
	tcase_add_test(tc, without_syncs_a_kill_loses_nothing_acknowledged);
	tcase_add_test(tc, recovery_may_be_cut_too);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
