/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/options.h"
#include "tests/unit/unit.h"

#define NEVER UINT64_MAX

static char fault[JOURNAL_JSON_FAULT_SIZE];

/* To a line of text and back: the same record. */
static void
comes_back(uint8_t kind, uint64_t sequence, struct slice body, json_t *object)
{
	struct journal_record record;
	char *text;

	ck_assert_ptr_nonnull(object);
	text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(object);
	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_null(strchr(text, '\n'));
	object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(object);
	ck_assert_msg(journal_json_to_record(object, &record, fault) == 0,
	    "%s: %s", fault, text);
	ck_assert_uint_eq(record.kind, kind);
	ck_assert_uint_eq(record.sequence, sequence);
	ck_assert_msg(slice_equal(record.body, body), "other bytes: %s", text);
	journal_record_fini(&record);
	json_decref(object);
	free(text);
}

static void
state_comes_back(uint8_t kind, const void *body, size_t length)
{
	struct slice bytes = slice_of(body, length);

	comes_back(kind, 0, bytes, journal_json_of_state(kind, bytes));
}

static void
session_comes_back(const struct store_session *session)
{
	size_t size = store_session_size(session);
	void *body = malloc(size);

	store_session_write(session, body);
	state_comes_back(STORE_SESSION, body, size);
	free(body);
}

static void
message_comes_back(uint64_t sequence, const struct store_message *message)
{
	size_t size = store_message_size(message);
	void *body = malloc(size);

	store_message_write(message, body);
	comes_back(STORE_MESSAGE, sequence, slice_of(body, size),
	    journal_json_of_message(sequence, message));
	free(body);
}

START_TEST(sessions_come_back_with_and_without_a_will)
{
	struct store_session session = {
		.cursor = 7,
		.client_id = slice_of_string("sensor-\xc3\xa4\"\\\n"),
		.account = slice_of_string(""),
		.expiry_ns = NEVER,
		.will_expiry_ns = NEVER,
	};

	session_comes_back(&session);
	session.account = slice_of_string("ann");
	session.expiry_ns = 3600;
	session.left_ns = UINT64_C(1800000000000000000);
	session.has_will = true;
	session.will_topic = slice_of_string("gone/7");
	session.will_qos = 2;
	session.will_retain = true;
	session.will_delay_ns = 5;
	session.will_expiry_ns = 6;
	session.will_payload = slice_of("\0\xff", 2);
	session.will_properties = slice_of("\x01\x01", 2);
	session_comes_back(&session);
}
END_TEST

START_TEST(small_records_come_back)
{
	uint8_t body[STORE_SMALL_MAX];
	const struct store_start start = {
		.instance = { 1, 2, 3, 250 },
		.wall_ns = 5,
	};
	const struct store_packet packet = {
		.cursor = 3, .sequence = UINT64_C(1) << 62, .packet_id = 65535
	};
	const struct store_source lane = { 0, 31, NEVER - 1 };
	struct store_unfinished unfinished = { .cursor = 9, .count = 512 };

	for (unsigned i = 0; i < 512; i++)
		unfinished.ids[i] = (uint16_t)(65535 - i);
	state_comes_back(STORE_START, body, store_start_write(&start, body));
	state_comes_back(
	    STORE_RECEIVED, body, store_packet_write(&packet, body));
	state_comes_back(STORE_SOURCE, body, store_source_write(&lane, body));
	state_comes_back(
	    STORE_UNFINISHED, body, store_unfinished_write(&unfinished, body));
}
END_TEST

START_TEST(subscriptions_and_bridges_come_back)
{
	struct store_subscribe subscribe = {
		.cursor = 1,
		.qos = 2,
		.no_local = true,
		.retain_as_published = true,
		.identifier = 268435455,
		.filter = slice_of_string("$share/g/a/+/#"),
	};
	const struct store_bridge bridge = {
		.cursor = 4,
		.name = slice_of_string("cloud"),
		.terms = { .offered = 7, .ring_dead = 9, .too_large = 1 },
	};
	uint8_t body[256];

	ck_assert_uint_le(store_subscribe_size(&subscribe), sizeof(body));
	store_subscribe_write(&subscribe, body);
	state_comes_back(
	    STORE_SUBSCRIBE, body, store_subscribe_size(&subscribe));
	subscribe.qos = 0;
	subscribe.no_local = subscribe.retain_as_published = false;
	subscribe.identifier = 0;
	store_subscribe_write(&subscribe, body);
	state_comes_back(
	    STORE_SUBSCRIBE, body, store_subscribe_size(&subscribe));
	store_bridge_write(&bridge, body);
	state_comes_back(STORE_BRIDGE, body, store_bridge_size(&bridge));
}
END_TEST

START_TEST(dead_letters_come_back)
{
	const struct store_dead dead = {
		.cursor = 4,
		.id = 9,
		.attempts = 2,
		.memory = 77,
		.sequence = 5,
		.journal = 6,
		.wall_ns = 8,
		.why = slice_of_string("Not authorized"),
		.message = slice_of("\0\1\377", 3),
	};
	uint8_t body[256];

	store_dead_write(&dead, body);
	state_comes_back(STORE_DEAD, body, store_dead_size(&dead));
}
END_TEST

static uint32_t dice;

static uint32_t
roll(uint32_t sides)
{
	dice = dice * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)dice * sides) >> 32);
}

/* One of two: some number of up to 64 bits, or `usual`. */
static uint64_t
any_number(uint64_t usual)
{
	uint64_t high = roll(UINT32_MAX), low = roll(UINT32_MAX);

	return roll(2) == 0 ? usual : (high << 32 | low) >> roll(64);
}

static struct slice
any_bytes(uint8_t *room, size_t max)
{
	size_t length = roll((uint32_t)max + 1);

	for (size_t i = 0; i < length; i++)
		room[i] = (uint8_t)roll(256);
	return slice_of(room, length);
}

/* The promise: whatever is in a message, export and import keep it. */
START_TEST(any_message_comes_back)
{
	struct store_delivery deliveries[4];
	uint8_t payload[600], properties[60];
	uint32_t identifiers[4];
	struct store_message message;

	dice = (uint32_t)_i;
	for (unsigned i = 0; i < ARRAY_LENGTH(identifiers); i++)
		identifiers[i] = 1 + roll(268435455);
	for (unsigned i = 0; i < ARRAY_LENGTH(deliveries); i++)
		deliveries[i] = (struct store_delivery){
			.cursor = 1 + any_number(i),
			.qos = (uint8_t)(1 + roll(2)),
			.flags = (uint8_t)roll(2),
			.identifier_count = (uint16_t)roll(3),
			.identifiers = identifiers + roll(2),
		};
	message = (struct store_message){
		.publisher = any_number(0),
		.packet_id = (uint16_t)any_number(0),
		.qos = (uint8_t)roll(3),
		.retain = roll(2) == 1,
		.retain_serial = any_number(0),
		.source = { UINT32_MAX, 0, 0 },
		.identity = any_number(0),
		.created_ns = any_number(1),
		.expires_ns = any_number(NEVER),
		.topic = slice_of_string(roll(2) == 0 ? "a/b" : "\xe2\x82\xac"),
		.properties = any_bytes(properties, sizeof(properties)),
		.payload = any_bytes(payload, sizeof(payload)),
		.deliveries = deliveries,
		.delivery_count = roll(ARRAY_LENGTH(deliveries) + 1),
	};
	if (roll(2) == 1)
		message.source = (struct store_source){ roll(1000), roll(32),
			any_number(1) };
	message_comes_back(1 + any_number(5), &message);
}
END_TEST

START_TEST(nothing_is_made_of_a_damaged_body)
{
	static const uint8_t junk[] = { 200, 1, 2, 3 };

	for (unsigned kind = 0; kind < 256; kind++)
		ck_assert_ptr_null(journal_json_of_state(
		    (uint8_t)kind, slice_of(junk, sizeof(junk))));
}
END_TEST

static void
is_refused(const char *text, const char *why)
{
	struct journal_record record;
	json_t *object = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(object);
	ck_assert_int_eq(
	    journal_json_to_record(object, &record, fault), -EINVAL);
	ck_assert_msg(strcmp(fault, why) == 0, "%s: %s", text, fault);
	json_decref(object);
}

START_TEST(says_what_is_wrong_with_a_line)
{
	is_refused("{}", "kind is none that weirctl store export writes");
	is_refused("{\"kind\":\"done\"}",
	    "kind is none that weirctl store export writes");
	is_refused(
	    "{\"kind\":\"bridge\",\"name\":\"a\"}", "cursor is missing or 0");
	is_refused("{\"kind\":\"bridge\",\"cursor\":1}",
	    "name is missing, or no text");
	is_refused("{\"kind\":\"bridge\",\"cursor\":-1,\"name\":\"a\"}",
	    "cursor is not a number");
	is_refused("{\"kind\":\"subscription\",\"cursor\":1,\"filter\":\"a\","
		   "\"qos\":3}",
	    "qos is out of range");
	is_refused("{\"kind\":\"subscription\",\"cursor\":1,\"filter\":\"a\","
		   "\"no_local\":1}",
	    "no_local is not true or false");
	is_refused("{\"kind\":\"unfinished\",\"cursor\":1,\"packet_ids\":[]}",
	    "packet_ids is no list of 1 to 512 numbers");
	is_refused("{\"kind\":\"message\",\"topic\":\"a\","
		   "\"payload_base64\":\"a\"}",
	    "payload_base64 is not base64");
	is_refused("{\"kind\":\"message\",\"topic\":\"a\","
		   "\"receivers\":[{\"qos\":1}]}",
	    "cursor is missing or 0");
	is_refused("{\"kind\":\"start\",\"instance\":\"AAAA\"}",
	    "instance is not 16 bytes");
	is_refused("{\"kind\":\"session\",\"cursor\":1,\"client_id\":\"a\","
		   "\"account\":\"\",\"will\":1}",
	    "will is no object");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("journal_json");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, sessions_come_back_with_and_without_a_will);
	tcase_add_test(tc, small_records_come_back);
	tcase_add_test(tc, subscriptions_and_bridges_come_back);
	tcase_add_test(tc, dead_letters_come_back);
	tcase_add_loop_test(tc, any_message_comes_back, 0, 200);
	tcase_add_test(tc, nothing_is_made_of_a_damaged_body);
	tcase_add_test(tc, says_what_is_wrong_with_a_line);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
