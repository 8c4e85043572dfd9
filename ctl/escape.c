/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/escape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/utf8.h"

/* From the first to the last of code points that are not to be shown. */
struct range {
	uint32_t first, last;
};

static const struct range hidden[] = {
	{ 0x7f, 0x9f },       /* DEL and the C1 controls */
	{ 0xad, 0xad },       /* soft hyphen */
	{ 0x61c, 0x61c },     /* Arabic letter mark */
	{ 0x180e, 0x180e },   /* Mongolian vowel separator */
	{ 0x200b, 0x200f },   /* without width, directional marks */
	{ 0x2028, 0x202e },   /* separators, embeddings and overrides */
	{ 0x2060, 0x206f },   /* invisible operators, isolates */
	{ 0xe000, 0xf8ff },   /* private use */
	{ 0xfe00, 0xfe0f },   /* variation selectors */
	{ 0xfeff, 0xfeff },   /* byte order mark */
	{ 0xfff0, 0xffff },   /* specials */
	{ 0xe0000, 0x10ffff } /* tags, private use */
};

/* The code point of a well-formed sequence. */
static uint32_t
code_point(const uint8_t *bytes, size_t len)
{
	static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t code = bytes[0] & masks[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | (bytes[i] & 0x3f);
	return code;
}

static bool
is_shown(uint32_t code)
{
	if (code < 0x20 || code == '\\')
		return false;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (code >= hidden[i].first && code <= hidden[i].last)
			return false;
	return true;
}

char *
escape_bytes(struct slice bytes, size_t most, char *out)
{
	struct slice left =
	    slice_of(bytes.data, bytes.len < most ? bytes.len : most);
	char *at = out;
	size_t len;

	while (left.len != 0) {
		len = utf8_sequence(left);
		if (len != 0 && is_shown(code_point(left.data, len))) {
			memcpy(at, left.data, len);
			at += len;
		} else if (left.data[0] == '\\') {
			len = 1;
			at += sprintf(at, "\\\\");
		} else {
			len = 1;
			at += sprintf(at, "\\x%02x", left.data[0]);
		}
		left = slice_from(left, len);
	}
	strcpy(at, bytes.len > most ? "\u2026" : "");
	return out;
}
