/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/store.h"

#include "tests/unit/store_dir.h"

START_TEST(gives_back_what_was_committed_in_its_order)
{
	open_cursor(1);
	for (int i = 0; i < 100; i++) {
		char payload[24];

		snprintf(payload, sizeof(payload), "message %d", i);
		append(1, payload);
		if (i % 7 == 0)
			commit();
	}
	commit();
	reopen();
	ck_assert_uint_eq(told.message_count, 100);
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(told.opened_count, 1);
	for (size_t i = 0; i < 100; i++) {
		char payload[24];

		snprintf(payload, sizeof(payload), "message %zu", i);
		ck_assert_str_eq(told.payloads[i], payload);
		ck_assert_uint_eq(told.messages[i], 2 + i);
	}
	ck_assert_uint_eq(queued(1), 100);
}
END_TEST

START_TEST(forgets_what_was_not_committed)
{
	open_cursor(1);
	put(1, "kept");
	append(1, "not kept");
	reopen();
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_uint_eq(told.damage_count, 0);
}
END_TEST

START_TEST(takes_back_the_last_of_a_batch)
{
	struct store_mark mark;
	uint64_t first, gone;

	open_cursor(1);
	first = append(1, "first");
	mark = store_mark(store);
	gone = append(1, "gone");
	append(1, "gone, too");
	store_take_back(store, &mark);
	commit();
	ck_assert_uint_eq(store_committed(store), first);
	ck_assert_uint_eq(put(1, "second"), gone);
	ck_assert_uint_eq(queued(1), 2);
	reopen();
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(told.message_count, 2);
	ck_assert_str_eq(told.payloads[0], "first");
	ck_assert_str_eq(told.payloads[1], "second");
	ck_assert_uint_eq(queued(1), 2);
}
END_TEST

START_TEST(takes_back_all_of_a_batch)
{
	struct store_mark mark;
	uint64_t before, gone, kept;

	open_cursor(1);
	before = put(1, "before");
	mark = store_mark(store);
	gone = append(1, "gone");
	store_take_back(store, &mark);
	/* Nothing is written: the disk is asked whether it is well. */
	commit();
	ck_assert_uint_eq(store_committed(store), before);
	mark = store_mark(store);
	append(1, "gone again");
	store_take_back(store, &mark);
	kept = put(1, "kept");
	ck_assert_uint_eq(kept, gone);
	reopen();
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(told.message_count, 2);
	ck_assert_str_eq(told.payloads[1], "kept");
}
END_TEST

START_TEST(never_uses_a_sequence_twice)
{
	uint64_t last = 0, sequence;

	open_cursor(1);
	for (int life = 0; life < 5; life++) {
		for (int i = 0; i < 3; i++) {
			sequence = put(1, "x");
			ck_assert_uint_gt(sequence, last);
			last = sequence;
		}
		append(1, "void");
		reopen();
		ck_assert_uint_eq(store_committed(store), last);
	}
	ck_assert_uint_eq(told.message_count, 15);
}
END_TEST

START_TEST(goes_on_in_the_next_segment_when_one_is_full)
{
	char payload[1000];
	uint64_t sequence;
	struct store_stat stat;

	memset(payload, 'p', sizeof(payload));
	open_cursor(9);
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(
		    try_message(9, payload, sizeof(payload), &sequence), 0);
		commit();
	}
	store_stat(store, &stat);
	ck_assert_uint_ge(stat.segments, 5);
	ck_assert_uint_eq(stat.queued, 300);
	reopen();
	ck_assert_uint_eq(told.message_count, 300);
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(queued(9), 300);
}
END_TEST

START_TEST(refuses_a_record_or_a_batch_that_is_too_large)
{
	static char payload[SEGMENT / 4 - 200];
	uint64_t sequence;
	int err, count = 0;

	open_cursor(1);
	ck_assert_int_eq(
	    try_message(1, payload, sizeof(payload), &sequence), 0);
	ck_assert_int_eq(store_append(store, STORE_SESSION,
			     slice_of(payload, sizeof(payload)), &sequence),
	    0);
	do
		err = try_message(1, payload, sizeof(payload), &sequence);
	while (err == 0 && ++count < 8);
	ck_assert_int_eq(err, -EAGAIN);
	commit();
	ck_assert_int_eq(
	    try_message(1, payload, sizeof(payload), &sequence), 0);
	commit();
	{
		static char large[SEGMENT / 4 + 1];

		ck_assert_int_eq(
		    try_message(1, large, sizeof(large), &sequence), -EMSGSIZE);
	}
}
END_TEST

START_TEST(refuses_what_it_cannot_be)
{
	struct store_spec spec = { .io = &io,
		.segment_bytes = SEGMENT / 2,
		.max_bytes = 64 * SEGMENT };
	struct store *other = NULL;

	ck_assert_int_eq(store_open(&spec, &sink, &other), -EINVAL);
	spec.segment_bytes = SEGMENT + 1;
	ck_assert_int_eq(store_open(&spec, &sink, &other), -EINVAL);
	spec.segment_bytes = SEGMENT;
	spec.max_bytes = 3 * SEGMENT - 1;
	ck_assert_int_eq(store_open(&spec, &sink, &other), -EINVAL);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(lets_only_one_process_have_the_directory)
{
	struct store_io second;

	ck_assert_int_eq(
	    store_io_posix_open(directory, false, &second), -EBUSY);
	ck_assert_int_eq(store_io_posix_open(directory, true, &second), 0);
	store_io_posix_close(&second);
}
END_TEST

START_TEST(counts_for_a_cursor_only_what_comes_after_its_open)
{
	put(5, "before");
	open_cursor(5);
	put(5, "after");
	ck_assert_uint_eq(queued(5), 1);
	ck_assert_uint_eq(store_next_cursor(store), 6);
	reopen();
	ck_assert_uint_eq(queued(5), 1);
	ck_assert_uint_eq(store_next_cursor(store), 6);
}
END_TEST

START_TEST(takes_done_in_any_order_and_twice)
{
	uint64_t first, second, third;
	struct look at;

	open_cursor(1);
	first = put(1, "one");
	second = put(1, "two");
	third = put(1, "three");
	done(1, second, 0);
	done(1, second, 0);
	done(77, second, 0);
	at = look(1);
	ck_assert_uint_eq(at.found.queued, 2);
	ck_assert_uint_eq(at.found.over_count, 1);
	ck_assert_uint_eq(at.found.floor, first - 1);
	done(1, first, second);
	at = look(1);
	ck_assert_uint_eq(at.found.queued, 1);
	ck_assert_uint_eq(at.found.over_count, 0);
	ck_assert_uint_eq(at.found.floor, second);
	reopen();
	at = look(1);
	ck_assert_uint_eq(at.found.queued, 1);
	ck_assert_uint_eq(at.found.floor, second);
	done(1, third, 0);
	at = look(1);
	ck_assert_uint_eq(at.found.queued, 0);
	ck_assert_uint_eq(at.found.queued_bytes, 0);
	ck_assert_uint_eq(at.found.floor, store_committed(store));
}
END_TEST

START_TEST(forgets_a_cursor_that_was_closed)
{
	open_cursor(1);
	open_cursor(2);
	put(1, "one");
	put(2, "two");
	ck_assert_int_eq(store_append_close(store, 1), 0);
	commit();
	ck_assert(!look(1).is_there);
	put(1, "late");
	reopen();
	ck_assert(!look(1).is_there);
	ck_assert_uint_eq(queued(2), 1);
	ck_assert_uint_eq(told.closed_count, 1);
}
END_TEST

START_TEST(opens_and_closes_within_one_batch)
{
	ck_assert_int_eq(store_append_open(store, 3), 0);
	append(3, "x");
	append(3, "y");
	ck_assert_int_eq(store_append_close(store, 3), 0);
	ck_assert_int_eq(store_append_open(store, 4), 0);
	append(4, "z");
	commit();
	ck_assert(!look(3).is_there);
	ck_assert_uint_eq(queued(4), 1);
}
END_TEST

/* Fill segments, and end all that waits in them. */
static void
fill_and_end(int segments)
{
	char payload[1000];
	uint64_t sequence = 0;

	memset(payload, 'p', sizeof(payload));
	for (int i = 0; i < segments * 60; i++) {
		ck_assert_int_eq(
		    try_message(1, payload, sizeof(payload), &sequence), 0);
		commit();
		store_tend(store);
		if (i % 30 == 29) {
			done(1, sequence, sequence);
			store->covered = store_committed(store);
		}
	}
}

START_TEST(uses_segments_again_when_nothing_in_them_is_needed)
{
	struct store_stat stat;

	/* Of no use to wait for the disk so often. */
	store_close(store);
	store = NULL;
	ck_assert_int_eq(try_open(64 * SEGMENT, false), 0);
	open_cursor(1);
	fill_and_end(100);
	store_stat(store, &stat);
	ck_assert_uint_le(stat.bytes, 6 * SEGMENT);
	ck_assert_uint_le(files(), 8);
}
END_TEST

START_TEST(keeps_segments_that_no_checkpoint_covers)
{
	struct store_stat stat;
	char payload[1000];
	uint64_t sequence;

	memset(payload, 'p', sizeof(payload));
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(
		    try_message(0, payload, sizeof(payload), &sequence), 0);
		commit();
		store_tend(store);
	}
	store_stat(store, &stat);
	ck_assert_uint_ge(stat.segments, 5);
}
END_TEST

/* So much that progress would be told. */
static void
put_checkpoint(void)
{
	const size_t length = (size_t)17 << 20;
	struct store_checkpoint *checkpoint;
	void *body = calloc(1, length);

	ck_assert_ptr_nonnull(body);
	ck_assert_int_eq(store_checkpoint_begin(store, &checkpoint), 0);
	ck_assert_int_eq(store_checkpoint_put(
			     checkpoint, STORE_SESSION, slice_of(body, length)),
	    0);
	ck_assert_int_eq(store_checkpoint_end(checkpoint), 0);
	free(body);
}

/* Each of what can be told is there, damage too. */
START_TEST(recovers_all_the_same_when_nobody_is_told)
{
	const struct store_sink nobody = { 0 };
	const struct store_spec spec = { .io = &io,
		.segment_bytes = SEGMENT,
		.max_bytes = 1024 * SEGMENT,
		.is_synced = true };
	uint64_t sequence, last;

	store_close(store);
	store = NULL;
	ck_assert_int_eq(try_open(1024 * SEGMENT, true), 0);
	open_cursor(1);
	put(1, "covered");
	put_checkpoint();
	open_cursor(2);
	last = put(1, "behind it");
	done(1, last, 0);
	ck_assert_int_eq(store_append_close(store, 2), 0);
	ck_assert_int_eq(store_append(store, STORE_SESSION,
			     slice_of_string("a state"), &sequence),
	    0);
	commit();
	put(1, "torn");
	kill_store();
	flip(find_text("torn"));

	ck_assert_int_eq(store_open(&spec, &nobody, &store), 0);
	ck_assert_uint_eq(store_committed(store), sequence);
	ck_assert_uint_eq(queued(1), 1);
	ck_assert(!look(2).is_there);
	ck_assert_uint_eq(store_next_cursor(store), 3);
}
END_TEST

static uint64_t given[200];
static size_t given_count;

static int
take_given(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	(void)message;
	ck_assert_uint_eq(delivery->cursor, *(uint64_t *)arg);
	given[given_count++] = sequence;
	return 0;
}

/* In pieces, over several segments, another cursor's in between. */
START_TEST(reads_what_is_for_a_cursor_in_its_order)
{
	struct store_reader *reader;
	uint64_t cursor = 1, wanted[100], from = 1, upto;
	char payload[3000] = "";

	memset(payload, 'p', sizeof(payload) - 1);
	open_cursor(1);
	open_cursor(2);
	for (int i = 0; i < 100; i++) {
		wanted[i] = put(1, payload);
		put(2, payload);
	}
	reader = store_reader_new(store);
	given_count = 0;
	while (from <= store_committed(store)) {
		ck_assert_int_eq(store_read(reader, cursor, from, 7, 1 << 20,
				     take_given, &cursor, &upto),
		    0);
		ck_assert_uint_ge(upto, from);
		from = upto + 1;
	}
	ck_assert_uint_eq(given_count, 100);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(given[i], wanted[i]);
	given_count = 0;
	ck_assert_int_eq(store_read(reader, cursor, wanted[50], 100, 1,
			     take_given, &cursor, &upto),
	    0);
	ck_assert_uint_eq(given_count, 1);
	ck_assert_uint_eq(given[0], wanted[50]);
	store_reader_free(reader);
}
END_TEST

static char fifth[SEGMENT / 5];

/* Messages for cursor 1 up to the limit; returns the last one's sequence. */
static uint64_t
fill_up(void)
{
	uint64_t sequence, last = 0;
	int err, tries = 0;

	store_close(store);
	store = NULL;
	ck_assert_int_eq(try_open(4 * SEGMENT, true), 0);
	open_cursor(1);
	do {
		err = try_message(1, fifth, sizeof(fifth), &sequence);
		if (err == 0) {
			commit();
			last = sequence;
		}
		store_tend(store);
	} while (err == 0 && ++tries < 1000);
	ck_assert_int_eq(err, -ENOSPC);
	ck_assert_int_ge(tries, 8);
	return last;
}

/* Records of one kind, one a commit, as long as they are taken. */
static unsigned
append_many(uint8_t kind)
{
	static const uint8_t body[1000];
	uint64_t sequence;
	unsigned count = 0;

	while (store_append(
		   store, kind, slice_of(body, sizeof(body)), &sequence) == 0) {
		commit();
		store_tend(store);
		ck_assert_uint_lt(++count, 1000);
	}
	return count;
}

/* Sessions come and go in half of the last room; QoS 2 ends in all of it. */
START_TEST(keeps_half_of_the_last_room_for_what_ends)
{
	const unsigned half = SEGMENT / 2 / 1100;
	unsigned sessions;

	fill_up();
	append_many(STORE_SUBSCRIBE);
	ck_assert_uint_eq(append_many(STORE_SUBSCRIBE), 0);
	/* A bridge that is new in the configuration. */
	ck_assert_int_eq(store_append_open(store, 2), 0);
	commit();
	sessions = append_many(STORE_SESSION);
	ck_assert_uint_gt(sessions, 0);
	ck_assert_uint_eq(append_many(STORE_LEAVE), 0);
	ck_assert_uint_ge(append_many(STORE_RELEASED), half - 1);
}
END_TEST

/* At the limit: messages are refused, what makes room is not. */
START_TEST(keeps_room_for_what_makes_room)
{
	uint64_t sequence, last = fill_up();

	/* A whole segment of it. */
	for (uint64_t i = 1; i < 500; i++)
		done(1, i, 0);
	done(1, last, last);
	store->covered = store_committed(store);
	while (store_tend(store) == 0)
		;
	ck_assert_int_eq(store_state(store), 0);
	ck_assert_int_eq(try_message(1, fifth, sizeof(fifth), &sequence), 0);
	commit();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, gives_back_what_was_committed_in_its_order);
	tcase_add_test(tc, forgets_what_was_not_committed);
	tcase_add_test(tc, takes_back_the_last_of_a_batch);
	tcase_add_test(tc, takes_back_all_of_a_batch);
	tcase_add_test(tc, never_uses_a_sequence_twice);
	tcase_add_test(tc, goes_on_in_the_next_segment_when_one_is_full);
	tcase_add_test(tc, refuses_a_record_or_a_batch_that_is_too_large);
	tcase_add_test(tc, refuses_what_it_cannot_be);
	tcase_add_test(tc, lets_only_one_process_have_the_directory);
	tcase_add_test(tc, counts_for_a_cursor_only_what_comes_after_its_open);
	tcase_add_test(tc, takes_done_in_any_order_and_twice);
	tcase_add_test(tc, forgets_a_cursor_that_was_closed);
	tcase_add_test(tc, opens_and_closes_within_one_batch);
	tcase_add_test(tc, uses_segments_again_when_nothing_in_them_is_needed);
	tcase_add_test(tc, keeps_segments_that_no_checkpoint_covers);
	tcase_add_test(tc, recovers_all_the_same_when_nobody_is_told);
	tcase_add_test(tc, reads_what_is_for_a_cursor_in_its_order);
	tcase_add_test(tc, keeps_half_of_the_last_room_for_what_ends);
	tcase_add_test(tc, keeps_room_for_what_makes_room);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
