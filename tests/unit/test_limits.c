/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/limits.h"

#include <string.h>

#include "common/conf/conf.h"
#include "tests/unit/unit.h"

static struct limits_set
set_of(uint32_t length, uint32_t levels)
{
	const struct conf conf = {
		.max_topic_length = length,
		.max_topic_levels = levels,
		.max_user_properties = 3,
	};
	struct limits_set set;

	limits_take(&set, &conf);
	return set;
}

static enum limit
ask(const struct limits_set *set, const char *topic)
{
	return limits_topic(set, slice_of_string(topic));
}

START_TEST(lets_pass_what_is_at_the_limit)
{
	const struct limits_set set = set_of(8, 3);

	ck_assert_int_eq(ask(&set, "abcdefgh"), LIMIT_NONE);
	ck_assert_int_eq(ask(&set, "abcdefghi"), LIMIT_TOPIC_LENGTH);
	ck_assert_int_eq(ask(&set, "a/b/c"), LIMIT_NONE);
	ck_assert_int_eq(ask(&set, "a/b/c/d"), LIMIT_TOPIC_LEVELS);
}
END_TEST

START_TEST(counts_empty_levels)
{
	const struct limits_set set = set_of(8, 3);

	ck_assert_int_eq(ask(&set, "//"), LIMIT_NONE);
	ck_assert_int_eq(ask(&set, "///"), LIMIT_TOPIC_LEVELS);
	ck_assert_int_eq(ask(&set, "/////////"), LIMIT_TOPIC_LENGTH);
}
END_TEST

START_TEST(has_topics_of_one_level)
{
	const struct limits_set set = set_of(65535, 1);

	ck_assert_int_eq(ask(&set, "abcdefghijkl"), LIMIT_NONE);
	ck_assert_int_eq(ask(&set, "/"), LIMIT_TOPIC_LEVELS);
}
END_TEST

START_TEST(takes_nothing_for_no_limit)
{
	const struct limits_set set = set_of(0, 0);

	ck_assert_int_eq(ask(&set, "a/b/c/d/e/f/g/h/i/j/k"), LIMIT_NONE);
	ck_assert_int_eq(
	    limits_user_properties(&(struct limits_set){ 0 }, 1000),
	    LIMIT_NONE);
}
END_TEST

START_TEST(counts_user_properties)
{
	const struct limits_set set = set_of(8, 3);

	ck_assert_int_eq(limits_user_properties(&set, 3), LIMIT_NONE);
	ck_assert_int_eq(
	    limits_user_properties(&set, 4), LIMIT_USER_PROPERTIES);
}
END_TEST

/* The quick way says nothing that the slow one does not. */
START_TEST(is_the_same_quick_and_slow)
{
	char topic[32];
	uint32_t dice = (uint32_t)_i + 1;

	for (int turn = 0; turn < 20000; turn++) {
		struct limits_set set;
		size_t length;

		dice = dice * 1664525 + 1013904223;
		set = set_of(1 + (dice >> 28), 1 + (dice >> 24) % 8);
		length = 1 + (dice >> 16) % 24;
		for (size_t i = 0; i < length; i++)
			topic[i] = (dice >> (i % 16) & 3) == 0 ? '/' : 'a';
		ck_assert_int_eq(limits_topic(&set, slice_of(topic, length)),
		    limits_topic_slowly(&set, slice_of(topic, length)));
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("limits");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, lets_pass_what_is_at_the_limit);
	tcase_add_test(tc, counts_empty_levels);
	tcase_add_test(tc, has_topics_of_one_level);
	tcase_add_test(tc, takes_nothing_for_no_limit);
	tcase_add_test(tc, counts_user_properties);
	tcase_add_loop_test(tc, is_the_same_quick_and_slow, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
