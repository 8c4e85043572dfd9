/* SPDX-License-Identifier: Apache-2.0 */

/* Merging, on disks that fail, and what it costs. */

#include "tests/unit/merge_box.h"

/* ---- a crash at any step --------------------------------------------------
 */

static void
check_after_crash(uint64_t nth)
{
	ck_assert_msg(box.damages == 0, "%lu: %s: %s", (unsigned long)nth,
	    box.damaged_file, box.what);
	check_slow();
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_eq(box_files("merge.tmp"), 0);
	ck_assert_uint_le(box_files(".seg"), 4);
	check_slow();
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	check_slow();
}

/* Each test takes one kind of loss, and every SLICES-th step. */
#define SLICES 4

START_TEST(a_crash_at_any_step_loses_nothing)
{
	static const enum store_sim_loss losses[] = { STORE_SIM_KILL,
		STORE_SIM_LOSE_ALL, STORE_SIM_LOSE_NONE, STORE_SIM_LOSE_SOME,
		STORE_SIM_LOSE_SOME, STORE_SIM_LOSE_SOME };
	const enum store_sim_loss loss = losses[_i / SLICES];
	struct store_sim *sim, *disk;
	bool is_through = false;
	unsigned turns;

	begin((uint64_t)_i + 1);
	sparse(8);
	for (unsigned life = 0; life < 9; life++)
		live_once(100);
	store_close(box.store);
	disk = box.sim;
	for (uint64_t nth = (uint64_t)_i % SLICES; !is_through; nth += SLICES) {
		ck_assert_uint_lt(nth, 200);
		box.sim = sim = store_sim_clone(disk);
		ck_assert_int_eq(box_try_open(false), 0);
		store_sim_cut_at(sim, nth, loss);
		for (turns = 0; turns < 60 && !store_sim_is_off(sim); turns++)
			store_tend(box.store);
		store_close(box.store);
		is_through = !store_sim_is_off(sim);
		if (is_through)
			store_sim_cut(sim, loss);
		else
			store_sim_power_on(sim);
		store_sim_cut_at(sim, UINT64_MAX, loss);
		ck_assert_int_eq(box_try_open(false), 0);
		check_after_crash(nth);
		store_close(box.store);
		store_sim_free(sim);
	}
	store_sim_free(disk);
}
END_TEST

START_TEST(a_disk_that_refuses_any_step_loses_nothing)
{
	static const enum store_sim_call calls[] = { STORE_SIM_OPEN,
		STORE_SIM_READ, STORE_SIM_WRITE, STORE_SIM_SYNC,
		STORE_SIM_RENAME, STORE_SIM_REMOVE, STORE_SIM_SYNC_DIRECTORY };
	struct store_sim *sim, *disk;
	uint64_t before, calls_before;

	begin(1);
	sparse(8);
	store_close(box.store);
	disk = box.sim;
	for (uint64_t nth = 0; nth < 30; nth++) {
		box.sim = sim = store_sim_clone(disk);
		ck_assert_int_eq(box_try_open(false), 0);
		before = box_queued(SLOW);
		store_sim_fail(sim, calls[_i], nth, -ENOSPC, false);
		calls_before = store_sim_count(sim, calls[_i]);
		for (unsigned turns = 0; turns < 60 &&
		     store_sim_count(sim, calls[_i]) <= calls_before + nth;
		     turns++)
			store_tend(box.store);
		store_sim_heal(sim);
		if (calls[_i] != STORE_SIM_REMOVE)
			ck_assert_uint_eq(merged_files(), merged_segments());
		ck_assert_uint_eq(box_queued(SLOW), before);
		check_slow();
		box_restart();
		ck_assert_uint_eq(box.damages, 0);
		check_slow();
		box_tend();
		ck_assert_uint_eq(merged_files(), 1);
		check_slow();
		store_close(box.store);
		store_sim_free(sim);
	}
	store_sim_free(disk);
}
END_TEST

/* ---- what it costs --------------------------------------------------------
 */

/* Each life leaves a small file; there are never many of them. */
START_TEST(many_small_files_become_few)
{
	begin(1);
	for (unsigned life = 0; life < 200; life++) {
		to_slow(100);
		box_checkpoint("x");
		box_restart();
		box_tend();
		ck_assert_uint_le(box_files(".seg"), 30);
	}
	check_slow();
	ck_assert_uint_gt(box.store->segment_count, 1);
	box_close();
}
END_TEST

#define LIVE_MAX 20000u

static struct {
	uint64_t dice;
	struct {
		uint64_t cursor, sequence, bytes;
	} live[LIVE_MAX];
	size_t count;
} load;

/* Any of them is over, the old ones hardly ever. */
static void
end_some(void)
{
	uint64_t n = store_sim_dice(&load.dice, 3);
	size_t i;

	for (; n > 0 && load.count > 50; n--) {
		i = load.count / 8 +
		    (size_t)store_sim_dice(
			&load.dice, load.count - load.count / 8);
		box_done(load.live[i].cursor, load.live[i].sequence, 0);
		load.live[i] = load.live[--load.count];
	}
}

START_TEST(costs_little_whatever_is_waited_for)
{
	uint64_t cursor, length, live = 0, appended = 0, merged = 0;
	const uint64_t rounds = 8000;

	begin((uint64_t)_i + 1);
	memset(&load, 0, sizeof(load));
	load.dice = (uint64_t)_i + 1;
	for (uint64_t c = 20; c < 30; c++)
		box_open_cursor(c);
	for (uint64_t i = 0; i < rounds; i++) {
		cursor = 20 + store_sim_dice(&load.dice, 10);
		length = store_sim_dice(&load.dice, 1500);
		ck_assert_uint_lt(load.count, LIVE_MAX);
		load.live[load.count].cursor = cursor;
		load.live[load.count].bytes = length;
		load.live[load.count++].sequence =
		    box_message(&cursor, 1, (size_t)length);
		end_some();
		if (i % 60 == 0)
			box_checkpoint("x");
		box_tend();
	}
	appended = box.store->appended_bytes;
	merged = box.store->merged_bytes;
	for (size_t i = 0; i < load.count; i++)
		live += load.live[i].bytes + 200;
	ck_assert_uint_gt(merged, 0);
	ck_assert_msg(merged <= 2 * appended, "%lu merged, %lu appended",
	    (unsigned long)merged, (unsigned long)appended);

	/* Nor does it take much more room than what is waited for. */
	ck_assert_msg(
	    store_total_bytes(box.store) <= 4 * live + 12 * BOX_SEGMENT,
	    "%lu on the disk, %lu live",
	    (unsigned long)store_total_bytes(box.store), (unsigned long)live);
	box_close();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_merge_trouble");
	TCase *tc = tcase_create("all");

	/* Under a sanitizer, on a machine that is busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(
	    tc, a_crash_at_any_step_loses_nothing, 0, 6 * SLICES);
	tcase_add_loop_test(
	    tc, a_disk_that_refuses_any_step_loses_nothing, 0, 7);
	tcase_add_test(tc, many_small_files_become_few);
	tcase_add_loop_test(tc, costs_little_whatever_is_waited_for, 0, 3);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
