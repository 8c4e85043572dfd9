/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/aliases.h"

#include <errno.h>
#include <stdio.h>

#include "tests/unit/unit.h"

static struct aliases_out out;
static struct aliases_in in;

static void
teardown(void)
{
	aliases_out_fini(&out);
	aliases_in_fini(&in);
}

static void
make(uint16_t size, uint16_t most)
{
	ck_assert_int_eq(aliases_out_init(&out, size), 0);
	aliases_out_reset(&out, most);
}

/* As a sender does; returns the alias, negative when it is a new one. */
static int
use(const char *topic)
{
	struct slice name = slice_of_string(topic);
	uint16_t known = aliases_find(&out, name);
	uint16_t alias = known != 0 ? known : aliases_next(&out, name);

	if (alias != 0)
		aliases_used(&out, alias, name);
	return known != 0 ? alias : -(int)alias;
}

START_TEST(gives_each_topic_an_alias_and_knows_it_again)
{
	make(3, 100);
	ck_assert_int_eq(use("one/a"), -1);
	ck_assert_int_eq(use("two/a"), -2);
	ck_assert_int_eq(use("one/a"), 1);
	ck_assert_int_eq(use("two/a"), 2);
	ck_assert_int_eq(use("three"), -3);
}
END_TEST

START_TEST(takes_the_alias_of_what_was_used_least_lately)
{
	make(10, 2);
	use("one/a");
	use("two/a");
	use("one/a");
	ck_assert_int_eq(use("three"), -2);
	ck_assert_int_eq(use("one/a"), 1);
	ck_assert_int_eq(use("two/a"), -2);
	ck_assert_int_eq(use("three"), -1);
}
END_TEST

START_TEST(gives_none_where_none_is_allowed_or_of_use)
{
	static char longest[ALIASES_LONGEST + 2];

	make(10, 0);
	ck_assert_int_eq(use("one/a"), 0);
	aliases_out_reset(&out, 1);
	ck_assert_int_eq(use("a/b"), 0);
	memset(longest, 'a', ALIASES_LONGEST + 1);
	ck_assert_int_eq(use(longest), 0);
	longest[ALIASES_LONGEST] = '\0';
	ck_assert_int_eq(use(longest), -1);
	ck_assert_int_eq(use(longest), 1);
	aliases_out_fini(&out);
	make(0, 10);
	ck_assert_int_eq(use("one/a"), 0);
}
END_TEST

START_TEST(begins_anew_with_each_connection)
{
	make(4, 4);
	use("one/a");
	aliases_out_reset(&out, 4);
	ck_assert_int_eq(use("two/a"), -1);
	ck_assert_int_eq(use("one/a"), -2);
}
END_TEST

/* The promise: a receiver that keeps the table always has the topic. */
START_TEST(always_stands_for_the_topic_it_was_given_last)
{
	char table[9][16] = { "" }, topic[16];
	uint32_t dice = (uint32_t)_i + 1;
	int alias;

	make(8, 8);
	for (int turn = 0; turn < 20000; turn++) {
		dice = dice * 1664525 + 1013904223;
		snprintf(topic, sizeof(topic), "topic/%u", (dice >> 20) % 40);
		alias = use(topic);
		ck_assert_int_ne(alias, 0);
		if (alias < 0)
			strcpy(table[-alias], topic);
		else
			ck_assert_str_eq(table[alias], topic);
	}
}
END_TEST

START_TEST(remembers_what_the_remote_means)
{
	ck_assert_int_eq(aliases_in_init(&in, 2), 0);
	ck_assert_uint_eq(aliases_topic(&in, 1).len, 0);
	ck_assert_int_eq(aliases_keep(&in, 1, slice_of_string("a/b")), 0);
	ck_assert_int_eq(aliases_keep(&in, 2, slice_of_string("c")), 0);
	ck_assert(slice_equal_string(aliases_topic(&in, 1), "a/b"));
	ck_assert_int_eq(aliases_keep(&in, 1, slice_of_string("longer/x")), 0);
	ck_assert(slice_equal_string(aliases_topic(&in, 1), "longer/x"));
	ck_assert_int_eq(aliases_keep(&in, 0, slice_of_string("a")), -ERANGE);
	ck_assert_int_eq(aliases_keep(&in, 3, slice_of_string("a")), -ERANGE);
	ck_assert_uint_eq(aliases_topic(&in, 0).len, 0);
	ck_assert_uint_eq(aliases_topic(&in, 3).len, 0);
	aliases_in_reset(&in);
	ck_assert_uint_eq(aliases_topic(&in, 1).len, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("aliases");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, gives_each_topic_an_alias_and_knows_it_again);
	tcase_add_test(tc, takes_the_alias_of_what_was_used_least_lately);
	tcase_add_test(tc, gives_none_where_none_is_allowed_or_of_use);
	tcase_add_test(tc, begins_anew_with_each_connection);
	tcase_add_loop_test(
	    tc, always_stands_for_the_topic_it_was_given_last, 0, 4);
	tcase_add_test(tc, remembers_what_the_remote_means);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
