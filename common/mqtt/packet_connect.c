/* SPDX-License-Identifier: Apache-2.0 */

/* packet_connect - the CONNECT packet, which has more rules than the rest. */

#include "common/mqtt/packet.h"

#include "common/msg/topic.h"

enum connect_flag {
	FLAG_RESERVED = 0x01,
	FLAG_CLEAN_START = 0x02,
	FLAG_WILL = 0x04,
	FLAG_WILL_RETAIN = 0x20,
	FLAG_PASSWORD = 0x40,
	FLAG_USERNAME = 0x80,
};

#define WILL_QOS_SHIFT 3
#define WILL_QOS_MASK 0x18

/*
 * Protocol name and level.  The version is set even when we do not speak it,
 * because the answer depends on it; a wrong name leaves it 0 [MQTT-3.1.2-1].
 */
static enum mqtt_reason
decode_version(struct wire *w, struct mqtt_connect *connect)
{
	struct slice name = wire_binary(w);
	uint8_t level = wire_u8(w);
	bool is_old;

	connect->version = 0;
	if (w->bad)
		return MQTT_MALFORMED_PACKET;
	is_old = slice_equal_string(name, "MQIsdp");
	if (!is_old && !slice_equal_string(name, "MQTT"))
		return MQTT_UNSUPPORTED_PROTOCOL_VERSION;

	/* Whoever says MQIsdp does not know the answers of 5.0. */
	if (is_old) {
		connect->version = MQTT_3_1;
		return level == MQTT_3_1 ? MQTT_SUCCESS
					 : MQTT_UNSUPPORTED_PROTOCOL_VERSION;
	}
	/* Level 0 is nobody's, but is answered, as any below ours. */
	connect->version = level == 0 ? 1 : level;
	/* [MQTT-3.1.2-2] */
	return level == MQTT_3_1_1 || level == MQTT_5
	    ? MQTT_SUCCESS
	    : MQTT_UNSUPPORTED_PROTOCOL_VERSION;
}

static bool
flags_are_valid(uint8_t flags, uint8_t version)
{
	uint8_t will_bits = FLAG_WILL_RETAIN | WILL_QOS_MASK;

	/* [MQTT-3.1.2-3] */
	if ((flags & FLAG_RESERVED) != 0)
		return false;
	/* [MQTT-3.1.2-11] [MQTT-3.1.2-13] no will: no QoS, no retain */
	if ((flags & FLAG_WILL) == 0 && (flags & will_bits) != 0)
		return false;
	/* [MQTT-3.1.2-12] */
	if ((flags & WILL_QOS_MASK) == WILL_QOS_MASK)
		return false;
	/* Before 5.0, [MQTT3-3.1.2-22]: no password without a user name. */
	return version == MQTT_5 || (flags & FLAG_USERNAME) != 0 ||
	    (flags & FLAG_PASSWORD) == 0;
}

static void
store_flags(struct mqtt_connect *connect, uint8_t flags)
{
	connect->clean_start = (flags & FLAG_CLEAN_START) != 0;
	connect->has_will = (flags & FLAG_WILL) != 0;
	connect->has_username = (flags & FLAG_USERNAME) != 0;
	connect->has_password = (flags & FLAG_PASSWORD) != 0;
	connect->will_retain = (flags & FLAG_WILL_RETAIN) != 0;
	connect->will_qos = (flags & WILL_QOS_MASK) >> WILL_QOS_SHIFT;
}

static enum mqtt_reason
decode_properties(struct wire *w, const struct mqtt_connect *connect,
    unsigned type, struct mqtt_properties *properties)
{
	if (connect->version != MQTT_5)
		return MQTT_SUCCESS;
	return mqtt_properties_decode(w, type, MQTT_SERVER, properties);
}

static enum mqtt_reason
decode_client_id(struct wire *w, struct mqtt_connect *connect)
{
	/* [MQTT-3.1.3-3] [MQTT-3.1.3-4] */
	connect->client_id = wire_utf8(w);
	if (w->bad)
		return MQTT_MALFORMED_PACKET;
	if (connect->client_id.len != 0 || connect->version == MQTT_5)
		return MQTT_SUCCESS;

	/* 3.1 wants an id always, 3.1.1 [MQTT3-3.1.3-8] to keep a session */
	if (connect->version == MQTT_3_1 || !connect->clean_start)
		return MQTT_CLIENT_IDENTIFIER_NOT_VALID;
	return MQTT_SUCCESS;
}

static enum mqtt_reason
decode_will(struct wire *w, struct mqtt_connect *connect)
{
	enum mqtt_reason reason;

	if (!connect->has_will)
		return MQTT_SUCCESS;
	/* [MQTT-3.1.2-9] */
	reason = decode_properties(
	    w, connect, MQTT_WILL_PROPERTIES, &connect->will_properties);
	if (reason != MQTT_SUCCESS)
		return reason;

	connect->will_topic = wire_utf8(w); /* [MQTT-3.1.3-11] */
	connect->will_payload = wire_binary(w);
	if (w->bad)
		return MQTT_MALFORMED_PACKET;
	return topic_name_is_valid(connect->will_topic)
	    ? MQTT_SUCCESS
	    : MQTT_TOPIC_NAME_INVALID;
}

/* The fields come in this order [MQTT-3.1.3-1]. */
static enum mqtt_reason
decode_payload(struct wire *w, struct mqtt_connect *connect)
{
	enum mqtt_reason reason;

	reason = decode_client_id(w, connect);
	if (reason != MQTT_SUCCESS)
		return reason;
	reason = decode_will(w, connect);
	if (reason != MQTT_SUCCESS)
		return reason;
	/* [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] */
	if (connect->has_username)
		connect->username = wire_utf8(w); /* [MQTT-3.1.3-12] */
	if (connect->has_password)
		connect->password = wire_binary(w);
	return w->bad || wire_left(w) != 0 ? MQTT_MALFORMED_PACKET
					   : MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_decode_connect(
    const struct mqtt_frame *frame, struct mqtt_connect *connect)
{
	struct wire w = wire_read(frame->body);
	enum mqtt_reason reason;
	uint8_t flags;

	*connect = (struct mqtt_connect){ 0 };
	reason = decode_version(&w, connect);
	if (reason != MQTT_SUCCESS)
		return reason;
	if (frame->overlong && connect->version == MQTT_5)
		return MQTT_MALFORMED_PACKET; /* [MQTT-1.5.5-1] */

	flags = wire_u8(&w);
	connect->keep_alive_s = wire_u16(&w);
	if (w.bad || !flags_are_valid(flags, connect->version))
		return MQTT_MALFORMED_PACKET;
	store_flags(connect, flags);

	reason =
	    decode_properties(&w, connect, MQTT_CONNECT, &connect->properties);
	if (reason != MQTT_SUCCESS)
		return reason;
	return decode_payload(&w, connect);
}
