/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/subscription_tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "broker/rcu.h"
#include "broker/subscription_private.h"
#include "common/base/options.h"
#include "common/msg/topic.h"
#include "tests/unit/unit.h"

static struct subscription_tree *tree;
static struct subscription_matches matches;
static struct subscriber alice, bob, carol;

static void
set_up(void)
{
	rcu_thread_start();
	tree = subscription_tree_new();
	memset(&alice, 0, sizeof(alice));
	memset(&bob, 0, sizeof(bob));
	memset(&carol, 0, sizeof(carol));
}

static void
tear_down(void)
{
	subscription_tree_remove_all(tree, &alice);
	subscription_tree_remove_all(tree, &bob);
	subscription_tree_remove_all(tree, &carol);
	subscription_tree_free(tree);
	subscription_matches_fini(&matches);
	rcu_thread_end();
}

/* Returns whether it existed. */
static bool
add_with(struct subscriber *subscriber, const char *filter,
    struct subscription_options options)
{
	bool existed;

	ck_assert_int_eq(subscription_tree_add(tree, slice_of_string(filter),
			     subscriber, &options, &existed),
	    0);
	return existed;
}

static bool
add(struct subscriber *subscriber, const char *filter)
{
	return add_with(
	    subscriber, filter, (struct subscription_options){ .qos = 1 });
}

static size_t
match(const char *topic)
{
	matches.count = 0;
	rcu_enter();
	ck_assert_int_eq(
	    subscription_tree_match(tree, slice_of_string(topic), &matches), 0);
	rcu_leave();
	return matches.count;
}

START_TEST(finds_exact_filters_and_wildcards)
{
	add(&alice, "a/b/c");
	add(&bob, "a/+/c");
	add(&carol, "a/#");
	ck_assert_uint_eq(match("a/b/c"), 3);
	ck_assert_uint_eq(match("a/x/c"), 2);
	ck_assert_uint_eq(match("a"), 1);
	ck_assert_uint_eq(match("b"), 0);
	ck_assert_uint_eq(match("a/b/c/d"), 1);
	ck_assert_uint_eq(match("a/b"), 1);
}
END_TEST

START_TEST(takes_empty_levels_for_levels)
{
	add(&alice, "/");
	add(&bob, "+/+");
	add(&carol, "/+/");
	ck_assert_uint_eq(match("/"), 2);
	ck_assert_uint_eq(match("a/"), 1);
	ck_assert_uint_eq(match("/x/"), 1);
	ck_assert_uint_eq(match(""), 0);
}
END_TEST

/* [MQTT-4.7.2-1] */
START_TEST(keeps_dollar_topics_from_leading_wildcards)
{
	add(&alice, "#");
	add(&bob, "+/x");
	add(&carol, "$SYS/#");
	ck_assert_uint_eq(match("$SYS/x"), 1);
	ck_assert_ptr_eq(matches.list[0].subscriber, &carol);
	ck_assert_uint_eq(match("s/x"), 2);
}
END_TEST

/* [MQTT-3.8.4-3] */
START_TEST(replaces_the_options_of_a_subscription_there_is)
{
	ck_assert(!add(&alice, "a"));
	ck_assert(add_with(&alice, "a",
	    (struct subscription_options){
		.qos = 2,
		.no_local = true,
		.retain_as_published = true,
		.identifier = 268435455,
	    }));
	ck_assert_uint_eq(match("a"), 1);
	ck_assert_uint_eq(matches.list[0].options.qos, 2);
	ck_assert(matches.list[0].options.no_local);
	ck_assert(matches.list[0].options.retain_as_published);
	ck_assert_uint_eq(matches.list[0].options.identifier, 268435455);
	ck_assert_uint_eq(subscription_tree_count(tree), 1);
}
END_TEST

START_TEST(tells_a_filter_from_the_same_with_a_hash)
{
	add(&alice, "a");
	ck_assert(!add(&alice, "a/#"));
	ck_assert_uint_eq(match("a"), 2);
	ck_assert_int_eq(
	    subscription_tree_remove(tree, slice_of_string("a"), &alice), 0);
	ck_assert_uint_eq(match("a"), 1);
	ck_assert_uint_eq(match("a/b"), 1);
}
END_TEST

START_TEST(says_when_there_is_nothing_to_remove)
{
	add(&alice, "a/b");
	ck_assert_int_eq(
	    subscription_tree_remove(tree, slice_of_string("a"), &alice),
	    -ENOENT);
	ck_assert_int_eq(
	    subscription_tree_remove(tree, slice_of_string("a/b"), &bob),
	    -ENOENT);
	ck_assert_int_eq(subscription_tree_remove(
			     tree, slice_of_string("$share/g/a/b"), &alice),
	    -ENOENT);
	ck_assert_uint_eq(match("a/b"), 1);
}
END_TEST

START_TEST(notes_who_may_overlap)
{
	add(&alice, "a");
	ck_assert(!atomic_load(&alice.may_overlap));
	add(&alice, "a");
	ck_assert(!atomic_load(&alice.may_overlap));
	add(&alice, "+");
	ck_assert(atomic_load(&alice.may_overlap));
}
END_TEST

START_TEST(gives_each_member_of_a_share_its_turn)
{
	unsigned turns[2] = { 0 };

	add(&alice, "$share/g/a/#");
	add(&bob, "$share/g/a/#");
	add(&carol, "a/+");
	atomic_store(&alice.online, true);
	atomic_store(&bob.online, true);
	for (int i = 0; i < 10; i++) {
		ck_assert_uint_eq(match("a/b"), 2);
		for (size_t k = 0; k < 2; k++)
			if (matches.list[k].share != 0)
				turns[matches.list[k].subscriber == &bob]++;
	}
	ck_assert_uint_eq(turns[0], 5);
	ck_assert_uint_eq(turns[1], 5);
	ck_assert_uint_eq(subscription_tree_shared_count(tree), 2);
}
END_TEST

START_TEST(prefers_members_that_are_there)
{
	add(&alice, "$share/g/a");
	add(&bob, "$share/g/a");
	atomic_store(&bob.online, true);
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_eq(match("a"), 1);
		ck_assert_ptr_eq(matches.list[0].subscriber, &bob);
	}
	atomic_store(&bob.online, false);
	ck_assert_uint_eq(match("a"), 1);
}
END_TEST

START_TEST(keeps_shares_of_other_names_apart)
{
	add(&alice, "$share/g/a");
	add(&bob, "$share/h/a");
	add(&carol, "$share/g/a/#");
	ck_assert_uint_eq(match("a"), 3);
	subscription_tree_remove_all(tree, &bob);
	ck_assert_uint_eq(match("a"), 2);
	ck_assert_int_eq(subscription_tree_remove(
			     tree, slice_of_string("$share/g/a"), &alice),
	    0);
	ck_assert_uint_eq(match("a"), 1);
	ck_assert_ptr_eq(matches.list[0].subscriber, &carol);
}
END_TEST

START_TEST(refuses_filters_that_are_too_deep)
{
	char filter[2 * SUBSCRIPTION_MAX_LEVELS + 2];
	struct subscription_options options = { 0 };
	bool existed;

	memset(filter, '/', sizeof(filter));
	ck_assert_int_eq(subscription_tree_add(tree,
			     slice_of(filter, SUBSCRIPTION_MAX_LEVELS), &alice,
			     &options, &existed),
	    -E2BIG);
	ck_assert_int_eq(subscription_tree_add(tree,
			     slice_of(filter, SUBSCRIPTION_MAX_LEVELS - 1),
			     &alice, &options, &existed),
	    0);
}
END_TEST

START_TEST(walks_a_topic_of_65535_slashes)
{
	static char topic[65535];
	char filter[400];

	memset(topic, '/', sizeof(topic));
	for (size_t i = 0; i < 2 * SUBSCRIPTION_MAX_LEVELS - 2; i += 2)
		memcpy(filter + i, "+/", 2);
	filter[2 * SUBSCRIPTION_MAX_LEVELS - 2] = '#';
	filter[2 * SUBSCRIPTION_MAX_LEVELS - 1] = '\0';
	add(&alice, filter);
	add(&bob, "#");
	matches.count = 0;
	rcu_enter();
	subscription_tree_match(tree, slice_of(topic, sizeof(topic)), &matches);
	rcu_leave();
	ck_assert_uint_eq(matches.count, 2);
}
END_TEST

/* ---- the promise ---- */

static const char *const levels[] = { "a", "b", "", "+", "#", "$x" };

/* A random filter (or name); '#' ends it. */
static void
random_topic(uint32_t *dice, char *text, unsigned kinds)
{
	unsigned depth, kind;

	*dice = *dice * 1664525 + 1013904223;
	depth = 1 + (*dice >> 28) % 4;
	text[0] = '\0';
	for (unsigned i = 0; i < depth; i++) {
		*dice = *dice * 1664525 + 1013904223;
		kind = (*dice >> 24) % kinds;
		if (kinds == 3 && i == 0 && (*dice >> 16) % 8 == 0)
			kind = 5;
		strcat(text, i == 0 ? "" : "/");
		strcat(text, levels[kind]);
		if (kind == 4)
			break;
	}
}

START_TEST(finds_what_matching_one_by_one_finds)
{
	char filters[200][32], topic[32];
	struct subscriber *who[] = { &alice, &bob, &carol };
	bool there[200] = { 0 };
	uint32_t dice = (uint32_t)_i + 1;
	size_t expected;

	for (int k = 0; k < 200; k++) {
		do
			random_topic(&dice, filters[k], 5);
		while (!topic_filter_is_valid(slice_of_string(filters[k])));
		there[k] = !add(who[k % 3], filters[k]);
	}
	for (int turn = 0; turn < 500; turn++) {
		dice = dice * 1664525 + 1013904223;
		int k = (int)((dice >> 8) % 200);

		if (there[k])
			ck_assert_int_eq(
			    subscription_tree_remove(
				tree, slice_of_string(filters[k]), who[k % 3]),
			    0);
		there[k] = there[k] ? false : !add(who[k % 3], filters[k]);

		random_topic(&dice, topic, 3);
		expected = 0;
		for (k = 0; k < 200; k++)
			expected += there[k] && topic[0] != '\0' &&
			    topic_matches(slice_of_string(filters[k]),
				slice_of_string(topic));
		if (topic[0] != '\0')
			ck_assert_uint_eq(match(topic), expected);
	}
}
END_TEST

static atomic_bool stop;

static void *
change(void *arg)
{
	struct subscriber *subscriber = arg;
	struct subscription_options options = { .qos = 1 };
	char filter[32];
	bool existed;

	rcu_thread_start();
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(filter, sizeof(filter), "t/%u/%s", i % 7,
		    i % 3 == 0       ? "#"
			: i % 3 == 1 ? "+"
				     : "x");
		subscription_tree_add(tree, slice_of_string(filter), subscriber,
		    &options, &existed);
		if (i % 2 != 0)
			subscription_tree_remove(
			    tree, slice_of_string(filter), subscriber);
		if (i % 50 == 49)
			subscription_tree_remove_all(tree, subscriber);
	}
	rcu_thread_end();
	return NULL;
}

static void *
publish(void *arg)
{
	struct subscription_matches mine = { 0 };
	char topic[32];
	unsigned seen = 0;

	(void)arg;
	rcu_thread_start();
	for (unsigned i = 0; !atomic_load(&stop); i++) {
		snprintf(topic, sizeof(topic), "t/%u/x", i % 7);
		mine.count = 0;
		rcu_enter();
		subscription_tree_match(tree, slice_of_string(topic), &mine);
		for (size_t k = 0; k < mine.count; k++)
			seen += mine.list[k].options.qos;
		if (mine.count != 0 && mine.list[0].subscriber != &carol)
			seen++;
		rcu_leave();
	}
	subscription_matches_fini(&mine);
	rcu_thread_end();
	return (void *)(uintptr_t)seen;
}

START_TEST(is_read_while_it_changes)
{
	pthread_t writers[2], readers[2];

	atomic_store(&stop, false);
	add(&carol, "t/+/x");
	for (int i = 0; i < 2; i++) {
		pthread_create(
		    &writers[i], NULL, change, i == 0 ? &alice : &bob);
		pthread_create(&readers[i], NULL, publish, NULL);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	subscription_tree_remove_all(tree, &alice);
	subscription_tree_remove_all(tree, &bob);
	ck_assert_uint_eq(match("t/1/x"), 1);
}
END_TEST

/* Filters and options as one text, in the order they come. */
static char listed[1024];

static int
note_listed(
    void *arg, struct slice filter, const struct subscription_options *options)
{
	const size_t used = strlen(listed);

	snprintf(listed + used, sizeof(listed) - used, "%.*s=%u%s%s%u ",
	    (int)filter.len, (const char *)filter.data, options->qos,
	    options->no_local ? "n" : "",
	    options->retain_as_published ? "r" : "", options->identifier);
	return *(int *)arg;
}

static int
list(const char *after, size_t max)
{
	int answer = 0;

	listed[0] = '\0';
	return subscription_tree_list(
	    tree, &alice, slice_of_string(after), max, note_listed, &answer);
}

START_TEST(has_room_for_what_is_in_it_and_gives_it_back)
{
	char filter[32];

	for (int i = 0; i < 5000; i++) {
		snprintf(filter, sizeof(filter), "room/%d", i);
		add(&alice, filter);
	}
	subscription_tree_tend(tree);
	ck_assert_uint_ge(atomic_load(&tree->room), 5001);
	ck_assert_uint_le(atomic_load(&tree->room), 16384);
	ck_assert_uint_eq(atomic_load(&tree->node_count), 5001);
	ck_assert_uint_eq(match("room/4711"), 1);
	subscription_tree_remove_all(tree, &alice);
	subscription_tree_tend(tree);
	ck_assert_uint_eq(atomic_load(&tree->room), 64);
	ck_assert_uint_eq(match("room/4711"), 0);
}
END_TEST

START_TEST(lists_filters_as_they_were_given)
{
	static const char *const filters[] = { "a", "a/b/c", "#", "a/#", "/#",
		"+/+", "/", "a//b", "+/#", "$share/g/x/+/y", "$share/g/x/#",
		"$share/g/#", "$share/g//", "$SYS/+" };
	char wanted[1024] = "", one[64];

	for (size_t i = 0; i < ARRAY_LENGTH(filters); i++) {
		add(&alice, filters[i]);
		add(&bob, filters[i]);
		snprintf(one, sizeof(one), "%s=10 ", filters[i]);
		memmove(wanted + strlen(one), wanted, strlen(wanted) + 1);
		memcpy(wanted, one, strlen(one));
	}
	ck_assert_int_eq(list("", 100), ARRAY_LENGTH(filters));
	ck_assert_str_eq(listed, wanted);
}
END_TEST

START_TEST(lists_options_and_ends_with_what_the_caller_says)
{
	int answer = -7;

	add_with(&alice, "a",
	    (struct subscription_options){
		.qos = 2,
		.no_local = true,
		.retain_as_published = true,
		.identifier = 268435455,
	    });
	ck_assert_int_eq(list("", 100), 1);
	ck_assert_str_eq(listed, "a=2nr268435455 ");
	ck_assert_int_eq(subscription_tree_list(tree, &alice,
			     slice_of_string(""), 100, note_listed, &answer),
	    -7);
	ck_assert_int_eq(subscription_tree_list(tree, &carol,
			     slice_of_string(""), 100, note_listed, &answer),
	    0);
}
END_TEST

START_TEST(lists_in_slices_whatever_comes_and_goes)
{
	add(&alice, "1");
	add(&alice, "2");
	add(&alice, "3");
	add(&alice, "$share/g/4");
	ck_assert_int_eq(list("", 2), 2);
	ck_assert_str_eq(listed, "$share/g/4=10 3=10 ");
	add(&alice, "5");
	ck_assert_int_eq(list("3", 2), 2);
	ck_assert_str_eq(listed, "2=10 1=10 ");
	ck_assert_int_eq(list("1", 2), 0);
	subscription_tree_remove(tree, slice_of_string("3"), &alice);
	ck_assert_int_eq(list("3", 2), -ENOENT);
	ck_assert_int_eq(list("$share/g/4", 2), 2);
	ck_assert_str_eq(listed, "2=10 1=10 ");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("subscription_tree");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, finds_exact_filters_and_wildcards);
	tcase_add_test(tc, takes_empty_levels_for_levels);
	tcase_add_test(tc, keeps_dollar_topics_from_leading_wildcards);
	tcase_add_test(tc, replaces_the_options_of_a_subscription_there_is);
	tcase_add_test(tc, tells_a_filter_from_the_same_with_a_hash);
	tcase_add_test(tc, says_when_there_is_nothing_to_remove);
	tcase_add_test(tc, notes_who_may_overlap);
	tcase_add_test(tc, gives_each_member_of_a_share_its_turn);
	tcase_add_test(tc, prefers_members_that_are_there);
	tcase_add_test(tc, keeps_shares_of_other_names_apart);
	tcase_add_test(tc, refuses_filters_that_are_too_deep);
	tcase_add_test(tc, walks_a_topic_of_65535_slashes);
	tcase_add_loop_test(tc, finds_what_matching_one_by_one_finds, 0, 8);
	tcase_add_test(tc, is_read_while_it_changes);
	tcase_add_test(tc, has_room_for_what_is_in_it_and_gives_it_back);
	tcase_add_test(tc, lists_filters_as_they_were_given);
	tcase_add_test(tc, lists_options_and_ends_with_what_the_caller_says);
	tcase_add_test(tc, lists_in_slices_whatever_comes_and_goes);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
