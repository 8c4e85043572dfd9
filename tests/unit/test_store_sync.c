/* SPDX-License-Identifier: Apache-2.0 */

/* What the store does when the disk does not do what it was asked. */

#include "tests/unit/store_box.h"

/* The newest segments that this store knows. */
static uint64_t
newest_segment(void)
{
	return box.store->segments[box.store->segment_count - 1]
	    ->first_sequence;
}

static void
cut_power(enum store_sim_loss loss)
{
	box.store->is_broken = true; /* it marks no end */
	store_close(box.store);
	store_sim_cut(box.sim, loss);
	ck_assert_int_eq(box_try_open(false), 0);
}

/* What fails, and whether it is met when a segment is begun. */
static const struct {
	enum store_sim_call call;
	bool at_begin;
} faults[] = {
	{ STORE_SIM_WRITE, false },
	{ STORE_SIM_SYNC, false },
	{ STORE_SIM_WRITE, true },
	{ STORE_SIM_SYNC, true },
	{ STORE_SIM_RENAME, true },
	{ STORE_SIM_SYNC_DIRECTORY, true },
};
#define FAULTS (int)(sizeof(faults) / sizeof(faults[0]))

START_TEST(a_commit_that_failed_never_was)
{
	uint64_t cursor = 1, lost, kept;

	box_open(1);
	box_open_cursor(1);
	box_to(1);
	ck_assert_uint_eq(store_tend(box.store), 0);
	if (faults[_i].at_begin)
		box.store->is_broken = true;
	ck_assert_int_eq(box_try_message(&cursor, 1, 10, &lost), 0);
	store_sim_fail(box.sim, faults[_i].call, 0, -EIO, false);
	ck_assert_int_eq(store_commit(box.store, true), -EIO);
	ck_assert_int_eq(store_state(box.store), -EIO);
	ck_assert_int_eq(box_try_message(&cursor, 1, 10, &lost), -EIO);
	ck_assert_uint_eq(box_queued(1), 1);

	/* It tries again without anything to write, and is well. */
	ck_assert_int_eq(store_commit(box.store, false), 0);
	ck_assert_int_eq(store_state(box.store), 0);
	kept = box_to(1);
	ck_assert_uint_gt(kept, lost);
	ck_assert_uint_eq(box_queued(1), 2);
	cut_power(STORE_SIM_LOSE_NONE);
	ck_assert_uint_eq(box.messages, 2);
	ck_assert_uint_eq(box.message_sequences[1], kept);
	ck_assert_uint_eq(box.damages, 0);
	ck_assert_uint_eq(box_queued(1), 2);
	box_close();
}
END_TEST

START_TEST(goes_on_failing_until_the_disk_is_well)
{
	uint64_t before;

	box_open(1);
	box_open_cursor(1);
	before = newest_segment();
	store_sim_fail(box.sim, STORE_SIM_SYNC, 0, -EIO, true);
	ck_assert_int_eq(store_append_open(box.store, 2), 0);
	ck_assert_int_eq(store_commit(box.store, true), -EIO);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(store_commit(box.store, true), -EIO);
	ck_assert_uint_eq(newest_segment(), before);
	ck_assert_uint_eq(box_queued(2), UINT64_MAX);

	/* Files that failed are not left lying about. */
	ck_assert_uint_le(box_files(".spare"), STORE_SPARES);
	store_sim_heal(box.sim);
	ck_assert_int_eq(store_commit(box.store, true), 0);
	ck_assert_uint_gt(newest_segment(), before);
	ck_assert_int_eq(store_append_open(box.store, 2), 0);
	box_commit();
	ck_assert_uint_eq(box_queued(2), 0);
	box_close();
}
END_TEST

/* A batch that fills a segment, when the newest has nothing but a BATCH. */
START_TEST(no_two_segments_have_one_name)
{
	static uint8_t body[BOX_SEGMENT / 4];
	uint64_t sequence, left, length;
	size_t before;

	box_open(1);
	box_open_cursor(1);
	store_sim_fail(box.sim, STORE_SIM_WRITE, 0, -EIO, false);
	ck_assert_int_eq(store_append_open(box.store, 2), 0);
	ck_assert_int_eq(store_commit(box.store, true), -EIO);
	ck_assert_int_eq(store_commit(box.store, true), 0);
	before = box.store->segment_count;
	do {
		left = BOX_SEGMENT - STORE_PAGE - STORE_TERMINATOR -
		    (box.store->batch.used != 0 ? box.store->batch.used : 48);
		length = left - 32 < sizeof(body) ? left - 32 : 8000;
		ck_assert_int_eq(store_append(box.store, STORE_SESSION,
				     slice_of(body, length), &sequence),
		    0);
	} while (length == 8000);
	ck_assert_int_eq(store_commit(box.store, true), 0);
	ck_assert_uint_eq(box.store->segment_count, before + 1);
	ck_assert_uint_gt(box.store->segments[before]->first_sequence,
	    box.store->segments[before - 1]->first_sequence);
	box_restart();
	ck_assert_uint_eq(box.damages + box.tails, 0);
	box_close();
}
END_TEST

START_TEST(a_sync_covers_what_was_committed_without_one)
{
	box_open(1);
	box_open_cursor(1);
	box.gathers = true;
	for (int i = 0; i < 5; i++) {
		box_to(1);
		ck_assert_int_eq(store_commit(box.store, false), 0);
	}
	ck_assert_int_eq(store_commit(box.store, true), 0);
	cut_power(STORE_SIM_LOSE_ALL);
	ck_assert_uint_eq(box.messages, 5);
	box_close();
}
END_TEST

START_TEST(what_is_not_synced_is_safe_once_the_next_segment_is)
{
	uint64_t cursor = 1, sequence, first;
	size_t count = 0;

	box_open(1);
	box_open_cursor(1);
	first = newest_segment();
	while (newest_segment() == first) {
		ck_assert_int_eq(
		    box_try_message(&cursor, 1, 5000, &sequence), 0);
		ck_assert_int_eq(store_commit(box.store, false), 0);
		count++;
	}
	cut_power(STORE_SIM_LOSE_ALL);
	ck_assert_uint_eq(box.messages, count);
	ck_assert_uint_eq(box.damages, 0);
	box_close();
}
END_TEST

START_TEST(mode_process_survives_a_kill_without_any_sync)
{
	uint64_t syncs;

	box_open(1);
	box.store->spec.is_synced = false;
	box_open_cursor(1);
	syncs = store_sim_count(box.sim, STORE_SIM_SYNC);
	for (int i = 0; i < 100; i++)
		box_message((uint64_t[]){ 1 }, 1, 3000);
	ck_assert_uint_eq(store_sim_count(box.sim, STORE_SIM_SYNC), syncs);
	box.store->is_broken = true;
	box_restart();
	ck_assert_uint_eq(box.messages, 100);
	ck_assert_uint_eq(box.damages + box.tails, 0);
	box_close();
}
END_TEST

/*
 * The checkpoint has a floor that the journal lost: it was never synced.  New
 * messages must not fall below it.
 */
START_TEST(numbers_go_on_above_what_a_checkpoint_knew)
{
	struct store_done done = { .cursor = 1 };
	uint64_t sequence;

	box_open(1);
	box_open_cursor(1);
	sequence = box_to(1);
	for (int i = 0; i < 20; i++) {
		done.sequence = sequence;
		ck_assert_int_eq(store_append_done(box.store, &done, 1), 0);
		ck_assert_int_eq(store_commit(box.store, false), 0);
	}
	box_checkpoint("x");
	cut_power(STORE_SIM_LOSE_ALL);
	ck_assert_uint_eq(box.damages, 0);
	ck_assert_uint_eq(box_queued(1), 0);
	for (int i = 0; i < 3; i++)
		box_to(1);
	ck_assert_uint_eq(box_queued(1), 3);
	box_restart();
	ck_assert_uint_eq(box_queued(1), 3);
	box_close();
}
END_TEST

START_TEST(a_full_disk_refuses_until_there_is_room)
{
	uint64_t cursor = 1, sequence, last = 0, tries = 0;
	int err = 0;

	box_open(1);
	store_sim_set_disk(
	    box.sim, STORE_FREE_ALWAYS + 5 * BOX_SEGMENT + BOX_SEGMENT / 2);
	box_open_cursor(1);
	while (err == 0 && tries++ < 1000) {
		err = box_try_message(&cursor, 1, 2000, &sequence);
		if (err == 0)
			err = store_commit(box.store, true);
		if (err == 0)
			last = sequence;
		store_tend(box.store);
	}
	ck_assert_int_eq(err, -ENOSPC);
	ck_assert_int_eq(store_state(box.store), -ENOSPC);
	box_done(1, last, last);
	ck_assert_uint_eq(box_queued(1), 0);

	store_sim_set_disk(box.sim, UINT64_MAX);
	store_tend(box.store);
	ck_assert_int_eq(store_state(box.store), 0);
	box_to(1);
	box_restart();
	ck_assert_uint_eq(box_queued(1), 1);
	ck_assert_uint_eq(box.damages, 0);
	box_close();
}
END_TEST

/* Nothing in it is needed, but for the next header to point to. */
START_TEST(the_last_segment_stays)
{
	box_open(1);
	box_put_state(STORE_SESSION, "x");
	box_restart();
	for (int i = 0; i < 3; i++)
		box_checkpoint("x");
	while (store_tend(box.store) == 0)
		;
	ck_assert_uint_eq(box.store->segment_count, 1);
	box_put_state(STORE_SESSION, "y");
	box.store->is_broken = true;
	box_restart();
	ck_assert_uint_eq(box.damages + box.tails, 0);
	box_close();
}
END_TEST

/* One page that cannot be read costs what is in it; a dead disk is no start. */
START_TEST(reads_around_what_the_disk_does_not_give)
{
	box_open(1);
	box_open_cursor(1);
	for (int i = 0; i < 10; i++)
		box_to(1);
	for (uint64_t nth = 0; nth < 8; nth++) {
		store_close(box.store);
		store_sim_fail(box.sim, STORE_SIM_READ, nth, -EIO, false);
		ck_assert_int_eq(box_try_open(false), 0);
		ck_assert_uint_eq(box.messages, 10);
		store_sim_heal(box.sim);
	}
	store_close(box.store);
	store_sim_fail(box.sim, STORE_SIM_READ, 0, -EIO, true);
	ck_assert_int_eq(box_try_open(false), -EIO);
	store_sim_heal(box.sim);
	ck_assert_int_eq(box_try_open(false), 0);
	ck_assert_uint_eq(box.messages, 10);
	box_close();
}
END_TEST

/* A broker that starts a hundred times has not a hundred large files. */
START_TEST(many_lives_need_little_room)
{
	struct store_stat stat;

	box_open(1);
	box_open_cursor(1);
	for (int life = 0; life < 40; life++) {
		box_to(1);
		while (store_tend(box.store) == 0)
			;
		box_restart();
	}
	ck_assert_uint_eq(box_queued(1), 40);
	ck_assert_uint_eq(box.damages + box.tails, 0);
	store_stat(box.store, &stat);
	ck_assert_uint_le(stat.bytes, 3 * BOX_SEGMENT + 40 * 2 * STORE_PAGE);
	box_close();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_sync");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, a_commit_that_failed_never_was, 0, FAULTS);
	tcase_add_test(tc, goes_on_failing_until_the_disk_is_well);
	tcase_add_test(tc, no_two_segments_have_one_name);
	tcase_add_test(tc, a_sync_covers_what_was_committed_without_one);
	tcase_add_test(tc, what_is_not_synced_is_safe_once_the_next_segment_is);
	tcase_add_test(tc, mode_process_survives_a_kill_without_any_sync);
	tcase_add_test(tc, numbers_go_on_above_what_a_checkpoint_knew);
	tcase_add_test(tc, a_full_disk_refuses_until_there_is_room);
	tcase_add_test(tc, the_last_segment_stays);
	tcase_add_test(tc, reads_around_what_the_disk_does_not_give);
	tcase_add_test(tc, many_lives_need_little_room);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
