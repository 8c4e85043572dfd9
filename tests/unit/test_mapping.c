/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/mapping.h"

#include <errno.h>

#include "tests/unit/unit.h"

static char filter_a[] = "oven/#";
static char filter_b[] = "+/status";
static char bad_filter[] = "a/#/b";
static char shared_filter[] = "$share/g/a";
static char plant[] = "plant/";
static char site[] = "site7/";
static char wild[] = "x/+/";
static char none[] = "";
static char whole_topic[] = "{topic}";

#define RULE(filter_, local, remote, line_)                                    \
	{                                                                      \
		.filter = filter_, .qos = 1, .local_prefix = local,            \
		.remote_prefix = remote, .line = line_                         \
	}

static struct conf_rule rules[] = {
	{ .filter = filter_a,
	    .qos = 1,
	    .local_prefix = plant,
	    .remote_prefix = site },
	{ .filter = filter_b,
	    .qos = 2,
	    .local_prefix = none,
	    .remote_prefix = none },
};

static struct mapping mapping;
static uint8_t buffer[65535];

static void
make(enum mapping_direction direction)
{
	size_t bad;

	ck_assert_int_eq(mapping_init(&mapping, rules, 2, direction, &bad), 0);
}

static void
expect(const char *topic, const char *expected)
{
	const struct mapping_rule *rule;
	struct slice mapped;

	rule = mapping_find(&mapping, slice_of_string(topic));
	ck_assert_ptr_nonnull(rule);
	ck_assert_int_eq(mapping_topic(rule, slice_of_string(topic), buffer,
			     sizeof(buffer), &mapped),
	    0);
	ck_assert_uint_eq(mapped.len, strlen(expected));
	ck_assert_mem_eq(mapped.data, expected, mapped.len);
}

static void
teardown(void)
{
	mapping_fini(&mapping);
}

START_TEST(two_mappings_are_the_same_rule_by_rule)
{
	struct conf_rule changed[2];
	struct mapping other;
	size_t bad;

	make(MAPPING_FORWARD);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(changed, rules, sizeof(changed));
		if (i == 1)
			changed[1].qos = 0;
		else if (i == 2)
			changed[0].filter = filter_b;
		else if (i == 3)
			changed[0].remote_prefix = none;
		else if (i == 5)
			changed[1].remote_topic = whole_topic;
		else if (i == 6)
			changed[0].retain = CONF_RETAIN_SET;
		else if (i == 7)
			changed[0].no_local = true;
		ck_assert_int_eq(mapping_init(&other, changed, i == 4 ? 1 : 2,
				     MAPPING_FORWARD, &bad),
		    0);
		ck_assert_int_eq(mapping_is_same(&mapping, &other), i == 0);
		mapping_fini(&other);
	}
}
END_TEST

START_TEST(exchanges_the_local_prefix_for_the_remote_one)
{
	make(MAPPING_FORWARD);
	expect("plant/oven/1", "site7/oven/1");
}
END_TEST

START_TEST(exchanges_the_remote_prefix_for_the_local_one)
{
	make(MAPPING_RECEIVE);
	expect("site7/oven/1", "plant/oven/1");
}
END_TEST

START_TEST(matches_the_parent_level_of_a_prefixed_filter)
{
	make(MAPPING_FORWARD);
	expect("plant/oven", "site7/oven");
}
END_TEST

START_TEST(lets_a_topic_through_unchanged_without_prefixes)
{
	make(MAPPING_FORWARD);
	expect("x/status", "x/status");
	ck_assert_uint_eq(
	    mapping_find(&mapping, slice_of_string("x/status"))->qos, 2);
}
END_TEST

START_TEST(knows_no_rule_for_what_lacks_the_prefix)
{
	make(MAPPING_FORWARD);
	ck_assert_ptr_null(mapping_find(&mapping, slice_of_string("oven/1")));
	ck_assert_ptr_null(
	    mapping_find(&mapping, slice_of_string("site7/oven/1")));
}
END_TEST

START_TEST(keeps_system_topics_from_wildcards)
{
	make(MAPPING_FORWARD);
	ck_assert_ptr_null(
	    mapping_find(&mapping, slice_of_string("$SYS/status")));
}
END_TEST

START_TEST(refuses_a_topic_that_grows_too_long)
{
	struct mapping_rule rule = { .prefix = site };
	static uint8_t topic[65530];
	struct slice mapped;

	memset(topic, 'a', sizeof(topic));
	ck_assert_int_eq(mapping_topic(&rule, slice_of(topic, 65530), buffer,
			     sizeof(buffer), &mapped),
	    -EMSGSIZE);
	ck_assert_int_eq(mapping_topic(&rule, slice_of(topic, 65529), buffer,
			     sizeof(buffer), &mapped),
	    0);
	ck_assert_int_eq(
	    mapping_topic(&rule, slice_of(topic, 5), buffer, 10, &mapped),
	    -EMSGSIZE);
}
END_TEST

START_TEST(refuses_a_topic_of_which_nothing_is_left)
{
	struct mapping_rule rule = { .prefix = none, .strip = 3 };
	struct slice mapped;

	ck_assert_int_eq(mapping_topic(&rule, slice_of_string("abc"), buffer,
			     sizeof(buffer), &mapped),
	    -EINVAL);
}
END_TEST

/* One rule with that filter and template, in the direction that has it. */
static void
make_template(enum mapping_direction direction, char *filter, char *prefix,
    char *template)
{
	struct conf_rule rule = RULE(filter, none, none, 1);
	size_t bad;

	if (direction == MAPPING_FORWARD) {
		rule.local_prefix = prefix;
		rule.remote_topic = template;
	} else {
		rule.remote_prefix = prefix;
		rule.local_topic = template;
	}
	ck_assert_int_eq(mapping_init(&mapping, &rule, 1, direction, &bad), 0);
}

START_TEST(fills_a_template_with_what_the_wildcards_matched)
{
	static char filter[] = "+/x/+/#", template[] = "s/{rest}/{2}/{1}";
	static char whole[] = "copy/{{/{topic}";

	make_template(MAPPING_FORWARD, filter, plant, template);
	expect("plant/a/x/b/c/d", "s/c/d/b/a");
	expect("plant//x//", "s///");
	mapping_fini(&mapping);
	make_template(MAPPING_RECEIVE, filter, site, whole);
	expect("site7/a/x/b/c", "copy/{/a/x/b/c");
}
END_TEST

START_TEST(takes_the_slash_before_a_rest_of_nothing)
{
	static char filter[] = "a/#", template[] = "b/{rest}";
	static char only[] = "{rest}";
	struct slice mapped;

	make_template(MAPPING_FORWARD, filter, none, template);
	expect("a/x", "b/x");
	expect("a/", "b/");
	expect("a", "b");
	mapping_fini(&mapping);
	make_template(MAPPING_FORWARD, filter, none, only);
	expect("a/x", "x");
	ck_assert_int_eq(mapping_topic(&mapping.rules[0], slice_of_string("a"),
			     buffer, sizeof(buffer), &mapped),
	    -EINVAL);
}
END_TEST

START_TEST(refuses_a_template_that_grows_too_long)
{
	static char filter[] = "#", template[] = "{rest}{rest}";
	static uint8_t topic[32768];
	struct slice mapped;

	make_template(MAPPING_FORWARD, filter, none, template);
	memset(topic, 'a', sizeof(topic));
	ck_assert_int_eq(
	    mapping_topic(&mapping.rules[0], slice_of(topic, 32767), buffer,
		sizeof(buffer), &mapped),
	    0);
	ck_assert_uint_eq(mapped.len, 65534);
	ck_assert_int_eq(
	    mapping_topic(&mapping.rules[0], slice_of(topic, 32768), buffer,
		sizeof(buffer), &mapped),
	    -EMSGSIZE);
}
END_TEST

START_TEST(keeps_clears_or_sets_the_retain_flag)
{
	struct mapping_rule rule = { .retain = CONF_RETAIN_KEEP };

	ck_assert(mapping_retain(&rule, true));
	ck_assert(!mapping_retain(&rule, false));
	rule.retain = CONF_RETAIN_CLEAR;
	ck_assert(!mapping_retain(&rule, true));
	rule.retain = CONF_RETAIN_SET;
	ck_assert(mapping_retain(&rule, false));
}
END_TEST

START_TEST(names_the_rule_that_is_no_filter)
{
	struct conf_rule bad_rules[] = {
		RULE(filter_a, none, none, 1),
		RULE(bad_filter, none, none, 2),
		RULE(shared_filter, none, none, 3),
		RULE(filter_a, wild, none, 4),
		RULE(filter_a, none, wild, 5),
	};
	size_t bad = 99;

	ck_assert_int_eq(
	    mapping_init(&mapping, bad_rules, 2, MAPPING_FORWARD, &bad),
	    -EINVAL);
	ck_assert_uint_eq(bad, 1);
	for (size_t i = 2; i < 5; i++)
		ck_assert_int_eq(mapping_init(&mapping, &bad_rules[i], 1,
				     MAPPING_RECEIVE, &bad),
		    -EINVAL);
}
END_TEST

START_TEST(has_no_rules_when_none_are_given)
{
	size_t bad;

	ck_assert_int_eq(
	    mapping_init(&mapping, NULL, 0, MAPPING_FORWARD, &bad), 0);
	ck_assert_ptr_null(mapping_find(&mapping, slice_of_string("a")));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("mapping");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, two_mappings_are_the_same_rule_by_rule);
	tcase_add_test(tc, exchanges_the_local_prefix_for_the_remote_one);
	tcase_add_test(tc, exchanges_the_remote_prefix_for_the_local_one);
	tcase_add_test(tc, matches_the_parent_level_of_a_prefixed_filter);
	tcase_add_test(tc, lets_a_topic_through_unchanged_without_prefixes);
	tcase_add_test(tc, knows_no_rule_for_what_lacks_the_prefix);
	tcase_add_test(tc, keeps_system_topics_from_wildcards);
	tcase_add_test(tc, refuses_a_topic_that_grows_too_long);
	tcase_add_test(tc, refuses_a_topic_of_which_nothing_is_left);
	tcase_add_test(tc, fills_a_template_with_what_the_wildcards_matched);
	tcase_add_test(tc, takes_the_slash_before_a_rest_of_nothing);
	tcase_add_test(tc, refuses_a_template_that_grows_too_long);
	tcase_add_test(tc, keeps_clears_or_sets_the_retain_flag);
	tcase_add_test(tc, names_the_rule_that_is_no_filter);
	tcase_add_test(tc, has_no_rules_when_none_are_given);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
