/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/manage_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf/conf.h"
#include "tests/unit/unit.h"

static char folder[] = "/tmp/weir-manage-conf-XXXXXX";
static char path[128];

static void
setup(void)
{
	FILE *file;

	strcpy(strrchr(folder, '-') + 1, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/weir.conf", folder);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file,
	    "run_dir = \"%s\"; state_dir = \"%s\";\n"
	    "listeners = ( { bind = \"127.0.0.1:1883\"; } );\n"
	    "bridges = ( { name = \"own\"; url = \"mqtt://h\";\n"
	    "  forward = ( { filter = \"a\"; } ); } );\n",
	    folder, folder);
	fclose(file);
}

static void
teardown(void)
{
	unlink(path);
	rmdir(folder);
}

static char *
text_of(const char *json, const char **out_why)
{
	json_t *bridge = json_loads(json, 0, NULL);
	char *text;

	ck_assert_ptr_nonnull(bridge);
	text = manage_conf_text("made", bridge, out_why);
	json_decref(bridge);
	return text;
}

/* As the configuration has it; or NULL with what is wrong in `mistakes`. */
static char mistakes[2048];

static struct conf *
try(const char *name, const char *text)
{
	struct conf *conf = NULL;
	FILE *errors = fmemopen(mistakes, sizeof(mistakes), "w");

	ck_assert_ptr_nonnull(errors);
	conf_try_bridge(path, name, text, &conf, errors);
	fclose(errors);
	return conf;
}

START_TEST(what_is_said_in_json_is_read_as_it_was)
{
	const char *why;
	char *text = text_of("{\"url\":\"mqtt://h:99\",\"name\":\"made\","
			     "\"client_id\":\"q\\\"\\\\ \\u00fc\\n;\","
			     "\"password\":null,\"username\":\"u\","
			     "\"announce_bridge\":false,\"max_inflight\":7,"
			     "\"forward\":[{\"filter\":\"x/#\",\"qos\":2},"
			     "{\"filter\":\"y\"}],"
			     "\"ring\":{\"capacity\":\"64KiB\"}}",
	    &why);
	const struct conf_bridge *bridge;
	struct conf *conf;

	ck_assert_ptr_nonnull(text);
	conf = try("made", text);
	ck_assert_msg(conf != NULL, "%s", mistakes);
	ck_assert_uint_eq(conf->bridge_count, 2);
	bridge = conf_bridge(conf, "made");
	ck_assert_ptr_nonnull(bridge);
	ck_assert(bridge->is_added);
	ck_assert(!conf_bridge(conf, "own")->is_added);
	ck_assert_str_eq(bridge->client_id, "q\"\\ \xc3\xbc\n;");
	ck_assert_ptr_null(bridge->password);
	ck_assert_uint_eq(bridge->port, 99);
	ck_assert_uint_eq(bridge->max_inflight, 7);
	ck_assert(!bridge->announce_bridge);
	ck_assert_uint_eq(bridge->forward_count, 2);
	ck_assert_str_eq(bridge->forward[0].filter, "x/#");
	ck_assert_uint_eq(bridge->forward[0].qos, 2);
	ck_assert_uint_eq(bridge->ring.capacity, 65536);
	conf_free(conf);
	free(text);
}
END_TEST

START_TEST(what_cannot_be_written_is_refused)
{
	static const char *const wrong[] = {
		"{\"a=1; b\":2}",
		"{\"\":2}",
		"{\"1\":2}",
		"{\"forward\":[null]}",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}",
	};
	const char *why;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_ptr_null(text_of(wrong[i], &why));
		ck_assert_ptr_nonnull(why);
	}
}
END_TEST

START_TEST(mistakes_name_the_file_that_it_would_be)
{
	char expect[160];

	ck_assert_ptr_null(try("made", "name = \"made\";\nhue = 1;\n"));
	snprintf(expect, sizeof(expect), "%s/bridges.d/made.conf:2: ", folder);
	ck_assert_ptr_nonnull(strstr(mistakes, expect));
	ck_assert_ptr_null(try("made", "name = \n"));
	ck_assert_ptr_nonnull(strstr(mistakes, "made.conf:"));
	/* The name is the file's. */
	ck_assert_ptr_null(try("made",
	    "name = \"x\"; url = \"mqtt://h\"; forward = ( { filter = "
	    "\"a\"; } );"));
	ck_assert_ptr_nonnull(strstr(mistakes, "must be that of the file"));
}
END_TEST

START_TEST(a_name_is_there_once)
{
	ck_assert_ptr_null(try("own",
	    "name = \"own\"; url = \"mqtt://h\"; forward = ( { filter = "
	    "\"a\"; } );"));
	ck_assert_ptr_nonnull(strstr(mistakes, "already"));
}
END_TEST

START_TEST(files_are_read_and_others_are_not)
{
	char name[200], odd[210];
	struct conf *conf;
	FILE *file;

	snprintf(name, sizeof(name), "%s/" CONF_BRIDGES_FOLDER, folder);
	ck_assert_int_eq(mkdir(name, 0700), 0);
	ck_assert_int_eq(
	    conf_bridge_path(folder, "made", name, sizeof(name)), 0);
	file = fopen(name, "w");
	fputs("name = \"made\"; url = \"mqtt://h\"; forward = ( { filter = "
	      "\"a\"; } );",
	    file);
	fclose(file);
	snprintf(odd, sizeof(odd), "%s.new", name);
	ck_assert_int_eq(link(name, odd), 0);
	conf = try("other", NULL);
	ck_assert_msg(conf != NULL, "%s", mistakes);
	ck_assert_uint_eq(conf->bridge_count, 2);
	conf_free(conf);
	/* As if it were not there. */
	conf = try("made", NULL);
	ck_assert_uint_eq(conf->bridge_count, 1);
	conf_free(conf);
	/* A folder in its place is no end of the process. */
	unlink(name);
	ck_assert_int_eq(mkdir(name, 0700), 0);
	ck_assert_ptr_null(try("other", NULL));
	rmdir(name);
	unlink(odd);
	snprintf(name, sizeof(name), "%s/" CONF_BRIDGES_FOLDER, folder);
	ck_assert_int_eq(rmdir(name), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("manage_conf");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_said_in_json_is_read_as_it_was);
	tcase_add_test(tc, what_cannot_be_written_is_refused);
	tcase_add_test(tc, mistakes_name_the_file_that_it_would_be);
	tcase_add_test(tc, a_name_is_there_once);
	tcase_add_test(tc, files_are_read_and_others_are_not);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
