/* SPDX-License-Identifier: Apache-2.0 */

/*
 * template - a text with places in braces, for topics that are made of others.
 *
 *	site7/{2}/{rest}	what the second + of a filter matched, a level;
 *				what its # matched, any number of levels
 *	copy/{topic}		the whole topic
 *	{{x}			a brace itself: "{x}"
 *
 * Check a template once against the filter it goes with, then walk it:
 *
 *	at = text;
 *	while (template_next(&at, &part))
 *		append(part.kind, part.text);
 *
 * Pure functions; nothing is allocated.
 */

#ifndef WEIR_COMMON_BASE_TEMPLATE_H
#define WEIR_COMMON_BASE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

/* {1} to {16} */
#define TEMPLATE_MAX_PLACES 16u

enum template_kind {
	TEMPLATE_TEXT,  /* as it stands */
	TEMPLATE_PLACE, /* {N} */
	TEMPLATE_REST,  /* {rest} */
	TEMPLATE_TOPIC, /* {topic} */
	TEMPLATE_BAD    /* a brace that begins none of these; the last part */
};

struct template_part {
	enum template_kind kind;
	unsigned place;    /* of a TEMPLATE_PLACE: 1 to TEMPLATE_MAX_PLACES */
	struct slice text; /* of a TEMPLATE_TEXT, not empty */
};

/* Step to the next part.  Returns false at the end. */
bool template_next(const char **at, struct template_part *out_part);

/*
 * What keeps `text` from being a template for `filter`, whose wildcards it
 * names: "names {2}, ..."; NULL: nothing.  Constant text.
 */
const char *template_fault(const char *text, const char *filter);

#endif
