/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/small_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char root[32];
static char path[64], fresh[80];

static void
set_up(void)
{
	snprintf(root, sizeof(root), "/tmp/weir-small-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/folder/file", root);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	ck_assert_int_eq(small_file_make_folder(path), 0);
}

/* Nothing else was made, or stayed. */
static void
tear_down(void)
{
	char folder[64];

	unlink(path);
	snprintf(folder, sizeof(folder), "%s/folder", root);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(rmdir(root), 0);
}

static void
has(const char *text, mode_t mode)
{
	char bytes[64] = "";
	FILE *file = fopen(path, "r");
	struct stat st;

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(
	    fread(bytes, 1, sizeof(bytes) - 1, file), strlen(text));
	ck_assert_str_eq(bytes, text);
	ck_assert_int_eq(fstat(fileno(file), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, mode);
	fclose(file);
}

START_TEST(is_replaced_as_a_whole)
{
	ck_assert_int_eq(
	    small_file_replace(path, slice_of_string("longer"), 0640), 0);
	has("longer", 0640);
	ck_assert_int_eq(
	    small_file_replace(path, slice_of_string("new"), 0600), 0);
	has("new", 0600);
	ck_assert_int_eq(small_file_replace(path, slice_of(NULL, 0), 0600), 0);
	has("", 0600);
}
END_TEST

START_TEST(what_a_crash_left_is_in_nobodys_way)
{
	FILE *file = fopen(fresh, "w");

	ck_assert_ptr_nonnull(file);
	fputs("half of something that is longer", file);
	fclose(file);
	ck_assert_int_eq(
	    small_file_replace(path, slice_of_string("whole"), 0600), 0);
	has("whole", 0600);
}
END_TEST

START_TEST(the_old_one_stays_when_it_cannot_be)
{
	ck_assert_int_eq(
	    small_file_replace(path, slice_of_string("old"), 0600), 0);
	ck_assert_int_eq(mkdir(fresh, 0700), 0);
	ck_assert_int_lt(
	    small_file_replace(path, slice_of_string("new"), 0600), 0);
	ck_assert_int_eq(rmdir(fresh), 0);
	has("old", 0600);
}
END_TEST

START_TEST(is_removed)
{
	ck_assert_int_eq(small_file_remove(path), -ENOENT);
	ck_assert_int_eq(
	    small_file_replace(path, slice_of_string("x"), 0600), 0);
	ck_assert_int_eq(small_file_remove(path), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(its_folder_is_made_once)
{
	struct stat st;
	char folder[64];

	snprintf(folder, sizeof(folder), "%s/folder", root);
	ck_assert_int_eq(stat(folder, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0750);
	ck_assert_int_eq(small_file_make_folder(path), 0);
	ck_assert_int_eq(small_file_make_folder("/dev/null/x/y"), -ENOTDIR);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("small_file");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, is_replaced_as_a_whole);
	tcase_add_test(tc, what_a_crash_left_is_in_nobodys_way);
	tcase_add_test(tc, the_old_one_stays_when_it_cannot_be);
	tcase_add_test(tc, is_removed);
	tcase_add_test(tc, its_folder_is_made_once);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
