/* SPDX-License-Identifier: Apache-2.0 */

#include "common/msg/topic.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool
matches(const char *filter, const char *name)
{
	return topic_matches(slice_of_string(filter), slice_of_string(name));
}

static bool
filter_ok(const char *filter)
{
	return topic_filter_is_valid(slice_of_string(filter));
}

static bool
name_ok(const char *name)
{
	return topic_name_is_valid(slice_of_string(name));
}

/* [MQTT-1.5.4-2] */
START_TEST(refuses_the_null_character_anywhere)
{
	char text[24];

	for (size_t i = 0; i < sizeof(text); i++) {
		memset(text, 'a', sizeof(text));
		text[i] = '\0';
		ck_assert(!topic_name_is_valid(slice_of(text, sizeof(text))));
		ck_assert(!topic_filter_is_valid(slice_of(text, sizeof(text))));
	}
}
END_TEST

/* [MQTT-4.7.3-1] [MQTT-4.7.3-3] */
START_TEST(limits_the_length_of_names_and_filters)
{
	char *text = malloc(TOPIC_MAX_BYTES + 1);

	ck_assert(!name_ok(""));
	ck_assert(!filter_ok(""));
	memset(text, 'a', TOPIC_MAX_BYTES + 1);
	ck_assert(topic_name_is_valid(slice_of(text, TOPIC_MAX_BYTES)));
	ck_assert(!topic_name_is_valid(slice_of(text, TOPIC_MAX_BYTES + 1)));
	ck_assert(topic_filter_is_valid(slice_of(text, TOPIC_MAX_BYTES)));
	ck_assert(!topic_filter_is_valid(slice_of(text, TOPIC_MAX_BYTES + 1)));
	free(text);
}
END_TEST

/* [MQTT-4.7.0-1] */
START_TEST(refuses_wildcards_in_names)
{
	char name[24];

	ck_assert(name_ok("a/b/c") && name_ok("/") && name_ok("a b"));
	ck_assert(name_ok("$SYS/x") && name_ok("h\xc3\xa9/x"));
	for (size_t i = 0; i < sizeof(name) - 1; i++) {
		memset(name, 'a', sizeof(name));
		name[sizeof(name) - 1] = '\0';
		ck_assert(name_ok(name));
		name[i] = '+';
		ck_assert(!name_ok(name));
		name[i] = '#';
		ck_assert(!name_ok(name));
	}
	ck_assert(!name_ok("h\xc3\xa9/+"));
}
END_TEST

/* [MQTT-4.7.1-1] [MQTT-4.7.1-2] */
START_TEST(wants_wildcards_alone_in_their_level)
{
	static const char *const good[] = { "#", "+", "/", "a/#", "+/+", "/+",
		"+/#", "a/+/b", "a//+", "\xc3\xa9/#", "$share", "$shared/+" };
	static const char *const bad[] = { "a#", "#a", "a/#/b", "#/", "##",
		"a+", "+a", "a/b+/c", "a/+b", "++", "+#", "a/#b", "\xff/#" };

	for (size_t i = 0; i < COUNT(good); i++)
		ck_assert_msg(filter_ok(good[i]), "good %s", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!filter_ok(bad[i]), "bad %s", bad[i]);
}
END_TEST

START_TEST(matches_as_the_specification_says)
{
	ck_assert(matches("a/b", "a/b"));
	ck_assert(!matches("a/b", "a/b/"));
	ck_assert(!matches("a/b/", "a/b"));
	ck_assert(!matches("a/b", "a/B"));
	ck_assert(!matches("a", "ab") && !matches("ab", "a"));
	ck_assert(matches("a/#", "a") && matches("a/#", "a/b/c"));
	ck_assert(matches("a/#", "a/") && !matches("a/#", "ab/c"));
	ck_assert(matches("#", "a/b") && matches("#", "/"));
	ck_assert(matches("+", "a") && !matches("+", "a/b"));
	ck_assert(!matches("+", "/a") && matches("+/+", "/a"));
	ck_assert(matches("/+", "/a") && matches("a/+", "a/"));
	ck_assert(!matches("a/+", "a") && matches("a/+/c", "a/b/c"));
	ck_assert(matches("+/b/#", "a/b") && !matches("+/b/#", "a/c/b"));
}
END_TEST

/* [MQTT-4.7.2-1] */
START_TEST(keeps_dollar_topics_from_leading_wildcards)
{
	ck_assert(!matches("#", "$SYS/a") && !matches("+/a", "$SYS/a"));
	ck_assert(!matches("+", "$SYS"));
	ck_assert(matches("$SYS/#", "$SYS/a") && matches("$SYS/+", "$SYS/a"));
	ck_assert(matches("$SYS/a", "$SYS/a") && matches("#", "a/$SYS"));
	/* Only the first character counts. */
	ck_assert(matches("+/$x", "a/$x"));
}
END_TEST

/* [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
START_TEST(takes_shared_filters_apart)
{
	static const char *const bad[] = { "$share/", "$share/a", "$share//b",
		"$share/a/", "$share/a+/b", "$share/#/b", "$share/+/b",
		"$share/a/b#", "$share/\xff/b", "$share/a/\xff" };
	struct topic_share share;

	ck_assert(
	    topic_share_split(slice_of_string("$share/group/a/+/#"), &share));
	ck_assert(slice_equal_string(share.name, "group"));
	ck_assert(slice_equal_string(share.filter, "a/+/#"));
	ck_assert(topic_share_split(slice_of_string("$share/g//"), &share));
	ck_assert(slice_equal_string(share.filter, "/"));
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!filter_ok(bad[i]), "bad %s", bad[i]);
	ck_assert(!topic_is_shared(slice_of_string("$share")));
	ck_assert(topic_is_shared(slice_of_string("$share/")));
}
END_TEST

START_TEST(walks_the_levels_empty_ones_too)
{
	static const char *const expect[] = { "", "a", "", "b", "" };
	struct topic_levels levels = topic_levels(slice_of_string("/a//b/"));
	struct slice level;
	size_t n = 0;

	while (topic_levels_next(&levels, &level)) {
		ck_assert_uint_lt(n, COUNT(expect));
		ck_assert(slice_equal_string(level, expect[n++]));
	}
	ck_assert_uint_eq(n, COUNT(expect));
	ck_assert(!topic_levels_next(&levels, &level));
}
END_TEST

/* The matcher once more, as the definition reads: recursive and slow. */
static bool
matches_slowly(const char *filter, const char *name)
{
	if (*filter == '#' || strcmp(filter, "/#") == 0)
		return *filter == '#' || *name == '\0' || *name == '/';
	if (*filter == '+') {
		while (*name != '\0' && *name != '/')
			name++;
		return matches_slowly(filter + 1, name);
	}
	if (*filter == '\0' || *filter != *name)
		return *filter == *name;
	return matches_slowly(filter + 1, name + 1);
}

/* The promise: any valid filter and name agree with the definition. */
START_TEST(agrees_with_the_definition_for_any_input)
{
	static const char alphabet[] = "ab//+#";
	char filter[10], name[10];
	uint32_t dice = 12345;
	unsigned tried = 0;

	for (int turn = 0; turn < 300000; turn++) {
		for (size_t i = 0; i < sizeof(name) - 1; i++) {
			dice = dice * 1664525 + 1013904223;
			filter[i] = alphabet[(dice >> 20) % 6];
			name[i] = alphabet[(dice >> 24) % 4];
		}
		filter[(dice >> 8) % 9 + 1] = '\0';
		name[(dice >> 12) % 9 + 1] = '\0';
		filter[9] = name[9] = '\0';
		if (!filter_ok(filter))
			continue;
		tried++;
		ck_assert_msg(
		    matches(filter, name) == matches_slowly(filter, name),
		    "filter %s name %s", filter, name);
	}
	ck_assert_uint_gt(tried, 10000);
}
END_TEST

/* ---- covering ------------------------------------------------------------
 */

/* The text of number `which`: levels of these, the first one by its own. */
static bool
spell(unsigned which, const char *const *first, unsigned first_count,
    const char *const *levels, unsigned count, char text[16])
{
	strcpy(text, first[which % first_count]);
	for (which /= first_count; which != 0; which /= count + 1) {
		if (which % (count + 1) == 0)
			return false;
		strcat(text, "/");
		strcat(text, levels[which % (count + 1) - 1]);
	}
	return true;
}

/* One more level than in any filter, and a name that none of them has. */
static bool
covers_by_names(const char *wide, const char *narrow)
{
	static const char *const first[] = { "a", "b", "c", "$a" };
	char name[16];

	for (unsigned i = 0; i < 4 * 4 * 4 * 4; i++)
		if (spell(i, first, 4, first, 3, name) &&
		    matches(narrow, name) && !matches(wide, name))
			return false;
	return true;
}

/* The promise: what is covered is all that the other matches, no less. */
START_TEST(covers_what_it_matches_all_names_of)
{
	static const char *const first[] = { "a", "b", "+", "#", "$a" };
	char wide[16], narrow[16];
	unsigned covered = 0;
	bool covers;

	for (unsigned i = 0; i < 5 * 5 * 5; i++) {
		if (!spell(i, first, 5, first, 4, wide) || !filter_ok(wide))
			continue;
		for (unsigned k = 0; k < 5 * 5 * 5; k++) {
			if (!spell(k, first, 5, first, 4, narrow) ||
			    !filter_ok(narrow))
				continue;
			covers = topic_filter_covers(
			    slice_of_string(wide), slice_of_string(narrow));
			ck_assert_msg(covers == covers_by_names(wide, narrow),
			    "%s and %s", wide, narrow);
			covered += covers;
		}
	}
	ck_assert_uint_gt(covered, 200);
}
END_TEST

/* An empty name is none, so here "/#" always has a level behind the slash. */
START_TEST(knows_that_a_name_is_not_empty)
{
	const struct slice narrow = slice_of_string("/#");

	ck_assert(topic_filter_covers(slice_of_string("/+/#"), narrow));
	ck_assert(topic_filter_covers(slice_of_string("+/+/#"), narrow));
	ck_assert(topic_filter_covers(slice_of_string("/#"), narrow));
	ck_assert(!topic_filter_covers(slice_of_string("/+"), narrow));
	ck_assert(!topic_filter_covers(slice_of_string("/+/+/#"), narrow));
	ck_assert(!topic_filter_covers(
	    slice_of_string("a/+/#"), slice_of_string("a/#")));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("topic");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, refuses_the_null_character_anywhere);
	tcase_add_test(tc, limits_the_length_of_names_and_filters);
	tcase_add_test(tc, refuses_wildcards_in_names);
	tcase_add_test(tc, wants_wildcards_alone_in_their_level);
	tcase_add_test(tc, matches_as_the_specification_says);
	tcase_add_test(tc, keeps_dollar_topics_from_leading_wildcards);
	tcase_add_test(tc, takes_shared_filters_apart);
	tcase_add_test(tc, walks_the_levels_empty_ones_too);
	tcase_add_test(tc, agrees_with_the_definition_for_any_input);
	tcase_add_test(tc, covers_what_it_matches_all_names_of);
	tcase_add_test(tc, knows_that_a_name_is_not_empty);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
