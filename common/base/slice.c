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
