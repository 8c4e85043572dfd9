/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/utf8.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ONES UINT64_C(0x0101010101010101)
#define HIGH_BITS UINT64_C(0x8080808080808080)

/* What a first byte allows for the second; further ones are 80..bf. */
struct sequence {
	uint8_t first_low, first_high;
	uint8_t second_low, second_high;
	uint8_t length;
};

/* Overlong forms, surrogates and what is above U+10FFFF are in no row. */
static const struct sequence sequences[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 },
	{ 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static const struct sequence *
sequence_of(uint8_t first)
{
	for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
		if (first <= sequences[i].first_high)
			return first < sequences[i].first_low ? NULL
							      : &sequences[i];
	}
	return NULL;
}

/* Bytes of the valid character of more than one byte at p, or 0. */
static size_t
multibyte(const uint8_t *p, const uint8_t *end)
{
	const struct sequence *sequence = sequence_of(p[0]);

	if (sequence == NULL || end - p < sequence->length)
		return 0;
	if (p[1] < sequence->second_low || p[1] > sequence->second_high)
		return 0;
	for (size_t i = 2; i < sequence->length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return sequence->length;
}

static size_t
character(const uint8_t *p, const uint8_t *end)
{
	if (*p == 0)
		return 0;
	return *p < 0x80 ? 1 : multibyte(p, end);
}

size_t
utf8_sequence(struct slice text)
{
	return text.len == 0 ? 0 : character(text.data, text.data + text.len);
}

bool
utf8_is_valid(struct slice text)
{
	const uint8_t *p = text.data, *end;
	uint64_t word;
	size_t length;

	if (text.len == 0)
		return true;

	end = p + text.len;
	while (p != end) {
		/* Eight ASCII characters, none of them NUL? */
		if (end - p >= 8) {
			memcpy(&word, p, sizeof(word));
			if ((((word - ONES) | word) & HIGH_BITS) == 0) {
				p += 8;
				continue;
			}
		}
		length = character(p, end);
		if (length == 0)
			return false;
		p += length;
	}
	return true;
}
