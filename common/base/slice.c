/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/slice.h"

#include <stdlib.h>

static inline uint64_t
mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t
load_tail(const uint8_t *data, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, data, len);
	return word;
}

/*
 * Folded 128-bit products of 8-byte words.  The constants are the first
 * digits of the square roots of 2 and 3, odd: nothing up our sleeves.
 */
uint64_t
slice_hash(struct slice s, uint64_t seed)
{
	const uint64_t k1 = UINT64_C(0x6a09e667f3bcc909);
	const uint64_t k2 = UINT64_C(0xbb67ae8584caa73b);
	const uint8_t *at = s.data;
	uint64_t hash = mix(seed ^ k1, s.len ^ k2);
	size_t left;

	for (left = s.len; left >= 8; left -= 8, at += 8)
		hash = mix(hash ^ load_tail(at, 8), k1);
	if (left > 0)
		hash = mix(hash ^ load_tail(at, left), k2);
	return mix(hash ^ k2, k1);
}

char *
slice_to_string(struct slice s)
{
	char *copy = malloc(s.len + 1);

	if (copy == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}

/*
 * Length of the well-formed sequence at the head of `at`, 0 if it is none.
 * The second byte's range depends on the first: no overlong forms, no
 * surrogates, nothing above U+10FFFF.
 */
static size_t
sequence_len(const uint8_t *at, size_t left)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t len;

	if (at[0] < 0x80)
		return at[0] != 0;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	len = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (len > left)
		return 0;
	if (at[0] == 0xe0)
		low = 0xa0;
	else if (at[0] == 0xed)
		high = 0x9f;
	else if (at[0] == 0xf0)
		low = 0x90;
	else if (at[0] == 0xf4)
		high = 0x8f;
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t
slice_utf8_sequence(struct slice s)
{
	return s.len == 0 ? 0 : sequence_len(s.data, s.len);
}

bool
slice_is_utf8(struct slice s)
{
	size_t len;

	for (; s.len > 0; s = slice_from(s, len)) {
		len = sequence_len(s.data, s.len);
		if (len == 0)
			return false;
	}
	return true;
}
