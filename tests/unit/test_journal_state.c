/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/journal_json.h"
#include "tests/unit/unit.h"

static struct journal_state *state;

static void
setup(void)
{
	state = journal_state_new();
	ck_assert_ptr_nonnull(state);
}

static void
teardown(void)
{
	journal_state_free(state);
}

/* ---- applying, by the words of an export --------------------------------- */

static void
apply_to(struct journal_state *target, const char *text)
{
	char fault[JOURNAL_JSON_FAULT_SIZE];
	struct journal_record record;
	json_t *object = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(object);
	ck_assert_msg(journal_json_to_record(object, &record, fault) == 0,
	    "%s: %s", fault, text);
	json_decref(object);
	ck_assert_int_eq(
	    journal_state_apply(target, record.kind, record.body), 0);
	journal_record_fini(&record);
}

static void
apply(const char *text)
{
	apply_to(state, text);
}

static void
apply_packet(uint8_t kind, uint64_t cursor, uint16_t packet_id)
{
	const struct store_packet packet = { .cursor = cursor,
		.packet_id = packet_id };
	uint8_t body[STORE_SMALL_MAX];

	ck_assert_int_eq(journal_state_apply(state, kind,
			     slice_of(body, store_packet_write(&packet, body))),
	    0);
}

static void
apply_leave(uint64_t cursor, uint64_t left_ns, bool keeps_will)
{
	const struct store_leave leave = { cursor, left_ns, keeps_will };
	uint8_t body[STORE_SMALL_MAX];

	ck_assert_int_eq(journal_state_apply(state, STORE_LEAVE,
			     slice_of(body, store_leave_write(&leave, body))),
	    0);
}

static void
unsubscribe(uint64_t cursor, const char *filter)
{
	const struct store_subscribe subscribe = { .cursor = cursor,
		.filter = slice_of_string(filter) };
	uint8_t body[256];

	store_subscribe_write(&subscribe, body);
	ck_assert_int_eq(journal_state_apply(state, STORE_UNSUBSCRIBE,
			     slice_of(body, store_subscribe_size(&subscribe))),
	    0);
}

static void
publish_retained(uint64_t serial, const char *topic, const char *payload)
{
	const struct store_message message = {
		.qos = 1,
		.retain = true,
		.retain_serial = serial,
		.source = { UINT32_MAX, 0, 0 },
		.expires_ns = UINT64_MAX,
		.topic = slice_of_string(topic),
		.payload = slice_of_string(payload),
	};

	ck_assert_int_eq(journal_state_message(state, &message), 0);
}

static void
publish_qos_2(uint64_t publisher, uint16_t packet_id)
{
	const struct store_message message = {
		.publisher = publisher,
		.packet_id = packet_id,
		.qos = 2,
		.source = { UINT32_MAX, 0, 0 },
		.expires_ns = UINT64_MAX,
		.topic = slice_of_string("a"),
	};

	ck_assert_int_eq(journal_state_message(state, &message), 0);
}

/* ---- looking ------------------------------------------------------------- */

static int
print_record(void *arg, uint8_t kind, struct slice body)
{
	json_t *object = journal_json_of_state(kind, body);

	ck_assert_ptr_nonnull(object);
	ck_assert_int_eq(json_dumpf(object, arg, JSON_COMPACT), 0);
	fputc('\n', arg);
	json_decref(object);
	return 0;
}

/* All records of a state as text, to be freed. */
static char *
print(const struct journal_state *shown)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	ck_assert_int_eq(
	    journal_state_each_record(shown, print_record, out), 0);
	fclose(out);
	return text;
}

static void
comes_to(const char *wanted)
{
	char *text = print(state);

	ck_assert_str_eq(text, wanted);
	free(text);
}

static struct journal_counts
count(void)
{
	struct journal_counts counts;

	journal_state_count(state, &counts);
	return counts;
}

#define SESSION_7                                                              \
	"{\"kind\":\"session\",\"cursor\":7,\"client_id\":\"s\","              \
	"\"account\":\"ann\",\"expiry_ns\":60"
#define WILL ",\"will\":{\"topic\":\"w\",\"payload_base64\":\"AA==\"}"

START_TEST(a_session_is_what_was_said_last)
{
	apply("{\"kind\":\"session\",\"cursor\":7,\"client_id\":\"s\","
	      "\"account\":\"\",\"expiry_ns\":5}");
	apply(SESSION_7 WILL "}");
	comes_to(SESSION_7 WILL "}\n");
	apply_leave(7, 99, true);
	comes_to(SESSION_7 ",\"left_ns\":99" WILL "}\n");
	apply_leave(7, 100, false);
	comes_to(SESSION_7 ",\"left_ns\":100}\n");
	ck_assert_uint_eq(count().sessions, 1);
	journal_state_close(state, 7);
	comes_to("");
	apply_leave(7, 101, true);
	comes_to("");
}
END_TEST

START_TEST(subscriptions_are_replaced_and_removed_by_their_filter)
{
	const char *const one = "{\"kind\":\"subscription\",\"cursor\":7,"
				"\"filter\":\"a/#\",\"qos\":1}";
	const char *const again = "{\"kind\":\"subscription\",\"cursor\":7,"
				  "\"filter\":\"a/#\",\"qos\":2}";

	apply(one);
	apply("{\"kind\":\"subscription\",\"cursor\":7,\"filter\":\"b\"}");
	apply(again);
	ck_assert_uint_eq(count().subscriptions, 2);
	unsubscribe(7, "b");
	unsubscribe(7, "b");
	unsubscribe(7, "never");
	ck_assert_uint_eq(count().subscriptions, 1);
	comes_to("{\"kind\":\"subscription\",\"cursor\":7,\"filter\":\"a/#\","
		 "\"qos\":2}\n");
	journal_state_close(state, 7);
	ck_assert_uint_eq(count().subscriptions, 0);
}
END_TEST

/* Serials go on above this one. */
#define SERIAL(number)                                                         \
	"{\"kind\":\"retained\",\"topic\":\"\",\"retain_serial\":" number      \
	",\"payload_base64\":\"\"}\n"

START_TEST(the_later_serial_is_the_retained_message)
{
	publish_retained(11, "t", "new");
	publish_retained(10, "t", "old");
	comes_to(SERIAL("11") "{\"kind\":\"retained\",\"topic\":\"t\","
			      "\"qos\":1,\"retain\":true,"
			      "\"retain_serial\":11,"
			      "\"payload_base64\":\"bmV3\"}\n");
	ck_assert_uint_eq(count().retained, 1);
	ck_assert_uint_eq(count().retained_bytes, 4);
	publish_retained(12, "t", "");
	comes_to(SERIAL("12"));
	/* Not even when it was cleared. */
	publish_retained(11, "t", "new");
	comes_to(SERIAL("12"));
	ck_assert_uint_eq(count().retained, 0);
	publish_retained(13, "t", "x");
	ck_assert_uint_eq(count().retained, 1);
	/* Without serials, the order of the journal counts. */
	publish_retained(13, "t", "xyz");
	ck_assert_uint_eq(count().retained_bytes, 4);
}
END_TEST

/* It was replaced, or cleared, by one that the checkpoint knows. */
START_TEST(what_is_not_above_the_checkpoints_serial_is_old)
{
	apply("{\"kind\":\"retained\",\"topic\":\"\",\"retain_serial\":20}");
	publish_retained(20, "t", "old");
	comes_to(SERIAL("20"));
	publish_retained(21, "t", "new");
	ck_assert_uint_eq(count().retained, 1);
	/* The checkpoint's own may have any. */
	apply("{\"kind\":\"retained\",\"topic\":\"s\",\"retain_serial\":3,"
	      "\"payload_base64\":\"AA==\"}");
	ck_assert_uint_eq(count().retained, 2);
	ck_assert_uint_eq(count().unreadable, 0);
}
END_TEST

START_TEST(packet_ids_are_unfinished_until_they_are_released)
{
	publish_qos_2(7, 65535);
	publish_qos_2(7, 0x0108);
	publish_qos_2(7, 1);
	apply_packet(STORE_RELEASED, 7, 1);
	apply_packet(STORE_RELEASED, 7, 9);
	apply_packet(STORE_RELEASED, 8, 9);
	comes_to("{\"kind\":\"unfinished\",\"cursor\":7,"
		 "\"packet_ids\":[264,65535]}\n");
	apply_packet(STORE_RELEASED, 7, 264);
	apply_packet(STORE_RELEASED, 7, 65535);
	comes_to("");
}
END_TEST

START_TEST(many_packet_ids_take_several_records)
{
	unsigned lines = 0;
	char *text;

	for (unsigned id = 1; id <= 513; id++)
		publish_qos_2(7, (uint16_t)id);
	text = print(state);
	for (const char *at = text; *at != '\0'; at++)
		lines += *at == '\n';
	ck_assert_uint_eq(lines, 2);
	free(text);
}
END_TEST

START_TEST(a_cursor_waits_for_what_is_above_its_floor_and_not_over)
{
	const uint64_t over[] = { 14, 12 };
	const struct store_cursor queue = {
		.cursor = 7,
		.floor = 10,
		.queued = 3,
		.queued_bytes = 300,
		.over = over,
		.over_count = 2,
	};

	ck_assert_int_eq(journal_state_set_queue(state, &queue), 0);
	ck_assert(!journal_state_waits(state, 7, 10));
	ck_assert(journal_state_waits(state, 7, 11));
	ck_assert(!journal_state_waits(state, 7, 12));
	ck_assert(journal_state_waits(state, 7, 13));
	ck_assert(!journal_state_waits(state, 7, 14));
	ck_assert(journal_state_waits(state, 7, 15));
	ck_assert(!journal_state_waits(state, 8, 15));
	ck_assert_uint_eq(count().unknown, 1);
	ck_assert_uint_eq(count().queued, 3);
	ck_assert_uint_eq(count().queued_bytes, 300);

	/* Only what waits can have been received. */
	apply("{\"kind\":\"received\",\"cursor\":7,\"sequence\":11}");
	apply("{\"kind\":\"received\",\"cursor\":7,\"sequence\":12}");
	ck_assert(journal_state_is_received(state, 7, 11));
	ck_assert(!journal_state_is_received(state, 7, 13));
	comes_to("{\"kind\":\"received\",\"cursor\":7,\"sequence\":11}\n");

	/* A cursor that is closed waits for nothing. */
	journal_state_close(state, 7);
	ck_assert(!journal_state_waits(state, 7, 11));
}
END_TEST

START_TEST(a_lane_is_where_it_was_last)
{
	const struct store_message message = { .source = { 3, 1, 40 },
		.topic = slice_of_string("a") };

	apply("{\"kind\":\"source\",\"link\":3,\"lane\":1,"
	      "\"lane_sequence\":41}");
	ck_assert_int_eq(journal_state_message(state, &message), 0);
	apply("{\"kind\":\"source\",\"link\":3,\"lane\":0,"
	      "\"lane_sequence\":2}");
	comes_to("{\"kind\":\"source\",\"link\":3,\"lane_sequence\":2}\n"
		 "{\"kind\":\"source\",\"link\":3,\"lane\":1,"
		 "\"lane_sequence\":41}\n");
}
END_TEST

static int
show_owner(void *arg, const struct journal_owner *owner)
{
	unsigned *seen = arg;

	if (owner->kind == JOURNAL_BRIDGE)
		ck_assert(slice_equal_string(owner->name, "cloud"));
	if (owner->kind == JOURNAL_SESSION)
		ck_assert(owner->session != NULL &&
		    slice_equal_string(owner->name, "s"));
	*seen = *seen * 100 + (unsigned)owner->cursor;
	return owner->cursor == 9 ? 42 : 0;
}

START_TEST(owners_come_in_the_order_of_their_cursors)
{
	unsigned seen = 0;

	ck_assert_int_eq(journal_state_open(state, 8), 0);
	apply("{\"kind\":\"bridge\",\"cursor\":5,\"name\":\"cloud\"}");
	apply(SESSION_7 "}");
	ck_assert_int_eq(journal_state_each_owner(state, show_owner, &seen), 0);
	ck_assert_uint_eq(seen, 50708);
	ck_assert_int_eq(journal_state_open(state, 9), 0);
	ck_assert_int_eq(journal_state_open(state, 10), 0);
	seen = 0;
	ck_assert_int_eq(
	    journal_state_each_owner(state, show_owner, &seen), 42);
	ck_assert_uint_eq(seen, 5070809);
	ck_assert_uint_eq(count().bridges, 1);
	ck_assert_uint_eq(count().sessions, 1);
	ck_assert_uint_eq(count().unknown, 3);
}
END_TEST

START_TEST(what_is_no_record_is_counted_and_passed_over)
{
	ck_assert_int_eq(
	    journal_state_apply(state, STORE_SESSION, slice_of("\x7f", 1)), 0);
	ck_assert_int_eq(journal_state_apply(state, 200, slice_of("\1", 1)), 0);
	ck_assert_uint_eq(count().unreadable, 2);
	comes_to("");
}
END_TEST

/* The promise: the records of a state come to that state. */
START_TEST(its_records_come_to_the_same)
{
	struct journal_state *second = journal_state_new();
	char line[200], *text, *again;
	uint32_t dice = (uint32_t)_i + 1;

	for (unsigned turn = 0; turn < 300; turn++) {
		dice = dice * 1664525 + 1013904223;
		snprintf(line, sizeof(line),
		    dice >> 31 != 0
			? "{\"kind\":\"subscription\",\"cursor\":%u,"
			  "\"filter\":\"%u\",\"qos\":%u}"
			: "{\"kind\":\"session\",\"cursor\":%u,\"account\":"
			  "\"\",\"client_id\":\"%u\",\"left_ns\":%u}",
		    1 + (dice >> 20) % 7, (dice >> 10) % 5, (dice >> 5) % 3);
		apply(line);
		snprintf(line, sizeof(line), "t%u", (dice >> 12) % 9);
		publish_retained((dice >> 8) % 99 + 1, line,
		    (dice >> 3) % 3 == 0 ? "" : "x");
		publish_qos_2(1 + (dice >> 16) % 3, (uint16_t)(dice >> 9));
		if ((dice >> 25) % 16 == 0)
			journal_state_close(state, 1 + (dice >> 20) % 7);
	}
	text = print(state);
	for (char *at = text, *end; *at != '\0'; at = end + 1) {
		end = strchr(at, '\n');
		*end = '\0';
		apply_to(second, at);
		*end = '\n';
	}
	again = print(second);
	ck_assert_str_eq(text, again);
	free(text);
	free(again);
	journal_state_free(second);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("journal_state");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_session_is_what_was_said_last);
	tcase_add_test(
	    tc, subscriptions_are_replaced_and_removed_by_their_filter);
	tcase_add_test(tc, the_later_serial_is_the_retained_message);
	tcase_add_test(tc, what_is_not_above_the_checkpoints_serial_is_old);
	tcase_add_test(tc, packet_ids_are_unfinished_until_they_are_released);
	tcase_add_test(tc, many_packet_ids_take_several_records);
	tcase_add_test(
	    tc, a_cursor_waits_for_what_is_above_its_floor_and_not_over);
	tcase_add_test(tc, a_lane_is_where_it_was_last);
	tcase_add_test(tc, owners_come_in_the_order_of_their_cursors);
	tcase_add_test(tc, what_is_no_record_is_counted_and_passed_over);
	tcase_add_loop_test(tc, its_records_come_to_the_same, 0, 20);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
