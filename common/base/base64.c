/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/base64.h"

#include <errno.h>

/* The value of a digit, or 64. */
static uint32_t
digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : 64;
}

int
base64_decode(struct slice text, uint8_t *out, size_t size, size_t *out_length)
{
	size_t padding = 0, length, written = 0;
	uint32_t bits = 0, count = 0, value;

	if (text.len % 4 != 0)
		return -EINVAL;
	while (padding < 2 && text.len > padding &&
	    text.data[text.len - 1 - padding] == '=')
		padding++;
	length = text.len / 4 * 3 - padding;
	if (length > size)
		return -ENOSPC;

	for (size_t i = 0; i < text.len - padding; i++) {
		value = digit(text.data[i]);
		if (value == 64)
			return -EINVAL;
		bits = bits << 6 | value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			out[written++] = (uint8_t)(bits >> count);
			bits &= (1u << count) - 1;
		}
	}
	if (bits != 0)
		return -EINVAL;
	*out_length = written;
	return 0;
}

char *
base64_encode(struct slice bytes, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	char *at = out;
	uint32_t bits;
	size_t here;

	for (size_t i = 0; i < bytes.len; i += 3) {
		here = bytes.len - i < 3 ? bytes.len - i : 3;
		bits = (uint32_t)bytes.data[i] << 16;
		if (here > 1)
			bits |= (uint32_t)bytes.data[i + 1] << 8;
		if (here > 2)
			bits |= bytes.data[i + 2];
		*at++ = digits[bits >> 18];
		*at++ = digits[bits >> 12 & 63];
		*at++ = here > 1 ? digits[bits >> 6 & 63] : '=';
		*at++ = here > 2 ? digits[bits & 63] : '=';
	}
	*at = '\0';
	return out;
}
