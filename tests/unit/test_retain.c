/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/retain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/msg/topic.h"
#include "tests/unit/unit.h"

#define NEVER UINT64_MAX

static struct message_pools *pools;
static struct retained *retained;

static void
set_up(void)
{
	pools = message_pools_new();
	retained = retained_new(100000, 64 << 20);
}

static void
tear_down(void)
{
	retained_free(retained);
	message_pools_free(pools);
}

static uint64_t last_serial;

static int
store_until(const char *topic, const char *payload, uint64_t expires_ns)
{
	const struct message_parts parts = {
		.topic = slice_of_string(topic),
		.payload = slice_of_string(payload),
		.retain = true,
		.expires_ns = expires_ns,
	};
	struct message *message = message_new(pools, &parts);
	int err;

	err = retained_store(retained, message, &last_serial);
	message_put(message);
	return err;
}

static int
store(const char *topic, const char *payload)
{
	return store_until(topic, payload, NEVER);
}

/* All matches, in slices of `slice`; the last payload is kept. */
static char last_payload[64];

static size_t
count_in_slices(const char *filter, size_t slice)
{
	struct retained_cursor cursor = { 0 };
	struct message *list[64];
	size_t n, total = 0;

	while ((n = retained_find(retained, slice_of_string(filter), &cursor,
		    list, slice, 1)) != 0) {
		total += n;
		for (size_t i = 0; i < n; i++) {
			snprintf(last_payload, sizeof(last_payload), "%.*s",
			    (int)list[i]->payload_length,
			    (const char *)message_payload(list[i]).data);
			message_put(list[i]);
		}
	}
	retained_cursor_fini(&cursor);
	return total;
}

static size_t
count(const char *filter)
{
	return count_in_slices(filter, 64);
}

START_TEST(keeps_the_last_message_of_a_topic)
{
	store("a", "1");
	store("a", "2");
	ck_assert_uint_eq(count("a"), 1);
	ck_assert_str_eq(last_payload, "2");
	ck_assert_uint_eq(retained_count(retained), 1);
}
END_TEST

/* [MQTT-3.3.1-6] */
START_TEST(forgets_a_topic_on_an_empty_payload)
{
	store("a", "1");
	ck_assert_int_eq(store("a", ""), 0);
	ck_assert_uint_eq(count("#"), 0);
	ck_assert_uint_eq(retained_bytes(retained), 0);
	ck_assert_int_eq(store("never/there", ""), 0);
}
END_TEST

START_TEST(finds_by_wildcards)
{
	store("a", "0");
	store("a/b", "1");
	store("a/b/c", "2");
	store("ab", "3");
	store("a!b", "4");
	store("/a", "5");
	ck_assert_uint_eq(count("a/#"), 3);
	ck_assert_uint_eq(count("a/+"), 1);
	ck_assert_uint_eq(count("+"), 3);
	ck_assert_uint_eq(count("+/#"), 6);
	ck_assert_uint_eq(count("+/b/#"), 2);
	ck_assert_uint_eq(count("+/a"), 1);
	ck_assert_uint_eq(count("a/+/c"), 1);
	ck_assert_uint_eq(count("x/#"), 0);
}
END_TEST

/* [MQTT-4.7.2-1] */
START_TEST(keeps_dollar_topics_from_leading_wildcards)
{
	store("!", "0");
	store("$SYS/x", "1");
	store("x/x", "2");
	ck_assert_uint_eq(count("#"), 2);
	ck_assert_uint_eq(count("+/x"), 1);
	ck_assert_uint_eq(count("$SYS/#"), 1);
	ck_assert_uint_eq(count("$SYS/+"), 1);
}
END_TEST

START_TEST(stops_at_its_limits_and_says_so)
{
	retained_free(retained);
	retained = retained_new(2, 128 * 2 + 12);
	ck_assert_int_eq(store("a", "1"), 0);
	ck_assert_int_eq(store("b", "123456789"), 0);
	ck_assert_int_eq(store("c", "1"), -ENOSPC);
	ck_assert_int_eq(store("a", "12"), -ENOSPC);
	/* What it had is out of date, so it is gone. */
	ck_assert_uint_eq(count("#"), 1);
	ck_assert_int_eq(store("a", "1"), 0);
}
END_TEST

START_TEST(forgets_what_has_expired)
{
	store_until("a", "1", 1);
	store_until("b", "2", 2);
	ck_assert_uint_eq(count("#"), 1);
	ck_assert_uint_eq(retained_count(retained), 1);
}
END_TEST

START_TEST(gives_all_of_12500_in_any_slices)
{
	char topic[32];

	for (int i = 0; i < 12500; i++) {
		snprintf(topic, sizeof(topic), "d/%d/t/%d", i % 100, i);
		store(topic, "x");
	}
	ck_assert_uint_eq(count_in_slices("#", 1), 12500);
	ck_assert_uint_eq(count_in_slices("d/+/t/+", 7), 12500);
	ck_assert_uint_eq(count_in_slices("d/5/#", 64), 125);
	ck_assert_uint_eq(count_in_slices("+/+/t/77", 64), 1);
}
END_TEST

START_TEST(goes_on_whatever_changes_between_slices)
{
	struct retained_cursor cursor = { 0 };
	const struct slice all = slice_of_string("#");
	struct message *message;

	store("a", "1");
	store("b", "2");
	store("c", "3");
	ck_assert_uint_eq(
	    retained_find(retained, all, &cursor, &message, 1, 1), 1);
	message_put(message);
	store("a", "");
	store("b", "");
	store("bb", "later: a live message");
	ck_assert_uint_eq(
	    retained_find(retained, all, &cursor, &message, 1, 1), 1);
	ck_assert(slice_equal_string(message_topic(message), "c"));
	message_put(message);
	ck_assert_uint_eq(
	    retained_find(retained, all, &cursor, &message, 1, 1), 0);
	retained_cursor_fini(&cursor);
}
END_TEST

/* ---- the promise ---- */

static const char *const levels[] = { "a", "b", "", "a!", "$x", "+", "#" };

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
		strcat(text, i == 0 ? "" : "/");
		strcat(text, levels[kind]);
		if (kind == 6)
			break;
	}
}

START_TEST(finds_what_matching_one_by_one_finds)
{
	char topics[150][32], filter[32];
	bool there[150] = { 0 };
	uint32_t dice = (uint32_t)_i + 1;
	size_t expected;

	for (int k = 0; k < 150; k++) {
		do
			random_topic(&dice, topics[k], 5);
		while (topics[k][0] == '\0');
		there[k] = true;
		for (int j = 0; j < k; j++)
			if (strcmp(topics[j], topics[k]) == 0)
				there[j] = false;
		store(topics[k], "x");
	}
	for (int turn = 0; turn < 300; turn++) {
		int k = turn % 150;

		if (there[k] && turn % 3 == 0) {
			store(topics[k], "");
			there[k] = false;
		}
		do
			random_topic(&dice, filter, 7);
		while (!topic_filter_is_valid(slice_of_string(filter)));
		expected = 0;
		for (k = 0; k < 150; k++)
			expected += there[k] &&
			    topic_matches(slice_of_string(filter),
				slice_of_string(topics[k]));
		ck_assert_uint_eq(
		    count_in_slices(filter, 1 + (size_t)turn % 5), expected);
	}
}
END_TEST

static void
restore(const char *topic, const char *payload, uint64_t serial)
{
	const struct message_parts parts = {
		.topic = slice_of_string(topic),
		.payload = slice_of_string(payload),
		.retain = true,
		.expires_ns = NEVER,
	};
	struct message *message = message_new(pools, &parts);

	ck_assert_int_eq(retained_restore(retained, message, serial), 0);
	message_put(message);
}

START_TEST(gives_each_change_a_greater_serial)
{
	uint64_t before;

	store("a", "1");
	before = last_serial;
	ck_assert_uint_gt(before, 0);
	store("a", "");
	ck_assert_uint_eq(last_serial, before + 1);
	store("b", "1");
	ck_assert_uint_eq(last_serial, before + 2);
	ck_assert_uint_eq(retained_serial(retained), before + 2);
}
END_TEST

START_TEST(restores_by_serial_whatever_the_order)
{
	restore("set", "new", 7);
	restore("set", "old", 5);
	restore("cleared", "", 9);
	restore("cleared", "old", 8);
	restore("set again", "", 3);
	restore("set again", "new", 4);
	restore("again", "x", 6);
	restore("again", "x", 6);
	retained_restored(retained, 2);
	ck_assert_uint_eq(count("#"), 3);
	ck_assert_uint_eq(retained_count(retained), 3);
	ck_assert_uint_eq(count("cleared"), 0);
	ck_assert_uint_eq(count("set again"), 1);
	count("set");
	ck_assert_str_eq(last_payload, "new");
	store("later", "1");
	ck_assert_uint_eq(last_serial, 10);
	retained_restored(retained, 20);
	store("later", "1");
	ck_assert_uint_eq(last_serial, 21);
}
END_TEST

START_TEST(gives_all_in_slices_with_their_serials)
{
	struct retained_cursor cursor = { 0 };
	struct message *list[2];
	uint64_t serials[2], sum = 0;
	size_t n, total = 0;

	store("$a", "1");
	store("b", "2");
	store_until("c", "3", 1);
	store("d/e", "4");
	store("d", "5");
	while (
	    (n = retained_slice(retained, &cursor, list, serials, 2, 1)) != 0) {
		for (size_t i = 0; i < n; i++) {
			sum += serials[i];
			message_put(list[i]);
		}
		total += n;
		/* Behind where we stand: found though it is new. */
		if (total == 2)
			store("z", "6");
	}
	retained_cursor_fini(&cursor);
	ck_assert_uint_eq(total, 5);
	ck_assert_uint_eq(sum, 1 + 2 + 4 + 5 + 6);
}
END_TEST

/* As the broker does for $SYS. */
static int
store_own(const char *topic, const char *payload)
{
	const struct message_parts parts = {
		.topic = slice_of_string(topic),
		.payload = slice_of_string(payload),
		.retain = true,
		.link = MESSAGE_FROM_MQTT,
		.lane = MESSAGE_OWN_LANE,
		.expires_ns = NEVER,
	};
	struct message *message = message_new(pools, &parts);
	int err = retained_store(retained, message, NULL);

	message_put(message);
	return err;
}

START_TEST(neither_counts_nor_journals_what_is_the_brokers_own)
{
	struct retained_cursor cursor = { 0 };
	struct message *list[4];
	uint64_t serials[4];

	retained_free(retained);
	retained = retained_new(1, 1000);
	ck_assert_int_eq(store_own("$SYS/a", "1"), 0);
	ck_assert_int_eq(store_own("$SYS/b", "1"), 0);
	ck_assert_uint_eq(retained_count(retained), 0);
	ck_assert_uint_eq(retained_bytes(retained), 0);
	ck_assert_int_eq(store("a", "1"), 0);
	ck_assert_int_eq(store("b", "1"), -ENOSPC);
	/* At the limit, too. */
	ck_assert_int_eq(store_own("$SYS/a", "2"), 0);
	ck_assert_int_eq(store_own("$SYS/c", "2"), 0);
	ck_assert_uint_eq(retained_count(retained), 1);
	ck_assert_uint_eq(count_in_slices("$SYS/#", 1), 3);

	ck_assert_uint_eq(
	    retained_slice(retained, &cursor, list, serials, 4, 1), 1);
	ck_assert(slice_equal_string(message_topic(list[0]), "a"));
	message_put(list[0]);
	retained_cursor_fini(&cursor);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("retain");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, keeps_the_last_message_of_a_topic);
	tcase_add_test(tc, forgets_a_topic_on_an_empty_payload);
	tcase_add_test(tc, finds_by_wildcards);
	tcase_add_test(tc, keeps_dollar_topics_from_leading_wildcards);
	tcase_add_test(tc, stops_at_its_limits_and_says_so);
	tcase_add_test(tc, forgets_what_has_expired);
	tcase_add_test(tc, gives_all_of_12500_in_any_slices);
	tcase_add_test(tc, goes_on_whatever_changes_between_slices);
	tcase_add_loop_test(tc, finds_what_matching_one_by_one_finds, 0, 8);
	tcase_add_test(tc, gives_each_change_a_greater_serial);
	tcase_add_test(tc, restores_by_serial_whatever_the_order);
	tcase_add_test(tc, gives_all_in_slices_with_their_serials);
	tcase_add_test(tc, neither_counts_nor_journals_what_is_the_brokers_own);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
