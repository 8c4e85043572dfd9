/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/subscriptions.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static char a[] = "a/#", b[] = "b/+", c[] = "c";

static struct subscriptions subscriptions;
static struct mapping_rule rules[4];
static struct mapping mapping = { .rules = rules };

static void
setup(void)
{
	memset(rules, 0, sizeof(rules));
	mapping.count = 0;
}

static void
teardown(void)
{
	subscriptions_fini(&subscriptions);
}

static struct mapping_rule *
add_rule(char *filter)
{
	struct mapping_rule *rule = &rules[mapping.count++];

	rule->filter = filter;
	rule->qos = 1;
	rule->retain_handling = CONF_RETAIN_HANDLING_NEW;
	return rule;
}

static void
follow(void)
{
	ck_assert_int_eq(subscriptions_follow(&subscriptions, &mapping), 0);
}

static size_t
count(enum subscription_state state)
{
	struct subscription *at;
	size_t found = 0, from = 0;

	while ((at = subscriptions_next(&subscriptions, state, from)) != NULL) {
		from = subscriptions_index(&subscriptions, at) + 1;
		found++;
	}
	return found;
}

/* All of that state go into one request. */
static size_t
ask(enum subscription_state state, enum subscription_state next)
{
	struct subscription *at;
	size_t asked = 0;

	while ((at = subscriptions_next(&subscriptions, state, 0)) != NULL) {
		at->state = next;
		at->asked = ++asked;
	}
	return asked;
}

/* Ask for all that is wanted, and get it. */
static void
make_all(void)
{
	size_t asked = ask(SUBSCRIPTION_WANTED, SUBSCRIPTION_ASKED);

	for (size_t i = 1; i <= asked; i++)
		ck_assert_ptr_nonnull(
		    subscriptions_answer(&subscriptions, i, true));
}

START_TEST(asks_once_for_each_filter_as_the_first_rule_says)
{
	add_rule(a)->qos = 2;
	add_rule(b);
	add_rule(a)->qos = 0;
	follow();
	ck_assert_uint_eq(count(SUBSCRIPTION_WANTED), 2);
	ck_assert_uint_eq(
	    subscriptions_next(&subscriptions, SUBSCRIPTION_WANTED, 0)->qos, 2);
	make_all();
	follow();
	ck_assert_uint_eq(count(SUBSCRIPTION_MADE), 2);
}
END_TEST

START_TEST(follows_rules_that_come_go_and_change)
{
	add_rule(a);
	add_rule(b);
	follow();
	make_all();
	rules[0].qos = 2;    /* changed */
	rules[1].filter = c; /* another in its place */
	follow();
	ck_assert_uint_eq(count(SUBSCRIPTION_WANTED), 2);
	ck_assert_str_eq(
	    subscriptions_next(&subscriptions, SUBSCRIPTION_UNWANTED, 0)
		->filter,
	    b);
	ck_assert_uint_eq(ask(SUBSCRIPTION_UNWANTED, SUBSCRIPTION_LEAVING), 1);
	subscriptions_left(&subscriptions);
	ck_assert_uint_eq(subscriptions.count, 2);
	make_all();
	ck_assert_uint_eq(count(SUBSCRIPTION_MADE), 2);
}
END_TEST

START_TEST(asks_again_for_what_comes_back_while_it_is_left)
{
	add_rule(a);
	follow();
	make_all();
	mapping.count = 0;
	follow();
	ask(SUBSCRIPTION_UNWANTED, SUBSCRIPTION_LEAVING);
	add_rule(a);
	follow();
	ck_assert_uint_eq(count(SUBSCRIPTION_LEAVING), 1);
	subscriptions_left(&subscriptions);
	ck_assert_uint_eq(count(SUBSCRIPTION_WANTED), 1);
}
END_TEST

START_TEST(answers_go_to_who_was_asked_for_in_that_place)
{
	add_rule(a);
	add_rule(b);
	add_rule(c);
	follow();
	ck_assert_uint_eq(ask(SUBSCRIPTION_WANTED, SUBSCRIPTION_ASKED), 3);
	rules[0].qos = 0; /* while it is asked for */
	rules[1].filter = c;
	mapping.count = 2;
	follow();
	/* Asked for again, whatever the answer to the former question is. */
	ck_assert_str_eq(
	    subscriptions_answer(&subscriptions, 1, true)->filter, a);
	ck_assert_str_eq(
	    subscriptions_answer(&subscriptions, 2, true)->filter, b);
	ck_assert_str_eq(
	    subscriptions_answer(&subscriptions, 3, false)->filter, c);
	ck_assert_ptr_null(subscriptions_answer(&subscriptions, 4, true));
	ck_assert_uint_eq(count(SUBSCRIPTION_WANTED), 1);
	ck_assert_uint_eq(count(SUBSCRIPTION_UNWANTED), 1);
	ck_assert_uint_eq(count(SUBSCRIPTION_REFUSED), 1);
}
END_TEST

START_TEST(subscribes_anew_where_the_session_is_new)
{
	add_rule(a);
	add_rule(b);
	follow();
	make_all();
	mapping.count = 1;
	follow();
	subscriptions_connected(&subscriptions, false, true);
	ck_assert_uint_eq(count(SUBSCRIPTION_WANTED), 1);
	ck_assert_uint_eq(subscriptions.count, 1);
}
END_TEST

START_TEST(leaves_what_it_made_in_a_session_that_goes_on)
{
	add_rule(a);
	add_rule(b)->retain_handling = CONF_RETAIN_HANDLING_ALWAYS;
	add_rule(c);
	follow();
	make_all();
	mapping.count = 2;
	follow();
	subscriptions_connected(&subscriptions, true, true);
	ck_assert_uint_eq(count(SUBSCRIPTION_MADE), 1);
	ck_assert_uint_eq(count(SUBSCRIPTION_WANTED), 1);
	ck_assert_uint_eq(count(SUBSCRIPTION_UNWANTED), 1);
	/* With Retain Handling the remote sees to it. */
	subscriptions_connected(&subscriptions, true, false);
	ck_assert_uint_eq(count(SUBSCRIPTION_WANTED), 2);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("subscriptions");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, asks_once_for_each_filter_as_the_first_rule_says);
	tcase_add_test(tc, follows_rules_that_come_go_and_change);
	tcase_add_test(tc, asks_again_for_what_comes_back_while_it_is_left);
	tcase_add_test(tc, answers_go_to_who_was_asked_for_in_that_place);
	tcase_add_test(tc, subscribes_anew_where_the_session_is_new);
	tcase_add_test(tc, leaves_what_it_made_in_a_session_that_goes_on);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
