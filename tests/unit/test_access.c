/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/access.h"

#include <string.h>

#include "common/conf/conf.h"
#include "common/msg/topic.h"
#include "tests/unit/unit.h"

#define MOST 4

static struct access_rules rules;
static struct access *access_of;

static void
tear_down(void)
{
	access_free(access_of);
	access_of = NULL;
	access_rules_fini(&rules);
}

/* Filters parted by blanks. */
static void
split(char *text, char **list, struct conf_strings *out)
{
	*out = (struct conf_strings){ .list = list };
	for (char *word = strtok(text, " "); word != NULL;
	     word = strtok(NULL, " ")) {
		ck_assert_uint_lt(out->count, MOST);
		list[out->count++] = word;
	}
}

static void
allow(const char *user, const char *client_id, const char *publish,
    const char *subscribe)
{
	char publish_text[256], subscribe_text[256];
	char *publish_list[MOST], *subscribe_list[MOST];
	struct conf_strings to_publish, to_subscribe;

	tear_down();
	strcpy(publish_text, publish);
	strcpy(subscribe_text, subscribe);
	split(publish_text, publish_list, &to_publish);
	split(subscribe_text, subscribe_list, &to_subscribe);
	ck_assert_int_eq(
	    access_rules_init(&rules, user, &to_publish, &to_subscribe), 0);
	ck_assert_int_eq(
	    access_new(&rules, slice_of_string(client_id), &access_of), 0);
}

static bool
publishes(const char *topic)
{
	return access_of == NULL ||
	    access_may_publish(access_of, slice_of_string(topic));
}

static bool
subscribes(const char *filter)
{
	return access_of == NULL ||
	    access_may_subscribe(access_of, slice_of_string(filter));
}

START_TEST(is_null_for_who_may_everything)
{
	allow("u", "c", "#", "#");
	ck_assert_ptr_null(access_of);
	allow("u", "c", "a #", "+ #");
	ck_assert_ptr_null(access_of);
	ck_assert(!access_rules_limit_subscriptions(&rules));
	allow("u", "c", "#", "a/#");
	ck_assert_ptr_nonnull(access_of);
	ck_assert(access_rules_limit_subscriptions(&rules));
	ck_assert(publishes("$x") && !subscribes("$x"));
	allow("u", "c", "a/#", "#");
	ck_assert_ptr_nonnull(access_of);
	ck_assert(!publishes("$x") && subscribes("$SYS/#"));
}
END_TEST

START_TEST(allows_nothing_without_filters)
{
	allow("u", "c", "", "");
	ck_assert_ptr_nonnull(access_of);
	ck_assert(!publishes("a") && !subscribes("a") && !subscribes("#"));
	ck_assert(!access_rules_may_publish(&rules, slice_of_string("a")));
}
END_TEST

START_TEST(lets_publish_where_a_filter_matches)
{
	allow("u", "c", "a/+ b/#", "#");
	ck_assert(publishes("a/1") && publishes("b") && publishes("b/1/2"));
	ck_assert(!publishes("a") && !publishes("a/1/2") && !publishes("c"));
	allow("u", "c", "+/#", "#");
	ck_assert(publishes("a") && !publishes("$a"));
}
END_TEST

START_TEST(lets_subscribe_to_what_one_filter_covers)
{
	allow("u", "c", "#", "a/+ b/#");
	ck_assert(subscribes("a/1") && subscribes("a/+"));
	ck_assert(!subscribes("a/#") && !subscribes("a") && !subscribes("+/1"));
	ck_assert(subscribes("b") && subscribes("b/#") && subscribes("b/+/c"));
	ck_assert(!subscribes("#") && !subscribes("+/#"));
	/* A shared subscription is judged by its filter. */
	ck_assert(subscribes("$share/g/b/#") && !subscribes("$share/g/#"));
	ck_assert(!subscribes("$share/b/c"));
	allow("u", "c", "#", "+/#");
	ck_assert(subscribes("#") && subscribes("$share/g/#"));
	ck_assert(!subscribes("$SYS/#") && !subscribes("$share/g/$SYS/#"));
}
END_TEST

START_TEST(puts_both_names_in)
{
	allow("joe", "pc-7", "u/%u/c/%c x-%c-%u-%c/+", "%u/#");
	ck_assert(publishes("u/joe/c/pc-7"));
	ck_assert(publishes("x-pc-7-joe-pc-7/1"));
	ck_assert(!publishes("u/joe/c/%c") && !publishes("u/%u/c/pc-7"));
	ck_assert(!publishes("u/jim/c/pc-7") && !publishes("u/joe/c/pc-8"));
	ck_assert(subscribes("joe/+") && !subscribes("jim/+"));
	/* What is not a mark is text. */
	allow("joe", "pc", "100%/%x", "#");
	ck_assert(publishes("100%/%x"));
}
END_TEST

START_TEST(is_never_widened_by_a_name)
{
	static const char *const bad[] = { "+", "#", "a/b", "", "$SYS", "a+",
		"x/#" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		allow("joe", bad[i], "%c/t c/%c/t ok", "%c/# c/%c ok");
		ck_assert(!publishes("a/t") && !publishes("c/a/t"));
		ck_assert(!publishes("c/a/b/t") && !publishes("c//t"));
		ck_assert(!publishes("a/b/t") && !publishes("/t"));
		ck_assert(!subscribes("#") && !subscribes("$SYS/#"));
		ck_assert(!subscribes("c/+") && !subscribes("c/a/b"));
		ck_assert(publishes("ok") && subscribes("ok"));

		allow(bad[i], "pc", "%u/t c/%u/t ok", "%u/# c/%u ok");
		ck_assert(!publishes("a/t") && !publishes("c/a/t"));
		ck_assert(!subscribes("#") && !subscribes("$SYS/#"));
		ck_assert(!subscribes("c/+") && !subscribes("c/a/b"));
		ck_assert(publishes("ok") && subscribes("ok"));
	}
	/* Nor by one that brings the other's mark along. */
	allow("%c", "other", "u/%u", "#");
	ck_assert(!publishes("u/other") && !publishes("u/%c"));
}
END_TEST

START_TEST(has_no_client_identifier_by_http)
{
	allow("joe", "pc", "%u/1 %c/2 y x", "#");
	ck_assert(access_rules_may_publish(&rules, slice_of_string("joe/1")));
	ck_assert(!access_rules_may_publish(&rules, slice_of_string("$x")));
	allow("joe", "pc", "%c/2", "#");
	ck_assert(!access_rules_may_publish(&rules, slice_of_string("pc/2")));
	ck_assert(!access_rules_may_publish(&rules, slice_of_string("%c/2")));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("access");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, tear_down);
	tcase_add_test(tc, is_null_for_who_may_everything);
	tcase_add_test(tc, allows_nothing_without_filters);
	tcase_add_test(tc, lets_publish_where_a_filter_matches);
	tcase_add_test(tc, lets_subscribe_to_what_one_filter_covers);
	tcase_add_test(tc, puts_both_names_in);
	tcase_add_test(tc, is_never_widened_by_a_name);
	tcase_add_test(tc, has_no_client_identifier_by_http);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
