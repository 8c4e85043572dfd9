/* SPDX-License-Identifier: Apache-2.0 */

/*
 * encode - from packets to bytes, for MQTT 3.1, 3.1.1 and 5.0, both sides.
 *
 * Every packet has a pair of functions: mqtt_X_size() gives the exact number
 * of bytes, mqtt_encode_X() writes them into the caller's buffer and returns
 * how many it wrote.  Both return 0 for a packet that cannot be expressed (a
 * string above 65,535 bytes, a packet above 256 MiB); encoding also returns
 * 0 when the buffer is too small, and its contents are then undefined.
 *
 * Properties and reasons that a version does not have are left out, old
 * return codes are translated.  What is written is not checked against the
 * rules of decoding: topics and texts are the caller's to get right.
 *
 * The functions are pure; any thread may call them.
 */

#ifndef WEIR_COMMON_MQTT_ENCODE_H
#define WEIR_COMMON_MQTT_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "common/mqtt/packet.h"

/* Enough for PINGREQ, PINGRESP, and an ack or DISCONNECT without properties. */
#define MQTT_SMALL_PACKET_BYTES 6

/*
 * A PUBLISH to send.  `properties` goes out as it is: the bytes that
 * mqtt_properties_forwardable() gave.  What differs between receivers has
 * fields of its own.
 */
struct mqtt_publish_out {
	bool dup;
	bool retain;
	bool has_message_expiry;
	uint8_t qos;
	uint16_t packet_id;   /* used when qos is not 0 */
	uint16_t topic_alias; /* 0: none */
	uint32_t message_expiry_interval_s;
	const uint32_t *subscription_identifiers; /* each 1 to 268,435,455 */
	size_t subscription_identifier_count;
	struct slice topic;
	struct slice properties;
	struct slice payload;
};

/*
 * Where things are in an encoded PUBLISH, so that one encoding serves many
 * receivers, and a message that waited can be sent without encoding anew.
 * An offset is 0 when the field is not there.
 */
struct mqtt_publish_layout {
	size_t size;
	size_t packet_id_offset;      /* mqtt_patch_packet_id() */
	size_t message_expiry_offset; /* mqtt_patch_message_expiry() */
	size_t topic_alias_offset;    /* mqtt_patch_topic_alias() */
	size_t payload_offset;        /* always there, may equal size */
};

size_t mqtt_publish_size(
    const struct mqtt_publish_out *publish, enum mqtt_version version);

/* *out_layout is filled on success; it may be NULL. */
size_t mqtt_encode_publish(uint8_t *buffer, size_t size,
    const struct mqtt_publish_out *publish, enum mqtt_version version,
    struct mqtt_publish_layout *out_layout);

/*
 * As mqtt_encode_publish(), but leaves the payload out: returns the offset
 * at which the caller is to put it, so it may stay where it is until
 * writev(2).  publish->payload.data is not looked at.
 */
size_t mqtt_encode_publish_head(uint8_t *buffer, size_t size,
    const struct mqtt_publish_out *publish, enum mqtt_version version,
    struct mqtt_publish_layout *out_layout);

/* Put another packet identifier into an encoded PUBLISH. */
static inline void
mqtt_patch_packet_id(uint8_t *packet, const struct mqtt_publish_layout *layout,
    uint16_t packet_id)
{
	wire_store_u16(packet + layout->packet_id_offset, packet_id);
}

/* Put another Message Expiry Interval into an encoded PUBLISH. */
static inline void
mqtt_patch_message_expiry(uint8_t *packet,
    const struct mqtt_publish_layout *layout, uint32_t expiry_s)
{
	wire_store_u32(packet + layout->message_expiry_offset, expiry_s);
}

/* Put another Topic Alias into an encoded PUBLISH that has one. */
static inline void
mqtt_patch_topic_alias(
    uint8_t *packet, const struct mqtt_publish_layout *layout, uint16_t alias)
{
	wire_store_u16(packet + layout->topic_alias_offset, alias);
}

/* Set the DUP flag of an encoded PUBLISH. */
static inline void
mqtt_patch_dup(uint8_t *packet)
{
	packet[0] |= 0x08;
}

/* CONNECT, in the version that connect->version says. */
size_t mqtt_connect_size(const struct mqtt_connect *connect);
size_t mqtt_encode_connect(
    uint8_t *buffer, size_t size, const struct mqtt_connect *connect);

/* Session Present is sent as 0 with an error [MQTT-3.2.2-6], and in 3.1. */
size_t mqtt_connack_size(
    const struct mqtt_connack *connack, enum mqtt_version version);
size_t mqtt_encode_connack(uint8_t *buffer, size_t size,
    const struct mqtt_connack *connack, enum mqtt_version version);

/* PUBACK, PUBREC, PUBREL or PUBCOMP, as `type` says. */
size_t mqtt_ack_size(const struct mqtt_ack *ack, enum mqtt_version version);
size_t mqtt_encode_ack(uint8_t *buffer, size_t size, enum mqtt_packet_type type,
    const struct mqtt_ack *ack, enum mqtt_version version);

/*
 * The commonest acks: a packet identifier and success, 4 bytes in every
 * version, into a buffer that has room for them.
 */
static inline void
mqtt_encode_ack_success(
    uint8_t buffer[4], enum mqtt_packet_type type, uint16_t packet_id)
{
	buffer[0] = (uint8_t)(type << 4 | (type == MQTT_PUBREL ? 2 : 0));
	buffer[1] = 2;
	wire_store_u16(buffer + 2, packet_id);
}

/* SUBSCRIBE for a list; properties may be NULL. */
size_t mqtt_subscribe_size(const struct mqtt_subscription *list, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version);
size_t mqtt_encode_subscribe(uint8_t *buffer, size_t size, uint16_t packet_id,
    const struct mqtt_subscription *list, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version);

/* UNSUBSCRIBE for a list of filters; properties may be NULL. */
size_t mqtt_unsubscribe_size(const struct slice *filters, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version);
size_t mqtt_encode_unsubscribe(uint8_t *buffer, size_t size, uint16_t packet_id,
    const struct slice *filters, size_t count,
    const struct mqtt_properties *properties, enum mqtt_version version);

/* SUBACK or UNSUBACK, as `type` says; the codes are those of MQTT 5.0. */
size_t mqtt_suback_size(enum mqtt_packet_type type,
    const struct mqtt_suback *suback, enum mqtt_version version);
size_t mqtt_encode_suback(uint8_t *buffer, size_t size,
    enum mqtt_packet_type type, const struct mqtt_suback *suback,
    enum mqtt_version version);

/* PINGREQ or PINGRESP: 2 bytes. */
size_t mqtt_encode_ping(
    uint8_t *buffer, size_t size, enum mqtt_packet_type type);

/*
 * DISCONNECT.  The old versions have no reasons: there it is two bytes, and
 * only a client may send it.
 */
size_t mqtt_disconnect_size(
    const struct mqtt_disconnect *disconnect, enum mqtt_version version);
size_t mqtt_encode_disconnect(uint8_t *buffer, size_t size,
    const struct mqtt_disconnect *disconnect, enum mqtt_version version);

/* AUTH, which MQTT 5.0 alone has. */
size_t mqtt_auth_size(const struct mqtt_disconnect *auth);
size_t mqtt_encode_auth(
    uint8_t *buffer, size_t size, const struct mqtt_disconnect *auth);

#endif
