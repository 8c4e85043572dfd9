/* SPDX-License-Identifier: Apache-2.0 */

/* Shared subscriptions: who gets a message. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "broker/rcu.h"
#include "broker/share_strategy.h"
#include "broker/subscription_tree.h"
#include "common/conf/conf.h"
#include "tests/unit/unit.h"

#define MEMBERS 4

static struct subscription_tree *tree;
static struct subscription_matches matches;
static struct subscriber members[MEMBERS];
static enum subscription_strategy strategy;

static enum subscription_strategy
the_strategy(const void *context, struct slice name, struct slice filter)
{
	ck_assert_ptr_eq(context, &strategy);
	ck_assert(slice_equal_string(name, "g"));
	ck_assert(slice_equal_string(filter, "a/#"));
	return strategy;
}

static void
add(struct subscriber *subscriber, const char *filter)
{
	const struct subscription_options options = { .qos = 1 };
	bool existed;

	ck_assert_int_eq(subscription_tree_add(tree, slice_of_string(filter),
			     subscriber, &options, &existed),
	    0);
}

static void
set_up(void)
{
	rcu_thread_start();
	tree = subscription_tree_new();
	memset(members, 0, sizeof(members));
	strategy = SUBSCRIPTION_ROUND_ROBIN;
}

static void
tear_down(void)
{
	for (int i = 0; i < MEMBERS; i++)
		subscription_tree_remove_all(tree, &members[i]);
	subscription_tree_free(tree);
	subscription_matches_fini(&matches);
	rcu_thread_end();
}

/* All of them, online. */
static void
join(enum subscription_strategy wanted)
{
	strategy = wanted;
	subscription_tree_use_strategies(tree, the_strategy, &strategy);
	for (int i = 0; i < MEMBERS; i++) {
		add(&members[i], "$share/g/a/#");
		atomic_store(&members[i].online, true);
	}
}

static size_t
match(const char *topic, const char *publisher)
{
	matches.count = 0;
	matches.publisher = slice_of_string(publisher);
	rcu_enter();
	ck_assert_int_eq(
	    subscription_tree_match(tree, slice_of_string(topic), &matches), 0);
	rcu_leave();
	return matches.count;
}

/* The number of who gets it. */
static int
chosen(const char *topic, const char *publisher)
{
	ck_assert_uint_eq(match(topic, publisher), 1);
	return (int)(matches.list[0].subscriber - members);
}

/* How many of `count` each gets. */
static void
hand_out(int count, int got[MEMBERS])
{
	memset(got, 0, MEMBERS * sizeof(got[0]));
	for (int i = 0; i < count; i++)
		got[chosen("a/b", "p")]++;
}

START_TEST(takes_turns)
{
	int got[MEMBERS];

	join(SUBSCRIPTION_ROUND_ROBIN);
	hand_out(400, got);
	for (int i = 0; i < MEMBERS; i++)
		ck_assert_int_eq(got[i], 100);
}
END_TEST

/* Also of a random share: what waits is not made more. */
START_TEST(passes_over_who_keeps_messages_waiting)
{
	int got[MEMBERS];

	join(_i == 0 ? SUBSCRIPTION_ROUND_ROBIN : SUBSCRIPTION_RANDOM);
	atomic_store(&members[1].backlog, 1);
	hand_out(90, got);
	ck_assert_int_eq(got[1], 0);
	for (int i = 0; i < MEMBERS; i++)
		ck_assert(i == 1 || got[i] >= 10);
}
END_TEST

START_TEST(takes_the_least_laden_when_all_keep_it_waiting)
{
	const uint32_t backlogs[MEMBERS] = { 7, SUBSCRIBER_STUCK, 5,
		SUBSCRIBER_FULL };
	int got[MEMBERS];

	join(SUBSCRIPTION_ROUND_ROBIN);
	for (int i = 0; i < MEMBERS; i++)
		atomic_store(&members[i].backlog, backlogs[i]);
	hand_out(10, got);
	ck_assert_int_eq(got[2], 10);
}
END_TEST

/* Even a stuck one that is there: it may go on; but not one that is full. */
START_TEST(prefers_who_is_there_and_then_who_is_not_full)
{
	int got[MEMBERS];

	join((enum subscription_strategy)_i);
	for (int i = 0; i < MEMBERS; i++)
		atomic_store(&members[i].online, i == 3);
	atomic_store(&members[3].backlog, SUBSCRIBER_STUCK);
	hand_out(10, got);
	ck_assert_int_eq(got[3], 10);
	atomic_store(&members[3].backlog, SUBSCRIBER_FULL);
	for (int i = 0; i < 3; i++)
		atomic_store(&members[i].backlog, i == 1 ? 1 : SUBSCRIBER_FULL);
	hand_out(10, got);
	ck_assert_int_eq(got[1], 10);
	atomic_store(&members[1].backlog, SUBSCRIBER_FULL);
	hand_out(10, got);
	ck_assert_int_eq(got[3], 10);
	atomic_store(&members[3].online, false);
	hand_out(10, got);
	ck_assert_int_eq(got[0] + got[1] + got[2] + got[3], 10);
}
END_TEST

START_TEST(sticks_to_one_until_it_goes)
{
	int first, next;

	join(SUBSCRIPTION_STICKY);
	first = chosen("a/b", "p");
	for (int i = 0; i < 20; i++) {
		atomic_store(&members[first].backlog, (uint32_t)i);
		ck_assert_int_eq(chosen("a/b", i % 2 == 0 ? "p" : "q"), first);
	}
	atomic_store(&members[first].online, false);
	next = chosen("a/b", "p");
	ck_assert_int_ne(next, first);
	/* Back again, it is one of the others. */
	atomic_store(&members[first].online, true);
	ck_assert_int_eq(chosen("a/b", "p"), next);
	/* Who leaves before it in the list changes nothing. */
	subscription_tree_remove_all(tree, &members[first]);
	ck_assert_int_eq(chosen("a/b", "p"), next);
	subscription_tree_remove_all(tree, &members[next]);
	ck_assert_int_ne(chosen("a/b", "p"), next);
}
END_TEST

START_TEST(keeps_a_publisher_or_a_topic_with_one_member)
{
	bool seen[MEMBERS] = { false };
	char text[16], topic[24];
	int who, different = 0;

	join(_i == 0 ? SUBSCRIPTION_HASH : SUBSCRIPTION_HASH_TOPIC);
	for (int i = 0; i < 64; i++) {
		snprintf(text, sizeof(text), "%d", i);
		snprintf(topic, sizeof(topic), "a/%d", i);
		who = _i == 0 ? chosen("a/b", text) : chosen(topic, "p");
		seen[who] = true;
		/* What it does not go by does not matter. */
		ck_assert_int_eq(chosen(topic, text), who);
		atomic_store(&members[who].backlog, 100);
	}
	for (int i = 0; i < MEMBERS; i++)
		different += seen[i];
	ck_assert_int_eq(different, MEMBERS);
}
END_TEST

START_TEST(scatters_at_random)
{
	int got[MEMBERS], in_turn = 0, last = -1, who;

	join(SUBSCRIPTION_RANDOM);
	hand_out(4000, got);
	for (int i = 0; i < MEMBERS; i++)
		ck_assert(got[i] > 850 && got[i] < 1150);
	for (int i = 0; i < 400; i++) {
		who = chosen("a/b", "p");
		in_turn += who == (last + 1) % MEMBERS;
		last = who;
	}
	ck_assert_int_lt(in_turn, 200);
}
END_TEST

START_TEST(finds_a_member_of_one_share_by_its_number)
{
	uint32_t share, other;

	add(&members[0], "$share/g/a/#");
	add(&members[1], "$share/h/a/#");
	add(&members[2], "$share/g/a/b");
	add(&members[3], "a/b");
	ck_assert_uint_eq(match("a/x", ""), 2);
	share = matches.list[0].share;
	other = matches.list[1].share;
	ck_assert(share != 0 && other != 0 && share != other);
	matches.count = 0;
	rcu_enter();
	subscription_tree_match_share(
	    tree, slice_of_string("a/b"), other, &matches);
	ck_assert_uint_eq(matches.count, 1);
	ck_assert_uint_eq(matches.list[0].share, other);
	subscription_tree_match_share(
	    tree, slice_of_string("c"), other, &matches);
	ck_assert_uint_eq(matches.count, 1);
	rcu_leave();
}
END_TEST

/* It is in the journal: it must not change with the order of subscribing. */
START_TEST(gives_a_share_the_same_number_in_every_life)
{
	struct subscription_tree *first = tree;
	uint32_t share;

	add(&members[0], "$share/g/a/#");
	match("a/x", "");
	share = matches.list[0].share;
	tree = subscription_tree_new();
	add(&members[1], "$share/h/a/#");
	add(&members[2], "$share/g/a/#");
	match("a/x", "");
	ck_assert(
	    matches.list[0].share == share || matches.list[1].share == share);
	subscription_tree_remove_all(tree, &members[1]);
	subscription_tree_remove_all(tree, &members[2]);
	subscription_tree_free(tree);
	tree = first;
}
END_TEST

START_TEST(asks_the_configuration_for_the_strategy)
{
	struct conf_share shares[] = {
		{ "g", "a", CONF_SHARED_STICKY },
		{ NULL, "b", CONF_SHARED_HASH },
		{ "g", NULL, CONF_SHARED_RANDOM },
	};
	const struct conf conf = {
		.shares = shares,
		.share_count = 3,
		.share_strategy = CONF_SHARED_HASH_TOPIC,
	};
	const struct {
		const char *name, *filter;
		enum subscription_strategy strategy;
	} rows[] = {
		{ "g", "a", SUBSCRIPTION_STICKY },
		{ "g", "b", SUBSCRIPTION_HASH },
		{ "g", "c", SUBSCRIPTION_RANDOM },
		{ "h", "a", SUBSCRIPTION_HASH_TOPIC },
		{ "h", "b", SUBSCRIPTION_HASH },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_int_eq(
		    share_strategy_of(&conf, slice_of_string(rows[i].name),
			slice_of_string(rows[i].filter)),
		    rows[i].strategy);
}
END_TEST

/* ---- while it changes --------------------------------------------------- */

static atomic_bool stop;

/*
 * Plain and shared with one filter, unsubscribed in turns, gone for good: what
 * is found stays whole until it is left.
 */
static void *
come_and_go(void *arg)
{
	struct subscriber *subscriber = arg;

	rcu_thread_start();
	for (unsigned i = 0; i < 2000; i++) {
		add(subscriber, "a/#");
		add(subscriber, "$share/g/a/#");
		atomic_store(&subscriber->online, i % 3 != 0);
		subscription_tree_remove(tree,
		    slice_of_string(i % 2 == 0 ? "a/#" : "$share/g/a/#"),
		    subscriber);
		if (i % 5 == 4)
			subscription_tree_remove_all(tree, subscriber);
	}
	subscription_tree_remove_all(tree, subscriber);
	rcu_thread_end();
	return NULL;
}

static void *
publish(void *arg)
{
	struct subscription_matches mine = { 0 };
	uintptr_t shared = 0;

	(void)arg;
	rcu_thread_start();
	mine.publisher = slice_of_string("p");
	while (!atomic_load(&stop)) {
		mine.count = 0;
		rcu_enter();
		subscription_tree_match(tree, slice_of_string("a/b"), &mine);
		for (size_t i = 0; i < mine.count; i++) {
			ck_assert_uint_eq(mine.list[i].options.qos, 1);
			shared += mine.list[i].share != 0;
		}
		rcu_leave();
	}
	subscription_matches_fini(&mine);
	rcu_thread_end();
	return (void *)shared;
}

START_TEST(is_read_while_members_come_and_go)
{
	pthread_t writers[2], readers[2];

	strategy = (enum subscription_strategy)_i;
	subscription_tree_use_strategies(tree, the_strategy, &strategy);
	atomic_store(&stop, false);
	for (int i = 0; i < 2; i++) {
		pthread_create(&writers[i], NULL, come_and_go, &members[i]);
		pthread_create(&readers[i], NULL, publish, NULL);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	ck_assert_uint_eq(match("a/b", ""), 0);
	ck_assert_uint_eq(subscription_tree_shared_count(tree), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("shares");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, takes_turns);
	tcase_add_loop_test(tc, passes_over_who_keeps_messages_waiting, 0, 2);
	tcase_add_test(tc, takes_the_least_laden_when_all_keep_it_waiting);
	tcase_add_loop_test(
	    tc, prefers_who_is_there_and_then_who_is_not_full, 0, 5);
	tcase_add_test(tc, sticks_to_one_until_it_goes);
	tcase_add_loop_test(
	    tc, keeps_a_publisher_or_a_topic_with_one_member, 0, 2);
	tcase_add_test(tc, scatters_at_random);
	tcase_add_test(tc, finds_a_member_of_one_share_by_its_number);
	tcase_add_test(tc, gives_a_share_the_same_number_in_every_life);
	tcase_add_test(tc, asks_the_configuration_for_the_strategy);
	tcase_add_loop_test(tc, is_read_while_members_come_and_go, 0, 5);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
