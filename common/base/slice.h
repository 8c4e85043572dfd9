/* SPDX-License-Identifier: Apache-2.0 */

/*
 * slice - bytes that belong to somebody else.
 *
 * A slice is passed by value and never owns or frees what it points to; it is
 * valid as long as its source is.  Any thread.
 */

#ifndef WEIR_COMMON_BASE_SLICE_H
#define WEIR_COMMON_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *data; /* may be NULL when len is 0 */
	size_t len;
};

static inline struct slice
slice_of(const void *data, size_t len)
{
	return (struct slice){ .data = data, .len = len };
}

/* Without the terminating NUL; NULL gives an empty slice. */
static inline struct slice
slice_of_string(const char *string)
{
	return slice_of(string, string == NULL ? 0 : strlen(string));
}

static inline bool
slice_is_empty(struct slice s)
{
	return s.len == 0;
}

static inline bool
slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
slice_equal_string(struct slice a, const char *string)
{
	return slice_equal(a, slice_of_string(string));
}

static inline bool
slice_starts_with(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len &&
	    (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* The rest of `s` from `offset` on; empty beyond its end. */
static inline struct slice
slice_from(struct slice s, size_t offset)
{
	if (offset >= s.len)
		return slice_of(NULL, 0);
	return slice_of(s.data + offset, s.len - offset);
}

/* Index of the first `byte`, or s.len when there is none. */
static inline size_t
slice_find(struct slice s, uint8_t byte)
{
	const uint8_t *hit;

	hit = s.len == 0 ? NULL : memchr(s.data, byte, s.len);
	return hit == NULL ? s.len : (size_t)(hit - s.data);
}

/*
 * A well mixed hash of the bytes.  A random `seed` chosen at start keeps
 * peers from aiming for collisions; the same seed gives the same hash.
 */
uint64_t slice_hash(struct slice s, uint64_t seed);

/* A NUL-terminated copy on the heap, or NULL without memory. */
char *slice_to_string(struct slice s);

#endif
