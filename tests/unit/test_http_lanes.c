/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/lanes.h"

#include <errno.h>
#include <stdio.h>

#include "httpd/link.h"
#include "tests/unit/unit.h"

static struct lanes *lanes;

static void
setup(void)
{
	lanes = lanes_new(1);
	ck_assert_ptr_nonnull(lanes);
	lanes_filters_begin(lanes);
	lanes_filters_add(lanes, "plant", slice_of_string("p/#"));
	lanes_filters_add(lanes, "cloud", slice_of_string("c/#"));
	lanes_filters_add(lanes, "cloud", slice_of_string("p/both"));
	ck_assert_int_eq(lanes_filters_end(lanes), 0);
}

static void
teardown(void)
{
	lanes_free(lanes);
}

static uint32_t
find(const char *topic)
{
	return lanes_find(lanes, slice_of_string(topic));
}

static const char *
set_of(const char *topic)
{
	return lanes_get(lanes, find(topic))->set;
}

START_TEST(gives_each_set_of_bridges_a_slot)
{
	ck_assert_uint_eq(find("free"), LANES_PLAIN);
	ck_assert_str_eq(set_of("c/x"), "cloud");
	ck_assert_str_eq(set_of("p/x"), "plant");
	ck_assert_str_eq(set_of("p/both"), "cloud+plant");
	ck_assert_uint_eq(find("c/x"), find("c/y"));
}
END_TEST

START_TEST(sends_refused_sets_through_the_shared_lane)
{
	uint32_t slot = find("c/x");

	ck_assert_int_eq(lanes_refused(lanes, "cloud"), (int)slot);
	ck_assert_uint_eq(find("c/x"), LANES_SHARED);
	ck_assert_str_eq(set_of("p/x"), "plant");
	ck_assert_int_eq(lanes_refused(lanes, "nobody"), -ENOENT);
}
END_TEST

START_TEST(closes_all_lanes_with_the_link)
{
	uint32_t slot = find("c/x");

	ck_assert_int_eq(lanes_opened(lanes, "cloud", 3), (int)slot);
	ck_assert_int_eq(lanes_get(lanes, slot)->state, LANES_OPEN);
	ck_assert_uint_eq(lanes_get(lanes, slot)->ring_lane, 3);
	lanes_detached(lanes);
	ck_assert_int_eq(lanes_get(lanes, slot)->state, LANES_CLOSED);
	ck_assert_uint_eq(find("c/x"), slot);
}
END_TEST

START_TEST(follows_new_filters_at_their_end)
{
	ck_assert_str_eq(set_of("c/x"), "cloud");
	lanes_filters_begin(lanes);
	lanes_filters_add(lanes, "cloud", slice_of_string("other"));
	ck_assert_str_eq(set_of("c/x"), "cloud");
	ck_assert_int_eq(lanes_filters_end(lanes), 0);
	ck_assert_uint_eq(find("c/x"), LANES_PLAIN);
	ck_assert_str_eq(set_of("other"), "cloud");
}
END_TEST

START_TEST(reports_filters_that_are_not_valid)
{
	lanes_filters_begin(lanes);
	lanes_filters_add(lanes, "cloud", slice_of_string("a/#/b"));
	ck_assert_int_eq(lanes_filters_end(lanes), -EINVAL);
}
END_TEST

START_TEST(never_runs_out_of_slots)
{
	char name[16], filter[16];

	lanes_filters_begin(lanes);
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "b%02d", i);
		snprintf(filter, sizeof(filter), "t%02d", i);
		lanes_filters_add(lanes, name, slice_of_string(filter));
	}
	ck_assert_int_eq(lanes_filters_end(lanes), 0);
	for (int i = 0; i < 60; i++) {
		snprintf(filter, sizeof(filter), "t%02d", i);
		ck_assert_uint_lt(find(filter), LANES_MAX);
	}
	ck_assert_uint_le(lanes_count(lanes), LANES_MAX);
	ck_assert_uint_eq(find("t59"), LANES_SHARED);
}
END_TEST

static uint32_t used_slot;

static bool
is_used(void *context, uint32_t slot)
{
	ck_assert_ptr_eq(context, &used_slot);
	return slot != used_slot;
}

/* Sets "b00".."b29" have all slots; another one comes. */
START_TEST(gives_a_closed_slot_that_nothing_counts_with_to_another_set)
{
	char name[16];
	int slot = -1;

	lanes_filters_begin(lanes);
	for (int i = 0; i < 31; i++) {
		snprintf(name, sizeof(name), "b%02d", i);
		lanes_filters_add(lanes, name, slice_of_string(name));
	}
	ck_assert_int_eq(lanes_filters_end(lanes), 0);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "b%02d", i);
		find(name);
		slot = lanes_opened(lanes, name, (uint32_t)i);
		ck_assert_int_ge(slot, 0);
	}
	used_slot = LANES_MAX;
	lanes_set_is_used(lanes, is_used, &used_slot);
	ck_assert_uint_eq(find("b30"), LANES_SHARED);
	lanes_closing(lanes, "b07");
	slot = lanes_slot_of(lanes, "b07");
	ck_assert_int_eq(lanes_get(lanes, (uint32_t)slot)->state, LANES_ASKED);
	lanes_closed(lanes, "b07");
	ck_assert_int_eq(lanes_get(lanes, (uint32_t)slot)->state, LANES_CLOSED);
	ck_assert_uint_eq(find("b30"), LANES_SHARED);

	lanes_closed(lanes, "b08"); /* forgets topics */
	used_slot = (uint32_t)slot;
	ck_assert_uint_eq(find("b30"), (uint32_t)slot);
	ck_assert_str_eq(lanes_get(lanes, (uint32_t)slot)->set, "b30");
}
END_TEST

START_TEST(names_who_lacks_credit)
{
	char text[64];

	lanes_holder(lanes_get(lanes, LANES_PLAIN), text, sizeof(text));
	ck_assert_str_eq(text, "weir-broker");
	lanes_holder(lanes_get(lanes, find("c/x")), text, sizeof(text));
	ck_assert_str_eq(text, "bridge cloud");
	lanes_holder(lanes_get(lanes, find("p/both")), text, sizeof(text));
	ck_assert_str_eq(text, "bridges cloud, plant");
}
END_TEST

START_TEST(backs_off_to_a_second_with_jitter)
{
	uint64_t delay_ns;

	for (uint64_t dice = 0; dice < 1000; dice += 7) {
		delay_ns = link_backoff_ns(0, dice * 1000003);
		ck_assert_uint_ge(delay_ns, 25000000);
		ck_assert_uint_le(delay_ns, 50000000);
		delay_ns = link_backoff_ns(16, dice * 1000003);
		ck_assert_uint_ge(delay_ns, 500000000);
		ck_assert_uint_le(delay_ns, 1000000000);
	}
	ck_assert_uint_ne(link_backoff_ns(3, 1), link_backoff_ns(3, 99999999));
}
END_TEST

START_TEST(receipts_and_answers_fit_their_ring_together)
{
	uint32_t asks, receipts;

	for (uint32_t shift = 12; shift < 24; shift++) {
		receipts = link_receipt_room(shift, &asks);
		ck_assert_uint_gt(receipts, 0);
		ck_assert_uint_gt(asks, 0);
		/* 128 bytes each, a pad and a SWITCH besides. */
		ck_assert_uint_le(
		    (receipts + asks + 1) * 128 + 64, UINT64_C(1) << shift);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_lanes");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, gives_each_set_of_bridges_a_slot);
	tcase_add_test(tc, sends_refused_sets_through_the_shared_lane);
	tcase_add_test(tc, closes_all_lanes_with_the_link);
	tcase_add_test(tc, follows_new_filters_at_their_end);
	tcase_add_test(tc, reports_filters_that_are_not_valid);
	tcase_add_test(tc, never_runs_out_of_slots);
	tcase_add_test(
	    tc, gives_a_closed_slot_that_nothing_counts_with_to_another_set);
	tcase_add_test(tc, names_who_lacks_credit);
	tcase_add_test(tc, backs_off_to_a_second_with_jitter);
	tcase_add_test(tc, receipts_and_answers_fit_their_ring_together);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
