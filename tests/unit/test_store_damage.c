/* SPDX-License-Identifier: Apache-2.0 */

/* What the store says of files that are not as it left them. */

#include "broker/store/crc32c.h"
#include "tests/unit/store_dir.h"

START_TEST(cuts_a_torn_tail_and_says_so)
{
	open_cursor(1);
	put(1, "the first");
	put(1, "the last");
	kill_store();
	flip(find_text("the last"));
	open_store();
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_uint_eq(told.damage_count, 1);
	ck_assert(told.damages[0].is_torn_tail);
	ck_assert_ptr_null(told.damages[0].kept_as);
	ck_assert_uint_eq(told.damages[0].first_sequence, 3);

	/* It does not come back with what is written later. */
	put(1, "another");
	reopen();
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(told.message_count, 2);
	ck_assert_str_eq(told.payloads[1], "another");
}
END_TEST

START_TEST(knows_that_the_last_commit_was_safe_after_an_orderly_end)
{
	open_cursor(1);
	put(1, "the first");
	put(1, "the last");
	store_close(store);
	store = NULL;
	flip(find_text("the last"));
	open_store();
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_uint_eq(told.damage_count, 1);
	ck_assert(!told.damages[0].is_torn_tail);
	ck_assert_uint_eq(told.damages[0].last_sequence, 3);
}
END_TEST

/* Told once: what was damaged is in the copy then. */
START_TEST(tells_damage_in_the_middle_and_goes_on_behind_it)
{
	uint64_t offset;

	open_cursor(1);
	put(1, "the first");
	put(1, "the second");
	put(1, "the third");
	put(1, "the fourth");
	kill_store();
	offset = find_text("the second");
	flip(offset);
	for (int life = 0; life < 2; life++) {
		open_store();
		ck_assert_uint_eq(told.message_count, 3);
		ck_assert_str_eq(told.payloads[1], "the third");
		if (life == 1)
			break;
		ck_assert_uint_eq(told.damage_count, 1);
		ck_assert(!told.damages[0].is_torn_tail);
		ck_assert_uint_eq(told.damages[0].first_sequence, 3);
		ck_assert_uint_eq(told.damages[0].last_sequence, 3);
		ck_assert_uint_le(told.damages[0].offset, offset);
		ck_assert_uint_gt(
		    told.damages[0].offset + told.damages[0].bytes, offset);
		ck_assert_str_eq(told.damaged_file, newest_name);
		ck_assert_str_eq(
		    told.kept_as, "0000000000000001.seg.damaged-1");
		kill_store();
	}
	ck_assert_uint_eq(told.damage_count, 0);
}
END_TEST

START_TEST(reads_the_records_under_a_damaged_header)
{
	open_cursor(1);
	put(1, "the first");
	put(1, "the second");
	kill_store();
	flip(20);
	open_store();
	ck_assert_uint_eq(told.damage_count, 1);
	ck_assert_uint_eq(told.message_count, 2);
	put(1, "the third");
	reopen();
	ck_assert_uint_eq(told.message_count, 3);
	ck_assert_uint_eq(told.damage_count, 0);
}
END_TEST

static void
write_segments(int count)
{
	char payload[4000];
	uint64_t sequence;

	memset(payload, 'p', sizeof(payload));
	open_cursor(1);
	for (int i = 0; i < count * 15; i++) {
		ck_assert_int_eq(
		    try_message(1, payload, sizeof(payload), &sequence), 0);
		commit();
	}
}

static void
truncate_file(const char *name, uint64_t size)
{
	int file = io.open(io.context, name, STORE_OPEN_WRITE);

	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(io.truncate(io.context, file, size), 0);
	io.close(io.context, file);
}

START_TEST(tells_a_segment_that_is_missing)
{
	char name[STORE_NAME_MAX];
	size_t before;

	write_segments(4);
	kill_store();
	open_store();
	before = told.message_count;
	ck_assert_uint_ge(store->segment_count, 4);
	segment_name(store->segments[_i]->first_sequence, 0, name);
	store_tend(store);
	kill_store();
	remove_file(name);
	open_store();
	ck_assert_uint_eq(told.damage_count, 1);
	ck_assert_str_eq(told.damaged_file, name);
	ck_assert_uint_lt(told.message_count, before);
	ck_assert_uint_eq(
	    told.damages[0].last_sequence - told.damages[0].first_sequence + 1,
	    before - told.message_count + (_i == 0 ? 1 : 0));
	reopen();
	ck_assert_uint_eq(told.damage_count, 0);
}
END_TEST

START_TEST(tells_a_segment_without_content_and_one_that_was_cut)
{
	char name[STORE_NAME_MAX];
	size_t before;

	write_segments(4);
	kill_store();
	open_store();
	before = told.message_count;
	segment_name(store->segments[_i]->first_sequence, 0, name);
	kill_store();
	truncate_file(name, 0);
	open_store();
	ck_assert_uint_ge(told.damage_count, 1);
	ck_assert_str_eq(told.damaged_file, name);
	ck_assert_uint_lt(told.message_count, before);
	put(1, "and it goes on");
	kill_store();

	open_newest();
	io.close(io.context, newest_file);
	segment_name(newest, 0, name);
	truncate_file(name, SEGMENT / 2);
	open_store();
	ck_assert_uint_ge(told.damage_count, 1);
	ck_assert_str_eq(
	    told.payloads[told.message_count - 1], "and it goes on");
}
END_TEST

START_TEST(minds_no_file_that_it_does_not_know)
{
	int file;

	put(0, "x");
	file = io.open(io.context, "notes.txt", STORE_OPEN_CREATE);
	io.close(io.context, file);
	file = io.open(io.context, "0000000000000000.seg", STORE_OPEN_CREATE);
	io.close(io.context, file);
	file = io.open(io.context, "half.tmp", STORE_OPEN_CREATE);
	io.close(io.context, file);
	reopen();
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_int_eq(
	    io.open(io.context, "half.tmp", STORE_OPEN_READ), -ENOENT);
	remove_file("notes.txt");
}
END_TEST

START_TEST(refuses_a_newer_version_and_changes_nothing)
{
	struct store_segment_header header;
	size_t before;

	put(0, "x");
	store_close(store);
	store = NULL;
	open_newest();
	ck_assert_int_eq(segment_header_read(&io, newest_file, &header), 0);
	header.crc = 0;
	segment_header_seal(&header);
	header.version = htole32(STORE_VERSION + 1);
	header.crc = 0;
	header.crc = htole32(crc32c(0, &header, sizeof(header)));
	io.write(io.context, newest_file, &header, sizeof(header), 0);
	io.close(io.context, newest_file);
	before = files();
	ck_assert_int_eq(try_open(64 * SEGMENT, true), -ENOTSUP);
	ck_assert_ptr_null(store);
	ck_assert_uint_eq(files(), before);
}
END_TEST

/* A payload that looks like a record, wherever it comes to lie. */
START_TEST(takes_no_record_from_inside_a_payload)
{
	uint8_t forged[72] __attribute__((aligned(8)));
	uint64_t sequence;

	memset(forged, 0, sizeof(forged));
	memcpy(forged + 32, "forged", 6);
	segment_record_seal(forged,
	    &(struct segment_record){ .sequence = 1000,
		.tag = store->tag + 1,
		.kind = STORE_RELEASED,
		.body = slice_of(forged + 32, 6) });
	memmove(forged + _i, forged, 64);
	open_cursor(1);
	ck_assert_int_eq(
	    try_message(1, (char *)forged, sizeof(forged), &sequence), 0);
	commit();
	put(1, "behind");
	kill_store();
	flip(find_text("a/b"));
	open_store();
	ck_assert_uint_eq(told.state_count, 0);
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_uint_eq(told.damage_count, 1);
}
END_TEST

/* Where the last commit ends lies what the file held in its life before. */
START_TEST(takes_no_record_of_a_life_before)
{
	const size_t bytes = 256;
	uint8_t old[256];
	uint64_t end;

	open_cursor(1);
	put(1, "the first");
	put(1, "the second");
	end = store->active->end;
	kill_store();
	open_newest();
	ck_assert_int_eq(
	    io.read(io.context, newest_file, old, bytes, STORE_PAGE),
	    (int64_t)bytes);
	ck_assert_int_eq(io.write(io.context, newest_file, old, bytes, end), 0);
	io.close(io.context, newest_file);
	open_store();
	ck_assert_uint_eq(told.message_count, 2);
	ck_assert_uint_eq(told.opened_count, 1);
	ck_assert_uint_eq(store_committed(store), 3);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_damage");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, cuts_a_torn_tail_and_says_so);
	tcase_add_test(tc, tells_damage_in_the_middle_and_goes_on_behind_it);
	tcase_add_test(
	    tc, knows_that_the_last_commit_was_safe_after_an_orderly_end);
	tcase_add_test(tc, reads_the_records_under_a_damaged_header);
	tcase_add_loop_test(tc, tells_a_segment_that_is_missing, 0, 4);
	tcase_add_loop_test(
	    tc, tells_a_segment_without_content_and_one_that_was_cut, 0, 4);
	tcase_add_test(tc, minds_no_file_that_it_does_not_know);
	tcase_add_test(tc, refuses_a_newer_version_and_changes_nothing);
	tcase_add_loop_test(tc, takes_no_record_from_inside_a_payload, 0, 8);
	tcase_add_test(tc, takes_no_record_of_a_life_before);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
