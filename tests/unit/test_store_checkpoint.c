/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/checkpoint_file.h"
#include "broker/store/crc32c.h"
#include "tests/unit/store_box.h"

#define FIRST "0000000000000001.checkpoint"
#define SECOND "0000000000000002.checkpoint"
#define THIRD "0000000000000003.checkpoint"

START_TEST(a_store_starts_from_its_checkpoint)
{
	uint64_t later;

	box_open(1);
	box_put_state(STORE_SESSION, "early");
	box_checkpoint("snapshot");
	later = box_put_state(STORE_SUBSCRIBE, "late");
	box_restart();
	ck_assert_uint_eq(box.states, 2);
	ck_assert_uint_eq(box.kinds[0], STORE_SESSION);
	ck_assert_uint_eq(box.sequences[0], 0);
	ck_assert_str_eq(box.bodies[0], "snapshot");
	ck_assert_uint_eq(box.kinds[1], STORE_SUBSCRIBE);
	ck_assert_uint_eq(box.sequences[1], later);
	ck_assert_str_eq(box.bodies[1], "late");
	ck_assert_uint_eq(box.damages, 0);
	box_close();
}
END_TEST

/* Where they came from may not be in the checkpoint, of the last ones. */
START_TEST(messages_that_are_covered_are_told_apart)
{
	uint64_t covered, behind;

	box_open(1);
	box_open_cursor(7);
	box_to(7);
	covered = box_to(7);
	box_checkpoint("snapshot");
	behind = box_to(7);
	box_restart();
	ck_assert_uint_eq(box.covered, 2);
	ck_assert_uint_eq(box.covered_last, covered);
	ck_assert_uint_eq(box.messages, 1);
	ck_assert_uint_eq(box.message_sequences[0], behind);
	box_close();
}
END_TEST

START_TEST(cursors_come_back_with_what_is_over)
{
	uint64_t s[6];

	box_open(1);
	box_open_cursor(7);
	box_open_cursor(8);
	for (unsigned i = 0; i < 6; i++)
		s[i] = box_to(7);
	box_done(7, s[0], s[0]);
	box_done(7, s[2], 0);
	box_done(7, s[4], 0);
	box_close_cursor(8);
	box_checkpoint("x");
	box_restart();
	ck_assert_uint_eq(box.opened, 0);
	ck_assert_uint_eq(box.dones, 0);
	ck_assert_uint_eq(box_queued(8), UINT64_MAX);
	ck_assert_uint_eq(box_queued(7), 3);
	for (unsigned i = 0; i < 6; i++)
		ck_assert(box_is_over(7, s[i]) == (i == 0 || i % 2 == 0));

	/* And its floor moves on from there, over what was over. */
	box_done(7, s[1], s[2]);
	ck_assert_uint_eq(box_queued(7), 2);
	box_done(7, s[3], s[4]);
	ck_assert_uint_eq(box_queued(7), 1);
	box_done(7, s[5], 0);
	ck_assert_uint_eq(box_queued(7), 0);
	box_close();
}
END_TEST

START_TEST(no_cursor_is_given_out_twice)
{
	box_open(1);
	box_open_cursor(1000);
	box_close_cursor(1000);
	box_checkpoint("x");
	box_restart();
	ck_assert_uint_eq(store_next_cursor(box.store), 1001);
	box_close();
}
END_TEST

START_TEST(the_last_two_are_kept)
{
	box_open(1);
	box_put_state(STORE_SESSION, "a");
	box_checkpoint("one");
	box_put_state(STORE_SESSION, "b");
	box_checkpoint("two");
	ck_assert_uint_eq(box_files(".checkpoint"), 2);
	box_put_state(STORE_SESSION, "c");
	box_checkpoint("three");
	ck_assert_uint_eq(box_files(".checkpoint"), 2);
	ck_assert_uint_eq(box_files(FIRST), 0);
	box_restart();
	ck_assert_uint_eq(box.states, 1);
	ck_assert_str_eq(box.bodies[0], "three");
	box_checkpoint("four");
	ck_assert_uint_eq(box_files(".checkpoint"), 2);
	ck_assert_uint_eq(box_files(SECOND), 0);
	box_close();
}
END_TEST

START_TEST(one_that_was_not_removed_is_removed_later)
{
	box_open(1);
	box_checkpoint("one");
	box_checkpoint("two");
	store_sim_fail(box.sim, STORE_SIM_REMOVE, 0, -EIO, false);
	box_checkpoint("three");
	ck_assert_uint_eq(box_files(".checkpoint"), 3);
	box_restart();
	ck_assert_uint_eq(box_files(".checkpoint"), 2);
	ck_assert_uint_eq(box_files(FIRST), 0);
	ck_assert_str_eq(box.bodies[0], "three");
	box_close();
}
END_TEST

/* Only the older one frees segments: the newer may turn out damaged. */
START_TEST(what_the_older_one_covers_may_go)
{
	uint64_t first, second;

	box_open(1);
	first = box_put_state(STORE_SESSION, "a");
	box_checkpoint("one");
	ck_assert_uint_eq(box.store->covered, 0);
	second = box_put_state(STORE_SESSION, "b");
	box_checkpoint("two");
	ck_assert_uint_eq(box.store->covered, first);
	box_put_state(STORE_SESSION, "c");
	box_checkpoint("three");
	ck_assert_uint_eq(box.store->covered, second);
	box_restart();
	ck_assert_uint_eq(box.store->covered, second);
	ck_assert_uint_eq(box.store->checkpoint_sequence, second + 1);
	box_close();
}
END_TEST

START_TEST(with_the_newest_damaged_nothing_is_lost)
{
	uint64_t over, left;

	box_open(1);
	box_open_cursor(7);
	over = box_to(7);
	box_checkpoint("one");
	left = box_to(7);
	box_done(7, over, 0);
	box_put_state(STORE_BRIDGE, "behind one");
	box_checkpoint("two");
	box_flip(SECOND, 70);
	box_restart();
	ck_assert_uint_eq(box.damages, 1);
	ck_assert_str_eq(box.damaged_file, SECOND);
	ck_assert_str_eq(box.kept_as, SECOND ".damaged-1");
	ck_assert_uint_eq(box_files(SECOND ".damaged-1"), 1);
	ck_assert_uint_eq(box.states, 2);
	ck_assert_str_eq(box.bodies[0], "one");
	ck_assert_str_eq(box.bodies[1], "behind one");
	ck_assert_uint_eq(box.messages, 1);
	ck_assert_uint_eq(box_queued(7), 1);
	ck_assert(box_is_over(7, over) && !box_is_over(7, left));

	/* With one left, nothing may be used again that is behind it. */
	ck_assert_uint_eq(box.store->covered, 0);
	box_checkpoint("three");
	ck_assert_uint_eq(box_files(THIRD), 1);
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	ck_assert_str_eq(box.bodies[0], "three");
	box_close();
}
END_TEST

START_TEST(a_damaged_older_one_is_told_too)
{
	box_open(1);
	box_checkpoint("one");
	box_checkpoint("two");
	box_flip(FIRST, 3);
	box_restart();
	ck_assert_uint_eq(box.damages, 1);
	ck_assert_str_eq(box.damaged_file, FIRST);
	ck_assert_str_eq(box.bodies[0], "two");
	ck_assert_uint_eq(box.store->covered, 0);
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	box_close();
}
END_TEST

START_TEST(with_all_damaged_it_starts_from_the_segments)
{
	box_open(1);
	box_open_cursor(7);
	box_to(7);
	box_checkpoint("one");
	box_checkpoint("two");
	box_flip(FIRST, 70);
	box_flip(SECOND, 80);
	box_restart();
	ck_assert_uint_eq(box.damages, 2);
	ck_assert_uint_eq(box.states, 0);
	ck_assert_uint_eq(box.opened, 1);
	ck_assert_uint_eq(box_queued(7), 1);
	box_checkpoint("three");
	ck_assert_uint_eq(box_files(".damaged-1"), 2);
	box_close();
}
END_TEST

START_TEST(one_of_another_journal_is_not_taken)
{
	struct checkpoint_head head = { .generation = 9, .tag = 1 };
	struct checkpoint_writer *writer;
	uint64_t bytes;

	box_open(1);
	box_put_state(STORE_SESSION, "ours");
	ck_assert_int_eq(
	    checkpoint_writer_new(store_sim_io(box.sim), &head, &writer), 0);
	ck_assert_int_eq(checkpoint_writer_put(
			     writer, STORE_SESSION, slice_of_string("theirs")),
	    0);
	ck_assert_int_eq(checkpoint_writer_end(writer, &bytes), 0);
	checkpoint_writer_free(writer);
	box_restart();
	ck_assert_uint_eq(box.damages, 1);
	ck_assert_str_eq(box.what, "it is of another journal");
	ck_assert_uint_eq(box.states, 1);
	ck_assert_str_eq(box.bodies[0], "ours");
	box_close();
}
END_TEST

START_TEST(a_newer_version_is_refused_and_nothing_changes)
{
	uint8_t header[64];
	uint64_t changes;
	uint32_t crc;
	size_t size;

	box_open(1);
	box_checkpoint("one");
	box_checkpoint("two");
	box_checkpoint("three");
	store_close(box.store);
	memcpy(header, store_sim_bytes(box.sim, SECOND, &size), 64);
	header[8]++;
	memset(header + 12, 0, 4);
	crc = htole32(crc32c(0, header, sizeof(header)));
	memcpy(header + 12, &crc, 4);
	store_sim_damage(box.sim, SECOND, 0, header, sizeof(header));
	box_flip(THIRD, 70);
	changes = store_sim_changes(box.sim);
	ck_assert_int_eq(box_try_open(false), -ENOTSUP);
	ck_assert_uint_eq(store_sim_changes(box.sim), changes);
	ck_assert_uint_eq(box_files(THIRD ".damaged"), 0);
	box_close();
}
END_TEST

START_TEST(who_only_looks_changes_nothing)
{
	struct store_checkpoint *checkpoint = NULL;
	uint64_t changes;

	box_open(1);
	box_put_state(STORE_SESSION, "a");
	box_checkpoint("one");
	box_checkpoint("two");
	store_close(box.store);
	box_flip(SECOND, 70);
	changes = store_sim_changes(box.sim);
	ck_assert_int_eq(box_try_open(true), 0);
	ck_assert_uint_eq(box.damages, 1);
	ck_assert_str_eq(box.kept_as, "");
	ck_assert_str_eq(box.bodies[0], "one");
	ck_assert_int_eq(
	    store_checkpoint_begin(box.store, &checkpoint), -EROFS);
	ck_assert_uint_eq(store_sim_changes(box.sim), changes);
	box_close();
}
END_TEST

START_TEST(one_that_is_aborted_or_fails_leaves_all_as_it_was)
{
	struct store_checkpoint *checkpoint = NULL;

	box_open(1);
	box_checkpoint("one");
	ck_assert_int_eq(store_checkpoint_begin(box.store, &checkpoint), 0);
	store_checkpoint_abort(checkpoint);
	ck_assert_int_eq(store_checkpoint_begin(box.store, &checkpoint), 0);
	store_sim_fail(box.sim, STORE_SIM_SYNC, 0, -EIO, false);
	ck_assert_int_eq(store_checkpoint_end(checkpoint), -EIO);
	store_checkpoint_abort(checkpoint);
	store_checkpoint_abort(NULL);
	ck_assert_uint_eq(box_files("checkpoint"), 1);
	box_checkpoint("two");
	box_restart();
	ck_assert_str_eq(box.bodies[0], "two");
	box_close();
}
END_TEST

/* Its name may not be durable: what it covers must not go yet. */
START_TEST(one_whose_name_may_be_lost_does_not_count)
{
	struct store_checkpoint *checkpoint = NULL;

	box_open(1);
	box_put_state(STORE_SESSION, "a");
	box_checkpoint("one");
	box_put_state(STORE_SESSION, "b");
	ck_assert_int_eq(store_checkpoint_begin(box.store, &checkpoint), 0);
	store_sim_fail(box.sim, STORE_SIM_SYNC_DIRECTORY, 0, -EIO, false);
	ck_assert_int_eq(store_checkpoint_end(checkpoint), -EIO);
	store_checkpoint_abort(checkpoint);
	ck_assert_uint_eq(box.store->covered, 0);
	box_checkpoint("two");
	box_restart();
	ck_assert_str_eq(box.bodies[0], "two");
	ck_assert_uint_eq(box_files(".checkpoint"), 2);
	box_close();
}
END_TEST

START_TEST(is_wanted_when_so_much_is_behind)
{
	const uint64_t cursor = 7;

	box_open(1);
	box_open_cursor(cursor);
	ck_assert(!store_wants_checkpoint(box.store));
	while (box.store->behind_bytes <= box.max_bytes / 8) {
		ck_assert(!store_wants_checkpoint(box.store));
		box_message(&cursor, 1, 8000);
	}
	ck_assert(store_wants_checkpoint(box.store));
	box_restart();
	ck_assert(store_wants_checkpoint(box.store));
	box_checkpoint("one");
	ck_assert(!store_wants_checkpoint(box.store));
	ck_assert_uint_eq(box.store->behind_bytes, 0);
	box_message(&cursor, 1, 8000);
	ck_assert_uint_gt(box.store->behind_bytes, 8000);
	ck_assert_uint_lt(box.store->behind_bytes, 9000);
	box_close();
}
END_TEST

/* Full of what nobody needs: a checkpoint makes room, and then another. */
START_TEST(is_wanted_when_it_would_make_room)
{
	const uint64_t cursor = 7;
	uint64_t last = 0;
	unsigned made = 0;

	box_open(1);
	box.max_bytes = 8 * BOX_SEGMENT;
	box_restart();
	box_open_cursor(cursor);
	while (box_try_message(&cursor, 1, 8000, &last) == 0)
		box_commit();
	ck_assert_int_eq(store_commit(box.store, true), 0);
	box_checkpoint("one");
	ck_assert(!store_wants_checkpoint(box.store));
	box_done(cursor, last, last);
	while (store_wants_checkpoint(box.store)) {
		ck_assert_uint_lt(made++, 3);
		box_checkpoint("more");
		box_tend();
	}
	ck_assert_uint_gt(made, 0);
	ck_assert_int_eq(box_try_message(&cursor, 1, 8000, &last), 0);
	box_close();
}
END_TEST

/* What was committed without a sync is in memory only, if the next fails. */
START_TEST(is_wanted_when_a_sync_has_failed)
{
	box_open(1);
	box_to(7);
	box.gathers = true;
	box_to(7);
	ck_assert_int_eq(store_commit(box.store, false), 0);
	ck_assert(!store_wants_checkpoint(box.store));
	box_to(7);
	store_sim_fail(box.sim, STORE_SIM_SYNC, 0, -EIO, false);
	ck_assert_int_eq(store_commit(box.store, true), -EIO);
	ck_assert(store_wants_checkpoint(box.store));
	box_checkpoint("one");
	ck_assert(!store_wants_checkpoint(box.store));
	box_close();
}
END_TEST

/* ---- whatever happens while one is written ------------------------------- */

#define CURSORS 6u
#define MAX_SEQUENCES 3000u

static struct {
	uint64_t dice;
	uint64_t next_cursor;
	uint64_t open[CURSORS]; /* numbers; 0: none */
	struct {
		uint64_t cursor, sequence;
		bool is_over;
	} deliveries[MAX_SEQUENCES];
	size_t count;
} model;

static uint64_t
dice(uint64_t bound)
{
	return store_sim_dice(&model.dice, bound);
}

/* All of this cursor's up to there is over. */
static uint64_t
floor_of(uint64_t cursor)
{
	uint64_t floor = 0;

	for (size_t i = 0; i < model.count; i++) {
		if (model.deliveries[i].cursor != cursor)
			continue;
		if (!model.deliveries[i].is_over)
			return model.deliveries[i].sequence - 1;
		floor = model.deliveries[i].sequence;
	}
	return floor;
}

static void
end_delivery(uint64_t cursor, size_t i)
{
	if (i >= model.count || model.deliveries[i].cursor != cursor)
		return;
	model.deliveries[i].is_over = true;
	box_done(cursor, model.deliveries[i].sequence,
	    dice(3) == 0 ? floor_of(cursor) : 0);
}

static void
open_or_close(size_t slot)
{
	if (model.open[slot] == 0) {
		model.open[slot] = model.next_cursor++;
		box_open_cursor(model.open[slot]);
		return;
	}
	if (dice(4) != 0)
		return;
	box_close_cursor(model.open[slot]);
	for (size_t i = 0; i < model.count; i++)
		if (model.deliveries[i].cursor == model.open[slot])
			model.deliveries[i].is_over = true;
	model.open[slot] = 0;
}

static void
any_operation(void)
{
	size_t slot = (size_t)dice(CURSORS);
	uint64_t cursor = model.open[slot];

	switch (dice(8)) {
	case 0:
		open_or_close(slot);
		break;
	case 1:
	case 2:
	case 3:
		if (model.count != 0)
			end_delivery(cursor, (size_t)dice(model.count));
		break;
	default:
		if (cursor == 0 || model.count == MAX_SEQUENCES)
			break;
		model.deliveries[model.count].cursor = cursor;
		model.deliveries[model.count].is_over = false;
		model.deliveries[model.count++].sequence =
		    box_message(&cursor, 1, (size_t)dice(2000));
		break;
	}
}

struct expected {
	uint64_t cursor;
	size_t next; /* in the model */
	uint64_t count;
};

/* The next of the model's that is this cursor's and waits. */
static bool
find_next(struct expected *expected)
{
	for (; expected->next < model.count; expected->next++)
		if (model.deliveries[expected->next].cursor ==
			expected->cursor &&
		    !model.deliveries[expected->next].is_over)
			return true;
	return false;
}

static int
check_next(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	struct expected *expected = arg;

	(void)message;
	ck_assert_uint_eq(delivery->cursor, expected->cursor);
	ck_assert_msg(find_next(expected), "cursor %lu: %lu is too much",
	    (unsigned long)expected->cursor, (unsigned long)sequence);
	ck_assert_uint_eq(model.deliveries[expected->next].sequence, sequence);
	expected->next++;
	expected->count++;
	return 0;
}

static void
check_model(void)
{
	struct store_reader *reader = store_reader_new(box.store);
	struct expected expected;
	uint64_t upto;

	for (size_t slot = 0; slot < CURSORS; slot++) {
		if (model.open[slot] == 0)
			continue;
		expected = (struct expected){ .cursor = model.open[slot] };
		ck_assert_int_eq(
		    store_read(reader, expected.cursor, 0, SIZE_MAX, SIZE_MAX,
			check_next, &expected, &upto),
		    0);
		ck_assert_msg(!find_next(&expected), "cursor %lu: %lu is lost",
		    (unsigned long)expected.cursor,
		    (unsigned long)model.deliveries[expected.next].sequence);
		ck_assert_uint_eq(box_queued(model.open[slot]), expected.count);
	}
	store_reader_free(reader);
	ck_assert_uint_ge(store_next_cursor(box.store), model.next_cursor);
}

static void
checkpoint_amidst(void)
{
	struct store_checkpoint *checkpoint = NULL;

	ck_assert_int_eq(store_checkpoint_begin(box.store, &checkpoint), 0);
	for (uint64_t n = dice(20); n > 0; n--)
		any_operation();
	ck_assert_int_eq(store_checkpoint_end(checkpoint), 0);
}

/* Flip some byte of the newest one: there is always the one before. */
static void
damage_newest(void)
{
	char name[STORE_NAME_MAX];
	size_t size;

	if (box.store->checkpoint_older == 0)
		return;
	checkpoint_file_name(box.store->checkpoint_newest, name);
	store_sim_bytes(box.sim, name, &size);
	box_flip(name, dice(size));
}

START_TEST(comes_to_the_same_whatever_happens_while_it_is_written)
{
	box_open((uint64_t)_i + 1);
	memset(&model, 0, sizeof(model));
	model.dice = (uint64_t)_i + 1;
	model.next_cursor = 1;
	for (int turn = 0; turn < 60; turn++) {
		for (uint64_t n = dice(30); n > 0; n--)
			any_operation();
		if (dice(2) == 0)
			checkpoint_amidst();
		box_tend();
		if (dice(3) == 0) {
			if (dice(3) == 0)
				damage_newest();
			box_crash((enum store_sim_loss)dice(4));
			ck_assert_uint_eq(box.tails, 0);
		}
		check_model();
	}
	box_close();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_checkpoint");
	TCase *tc = tcase_create("all");

	/* Under a sanitizer, on a machine that is busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_store_starts_from_its_checkpoint);
	tcase_add_test(tc, messages_that_are_covered_are_told_apart);
	tcase_add_test(tc, cursors_come_back_with_what_is_over);
	tcase_add_test(tc, no_cursor_is_given_out_twice);
	tcase_add_test(tc, the_last_two_are_kept);
	tcase_add_test(tc, one_that_was_not_removed_is_removed_later);
	tcase_add_test(tc, what_the_older_one_covers_may_go);
	tcase_add_test(tc, with_the_newest_damaged_nothing_is_lost);
	tcase_add_test(tc, a_damaged_older_one_is_told_too);
	tcase_add_test(tc, with_all_damaged_it_starts_from_the_segments);
	tcase_add_test(tc, one_of_another_journal_is_not_taken);
	tcase_add_test(tc, a_newer_version_is_refused_and_nothing_changes);
	tcase_add_test(tc, who_only_looks_changes_nothing);
	tcase_add_test(tc, one_that_is_aborted_or_fails_leaves_all_as_it_was);
	tcase_add_test(tc, one_whose_name_may_be_lost_does_not_count);
	tcase_add_test(tc, is_wanted_when_so_much_is_behind);
	tcase_add_test(tc, is_wanted_when_it_would_make_room);
	tcase_add_test(tc, is_wanted_when_a_sync_has_failed);
	tcase_add_loop_test(
	    tc, comes_to_the_same_whatever_happens_while_it_is_written, 0, 12);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
