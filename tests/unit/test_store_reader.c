/* SPDX-License-Identifier: Apache-2.0 */

#include <pthread.h>

#include "tests/unit/reader_box.h"

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

	/* Under a sanitizer, on a machine that is busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, gives_what_waits_from_a_sequence_on);
	tcase_add_test(tc, gives_nothing_that_is_over_or_not_committed);
	tcase_add_test(tc, ends_when_enough_is_given);
	tcase_add_test(tc, who_takes_may_end_it);
	tcase_add_test(tc, many_that_are_over_are_passed);
	tcase_add_test(tc, a_segment_is_not_used_again_while_it_is_read);
	tcase_add_test(tc, a_damaged_record_is_told_and_passed_over);
	tcase_add_test(tc, a_record_in_another_ones_place_is_damage);
	tcase_add_test(tc, what_the_disk_says_is_returned);
	tcase_add_test(tc, each_record_is_seen_in_order);
	tcase_add_loop_test(
	    tc, gives_to_each_what_is_its_whatever_happens, 0, 8);
	tcase_add_test(tc, reads_beside_a_writer_and_a_keeper);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
