/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/store_sim.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

#define SEEDS 200u
#define SECTOR 512u

/* A file that is there and durable, `size` bytes of 'a'. */
static int
durable_file(struct store_sim *sim, const char *name, size_t size)
{
	const struct store_io *io = store_sim_io(sim);
	char bytes[4 * SECTOR];
	int file = io->open(io->context, name, STORE_OPEN_CREATE);

	memset(bytes, 'a', sizeof(bytes));
	ck_assert_uint_le(size, sizeof(bytes));
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(io->write(io->context, file, bytes, size, 0), 0);
	ck_assert_int_eq(io->sync(io->context, file), 0);
	ck_assert_int_eq(io->sync_directory(io->context), 0);
	return file;
}

static void
put(struct store_sim *sim, int file, const char *text, uint64_t offset)
{
	const struct store_io *io = store_sim_io(sim);

	ck_assert_int_eq(
	    io->write(io->context, file, text, strlen(text), offset), 0);
}

/* A byte of a file, or 0 behind its end. */
static uint8_t
byte_at(struct store_sim *sim, const char *name, uint64_t offset)
{
	size_t size;
	const uint8_t *bytes = store_sim_bytes(sim, name, &size);

	ck_assert_ptr_nonnull(bytes);
	return offset < size ? bytes[offset] : 0;
}

/* A file that is not empty. */
static bool
exists(struct store_sim *sim, const char *name)
{
	size_t size;

	return store_sim_bytes(sim, name, &size) != NULL;
}

START_TEST(reads_back_what_was_written_short_at_the_end)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	int file = durable_file(sim, "x", 10);
	char bytes[8];

	put(sim, file, "hello", 8);
	ck_assert_int_eq(io->size(io->context, file), 13);
	ck_assert_int_eq(io->read(io->context, file, bytes, 8, 7), 6);
	ck_assert_mem_eq(bytes, "ahello", 6);
	ck_assert_int_eq(io->read(io->context, file, bytes, 8, 13), 0);
	ck_assert_int_eq(io->truncate(io->context, file, 9), 0);
	ck_assert_int_eq(io->read(io->context, file, bytes, 8, 7), 2);
	io->close(io->context, file);
	ck_assert_uint_eq(store_sim_open_files(sim), 0);
	store_sim_free(sim);
}
END_TEST

START_TEST(a_kill_loses_only_what_is_open)
{
	struct store_sim *sim = store_sim_new(1);

	put(sim, durable_file(sim, "x", 10), "b", 3);
	store_sim_cut(sim, STORE_SIM_KILL);
	ck_assert_uint_eq(store_sim_open_files(sim), 0);
	ck_assert_uint_eq(byte_at(sim, "x", 3), 'b');
	store_sim_cut(sim, STORE_SIM_LOSE_ALL);
	ck_assert_uint_eq(byte_at(sim, "x", 3), 'a');
	store_sim_free(sim);
}
END_TEST

START_TEST(what_was_synced_survives_any_cut)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct store_sim *sim = store_sim_new(seed);
		const struct store_io *io = store_sim_io(sim);
		int file = durable_file(sim, "x", 1000);

		put(sim, file, "bbb", 510);
		ck_assert_int_eq(io->sync(io->context, file), 0);
		put(sim, file, "c", 0);
		store_sim_cut(sim, STORE_SIM_LOSE_SOME);
		for (uint64_t at = 510; at < 513; at++)
			ck_assert_uint_eq(byte_at(sim, "x", at), 'b');
		ck_assert_uint_eq(byte_at(sim, "x", 999), 'a');
		store_sim_free(sim);
	}
}
END_TEST

/*
 * Two writes, the second over two sectors: each of the outcomes that a disk
 * may have comes up, and no other.
 */
START_TEST(any_subset_of_sectors_survives_a_cut)
{
	unsigned seen[8] = { 0 }, torn_anywhere = 0;
	char long_text[SECTOR + 1] = { 0 };

	memset(long_text, 'c', SECTOR);
	for (uint64_t seed = 0; seed < 10 * SEEDS; seed++) {
		struct store_sim *sim = store_sim_new(seed);
		int file = durable_file(sim, "x", 3 * SECTOR);
		bool first, second, third;

		put(sim, file, "b", 0);
		put(sim, file, long_text, SECTOR + SECTOR / 2);
		store_sim_cut(sim, STORE_SIM_LOSE_SOME);
		first = byte_at(sim, "x", 0) == 'b';
		second = byte_at(sim, "x", SECTOR + SECTOR / 2) == 'c';
		third = byte_at(sim, "x", 2 * SECTOR) == 'c';
		seen[first + 2 * second + 4 * third]++;
		if (second != (byte_at(sim, "x", 2 * SECTOR - 1) == 'c'))
			torn_anywhere++;
		ck_assert_uint_eq(byte_at(sim, "x", SECTOR - 1), 'a');
		ck_assert_uint_eq(byte_at(sim, "x", 3 * SECTOR - 1), 'a');
		store_sim_free(sim);
	}
	for (unsigned outcome = 0; outcome < 8; outcome++)
		ck_assert_uint_gt(seen[outcome], 0);
	ck_assert_uint_gt(torn_anywhere, 0);
}
END_TEST

START_TEST(a_sector_is_as_it_was_at_some_time)
{
	unsigned seen['c' + 1] = { 0 };

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct store_sim *sim = store_sim_new(seed);
		int file = durable_file(sim, "x", 1);
		uint8_t found;

		put(sim, file, "b", 0);
		put(sim, file, "c", 0);
		store_sim_cut(sim, STORE_SIM_LOSE_SOME);
		found = byte_at(sim, "x", 0);
		ck_assert_uint_ge(found, 'a');
		ck_assert_uint_le(found, 'c');
		seen[found]++;
		store_sim_free(sim);
	}
	for (unsigned version = 'a'; version <= 'c'; version++)
		ck_assert_uint_gt(seen[version], 0);
}
END_TEST

START_TEST(names_are_durable_only_with_their_directory)
{
	unsigned survived = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct store_sim *sim = store_sim_new(seed);
		const struct store_io *io = store_sim_io(sim);
		int file = io->open(io->context, "x", STORE_OPEN_CREATE);

		ck_assert_int_ge(file, 0);
		ck_assert_int_eq(io->sync(io->context, file), 0);
		store_sim_cut(sim, STORE_SIM_LOSE_SOME);
		survived += store_sim_name(sim, 0) != NULL;
		store_sim_free(sim);
	}
	ck_assert_uint_gt(survived, 0);
	ck_assert_uint_lt(survived, SEEDS);
}
END_TEST

/* What rename(2) replaces is never missing. */
START_TEST(a_rename_is_whole_or_not_at_all)
{
	unsigned renamed = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct store_sim *sim = store_sim_new(seed);
		const struct store_io *io = store_sim_io(sim);
		uint8_t found;

		durable_file(sim, "old", 1);
		put(sim, durable_file(sim, "new", 1), "n", 0);
		store_sim_cut(sim, STORE_SIM_LOSE_NONE);
		ck_assert_int_eq(io->rename(io->context, "new", "old"), 0);
		store_sim_cut(sim, STORE_SIM_LOSE_SOME);
		found = byte_at(sim, "old", 0);
		renamed += found == 'n';
		ck_assert(found == 'n' || found == 'a');
		ck_assert_int_eq(store_sim_name(sim, 1) == NULL, found == 'n');
		store_sim_free(sim);
	}
	ck_assert_uint_gt(renamed, 0);
	ck_assert_uint_lt(renamed, SEEDS);
}
END_TEST

START_TEST(the_nth_call_fails_once_or_from_then_on)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	int file = durable_file(sim, "x", 1);

	store_sim_fail(sim, STORE_SIM_WRITE, 1, -EIO, false);
	put(sim, file, "b", 0);
	ck_assert_int_eq(io->write(io->context, file, "c", 1, 0), -EIO);
	put(sim, file, "d", 0);
	store_sim_fail(sim, STORE_SIM_WRITE, 0, -ENOSPC, true);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(
		    io->write(io->context, file, "e", 1, 0), -ENOSPC);
	store_sim_heal(sim);
	put(sim, file, "f", 0);
	ck_assert_uint_eq(byte_at(sim, "x", 0), 'f');
	store_sim_fail(sim, STORE_SIM_OPEN, 0, -EMFILE, false);
	ck_assert_int_eq(io->open(io->context, "x", STORE_OPEN_READ), -EMFILE);
	store_sim_free(sim);
}
END_TEST

START_TEST(a_broken_disk_fails_each_call_for_a_while)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	int file = durable_file(sim, "x", 1);
	char byte;

	store_sim_break(sim, 1, 3);
	put(sim, file, "b", 0);
	ck_assert_int_eq(io->read(io->context, file, &byte, 1, 0), -EIO);
	ck_assert_int_eq(io->sync(io->context, file), -EIO);
	ck_assert_int_eq(io->rename(io->context, "x", "y"), -EIO);
	put(sim, file, "c", 0);
	ck_assert_uint_eq(byte_at(sim, "x", 0), 'c');
	store_sim_free(sim);
}
END_TEST

/* As fsync(2) on Linux: the next one says that all is well. */
START_TEST(a_failed_sync_may_lose_what_it_was_to_keep)
{
	unsigned lost = 0, seen_as_written = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct store_sim *sim = store_sim_new(seed);
		const struct store_io *io = store_sim_io(sim);
		int file = durable_file(sim, "x", 1);
		bool was_seen;

		put(sim, file, "b", 0);
		store_sim_fail(sim, STORE_SIM_SYNC, 0, -EIO, false);
		ck_assert_int_eq(io->sync(io->context, file), -EIO);
		was_seen = byte_at(sim, "x", 0) == 'b';
		ck_assert_int_eq(io->sync(io->context, file), 0);
		store_sim_cut(sim, STORE_SIM_LOSE_NONE);
		lost += byte_at(sim, "x", 0) == 'a';
		seen_as_written += was_seen && byte_at(sim, "x", 0) == 'a';
		store_sim_free(sim);
	}
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_lt(lost, SEEDS);
	ck_assert_uint_gt(seen_as_written, 0);
}
END_TEST

START_TEST(a_full_disk_takes_only_what_needs_no_room)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	int file = durable_file(sim, "x", 100);

	store_sim_set_disk(sim, 150);
	ck_assert_uint_eq(io->free_bytes(io->context), 50);
	ck_assert_int_eq(io->allocate(io->context, file, 151), -ENOSPC);
	ck_assert_int_eq(io->size(io->context, file), 150);
	put(sim, file, "b", 149);
	ck_assert_int_eq(io->write(io->context, file, "cc", 2, 149), -ENOSPC);
	ck_assert_uint_eq(io->free_bytes(io->context), 0);
	ck_assert_int_eq(io->truncate(io->context, file, 10), 0);
	ck_assert_int_eq(io->allocate(io->context, file, 150), 0);
	ck_assert_uint_eq(byte_at(sim, "x", 0), 0);
	store_sim_free(sim);
}
END_TEST

START_TEST(a_cut_in_a_call_ends_all_until_power_is_back)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	int file = durable_file(sim, "x", 1);

	store_sim_cut_at(sim, 1, STORE_SIM_LOSE_ALL);
	put(sim, file, "b", 0);
	ck_assert(!store_sim_is_off(sim));
	ck_assert_int_eq(io->sync(io->context, file), -EIO);
	ck_assert(store_sim_is_off(sim));
	ck_assert_int_eq(io->write(io->context, file, "c", 1, 0), -EIO);
	ck_assert_int_eq(io->remove(io->context, "x"), -EIO);
	ck_assert_int_eq(io->open(io->context, "x", STORE_OPEN_READ), -EIO);
	io->close(io->context, file);
	store_sim_power_on(sim);
	ck_assert_uint_eq(byte_at(sim, "x", 0), 'a');
	ck_assert_int_ge(io->open(io->context, "x", STORE_OPEN_READ), 0);
	store_sim_free(sim);
}
END_TEST

START_TEST(a_clone_has_the_same_files_and_a_life_of_its_own)
{
	struct store_sim *sim = store_sim_new(1), *clone;

	put(sim, durable_file(sim, "x", 3), "b", 1);
	clone = store_sim_clone(sim);
	store_sim_damage(clone, "x", 0, "z", 1);
	store_sim_cut(clone, STORE_SIM_LOSE_ALL);
	ck_assert_uint_eq(byte_at(clone, "x", 0), 'z');
	ck_assert_uint_eq(byte_at(clone, "x", 1), 'b');
	ck_assert_uint_eq(byte_at(sim, "x", 0), 'a');
	store_sim_shorten(clone, "x", 1);
	ck_assert_uint_eq(byte_at(clone, "x", 1), 0);
	store_sim_lose(clone, "x");
	ck_assert(!exists(clone, "x"));
	ck_assert(exists(sim, "x"));
	store_sim_free(clone);
	store_sim_free(sim);
}
END_TEST

START_TEST(the_same_seed_and_calls_come_to_the_same)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint8_t found[2];

		for (int run = 0; run < 2; run++) {
			struct store_sim *sim = store_sim_new(seed);

			put(sim, durable_file(sim, "x", 4), "bcd", 0);
			store_sim_cut(sim, STORE_SIM_LOSE_SOME);
			found[run] = byte_at(sim, "x", 1);
			store_sim_free(sim);
		}
		ck_assert_uint_eq(found[0], found[1]);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_sim");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, reads_back_what_was_written_short_at_the_end);
	tcase_add_test(tc, a_kill_loses_only_what_is_open);
	tcase_add_test(tc, what_was_synced_survives_any_cut);
	tcase_add_test(tc, any_subset_of_sectors_survives_a_cut);
	tcase_add_test(tc, a_sector_is_as_it_was_at_some_time);
	tcase_add_test(tc, names_are_durable_only_with_their_directory);
	tcase_add_test(tc, a_rename_is_whole_or_not_at_all);
	tcase_add_test(tc, the_nth_call_fails_once_or_from_then_on);
	tcase_add_test(tc, a_broken_disk_fails_each_call_for_a_while);
	tcase_add_test(tc, a_failed_sync_may_lose_what_it_was_to_keep);
	tcase_add_test(tc, a_full_disk_takes_only_what_needs_no_room);
	tcase_add_test(tc, a_cut_in_a_call_ends_all_until_power_is_back);
	tcase_add_test(tc, a_clone_has_the_same_files_and_a_life_of_its_own);
	tcase_add_test(tc, the_same_seed_and_calls_come_to_the_same);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
