/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/base64.h"

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
