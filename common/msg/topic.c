/* SPDX-License-Identifier: Apache-2.0 */

#include "common/msg/topic.h"

#include <stdint.h>
#include <string.h>

#include "common/base/utf8.h"

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

static const char share_prefix[] = "$share/";
#define SHARE_PREFIX_BYTES (sizeof(share_prefix) - 1)

/* A bit in each byte of `word` that is zero, and perhaps in more. */
static uint64_t
zero_bytes(uint64_t word)
{
	return (word - EACH_BYTE(0x01)) & ~word & EACH_BYTE(0x80);
}

static bool
is_plain_byte(uint8_t byte)
{
	return byte != 0 && byte < 0x80 && byte != '+' && byte != '#';
}

/*
 * ASCII without NUL and wildcards: nearly every topic, and a quick yes to
 * all that is asked below.
 */
static bool
is_plain(struct slice text)
{
	const uint8_t *p = text.data, *end = text.data + text.len;
	uint64_t word, odd;

	for (; end - p >= 8; p += 8) {
		memcpy(&word, p, sizeof(word));
		odd = (word & EACH_BYTE(0x80)) | zero_bytes(word) |
		    zero_bytes(word ^ EACH_BYTE('+')) |
		    zero_bytes(word ^ EACH_BYTE('#'));
		if (odd != 0)
			return false;
	}
	for (; p != end; p++) {
		if (!is_plain_byte(*p))
			return false;
	}
	return true;
}

static bool
has_byte(struct slice text, int byte)
{
	return text.len != 0 && memchr(text.data, byte, text.len) != NULL;
}

static bool
is_byte(struct slice text, uint8_t byte)
{
	return text.len == 1 && text.data[0] == byte;
}

static bool
has_valid_length(struct slice topic)
{
	return topic.len >= 1 && topic.len <= TOPIC_MAX_BYTES;
}

/* [MQTT-4.7.1-1] [MQTT-4.7.1-2] wildcards fill a level; '#' is the last. */
static bool
wildcards_are_placed_well(struct slice filter)
{
	struct topic_levels levels = topic_levels(filter);
	bool ended = false;
	struct slice level;

	while (topic_levels_next(&levels, &level)) {
		if (ended)
			return false;
		ended = is_byte(level, '#');
		if (level.len > 1 && topic_has_wildcard(level))
			return false;
	}
	return true;
}

/* A filter that is not shared, or the last part of one that is. */
static bool
is_valid_unshared(struct slice filter)
{
	if (!has_valid_length(filter))
		return false;
	if (is_plain(filter))
		return true;
	return utf8_is_valid(filter) && wildcards_are_placed_well(filter);
}

bool
topic_name_is_valid(struct slice name)
{
	if (!has_valid_length(name))
		return false;
	if (is_plain(name))
		return true;
	return !topic_has_wildcard(name) && utf8_is_valid(name);
}

bool
topic_filter_is_valid(struct slice filter)
{
	struct topic_share share;

	if (!has_valid_length(filter))
		return false;
	if (topic_is_shared(filter))
		return topic_share_split(filter, &share);
	return is_valid_unshared(filter);
}

bool
topic_matches(struct slice filter, struct slice name)
{
	struct topic_levels wanted = topic_levels(filter);
	struct topic_levels given = topic_levels(name);
	struct slice want, have;

	/* [MQTT-4.7.2-1] */
	if (name.len != 0 && name.data[0] == '$' && filter.len != 0 &&
	    !is_plain_byte(filter.data[0]))
		return false;

	while (topic_levels_next(&wanted, &want)) {
		if (is_byte(want, '#'))
			return true;
		if (!topic_levels_next(&given, &have))
			return false;
		if (!is_byte(want, '+') && !slice_equal(want, have))
			return false;
	}
	return !topic_levels_next(&given, &have);
}

bool
topic_filter_covers(struct slice wide, struct slice narrow)
{
	struct topic_levels outer = topic_levels(wide), inner;
	struct slice have, want;

	if (narrow.len != 0 && narrow.data[0] == '$' && wide.len != 0 &&
	    !is_plain_byte(wide.data[0]))
		return false;

	/* A name is not empty: # stands for a level here, and behind "/". */
	if (is_byte(narrow, '#'))
		narrow = slice_of_string("+/#");
	else if (slice_equal_string(narrow, "/#"))
		narrow = slice_of_string("/+/#");
	inner = topic_levels(narrow);
	while (topic_levels_next(&outer, &have)) {
		if (is_byte(have, '#'))
			return true;
		if (!topic_levels_next(&inner, &want) || is_byte(want, '#'))
			return false;
		if (!is_byte(have, '+') && !slice_equal(have, want))
			return false;
	}
	return !topic_levels_next(&inner, &want);
}

bool
topic_has_wildcard(struct slice filter)
{
	return has_byte(filter, '+') || has_byte(filter, '#');
}

bool
topic_share_split(struct slice filter, struct topic_share *out_share)
{
	struct topic_levels levels;
	struct slice name, rest;

	if (!topic_is_shared(filter) || !has_valid_length(filter))
		return false;

	levels = topic_levels(slice_of(
	    filter.data + SHARE_PREFIX_BYTES, filter.len - SHARE_PREFIX_BYTES));
	topic_levels_next(&levels, &name);
	if (levels.p == NULL)
		return false;
	rest = slice_of(levels.p, (size_t)(levels.end - levels.p));

	/* [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
	if (name.len == 0 || topic_has_wildcard(name) || !utf8_is_valid(name))
		return false;
	if (!is_valid_unshared(rest))
		return false;

	*out_share = (struct topic_share){ .name = name, .filter = rest };
	return true;
}

bool
topic_is_shared(struct slice filter)
{
	return filter.len >= SHARE_PREFIX_BYTES &&
	    memcmp(filter.data, share_prefix, SHARE_PREFIX_BYTES) == 0;
}
