/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/disabled.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

START_TEST(finds_whole_names_only)
{
	const char *text = "# cloud9\ncloud\nplant-1\n";

	ck_assert(disabled_has(text, "cloud"));
	ck_assert(disabled_has(text, "plant-1"));
	ck_assert(!disabled_has(text, "plant"));
	ck_assert(!disabled_has(text, "cloud9"));
	ck_assert(!disabled_has(text, "cloud\nplant-1\n"));
	ck_assert(disabled_has("last", "last"));
	ck_assert(!disabled_has("", "x"));
	ck_assert(!disabled_has(NULL, "x"));
}
END_TEST

START_TEST(no_file_is_no_bridge)
{
	char dir[] = "/tmp/weir-disabled-XXXXXX", path[128];
	char *text;
	FILE *file;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_ptr_null(disabled_read(NULL));
	ck_assert_ptr_null(disabled_read(dir));
	snprintf(path, sizeof(path), "%s/" DISABLED_FILE, dir);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs("a\nb\n", file);
	fclose(file);
	text = disabled_read(dir);
	ck_assert(disabled_has(text, "a") && disabled_has(text, "b"));
	free(text);
	/* What is no file is as none, and said. */
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	text = disabled_read(dir);
	ck_assert(!disabled_has(text, "a"));
	free(text);
	rmdir(path);
	rmdir(dir);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("disabled");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, finds_whole_names_only);
	tcase_add_test(tc, no_file_is_no_bridge);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
