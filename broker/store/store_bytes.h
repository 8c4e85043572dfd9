/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_bytes - little-endian numbers into and out of the store's files.
 *
 * Writing goes to room that the caller has measured.  Reading is a cursor
 * whose error sticks: after the first short read everything is zero and
 * store_bytes_ended() is false; check once at the end.
 *
 *	struct store_bytes in = store_bytes_of(body);
 *
 *	cursor = store_bytes_u64(&in);
 *	name = store_bytes_slice(&in, store_bytes_u16(&in));
 *	if (!store_bytes_ended(&in))
 *		return -EBADMSG;
 */

#ifndef WEIR_BROKER_STORE_STORE_BYTES_H
#define WEIR_BROKER_STORE_STORE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/slice.h"

struct store_bytes {
	const uint8_t *at;
	size_t left;
	bool is_short;
};

static inline struct store_bytes
store_bytes_of(struct slice from)
{
	return (struct store_bytes){ .at = from.data, .left = from.len };
}

/* `length` bytes, or NULL for good. */
static inline const uint8_t *
store_bytes_take(struct store_bytes *in, size_t length)
{
	const uint8_t *at = in->at;

	if (in->is_short || length > in->left) {
		in->is_short = true;
		return NULL;
	}
	in->at += length;
	in->left -= length;
	return at;
}

static inline struct slice
store_bytes_slice(struct store_bytes *in, size_t length)
{
	const uint8_t *at;

	if (length == 0)
		return slice_of(NULL, 0);
	at = store_bytes_take(in, length);
	return slice_of(at, at == NULL ? 0 : length);
}

static inline uint8_t
store_bytes_u8(struct store_bytes *in)
{
	const uint8_t *at = store_bytes_take(in, 1);

	return at == NULL ? 0 : *at;
}

static inline uint16_t
store_bytes_u16(struct store_bytes *in)
{
	const uint8_t *at = store_bytes_take(in, sizeof(uint16_t));
	uint16_t value = 0;

	if (at != NULL)
		memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

static inline uint32_t
store_bytes_u32(struct store_bytes *in)
{
	const uint8_t *at = store_bytes_take(in, sizeof(uint32_t));
	uint32_t value = 0;

	if (at != NULL)
		memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static inline uint64_t
store_bytes_u64(struct store_bytes *in)
{
	const uint8_t *at = store_bytes_take(in, sizeof(uint64_t));
	uint64_t value = 0;

	if (at != NULL)
		memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

/* Was everything there, and is nothing left? */
static inline bool
store_bytes_ended(const struct store_bytes *in)
{
	return !in->is_short && in->left == 0;
}

/* Each returns what is behind it. */
static inline uint8_t *
store_bytes_put_u8(uint8_t *out, uint8_t value)
{
	*out = value;
	return out + 1;
}

static inline uint8_t *
store_bytes_put_u16(uint8_t *out, uint16_t value)
{
	value = htole16(value);
	memcpy(out, &value, sizeof(value));
	return out + sizeof(value);
}

static inline uint8_t *
store_bytes_put_u32(uint8_t *out, uint32_t value)
{
	value = htole32(value);
	memcpy(out, &value, sizeof(value));
	return out + sizeof(value);
}

static inline uint8_t *
store_bytes_put_u64(uint8_t *out, uint64_t value)
{
	value = htole64(value);
	memcpy(out, &value, sizeof(value));
	return out + sizeof(value);
}

static inline uint8_t *
store_bytes_put_slice(uint8_t *out, struct slice bytes)
{
	if (bytes.len != 0)
		memcpy(out, bytes.data, bytes.len);
	return out + bytes.len;
}

#endif
