/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/bridge_table.h"

#include "common/conf/conf.h"
#include "common/mqtt/trail.h"
#include "tests/unit/unit.h"

static char empty[] = "", all[] = "#", b[] = "bridge/#", plus[] = "a/+/c";
static char site[] = "site/", cloud[] = "cloud", plant[] = "plant";
static char loose[] = "loose", strict[] = "strict";

static struct conf_rule cloud_rules[] = {
	{ .filter = b, .local_prefix = empty, .remote_prefix = empty },
	{ .filter = plus, .local_prefix = empty, .remote_prefix = empty },
};
static struct conf_rule plant_rules[] = {
	{ .filter = b, .local_prefix = site, .remote_prefix = empty },
};
static struct conf_rule loose_rules[] = {
	{ .filter = all, .local_prefix = empty, .remote_prefix = empty },
};

static struct conf_bridge bridges[] = {
	{ .name = cloud,
	    .forward = cloud_rules,
	    .forward_count = 2,
	    .overflow = CONF_OVERFLOW_STALL },
	{ .name = plant,
	    .forward = plant_rules,
	    .forward_count = 1,
	    .overflow = CONF_OVERFLOW_REJECT },
	{ .name = loose,
	    .forward = loose_rules,
	    .forward_count = 1,
	    .overflow = CONF_OVERFLOW_DROP_OLDEST },
	{ .name = strict, .overflow = CONF_OVERFLOW_DROP_NEWEST },
};

static const struct conf conf = { .bridges = bridges, .bridge_count = 4 };

static uint64_t
match(const struct bridge_table *table, const char *topic)
{
	return bridge_table_match(table, slice_of_string(topic));
}

START_TEST(finds_every_bridge_that_wants_a_topic)
{
	struct bridge_table *table = bridge_table_new(&conf);

	ck_assert_uint_eq(match(table, "bridge/x"), 0x1 | 0x4);
	ck_assert_uint_eq(match(table, "a/b/c"), 0x1 | 0x4);
	ck_assert_uint_eq(match(table, "other"), 0x4);
	ck_assert_uint_eq(match(table, "$SYS/x"), 0);
	bridge_table_free(table);
}
END_TEST

START_TEST(keeps_the_cursor_of_each_bridge)
{
	struct bridge_table *table = bridge_table_new(&conf);

	bridge_table_set_cursor(table, 1, 77);
	ck_assert_uint_eq(bridge_table_cursor(table, 0), 0);
	ck_assert_uint_eq(bridge_table_cursor(table, 1), 77);
	bridge_table_free(table);
}
END_TEST

START_TEST(leaves_out_bridges_to_where_a_message_came_from)
{
	static const char hex[] = "0123456789abcdef00000000000000ff";
	static const uint64_t none[2] = { 0, 0 };
	struct bridge_table *table = bridge_table_new(&conf);
	uint8_t bytes[64];
	struct slice properties;
	uint64_t id[2];

	properties = slice_of(bytes, trail_add(slice_of(NULL, 0), hex, bytes));
	ck_assert(trail_id(slice_of_string(hex), id));
	ck_assert_uint_eq(id[0], UINT64_C(0x0123456789abcdef));
	ck_assert_uint_eq(id[1], 0xff);
	ck_assert(!trail_id(slice_of_string("0123"), id));
	ck_assert(
	    !trail_id(slice_of_string("0123456789ABCDEF00000000000000FF"), id));
	ck_assert(trail_id(slice_of_string(hex), id));

	ck_assert_uint_eq(bridge_table_unseen(table, 5, properties), 5);
	bridge_table_set_remote(table, 2, id);
	ck_assert_uint_eq(bridge_table_unseen(table, 5, properties), 1);
	ck_assert_uint_eq(bridge_table_unseen(table, 5, slice_of(NULL, 0)), 5);
	id[1]++;
	bridge_table_set_remote(table, 2, id);
	ck_assert_uint_eq(bridge_table_unseen(table, 5, properties), 5);
	bridge_table_set_remote(table, 2, none);
	ck_assert_uint_eq(bridge_table_unseen(table, 5, properties), 5);
	bridge_table_free(table);
}
END_TEST

/* Cloud has another filter; plant is gone, stranger is new. */
START_TEST(takes_the_filters_of_another_configuration)
{
	static char stranger[] = "stranger", other[] = "other/#";
	static struct conf_rule rule = { .filter = other };
	struct conf_bridge changed[] = {
		{ .name = stranger, .forward = &rule, .forward_count = 1 },
		{ .name = loose, .overflow = CONF_OVERFLOW_STALL },
		{ .name = cloud, .forward = &rule, .forward_count = 1 },
	};
	const struct conf fresh = { .bridges = changed, .bridge_count = 3 };
	struct bridge_table *table = bridge_table_new(&conf);
	struct slice filter;
	unsigned count = 0;

	ck_assert_int_eq(bridge_table_replace(table, &fresh), 0);
	ck_assert_uint_eq(match(table, "other/x"), 0x1);
	ck_assert_uint_eq(match(table, "bridge/x"), 0);
	ck_assert_uint_eq(match(table, "site/bridge/x"), 0x2);
	/* Which bridges there are, and what they do, is as it was. */
	ck_assert_uint_eq(bridge_table_count(table), 4);
	ck_assert_uint_eq(bridge_table_reliable(table, UINT64_MAX), 0x3);
	while (bridge_table_filter(table, count, &filter) != -1)
		count++;
	ck_assert_uint_eq(count, 2);

	ck_assert_int_eq(bridge_table_replace(table, &conf), 0);
	ck_assert_uint_eq(match(table, "bridge/x"), 0x1 | 0x4);
	bridge_table_free(table);
}
END_TEST

START_TEST(the_local_prefix_stands_before_the_filter)
{
	struct bridge_table *table = bridge_table_new(&conf);

	ck_assert_uint_eq(match(table, "site/bridge/x"), 0x2 | 0x4);
	bridge_table_free(table);
}
END_TEST

START_TEST(stall_and_reject_are_the_reliable_policies)
{
	struct bridge_table *table = bridge_table_new(&conf);

	ck_assert_uint_eq(bridge_table_reliable(table, UINT64_MAX), 0x3);
	ck_assert_uint_eq(bridge_table_reliable(table, 0x4 | 0x1), 0x1);
	ck_assert_uint_eq(bridge_table_rejecting(table, UINT64_MAX), 0x2);
	bridge_table_set_overflow(table, 1, CONF_OVERFLOW_DROP_OLDEST);
	bridge_table_set_overflow(table, 2, CONF_OVERFLOW_REJECT);
	ck_assert_uint_eq(bridge_table_reliable(table, UINT64_MAX), 0x5);
	ck_assert_uint_eq(bridge_table_rejecting(table, UINT64_MAX), 0x4);
	ck_assert_uint_eq(*bridge_table_rejecting_set(table), 0x4);
	bridge_table_free(table);
}
END_TEST

START_TEST(bridges_have_names_and_filters)
{
	struct bridge_table *table = bridge_table_new(&conf);
	struct slice filter;

	ck_assert_uint_eq(bridge_table_count(table), 4);
	ck_assert_int_eq(bridge_table_find(table, slice_of_string("plant")), 1);
	ck_assert_int_eq(bridge_table_find(table, slice_of_string("pl")), -1);
	ck_assert_str_eq(bridge_table_name(table, 2), "loose");
	ck_assert_int_eq(bridge_table_filter(table, 2, &filter), 1);
	ck_assert(slice_equal_string(filter, "site/bridge/#"));
	ck_assert_int_eq(bridge_table_filter(table, 3, &filter), 2);
	ck_assert_int_eq(bridge_table_filter(table, 4, &filter), -1);
	bridge_table_free(table);
}
END_TEST

START_TEST(without_bridges_nothing_matches)
{
	const struct conf none = { 0 };
	struct bridge_table *table = bridge_table_new(&none);

	ck_assert_uint_eq(match(table, "bridge/x"), 0);
	ck_assert_uint_eq(bridge_table_count(table), 0);
	bridge_table_free(table);
	bridge_table_free(NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bridge_table");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, takes_the_filters_of_another_configuration);
	tcase_add_test(tc, finds_every_bridge_that_wants_a_topic);
	tcase_add_test(tc, keeps_the_cursor_of_each_bridge);
	tcase_add_test(tc, leaves_out_bridges_to_where_a_message_came_from);
	tcase_add_test(tc, the_local_prefix_stands_before_the_filter);
	tcase_add_test(tc, stall_and_reject_are_the_reliable_policies);
	tcase_add_test(tc, bridges_have_names_and_filters);
	tcase_add_test(tc, without_bridges_nothing_matches);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
