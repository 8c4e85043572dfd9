/* SPDX-License-Identifier: Apache-2.0 */

/*
 * wire - read and write MQTT's data types, with an error that sticks.
 *
 * Reading past the end, a varint that is too long, or text that is no UTF-8
 * makes the cursor bad; from then on every read gives zero or an empty
 * slice and changes nothing.  So a decoder reads field after field and asks
 * `bad` once.  Writing works the same way: nothing is written past the end.
 *
 * The functions are inline because they are the whole cost of a packet.
 */

#ifndef WEIR_COMMON_MQTT_WIRE_H
#define WEIR_COMMON_MQTT_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/slice.h"
#include "common/base/utf8.h"
#include "common/mqtt/protocol.h"

/* A place in bytes being read.  `p` is `end` once `bad`. */
struct wire {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

/* A place in a buffer being written. */
struct wire_out {
	uint8_t *p;
	uint8_t *end;
	bool bad;
};

static inline uint16_t
wire_load_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
wire_load_u32(const uint8_t *p)
{
	return (uint32_t)wire_load_u16(p) << 16 | wire_load_u16(p + 2);
}

static inline void
wire_store_u16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline void
wire_store_u32(uint8_t *p, uint32_t value)
{
	wire_store_u16(p, (uint16_t)(value >> 16));
	wire_store_u16(p + 2, (uint16_t)value);
}

/* A cursor at the start of `bytes`, which must outlive what is read. */
static inline struct wire
wire_read(struct slice bytes)
{
	static const uint8_t nothing[1];
	const uint8_t *p = bytes.len == 0 ? nothing : bytes.data;

	return (struct wire){ .p = p, .end = p + bytes.len };
}

static inline size_t
wire_left(const struct wire *w)
{
	return (size_t)(w->end - w->p);
}

/* Make the cursor bad, for an error that the caller found. */
static inline void
wire_fail(struct wire *w)
{
	w->p = w->end;
	w->bad = true;
}

/* The next `len` bytes. */
static inline struct slice
wire_bytes(struct wire *w, size_t len)
{
	struct slice bytes = { .data = w->p, .len = len };

	if (len > wire_left(w)) {
		wire_fail(w);
		return (struct slice){ .data = w->end };
	}
	w->p += len;
	return bytes;
}

/* All that is left. */
static inline struct slice
wire_rest(struct wire *w)
{
	return wire_bytes(w, wire_left(w));
}

static inline uint8_t
wire_u8(struct wire *w)
{
	struct slice bytes = wire_bytes(w, 1);

	return bytes.len == 0 ? 0 : bytes.data[0];
}

static inline uint16_t
wire_u16(struct wire *w)
{
	struct slice bytes = wire_bytes(w, 2);

	return bytes.len == 0 ? 0 : wire_load_u16(bytes.data);
}

static inline uint32_t
wire_u32(struct wire *w)
{
	struct slice bytes = wire_bytes(w, 4);

	return bytes.len == 0 ? 0 : wire_load_u32(bytes.data);
}

/*
 * A Variable Byte Integer of at most 4 bytes.  A longer encoding than the
 * value needs is an error [MQTT-1.5.5-1].
 */
static inline uint32_t
wire_varint(struct wire *w)
{
	uint32_t value = 0;
	uint8_t byte;

	for (unsigned shift = 0; shift < 28; shift += 7) {
		byte = wire_u8(w);
		value |= (uint32_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) != 0)
			continue;
		if (byte == 0 && shift != 0)
			break;
		return value;
	}
	wire_fail(w);
	return 0;
}

/* Binary Data: two bytes of length, then any bytes. */
static inline struct slice
wire_binary(struct wire *w)
{
	return wire_bytes(w, wire_u16(w));
}

/*
 * A UTF-8 Encoded String [MQTT-1.5.4-1] [MQTT-1.5.4-2]; nothing of it is
 * skipped [MQTT-1.5.4-3].
 */
static inline struct slice
wire_utf8(struct wire *w)
{
	struct slice text = wire_binary(w);

	if (text.len != 0 && !utf8_is_valid(text)) {
		wire_fail(w);
		return (struct slice){ .data = w->end };
	}
	return text;
}

/* How many bytes a varint takes; value <= MQTT_MAX_VARINT. */
static inline size_t
wire_varint_size(uint32_t value)
{
	return 1 + (size_t)(value > 0x7f) + (size_t)(value > 0x3fff) +
	    (size_t)(value > 0x1fffff);
}

/* What MQTT cannot express: added to any size, it makes a packet too large. */
#define WIRE_TOO_LARGE ((size_t)MQTT_MAX_PACKET_BYTES + 1)

/* How many bytes a field with its length takes, or WIRE_TOO_LARGE. */
static inline size_t
wire_binary_size(struct slice bytes)
{
	return bytes.len > MQTT_MAX_STRING_BYTES ? WIRE_TOO_LARGE
						 : 2 + bytes.len;
}

/* A cursor that may write `size` bytes from `buffer` on. */
static inline struct wire_out
wire_write(uint8_t *buffer, size_t size)
{
	return (struct wire_out){ .p = buffer, .end = buffer + size };
}

/* Room for `len` bytes, or NULL and a bad cursor. */
static inline uint8_t *
wire_room(struct wire_out *w, size_t len)
{
	uint8_t *room = w->p;

	if (w->bad || len > (size_t)(w->end - w->p)) {
		w->bad = true;
		return NULL;
	}
	w->p += len;
	return room;
}

static inline void
wire_put_u8(struct wire_out *w, uint8_t value)
{
	uint8_t *room = wire_room(w, 1);

	if (room != NULL)
		room[0] = value;
}

static inline void
wire_put_u16(struct wire_out *w, uint16_t value)
{
	uint8_t *room = wire_room(w, 2);

	if (room != NULL)
		wire_store_u16(room, value);
}

static inline void
wire_put_u32(struct wire_out *w, uint32_t value)
{
	uint8_t *room = wire_room(w, 4);

	if (room != NULL)
		wire_store_u32(room, value);
}

/* A value above MQTT_MAX_VARINT makes the cursor bad. */
static inline void
wire_put_varint(struct wire_out *w, uint32_t value)
{
	if (value > MQTT_MAX_VARINT)
		w->bad = true;
	for (; value > 0x7f; value >>= 7)
		wire_put_u8(w, (uint8_t)(value | 0x80));
	wire_put_u8(w, (uint8_t)value);
}

static inline void
wire_put_bytes(struct wire_out *w, struct slice bytes)
{
	uint8_t *room = wire_room(w, bytes.len);

	if (room != NULL && bytes.len != 0)
		memcpy(room, bytes.data, bytes.len);
}

/*
 * A string or binary field with its length in front; one that is longer
 * than 65,535 bytes makes the cursor bad.  Text is not checked again.
 */
static inline void
wire_put_binary(struct wire_out *w, struct slice bytes)
{
	if (bytes.len > MQTT_MAX_STRING_BYTES)
		w->bad = true;
	wire_put_u16(w, (uint16_t)bytes.len);
	wire_put_bytes(w, bytes);
}

#endif
