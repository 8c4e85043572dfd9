/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The n-th call to the disk fails, or the n-th allocation, for every n of a
 * run.  It does not crash, acknowledges nothing that is not kept, and goes on
 * when it can.
 *
 * This program's malloc() and its kin come by here (-Wl,--wrap).
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/store_script.h"
#include "tests/unit/unit.h"
#include "tests/unit/unit_memory.h"

/* ---- memory -------------------------------------------------------------- */

static uint64_t allocations;
static uint64_t failing_from = UINT64_MAX, failing_to;

static bool
fails(void)
{
	uint64_t number;

	if (unit_memory_is_own())
		return false;
	number = allocations++;
	return number >= failing_from && number < failing_to;
}

/* Of the `nth` from now on so many fail. */
static void
fail_memory(uint64_t nth, uint64_t count)
{
	failing_from = allocations + nth;
	failing_to = failing_from + count;
}

static void
memory_is_well(void)
{
	failing_from = UINT64_MAX;
	failing_to = 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *memory, size_t size)
{
	return fails() ? NULL : __real_realloc(memory, size);
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

/* ---- runs ---------------------------------------------------------------- */

static void
start(struct twin *twin, uint64_t seed)
{
	twin_init(twin, seed, SCRIPT_SEGMENT_BYTES, SCRIPT_MAX_BYTES, true);
	ck_assert_int_eq(twin_open(twin), 0);
}

/* Well again: what was committed is there, and more can be. */
static void
finish(struct twin *twin)
{
	memory_is_well();
	store_sim_heal(twin->sim);
	twin_check(twin);
	script_goes_on(twin);
	twin_fini(twin);
}

static uint64_t
count_calls(enum store_sim_call call)
{
	struct twin twin;
	uint64_t before, count;

	start(&twin, 1);
	before = store_sim_count(twin.sim, call);
	script_run(&twin);
	count = store_sim_count(twin.sim, call) - before;
	twin_fini(&twin);
	return count;
}

static const enum store_sim_call disk_calls[] = { STORE_SIM_OPEN,
	STORE_SIM_WRITE, STORE_SIM_SYNC, STORE_SIM_ALLOCATE, STORE_SIM_RENAME,
	STORE_SIM_REMOVE, STORE_SIM_SYNC_DIRECTORY, STORE_SIM_READ };

static void
fail_each_call(int err, bool lasts)
{
	struct twin twin;
	uint64_t count;

	for (size_t i = 0; i < sizeof(disk_calls) / sizeof(*disk_calls); i++) {
		count = count_calls(disk_calls[i]);
		for (uint64_t nth = 0; nth < count; nth++) {
			start(&twin, nth);
			store_sim_fail(
			    twin.sim, disk_calls[i], nth, err, lasts);
			script_run(&twin);
			finish(&twin);
		}
	}
}

START_TEST(each_call_may_fail_once_with_an_error_of_the_disk)
{
	fail_each_call(-EIO, false);
}
END_TEST

START_TEST(each_call_may_fail_from_some_time_on)
{
	fail_each_call(-EIO, true);
}
END_TEST

START_TEST(each_call_may_fail_for_want_of_space)
{
	fail_each_call(-ENOSPC, true);
}
END_TEST

/*
 * The process dies too; the next one reads what was written, and may answer
 * by it.  It must be there after a power cut.
 */
START_TEST(what_a_failed_sync_has_left_in_memory_is_written_again)
{
	struct twin twin;
	uint64_t count = count_calls(STORE_SIM_SYNC);

	for (uint64_t nth = 0; nth < count; nth++) {
		start(&twin, nth);
		store_sim_fail(twin.sim, STORE_SIM_SYNC, nth, -EIO, true);
		script_run(&twin);
		twin_crash(&twin, STORE_SIM_KILL);
		store_sim_heal(twin.sim);
		ck_assert_int_eq(twin_open(&twin), 0);
		twin_crash(&twin, STORE_SIM_LOSE_ALL);
		ck_assert_int_eq(twin_open(&twin), 0);
		finish(&twin);
	}
}
END_TEST

START_TEST(the_disk_may_be_gone_for_a_while)
{
	struct twin twin;
	uint64_t count = count_calls(STORE_SIM_CALLS);

	for (uint64_t nth = 0; nth < count; nth++) {
		start(&twin, nth);
		store_sim_break(twin.sim, nth, 1 + nth % 9 * nth % 5);
		script_run(&twin);
		finish(&twin);
	}
}
END_TEST

/* The same while it starts: an error, or a store that is whole. */
START_TEST(each_call_of_a_start_may_fail)
{
	struct twin twin;

	for (size_t i = 0; i < sizeof(disk_calls) / sizeof(*disk_calls); i++)
		for (uint64_t nth = 0; nth < 40; nth++) {
			start(&twin, nth);
			script_run(&twin);
			twin_crash(&twin, STORE_SIM_LOSE_SOME);
			store_sim_fail(
			    twin.sim, disk_calls[i], nth, -EIO, nth % 2 == 0);
			twin_open_in_vain(&twin);
			store_sim_heal(twin.sim);
			ck_assert_int_eq(twin_open(&twin), 0);
			finish(&twin);
		}
}
END_TEST

START_TEST(a_disk_may_be_of_any_size)
{
	struct twin twin;

	for (uint64_t pages = 0; pages < 512; pages += 7) {
		start(&twin, pages);
		store_sim_set_disk(
		    twin.sim, store_sim_used(twin.sim) + 4096 * pages);
		script_run(&twin);
		store_sim_set_disk(twin.sim, UINT64_MAX);
		finish(&twin);
	}
}
END_TEST

static void
fail_each_allocation(uint64_t in_a_row)
{
	struct twin twin;
	uint64_t count, before;

	start(&twin, 1);
	before = allocations;
	script_run(&twin);
	count = allocations - before;
	twin_fini(&twin);
	ck_assert_uint_gt(count, 0);
	printf("# %" PRIu64 " allocations\n", count);
	for (uint64_t nth = 0; nth < count; nth++) {
		start(&twin, 1);
		fail_memory(nth, in_a_row);
		script_run(&twin);
		finish(&twin);
	}
}

START_TEST(each_allocation_may_fail)
{
	fail_each_allocation(1);
}
END_TEST

START_TEST(many_allocations_may_fail_in_a_row)
{
	fail_each_allocation(20);
}
END_TEST

START_TEST(each_allocation_of_a_start_may_fail)
{
	struct twin twin;
	uint64_t before, count = 1;

	start(&twin, 1);
	script_run(&twin);
	for (uint64_t nth = 0; nth < count; nth++) {
		twin_crash(&twin, STORE_SIM_LOSE_NONE);
		before = allocations;
		fail_memory(nth, 1 + nth % 2 * UINT64_MAX / 2);
		twin_open_in_vain(&twin);
		memory_is_well();
		if (allocations - before > count)
			count = allocations - before;
		ck_assert_int_eq(twin_open(&twin), 0);
	}
	printf("# %" PRIu64 " allocations\n", count);
	finish(&twin);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_faults");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, each_call_may_fail_once_with_an_error_of_the_disk);
	tcase_add_test(tc, each_call_may_fail_from_some_time_on);
	tcase_add_test(tc, each_call_may_fail_for_want_of_space);
	tcase_add_test(
	    tc, what_a_failed_sync_has_left_in_memory_is_written_again);
	tcase_add_test(tc, the_disk_may_be_gone_for_a_while);
	tcase_add_test(tc, each_call_of_a_start_may_fail);
	tcase_add_test(tc, a_disk_may_be_of_any_size);
	tcase_add_test(tc, each_allocation_may_fail);
	tcase_add_test(tc, many_allocations_may_fail_in_a_row);
	tcase_add_test(tc, each_allocation_of_a_start_may_fail);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
