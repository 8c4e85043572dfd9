/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/property_words.h"

#include <string.h>

#include "tests/unit/unit.h"

static char why[256];

static bool
add(struct property_words *words, const char *packet, const char *name,
    const char *value, const char *value2)
{
	return property_words_add(
	    words, packet, name, value, value2, why, sizeof(why));
}

static void
assert_bytes(struct slice got, const char *want, size_t len)
{
	ck_assert_uint_eq(got.len, len);
	ck_assert_mem_eq(got.data, want, len);
}

START_TEST(encodes_each_kind_in_the_order_given)
{
	struct property_words words = { 0 };

	ck_assert(add(&words, "publish", "content-type", "a/b", NULL));
	ck_assert(add(&words, "PUBLISH", "Message-Expiry-Interval", "258", 0));
	ck_assert(add(&words, "publish", "payload-format-indicator", "1", 0));
	ck_assert(add(&words, "publish", "topic-alias", "3", NULL));
	ck_assert(add(&words, "publish", "user-property", "k", "v w"));
	assert_bytes(property_words_get(&words, PROPERTY_PUBLISH),
	    "\x03\0\3a/b"
	    "\x02\0\0\1\2"
	    "\x01\1"
	    "\x23\0\3"
	    "\x26\0\1k\0\3v w",
	    6 + 5 + 2 + 3 + 9);
	property_words_fini(&words);
}
END_TEST

START_TEST(keeps_the_packets_apart)
{
	struct property_words words = { 0 };

	ck_assert(add(&words, "will", "will-delay-interval", "1", NULL));
	ck_assert(
	    add(&words, "subscribe", "subscription-identifier", "200", NULL));
	ck_assert(add(&words, "connect", "receive-maximum", "65535", NULL));
	assert_bytes(
	    property_words_get(&words, PROPERTY_WILL), "\x18\0\0\0\1", 5);
	assert_bytes(
	    property_words_get(&words, PROPERTY_SUBSCRIBE), "\x0b\xc8\1", 3);
	assert_bytes(
	    property_words_get(&words, PROPERTY_CONNECT), "\x21\xff\xff", 3);
	ck_assert_uint_eq(property_words_get(&words, PROPERTY_PUBLISH).len, 0);
	property_words_fini(&words);
}
END_TEST

START_TEST(knows_how_many_values_follow_a_name)
{
	ck_assert_uint_eq(property_words_values("user-property"), 2);
	ck_assert_uint_eq(property_words_values("content-type"), 1);
	ck_assert_uint_eq(property_words_values("content"), 0);
	ck_assert_uint_eq(property_words_values("content-type-2"), 0);
	ck_assert_uint_eq(property_words_values(""), 0);
}
END_TEST

START_TEST(refuses_what_a_broker_would_call_an_error)
{
	static const char *const wrong[][5] = {
		{ "puback", "reason-string", "x", NULL, "is not one of" },
		{ "publish", "no-such", "x", NULL, "no property" },
		{ "publish", "receive-maximum", "1", NULL, "not belong" },
		{ "connect", "receive-maximum", "0", NULL, "1 to 65535" },
		{ "connect", "receive-maximum", "65536", NULL, "1 to 65535" },
		{ "connect", "receive-maximum", "-1", NULL, "1 to 65535" },
		{ "connect", "request-problem-information", "2", NULL,
		    "0 to 1" },
		{ "publish", "content-type", NULL, NULL, "missing" },
		{ "publish", "content-type", "\xff", NULL, "UTF-8" },
		{ "publish", "user-property", "k", NULL, "name and a value" },
		{ "publish", "subscription-identifier", "1", NULL,
		    "not support" },
		{ "connect", "authentication-method", "x", NULL,
		    "not support" },
	};
	struct property_words words = { 0 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_msg(!add(&words, wrong[i][0], wrong[i][1],
				  wrong[i][2], wrong[i][3]),
		    "row %zu", i);
		ck_assert_msg(
		    strstr(why, wrong[i][4]) != NULL, "row %zu: %s", i, why);
	}
	for (unsigned i = 0; i < PROPERTY_PACKETS; i++)
		ck_assert_uint_eq(words.list[i].len, 0);
}
END_TEST

START_TEST(takes_a_property_twice_only_if_it_is_a_user_property)
{
	struct property_words words = { 0 };

	ck_assert(add(&words, "publish", "content-type", "a", NULL));
	ck_assert(!add(&words, "publish", "content-type", "a", NULL));
	ck_assert(add(&words, "will", "content-type", "a", NULL));
	ck_assert(add(&words, "publish", "user-property", "a", "b"));
	ck_assert(add(&words, "publish", "user-property", "a", "b"));
	property_words_fini(&words);
}
END_TEST

START_TEST(finds_a_number_again)
{
	struct property_words words = { 0 };

	ck_assert_uint_eq(property_words_number(&words, PROPERTY_CONNECT,
			      MQTT_SESSION_EXPIRY_INTERVAL, 7),
	    7);
	ck_assert(add(&words, "connect", "user-property", "a", "b"));
	ck_assert(
	    add(&words, "connect", "session-expiry-interval", "90", NULL));
	ck_assert_uint_eq(property_words_number(&words, PROPERTY_CONNECT,
			      MQTT_SESSION_EXPIRY_INTERVAL, 7),
	    90);
	property_words_fini(&words);
}
END_TEST

/* Whatever is accepted, a decoder accepts it in that packet. */
START_TEST(what_it_accepts_decodes)
{
	static const struct {
		const char *packet;
		unsigned type;
		enum property_packet list;
	} packets[] = {
		{ "connect", MQTT_CONNECT, PROPERTY_CONNECT },
		{ "will", MQTT_WILL_PROPERTIES, PROPERTY_WILL },
		{ "publish", MQTT_PUBLISH, PROPERTY_PUBLISH },
		{ "subscribe", MQTT_SUBSCRIBE, PROPERTY_SUBSCRIBE },
	};
	const char *const values[] = { "0", "1", "2", "65535", "65536",
		"268435456", "text" };
	const unsigned value = (unsigned)_i % 7, p = (unsigned)_i / 7;
	unsigned accepted = 0;

	for (unsigned id = 0; id < 64; id++) {
		struct property_words words = { 0 };
		struct mqtt_properties decoded;
		uint8_t packet[64] = { 0 };
		struct slice bytes;
		struct wire w;

		if (mqtt_property_name(id) == NULL ||
		    !add(&words, packets[p].packet, mqtt_property_name(id),
			values[value], "x"))
			continue;
		accepted++;
		bytes = property_words_get(&words, packets[p].list);
		packet[0] = (uint8_t)bytes.len;
		memcpy(packet + 1, bytes.data, bytes.len);
		w = wire_read(slice_of(packet, bytes.len + 1));
		ck_assert_int_eq(mqtt_properties_decode(&w, packets[p].type,
				     MQTT_SERVER, &decoded),
		    MQTT_SUCCESS);
		ck_assert(!w.bad);
		ck_assert_uint_eq(
		    decoded.present, words.list[packets[p].list].present);
		property_words_fini(&words);
	}
	ck_assert_uint_ne(accepted, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("property_words");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, encodes_each_kind_in_the_order_given);
	tcase_add_test(tc, keeps_the_packets_apart);
	tcase_add_test(tc, knows_how_many_values_follow_a_name);
	tcase_add_test(tc, refuses_what_a_broker_would_call_an_error);
	tcase_add_test(
	    tc, takes_a_property_twice_only_if_it_is_a_user_property);
	tcase_add_test(tc, finds_a_number_again);
	tcase_add_loop_test(tc, what_it_accepts_decodes, 0, 28);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
