/* SPDX-License-Identifier: Apache-2.0 */

/* Writer, keeper and somebody who looks, at the same time. */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/store_box.h"

#define MESSAGES 3000u

static atomic_bool is_over;

/* Tends, and writes checkpoints, as fast as it can. */
static void *
keep(void *arg)
{
	struct store_checkpoint *checkpoint;

	(void)arg;
	while (!atomic_load(&is_over)) {
		store_tend(box.store);
		if (store_checkpoint_begin(box.store, &checkpoint) != 0)
			continue;
		if (store_checkpoint_end(checkpoint) != 0)
			store_checkpoint_abort(checkpoint);
		sched_yield();
	}
	return NULL;
}

static int
look(void *arg, const struct store_cursor *cursor)
{
	uint64_t *seen = arg;

	*seen += cursor->cursor;
	for (size_t i = 1; i < cursor->over_count; i++)
		ck_assert_uint_gt(cursor->over[i], cursor->over[i - 1]);
	return 0;
}

static void *
watch(void *arg)
{
	struct store_stat stat;
	uint64_t committed = 0;

	while (!atomic_load(&is_over)) {
		ck_assert_uint_ge(store_committed(box.store), committed);
		committed = store_committed(box.store);
		store_stat(box.store, &stat);
		ck_assert_uint_le(stat.bytes, 2 * stat.max_bytes);
		ck_assert_int_eq(store_each_cursor(box.store, look, arg), 0);
		sched_yield();
	}
	return NULL;
}

/* The disk is at its limit until the keeper has made room. */
static uint64_t
append_patiently(uint64_t cursor)
{
	uint64_t sequence = 0;
	int err = -ENOSPC;

	for (uint64_t tries = 0; err == -ENOSPC; tries++) {
		ck_assert_uint_lt(tries, UINT64_C(100000000));
		err = box_try_message(&cursor, 1, 900, &sequence);
		if (err == -ENOSPC)
			sched_yield();
	}
	ck_assert_int_eq(err, 0);
	return sequence;
}

START_TEST(nobody_disturbs_anybody)
{
	uint64_t sequences[16], seen = 0;
	pthread_t keeper, watcher;

	box_open(1);
	store_close(box.store);
	box.max_bytes = 8 * BOX_SEGMENT;
	ck_assert_int_eq(box_try_open(false), 0);
	box_open_cursor(1);
	box_open_cursor(2);
	atomic_store(&is_over, false);
	ck_assert_int_eq(pthread_create(&keeper, NULL, keep, NULL), 0);
	ck_assert_int_eq(pthread_create(&watcher, NULL, watch, &seen), 0);

	/* Ten of sixteen end at once, the rest with the next sixteen. */
	box.gathers = true;
	for (unsigned i = 0; i < MESSAGES; i++) {
		sequences[i % 16] = append_patiently(1);
		ck_assert_int_eq(store_commit(box.store, i % 3 != 0), 0);
		if (i % 16 != 15)
			continue;
		for (unsigned k = 0; k < 10; k++)
			box_done(1, sequences[k], 0);
		box_done(1, 0, sequences[0] - 1);
		ck_assert_int_eq(store_commit(box.store, true), 0);
	}
	box_done(1, 0, store_committed(box.store));
	box_to(2);
	ck_assert_int_eq(store_commit(box.store, true), 0);
	atomic_store(&is_over, true);
	pthread_join(keeper, NULL);
	pthread_join(watcher, NULL);

	ck_assert_uint_gt(seen, 0);
	ck_assert_uint_eq(box_queued(1), 0);
	box.gathers = false;
	box_restart();
	ck_assert_uint_eq(box.damages + box.tails, 0);
	ck_assert_uint_eq(box_queued(1), 0);
	ck_assert_uint_eq(box_queued(2), 1);
	box_close();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_threads");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nobody_disturbs_anybody);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
