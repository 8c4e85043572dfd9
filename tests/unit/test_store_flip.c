/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files that are damaged in every way: a bit flipped anywhere, a sector of
 * zeros, a file cut short or missing.  The store always opens, all that it
 * hands out is as it was written, and it never has another state than before
 * without saying so.
 *
 * Unused space may be flipped without any word: behind the last record of a
 * segment, and what an index is made of, since it is made again.
 *
 * WEIR_FLIP_STRIDE=1 takes every byte and sector in turn instead of a sample.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store_script.h"
#include "tests/unit/unit.h"

#define SECTOR 512u

/* Files of a run, and what an undamaged start makes of them. */
static struct twin whole;
static uint64_t whole_print;

static size_t
stride(void)
{
	const char *text = getenv("WEIR_FLIP_STRIDE");

	return text == NULL ? 997 : (size_t)atoi(text);
}

/* Some segments' worth of messages, and maybe state between them. */
static void
fill(struct twin *twin, const struct model *now, bool has_state)
{
	uint64_t cursor;

	for (unsigned i = 0; i < 24; i++) {
		cursor = now->cursors[i % now->cursor_count].cursor;
		twin_message(twin, &cursor, 1,
		    i % 3 == 0 ? 100 : MODEL_PAYLOAD_MAX - i, MODEL_KEYS);
		if (has_state)
			twin_state(twin, (uint8_t)(i % MODEL_KEYS));
		twin_commit(twin, true);
	}
}

/*
 * Whole segments between the last two checkpoints in which nothing waits, and
 * several behind them in which something does.
 */
static void
leave_messages(struct twin *twin)
{
	struct model now;

	twin_committed(twin, &now);
	ck_assert_uint_gt(now.cursor_count, 1);
	fill(twin, &now, true);
	for (size_t i = 0; i < now.cursor_count; i++)
		twin_done(twin, now.cursors[i].cursor, 0,
		    store_committed(twin->store));
	twin_commit(twin, true);
	ck_assert_int_eq(twin_checkpoint(twin, NULL), 0);
	twin_tend(twin);
	fill(twin, &now, false);
	model_fini(&now);
	twin_tend(twin);
}

static void
make_files(void)
{
	twin_init(&whole, 1, SCRIPT_SEGMENT_BYTES, SCRIPT_MAX_BYTES, true);
	ck_assert_int_eq(twin_open(&whole), 0);
	script_run(&whole);
	leave_messages(&whole);
	twin_close(&whole);
	whole.spec.is_read_only = true;
	ck_assert_int_eq(twin_open_damaged(&whole, &whole_print), 0);
	ck_assert_uint_eq(whole.told.damaged + whole.told.torn, 0);
	twin_close(&whole);
}

static void
drop_files(void)
{
	twin_fini(&whole);
}

/* All that is in it is known from other files too. */
static bool
is_made_of_others(const char *name)
{
	return strstr(name, ".checkpoint") != NULL ||
	    strstr(name, ".idx") != NULL || strcmp(name, "segments") == 0;
}

/*
 * Open what `sim` has; `what` was done to it, to `name`, at `at`.  It has the
 * state of `print`, or says why not.  Returns the print of what it has.
 */
static uint64_t
check(struct store_sim *sim, uint64_t expected, bool is_read_only,
    const char *what, const char *name, uint64_t at)
{
	struct twin twin = whole;
	uint64_t print = 0, changes = store_sim_changes(sim);
	int err;

	twin.sim = sim;
	twin.spec.io = store_sim_io(sim);
	twin.spec.is_read_only = is_read_only;
	twin.told.messages = NULL;
	err = twin_open_damaged(&twin, &print);
	if (err != 0)
		ck_abort_msg("%s of %s at %" PRIu64 ": open says %d", what,
		    name, at, err);
	if (print != expected && is_made_of_others(name))
		ck_abort_msg(
		    "%s of %s at %" PRIu64 " costs something", what, name, at);
	if (print != expected && twin.told.damaged + twin.told.torn == 0)
		ck_abort_msg(
		    "%s of %s at %" PRIu64 " passes unnoticed", what, name, at);
	if (is_read_only)
		ck_assert_uint_eq(store_sim_changes(sim), changes);
	twin_close(&twin);
	free(twin.told.messages);
	return print;
}

static void
flip(struct store_sim *sim, const char *name, uint64_t at, uint8_t bits)
{
	size_t size;
	const uint8_t *bytes = store_sim_bytes(sim, name, &size);
	uint8_t flipped = bytes[at] ^ bits;

	store_sim_damage(sim, name, at, &flipped, 1);
}

/* Read-only, so that the same files serve all along. */
START_TEST(no_flipped_bit_passes_unnoticed)
{
	struct store_sim *sim = store_sim_clone(whole.sim);
	uint64_t dice = 1, tried = 0;
	const char *name;
	size_t size;
	uint8_t bits;

	for (size_t i = 0; (name = store_sim_name(sim, i)) != NULL; i++) {
		store_sim_bytes(sim, name, &size);
		for (size_t at = store_sim_dice(&dice, stride()); at < size;
		     at += stride(), tried++) {
			bits = (uint8_t)(1u << store_sim_dice(&dice, 8));
			flip(sim, name, at, bits);
			check(
			    sim, whole_print, true, "a flipped bit", name, at);
			flip(sim, name, at, bits);
		}
	}
	printf("# %" PRIu64 " bits\n", tried);
	store_sim_free(sim);
}
END_TEST

/* What begins each file decides most; there every byte is taken. */
START_TEST(no_flipped_bit_at_a_beginning_passes_unnoticed)
{
	struct store_sim *sim = store_sim_clone(whole.sim);
	const char *name;
	size_t size;

	for (size_t i = 0; (name = store_sim_name(sim, i)) != NULL; i++) {
		store_sim_bytes(sim, name, &size);
		for (size_t at = 0; at < size && at < 128; at++) {
			flip(sim, name, at, 0x10);
			check(
			    sim, whole_print, true, "a flipped bit", name, at);
			flip(sim, name, at, 0x10);
		}
	}
	store_sim_free(sim);
}
END_TEST

/* For writing too, each time on files of its own; then it takes more. */
START_TEST(a_store_with_a_flipped_bit_goes_on)
{
	uint64_t dice = 2, print;
	const char *name;
	size_t size;

	for (size_t i = 0; (name = store_sim_name(whole.sim, i)) != NULL; i++) {
		store_sim_bytes(whole.sim, name, &size);
		for (unsigned time = 0; time < 12; time++) {
			struct store_sim *sim = store_sim_clone(whole.sim);
			uint64_t at = store_sim_dice(&dice, size);

			flip(sim, name, at, 0x55);
			print = check(sim, whole_print, false, "a flipped byte",
			    name, at);
			check(
			    sim, print, false, "the start after one", name, at);
			store_sim_free(sim);
		}
	}
}
END_TEST

START_TEST(no_zeroed_sector_passes_unnoticed)
{
	struct store_sim *sim = store_sim_clone(whole.sim);
	static const uint8_t zeros[SECTOR];
	uint8_t kept[SECTOR];
	const char *name;
	const uint8_t *bytes;
	size_t size, length;

	for (size_t i = 0; (name = store_sim_name(sim, i)) != NULL; i++) {
		bytes = store_sim_bytes(sim, name, &size);
		for (size_t at = 0; at < size;
		     at += SECTOR * (stride() == 1 ? 1 : 5)) {
			length = size - at < SECTOR ? size - at : SECTOR;
			memcpy(kept, bytes + at, length);
			store_sim_damage(sim, name, at, zeros, length);
			check(sim, whole_print, true, "a zeroed sector", name,
			    at);
			store_sim_damage(sim, name, at, kept, length);
		}
	}
	store_sim_free(sim);
}
END_TEST

START_TEST(no_file_cut_short_passes_unnoticed)
{
	uint64_t dice = 3;
	const char *name;
	size_t size;

	for (size_t i = 0; (name = store_sim_name(whole.sim, i)) != NULL; i++) {
		store_sim_bytes(whole.sim, name, &size);
		for (size_t length = 0; length < size;
		     length += 1 + store_sim_dice(&dice, 16 * stride())) {
			struct store_sim *sim = store_sim_clone(whole.sim);

			store_sim_shorten(sim, name, length);
			check(sim, whole_print, false, "cutting short", name,
			    length);
			store_sim_free(sim);
		}
	}
}
END_TEST

START_TEST(no_missing_file_passes_unnoticed)
{
	const char *name;

	for (size_t i = 0; (name = store_sim_name(whole.sim, i)) != NULL; i++) {
		struct store_sim *sim = store_sim_clone(whole.sim);

		store_sim_lose(sim, name);
		check(sim, whole_print, true, "the loss", name, 0);
		check(sim, whole_print, false, "the loss", name, 0);
		store_sim_free(sim);
	}
}
END_TEST

START_TEST(files_of_others_are_let_be)
{
	struct store_sim *sim = store_sim_clone(whole.sim);
	const struct store_io *io = store_sim_io(sim);
	const char *names[] = { "lost+found", "x.seg", "0.seg", "readme",
		"ffffffffffffffff.seg.tmp", "zzzzzzzzzzzzzzzz.seg" };
	size_t size;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int file = io->open(io->context, names[i], STORE_OPEN_CREATE);

		ck_assert_int_ge(file, 0);
		ck_assert_int_eq(io->write(io->context, file, "x", 1, 0), 0);
		io->close(io->context, file);
	}
	check(sim, whole_print, false, "strange files", "all", 0);
	ck_assert_ptr_nonnull(store_sim_bytes(sim, "readme", &size));
	ck_assert_ptr_nonnull(store_sim_bytes(sim, "lost+found", &size));
	store_sim_free(sim);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_flip");
	TCase *tc = tcase_create("all");

	/* Every byte of all files takes a quarter of an hour. */
	tcase_set_timeout(tc, stride() == 1 ? 7200 : 600);
	tcase_add_checked_fixture(tc, make_files, drop_files);
	tcase_add_test(tc, no_flipped_bit_passes_unnoticed);
	tcase_add_test(tc, no_flipped_bit_at_a_beginning_passes_unnoticed);
	tcase_add_test(tc, a_store_with_a_flipped_bit_goes_on);
	tcase_add_test(tc, no_zeroed_sector_passes_unnoticed);
	tcase_add_test(tc, no_file_cut_short_passes_unnoticed);
	tcase_add_test(tc, no_missing_file_passes_unnoticed);
	tcase_add_test(tc, files_of_others_are_let_be);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
