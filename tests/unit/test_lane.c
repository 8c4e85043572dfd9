/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/lane.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct lane_table *table;

/* A filter matches the topics that begin with it. */
static bool
match(
    const void *filter, size_t filter_len, const void *topic, size_t topic_len)
{
	return topic_len >= filter_len &&
	    memcmp(filter, topic, filter_len) == 0;
}

static void
add(const char *bridge, const char *filter)
{
	ck_assert_int_eq(
	    lane_table_add(table, bridge, filter, strlen(filter)), 0);
}

static void
make(const char *self)
{
	table = lane_table_new(match, self);
	ck_assert_ptr_nonnull(table);
	lane_table_begin(table);
	add("plant", "b/");
	add("cloud", "b/");
	add("cloud", "c/");
	add("cloud", "b/x");
	ck_assert_int_eq(lane_table_end(table), 0);
}

static void
teardown(void)
{
	lane_table_free(table);
	table = NULL;
}

static struct lane_choice
choose(const char *topic)
{
	struct lane_choice choice;

	lane_table_choose(table, topic, strlen(topic), &choice);
	return choice;
}

START_TEST(names_a_set_by_its_bridges_in_byte_order)
{
	make(NULL);
	ck_assert_str_eq(choose("b/1").set, "cloud+plant");
	ck_assert_str_eq(choose("c/1").set, "cloud");
	ck_assert_str_eq(choose("d/1").set, "");
}
END_TEST

START_TEST(asks_once_and_uses_the_lane_when_it_is_open)
{
	make(NULL);
	ck_assert_int_eq(choose("b/1").state, LANE_IS_WANTED);
	ck_assert_int_eq(choose("b/2").state, LANE_IS_ASKED);
	lane_table_opened(table, "cloud+plant", 7);
	ck_assert_int_eq(choose("b/3").state, LANE_IS_OPEN);
	ck_assert_uint_eq(choose("b/3").lane, 7);
	ck_assert_int_eq(choose("c/1").state, LANE_IS_WANTED);
}
END_TEST

START_TEST(leaves_its_own_bridge_out)
{
	make("plant");
	ck_assert_str_eq(choose("b/1").set, "cloud");
	lane_table_free(table);
	make("cloud");
	ck_assert_str_eq(choose("b/1").set, "plant");
	ck_assert_str_eq(choose("c/1").set, "");
}
END_TEST

START_TEST(knows_lanes_of_a_former_life)
{
	make(NULL);
	lane_table_opened(table, "", 0);
	ck_assert_int_eq(choose("d/1").state, LANE_IS_OPEN);
	ck_assert_uint_eq(choose("d/1").lane, 0);
}
END_TEST

START_TEST(forgets_lanes_with_the_link_but_keeps_the_filters)
{
	make(NULL);
	lane_table_opened(table, "cloud", 3);
	lane_table_reset(table);
	ck_assert_int_eq(choose("c/1").state, LANE_IS_WANTED);
	ck_assert_str_eq(choose("c/1").set, "cloud");
}
END_TEST

START_TEST(falls_back_to_the_shared_lane_when_refused)
{
	make(NULL);
	choose("c/1");
	lane_table_refused(table, "cloud");
	ck_assert_str_eq(choose("c/1").set, "*");
	lane_table_opened(table, "*", 9);
	ck_assert_uint_eq(choose("c/1").lane, 9);
	ck_assert_int_eq(choose("c/1").state, LANE_IS_OPEN);
}
END_TEST

START_TEST(is_closed_when_the_shared_lane_is_refused_too)
{
	make(NULL);
	lane_table_refused(table, "cloud");
	lane_table_refused(table, "*");
	ck_assert_int_eq(choose("c/1").state, LANE_IS_CLOSED);
	ck_assert_int_eq(choose("d/1").state, LANE_IS_WANTED);
}
END_TEST

START_TEST(a_lane_that_is_closed_is_asked_for_again)
{
	make(NULL);
	choose("c/1");
	lane_table_opened(table, "cloud", 3);
	lane_table_closing(table, "cloud");
	ck_assert_int_eq(choose("c/1").state, LANE_IS_ASKED);
	lane_table_closed(table, "cloud");
	ck_assert_int_eq(choose("c/1").state, LANE_IS_WANTED);
	ck_assert_int_eq(choose("c/1").state, LANE_IS_ASKED);
}
END_TEST

START_TEST(what_was_refused_is_asked_for_again_once_the_shared_lane_is_closed)
{
	make(NULL);
	choose("c/1");
	lane_table_refused(table, "cloud");
	choose("c/1");
	lane_table_opened(table, "*", 9);
	lane_table_closed(table, "other");
	ck_assert_str_eq(choose("c/1").set, "*");
	lane_table_closing(table, "*");
	lane_table_closed(table, "*");
	ck_assert_str_eq(choose("c/1").set, "cloud");
}
END_TEST

/* One bridge more than there are lanes: "b00" to "b40", each its own topic. */
static void
make_many(void)
{
	char name[16];

	table = lane_table_new(match, NULL);
	ck_assert_ptr_nonnull(table);
	lane_table_begin(table);
	for (int i = 0; i < 41; i++) {
		snprintf(name, sizeof(name), "b%02d", i);
		add(name, name);
	}
	ck_assert_int_eq(lane_table_end(table), 0);
	for (int i = 0; i < 31; i++) {
		snprintf(name, sizeof(name), "b%02d", i);
		ck_assert_str_eq(choose(name).set, name);
		lane_table_opened(table, name, (uint32_t)i);
	}
}

START_TEST(who_shares_a_lane_stays_there_until_it_is_empty)
{
	make_many();
	ck_assert_str_eq(choose("b31").set, "*");
	lane_table_opened(table, "*", 31);
	lane_table_closed(table, "b00");
	/* There is a slot, but its earlier messages may still be in "*". */
	ck_assert_str_eq(choose("b31").set, "*");
	ck_assert_str_eq(choose("b32").set, "*");
	ck_assert(lane_table_unshare(table));
	ck_assert(!lane_table_unshare(table));
	ck_assert_str_eq(choose("b31").set, "b31");
	ck_assert_str_eq(choose("b32").set, "*");
	lane_table_closed(table, "*");
	lane_table_closed(table, "b01");
	ck_assert_str_eq(choose("b32").set, "b32");
}
END_TEST

START_TEST(a_lane_that_was_opened_is_known_whoever_shares)
{
	make_many();
	choose("b31");
	lane_table_opened(table, "*", 31);
	lane_table_closed(table, "b00");
	lane_table_opened(table, "b33", 0);
	ck_assert_str_eq(choose("b33").set, "b33");
	ck_assert_int_eq(choose("b33").state, LANE_IS_OPEN);
}
END_TEST

START_TEST(keeps_the_old_filters_when_the_new_ones_are_wrong)
{
	char long_name[RING_NAME_MAX + 1];

	make(NULL);
	memset(long_name, 'a', RING_NAME_MAX);
	long_name[RING_NAME_MAX] = '\0';
	lane_table_begin(table);
	ck_assert_int_eq(lane_table_add(table, long_name, "b/", 2), -EINVAL);
	ck_assert_int_eq(lane_table_add(table, "", "b/", 2), -EINVAL);
	ck_assert_int_eq(lane_table_end(table), -EINVAL);
	ck_assert_str_eq(choose("b/1").set, "cloud+plant");
}
END_TEST

START_TEST(takes_new_filters_whole_at_their_end)
{
	make(NULL);
	lane_table_begin(table);
	add("plant", "d/");
	ck_assert_str_eq(choose("b/1").set, "cloud+plant");
	ck_assert_int_eq(lane_table_end(table), 0);
	ck_assert_str_eq(choose("b/1").set, "");
	ck_assert_str_eq(choose("d/1").set, "plant");
}
END_TEST

START_TEST(refuses_more_bridges_than_it_can_tell_apart)
{
	char name[16];

	make(NULL);
	lane_table_begin(table);
	for (unsigned i = 0; i < LANE_MAX_BRIDGES; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		add(name, "b/");
	}
	ck_assert_int_eq(lane_table_add(table, "more", "b/", 2), -ENOSPC);
	ck_assert_int_eq(lane_table_end(table), -ENOSPC);
}
END_TEST

START_TEST(shares_a_lane_when_a_set_has_too_long_a_name)
{
	char name[RING_NAME_MAX];

	make(NULL);
	lane_table_begin(table);
	memset(name, 'x', sizeof(name));
	name[40] = '\0';
	add(name, "b/");
	name[0] = 'y';
	add(name, "b/");
	ck_assert_int_eq(lane_table_end(table), 0);
	ck_assert_str_eq(choose("b/1").set, "*");
}
END_TEST

START_TEST(shares_the_last_lane_when_there_are_more_sets_than_lanes)
{
	char name[16], filter[16];
	struct lane_choice choice;

	make(NULL);
	lane_table_begin(table);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%02u", i);
		snprintf(filter, sizeof(filter), "t%02u/", i);
		add(name, filter);
	}
	ck_assert_int_eq(lane_table_end(table), 0);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(filter, sizeof(filter), "t%02u/", i);
		choice = choose(filter);
		if (choice.state == LANE_IS_WANTED)
			lane_table_opened(table, choice.set, i);
		snprintf(name, sizeof(name), "n%02u", i);
		ck_assert_str_eq(
		    choose(filter).set, i < RING_LANES - 1 ? name : "*");
		ck_assert_uint_lt(choose(filter).lane, RING_LANES);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lane");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, names_a_set_by_its_bridges_in_byte_order);
	tcase_add_test(tc, asks_once_and_uses_the_lane_when_it_is_open);
	tcase_add_test(tc, leaves_its_own_bridge_out);
	tcase_add_test(tc, knows_lanes_of_a_former_life);
	tcase_add_test(tc, forgets_lanes_with_the_link_but_keeps_the_filters);
	tcase_add_test(tc, falls_back_to_the_shared_lane_when_refused);
	tcase_add_test(tc, is_closed_when_the_shared_lane_is_refused_too);
	tcase_add_test(tc, a_lane_that_is_closed_is_asked_for_again);
	tcase_add_test(tc,
	    what_was_refused_is_asked_for_again_once_the_shared_lane_is_closed);
	tcase_add_test(tc, who_shares_a_lane_stays_there_until_it_is_empty);
	tcase_add_test(tc, a_lane_that_was_opened_is_known_whoever_shares);
	tcase_add_test(tc, keeps_the_old_filters_when_the_new_ones_are_wrong);
	tcase_add_test(tc, takes_new_filters_whole_at_their_end);
	tcase_add_test(tc, refuses_more_bridges_than_it_can_tell_apart);
	tcase_add_test(tc, shares_a_lane_when_a_set_has_too_long_a_name);
	tcase_add_test(
	    tc, shares_the_last_lane_when_there_are_more_sets_than_lanes);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
