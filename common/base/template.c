/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/template.h"

#include <string.h>

static const struct word {
	const char *text;
	enum template_kind kind;
} words[] = {
	{ "{rest}", TEMPLATE_REST },
	{ "{topic}", TEMPLATE_TOPIC },
};

/* {1} to {16}, without leading zeros; its length, or 0. */
static size_t
read_place(const char *text, unsigned *out_place)
{
	unsigned place = 0;
	size_t len = 1;

	while (text[len] >= '0' && text[len] <= '9' &&
	    place <= TEMPLATE_MAX_PLACES) {
		place = 10 * place + (unsigned)(text[len] - '0');
		len++;
		if (place == 0)
			return 0;
	}
	if (text[len] != '}' || place == 0 || place > TEMPLATE_MAX_PLACES)
		return 0;
	*out_place = place;
	return len + 1;
}

/* What stands behind an opening brace. */
static size_t
read_brace(const char *text, struct template_part *part)
{
	size_t len;

	if (text[1] == '{') {
		*part = (struct template_part){ .kind = TEMPLATE_TEXT,
			.text = slice_of(text, 1) };
		return 2;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		len = strlen(words[i].text);
		if (strncmp(text, words[i].text, len) != 0)
			continue;
		*part = (struct template_part){ .kind = words[i].kind };
		return len;
	}
	*part = (struct template_part){ .kind = TEMPLATE_PLACE };
	len = read_place(text, &part->place);
	if (len != 0)
		return len;
	*part = (struct template_part){ .kind = TEMPLATE_BAD };
	return strlen(text);
}

bool
template_next(const char **at, struct template_part *out_part)
{
	size_t len;

	if (**at == '\0')
		return false;
	len = strcspn(*at, "{");
	if (len != 0)
		*out_part = (struct template_part){ .kind = TEMPLATE_TEXT,
			.text = slice_of(*at, len) };
	else
		len = read_brace(*at, out_part);
	*at += len;
	return true;
}

/* Levels of the filter that are '+'. */
static unsigned
count_places(const char *filter)
{
	unsigned count = 0;

	for (const char *at = filter; *at != '\0'; at++)
		count += *at == '+';
	return count;
}

const char *
template_fault(const char *text, const char *filter)
{
	unsigned places = count_places(filter);
	bool has_rest = strchr(filter, '#') != NULL;
	struct template_part part;

	if (*text == '\0')
		return "is empty";
	while (template_next(&text, &part)) {
		switch (part.kind) {
		case TEMPLATE_PLACE:
			if (part.place > places)
				return "names a + that filter does not have";
			break;
		case TEMPLATE_REST:
			if (!has_rest)
				return "has {rest}, and filter has no #";
			break;
		case TEMPLATE_BAD:
			return "has a brace that begins no {1} to {16}, {rest} "
			       "or {topic}; {{ is a brace itself";
		case TEMPLATE_TEXT:
			if (memchr(part.text.data, '+', part.text.len) !=
				NULL ||
			    memchr(part.text.data, '#', part.text.len) != NULL)
				return "has a wildcard; {1} is what the first "
				       "+ "
				       "matched, {rest} what # did";
			break;
		case TEMPLATE_TOPIC:
			break;
		}
	}
	return NULL;
}
