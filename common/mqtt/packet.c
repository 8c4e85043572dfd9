/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/packet.h"

#include "common/msg/topic.h"

/* [MQTT-1.5.5-1] is new in MQTT 5.0: older senders may pad the length. */
static bool
length_is_valid(const struct mqtt_frame *frame, enum mqtt_version version)
{
	return !frame->overlong || version != MQTT_5;
}

/* The properties of a packet, which the old versions do not have. */
static enum mqtt_reason
decode_properties(struct wire *w, const struct mqtt_frame *frame,
    enum mqtt_version version, enum mqtt_role role,
    struct mqtt_properties *properties)
{
	if (version != MQTT_5) {
		mqtt_properties_clear(properties);
		return MQTT_SUCCESS;
	}
	return mqtt_properties_decode(w, frame->type, role, properties);
}

enum mqtt_reason
mqtt_decode_connack(const struct mqtt_frame *frame, enum mqtt_version version,
    struct mqtt_connack *connack)
{
	struct wire w = wire_read(frame->body);
	enum mqtt_reason reason;
	uint8_t flags, code;

	flags = wire_u8(&w);
	code = wire_u8(&w);
	/* [MQTT-3.2.2-1] */
	if (w.bad || (flags & 0xfe) != 0 || !length_is_valid(frame, version))
		return MQTT_MALFORMED_PACKET;

	reason = decode_properties(
	    &w, frame, version, MQTT_CLIENT, &connack->properties);
	if (reason != MQTT_SUCCESS)
		return reason;
	if (wire_left(&w) != 0)
		return MQTT_MALFORMED_PACKET;

	connack->session_present = flags == 1 && version != MQTT_3_1;
	if (version == MQTT_5) {
		/* [MQTT-3.2.2-8] */
		if (!mqtt_reason_is_allowed(code, MQTT_CONNACK))
			return MQTT_PROTOCOL_ERROR;
		connack->reason = (enum mqtt_reason)code;
	} else {
		if (code > MQTT_CONNACK3_NOT_AUTHORIZED)
			return MQTT_PROTOCOL_ERROR;
		connack->reason = mqtt_reason_from_connack3(code);
	}
	/* [MQTT-3.2.2-6] */
	if (connack->session_present && connack->reason != MQTT_SUCCESS)
		return MQTT_PROTOCOL_ERROR;
	return MQTT_SUCCESS;
}

static enum mqtt_reason
check_topic(const struct mqtt_publish *publish, enum mqtt_version version)
{
	struct slice topic = publish->topic;

	if (topic.len == 0) {
		if (version != MQTT_5)
			return MQTT_MALFORMED_PACKET; /* [MQTT-4.7.3-1] */
		return mqtt_properties_has(
			   &publish->properties, MQTT_TOPIC_ALIAS)
		    ? MQTT_SUCCESS
		    : MQTT_PROTOCOL_ERROR;
	}
	if (topic_name_is_valid(topic))
		return MQTT_SUCCESS;

	/* [MQTT-3.3.2-1] not text; [MQTT-3.3.2-2] text with wildcards */
	return utf8_is_valid(topic) ? MQTT_TOPIC_NAME_INVALID
				    : MQTT_MALFORMED_PACKET;
}

enum mqtt_reason
mqtt_decode_publish(const struct mqtt_frame *frame, enum mqtt_version version,
    enum mqtt_role role, struct mqtt_publish *publish)
{
	struct wire w = wire_read(frame->body);
	enum mqtt_reason reason;

	publish->dup = (frame->flags & 0x08) != 0;
	publish->retain = (frame->flags & 0x01) != 0;
	publish->qos = frame->flags >> 1 & 3;
	publish->topic = wire_binary(&w);
	publish->packet_id = 0;
	/* [MQTT-2.2.1-2] */
	if (publish->qos != 0) {
		publish->packet_id = wire_u16(&w);
		/* [MQTT-2.2.1-3] [MQTT-2.2.1-4] */
		if (!w.bad && publish->packet_id == 0)
			return MQTT_PROTOCOL_ERROR;
	}
	if (w.bad || !length_is_valid(frame, version))
		return MQTT_MALFORMED_PACKET;

	reason =
	    decode_properties(&w, frame, version, role, &publish->properties);
	if (reason != MQTT_SUCCESS)
		return reason;
	publish->payload = wire_rest(&w);
	return check_topic(publish, version);
}

/* The reason code and properties that end many packets of MQTT 5.0. */
static enum mqtt_reason
decode_reason(struct wire *w, const struct mqtt_frame *frame,
    enum mqtt_role role, enum mqtt_reason *code,
    struct mqtt_properties *properties)
{
	enum mqtt_reason reason;
	uint8_t byte;

	*code = MQTT_SUCCESS;
	mqtt_properties_clear(properties);
	if (wire_left(w) == 0)
		return MQTT_SUCCESS;

	/* [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] */
	byte = wire_u8(w);
	if (!mqtt_reason_is_allowed(byte, frame->type))
		return MQTT_PROTOCOL_ERROR;
	*code = (enum mqtt_reason)byte;
	if (wire_left(w) == 0)
		return MQTT_SUCCESS;

	reason = mqtt_properties_decode(w, frame->type, role, properties);
	if (reason == MQTT_SUCCESS && wire_left(w) != 0)
		return MQTT_MALFORMED_PACKET;
	return reason;
}

/* A packet identifier, and what has to follow it. */
static enum mqtt_reason
decode_packet_id(struct wire *w, const struct mqtt_frame *frame,
    enum mqtt_version version, uint16_t *packet_id)
{
	*packet_id = wire_u16(w);
	if (w->bad || !length_is_valid(frame, version))
		return MQTT_MALFORMED_PACKET;

	/* [MQTT-2.2.1-3] */
	return *packet_id == 0 ? MQTT_PROTOCOL_ERROR : MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_decode_ack(const struct mqtt_frame *frame, enum mqtt_version version,
    struct mqtt_ack *ack)
{
	struct wire w = wire_read(frame->body);
	enum mqtt_reason reason;

	reason = decode_packet_id(&w, frame, version, &ack->packet_id);
	if (reason != MQTT_SUCCESS)
		return reason;
	if (wire_left(&w) != 0 && version != MQTT_5)
		return MQTT_MALFORMED_PACKET;

	/* An ack has no property for which our role matters. */
	return decode_reason(
	    &w, frame, MQTT_SERVER, &ack->reason, &ack->properties);
}

/* What SUBSCRIBE and UNSUBSCRIBE have in common: all but their lines. */
static enum mqtt_reason
decode_before_filters(struct wire *w, const struct mqtt_frame *frame,
    enum mqtt_version version, uint16_t *packet_id,
    struct mqtt_properties *properties)
{
	enum mqtt_reason reason;

	reason = decode_packet_id(w, frame, version, packet_id);
	if (reason != MQTT_SUCCESS)
		return reason;
	reason = decode_properties(w, frame, version, MQTT_SERVER, properties);
	if (reason != MQTT_SUCCESS)
		return reason;

	/* [MQTT-3.8.3-2] [MQTT-3.10.3-2] at least one filter */
	return wire_left(w) == 0 ? MQTT_PROTOCOL_ERROR : MQTT_SUCCESS;
}

static enum mqtt_reason
check_filter(const struct wire *w, struct slice filter)
{
	/* [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-1] */
	if (w->bad || filter.len == 0 || !utf8_is_valid(filter))
		return MQTT_MALFORMED_PACKET;
	return topic_filter_is_valid(filter) ? MQTT_SUCCESS
					     : MQTT_TOPIC_FILTER_INVALID;
}

static enum mqtt_reason
check_options(uint8_t options, struct slice filter, enum mqtt_version version)
{
	uint8_t reserved = version == MQTT_5 ? 0xc0 : 0xfc;

	/* [MQTT-3.8.3-5] reserved bits must be zero */
	if ((options & reserved) != 0)
		return MQTT_MALFORMED_PACKET;
	/* No QoS 3, no retain handling 3. */
	if ((options & 0x03) == 0x03 || (options & 0x30) == 0x30)
		return MQTT_PROTOCOL_ERROR;
	/* [MQTT-3.8.3-4] no "no local" on a shared subscription */
	if ((options & 0x04) != 0 && topic_is_shared(filter))
		return MQTT_PROTOCOL_ERROR;
	return MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_decode_subscribe(const struct mqtt_frame *frame, enum mqtt_version version,
    struct mqtt_subscribe *subscribe)
{
	struct wire w = wire_read(frame->body);
	enum mqtt_reason reason;
	struct slice filter;
	uint8_t options;

	reason = decode_before_filters(
	    &w, frame, version, &subscribe->packet_id, &subscribe->properties);
	if (reason != MQTT_SUCCESS)
		return reason;

	subscribe->filters = slice_of(w.p, wire_left(&w));
	for (subscribe->count = 0; wire_left(&w) != 0; subscribe->count++) {
		filter = wire_binary(&w);
		options = wire_u8(&w);
		reason = check_filter(&w, filter);
		if (reason != MQTT_SUCCESS)
			return reason;
		reason = check_options(options, filter, version);
		if (reason != MQTT_SUCCESS)
			return reason;
	}
	return MQTT_SUCCESS;
}

bool
mqtt_subscribe_next(
    struct wire *walk, struct mqtt_subscription *out_subscription)
{
	struct slice filter = wire_binary(walk);
	uint8_t options = wire_u8(walk);

	if (walk->bad)
		return false;
	*out_subscription = (struct mqtt_subscription){
		.filter = filter,
		.qos = options & 0x03,
		.no_local = (options & 0x04) != 0,
		.retain_as_published = (options & 0x08) != 0,
		.retain_handling = options >> 4 & 0x03,
	};
	return true;
}

enum mqtt_reason
mqtt_decode_unsubscribe(const struct mqtt_frame *frame,
    enum mqtt_version version, struct mqtt_unsubscribe *unsubscribe)
{
	struct wire w = wire_read(frame->body);
	enum mqtt_reason reason;

	reason = decode_before_filters(&w, frame, version,
	    &unsubscribe->packet_id, &unsubscribe->properties);
	if (reason != MQTT_SUCCESS)
		return reason;

	unsubscribe->filters = slice_of(w.p, wire_left(&w));
	for (unsubscribe->count = 0; wire_left(&w) != 0; unsubscribe->count++) {
		reason = check_filter(&w, wire_binary(&w));
		if (reason != MQTT_SUCCESS)
			return reason;
	}
	return MQTT_SUCCESS;
}

bool
mqtt_unsubscribe_next(struct wire *walk, struct slice *out_filter)
{
	struct slice filter = wire_binary(walk);

	if (walk->bad)
		return false;
	*out_filter = filter;
	return true;
}

/* [MQTT-3.9.3-2] [MQTT-3.11.3-2] codes that the packet may hold */
static bool
code_is_allowed(uint8_t code, unsigned type, enum mqtt_version version)
{
	if (version == MQTT_5)
		return mqtt_reason_is_allowed(code, type);
	return code <= 2 || code == 0x80;
}

enum mqtt_reason
mqtt_decode_suback(const struct mqtt_frame *frame, enum mqtt_version version,
    struct mqtt_suback *suback)
{
	struct wire w = wire_read(frame->body);
	bool has_codes = version == MQTT_5 || frame->type == MQTT_SUBACK;
	enum mqtt_reason reason;

	reason = decode_packet_id(&w, frame, version, &suback->packet_id);
	if (reason != MQTT_SUCCESS)
		return reason;
	reason = decode_properties(
	    &w, frame, version, MQTT_CLIENT, &suback->properties);
	if (reason != MQTT_SUCCESS)
		return reason;

	suback->codes = wire_rest(&w);
	if ((suback->codes.len != 0) != has_codes)
		return MQTT_MALFORMED_PACKET;
	for (size_t i = 0; i < suback->codes.len; i++) {
		if (!code_is_allowed(
			suback->codes.data[i], frame->type, version))
			return MQTT_PROTOCOL_ERROR;
	}
	return MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_decode_ping(const struct mqtt_frame *frame, enum mqtt_version version)
{
	if (frame->body.len != 0 || !length_is_valid(frame, version))
		return MQTT_MALFORMED_PACKET;
	return MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_decode_disconnect(const struct mqtt_frame *frame,
    enum mqtt_version version, enum mqtt_role role,
    struct mqtt_disconnect *disconnect)
{
	struct wire w = wire_read(frame->body);

	if (!length_is_valid(frame, version))
		return MQTT_MALFORMED_PACKET;
	if (wire_left(&w) != 0 && version != MQTT_5)
		return MQTT_MALFORMED_PACKET;
	return decode_reason(
	    &w, frame, role, &disconnect->reason, &disconnect->properties);
}

enum mqtt_reason
mqtt_decode_auth(const struct mqtt_frame *frame, enum mqtt_version version,
    struct mqtt_disconnect *auth)
{
	struct wire w = wire_read(frame->body);

	if (version != MQTT_5)
		return MQTT_PROTOCOL_ERROR;
	if (!length_is_valid(frame, version))
		return MQTT_MALFORMED_PACKET;
	return decode_reason(
	    &w, frame, MQTT_SERVER, &auth->reason, &auth->properties);
}
