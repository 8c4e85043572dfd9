/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char from[64], to[72];
static struct journal_backup backup;

static void
setup(void)
{
	strcpy(from, "/tmp/weir-test-backup-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(from));
	snprintf(to, sizeof(to), "%s.copy", from);
}

static void
teardown(void)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf %s %s", from, to);
	ck_assert_int_eq(system(command), 0);
}

/* ---- a journal of small files -------------------------------------------- */

static void
path_of(char *path, const char *folder, const char *name)
{
	snprintf(path, 160, "%s/%s", folder, name);
}

/* A new file, not the old one with other bytes. */
static void
put(const char *name, const char *content)
{
	char path[160], other[170];
	FILE *file;

	path_of(path, from, name);
	snprintf(other, sizeof(other), "%s.new", path);
	file = fopen(other, "w");
	ck_assert_ptr_nonnull(file);
	fputs(content, file);
	fclose(file);
	ck_assert_int_eq(rename(other, path), 0);
}

static void
take_away(const char *name)
{
	char path[160];

	path_of(path, from, name);
	ck_assert_int_eq(unlink(path), 0);
}

/* More bytes at the end of the same file. */
static void
append(const char *name, const char *content)
{
	char path[160];
	FILE *file;

	path_of(path, from, name);
	file = fopen(path, "a");
	ck_assert_ptr_nonnull(file);
	fputs(content, file);
	fclose(file);
}

static void
copy_has(const char *name, const char *wanted)
{
	char path[160], content[64] = "";
	FILE *file;

	path_of(path, to, name);
	file = fopen(path, "r");
	if (wanted == NULL) {
		ck_assert_msg(file == NULL, "%s is in the copy", name);
		return;
	}
	ck_assert_msg(file != NULL, "%s is not in the copy", name);
	content[fread(content, 1, sizeof(content) - 1, file)] = '\0';
	fclose(file);
	ck_assert_str_eq(content, wanted);
}

static void
put_journal(void)
{
	put("0000000000000001.checkpoint", "c1");
	put("0000000000000002.checkpoint", "c2");
	put("0000000000000001.seg", "s1");
	put("0000000000000010.seg", "s10");
	put("0000000000000020.seg", "s20");
	put("segments", "1 10 20");
	put("0000000000000001.idx", "i");
	put("00000003.spare", "x");
	put("0000000000000030.tmp", "x");
}

START_TEST(copies_checkpoints_and_segments_alone)
{
	put_journal();
	ck_assert_int_eq(journal_backup(from, to, NULL, NULL, &backup), 0);
	ck_assert_uint_eq(backup.files, 6);
	ck_assert_uint_eq(backup.bytes, 2 + 2 + 2 + 3 + 3 + 7);
	copy_has("segments", "1 10 20");
	ck_assert_uint_eq(backup.rounds, 1);
	copy_has("0000000000000002.checkpoint", "c2");
	copy_has("0000000000000020.seg", "s20");
	copy_has("0000000000000001.idx", NULL);
	copy_has("00000003.spare", NULL);
	copy_has("0000000000000030.tmp", NULL);
}
END_TEST

START_TEST(wants_a_journal_and_an_empty_folder)
{
	ck_assert_int_eq(
	    journal_backup("/nowhere", to, NULL, NULL, &backup), -ENOENT);
	ck_assert_int_eq(
	    journal_backup(from, to, NULL, NULL, &backup), -ENOENT);
	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, from, NULL, NULL, &backup), -ENOTEMPTY);
	ck_assert_int_eq(journal_backup(from, to, NULL, NULL, &backup), 0);
	ck_assert_int_eq(
	    journal_backup(from, to, NULL, NULL, &backup), -ENOTEMPTY);
}
END_TEST

/* ---- beside a broker ------------------------------------------------------
 */

static char copied[512]; /* the names, in the order in which they came */

static void
note(const char *name)
{
	size_t length = strlen(copied);

	snprintf(copied + length, sizeof(copied) - length, "%.*s ",
	    name[0] == '0' ? (int)(strcspn(name, ".") + 2) : 1, name);
}

static void
only_note(void *arg, const char *name)
{
	(void)arg;
	note(name);
}

START_TEST(checkpoints_come_before_what_is_behind_them)
{
	put_journal();
	copied[0] = '\0';
	ck_assert_int_eq(journal_backup(from, to, only_note, NULL, &backup), 0);
	ck_assert_str_eq(copied,
	    "s 0000000000000001.c 0000000000000002.c 0000000000000001.s "
	    "0000000000000010.s 0000000000000020.s ");
}
END_TEST

/* Once, after the first file. */
static void
merge(void *arg, const char *name)
{
	bool *is_done = arg;

	if (*is_done || strcmp(name, "segments") == 0)
		return;
	*is_done = true;
	put("0000000000000001.seg", "s1+s10");
	take_away("0000000000000010.seg");
}

START_TEST(a_merge_before_the_copy_takes_another_round)
{
	bool is_done = false;

	put_journal();
	ck_assert_int_eq(journal_backup(from, to, merge, &is_done, &backup), 0);
	ck_assert_uint_eq(backup.rounds, 2);
	copy_has("0000000000000001.seg", "s1+s10");
	copy_has("0000000000000010.seg", NULL);
}
END_TEST

static void
merge_at_20(void *arg, const char *name)
{
	if (strcmp(name, "0000000000000020.seg") == 0)
		merge(arg, name);
}

/* What was copied before it is whole, and stays. */
START_TEST(a_merge_after_the_copy_takes_none)
{
	bool is_done = false;

	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, to, merge_at_20, &is_done, &backup), 0);
	copy_has("0000000000000010.seg", "s10");
}
END_TEST

static void
append_to_last(void *arg, const char *name)
{
	(void)arg;
	if (strcmp(name, "0000000000000020.seg") == 0)
		append(name, "+");
}

START_TEST(the_last_segment_may_grow)
{
	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, to, append_to_last, NULL, &backup), 0);
	ck_assert_uint_eq(backup.rounds, 1);
}
END_TEST

static void
append_to_first(void *arg, const char *name)
{
	unsigned *times = arg;

	if (strcmp(name, "0000000000000001.seg") == 0 && *times > 0) {
		(*times)--;
		append(name, "+");
	}
}

START_TEST(another_that_changes_is_copied_again)
{
	unsigned times = 3;

	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, to, append_to_first, &times, &backup), 0);
	ck_assert_uint_eq(backup.rounds, 4);
	copy_has("0000000000000001.seg", "s1+++");
}
END_TEST

START_TEST(gives_up_on_files_that_never_rest)
{
	unsigned times = 1000000;

	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, to, append_to_first, &times, &backup), -EBUSY);
}
END_TEST

static void
change_manifest(void *arg, const char *name)
{
	bool *is_done = arg;

	if (*is_done || strcmp(name, "segments") != 0)
		return;
	*is_done = true;
	put(name, "10 20");
	take_away("0000000000000001.seg");
}

START_TEST(the_list_of_segments_is_of_when_they_were_listed)
{
	bool is_done = false;

	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, to, change_manifest, &is_done, &backup), 0);
	copy_has("segments", "10 20");
	copy_has("0000000000000001.seg", NULL);
	ck_assert_uint_eq(backup.rounds, 1);
}
END_TEST

START_TEST(a_journal_without_a_list_has_none_in_its_copy)
{
	put_journal();
	take_away("segments");
	ck_assert_int_eq(journal_backup(from, to, NULL, NULL, &backup), 0);
	copy_has("segments", NULL);
	ck_assert_uint_eq(backup.files, 5);
}
END_TEST

static void
replace_last(void *arg, const char *name)
{
	bool *is_done = arg;

	if (*is_done || strcmp(name, "0000000000000020.seg") != 0)
		return;
	*is_done = true;
	put(name, "other");
}

START_TEST(a_last_segment_that_is_another_file_is_copied_again)
{
	bool is_done = false;

	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, to, replace_last, &is_done, &backup), 0);
	ck_assert_uint_eq(backup.rounds, 2);
	copy_has("0000000000000020.seg", "other");
}
END_TEST

/* Other bytes of the same length, at the same time by the file's clock. */
static void
write_in_the_same_tick(const char *name, const char *content)
{
	struct timespec times[2];
	char path[160];
	struct stat st;
	FILE *file;

	path_of(path, from, name);
	ck_assert_int_eq(stat(path, &st), 0);
	file = fopen(path, "r+");
	ck_assert_ptr_nonnull(file);
	fputs(content, file);
	fclose(file);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* The first round sees the last segment before it is full. */
static void
fill_last(void *arg, const char *name)
{
	bool *is_done = arg;

	if (*is_done || strcmp(name, "0000000000000020.seg") != 0)
		return;
	*is_done = true;
	write_in_the_same_tick(name, "S20");
	put("0000000000000030.seg", "s30");
	put("0000000000000003.checkpoint", "c3");
	take_away("0000000000000002.checkpoint");
	put("0000000000000001.seg", "s1+s10");
}

static void
fill_last_or_merge(void *arg, const char *name)
{
	fill_last(arg, name);
	/* Vanished before it was known to be whole: another round. */
	if (strcmp(name, "0000000000000010.seg") == 0)
		take_away(name);
}

START_TEST(a_segment_that_was_the_last_is_copied_again)
{
	bool is_done = false;

	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, to, fill_last_or_merge, &is_done, &backup), 0);
	ck_assert_uint_ge(backup.rounds, 2);
	copy_has("0000000000000020.seg", "S20");
	copy_has("0000000000000030.seg", "s30");
	copy_has("0000000000000003.checkpoint", "c3");
}
END_TEST

static void
add_behind(void *arg, const char *name)
{
	(void)arg;
	if (strcmp(name, "segments") != 0)
		put("0000000000000030.seg", "s30");
}

START_TEST(what_comes_later_is_not_in_it)
{
	put_journal();
	ck_assert_int_eq(
	    journal_backup(from, to, add_behind, NULL, &backup), 0);
	ck_assert_uint_eq(backup.rounds, 1);
	copy_has("0000000000000030.seg", NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("journal_backup");
	TCase *tc = tcase_create("all");

	/* It waits for a disk that others may keep busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, copies_checkpoints_and_segments_alone);
	tcase_add_test(tc, wants_a_journal_and_an_empty_folder);
	tcase_add_test(tc, checkpoints_come_before_what_is_behind_them);
	tcase_add_test(tc, a_merge_before_the_copy_takes_another_round);
	tcase_add_test(tc, a_merge_after_the_copy_takes_none);
	tcase_add_test(tc, the_last_segment_may_grow);
	tcase_add_test(tc, another_that_changes_is_copied_again);
	tcase_add_test(tc, gives_up_on_files_that_never_rest);
	tcase_add_test(tc, a_last_segment_that_is_another_file_is_copied_again);
	tcase_add_test(tc, the_list_of_segments_is_of_when_they_were_listed);
	tcase_add_test(tc, a_journal_without_a_list_has_none_in_its_copy);
	tcase_add_test(tc, a_segment_that_was_the_last_is_copied_again);
	tcase_add_test(tc, what_comes_later_is_not_in_it);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
