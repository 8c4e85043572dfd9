/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_topic - names and filters: valid or not, matching or not, covering one
 * another or not, against a naive reading of the same rules.
 *
 * The first byte chooses: the rest as it is, or written with few letters so
 * that filters and names meet.  A 0xff in it is the end of the filter, a name
 * follows.
 */

#include "tests/fuzz/fuzz_topic.h"
#include "common/base/utf8.h"
#include "common/msg/topic.h"

static const char letters[] = "ab/+#$/\xc3\xa9/share";

/* Memory of its own length; free() it. */
static struct slice
copy_of(const uint8_t *data, size_t size, bool few)
{
	uint8_t *copy = malloc(size == 0 ? 1 : size);

	for (size_t i = 0; i < size; i++)
		copy[i] = few
		    ? (uint8_t)letters[data[i] % (sizeof(letters) - 1)]
		    : data[i];
	return slice_of(copy, size);
}

static void
check_text(struct slice text)
{
	struct topic_share share = { 0 };
	struct slice name, filter;
	bool is_shared = naive_is_shared(text);
	bool is_split = topic_share_split(text, &share);

	require(utf8_is_valid(text) == naive_utf8(text));
	require(topic_name_is_valid(text) == naive_name(text));
	require(topic_filter_is_valid(text) == naive_filter(text));
	require(topic_is_shared(text) == is_shared);
	require(topic_has_wildcard(text) ==
	    (naive_has(text, '+') || naive_has(text, '#')));
	require(is_split ==
	    (is_shared && text.len <= 65535 &&
		naive_shared(text, &name, &filter)));
	if (is_split)
		require(slice_equal(share.name, name) &&
		    slice_equal(share.filter, filter));
}

/* The levels, with a slash between them, are the topic. */
static void
check_levels(struct slice text)
{
	struct topic_levels levels = topic_levels(text);
	const uint8_t *at = text.data;
	struct slice level;
	size_t count = 0, slashes = 0;

	for (size_t i = 0; i < text.len; i++)
		slashes += text.data[i] == '/';
	while (topic_levels_next(&levels, &level)) {
		require(level.data == at && !naive_has(level, '/'));
		at += level.len + 1;
		count++;
	}
	require(count == slashes + 1 && at == text.data + text.len + 1);
}

/* A byte of a level that no literal of the filter can match; 0: none. */
static uint8_t
foreign_byte(struct slice filter)
{
	for (uint8_t byte = 1; byte < 0x80; byte++)
		if (!naive_has(filter, byte) && byte != '/' && byte != '+' &&
		    byte != '#' && byte != '$')
			return byte;
	return 0;
}

/* A name that `narrow` matches, with so many foreign levels for its '#'. */
static bool
matches_instance(struct slice wide, struct slice narrow, unsigned levels)
{
	const uint8_t foreign = foreign_byte(wide);
	uint8_t *name = malloc(narrow.len + 4);
	size_t len = 0;
	bool matches;

	for (size_t i = 0; i < narrow.len; i++) {
		if (narrow.data[i] != '#') {
			name[len++] =
			    narrow.data[i] == '+' ? foreign : narrow.data[i];
			continue;
		}
		/* Without a level there is no slash in front either. */
		if (levels == 0)
			len -= len != 0;
		for (unsigned k = 0; k < levels; k++) {
			if (k != 0)
				name[len++] = '/';
			name[len++] = foreign;
		}
	}
	matches = len == 0 || naive_match(wide, slice_of(name, len));
	free(name);
	return matches;
}

/* A filter covers another one if it matches whatever that can stand for. */
static void
check_covers(struct slice wide, struct slice narrow)
{
	bool all = true;

	if (!naive_plain_filter(wide) || naive_is_shared(wide) ||
	    !naive_plain_filter(narrow) || naive_is_shared(narrow) ||
	    foreign_byte(wide) == 0)
		return;
	for (unsigned levels = 0; levels < 3; levels++)
		all = all && matches_instance(wide, narrow, levels);
	require(topic_filter_covers(wide, narrow) == all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice filter, name;
	size_t cut;
	bool few;

	if (size == 0)
		return 0;
	few = data[0] % 4 != 0;
	data++;
	size--;
	cut = slice_find(slice_of(data, size), 0xff);
	filter = copy_of(data, cut, few);
	name = cut == size ? copy_of(data, 0, few)
			   : copy_of(data + cut + 1, size - cut - 1, few);
	check_text(filter);
	check_text(name);
	check_levels(filter);
	if (naive_plain_filter(filter) && naive_name(name))
		require(
		    topic_matches(filter, name) == naive_match(filter, name));
	check_covers(filter, name);
	check_covers(name, filter);
	/* Every name is a filter that matches itself. */
	if (naive_name(name) && !naive_is_shared(name))
		require(
		    topic_filter_is_valid(name) && topic_matches(name, name));
	free((void *)(uintptr_t)filter.data);
	free((void *)(uintptr_t)name.data);
	return 0;
}
