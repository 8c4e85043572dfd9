/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/top_model.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define T0 (UINT64_C(1000) * SECOND)

static struct top_model *model;
static struct ring_view view[4];
static struct ring_views views;

static void
set_view(unsigned index, const char *name, enum ring_state state, uint64_t used)
{
	view[index] = (struct ring_view){
		.state = state,
		.used = used,
		.capacity = 1000,
	};
	snprintf(view[index].name, sizeof(view[index].name), "%s", name);
}

static void
setup(void)
{
	model = top_model_new();
	ck_assert_ptr_nonnull(model);
	set_view(0, "c", RING_IDLE, 0);
	set_view(1, "a", RING_BLOCKED, 900);
	set_view(2, "d", RING_RUNNING, 30);
	set_view(3, "b", RING_IDLE, 0);
	views = (struct ring_views){ .view = view, .count = 4 };
}

static void
teardown(void)
{
	top_model_free(model);
}

static void
look(uint64_t now_ns)
{
	ck_assert_int_eq(top_model_update(model, &views, now_ns), 0);
}

/* The names in order, one letter each. */
static const char *
order(void)
{
	static char text[8];
	size_t i;

	for (i = 0; top_model_row(model, i) != NULL; i++)
		text[i] = top_model_row(model, i)->name[0];
	text[i] = '\0';
	return text;
}

/* The newest characters of the history of the lane that is first. */
static const char *
history(size_t length)
{
	static char text[TOP_HISTORY + 1];

	memcpy(text, top_model_row(model, 0)->history + TOP_HISTORY - length,
	    length);
	text[length] = '\0';
	return text;
}

START_TEST(an_empty_model_has_no_rows)
{
	ck_assert_ptr_null(top_model_row(model, 0));
	ck_assert_uint_eq(top_model_sum(model).lanes, 0);
	top_model_sort(model, TOP_SORT_FILL);
	top_model_filter(model, "x");
	views.count = 0;
	look(T0);
	ck_assert_ptr_null(top_model_row(model, 0));
}
END_TEST

START_TEST(rows_are_ordered_as_wanted)
{
	view[0].lag_ns = 5;
	look(T0);
	ck_assert_str_eq(order(), "abcd");
	top_model_reverse(model);
	ck_assert_str_eq(order(), "dcba");
	top_model_sort(model, TOP_SORT_STATE);
	ck_assert(!top_model_is_reversed(model));
	ck_assert_str_eq(order(), "adbc");
	top_model_sort(model, TOP_SORT_LAG);
	ck_assert_str_eq(order(), "cabd");
	view[2].capacity = 30;
	look(T0 + 1);
	top_model_sort(model, TOP_SORT_FILL);
	ck_assert_str_eq(order(), "dabc");
	top_model_sort(model, TOP_SORT_USED);
	ck_assert_str_eq(order(), "adbc");
	/* Equal ones stay ordered by name when all is turned round. */
	top_model_reverse(model);
	ck_assert_str_eq(order(), "bcda");
}
END_TEST

START_TEST(the_order_holds_for_what_comes_later)
{
	top_model_sort(model, TOP_SORT_USED);
	look(T0);
	ck_assert_str_eq(order(), "adbc");
	view[3].used = 5000;
	look(T0 + SECOND);
	ck_assert_str_eq(order(), "badc");
}
END_TEST

START_TEST(rates_are_of_the_time_between_two_looks)
{
	view[1].messages_in = 100;
	view[1].messages_out = 50;
	look(T0);
	ck_assert_uint_eq(top_model_row(model, 0)->in_rate, 0);
	view[1].messages_in = 400;
	view[1].messages_out = 51;
	look(T0 + SECOND / 2);
	ck_assert_uint_eq(top_model_row(model, 0)->in_rate, 600);
	ck_assert_uint_eq(top_model_row(model, 0)->out_rate, 2);
	view[1].messages_out = 52;
	top_model_sort(model, TOP_SORT_IN);
	ck_assert_str_eq(order(), "abcd");
	/* A counter that went back is damage, not a rate. */
	view[1].messages_in = 7;
	look(T0 + SECOND);
	ck_assert_uint_eq(top_model_row(model, 0)->in_rate, 0);
	ck_assert_uint_eq(top_model_row(model, 0)->out_rate, 2);
	view[2].messages_out = 9;
	look(T0 + 2 * SECOND);
	top_model_sort(model, TOP_SORT_OUT);
	ck_assert_str_eq(order(), "dabc");
}
END_TEST

START_TEST(a_second_has_the_worst_state_seen_in_it)
{
	view[1].state = RING_RUNNING;
	look(T0);
	view[1].state = RING_BLOCKED;
	look(T0 + SECOND / 3);
	view[1].state = RING_IDLE;
	look(T0 + SECOND / 2);
	ck_assert_str_eq(history(2), " #");
	look(T0 + SECOND);
	view[1].state = RING_FLOW;
	look(T0 + 2 * SECOND - 1);
	ck_assert_str_eq(history(3), " #~");
	view[1].state = RING_PEER_DEAD;
	look(T0 + 2 * SECOND);
	view[1].state = RING_DETACHED;
	look(T0 + 3 * SECOND);
	view[1].state = RING_RUNNING;
	look(T0 + 4 * SECOND);
	ck_assert_str_eq(history(6), " #~xo-");
}
END_TEST

START_TEST(seconds_that_nobody_saw_are_blank)
{
	look(T0);
	look(T0 + 4 * SECOND);
	ck_assert_str_eq(history(6), " #   #");
	look(T0 + (4 + TOP_HISTORY - 1) * SECOND);
	ck_assert_int_eq(history(TOP_HISTORY)[0], '#');
	ck_assert_str_eq(history(2), " #");
	look(T0 + 1000 * TOP_HISTORY * SECOND);
	for (size_t i = 0; i + 1 < TOP_HISTORY; i++)
		ck_assert_int_eq(history(TOP_HISTORY)[i], TOP_NOT_SEEN);
	ck_assert_str_eq(history(1), "#");
}
END_TEST

START_TEST(a_minute_is_kept)
{
	for (unsigned i = 0; i < 90; i++) {
		view[1].state = i % 3 == 0 ? RING_BLOCKED : RING_IDLE;
		look(T0 + i * SECOND);
	}
	for (size_t i = 0; i < TOP_HISTORY; i++)
		ck_assert_int_eq(
		    history(TOP_HISTORY)[i], (30 + i) % 3 == 0 ? '#' : '.');
}
END_TEST

START_TEST(the_filter_looks_at_name_state_and_holder)
{
	snprintf(view[2].held_by, sizeof(view[2].held_by), "bridge cloud");
	look(T0);
	top_model_filter(model, "CLOUD");
	ck_assert_str_eq(order(), "d");
	top_model_filter(model, "block");
	ck_assert_str_eq(order(), "a");
	ck_assert_uint_eq(top_model_sum(model).blocked, 1);
	top_model_filter(model, "idle");
	ck_assert_str_eq(order(), "bc");
	ck_assert_uint_eq(top_model_sum(model).lanes, 2);
	ck_assert_uint_eq(top_model_sum(model).blocked, 0);
	view[1].state = RING_IDLE;
	look(T0 + 1);
	ck_assert_str_eq(order(), "abc");
	top_model_filter(model, "nothing");
	ck_assert_ptr_null(top_model_row(model, 0));
	top_model_filter(model, "");
	ck_assert_str_eq(order(), "abcd");
}
END_TEST

START_TEST(a_lane_that_went_is_forgotten)
{
	look(T0);
	look(T0 + SECOND);
	views.count = 1;
	look(T0 + 2 * SECOND);
	ck_assert_str_eq(order(), "c");
	views.count = 4;
	look(T0 + 3 * SECOND);
	ck_assert_str_eq(order(), "abcd");
	ck_assert_str_eq(history(3), "  #");
}
END_TEST

START_TEST(lanes_of_two_instances_are_two)
{
	look(T0);
	view[1].messages_in = 1000;
	memset(view[1].instance, 1, sizeof(view[1].instance));
	look(T0 + SECOND);
	/* Another one, by the same name: nothing is known of its past. */
	ck_assert_uint_eq(top_model_row(model, 0)->in_rate, 0);
	ck_assert_str_eq(history(2), " #");
	view[1].messages_in = 1500;
	look(T0 + 2 * SECOND);
	ck_assert_uint_eq(top_model_row(model, 0)->in_rate, 500);
	ck_assert_str_eq(history(2), "##");
}
END_TEST

START_TEST(a_row_has_the_numbers_of_its_lane)
{
	const struct top_row *row;

	view[1].max_capacity = 4000;
	view[1].high_water = 950;
	view[1].lag_ns = 7;
	snprintf(view[1].held_by, sizeof(view[1].held_by), "remote");
	look(T0);
	row = top_model_row(model, 0);
	ck_assert_str_eq(row->name, "a");
	ck_assert_int_eq(row->state, RING_BLOCKED);
	ck_assert_uint_eq(row->used, 900);
	ck_assert_uint_eq(row->capacity, 1000);
	ck_assert_uint_eq(row->max_capacity, 4000);
	ck_assert_uint_eq(row->high_water, 950);
	ck_assert_uint_eq(row->lag_ns, 7);
	ck_assert_str_eq(row->held_by, "remote");
}
END_TEST

START_TEST(what_is_gone_is_counted)
{
	view[0].state = RING_PEER_DEAD;
	view[3].state = RING_DETACHED;
	look(T0);
	ck_assert_uint_eq(top_model_sum(model).gone, 2);
	ck_assert_uint_eq(top_model_sum(model).blocked, 1);
}
END_TEST

START_TEST(sorts_have_names_and_keys)
{
	for (unsigned i = 0; i < TOP_SORTS; i++) {
		enum top_sort sort = (enum top_sort)i;

		ck_assert_int_eq(top_sort_of(top_sort_name(sort)), sort);
		ck_assert_int_eq(top_sort_key(sort), top_sort_name(sort)[0]);
	}
	ck_assert_int_eq(top_sort_of("foo"), TOP_SORTS);
	ck_assert_int_eq(top_sort_of(""), TOP_SORTS);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("top_model");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_empty_model_has_no_rows);
	tcase_add_test(tc, rows_are_ordered_as_wanted);
	tcase_add_test(tc, the_order_holds_for_what_comes_later);
	tcase_add_test(tc, rates_are_of_the_time_between_two_looks);
	tcase_add_test(tc, a_second_has_the_worst_state_seen_in_it);
	tcase_add_test(tc, seconds_that_nobody_saw_are_blank);
	tcase_add_test(tc, a_minute_is_kept);
	tcase_add_test(tc, the_filter_looks_at_name_state_and_holder);
	tcase_add_test(tc, a_lane_that_went_is_forgotten);
	tcase_add_test(tc, lanes_of_two_instances_are_two);
	tcase_add_test(tc, a_row_has_the_numbers_of_its_lane);
	tcase_add_test(tc, what_is_gone_is_counted);
	tcase_add_test(tc, sorts_have_names_and_keys);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
