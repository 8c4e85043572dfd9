/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/properties.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum mqtt_reason
decode(const char *bytes, size_t len, unsigned type,
    struct mqtt_properties *properties)
{
	struct wire w = wire_read(slice_of(bytes, len));

	return mqtt_properties_decode(&w, type, MQTT_CLIENT, properties);
}

#define DECODE(bytes, type, properties)                                        \
	decode(bytes, sizeof(bytes) - 1, type, properties)

/* An example value for each kind, after its identifier. */
static struct slice
value_for(unsigned id)
{
	static const struct {
		const char *ids, *bytes;
		size_t len;
	} values[] = {
		{ "\x01\x17\x19\x24\x25\x28\x29\x2a", "\1", 1 },
		{ "\x13\x21\x22\x23", "\1\2", 2 },
		{ "\x02\x11\x18\x27", "\1\2\3\4", 4 },
		{ "\x0b", "\x85\1", 2 },
		{ "\x26", "\0\1k\0\1v", 6 },
	};

	for (size_t i = 0; i < COUNT(values); i++) {
		if (strchr(values[i].ids, (int)id) != NULL)
			return slice_of(values[i].bytes, values[i].len);
	}
	return slice_of("\0\2xy", 4);
}

/* One property of this id, `times` times over. */
static enum mqtt_reason
decode_id(unsigned id, unsigned times, unsigned type,
    struct mqtt_properties *properties)
{
	static uint8_t buffer[64];
	struct wire_out w = wire_write(buffer, sizeof(buffer));
	struct slice value = value_for(id);

	wire_put_varint(&w, (uint32_t)(times * (1 + value.len)));
	while (times-- > 0) {
		wire_put_u8(&w, (uint8_t)id);
		wire_put_bytes(&w, value);
	}
	return decode(
	    (const char *)buffer, (size_t)(w.p - buffer), type, properties);
}

/* Written from the specification's table 2-4, not from properties.def. */
static const struct {
	unsigned id;
	const char *packets; /* types; \020 is the will */
} table[] = { { 0x01, "\3\020" }, { 0x02, "\3\020" }, { 0x03, "\3\020" },
	{ 0x08, "\3\020" }, { 0x09, "\3\020" }, { 0x0b, "\3\010" },
	{ 0x11, "\1\2" }, { 0x12, "\2" }, { 0x13, "\2" }, { 0x15, "\1\2\017" },
	{ 0x17, "\1" }, { 0x18, "\020" }, { 0x19, "\1" }, { 0x1a, "\2" },
	{ 0x1c, "\2\016" }, { 0x1f, "\2\4\5\6\7\011\013\016\017" },
	{ 0x21, "\1\2" }, { 0x22, "\1\2" }, { 0x23, "\3" }, { 0x24, "\2" },
	{ 0x25, "\2" }, { 0x26, "\1\2\3\4\5\6\7\010\011\012\013\016\017\020" },
	{ 0x27, "\1\2" }, { 0x28, "\2" }, { 0x29, "\2" }, { 0x2a, "\2" } };

START_TEST(allows_each_property_in_its_packets_only)
{
	struct mqtt_properties properties;
	enum mqtt_reason reason;

	for (size_t i = 0; i < COUNT(table); i++) {
		for (unsigned type = 1; type <= 16; type++) {
			/* PINGs have none; DISCONNECT depends on the role. */
			if (type == 12 || type == 13 ||
			    (table[i].id == 0x11 && type == 14))
				continue;
			reason =
			    decode_id(table[i].id, 1, type % 16, &properties);
			ck_assert_msg((reason == MQTT_SUCCESS) ==
				(strchr(table[i].packets, (int)type) != NULL),
			    "property %#x packet %u", table[i].id, type);
			if (reason != MQTT_SUCCESS)
				ck_assert_int_eq(reason, MQTT_PROTOCOL_ERROR);
		}
	}
}
END_TEST

START_TEST(refuses_what_comes_twice)
{
	struct mqtt_properties properties;
	enum mqtt_reason reason;
	unsigned type, id;

	for (size_t i = 0; i < COUNT(table); i++) {
		id = table[i].id;
		type = (unsigned)table[i].packets[0] % 16;
		reason = decode_id(id, 2, type, &properties);
		if (id == 0x26 || id == 0x0b)
			ck_assert_int_eq(reason, MQTT_SUCCESS);
		else
			ck_assert_int_eq(reason, MQTT_PROTOCOL_ERROR);
	}
	ck_assert_int_eq(decode_id(0x0b, 2, MQTT_SUBSCRIBE, &properties),
	    MQTT_PROTOCOL_ERROR);
}
END_TEST

START_TEST(refuses_unknown_identifiers)
{
	static const char known[] =
	    "\x01\x02\x03\x08\x09\x0b\x11\x12\x13\x15\x16\x17\x18\x19\x1a\x1c"
	    "\x1f\x21\x22\x23\x24\x25\x26\x27\x28\x29\x2a";
	char bytes[] = "\2\0\1";
	struct mqtt_properties properties;

	for (unsigned id = 0; id < 256; id++) {
		if (id != 0 && strchr(known, (int)id) != NULL)
			continue;
		bytes[1] = (char)id;
		ck_assert_int_eq(decode(bytes, 3, MQTT_CONNECT, &properties),
		    MQTT_MALFORMED_PACKET);
		ck_assert_ptr_null(mqtt_property_name(id));
	}
	ck_assert_str_eq(mqtt_property_name(0x21), "RECEIVE_MAXIMUM");
}
END_TEST

START_TEST(refuses_values_that_are_not_allowed)
{
	struct mqtt_properties p;

	ck_assert_int_eq(
	    DECODE("\2\x01\2", MQTT_PUBLISH, &p), MQTT_PROTOCOL_ERROR);
	ck_assert_int_eq(
	    DECODE("\2\x24\2", MQTT_CONNACK, &p), MQTT_PROTOCOL_ERROR);
	ck_assert_int_eq(
	    DECODE("\3\x21\0\0", MQTT_CONNECT, &p), MQTT_PROTOCOL_ERROR);
	ck_assert_int_eq(
	    DECODE("\5\x27\0\0\0\0", MQTT_CONNECT, &p), MQTT_PROTOCOL_ERROR);
	ck_assert_int_eq(
	    DECODE("\2\x0b\0", MQTT_SUBSCRIBE, &p), MQTT_PROTOCOL_ERROR);
	/* [MQTT-3.3.2-8] */
	ck_assert_int_eq(
	    DECODE("\3\x23\0\0", MQTT_PUBLISH, &p), MQTT_TOPIC_ALIAS_INVALID);
	/* [MQTT-3.3.2-14] */
	ck_assert_int_eq(
	    DECODE("\6\x08\0\3a/#", MQTT_PUBLISH, &p), MQTT_PROTOCOL_ERROR);
	ck_assert_int_eq(
	    DECODE("\4\x03\0\1\xff", MQTT_PUBLISH, &p), MQTT_MALFORMED_PACKET);
	ck_assert_int_eq(
	    DECODE("\4\x09\0\1\xff", MQTT_PUBLISH, &p), MQTT_SUCCESS);
	ck_assert_int_eq(
	    DECODE("\4\x16\0\1d", MQTT_CONNECT, &p), MQTT_PROTOCOL_ERROR);
}
END_TEST

START_TEST(refuses_properties_cut_at_any_byte)
{
	static const char whole[] =
	    "\x1b\x01\1\x02\0\0\0\x0a\x03\0\1t\x09\0\1d\x26\0\1k\0\1v"
	    "\x0b\1\x23\0\1";
	struct mqtt_properties properties;
	char *copy;

	ck_assert_int_eq(whole[0], sizeof(whole) - 2);
	ck_assert_int_eq(
	    DECODE(whole, MQTT_PUBLISH, &properties), MQTT_SUCCESS);
	for (size_t cut = 0; cut < sizeof(whole) - 1; cut++) {
		copy = malloc(cut + 1);
		memcpy(copy, whole, cut);
		ck_assert_int_eq(decode(copy, cut, MQTT_PUBLISH, &properties),
		    MQTT_MALFORMED_PACKET);
		/* A length that agrees: cut between items or refused. */
		if (cut > 0) {
			copy[0] = (char)(cut - 1);
			decode(copy, cut, MQTT_PUBLISH, &properties);
		}
		free(copy);
	}
}
END_TEST

START_TEST(fills_the_fields_and_marks_them)
{
	struct mqtt_properties p;

	ck_assert_int_eq(DECODE("\x10\x02\0\1\0\2\x08\0\1r\x0b\x85\1\x0b\3",
			     MQTT_PUBLISH, &p),
	    MQTT_MALFORMED_PACKET);
	ck_assert_int_eq(DECODE("\x0e\x02\0\1\0\2\x08\0\1r\x0b\x85\1\x0b\3",
			     MQTT_PUBLISH, &p),
	    MQTT_SUCCESS);
	ck_assert_uint_eq(p.message_expiry_interval_s, 65538);
	ck_assert(slice_equal_string(p.response_topic, "r"));
	ck_assert_uint_eq(p.subscription_identifier, 133);
	ck_assert_uint_eq(p.subscription_identifier_count, 2);
	ck_assert(mqtt_properties_has(&p, MQTT_RESPONSE_TOPIC));
	ck_assert(!mqtt_properties_has(&p, MQTT_CONTENT_TYPE));
	ck_assert_int_eq(DECODE("\0", MQTT_PUBLISH, &p), MQTT_SUCCESS);
	ck_assert_uint_eq(p.present, 0);
}
END_TEST

/* [MQTT-3.3.2-17] [MQTT-3.3.2-18] and what belongs to one connection */
START_TEST(forwards_all_but_what_belongs_to_a_connection)
{
	static const char mixed[] = "\x1e\x26\0\1b\0\1"
				    "1\x23\0\1\x26\0\1a"
				    "\0\1"
				    "2\x0b\1\x01\1\x02\0\0\0\x09\x03\0\1t";
	static const char kept[] = "\x26\0\1b\0\1"
				   "1\x26\0\1a\0\1"
				   "2"
				   "\x01\1\x03\0\1t";
	uint8_t scratch[64];
	struct mqtt_properties p;
	struct slice out;

	ck_assert_int_eq(mixed[0], sizeof(mixed) - 2);
	ck_assert_int_eq(DECODE(mixed, MQTT_PUBLISH, &p), MQTT_SUCCESS);
	ck_assert_uint_eq(p.forwardable_size, sizeof(kept) - 1);
	out = mqtt_properties_forwardable(&p, scratch);
	ck_assert(slice_equal(out, slice_of(kept, sizeof(kept) - 1)));

	/* Nothing to leave out: not even copied. */
	ck_assert_int_eq(DECODE("\2\x01\1", MQTT_PUBLISH, &p), MQTT_SUCCESS);
	out = mqtt_properties_forwardable(&p, NULL);
	ck_assert_ptr_eq(out.data, p.raw.data);
	ck_assert_uint_eq(out.len, 2);
	mqtt_properties_copy_forwardable(&p, scratch);
	ck_assert_mem_eq(scratch, "\x01\1", 2);
}
END_TEST

/* The promise: any number of User Properties, in order, none allocated. */
START_TEST(walks_thirty_thousand_user_properties_in_order)
{
	static uint8_t buffer[400000];
	struct wire_out w = wire_write(buffer + 4, sizeof(buffer) - 4);
	struct mqtt_property_item item;
	struct mqtt_properties p;
	struct wire_out head;
	struct wire walk;
	uint32_t n = 0;

	for (uint32_t i = 0; i < 30000; i++) {
		uint8_t key[4];

		wire_store_u32(key, i + 0x01010101);
		/* Not above 0x7f, so that it is text. */
		for (int k = 0; k < 4; k++)
			key[k] = (uint8_t)(key[k] % 127 + 1);
		mqtt_properties_put_user(
		    &w, slice_of(key, 4), slice_of_string("v"));
	}
	ck_assert(!w.bad);
	head = wire_write(buffer + 1, 3);
	wire_put_varint(&head, (uint32_t)(w.p - buffer - 4));
	ck_assert(!head.bad && head.p == head.end);
	ck_assert_int_eq(decode((const char *)buffer + 1,
			     (size_t)(w.p - buffer) - 1, MQTT_PUBLISH, &p),
	    MQTT_SUCCESS);
	ck_assert_uint_eq(p.user_property_count, 30000);
	walk = wire_read(p.raw);
	while (mqtt_properties_find(&walk, MQTT_USER_PROPERTY, &item)) {
		ck_assert_uint_eq(
		    item.name.data[3], ((n + 0x01010101) & 0xff) % 127 + 1);
		ck_assert(slice_equal_string(item.value, "v"));
		n++;
	}
	ck_assert_uint_eq(n, 30000);
}
END_TEST

START_TEST(encodes_what_it_decoded)
{
	static uint8_t buffer[300];
	struct mqtt_properties sent = { 0 }, got;
	struct wire_out w = wire_write(buffer, sizeof(buffer));

	sent.session_expiry_interval_s = 70000;
	mqtt_properties_set(&sent, MQTT_SESSION_EXPIRY_INTERVAL);
	sent.receive_maximum = 300;
	mqtt_properties_set(&sent, MQTT_RECEIVE_MAXIMUM);
	sent.maximum_qos = 1;
	mqtt_properties_set(&sent, MQTT_MAXIMUM_QOS);
	sent.assigned_client_identifier = slice_of_string("weir-1");
	mqtt_properties_set(&sent, MQTT_ASSIGNED_CLIENT_IDENTIFIER);
	sent.verbatim = slice_of("\x26\0\1k\0\1v", 7);

	mqtt_properties_put(&w, &sent);
	ck_assert(!w.bad);
	ck_assert_uint_eq(
	    (size_t)(w.p - buffer), 1 + mqtt_properties_size(&sent));
	ck_assert_int_eq(decode((const char *)buffer, (size_t)(w.p - buffer),
			     MQTT_CONNACK, &got),
	    MQTT_SUCCESS);
	ck_assert_uint_eq(got.session_expiry_interval_s, 70000);
	ck_assert_uint_eq(got.receive_maximum, 300);
	ck_assert_uint_eq(got.maximum_qos, 1);
	ck_assert_uint_eq(got.user_property_count, 1);
	ck_assert(slice_equal_string(got.assigned_client_identifier, "weir-1"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("properties");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, allows_each_property_in_its_packets_only);
	tcase_add_test(tc, refuses_what_comes_twice);
	tcase_add_test(tc, refuses_unknown_identifiers);
	tcase_add_test(tc, refuses_values_that_are_not_allowed);
	tcase_add_test(tc, refuses_properties_cut_at_any_byte);
	tcase_add_test(tc, fills_the_fields_and_marks_them);
	tcase_add_test(tc, forwards_all_but_what_belongs_to_a_connection);
	tcase_add_test(tc, walks_thirty_thousand_user_properties_in_order);
	tcase_add_test(tc, encodes_what_it_decoded);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
