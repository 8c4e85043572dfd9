/* SPDX-License-Identifier: Apache-2.0 */

#include "common/conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define BASE                                                                   \
	"run_dir = \"/tmp/r\"; state_dir = \"/tmp/s\";\n"                      \
	"listeners = ( { bind = \"127.0.0.1:1883\"; } );\n"

#define CLOUD(more)                                                            \
	"bridges = ( { name = \"cloud\"; url = \"mqtt://127.0.0.1:1\";"        \
	"forward = ( { filter = \"a/#\"; } ); " more " } );\n"

static struct conf *
load(const char *text)
{
	char path[] = "/tmp/weir-conf-change-XXXXXX";
	struct conf *conf = NULL;
	int fd = mkstemp(path);
	FILE *file;

	ck_assert_int_ne(fd, -1);
	file = fdopen(fd, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	ck_assert_int_eq(conf_load(path, &conf, stderr), 0);
	unlink(path);
	return conf;
}

static void
note(void *context, const char *key)
{
	char *keys = context;

	strcat(keys, key);
	strcat(keys, " ");
}

static const char *
changes(const char *was, const char *is)
{
	static char keys[1024];
	struct conf *a = load(was), *b = load(is);
	unsigned count;

	keys[0] = '\0';
	count = conf_restart_changes(a, b, note, keys);
	for (const char *s = keys; (s = strchr(s, ' ')) != NULL; s++)
		count--;
	ck_assert_uint_eq(count, 0);
	conf_free(a);
	conf_free(b);
	return keys;
}

START_TEST(what_is_the_same_needs_no_restart)
{
	ck_assert_str_eq(changes(BASE CLOUD(""), BASE CLOUD("")), "");
}
END_TEST

START_TEST(what_is_read_again_needs_no_restart)
{
	ck_assert_str_eq(
	    changes(BASE CLOUD(""),
		BASE CLOUD(
		    "") "log_level = \"debug\";\n"
			"accounts = ( { name = \"a\"; password = \"b\"; } "
			");\n"),
	    "");
}
END_TEST

START_TEST(numbers_and_texts_are_named)
{
	ck_assert_str_eq(changes(BASE, BASE "workers = 3;\n"), "workers ");
	ck_assert_str_eq(
	    changes(BASE, BASE "http = { bind = \"127.0.0.1:8099\"; };\n"),
	    "http.bind http ");
	ck_assert_str_eq(changes(BASE "http = { bind = \"127.0.0.1:8099\"; };",
			     BASE "http = { bind = \"127.0.0.1:8098\"; };"),
	    "http.bind ");
}
END_TEST

START_TEST(listeners_are_compared_by_their_place)
{
	ck_assert_str_eq(changes(BASE,
			     "run_dir = \"/tmp/r\"; state_dir = \"/tmp/s\";\n"
			     "listeners = ( { bind = \"127.0.0.1:1884\"; } );"),
	    "listeners.0.bind ");
	ck_assert_str_eq(changes(BASE,
			     "run_dir = \"/tmp/r\"; state_dir = \"/tmp/s\";\n"
			     "listeners = ();\n"
			     "http = { bind = \"127.0.0.1:8081\"; };"),
	    "http listeners ");
}
END_TEST

START_TEST(bridges_are_compared_by_their_name)
{
	ck_assert_str_eq(
	    changes(BASE CLOUD(""),
		BASE CLOUD("max_inflight = 7; client_id = \"x\";")),
	    "bridges.cloud.max_inflight ");
	ck_assert_str_eq(changes(BASE CLOUD(""),
			     BASE CLOUD("ring = { capacity = \"128KiB\"; };")),
	    "bridges.cloud.ring.capacity ");
	/* Who came or went is told by others. */
	ck_assert_str_eq(changes(BASE CLOUD(""), BASE), "");
	ck_assert_str_eq(changes(BASE, BASE CLOUD("")), "");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conf_change");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, what_is_the_same_needs_no_restart);
	tcase_add_test(tc, what_is_read_again_needs_no_restart);
	tcase_add_test(tc, numbers_and_texts_are_named);
	tcase_add_test(tc, listeners_are_compared_by_their_place);
	tcase_add_test(tc, bridges_are_compared_by_their_name);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
