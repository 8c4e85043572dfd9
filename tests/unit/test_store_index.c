/* SPDX-License-Identifier: Apache-2.0 */

/* Reading by indexes (segment_index.h), and without them. */

#include "broker/store/segment_index.h"
#include "tests/unit/reader_box.h"

/* Cursor 7 has each tenth message of many segments, 8 the others. */
static size_t
fill_segments(uint64_t *sequences)
{
	uint64_t cursor;
	size_t count = 0;

	box_open_cursor(7);
	box_open_cursor(8);
	for (unsigned i = 0; i < 1000; i++) {
		cursor = i % 10 == 0 ? 7 : 8;
		sequences[count] = box_message(&cursor, 1, 500);
		count += cursor == 7;
	}
	ck_assert_uint_gt(box.store->segment_count, 8);
	return count;
}

static void
check_filled(const uint64_t *sequences, size_t count)
{
	read_from(7, 0);
	ck_assert_uint_eq(got.count, count);
	ck_assert_mem_eq(got.sequences, sequences, count * sizeof(uint64_t));
	read_from(8, 0);
	ck_assert_uint_eq(got.count, 1000 - count);
	ck_assert_uint_eq(got.damages, 0);
}

START_TEST(reads_through_all_segments_with_and_without_indexes)
{
	uint64_t sequences[1000];
	size_t count, indexes;

	begin(BOX_SEGMENT);
	count = fill_segments(sequences);
	check_filled(sequences, count);
	box_tend();
	indexes = box_files(".idx");
	ck_assert_uint_eq(indexes, box.store->segment_count - 1);
	check_filled(sequences, count);
	restart();
	ck_assert_uint_eq(box_files(".idx"), indexes);
	check_filled(sequences, count);
	restart();
	while (box_file(".idx") != NULL)
		store_sim_lose(box.sim, box_file(".idx"));
	check_filled(sequences, count);
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), box.store->segment_count);
	restart();
	check_filled(sequences, count);
	end();
}
END_TEST

START_TEST(an_index_that_is_damaged_is_made_again)
{
	uint64_t sequences[1000];
	size_t count;

	begin(BOX_SEGMENT);
	count = fill_segments(sequences);
	box_tend();
	restart();
	box_flip(box_file(".idx"), 100);
	check_filled(sequences, count);
	ck_assert_uint_eq(box_files(".idx"), box.store->segment_count - 2);
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), box.store->segment_count);
	restart();
	check_filled(sequences, count);
	end();
}
END_TEST

START_TEST(indexes_of_nothing_are_removed)
{
	const struct store_io *io;
	uint64_t last = 0, seven = 7;
	int file;

	begin(BOX_SEGMENT);
	io = store_sim_io(box.sim);
	box_open_cursor(7);
	for (unsigned i = 0; i < 40; i++)
		last = box_message(&seven, 1, 4000);
	box_tend();
	ck_assert_uint_gt(box_files(".idx"), 0);
	box_done(7, last, last);
	box_checkpoint("one");
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), 0);

	file = io->open(io->context, "0000000000000001.idx", STORE_OPEN_CREATE);
	io->close(io->context, file);
	restart();
	ck_assert_uint_eq(box_files(".idx"), 0);
	end();
}
END_TEST

START_TEST(without_room_for_an_index_it_reads_all_the_same)
{
	uint64_t sequences[1000];
	size_t count;

	begin(BOX_SEGMENT);
	count = fill_segments(sequences);
	store_sim_fail(box.sim, STORE_SIM_OPEN, 0, -ENOSPC, true);
	box_tend();
	store_sim_heal(box.sim);
	ck_assert_uint_eq(box_files(".idx"), 0);
	check_filled(sequences, count);
	restart();
	check_filled(sequences, count);
	end();
}
END_TEST

/* One of thousands: its index and one block are read, not the segment. */
START_TEST(a_sparse_cursor_does_not_read_whole_segments)
{
	const size_t large = 64 * BOX_SEGMENT;
	uint64_t eight = 8, before;

	begin(large);
	box_open_cursor(7);
	box_open_cursor(8);
	box.gathers = true;
	while (box.store->segment_count < 2) {
		for (unsigned i = 0; i < 100; i++)
			box_message(&eight, 1, 1000);
		ck_assert_int_eq(store_commit(box.store, true), 0);
		if (box.store->segment_count == 1 &&
		    box.store->active->end > large / 2 && box_queued(7) == 0) {
			box_to(7);
			ck_assert_int_eq(store_commit(box.store, true), 0);
		}
	}
	ck_assert_uint_eq(box_queued(7), 1);
	before = store_sim_count(box.sim, STORE_SIM_READ);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(store_sim_count(box.sim, STORE_SIM_READ), before + 1);

	box.gathers = false;
	box_tend();
	restart();
	before = store_sim_count(box.sim, STORE_SIM_READ);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(store_sim_count(box.sim, STORE_SIM_READ), before + 2);
	read_from(7, 0);
	ck_assert_uint_eq(store_sim_count(box.sim, STORE_SIM_READ), before + 3);
	end();
}
END_TEST

/* An index made of what is left must not make it pass unnoticed. */
START_TEST(damage_is_told_when_an_index_is_made_of_the_rest)
{
	const uint64_t seven = 7;
	uint64_t s[3];
	char name[STORE_NAME_MAX];

	for (unsigned which = 0; which < 2; which++) {
		begin(BOX_SEGMENT);
		box_open_cursor(7);
		for (unsigned i = 0; i < 3; i++)
			s[i] = box_message(&seven, 1, 2000);
		restart();
		segment_name(box.store->segments[0]->first_sequence, 0, name);
		box_flip(name,
		    box.store->segments[0]->end - (which == 0 ? 3000 : 1000));
		read_from(7, 0);
		ck_assert_uint_eq(got.count, 2);
		ck_assert_uint_eq(got.sequences[0], s[0]);
		ck_assert_uint_eq(got.sequences[1], s[which == 0 ? 2 : 1]);
		ck_assert_uint_eq(got.damages, 1);
		ck_assert_uint_ge(got.damaged_bytes, 2000);
		ck_assert_uint_le(got.damaged_bytes, 2200);
		end();
	}
}
END_TEST

/* As without memory: what the active segment gets is found all the same. */
START_TEST(an_index_that_is_not_kept_is_made_for_each_read)
{
	const uint64_t seven = 7;

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	box_to(7);
	segment_index_free(box.store->active->index);
	box.store->active->index = NULL;
	box.store->active->is_index_partial = true;
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 1);
	box_to(7);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_ptr_null(box.store->active->index);

	/* When it is complete it is kept, and written. */
	for (unsigned i = 0; i < 20; i++)
		box_message(&seven, 1, 4000);
	ck_assert_ptr_null(box.store->segments[0]->index);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 22);
	ck_assert_ptr_nonnull(box.store->segments[0]->index);
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), 1);
	end();
}
END_TEST

START_TEST(indexes_take_no_more_memory_than_they_may)
{
	uint64_t sequences[1000], last;
	size_t count, kept = 0;

	begin(BOX_SEGMENT);
	count = fill_segments(sequences);
	box.store->index_memory = 4000;
	box_tend();
	for (size_t i = 0; i + 1 < box.store->segment_count; i++)
		if (box.store->segments[i]->index != NULL)
			kept++;
	ck_assert_uint_gt(kept, 0);
	ck_assert_uint_lt(kept, 4);
	check_filled(sequences, count);

	/* The one that was read last stays, and none of what is over. */
	box_tend();
	ck_assert_ptr_nonnull(
	    box.store->segments[box.store->segment_count - 2]->index);
	last = store_committed(box.store);
	box_done(7, 0, last);
	box_done(8, 0, last);
	box_tend();
	for (size_t i = 0; i + 1 < box.store->segment_count; i++)
		ck_assert_ptr_null(box.store->segments[i]->index);
	end();
}
END_TEST

START_TEST(no_index_is_written_of_what_is_over)
{
	const uint64_t seven = 7;
	uint64_t last = 0;

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	for (unsigned i = 0; i < 40; i++)
		last = box_message(&seven, 1, 4000);
	box_done(7, last, last);
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), 0);
	end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_index");
	TCase *tc = tcase_create("all");

	/* Under a sanitizer, on a machine that is busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, reads_through_all_segments_with_and_without_indexes);
	tcase_add_test(tc, an_index_that_is_damaged_is_made_again);
	tcase_add_test(tc, indexes_of_nothing_are_removed);
	tcase_add_test(tc, without_room_for_an_index_it_reads_all_the_same);
	tcase_add_test(tc, a_sparse_cursor_does_not_read_whole_segments);
	tcase_add_test(tc, damage_is_told_when_an_index_is_made_of_the_rest);
	tcase_add_test(tc, an_index_that_is_not_kept_is_made_for_each_read);
	tcase_add_test(tc, indexes_take_no_more_memory_than_they_may);
	tcase_add_test(tc, no_index_is_written_of_what_is_over);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
