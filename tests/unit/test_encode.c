/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/encode.h"

#include <string.h>

#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Random material for the round trips below. */

static uint32_t dice;

static uint32_t
throw_dice(uint32_t below)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % below;
}

static struct slice
some_text(size_t at_least)
{
	static const char text[] = "sensors/h\xc3\xa9llo/temperature/of/room";
	size_t len = at_least + throw_dice(9);

	return slice_of(text, len);
}

static struct slice
some_bytes(void)
{
	static const uint8_t bytes[300] = { 0, 0xff, 1, 0x80 };

	return slice_of(bytes, throw_dice(sizeof(bytes)));
}

static enum mqtt_version
some_version(void)
{
	return (enum mqtt_version)(3 + throw_dice(3));
}

/* The packet just written must be one whole frame of the size foretold. */
static struct mqtt_frame
frame_of(const uint8_t *buffer, size_t written, size_t foretold)
{
	struct mqtt_frame frame;

	ck_assert_uint_ne(written, 0);
	ck_assert_uint_eq(written, foretold);
	ck_assert_int_eq(
	    mqtt_frame(buffer, written, written, &frame), MQTT_FRAME_WHOLE);
	ck_assert_uint_eq(frame.size, written);
	return frame;
}

static struct mqtt_properties
reason_properties(void)
{
	struct mqtt_properties properties = { 0 };

	if (throw_dice(2) == 0)
		return properties;
	properties.reason_string = some_text(0);
	mqtt_properties_set(&properties, MQTT_REASON_STRING);
	return properties;
}

static void
check_reason_string(enum mqtt_version version,
    const struct mqtt_properties *sent, const struct mqtt_properties *got)
{
	if (version != MQTT_5) {
		ck_assert_uint_eq(got->present, 0);
		return;
	}
	ck_assert_uint_eq(got->present, sent->present);
	if (sent->present != 0)
		ck_assert(slice_equal(got->reason_string, sent->reason_string));
}

static void
check_connect_fields(
    const struct mqtt_connect *got, const struct mqtt_connect *sent)
{
	ck_assert_uint_eq(got->version, sent->version);
	ck_assert_uint_eq(got->keep_alive_s, sent->keep_alive_s);
	ck_assert(got->clean_start == sent->clean_start);
	ck_assert(got->has_will == sent->has_will);
	ck_assert(slice_equal(got->client_id, sent->client_id));
	ck_assert(got->has_username == sent->has_username);
	ck_assert(got->has_password == sent->has_password);
	if (sent->has_username)
		ck_assert(slice_equal(got->username, sent->username));
	if (sent->has_password)
		ck_assert(slice_equal(got->password, sent->password));
	if (!sent->has_will)
		return;
	ck_assert(slice_equal(got->will_topic, sent->will_topic));
	ck_assert(slice_equal(got->will_payload, sent->will_payload));
	ck_assert_uint_eq(got->will_qos, sent->will_qos);
	ck_assert(got->will_retain == sent->will_retain);
}

START_TEST(gives_back_every_connect)
{
	static uint8_t buffer[2000];
	struct mqtt_connect sent, got;
	struct mqtt_frame frame;
	size_t size, written;

	dice = 1;
	for (int turn = 0; turn < 2000; turn++) {
		sent = (struct mqtt_connect){ .version = some_version(),
			.clean_start = throw_dice(2),
			.has_will = throw_dice(2),
			.has_username = throw_dice(2),
			.keep_alive_s = (uint16_t)throw_dice(65536),
			.client_id = some_text(1) };
		sent.has_password = sent.has_username && throw_dice(2);
		sent.username = some_text(0);
		sent.password = some_bytes();
		sent.will_topic = some_text(1);
		sent.will_payload = some_bytes();
		sent.will_qos = sent.has_will ? (uint8_t)throw_dice(3) : 0;
		sent.will_retain = sent.has_will && throw_dice(2);
		sent.properties.receive_maximum = 20;
		mqtt_properties_set(&sent.properties, MQTT_RECEIVE_MAXIMUM);
		sent.will_properties.will_delay_interval_s = 70000;
		mqtt_properties_set(
		    &sent.will_properties, MQTT_WILL_DELAY_INTERVAL);
		/* A cut through the accent is no text: skip those. */
		if (!utf8_is_valid(sent.client_id) ||
		    !utf8_is_valid(sent.username) ||
		    !utf8_is_valid(sent.will_topic))
			continue;
		size = mqtt_connect_size(&sent);
		written = mqtt_encode_connect(buffer, size, &sent);
		frame = frame_of(buffer, written, size);
		ck_assert_int_eq(
		    mqtt_decode_connect(&frame, &got), MQTT_SUCCESS);
		check_connect_fields(&got, &sent);
		if (sent.version == MQTT_5)
			ck_assert_uint_eq(got.properties.receive_maximum, 20);
		ck_assert_uint_eq(
		    mqtt_encode_connect(buffer, size - 1, &sent), 0);
	}
}
END_TEST

START_TEST(gives_back_every_publish_and_where_its_fields_are)
{
	static const uint32_t ids[] = { 1, 300, 268435455 };
	static const uint8_t user[] = "\x26\0\1k\0\1v";
	static uint8_t buffer[2000];
	struct mqtt_publish_layout layout;
	struct mqtt_publish_out sent;
	struct mqtt_publish got;
	enum mqtt_version version;
	struct mqtt_frame frame;
	size_t size, written;

	dice = 2;
	for (int turn = 0; turn < 3000; turn++) {
		version = some_version();
		sent = (struct mqtt_publish_out){ .qos = (uint8_t)throw_dice(3),
			.retain = throw_dice(2),
			.packet_id = (uint16_t)(1 + throw_dice(65535)),
			.has_message_expiry = throw_dice(2),
			.message_expiry_interval_s = throw_dice(100000),
			.topic_alias = (uint16_t)throw_dice(3),
			.subscription_identifiers = ids,
			.subscription_identifier_count = throw_dice(4),
			.topic = slice_of_string("a/b"),
			.payload = some_bytes() };
		sent.dup = sent.qos != 0 && throw_dice(2);
		if (throw_dice(2) == 0)
			sent.properties = slice_of(user, sizeof(user) - 1);
		size = mqtt_publish_size(&sent, version);
		ck_assert_uint_eq(
		    mqtt_encode_publish(buffer, size - 1, &sent, version, NULL),
		    0);
		written =
		    mqtt_encode_publish(buffer, size, &sent, version, &layout);
		frame = frame_of(buffer, written, size);
		ck_assert_uint_eq(layout.size, size);
		if (sent.qos != 0)
			mqtt_patch_packet_id(buffer, &layout, 4711);
		else
			ck_assert_uint_eq(layout.packet_id_offset, 0);
		if (layout.message_expiry_offset != 0)
			mqtt_patch_message_expiry(buffer, &layout, 99);
		if (layout.topic_alias_offset != 0)
			mqtt_patch_topic_alias(buffer, &layout, 4712);
		ck_assert_int_eq(
		    mqtt_decode_publish(&frame, version, MQTT_CLIENT, &got),
		    MQTT_SUCCESS);
		ck_assert_uint_eq(got.packet_id, sent.qos == 0 ? 0 : 4711);
		ck_assert_uint_eq(got.qos, sent.qos);
		ck_assert(got.dup == sent.dup && got.retain == sent.retain);
		ck_assert(slice_equal(got.topic, sent.topic));
		ck_assert(slice_equal(got.payload, sent.payload));
		ck_assert_ptr_eq(
		    got.payload.data, buffer + layout.payload_offset);
		if (version != MQTT_5) {
			ck_assert_uint_eq(got.properties.present, 0);
			continue;
		}
		ck_assert_uint_eq(got.properties.subscription_identifier_count,
		    sent.subscription_identifier_count);
		ck_assert_uint_eq(got.properties.user_property_count,
		    sent.properties.len != 0);
		ck_assert_uint_eq(
		    got.properties.forwardable_size, sent.properties.len);
		ck_assert(mqtt_properties_has(
			      &got.properties, MQTT_MESSAGE_EXPIRY_INTERVAL) ==
		    sent.has_message_expiry);
		if (sent.has_message_expiry)
			ck_assert_uint_eq(
			    got.properties.message_expiry_interval_s, 99);
		if (sent.topic_alias != 0)
			ck_assert_uint_eq(got.properties.topic_alias, 4712);
	}
}
END_TEST

START_TEST(gives_back_every_acknowledgement)
{
	static uint8_t buffer[200];
	enum mqtt_packet_type type;
	enum mqtt_version version;
	struct mqtt_ack sent, got;
	struct mqtt_frame frame;
	size_t size, written;

	dice = 3;
	for (int turn = 0; turn < 3000; turn++) {
		version = some_version();
		type = (enum mqtt_packet_type)(MQTT_PUBACK + throw_dice(4));
		sent = (struct mqtt_ack){
			.packet_id = (uint16_t)(1 + throw_dice(65535)),
			.properties = reason_properties(),
		};
		if (!utf8_is_valid(sent.properties.reason_string))
			continue;
		if (throw_dice(2) == 0)
			sent.reason = type < MQTT_PUBREL
			    ? MQTT_QUOTA_EXCEEDED
			    : MQTT_PACKET_IDENTIFIER_NOT_FOUND;
		size = mqtt_ack_size(&sent, version);
		written = mqtt_encode_ack(buffer, size, type, &sent, version);
		frame = frame_of(buffer, written, size);
		ck_assert_uint_eq(frame.type, type);
		ck_assert_int_eq(
		    mqtt_decode_ack(&frame, version, &got), MQTT_SUCCESS);
		ck_assert_uint_eq(got.packet_id, sent.packet_id);
		ck_assert_uint_eq(
		    got.reason, version == MQTT_5 ? sent.reason : MQTT_SUCCESS);
		check_reason_string(version, &sent.properties, &got.properties);

		mqtt_encode_ack_success(buffer, type, sent.packet_id);
		frame = frame_of(buffer, 4, 4);
		ck_assert_int_eq(
		    mqtt_decode_ack(&frame, version, &got), MQTT_SUCCESS);
		ck_assert_uint_eq(got.packet_id, sent.packet_id);
	}
}
END_TEST

START_TEST(gives_back_every_subscribe)
{
	static const char *const filters[] = { "a", "+/b", "#", "$share/g/x" };
	static uint8_t buffer[200];
	struct mqtt_subscription sent[4], got;
	struct mqtt_subscribe subscribe;
	enum mqtt_version version;
	struct mqtt_frame frame;
	size_t count, size, written;
	struct wire walk;

	dice = 4;
	for (int turn = 0; turn < 2000; turn++) {
		version = some_version();
		count = 1 + throw_dice(4);
		for (size_t i = 0; i < count; i++)
			sent[i] = (struct mqtt_subscription){
				.filter = slice_of_string(filters[i]),
				.qos = (uint8_t)throw_dice(3),
				.no_local = i < 3 && throw_dice(2),
				.retain_as_published = throw_dice(2),
				.retain_handling = (uint8_t)throw_dice(3),
			};
		size = mqtt_subscribe_size(sent, count, NULL, version);
		written = mqtt_encode_subscribe(
		    buffer, size, 77, sent, count, NULL, version);
		frame = frame_of(buffer, written, size);
		ck_assert_int_eq(
		    mqtt_decode_subscribe(&frame, version, &subscribe),
		    MQTT_SUCCESS);
		ck_assert_uint_eq(subscribe.packet_id, 77);
		ck_assert_uint_eq(subscribe.count, count);
		walk = wire_read(subscribe.filters);
		for (size_t i = 0; i < count; i++) {
			ck_assert(mqtt_subscribe_next(&walk, &got));
			ck_assert(slice_equal(got.filter, sent[i].filter));
			ck_assert_uint_eq(got.qos, sent[i].qos);
			ck_assert(got.no_local ==
			    (version == MQTT_5 && sent[i].no_local));
			if (version != MQTT_5)
				continue;
			ck_assert(got.retain_as_published ==
			    sent[i].retain_as_published);
			ck_assert_uint_eq(
			    got.retain_handling, sent[i].retain_handling);
		}
		ck_assert(!mqtt_subscribe_next(&walk, &got));
	}
}
END_TEST

START_TEST(gives_back_every_unsubscribe)
{
	static uint8_t buffer[200];
	struct slice sent[] = { slice_of_string("a/#"), slice_of_string("b") };
	struct mqtt_unsubscribe got;
	struct mqtt_frame frame;
	size_t size, written;
	struct slice filter;
	struct wire walk;

	for (unsigned version = 3; version <= 5; version++) {
		size = mqtt_unsubscribe_size(
		    sent, 2, NULL, (enum mqtt_version)version);
		written = mqtt_encode_unsubscribe(
		    buffer, size, 9, sent, 2, NULL, (enum mqtt_version)version);
		frame = frame_of(buffer, written, size);
		ck_assert_int_eq(mqtt_decode_unsubscribe(
				     &frame, (enum mqtt_version)version, &got),
		    MQTT_SUCCESS);
		ck_assert_uint_eq(got.packet_id, 9);
		ck_assert_uint_eq(got.count, 2);
		walk = wire_read(got.filters);
		ck_assert(mqtt_unsubscribe_next(&walk, &filter));
		ck_assert(slice_equal(filter, sent[0]));
		ck_assert(mqtt_unsubscribe_next(&walk, &filter));
		ck_assert(slice_equal(filter, sent[1]));
		ck_assert(!mqtt_unsubscribe_next(&walk, &filter));
	}
}
END_TEST

START_TEST(gives_back_subacks_and_translates_old_codes)
{
	static uint8_t buffer[200];
	struct mqtt_suback got;
	struct mqtt_suback sent = { .packet_id = 5,
		.codes = slice_of("\0\1\2\x87", 4) };
	struct mqtt_frame frame;
	size_t size, written;

	for (unsigned version = 3; version <= 5; version++) {
		size = mqtt_suback_size(
		    MQTT_SUBACK, &sent, (enum mqtt_version)version);
		written = mqtt_encode_suback(buffer, size, MQTT_SUBACK, &sent,
		    (enum mqtt_version)version);
		frame = frame_of(buffer, written, size);
		ck_assert_int_eq(mqtt_decode_suback(
				     &frame, (enum mqtt_version)version, &got),
		    MQTT_SUCCESS);
		ck_assert_uint_eq(got.codes.len, 4);
		ck_assert_uint_eq(got.codes.data[2], 2);
		ck_assert_uint_eq(
		    got.codes.data[3], version == MQTT_5 ? 0x87 : 0x80);

		size = mqtt_suback_size(
		    MQTT_UNSUBACK, &sent, (enum mqtt_version)version);
		written = mqtt_encode_suback(buffer, size, MQTT_UNSUBACK, &sent,
		    (enum mqtt_version)version);
		frame = frame_of(buffer, written, size);
		ck_assert_uint_eq(frame.body.len, version == MQTT_5 ? 7 : 2);
	}
}
END_TEST

START_TEST(gives_back_connacks_and_translates_old_codes)
{
	static const enum mqtt_reason reasons[] = { MQTT_SUCCESS,
		MQTT_UNSUPPORTED_PROTOCOL_VERSION,
		MQTT_CLIENT_IDENTIFIER_NOT_VALID, MQTT_SERVER_UNAVAILABLE,
		MQTT_BAD_USER_NAME_OR_PASSWORD, MQTT_NOT_AUTHORIZED };
	static uint8_t buffer[200];
	struct mqtt_connack sent, got;
	struct mqtt_frame frame;
	size_t size, written;

	for (size_t i = 0; i < COUNT(reasons) * 3; i++) {
		enum mqtt_version version = (enum mqtt_version)(3 + i % 3);

		sent = (struct mqtt_connack){ .session_present = true,
			.reason = reasons[i / 3] };
		sent.properties.topic_alias_maximum = 10;
		mqtt_properties_set(&sent.properties, MQTT_TOPIC_ALIAS_MAXIMUM);
		size = mqtt_connack_size(&sent, version);
		written = mqtt_encode_connack(buffer, size, &sent, version);
		frame = frame_of(buffer, written, size);
		ck_assert_int_eq(
		    mqtt_decode_connack(&frame, version, &got), MQTT_SUCCESS);
		ck_assert_uint_eq(got.reason, sent.reason);
		/* [MQTT-3.2.2-6]; MQTT 3.1 has no such flag. */
		ck_assert(
		    got.session_present == (i / 3 == 0 && version != MQTT_3_1));
	}
	ck_assert_uint_eq(mqtt_reason_to_connack3(MQTT_QUOTA_EXCEEDED), 3);
}
END_TEST

START_TEST(gives_back_disconnect_auth_and_pings)
{
	static uint8_t buffer[200];
	struct mqtt_disconnect sent, got;
	struct mqtt_frame frame;
	size_t size, written;

	dice = 5;
	for (int turn = 0; turn < 500; turn++) {
		enum mqtt_version version = some_version();

		sent = (struct mqtt_disconnect){ .properties =
						     reason_properties() };
		if (!utf8_is_valid(sent.properties.reason_string))
			continue;
		if (throw_dice(2) == 0)
			sent.reason = MQTT_SESSION_TAKEN_OVER;
		size = mqtt_disconnect_size(&sent, version);
		written = mqtt_encode_disconnect(buffer, size, &sent, version);
		frame = frame_of(buffer, written, size);
		ck_assert_int_eq(
		    mqtt_decode_disconnect(&frame, version, MQTT_CLIENT, &got),
		    MQTT_SUCCESS);
		if (version == MQTT_5)
			ck_assert_uint_eq(got.reason, sent.reason);
		check_reason_string(version, &sent.properties, &got.properties);

		sent.reason = MQTT_CONTINUE_AUTHENTICATION;
		size = mqtt_auth_size(&sent);
		written = mqtt_encode_auth(buffer, size, &sent);
		frame = frame_of(buffer, written, size);
		ck_assert_int_eq(
		    mqtt_decode_auth(&frame, MQTT_5, &got), MQTT_SUCCESS);
		ck_assert_uint_eq(got.reason, sent.reason);
	}
	ck_assert_uint_eq(mqtt_encode_ping(buffer, 2, MQTT_PINGRESP), 2);
	ck_assert_mem_eq(buffer, "\xd0\0", 2);
	ck_assert_uint_eq(mqtt_encode_ping(buffer, 1, MQTT_PINGREQ), 0);
}
END_TEST

START_TEST(refuses_to_encode_what_cannot_be_expressed)
{
	static uint8_t buffer[70000], text[65536];
	struct mqtt_publish_out publish = { .topic = slice_of(text, 65536) };

	ck_assert_uint_eq(mqtt_publish_size(&publish, MQTT_5), 0);
	ck_assert_uint_eq(
	    mqtt_encode_publish(buffer, sizeof(buffer), &publish, MQTT_5, NULL),
	    0);
	publish.topic = slice_of_string("a");
	publish.payload = slice_of(text, MQTT_MAX_VARINT);
	ck_assert_uint_eq(mqtt_publish_size(&publish, MQTT_3_1_1), 0);
	publish.payload = slice_of(text, MQTT_MAX_VARINT - 3);
	ck_assert_uint_eq(
	    mqtt_publish_size(&publish, MQTT_3_1_1), MQTT_MAX_PACKET_BYTES);
	ck_assert_uint_eq(mqtt_publish_size(&publish, MQTT_5), 0);
	publish.payload = slice_of(text, SIZE_MAX);
	ck_assert_uint_eq(mqtt_publish_size(&publish, MQTT_5), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("encode");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, gives_back_every_connect);
	tcase_add_test(tc, gives_back_every_publish_and_where_its_fields_are);
	tcase_add_test(tc, gives_back_every_acknowledgement);
	tcase_add_test(tc, gives_back_every_subscribe);
	tcase_add_test(tc, gives_back_every_unsubscribe);
	tcase_add_test(tc, gives_back_subacks_and_translates_old_codes);
	tcase_add_test(tc, gives_back_connacks_and_translates_old_codes);
	tcase_add_test(tc, gives_back_disconnect_auth_and_pings);
	tcase_add_test(tc, refuses_to_encode_what_cannot_be_expressed);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
