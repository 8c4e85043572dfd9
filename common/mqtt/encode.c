/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/encode.h"

#include "common/mqtt/encode_parts.h"

static const struct mqtt_properties no_properties;

static const struct mqtt_properties *
or_none(const struct mqtt_properties *properties)
{
	return properties == NULL ? &no_properties : properties;
}

/* The property bytes of a PUBLISH, without their length. */
static size_t
publish_properties_size(const struct mqtt_publish_out *publish)
{
	size_t size = encode_bounded(publish->properties.len);

	if (publish->has_message_expiry)
		size += 5;
	if (publish->topic_alias != 0)
		size += 3;
	for (size_t i = 0; i < publish->subscription_identifier_count; i++)
		size +=
		    1 + wire_varint_size(publish->subscription_identifiers[i]);
	return size;
}

static size_t
publish_remaining(
    const struct mqtt_publish_out *publish, enum mqtt_version version)
{
	size_t size, properties;

	size = wire_binary_size(publish->topic) +
	    encode_bounded(publish->payload.len);
	if (publish->qos != 0)
		size += 2;
	if (version == MQTT_5) {
		properties = encode_bounded(publish_properties_size(publish));
		size += properties + wire_varint_size((uint32_t)properties);
	}
	return size;
}

/* The expiry comes first, where mqtt_patch_message_expiry() finds it. */
static void
put_publish_properties(
    struct wire_out *w, const struct mqtt_publish_out *publish)
{
	wire_put_varint(w, (uint32_t)publish_properties_size(publish));
	if (publish->has_message_expiry) {
		wire_put_u8(w, MQTT_MESSAGE_EXPIRY_INTERVAL);
		wire_put_u32(w, publish->message_expiry_interval_s);
	}
	if (publish->topic_alias != 0) {
		wire_put_u8(w, MQTT_TOPIC_ALIAS);
		wire_put_u16(w, publish->topic_alias);
	}
	for (size_t i = 0; i < publish->subscription_identifier_count; i++) {
		wire_put_u8(w, MQTT_SUBSCRIPTION_IDENTIFIER);
		wire_put_varint(w, publish->subscription_identifiers[i]);
	}
	wire_put_bytes(w, publish->properties);
}

/* Where put_publish_properties() puts what is patched, from `at` on. */
static void
note_offsets(const struct mqtt_publish_out *publish, size_t at,
    struct mqtt_publish_layout *layout)
{
	at += wire_varint_size((uint32_t)publish_properties_size(publish));
	if (publish->has_message_expiry) {
		layout->message_expiry_offset = at + 1;
		at += 5;
	}
	if (publish->topic_alias != 0)
		layout->topic_alias_offset = at + 1;
}

static uint8_t
publish_flags(const struct mqtt_publish_out *publish)
{
	return (uint8_t)((publish->dup ? 0x08 : 0) | publish->qos << 1 |
	    (publish->retain ? 0x01 : 0));
}

size_t
mqtt_publish_size(
    const struct mqtt_publish_out *publish, enum mqtt_version version)
{
	return encode_packet_size(publish_remaining(publish, version));
}

size_t
mqtt_encode_publish_head(uint8_t *buffer, size_t size,
    const struct mqtt_publish_out *publish, enum mqtt_version version,
    struct mqtt_publish_layout *out_layout)
{
	size_t remaining = publish_remaining(publish, version);
	struct wire_out w = wire_write(buffer, size);
	struct mqtt_publish_layout layout = { 0 };

	encode_put_header(&w, MQTT_PUBLISH, publish_flags(publish), remaining);
	if (w.bad)
		return 0;
	wire_put_binary(&w, publish->topic);
	if (publish->qos != 0) {
		layout.packet_id_offset = (size_t)(w.p - buffer);
		wire_put_u16(&w, publish->packet_id);
	}
	if (version == MQTT_5) {
		note_offsets(publish, (size_t)(w.p - buffer), &layout);
		put_publish_properties(&w, publish);
	}
	if (w.bad)
		return 0;

	layout.size = encode_packet_size(remaining);
	layout.payload_offset = (size_t)(w.p - buffer);
	if (out_layout != NULL)
		*out_layout = layout;
	return layout.payload_offset;
}

size_t
mqtt_encode_publish(uint8_t *buffer, size_t size,
    const struct mqtt_publish_out *publish, enum mqtt_version version,
    struct mqtt_publish_layout *out_layout)
{
	struct mqtt_publish_layout layout;
	size_t head;

	head =
	    mqtt_encode_publish_head(buffer, size, publish, version, &layout);
	if (head == 0 || publish->payload.len > size - head)
		return 0;

	if (publish->payload.len != 0)
		memcpy(
		    buffer + head, publish->payload.data, publish->payload.len);
	if (out_layout != NULL)
		*out_layout = layout;
	return layout.size;
}

/* Success and nothing to add: MQTT 5.0 leaves the reason out as well. */
static bool
is_bare(enum mqtt_reason reason, const struct mqtt_properties *properties)
{
	return reason == MQTT_SUCCESS && mqtt_properties_size(properties) == 0;
}

/* A reason and properties, of which as many as needed are there. */
static size_t
reason_size(enum mqtt_reason reason, const struct mqtt_properties *properties,
    enum mqtt_version version)
{
	if (version != MQTT_5 || is_bare(reason, properties))
		return 0;
	if (mqtt_properties_size(properties) == 0)
		return 1;
	return 1 + encode_properties_size(properties, version);
}

static void
put_reason(struct wire_out *w, enum mqtt_reason reason,
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	if (version != MQTT_5 || is_bare(reason, properties))
		return;
	wire_put_u8(w, (uint8_t)reason);
	if (mqtt_properties_size(properties) != 0)
		mqtt_properties_put(w, properties);
}

static size_t
ack_remaining(const struct mqtt_ack *ack, enum mqtt_version version)
{
	return 2 + reason_size(ack->reason, &ack->properties, version);
}

size_t
mqtt_ack_size(const struct mqtt_ack *ack, enum mqtt_version version)
{
	return encode_packet_size(ack_remaining(ack, version));
}

size_t
mqtt_encode_ack(uint8_t *buffer, size_t size, enum mqtt_packet_type type,
    const struct mqtt_ack *ack, enum mqtt_version version)
{
	struct wire_out w = wire_write(buffer, size);

	encode_put_header(
	    &w, type, type == MQTT_PUBREL ? 2 : 0, ack_remaining(ack, version));
	wire_put_u16(&w, ack->packet_id);
	put_reason(&w, ack->reason, &ack->properties, version);
	return encode_written(&w, buffer);
}

static size_t
subscribe_remaining(const struct mqtt_subscription *list, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	size_t size = 2 + encode_properties_size(or_none(properties), version);

	for (size_t i = 0; i < count; i++)
		size += wire_binary_size(list[i].filter) + 1;
	return size;
}

static uint8_t
options_of(
    const struct mqtt_subscription *subscription, enum mqtt_version version)
{
	if (version != MQTT_5)
		return subscription->qos;
	return (uint8_t)(subscription->qos |
	    (subscription->no_local ? 0x04 : 0) |
	    (subscription->retain_as_published ? 0x08 : 0) |
	    subscription->retain_handling << 4);
}

size_t
mqtt_subscribe_size(const struct mqtt_subscription *list, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	return encode_packet_size(
	    subscribe_remaining(list, count, properties, version));
}

size_t
mqtt_encode_subscribe(uint8_t *buffer, size_t size, uint16_t packet_id,
    const struct mqtt_subscription *list, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	struct wire_out w = wire_write(buffer, size);

	encode_put_header(&w, MQTT_SUBSCRIBE, 2,
	    subscribe_remaining(list, count, properties, version));
	wire_put_u16(&w, packet_id);
	encode_put_properties(&w, or_none(properties), version);
	for (size_t i = 0; i < count; i++) {
		wire_put_binary(&w, list[i].filter);
		wire_put_u8(&w, options_of(&list[i], version));
	}
	return encode_written(&w, buffer);
}

static size_t
unsubscribe_remaining(const struct slice *filters, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	size_t size = 2 + encode_properties_size(or_none(properties), version);

	for (size_t i = 0; i < count; i++)
		size += wire_binary_size(filters[i]);
	return size;
}

size_t
mqtt_unsubscribe_size(const struct slice *filters, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	return encode_packet_size(
	    unsubscribe_remaining(filters, count, properties, version));
}

size_t
mqtt_encode_unsubscribe(uint8_t *buffer, size_t size, uint16_t packet_id,
    const struct slice *filters, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	struct wire_out w = wire_write(buffer, size);

	encode_put_header(&w, MQTT_UNSUBSCRIBE, 2,
	    unsubscribe_remaining(filters, count, properties, version));
	wire_put_u16(&w, packet_id);
	encode_put_properties(&w, or_none(properties), version);
	for (size_t i = 0; i < count; i++)
		wire_put_binary(&w, filters[i]);
	return encode_written(&w, buffer);
}

/* An old UNSUBACK has no codes. */
static bool
has_codes(enum mqtt_packet_type type, enum mqtt_version version)
{
	return version == MQTT_5 || type == MQTT_SUBACK;
}

static size_t
suback_remaining(enum mqtt_packet_type type, const struct mqtt_suback *suback,
    enum mqtt_version version)
{
	return 2 + encode_properties_size(&suback->properties, version) +
	    (has_codes(type, version) ? encode_bounded(suback->codes.len) : 0);
}

size_t
mqtt_suback_size(enum mqtt_packet_type type, const struct mqtt_suback *suback,
    enum mqtt_version version)
{
	return encode_packet_size(suback_remaining(type, suback, version));
}

size_t
mqtt_encode_suback(uint8_t *buffer, size_t size, enum mqtt_packet_type type,
    const struct mqtt_suback *suback, enum mqtt_version version)
{
	struct wire_out w = wire_write(buffer, size);
	uint8_t code;

	encode_put_header(&w, type, 0, suback_remaining(type, suback, version));
	wire_put_u16(&w, suback->packet_id);
	encode_put_properties(&w, &suback->properties, version);
	if (!has_codes(type, version))
		return encode_written(&w, buffer);

	for (size_t i = 0; i < suback->codes.len && !w.bad; i++) {
		code = suback->codes.data[i];
		if (version != MQTT_5)
			code = mqtt_reason_to_suback3((enum mqtt_reason)code);
		wire_put_u8(&w, code);
	}
	return encode_written(&w, buffer);
}

size_t
mqtt_encode_ping(uint8_t *buffer, size_t size, enum mqtt_packet_type type)
{
	struct wire_out w = wire_write(buffer, size);

	encode_put_header(&w, type, 0, 0);
	return encode_written(&w, buffer);
}

/* DISCONNECT and AUTH differ in their type alone. */
static size_t
encode_reason_packet(uint8_t *buffer, size_t size, enum mqtt_packet_type type,
    const struct mqtt_disconnect *packet, enum mqtt_version version)
{
	struct wire_out w = wire_write(buffer, size);

	encode_put_header(&w, type, 0,
	    reason_size(packet->reason, &packet->properties, version));
	put_reason(&w, packet->reason, &packet->properties, version);
	return encode_written(&w, buffer);
}

size_t
mqtt_disconnect_size(
    const struct mqtt_disconnect *disconnect, enum mqtt_version version)
{
	return encode_packet_size(
	    reason_size(disconnect->reason, &disconnect->properties, version));
}

size_t
mqtt_encode_disconnect(uint8_t *buffer, size_t size,
    const struct mqtt_disconnect *disconnect, enum mqtt_version version)
{
	return encode_reason_packet(
	    buffer, size, MQTT_DISCONNECT, disconnect, version);
}

size_t
mqtt_auth_size(const struct mqtt_disconnect *auth)
{
	return mqtt_disconnect_size(auth, MQTT_5);
}

size_t
mqtt_encode_auth(
    uint8_t *buffer, size_t size, const struct mqtt_disconnect *auth)
{
	return encode_reason_packet(buffer, size, MQTT_AUTH, auth, MQTT_5);
}
