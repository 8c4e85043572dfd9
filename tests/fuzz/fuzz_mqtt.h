/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_mqtt - what the targets for MQTT packets have in common.
 *
 * A target for one type of packet takes an input apart into a byte that
 * chooses, and a body.  The fixed header is built for it, so that each
 * execution reaches the decoder:
 *
 *	bit 0-1	version: 3.1, 3.1.1, 5.0, 5.0
 *	bit 2	the length has a byte more than it needs
 *	bit 3-6	the flags of a PUBLISH
 *	bit 7	our role: client, else server
 *
 * The packet lies in memory of its own length: AddressSanitizer sees every
 * byte read outside.  What can be decoded is encoded again and has to decode
 * to the same.
 */

#ifndef WEIR_TESTS_FUZZ_FUZZ_MQTT_H
#define WEIR_TESTS_FUZZ_FUZZ_MQTT_H

#include <stdlib.h>
#include <string.h>

#include "common/mqtt/encode.h"
#include "common/mqtt/packet.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/mqtt_any.h"

struct fuzz_packet {
	enum mqtt_version version;
	enum mqtt_role role;
	struct mqtt_frame frame;
	uint8_t *bytes; /* free() it */
};

static inline enum mqtt_version
fuzz_version(uint8_t choice)
{
	unsigned level = 3 + (choice & 3);

	return (enum mqtt_version)(level > 5 ? 5 : level);
}

static inline enum mqtt_role
fuzz_role(uint8_t choice)
{
	return (choice & 0x80) != 0 ? MQTT_CLIENT : MQTT_SERVER;
}

/* The low four bits of the first byte that this type must have. */
static inline uint8_t
fuzz_flags(unsigned type, uint8_t choice)
{
	if (type == MQTT_PUBLISH)
		return choice >> 3 & 0x0f;
	return type == MQTT_PUBREL || type == MQTT_SUBSCRIBE ||
		type == MQTT_UNSUBSCRIBE
	    ? 0x02
	    : 0;
}

/*
 * Make a packet of the input; false (and nothing to free) if there is none,
 * which only an empty input and the flags of a PUBLISH can be the cause of.
 */
static inline bool
fuzz_packet_init(
    struct fuzz_packet *packet, unsigned type, const uint8_t *data, size_t size)
{
	uint8_t header[6], flags;
	struct wire_out w = wire_write(header, sizeof(header));
	size_t length;

	if (size == 0)
		return false;
	flags = fuzz_flags(type, data[0]);
	packet->version = fuzz_version(data[0]);
	packet->role = fuzz_role(data[0]);
	wire_put_u8(&w, (uint8_t)(type << 4 | flags));
	wire_put_varint(&w, (uint32_t)(size - 1));
	if ((data[0] & 4) != 0) {
		w.p[-1] |= 0x80;
		wire_put_u8(&w, 0);
	}
	length = (size_t)(w.p - header);
	packet->bytes = malloc(length + size - 1);
	memcpy(packet->bytes, header, length);
	memcpy(packet->bytes + length, data + 1, size - 1);
	if (mqtt_frame(packet->bytes, length + size - 1, MQTT_MAX_PACKET_BYTES,
		&packet->frame) == MQTT_FRAME_WHOLE) {
		require(packet->frame.body.len == size - 1);
		return true;
	}
	require(type == MQTT_PUBLISH);
	free(packet->bytes);
	return false;
}

/* The one packet that these bytes are; they were encoded by us. */
static inline struct mqtt_frame
fuzz_frame(const uint8_t *bytes, size_t size, unsigned type)
{
	struct mqtt_frame frame;

	require(mqtt_frame(bytes, size, size, &frame) == MQTT_FRAME_WHOLE);
	require(frame.size == size && frame.type == type && !frame.overlong);
	return frame;
}

/* Step through decoded properties: they are all there, and readable. */
static inline void
fuzz_walk(const struct mqtt_properties *properties)
{
	struct wire walk = wire_read(properties->raw);
	struct mqtt_property_item item;
	size_t bytes = 0, users = 0;

	while (mqtt_properties_next(&walk, &item)) {
		require(mqtt_properties_has(properties, item.id));
		mqtt_any_touch(item.name);
		mqtt_any_touch(item.value);
		users += item.id == MQTT_USER_PROPERTY;
		bytes += item.raw.len;
	}
	require(bytes == properties->raw.len);
	require(users == properties->user_property_count);
}

static inline void
fuzz_same_item(const struct mqtt_property_item *a, struct wire *in_b)
{
	struct mqtt_property_item b;

	require(mqtt_properties_find(in_b, a->id, &b));
	require(a->number == b.number);
	require(slice_equal(a->value, b.value));
	require(slice_equal(a->name, b.name));
}

/* The same properties; those that repeat in the same order. */
static inline void
fuzz_same_properties(
    const struct mqtt_properties *a, const struct mqtt_properties *b)
{
	struct wire walk = wire_read(a->raw);
	struct wire users = wire_read(b->raw), identifiers = users, rest;
	struct mqtt_property_item item;

	require(a->present == b->present && a->raw.len == b->raw.len);
	require(a->user_property_count == b->user_property_count);
	while (mqtt_properties_next(&walk, &item)) {
		rest = wire_read(b->raw);
		if (item.id == MQTT_USER_PROPERTY)
			fuzz_same_item(&item, &users);
		else if (item.id == MQTT_SUBSCRIPTION_IDENTIFIER)
			fuzz_same_item(&item, &identifiers);
		else
			fuzz_same_item(&item, &rest);
	}
}

/*
 * Decoded properties as they are to be given to an encoder: the fields as
 * fields, User Properties as bytes, which lie in *scratch (free() it).
 */
static inline struct mqtt_properties
fuzz_to_encode(const struct mqtt_properties *decoded, uint8_t **scratch)
{
	struct wire walk = wire_read(decoded->raw);
	struct mqtt_properties out = *decoded;
	struct mqtt_property_item item;
	size_t length = 0;

	*scratch = malloc(decoded->raw.len + 1);
	while (mqtt_properties_find(&walk, MQTT_USER_PROPERTY, &item)) {
		memcpy(*scratch + length, item.raw.data, item.raw.len);
		length += item.raw.len;
	}
	out.present &= ~(UINT64_C(1) << MQTT_USER_PROPERTY);
	out.verbatim = slice_of(*scratch, length);
	return out;
}

/* A text or data field of a packet. */
static inline void
fuzz_same(struct slice a, struct slice b)
{
	mqtt_any_touch(a);
	require(slice_equal(a, b));
}

#endif
