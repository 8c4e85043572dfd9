/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/uri.h"

#include <errno.h>
#include <string.h>

#include "common/base/utf8.h"

/*
 * Walk both in step.  Where the pattern has {name}, *out_segment is what the
 * path has there.
 */
static bool
walk(const char *pattern, const char *path, struct slice name,
    struct slice *out_segment)
{
	size_t label, length;

	while (*pattern != '\0') {
		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		label = strcspn(++pattern, "}");
		length = strcspn(path, "/");
		if (length == 0)
			return false;
		if (out_segment != NULL &&
		    slice_equal(slice_of(pattern, label), name))
			*out_segment = slice_of(path, length);
		pattern += label + 1;
		path += length;
	}
	return path[0] == '\0' || (path[0] == '/' && path[1] == '\0');
}

bool
uri_matches(const char *pattern, const char *path)
{
	return walk(pattern, path, slice_of(NULL, 0), NULL);
}

bool
uri_segment(const char *pattern, const char *path, const char *name,
    struct slice *out_segment)
{
	struct slice segment = { .data = NULL };

	if (!walk(pattern, path, slice_of_string(name), &segment) ||
	    segment.data == NULL)
		return false;
	*out_segment = segment;
	return true;
}

static int
digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The byte at text[*at], which is moved behind it; -1: a broken escape. */
static int
next_byte(struct slice text, size_t *at, bool is_query)
{
	const char *bytes = (const char *)text.data;
	char c = bytes[(*at)++];
	int high, low;

	if (c == '+' && is_query)
		return ' ';
	if (c != '%')
		return (unsigned char)c;
	if (text.len - *at < 2)
		return -1;
	high = digit_of(bytes[(*at)++]);
	low = digit_of(bytes[(*at)++]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int
uri_decode(struct slice text, bool is_query, char *out, size_t size,
    size_t *out_length)
{
	size_t length = 0, at = 0;
	int byte;

	while (at < text.len) {
		byte = next_byte(text, &at, is_query);
		if (byte < 0)
			return -EBADMSG;
		if (length + 1 >= size)
			return -EMSGSIZE;
		out[length++] = (char)byte;
	}
	if (!utf8_is_valid(slice_of(out, length)))
		return -EBADMSG;
	out[length] = '\0';
	*out_length = length;
	return 0;
}

bool
uri_query_next(
    struct slice *query, struct slice *out_name, struct slice *out_value)
{
	struct slice pair;
	size_t length;

	/* "a=1&&b=2" has nothing between the two. */
	while (query->len > 0 && query->data[0] == '&')
		*query = slice_from(*query, 1);
	if (query->len == 0)
		return false;
	pair = slice_of(query->data, slice_find(*query, '&'));
	*query = slice_from(*query, pair.len);
	length = slice_find(pair, '=');
	*out_name = slice_of(pair.data, length);
	*out_value = length == pair.len ? slice_of(NULL, 0)
					: slice_from(pair, length + 1);
	return true;
}
