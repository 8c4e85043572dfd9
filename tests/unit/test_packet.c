/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/packet.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/mqtt_any.h"
#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES(text)                                                            \
	{                                                                      \
		(const uint8_t *)(text), sizeof(text) - 1                      \
	}
#define SERVER MQTT_SERVER
#define CLIENT MQTT_CLIENT

/* Some bytes and what decoding them says. */
struct example {
	const char *what;
	enum mqtt_version version;
	enum mqtt_role role;
	enum mqtt_reason reason;
	struct {
		const uint8_t *p;
		size_t len;
	} bytes;
};

/* Decode an exact copy, so that reading past it is seen. */
static enum mqtt_reason
decode_copy(const uint8_t *p, size_t len, enum mqtt_version version,
    enum mqtt_role role)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	enum mqtt_reason reason = MQTT_MALFORMED_PACKET;
	struct mqtt_frame frame;
	union mqtt_any any;

	memcpy(copy, p, len);
	if (mqtt_frame(copy, len, MQTT_MAX_PACKET_BYTES, &frame) ==
	    MQTT_FRAME_WHOLE)
		reason = mqtt_any_decode(&frame, version, role, &any);
	free(copy);
	return reason;
}

static void
check_examples(const struct example *examples, size_t count)
{
	enum mqtt_reason reason;

	for (size_t i = 0; i < count; i++) {
		reason = decode_copy(examples[i].bytes.p, examples[i].bytes.len,
		    examples[i].version, examples[i].role);
		ck_assert_msg(reason == examples[i].reason, "%s: %s",
		    examples[i].what, mqtt_reason_name(reason));
	}
}

/* clang-format off */
static const struct example connects[] = {
	{ "3.1.1", 4, SERVER, MQTT_SUCCESS,
	  BYTES("\x10\x0d\0\4MQTT\4\2\0\x3c\0\1a") },
	{ "5.0", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\x10\x0e\0\4MQTT\5\2\0\x3c\0\0\1a") },
	{ "3.1", 3, SERVER, MQTT_SUCCESS,
	  BYTES("\x10\x0f\0\6MQIsdp\3\2\0\x3c\0\1a") },
	{ "3.1.1 empty id, clean", 4, SERVER, MQTT_SUCCESS,
	  BYTES("\x10\x0c\0\4MQTT\4\2\0\x3c\0\0") },
	{ "5.0 empty id, not clean", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\x10\x0d\0\4MQTT\5\0\0\x3c\0\0\0") },
	{ "5.0 password alone", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\x10\x11\0\4MQTT\5\x42\0\x3c\0\0\1a\0\1p") },
	{ "[MQTT-3.1.2-1] protocol name", 4, SERVER,
	  MQTT_UNSUPPORTED_PROTOCOL_VERSION,
	  BYTES("\x10\x0d\0\4MQTX\4\2\0\x3c\0\1a") },
	{ "[MQTT-3.1.2-2] level 6", 5, SERVER,
	  MQTT_UNSUPPORTED_PROTOCOL_VERSION,
	  BYTES("\x10\x0d\0\4MQTT\6\2\0\x3c\0\1a") },
	{ "[MQTT3-3.1.2-2] level 0", 1, SERVER,
	  MQTT_UNSUPPORTED_PROTOCOL_VERSION,
	  BYTES("\x10\x0d\0\4MQTT\0\2\0\x3c\0\1a") },
	{ "MQTT with level 3", 3, SERVER, MQTT_UNSUPPORTED_PROTOCOL_VERSION,
	  BYTES("\x10\x0d\0\4MQTT\3\2\0\x3c\0\1a") },
	{ "[MQTT-3.1.2-3] reserved flag", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x10\x0d\0\4MQTT\4\3\0\x3c\0\1a") },
	{ "[MQTT-3.1.2-11] will QoS, no will", 4, SERVER,
	  MQTT_MALFORMED_PACKET, BYTES("\x10\x0d\0\4MQTT\4\x0a\0\x3c\0\1a") },
	{ "[MQTT-3.1.2-12] will QoS 3", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x10\x13\0\4MQTT\4\x1e\0\x3c\0\1a\0\1t\0\1m") },
	{ "[MQTT-3.1.2-13] will retain, no will", 4, SERVER,
	  MQTT_MALFORMED_PACKET, BYTES("\x10\x0d\0\4MQTT\4\x22\0\x3c\0\1a") },
	{ "[MQTT3-3.1.2-22] 3.1.1 password alone", 4, SERVER,
	  MQTT_MALFORMED_PACKET,
	  BYTES("\x10\x10\0\4MQTT\4\x42\0\x3c\0\1a\0\1p") },
	{ "[MQTT3-3.1.3-8] empty id, not clean", 4, SERVER,
	  MQTT_CLIENT_IDENTIFIER_NOT_VALID,
	  BYTES("\x10\x0c\0\4MQTT\4\0\0\x3c\0\0") },
	{ "[MQTT-3.1.3-4] id no UTF-8", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x10\x0d\0\4MQTT\4\2\0\x3c\0\1\xff") },
	{ "[MQTT-3.1.3-11] will topic no UTF-8", 4, SERVER,
	  MQTT_MALFORMED_PACKET,
	  BYTES("\x10\x13\0\4MQTT\4\6\0\x3c\0\1a\0\1\xff\0\1m") },
	{ "[MQTT-4.7.0-1] will topic wildcard", 4, SERVER,
	  MQTT_TOPIC_NAME_INVALID,
	  BYTES("\x10\x13\0\4MQTT\4\6\0\x3c\0\1a\0\1#\0\1m") },
	{ "[MQTT-3.1.3-12] user name no UTF-8", 4, SERVER,
	  MQTT_MALFORMED_PACKET,
	  BYTES("\x10\x10\0\4MQTT\4\x82\0\x3c\0\1a\0\1\xff") },
	{ "bytes left over", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x10\x0e\0\4MQTT\4\2\0\x3c\0\1az") },
	{ "receive maximum 0", 5, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x10\x11\0\4MQTT\5\2\0\x3c\3\x21\0\0\0\1a") },
	{ "[MQTT-1.5.5-1] padded length", 5, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x10\x8e\0\0\4MQTT\5\2\0\x3c\0\0\1a") },
	{ "3.1.1 does not mind the padding", 4, SERVER, MQTT_SUCCESS,
	  BYTES("\x10\x8d\0\0\4MQTT\4\2\0\x3c\0\1a") },
};

static const struct example publishes[] = {
	{ "QoS 0", 4, SERVER, MQTT_SUCCESS, BYTES("\x30\4\0\1ax") },
	{ "QoS 1", 4, SERVER, MQTT_SUCCESS, BYTES("\x32\6\0\1a\0\1x") },
	{ "QoS 2 dup retain", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\x3d\7\0\1a\0\1\0x") },
	{ "alias, empty topic", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\x30\6\0\0\3\x23\0\1") },
	{ "empty payload", 4, SERVER, MQTT_SUCCESS, BYTES("\x30\3\0\1a") },
	{ "[MQTT-3.3.1-4] QoS 3", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x36\6\0\1a\0\1x") },
	{ "[MQTT-3.3.1-2] dup, QoS 0", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x38\4\0\1ax") },
	{ "[MQTT-2.2.1-3] packet id 0", 4, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x32\6\0\1a\0\0x") },
	{ "[MQTT-3.3.2-1] no UTF-8", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x30\4\0\1\xffx") },
	{ "[MQTT-3.3.2-2] wildcard", 4, SERVER, MQTT_TOPIC_NAME_INVALID,
	  BYTES("\x30\4\0\1+x") },
	{ "3.1.1 empty topic", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x30\3\0\0x") },
	{ "5.0 empty topic, no alias", 5, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x30\4\0\0\0x") },
	{ "[MQTT-3.3.2-8] alias 0", 5, SERVER, MQTT_TOPIC_ALIAS_INVALID,
	  BYTES("\x30\7\0\1a\3\x23\0\0") },
	{ "[MQTT-3.3.4-6] subscription id to a server", 5, SERVER,
	  MQTT_PROTOCOL_ERROR, BYTES("\x30\6\0\1a\2\x0b\1") },
	{ "subscription id to a client", 5, CLIENT, MQTT_SUCCESS,
	  BYTES("\x30\6\0\1a\2\x0b\1") },
	{ "properties beyond the end", 5, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x30\5\0\1a\2\1") },
	{ "[MQTT-1.5.5-1] padded length", 5, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x30\x85\0\0\1a\0x") },
};

static const struct example acks[] = {
	{ "PUBACK", 4, SERVER, MQTT_SUCCESS, BYTES("\x40\2\0\1") },
	{ "PUBREC 5.0", 5, SERVER, MQTT_SUCCESS, BYTES("\x50\3\0\1\x10") },
	{ "PUBREL", 5, SERVER, MQTT_SUCCESS, BYTES("\x62\4\0\1\x92\0") },
	{ "PUBCOMP", 4, CLIENT, MQTT_SUCCESS, BYTES("\x70\2\0\1") },
	{ "[MQTT-3.6.1-1] PUBREL flags", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x60\2\0\1") },
	{ "[MQTT-2.1.3-1] PUBACK flags", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x41\2\0\1") },
	{ "packet id 0", 4, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x40\2\0\0") },
	{ "3.1.1 with a reason", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x40\3\0\1\0") },
	{ "[MQTT-3.4.2-1] reason of another packet", 5, SERVER,
	  MQTT_PROTOCOL_ERROR, BYTES("\x40\3\0\1\x92") },
	{ "bytes left over", 5, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x40\5\0\1\0\0z") },
	{ "property of another packet", 5, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x40\6\0\1\0\2\1\1") },
};

static const struct example subscribes[] = {
	{ "3.1.1", 4, SERVER, MQTT_SUCCESS, BYTES("\x82\6\0\1\0\1a\2") },
	{ "5.0 all options", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\x82\7\0\1\0\0\1a\x2e") },
	{ "[MQTT-3.8.1-1] flags", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x80\6\0\1\0\1a\2") },
	{ "[MQTT-3.8.3-1] no UTF-8", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x82\6\0\1\0\1\xff\2") },
	{ "[MQTT-3.8.3-2] no filters", 4, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x82\2\0\1") },
	{ "5.0 no filters", 5, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x82\3\0\1\0") },
	{ "[MQTT-3.8.3-4] shared, no local", 5, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x82\x10\0\1\0\0\x0a$share/g/a\4") },
	{ "shared", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\x82\x10\0\1\0\0\x0a$share/g/a\1") },
	{ "[MQTT-3.8.3-5] reserved bits", 5, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x82\7\0\1\0\0\1a\x40") },
	{ "3.1.1 reserved bits", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x82\6\0\1\0\1a\4") },
	{ "QoS 3", 4, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x82\6\0\1\0\1a\3") },
	{ "retain handling 3", 5, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x82\7\0\1\0\0\1a\x30") },
	{ "packet id 0", 4, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x82\6\0\0\0\1a\2") },
	{ "[MQTT-4.7.1-1] filter", 4, SERVER, MQTT_TOPIC_FILTER_INVALID,
	  BYTES("\x82\7\0\1\0\2a#\2") },
	{ "[MQTT-4.7.3-1] empty filter", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x82\5\0\1\0\0\2") },
	{ "options missing", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\x82\5\0\1\0\1a") },
	{ "subscription id twice", 5, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\x82\x0b\0\1\4\x0b\1\x0b\2\0\1a\0") },
	{ "UNSUBSCRIBE", 4, SERVER, MQTT_SUCCESS, BYTES("\xa2\5\0\1\0\1a") },
	{ "[MQTT-3.10.1-1] flags", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\xa0\5\0\1\0\1a") },
	{ "[MQTT-3.10.3-2] no filters", 4, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\xa2\2\0\1") },
	{ "UNSUBSCRIBE filter", 4, SERVER, MQTT_TOPIC_FILTER_INVALID,
	  BYTES("\xa2\6\0\1\0\2#a") },
};

static const struct example others[] = {
	{ "CONNACK", 4, CLIENT, MQTT_SUCCESS, BYTES("\x20\2\1\0") },
	{ "[MQTT-3.2.2-1] CONNACK flags", 4, CLIENT, MQTT_MALFORMED_PACKET,
	  BYTES("\x20\2\2\0") },
	{ "[MQTT-3.2.2-6] session present and refused", 5, CLIENT,
	  MQTT_PROTOCOL_ERROR, BYTES("\x20\3\1\x87\0") },
	{ "3.1.1 CONNACK code 6", 4, CLIENT, MQTT_PROTOCOL_ERROR,
	  BYTES("\x20\2\0\6") },
	{ "[MQTT-3.2.2-8] CONNACK reason", 5, CLIENT, MQTT_PROTOCOL_ERROR,
	  BYTES("\x20\3\0\x8e\0") },
	{ "CONNACK left over", 4, CLIENT, MQTT_MALFORMED_PACKET,
	  BYTES("\x20\3\0\0z") },
	{ "SUBACK", 4, CLIENT, MQTT_SUCCESS, BYTES("\x90\4\0\1\2\x80") },
	{ "SUBACK code 3", 4, CLIENT, MQTT_PROTOCOL_ERROR,
	  BYTES("\x90\3\0\1\3") },
	{ "3.1.1 SUBACK code 0x87", 4, CLIENT, MQTT_PROTOCOL_ERROR,
	  BYTES("\x90\3\0\1\x87") },
	{ "SUBACK without codes", 4, CLIENT, MQTT_MALFORMED_PACKET,
	  BYTES("\x90\2\0\1") },
	{ "UNSUBACK", 4, CLIENT, MQTT_SUCCESS, BYTES("\xb0\2\0\1") },
	{ "3.1.1 UNSUBACK with codes", 4, CLIENT, MQTT_MALFORMED_PACKET,
	  BYTES("\xb0\3\0\1\0") },
	{ "5.0 UNSUBACK", 5, CLIENT, MQTT_SUCCESS,
	  BYTES("\xb0\4\0\1\0\x11") },
	{ "PINGREQ", 4, SERVER, MQTT_SUCCESS, BYTES("\xc0\0") },
	{ "PINGRESP", 4, CLIENT, MQTT_SUCCESS, BYTES("\xd0\0") },
	{ "PINGREQ with a body", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\xc0\1z") },
	{ "DISCONNECT", 4, SERVER, MQTT_SUCCESS, BYTES("\xe0\0") },
	{ "5.0 DISCONNECT with will", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\xe0\1\4") },
	{ "[MQTT-3.14.1-1] DISCONNECT flags", 4, SERVER,
	  MQTT_MALFORMED_PACKET, BYTES("\xe1\0") },
	{ "3.1.1 DISCONNECT with a reason", 4, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\xe0\1\0") },
	{ "session expiry from a client", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\xe0\7\0\5\x11\0\0\0\1") },
	{ "[MQTT-3.14.2-2] session expiry from a server", 5, CLIENT,
	  MQTT_PROTOCOL_ERROR, BYTES("\xe0\7\0\5\x11\0\0\0\1") },
	{ "AUTH", 5, SERVER, MQTT_SUCCESS,
	  BYTES("\xf0\6\x18\4\x15\0\1m") },
	{ "3.1.1 AUTH", 4, SERVER, MQTT_PROTOCOL_ERROR, BYTES("\xf0\0") },
	{ "[MQTT-3.15.1-1] AUTH flags", 5, SERVER, MQTT_MALFORMED_PACKET,
	  BYTES("\xf1\0") },
	{ "data without a method", 5, SERVER, MQTT_PROTOCOL_ERROR,
	  BYTES("\xf0\6\x18\4\x16\0\1d") },
	{ "packet type 0", 5, SERVER, MQTT_MALFORMED_PACKET, BYTES("\0\0") },
};
/* clang-format on */

START_TEST(keeps_the_rules_of_connect)
{
	check_examples(connects, COUNT(connects));
}
END_TEST

START_TEST(keeps_the_rules_of_publish)
{
	check_examples(publishes, COUNT(publishes));
}
END_TEST

START_TEST(keeps_the_rules_of_acknowledgements)
{
	check_examples(acks, COUNT(acks));
}
END_TEST

START_TEST(keeps_the_rules_of_subscribing)
{
	check_examples(subscribes, COUNT(subscribes));
}
END_TEST

START_TEST(keeps_the_rules_of_the_other_packets)
{
	check_examples(others, COUNT(others));
}
END_TEST

START_TEST(decides_from_the_fixed_header_alone)
{
	struct mqtt_frame frame;

	ck_assert_int_eq(mqtt_frame(NULL, 0, 10, &frame), MQTT_FRAME_PARTIAL);
	ck_assert_int_eq(mqtt_frame((const uint8_t *)"\x30", 1, 10, &frame),
	    MQTT_FRAME_PARTIAL);
	ck_assert_uint_eq(frame.size, 0);
	ck_assert_int_eq(mqtt_frame((const uint8_t *)"\x30\x08", 2, 10, &frame),
	    MQTT_FRAME_PARTIAL);
	ck_assert_uint_eq(frame.size, 10);
	ck_assert_int_eq(mqtt_frame((const uint8_t *)"\x30\x09", 2, 10, &frame),
	    MQTT_FRAME_TOO_LARGE);
	ck_assert_int_eq(mqtt_frame((const uint8_t *)"\x30\xff\xff\xff\xff", 5,
			     SIZE_MAX, &frame),
	    MQTT_FRAME_MALFORMED);
	ck_assert_int_eq(mqtt_frame((const uint8_t *)"\x30\xff\xff\xff\x7f", 5,
			     SIZE_MAX, &frame),
	    MQTT_FRAME_PARTIAL);
	ck_assert_uint_eq(frame.size, MQTT_MAX_PACKET_BYTES);
	ck_assert_int_eq(mqtt_frame((const uint8_t *)"\x36", 1, 10, &frame),
	    MQTT_FRAME_MALFORMED);
}
END_TEST

START_TEST(says_in_which_version_to_refuse_a_connect)
{
	static const uint8_t level_6[] = "\x10\x0d\0\4MQTT\6\2\0\x3c\0\1a";
	static const uint8_t level_0[] = "\x10\x0d\0\4MQTT\0\2\0\x3c\0\1a";
	static const uint8_t old_5[] = "\x10\x0f\0\6MQIsdp\5\2\0\x3c\0\1a";
	static const uint8_t foreign[] = "\x10\x0d\0\4MQTX\4\2\0\x3c\0\1a";
	struct mqtt_connect connect;
	struct mqtt_frame frame;

	mqtt_frame(level_6, sizeof(level_6) - 1, 99, &frame);
	mqtt_decode_connect(&frame, &connect);
	ck_assert_uint_eq(connect.version, 6);
	mqtt_frame(level_0, sizeof(level_0) - 1, 99, &frame);
	mqtt_decode_connect(&frame, &connect);
	ck_assert_uint_eq(connect.version, 1);
	mqtt_frame(old_5, sizeof(old_5) - 1, 99, &frame);
	mqtt_decode_connect(&frame, &connect);
	ck_assert_uint_eq(connect.version, 3);
	mqtt_frame(foreign, sizeof(foreign) - 1, 99, &frame);
	mqtt_decode_connect(&frame, &connect);
	ck_assert_uint_eq(connect.version, 0);
}
END_TEST

/* Every prefix asks for more; a body cut short is never taken as whole. */
static void
check_truncation(const struct example *example)
{
	const uint8_t *p = example->bytes.p;
	uint8_t shorter[32];
	struct mqtt_frame frame;
	size_t len = example->bytes.len;

	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(
		    mqtt_frame(p, cut, SIZE_MAX, &frame), MQTT_FRAME_PARTIAL);
	for (size_t cut = 2; cut < len && p[1] < 0x80; cut++) {
		memcpy(shorter, p, cut);
		shorter[1] = (uint8_t)(cut - 2);
		decode_copy(shorter, cut, example->version, example->role);
	}
}

/* Each byte takes every value; the sanitizer sees any step outside. */
static void
check_flips(const struct example *example)
{
	uint8_t changed[32];
	size_t len = example->bytes.len;

	for (size_t at = 0; at < len; at++) {
		memcpy(changed, example->bytes.p, len);
		for (unsigned value = 0; value < 256; value++) {
			changed[at] = (uint8_t)value;
			decode_copy(
			    changed, len, example->version, example->role);
		}
	}
}

START_TEST(never_reads_past_cut_or_damaged_packets)
{
	static const struct {
		const struct example *rows;
		size_t count;
	} all[] = { { connects, COUNT(connects) },
		{ publishes, COUNT(publishes) }, { acks, COUNT(acks) },
		{ subscribes, COUNT(subscribes) }, { others, COUNT(others) } };
	const struct example *row;

	for (size_t i = 0; i < COUNT(all); i++) {
		for (size_t n = 0; n < all[i].count; n++) {
			row = &all[i].rows[n];
			ck_assert_uint_le(row->bytes.len, 32);
			if (row->reason != MQTT_SUCCESS)
				continue;
			check_truncation(row);
			check_flips(row);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("packet");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, keeps_the_rules_of_connect);
	tcase_add_test(tc, keeps_the_rules_of_publish);
	tcase_add_test(tc, keeps_the_rules_of_acknowledgements);
	tcase_add_test(tc, keeps_the_rules_of_subscribing);
	tcase_add_test(tc, keeps_the_rules_of_the_other_packets);
	tcase_add_test(tc, decides_from_the_fixed_header_alone);
	tcase_add_test(tc, says_in_which_version_to_refuse_a_connect);
	tcase_add_test(tc, never_reads_past_cut_or_damaged_packets);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
