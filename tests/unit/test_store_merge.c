/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/segment_index.h"
#include "tests/unit/merge_box.h"

START_TEST(sparse_neighbours_become_one_file)
{
	size_t before;

	begin(1);
	sparse(10);
	before = box_files(".seg");
	ck_assert_uint_ge(before, 10);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_le(box_files(".seg"), 3);
	ck_assert_uint_eq(box.store->segments[0]->messages, slow.count);
	ck_assert_uint_lt(box.store->segments[0]->size, 4096 + 10 * 300);
	check_slow();
	ck_assert_ptr_null(box.store->leaving);
	box_restart();
	ck_assert_uint_eq(box.damages + box.tails, 0);
	check_slow();
	ck_assert_uint_eq(box.store->segments[0]->messages, slow.count);
	box_close();
}
END_TEST

static int
check_deliveries(void *arg, uint64_t sequence, uint8_t kind, struct slice body)
{
	struct store_message_room room = { 0 };
	struct store_message message;
	size_t *count = arg;

	if (sequence > box.store->segments[0]->merged_last)
		return 0;
	ck_assert_uint_eq(kind, STORE_MESSAGE);
	ck_assert_int_eq(store_parse_message(body, &room, &message), 0);
	ck_assert_uint_eq(message.delivery_count, 1);
	ck_assert_uint_eq(message.deliveries[0].cursor, SLOW);
	free(room.deliveries);
	free(room.identifiers);
	*count += 1;
	return 0;
}

START_TEST(only_what_is_waited_for_is_kept)
{
	const uint64_t both[2] = { FAST, SLOW };
	uint64_t last = 0;
	size_t count = 0;

	begin(1);
	for (unsigned i = 0; i < 8; i++) {
		last = box_message(both, 2, 100);
		slow.sequences[slow.count++] = last;
		to_fast(70);
	}
	box_put_state(STORE_SUBSCRIBE, "x");
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_ne(box.store->segments[0]->merged_last, 0);
	ck_assert_int_eq(
	    store_each_record(box.store, check_deliveries, &count), 0);
	ck_assert_uint_eq(count, slow.count);
	check_slow();
	box_close();
}
END_TEST

START_TEST(what_no_two_checkpoints_cover_is_left_alone)
{
	begin(1);
	for (unsigned i = 0; i < 6; i++) {
		to_slow(100);
		to_fast(70);
	}
	box_checkpoint("one");
	box_tend();
	ck_assert_uint_eq(merged_files(), 0);
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	box_close();
}
END_TEST

START_TEST(what_is_dense_is_left_alone)
{
	begin(1);
	for (unsigned i = 0; i < 200; i++)
		to_slow(1500);
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(merged_files(), 0);
	ck_assert_uint_eq(box.store->merged_bytes, 0);
	check_slow();
	box_close();
}
END_TEST

/* Both would go into one, but that would not be half of them. */
START_TEST(what_would_be_much_is_left_alone)
{
	begin(1);
	for (unsigned k = 0; k < 65; k++) {
		to_slow(900);
		to_fast(1);
	}
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(merged_files(), 0);
	check_slow();
	box_close();
}
END_TEST

/* Nothing is freed by writing the large one again for the small ones. */
START_TEST(a_large_one_does_not_take_in_each_small_one)
{
	uint64_t merged;

	begin(1);
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 6; k++)
			to_slow(1000);
		to_fast(55);
	}
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	merged = box.store->merged_bytes;
	ck_assert_uint_gt(merged, 18000);
	box_restart();
	for (unsigned life = 0; life < 9; life++)
		live_once(100);
	box_tend();
	ck_assert_uint_lt(box.store->merged_bytes, 5000);
	check_slow();
	box_close();
}
END_TEST

/* The header of the next one says where it ends. */
START_TEST(the_last_one_is_never_merged)
{
	uint64_t last;

	begin(1);
	for (unsigned i = 0; i < 6; i++) {
		to_slow(100);
		to_fast(70);
	}
	box_checkpoint("one");
	box_checkpoint("two");
	box_restart();
	last =
	    box.store->segments[box.store->segment_count - 1]->first_sequence;
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_eq(box.store->segment_count, 2);
	ck_assert_uint_eq(box.store->segments[1]->first_sequence, last);
	ck_assert_uint_eq(box.store->segments[1]->merged_last, 0);
	check_slow();
	box_close();
}
END_TEST

/*
 * What a checkpoint knows to be over may be in the file no more; then only the
 * index can tell what of a merged one is left.
 */
START_TEST(without_its_index_what_is_over_is_counted_late)
{
	const uint64_t gone = 3;
	struct segment *merged;

	begin(1);
	sparse(6);
	box_done(SLOW, slow.sequences[gone], 0);
	memmove(&slow.sequences[gone], &slow.sequences[gone + 1],
	    (--slow.count - gone) * sizeof(slow.sequences[0]));
	box_tend();
	box_checkpoint("three");
	box_restart();
	check_slow();

	merged = box.store->segments[0];
	segment_index_free(merged->index);
	merged->index = NULL;
	box_done(SLOW, slow.sequences[1], 0);
	ck_assert(box_is_over(SLOW, slow.sequences[1]));
	ck_assert_uint_eq(box_queued(SLOW), slow.count);
	memmove(&slow.sequences[1], &slow.sequences[2],
	    (--slow.count - 1) * sizeof(slow.sequences[0]));
	box_restart();
	check_slow();

	/* Over both that were over, in the file or not. */
	box_done(SLOW, slow.sequences[0], slow.sequences[2] - 1);
	ck_assert_uint_eq(box_queued(SLOW), slow.count - 1);
	box_done(SLOW, 0, slow.sequences[slow.count - 1]);
	ck_assert_uint_eq(box_queued(SLOW), 0);
	ck_assert_uint_eq(box.store->segments[0]->live, 0);
	box_close();
}
END_TEST

/* That it is over is in the journal, and may be said again; it is gone. */
START_TEST(what_is_over_and_gone_is_counted_for_nothing)
{
	const size_t gone = 3;
	uint64_t sequence;

	begin(1);
	sparse(6);
	sequence = slow.sequences[gone];
	box_done(SLOW, sequence, 0);
	memmove(&slow.sequences[gone], &slow.sequences[gone + 1],
	    (--slow.count - gone) * sizeof(slow.sequences[0]));
	box_tend();
	box_restart();
	check_slow();
	box_done(SLOW, sequence, 0);
	check_slow();

	/* Nor when what it is missing in was merged with more. */
	sparse(6);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	box_done(SLOW, sequence, 0);
	check_slow();
	box_close();
}
END_TEST

START_TEST(a_merged_one_is_merged_again)
{
	uint64_t first;

	begin(1);
	sparse(6);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	first = box.store->segments[0]->merged_last;
	sparse(6);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_gt(box.store->segments[0]->merged_last, first);
	ck_assert_uint_le(box_files(".seg"), 3);
	check_slow();
	box_restart();
	check_slow();
	box_close();
}
END_TEST

START_TEST(it_goes_when_nobody_waits_for_it)
{
	begin(1);
	sparse(6);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_eq(box_files(".idx"), 1);
	box_done(SLOW, 0, store_committed(box.store));
	slow.count = 0;
	box_tend();
	ck_assert_uint_eq(merged_files(), 0);
	ck_assert_uint_eq(box_files(".idx"), 0);
	check_slow();
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	check_slow();
	box_close();
}
END_TEST

static void
tend_amidst(void)
{
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	/* Then it reads on in the merged one. */
	if (got.count == 1)
		ck_assert_ptr_nonnull(box.store->leaving);
}

START_TEST(who_reads_meanwhile_reads_on)
{
	size_t files;

	begin(1);
	sparse(6);
	files = box_files(".seg");
	got.amidst = tend_amidst;
	check_slow();
	ck_assert_uint_lt(box_files(".seg"), files);
	got.amidst = NULL;
	box_tend();
	ck_assert_ptr_null(box.store->leaving);
	ck_assert_uint_le(box_files(".seg"), 3);
	check_slow();
	box_close();
}
END_TEST

/* An index of it is written, found again, and made again. */
START_TEST(it_has_an_index_like_any_other)
{
	const char *name;

	begin(1);
	sparse(6);
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), 1);
	box_restart();
	ck_assert_uint_eq(box_files(".idx"), 1);
	name = box_file(".idx");
	ck_assert_ptr_nonnull(strchr(name, '-'));
	check_slow();
	box_restart();
	box_flip(box_file(".idx"), 60);
	check_slow();
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), 1);
	box_restart();
	check_slow();
	box_close();
}
END_TEST

START_TEST(damage_in_it_is_told_and_costs_itself)
{
	char name[STORE_NAME_MAX];
	size_t count;

	begin(1);
	sparse(8);
	box_tend();
	segment_name(box.store->segments[0]->first_sequence,
	    box.store->segments[0]->merged_last, name);
	box_flip(name, 4096 + 300);
	box_restart();
	ck_assert_uint_eq(box.damages, 1);
	ck_assert_str_eq(box.damaged_file, name);
	ck_assert_uint_eq(box_files(".damaged-1"), 1);
	count = (size_t)box_queued(SLOW);
	ck_assert_uint_eq(count, slow.count - 1);
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	ck_assert_uint_eq(box_queued(SLOW), count);
	box_close();
}
END_TEST

START_TEST(a_damaged_header_of_it_costs_nothing)
{
	char name[STORE_NAME_MAX];

	begin(1);
	sparse(8);
	box_tend();
	segment_name(box.store->segments[0]->first_sequence,
	    box.store->segments[0]->merged_last, name);
	box_flip(name, 20);
	box_restart();
	ck_assert_uint_eq(box.damages, 1);
	check_slow();
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	check_slow();
	box_close();
}
END_TEST

/* It stays where it is, to be told of by who reads it. */
START_TEST(what_cannot_be_read_is_not_merged)
{
	const struct segment *second;
	char name[STORE_NAME_MAX];
	uint64_t first, reads;

	begin(1);
	sparse(6);
	second = box.store->segments[1];
	first = second->first_sequence;
	segment_name(first, 0, name);
	box_flip(name, second->end - 500);
	box_tend();
	ck_assert(box.store->segments[0]->is_merge_refused);
	ck_assert(box.store->segments[1]->is_merge_refused);
	ck_assert_uint_eq(box.store->segments[1]->first_sequence, first);
	reads = store_sim_count(box.sim, STORE_SIM_READ);
	box_tend();
	ck_assert_uint_eq(store_sim_count(box.sim, STORE_SIM_READ), reads);
	check_slow();
	ck_assert_uint_eq(box_files("merge.tmp"), 0);
	box_close();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_merge");
	TCase *tc = tcase_create("all");

	/* Under a sanitizer, on a machine that is busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, sparse_neighbours_become_one_file);
	tcase_add_test(tc, only_what_is_waited_for_is_kept);
	tcase_add_test(tc, what_no_two_checkpoints_cover_is_left_alone);
	tcase_add_test(tc, what_is_dense_is_left_alone);
	tcase_add_test(tc, what_would_be_much_is_left_alone);
	tcase_add_test(tc, a_large_one_does_not_take_in_each_small_one);
	tcase_add_test(tc, the_last_one_is_never_merged);
	tcase_add_test(tc, without_its_index_what_is_over_is_counted_late);
	tcase_add_test(tc, what_is_over_and_gone_is_counted_for_nothing);
	tcase_add_test(tc, a_merged_one_is_merged_again);
	tcase_add_test(tc, it_goes_when_nobody_waits_for_it);
	tcase_add_test(tc, who_reads_meanwhile_reads_on);
	tcase_add_test(tc, it_has_an_index_like_any_other);
	tcase_add_test(tc, damage_in_it_is_told_and_costs_itself);
	tcase_add_test(tc, a_damaged_header_of_it_costs_nothing);
	tcase_add_test(tc, what_cannot_be_read_is_not_merged);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
