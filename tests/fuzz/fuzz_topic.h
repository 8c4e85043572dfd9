/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_topic - topics as the specification puts them, slowly and plainly.
 *
 * To compare with what common/msg/topic.c and the subscription tree say.
 * Nothing of theirs is used here.
 */

#ifndef WEIR_TESTS_FUZZ_FUZZ_TOPIC_H
#define WEIR_TESTS_FUZZ_FUZZ_TOPIC_H

#include <stdbool.h>
#include <stdlib.h>

#include "common/base/slice.h"
#include "tests/fuzz/fuzz.h"

/* The code point that `s` begins with, its bytes in *used; -1: none. */
static inline long
naive_code_point(struct slice s, size_t *used)
{
	static const long least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = 1;
	long value = s.data[0];

	if (value >= 0xf0 && value < 0xf8)
		length = 4, value &= 0x07;
	else if (value >= 0xe0)
		length = 3, value &= value < 0xf0 ? 0x0f : 0xff;
	else if (value >= 0xc0)
		length = 2, value &= 0x1f;
	else if (value >= 0x80)
		return -1;
	if (s.data[0] >= 0xf8 || length > s.len)
		return -1;
	for (size_t i = 1; i < length; i++) {
		if (s.data[i] / 64 != 2)
			return -1;
		value = value * 64 + s.data[i] % 64;
	}
	*used = length;
	return value < least[length] ? -1 : value;
}

static inline bool
naive_utf8(struct slice s)
{
	size_t used = 0;
	long point;

	for (; s.len != 0; s = slice_from(s, used)) {
		point = naive_code_point(s, &used);
		if (point <= 0 || point > 0x10ffff ||
		    (point >= 0xd800 && point <= 0xdfff))
			return false;
	}
	return true;
}

static inline bool
naive_has(struct slice s, uint8_t byte)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == byte)
			return true;
	return false;
}

static inline bool
naive_name(struct slice s)
{
	return s.len >= 1 && s.len <= 65535 && naive_utf8(s) &&
	    !naive_has(s, '+') && !naive_has(s, '#');
}

/* Each wildcard has slashes or the ends around it; nothing follows a '#'. */
static inline bool
naive_plain_filter(struct slice s)
{
	bool first, last;

	if (s.len < 1 || s.len > 65535 || !naive_utf8(s))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] != '+' && s.data[i] != '#')
			continue;
		first = i == 0 || s.data[i - 1] == '/';
		last = i + 1 == s.len;
		if (s.data[i] == '+')
			last = last || s.data[i + 1] == '/';
		if (!first || !last)
			return false;
	}
	return true;
}

static inline bool
naive_is_shared(struct slice s)
{
	return s.len >= 7 && memcmp(s.data, "$share/", 7) == 0;
}

/* "$share/", a name, a slash, a filter; *out_filter is that. */
static inline bool
naive_shared(struct slice s, struct slice *out_name, struct slice *out_filter)
{
	size_t at = 7;

	while (at < s.len && s.data[at] != '/')
		at++;
	*out_name = slice_of(s.data + 7, at - 7);
	if (at == s.len || out_name->len == 0)
		return false;
	*out_filter = slice_of(s.data + at + 1, s.len - at - 1);
	return naive_utf8(*out_name) && !naive_has(*out_name, '+') &&
	    !naive_has(*out_name, '#') && naive_plain_filter(*out_filter);
}

static inline bool
naive_filter(struct slice s)
{
	struct slice name, rest;

	if (s.len > 65535)
		return false;
	return naive_is_shared(s) ? naive_shared(s, &name, &rest)
				  : naive_plain_filter(s);
}

/*
 * Character by character.  Both are valid, the filter is no shared one.
 */
static inline bool
naive_match(struct slice filter, struct slice name)
{
	const uint8_t *f = filter.data, *f_end = f + filter.len;
	const uint8_t *n = name.data, *n_end = n + name.len;

	if (*n == '$' && (*f == '+' || *f == '#'))
		return false;
	while (f != f_end) {
		if (*f == '#')
			return true;
		if (*f == '+') {
			while (n != n_end && *n != '/')
				n++;
			f++;
			continue;
		}
		/* "a/#" is for the parent too. */
		if (n == n_end)
			return f_end - f == 2 && f[0] == '/' && f[1] == '#';
		if (*f++ != *n++)
			return false;
	}
	return n == n_end;
}

#endif
