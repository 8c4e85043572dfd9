/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/segment_index.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/store_sim.h"
#include "tests/unit/unit.h"

#define NAME "0000000000000001.idx"
#define ROOM 64u

static const struct segment_index_head head = {
	.first_sequence = 1, .tag = 2, .end = 3
};

static struct segment_index_entry
entry(uint32_t delta)
{
	return (struct segment_index_entry){ .delta = delta,
		.place = 512 + delta * 16 };
}

static uint64_t bytes; /* of the last file */

static void
add(struct segment_index *index, uint64_t cursor, uint32_t delta)
{
	ck_assert_int_eq(segment_index_add(index, cursor, entry(delta)), 0);
}

/* Of cursor 7: 0, 10 ... 90; of 8: 5; of some more: one each. */
static struct segment_index *
some_index(void)
{
	struct segment_index *index = segment_index_new();

	ck_assert_ptr_nonnull(index);
	for (uint32_t i = 0; i < 10; i++)
		add(index, 7, i * 10);
	add(index, 8, 5);
	for (uint64_t cursor = 100; cursor < 140; cursor++)
		add(index, cursor, (uint32_t)cursor);
	return index;
}

static size_t
find(const struct segment_index *index, uint64_t cursor, uint32_t from,
    size_t room, uint32_t *out_first)
{
	struct segment_index_entry found[ROOM];
	size_t count = segment_index_find(index, cursor, from, found, room);

	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_ge(found[i].delta, from);
		ck_assert_uint_eq(found[i].place, 512 + found[i].delta * 16);
		if (i > 0)
			ck_assert_uint_gt(found[i].delta, found[i - 1].delta);
	}
	*out_first = count == 0 ? UINT32_MAX : found[0].delta;
	return count;
}

static void
check_some(const struct segment_index *index)
{
	uint32_t first;

	ck_assert_uint_eq(find(index, 7, 0, ROOM, &first), 10);
	ck_assert_uint_eq(first, 0);
	ck_assert_uint_eq(find(index, 7, 30, ROOM, &first), 7);
	ck_assert_uint_eq(first, 30);
	ck_assert_uint_eq(find(index, 7, 31, ROOM, &first), 6);
	ck_assert_uint_eq(first, 40);
	ck_assert_uint_eq(find(index, 7, 31, 2, &first), 2);
	ck_assert_uint_eq(find(index, 7, 80, 1, &first), 1);
	ck_assert_uint_eq(find(index, 7, 90, ROOM, &first), 1);
	ck_assert_uint_eq(find(index, 7, 91, ROOM, &first), 0);
	ck_assert_uint_eq(find(index, 8, 0, ROOM, &first), 1);
	ck_assert_uint_eq(find(index, 9, 0, ROOM, &first), 0);
	ck_assert_uint_eq(find(index, 0, 0, ROOM, &first), 0);
	for (uint64_t cursor = 100; cursor < 140; cursor++) {
		ck_assert_uint_eq(find(index, cursor, 0, ROOM, &first), 1);
		ck_assert_uint_eq(first, cursor);
	}
}

START_TEST(finds_what_a_cursor_has_from_a_sequence_on)
{
	struct segment_index *index = some_index();

	check_some(index);
	segment_index_free(index);
	segment_index_free(NULL);
}
END_TEST

START_TEST(says_what_memory_it_takes)
{
	struct segment_index *index = segment_index_new();
	size_t empty = segment_index_bytes(index);

	for (uint32_t i = 0; i < 100000; i++)
		add(index, 7, i);
	ck_assert_uint_ge(segment_index_bytes(index) - empty, 100000 * 8);
	ck_assert_uint_le(segment_index_bytes(index) - empty, 200000 * 8);
	segment_index_free(index);
}
END_TEST

START_TEST(comes_back_from_its_file)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	struct segment_index *index = some_index(), *again = NULL;
	size_t size;

	ck_assert_int_eq(
	    segment_index_write(index, io, NAME, &head, &bytes), 0);
	ck_assert_int_eq(segment_index_read(io, NAME, &head, &again), 0);
	check_some(again);
	store_sim_bytes(sim, NAME, &size);
	ck_assert_uint_eq(size, 48 + 42 * 16 + 51 * 8);
	ck_assert_uint_eq(bytes, size);
	ck_assert_uint_ge(segment_index_bytes(again), 42 * 16 + 51 * 8);
	ck_assert_int_eq(
	    segment_index_write(index, io, NAME, &head, &bytes), -EEXIST);
	segment_index_free(index);
	segment_index_free(again);
	ck_assert_uint_eq(store_sim_open_files(sim), 0);
	store_sim_free(sim);
}
END_TEST

START_TEST(an_empty_one_has_a_file_too)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	struct segment_index *index = segment_index_new(), *again = NULL;
	uint32_t first;

	ck_assert_int_eq(
	    segment_index_write(index, io, NAME, &head, &bytes), 0);
	ck_assert_int_eq(segment_index_read(io, NAME, &head, &again), 0);
	ck_assert_uint_eq(find(again, 7, 0, ROOM, &first), 0);
	segment_index_free(index);
	segment_index_free(again);
	store_sim_free(sim);
}
END_TEST

START_TEST(one_of_another_segment_is_refused)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	struct segment_index *index = some_index(), *again = NULL;
	struct segment_index_head other;

	ck_assert_int_eq(
	    segment_index_write(index, io, NAME, &head, &bytes), 0);
	for (unsigned field = 0; field < 3; field++) {
		other = head;
		*(field == 0         ? &other.first_sequence
			: field == 1 ? &other.tag
				     : &other.end) += 1;
		ck_assert_int_eq(
		    segment_index_read(io, NAME, &other, &again), -EBADMSG);
	}
	ck_assert_ptr_null(again);
	segment_index_free(index);
	store_sim_free(sim);
}
END_TEST

START_TEST(no_byte_can_change_and_pass)
{
	struct store_sim *sim = store_sim_new(1), *other;
	const struct store_io *io = store_sim_io(sim);
	struct segment_index *index = some_index(), *again = NULL;
	uint8_t byte;
	size_t size;

	ck_assert_int_eq(
	    segment_index_write(index, io, NAME, &head, &bytes), 0);
	store_sim_bytes(sim, NAME, &size);
	for (size_t at = 0; at < size; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			byte = store_sim_bytes(sim, NAME, &size)[at] ^
			    (uint8_t)(1u << bit);
			store_sim_damage(sim, NAME, at, &byte, 1);
			ck_assert_int_eq(
			    segment_index_read(io, NAME, &head, &again),
			    -EBADMSG);
			byte ^= (uint8_t)(1u << bit);
			store_sim_damage(sim, NAME, at, &byte, 1);
		}
	for (size_t length = 0; length < size; length++) {
		other = store_sim_clone(sim);
		store_sim_shorten(other, NAME, length);
		ck_assert_int_eq(segment_index_read(
				     store_sim_io(other), NAME, &head, &again),
		    -EBADMSG);
		store_sim_free(other);
	}
	ck_assert_ptr_null(again);
	segment_index_free(index);
	store_sim_free(sim);
}
END_TEST

START_TEST(what_fails_leaves_no_file)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	struct segment_index *index = some_index(), *again = NULL;

	store_sim_fail(sim, STORE_SIM_WRITE, 0, -ENOSPC, false);
	ck_assert_int_eq(
	    segment_index_write(index, io, NAME, &head, &bytes), -ENOSPC);
	ck_assert_ptr_null(store_sim_name(sim, 0));
	ck_assert_int_eq(segment_index_read(io, NAME, &head, &again), -ENOENT);
	ck_assert_int_eq(
	    segment_index_write(index, io, NAME, &head, &bytes), 0);
	store_sim_fail(sim, STORE_SIM_READ, 0, -EIO, false);
	ck_assert_int_eq(segment_index_read(io, NAME, &head, &again), -EIO);
	ck_assert_uint_eq(store_sim_open_files(sim), 0);
	segment_index_free(index);
	store_sim_free(sim);
}
END_TEST

/* Against a plain list, for many cursors and any order of them. */
START_TEST(keeps_its_promise_for_random_segments)
{
	enum {
		CURSORS = 50,
		RECORDS = 400
	};
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	struct segment_index *index = segment_index_new(), *again = NULL;
	struct segment_index_entry got[RECORDS];
	uint64_t dice = (uint64_t)_i + 1, of[RECORDS], cursor;
	uint32_t from;
	size_t expected, count;

	for (uint32_t i = 0; i < RECORDS; i++) {
		of[i] = 1 + store_sim_dice(&dice, CURSORS);
		add(index, of[i], i);
	}
	ck_assert_int_eq(
	    segment_index_write(index, io, NAME, &head, &bytes), 0);
	ck_assert_int_eq(segment_index_read(io, NAME, &head, &again), 0);
	for (int turn = 0; turn < 200; turn++) {
		cursor = 1 + store_sim_dice(&dice, CURSORS + 5);
		from = (uint32_t)store_sim_dice(&dice, RECORDS);
		for (int which = 0; which < 2; which++) {
			count = segment_index_find(which == 0 ? index : again,
			    cursor, from, got, RECORDS);
			expected = 0;
			for (uint32_t i = from; i < RECORDS; i++) {
				if (of[i] != cursor)
					continue;
				ck_assert_uint_lt(expected, count);
				ck_assert_uint_eq(got[expected].delta, i);
				expected++;
			}
			ck_assert_uint_eq(count, expected);
		}
	}
	segment_index_free(index);
	segment_index_free(again);
	store_sim_free(sim);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("segment_index");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, finds_what_a_cursor_has_from_a_sequence_on);
	tcase_add_test(tc, says_what_memory_it_takes);
	tcase_add_test(tc, comes_back_from_its_file);
	tcase_add_test(tc, an_empty_one_has_a_file_too);
	tcase_add_test(tc, one_of_another_segment_is_refused);
	tcase_add_test(tc, no_byte_can_change_and_pass);
	tcase_add_test(tc, what_fails_leaves_no_file);
	tcase_add_loop_test(tc, keeps_its_promise_for_random_segments, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
