/* SPDX-License-Identifier: Apache-2.0 */

/* encode_parts - what encode.c and encode_connect.c share; private to them. */

#ifndef WEIR_COMMON_MQTT_ENCODE_PARTS_H
#define WEIR_COMMON_MQTT_ENCODE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mqtt/properties.h"
#include "common/mqtt/protocol.h"
#include "common/mqtt/wire.h"

/* A whole packet with `remaining` bytes after its header; 0: too large. */
static inline size_t
encode_packet_size(size_t remaining)
{
	if (remaining > MQTT_MAX_VARINT)
		return 0;
	return 1 + wire_varint_size((uint32_t)remaining) + remaining;
}

/* Write a fixed header; a packet that is too large makes *w bad. */
static inline void
encode_put_header(
    struct wire_out *w, unsigned type, uint8_t flags, size_t remaining)
{
	if (remaining > MQTT_MAX_VARINT) {
		w->bad = true;
		return;
	}
	wire_put_u8(w, (uint8_t)(type << 4 | flags));
	wire_put_varint(w, (uint32_t)remaining);
}

/* The bytes written so far; 0 when they did not fit. */
static inline size_t
encode_written(const struct wire_out *w, const uint8_t *buffer)
{
	return w->bad ? 0 : (size_t)(w->p - buffer);
}

/* A size that may be huge, cut so that sums of a few do not overflow. */
static inline size_t
encode_bounded(size_t size)
{
	return size < WIRE_TOO_LARGE ? size : WIRE_TOO_LARGE;
}

/*
 * Bytes of the Property Length and the properties; without any, one
 * [MQTT-2.2.2-1]; none in old versions.
 */
static inline size_t
encode_properties_size(
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	size_t size;

	if (version != MQTT_5)
		return 0;
	size = encode_bounded(mqtt_properties_size(properties));
	return size > MQTT_MAX_VARINT ? WIRE_TOO_LARGE
				      : wire_varint_size((uint32_t)size) + size;
}

static inline void
encode_put_properties(struct wire_out *w,
    const struct mqtt_properties *properties, enum mqtt_version version)
{
	if (version == MQTT_5)
		mqtt_properties_put(w, properties);
}

#endif
