/* SPDX-License-Identifier: Apache-2.0 */

#include <pthread.h>

#include "broker/store/segment_index.h"
#include "tests/unit/store_box.h"

#define ALL 100000u

/* What reading gave. */
static struct {
	struct store_reader *reader;
	uint64_t sequences[BOX_TOLD];
	size_t count, bytes;
	uint64_t upto;
	size_t stop_at; /* the n-th call says so; 0: none */
	int stop_with;
	void (*amidst)(void); /* called by each */
	size_t damages;
	uint64_t damaged_sequence, damaged_bytes;
	char damaged_file[STORE_NAME_MAX];
} got;

static int
take(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	ck_assert_uint_eq(delivery->cursor, *(uint64_t *)arg);
	ck_assert_uint_eq(message->delivery_count, 1);
	ck_assert_ptr_eq(message->deliveries, delivery);
	ck_assert(slice_equal_string(message->topic, "a/b"));
	ck_assert_uint_lt(got.count, BOX_TOLD);
	if (got.amidst != NULL)
		got.amidst();
	if (got.stop_at == got.count + 1)
		return got.stop_with;
	got.sequences[got.count++] = sequence;
	got.bytes += message->payload.len;
	return 0;
}

static void
take_damage(void *context, const struct store_damage *damage)
{
	ck_assert_ptr_eq(context, &got);
	got.damages++;
	got.damaged_sequence = damage->first_sequence;
	got.damaged_bytes = damage->bytes;
	snprintf(
	    got.damaged_file, sizeof(got.damaged_file), "%s", damage->file);
}

/* From now on; the reader that was is of a store that was. */
static void
new_reader(void)
{
	got.reader = store_reader_new(box.store);
	ck_assert_ptr_nonnull(got.reader);
	store_on_damage(box.store, take_damage, &got);
}

static void
crash(enum store_sim_loss loss)
{
	store_reader_free(got.reader);
	box_crash(loss);
	new_reader();
}

static void
restart(void)
{
	crash(STORE_SIM_KILL);
}

static void
begin(uint64_t segment_bytes)
{
	memset(&got, 0, sizeof(got));
	box_open(1);
	box.segment_bytes = segment_bytes;
	box.max_bytes = 64 * segment_bytes;
	new_reader();
	restart();
}

static void
end(void)
{
	store_reader_free(got.reader);
	box_close();
}

static int
try_read(uint64_t cursor, uint64_t from, size_t messages, size_t bytes)
{
	got.count = got.bytes = 0;
	got.upto = UINT64_MAX;
	return store_read(got.reader, cursor, from, messages, bytes, take,
	    &cursor, &got.upto);
}

static void
read_from(uint64_t cursor, uint64_t from)
{
	ck_assert_int_eq(try_read(cursor, from, ALL, SIZE_MAX), 0);
	ck_assert_uint_eq(got.upto, store_committed(box.store));
}

START_TEST(gives_what_waits_from_a_sequence_on)
{
	uint64_t s[5], both[2] = { 7, 8 };

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	box_open_cursor(8);
	s[0] = box_to(7);
	s[1] = box_to(8);
	s[2] = box_message(both, 2, 10);
	s[3] = box_to(7);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 3);
	ck_assert_uint_eq(got.sequences[0], s[0]);
	ck_assert_uint_eq(got.sequences[1], s[2]);
	ck_assert_uint_eq(got.sequences[2], s[3]);
	read_from(7, s[0] + 1);
	ck_assert_uint_eq(got.count, 2);
	read_from(7, s[2]);
	ck_assert_uint_eq(got.count, 2);
	read_from(7, s[3] + 1);
	ck_assert_uint_eq(got.count, 0);
	read_from(8, 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(got.sequences[0], s[1]);
	ck_assert_uint_eq(got.sequences[1], s[2]);
	read_from(9, 0);
	ck_assert_uint_eq(got.count, 0);
	end();
}
END_TEST

START_TEST(gives_nothing_that_is_over_or_not_committed)
{
	uint64_t s[4];

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	for (unsigned i = 0; i < 4; i++)
		s[i] = box_to(7);
	box_done(7, s[0], s[0]);
	box_done(7, s[2], 0);
	box.gathers = true;
	box_to(7);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(got.sequences[0], s[1]);
	ck_assert_uint_eq(got.sequences[1], s[3]);
	box.gathers = false;
	box_commit();
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 3);
	box_close_cursor(7);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 0);
	end();
}
END_TEST

START_TEST(ends_when_enough_is_given)
{
	uint64_t s[5], seven = 7;

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	for (unsigned i = 0; i < 5; i++)
		s[i] = box_message(&seven, 1, 1000);
	ck_assert_int_eq(try_read(7, 0, 2, SIZE_MAX), 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(got.upto, s[1]);
	ck_assert_int_eq(try_read(7, got.upto + 1, 2, SIZE_MAX), 0);
	ck_assert_uint_eq(got.sequences[0], s[2]);
	ck_assert_uint_eq(got.upto, s[3]);

	/* A body is a little more than its payload. */
	ck_assert_int_eq(try_read(7, 0, ALL, 3000), 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(got.upto, s[1]);
	ck_assert_int_eq(try_read(7, 0, ALL, 3300), 0);
	ck_assert_uint_eq(got.count, 3);

	/* 1,047 bytes each, to the byte. */
	ck_assert_int_eq(try_read(7, 0, ALL, 2094), 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_int_eq(try_read(7, 0, ALL, 2093), 0);
	ck_assert_uint_eq(got.count, 1);

	/* The first is always given. */
	ck_assert_int_eq(try_read(7, 0, ALL, 10), 0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(got.upto, s[0]);
	ck_assert_int_eq(try_read(7, s[4], 1, 1), 0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(got.upto, s[4]);
	end();
}
END_TEST

START_TEST(who_takes_may_end_it)
{
	uint64_t s[3];

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	for (unsigned i = 0; i < 3; i++)
		s[i] = box_to(7);
	for (int with = -1; with <= 1; with += 2) {
		got.stop_at = 3;
		got.stop_with = with;
		ck_assert_int_eq(try_read(7, 0, ALL, SIZE_MAX), with);
		ck_assert_uint_eq(got.count, 2);
		ck_assert_uint_eq(got.upto, s[1]);
		got.stop_at = 1;
		ck_assert_int_eq(try_read(7, s[1], ALL, SIZE_MAX), with);
		ck_assert_uint_eq(got.upto, s[1] - 1);
	}
	end();
}
END_TEST

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

START_TEST(many_that_are_over_are_passed)
{
	const uint64_t seven = 7;
	uint64_t first, last = 0;

	begin(64 * BOX_SEGMENT);
	box_open_cursor(7);
	box.gathers = true;
	first = box_message(&seven, 1, 1);
	for (unsigned i = 0; i < 6000; i++)
		last = box_message(&seven, 1, 1);
	ck_assert_int_eq(store_commit(box.store, true), 0);
	for (uint64_t s = first + 1; s < last; s++)
		box_done(7, s, 0);
	ck_assert_int_eq(store_commit(box.store, true), 0);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(got.sequences[0], first);
	ck_assert_uint_eq(got.sequences[1], last);
	end();
}
END_TEST

static uint64_t amidst_last;
static size_t amidst_segments;

/* All is over, and covered: the keeper would use the segments again. */
static void
end_all(void)
{
	if (amidst_last == 0)
		return;
	box_done(7, amidst_last, amidst_last);
	box_checkpoint("one");
	box_to(8);
	box_checkpoint("two");
	box_tend();
	amidst_segments = box.store->segment_count;
	amidst_last = 0;
}

START_TEST(a_segment_is_not_used_again_while_it_is_read)
{
	const uint64_t seven = 7;
	uint64_t first = 0;

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	box_open_cursor(8);
	for (unsigned i = 0; i < 30; i++) {
		amidst_last = box_message(&seven, 1, 4000);
		if (i == 0)
			first = amidst_last;
	}
	ck_assert_uint_eq(box.store->segment_count, 3);
	got.amidst = end_all;
	ck_assert_int_eq(try_read(7, 0, ALL, SIZE_MAX), 0);
	ck_assert_uint_eq(amidst_segments, 2);
	ck_assert_uint_eq(box.store->segments[0]->first_sequence, first - 2);

	/* What had been found is given whole; then there is no more. */
	ck_assert_uint_ge(got.count, 10);
	ck_assert_uint_le(got.count, 15);
	ck_assert_uint_eq(got.sequences[0], first);
	ck_assert_uint_eq(got.damages, 0);
	box_tend();
	ck_assert_uint_eq(box.store->segment_count, 1);
	end();
}
END_TEST

START_TEST(a_damaged_record_is_told_and_passed_over)
{
	const uint64_t seven = 7;
	uint64_t s[3];
	char name[STORE_NAME_MAX];

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	for (unsigned i = 0; i < 3; i++)
		s[i] = box_message(&seven, 1, 2000);
	segment_name(box.store->segments[0]->first_sequence, 0, name);
	box_flip(name, box.store->active->end - 3000);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(got.sequences[0], s[0]);
	ck_assert_uint_eq(got.sequences[1], s[2]);
	ck_assert_uint_eq(got.damages, 1);
	ck_assert_uint_eq(got.damaged_sequence, s[1]);
	ck_assert_str_eq(got.damaged_file, name);
	store_on_damage(box.store, NULL, NULL);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 2);
	end();
}
END_TEST

START_TEST(a_record_in_another_ones_place_is_damage)
{
	const uint64_t seven = 7;
	uint8_t record[2200];
	char name[STORE_NAME_MAX];
	uint64_t s[2];
	size_t size, bytes;

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	bytes = box.store->active->end;
	s[0] = box_message(&seven, 1, 2000);
	bytes = box.store->active->end - bytes;
	s[1] = box_message(&seven, 1, 2000);
	segment_name(box.store->segments[0]->first_sequence, 0, name);
	ck_assert_uint_le(bytes, sizeof(record));
	memcpy(record,
	    store_sim_bytes(box.sim, name, &size) + box.store->active->end -
		2 * bytes,
	    bytes);
	store_sim_damage(
	    box.sim, name, box.store->active->end - bytes, record, bytes);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(got.sequences[0], s[0]);
	ck_assert_uint_eq(got.damages, 1);
	ck_assert_uint_eq(got.damaged_sequence, s[1]);
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

START_TEST(what_the_disk_says_is_returned)
{
	begin(BOX_SEGMENT);
	box_open_cursor(7);
	box_to(7);
	store_sim_fail(box.sim, STORE_SIM_READ, 0, -ENXIO, false);
	ck_assert_int_eq(try_read(7, 0, ALL, SIZE_MAX), -ENXIO);
	ck_assert_uint_eq(got.upto, 0);
	store_sim_fail(box.sim, STORE_SIM_OPEN, 0, -EMFILE, false);
	ck_assert_int_eq(try_read(7, 0, ALL, SIZE_MAX), -EMFILE);
	read_from(7, 0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(box.store->active->pins, 0);
	end();
}
END_TEST

/* ---- everything ---------------------------------------------------------- */

struct seen {
	uint64_t sequences[64];
	uint8_t kinds[64];
	size_t count, stop_at;
};

static int
see(void *arg, uint64_t sequence, uint8_t kind, struct slice body)
{
	struct seen *seen = arg;

	ck_assert_uint_gt(body.len, 0);
	ck_assert_uint_lt(seen->count, 64);
	seen->sequences[seen->count] = sequence;
	seen->kinds[seen->count++] = kind;
	return seen->count == seen->stop_at ? 5 : 0;
}

START_TEST(each_record_is_seen_in_order)
{
	struct seen seen = { 0 };
	uint64_t s[40], seven = 7;

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	for (unsigned i = 0; i < 40; i++)
		s[i] = i % 2 == 0 ? box_message(&seven, 1, 4000)
				  : box_put_state(STORE_SUBSCRIBE, "x");
	store_close(box.store);
	store_reader_free(got.reader);
	got.reader = NULL;
	ck_assert_int_eq(box_try_open(true), 0);
	ck_assert_uint_gt(box.store->segment_count, 1);
	ck_assert_int_eq(store_each_record(box.store, see, &seen), 0);
	ck_assert_uint_eq(seen.count, 41);
	ck_assert_uint_eq(seen.kinds[0], STORE_OPEN);
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_uint_eq(seen.sequences[i + 1], s[i]);
		ck_assert_uint_eq(seen.kinds[i + 1],
		    i % 2 == 0 ? STORE_MESSAGE : STORE_SUBSCRIBE);
	}
	seen = (struct seen){ .stop_at = 3 };
	ck_assert_int_eq(store_each_record(box.store, see, &seen), 5);
	ck_assert_uint_eq(seen.count, 3);
	end();
}
END_TEST

/* ---- against a model ----------------------------------------------------- */

#define CURSORS 5u
#define DELIVERIES 4000u

static struct {
	uint64_t dice;
	struct {
		uint64_t cursor, sequence;
		bool is_over;
	} deliveries[DELIVERIES];
	size_t count;
} model;

static uint64_t
dice(uint64_t bound)
{
	return store_sim_dice(&model.dice, bound);
}

static void
any_message(void)
{
	uint64_t cursors[CURSORS], sequence;
	size_t count = 0;

	for (uint64_t cursor = 1; cursor <= CURSORS; cursor++)
		if (dice(cursor) == 0)
			cursors[count++] = cursor;
	if (model.count + count > DELIVERIES)
		return;
	sequence = box_message(cursors, count, (size_t)dice(1500));
	for (size_t i = 0; i < count; i++) {
		model.deliveries[model.count].cursor = cursors[i];
		model.deliveries[model.count].is_over = false;
		model.deliveries[model.count++].sequence = sequence;
	}
}

static void
any_done(void)
{
	size_t i;

	if (model.count == 0)
		return;
	i = (size_t)dice(model.count);
	box_done(model.deliveries[i].cursor, model.deliveries[i].sequence, 0);
	model.deliveries[i].is_over = true;
}

/* In pieces of any size, from any place. */
static void
check_reading(uint64_t cursor)
{
	uint64_t from = dice(2) == 0 ? 0 : dice(store_committed(box.store) + 2);
	size_t i = 0, k;

	while (i < model.count && model.deliveries[i].sequence < from)
		i++;
	do {
		ck_assert_int_eq(
		    try_read(cursor, from, 1 + dice(50), (size_t)dice(20000)),
		    0);
		for (k = 0; i < model.count &&
		     model.deliveries[i].sequence <= got.upto;
		     i++)
			if (model.deliveries[i].cursor == cursor &&
			    !model.deliveries[i].is_over) {
				ck_assert_uint_lt(k, got.count);
				ck_assert_uint_eq(got.sequences[k++],
				    model.deliveries[i].sequence);
			}
		ck_assert_uint_eq(k, got.count);
		from = got.upto + 1;
	} while (got.count != 0);
	ck_assert_uint_eq(i, model.count);
	ck_assert_uint_eq(got.damages, 0);
}

START_TEST(gives_to_each_what_is_its_whatever_happens)
{
	begin(BOX_SEGMENT);
	memset(&model, 0, sizeof(model));
	model.dice = (uint64_t)_i + 1;
	for (uint64_t cursor = 1; cursor <= CURSORS; cursor++)
		box_open_cursor(cursor);
	for (int turn = 0; turn < 60; turn++) {
		for (uint64_t n = dice(30); n > 0; n--) {
			any_message();
			any_done();
		}
		if (dice(4) == 0)
			box_checkpoint("x");
		if (dice(2) == 0)
			box_tend();
		if (dice(8) == 0)
			crash((enum store_sim_loss)dice(4));
		check_reading(1 + dice(CURSORS));
	}
	for (uint64_t cursor = 1; cursor <= CURSORS; cursor++)
		check_reading(cursor);
	end();
}
END_TEST

/* ---- beside the writer and the keeper ------------------------------------ */

static _Atomic bool is_written;

static void *
keep(void *arg)
{
	(void)arg;
	while (!is_written) {
		store_tend(box.store);
		box_checkpoint("x");
	}
	return NULL;
}

/* Reads all that cursor 7 gets, in its order, and ends it. */
static void *
follow(void *arg)
{
	uint64_t from = 0, expected = 0;
	size_t *total = arg;

	while (true) {
		bool was_written = is_written;

		ck_assert_int_eq(try_read(7, from, 100, SIZE_MAX), 0);
		for (size_t i = 0; i < got.count; i++) {
			ck_assert_uint_gt(got.sequences[i], expected);
			expected = got.sequences[i];
		}
		*total += got.count;
		from = got.upto + 1;
		if (was_written && got.count == 0)
			return NULL;
	}
}

START_TEST(reads_beside_a_writer_and_a_keeper)
{
	pthread_t keeper, follower;
	uint64_t seven = 7, sequence = 0;
	size_t total = 0;

	begin(BOX_SEGMENT);
	box_open_cursor(7);
	is_written = false;
	pthread_create(&keeper, NULL, keep, NULL);
	pthread_create(&follower, NULL, follow, &total);
	for (unsigned i = 0; i < 1500; i++)
		sequence = box_message(&seven, 1, 1000 + i % 500);
	is_written = true;
	pthread_join(keeper, NULL);
	pthread_join(follower, NULL);
	ck_assert_uint_eq(total, 1500);
	ck_assert_uint_eq(got.upto, sequence);
	ck_assert_uint_eq(got.damages, 0);
	end();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_reader");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, gives_what_waits_from_a_sequence_on);
	tcase_add_test(tc, gives_nothing_that_is_over_or_not_committed);
	tcase_add_test(tc, ends_when_enough_is_given);
	tcase_add_test(tc, who_takes_may_end_it);
	tcase_add_test(tc, reads_through_all_segments_with_and_without_indexes);
	tcase_add_test(tc, an_index_that_is_damaged_is_made_again);
	tcase_add_test(tc, indexes_of_nothing_are_removed);
	tcase_add_test(tc, without_room_for_an_index_it_reads_all_the_same);
	tcase_add_test(tc, a_sparse_cursor_does_not_read_whole_segments);
	tcase_add_test(tc, many_that_are_over_are_passed);
	tcase_add_test(tc, a_segment_is_not_used_again_while_it_is_read);
	tcase_add_test(tc, a_damaged_record_is_told_and_passed_over);
	tcase_add_test(tc, a_record_in_another_ones_place_is_damage);
	tcase_add_test(tc, damage_is_told_when_an_index_is_made_of_the_rest);
	tcase_add_test(tc, an_index_that_is_not_kept_is_made_for_each_read);
	tcase_add_test(tc, indexes_take_no_more_memory_than_they_may);
	tcase_add_test(tc, no_index_is_written_of_what_is_over);
	tcase_add_test(tc, what_the_disk_says_is_returned);
	tcase_add_test(tc, each_record_is_seen_in_order);
	tcase_add_loop_test(
	    tc, gives_to_each_what_is_its_whatever_happens, 0, 8);
	tcase_add_test(tc, reads_beside_a_writer_and_a_keeper);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
