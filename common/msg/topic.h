/* SPDX-License-Identifier: Apache-2.0 */

/*
 * topic - topic names and topic filters: validity, matching, levels.
 *
 * A name is what a message is published to, a filter what is subscribed to.
 * Both are UTF-8 of 1 to 65,535 bytes, cut into levels by '/'.  A level may
 * be empty: "/a" has two.  Nothing here allocates, recurses or keeps state,
 * so any thread may call it.
 */

#ifndef WEIR_COMMON_MSG_TOPIC_H
#define WEIR_COMMON_MSG_TOPIC_H

#include <stdbool.h>

#include "common/base/slice.h"

/* The longest name or filter, in bytes [MQTT-4.7.3-3]. */
#define TOPIC_MAX_BYTES 65535

/* The parts of "$share/NAME/FILTER". */
struct topic_share {
	struct slice name;
	struct slice filter;
};

/*
 * Walks the levels of a name or filter:
 *
 *	struct topic_levels levels = topic_levels(name);
 *
 *	while (topic_levels_next(&levels, &level))
 *		node = child(node, level);
 */
struct topic_levels {
	const uint8_t *p; /* NULL after the last level */
	const uint8_t *end;
};

/*
 * May a message be published to this name?  1 to 65,535 bytes of valid UTF-8
 * [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3], no wildcards
 * [MQTT-4.7.0-1].
 */
bool topic_name_is_valid(struct slice name);

/*
 * May this filter be subscribed to?  As a name, but '#' may stand alone as
 * the last level [MQTT-4.7.1-1], '+' alone as any level [MQTT-4.7.1-2], and
 * a filter starting with "$share/" must have both its parts: the share's
 * name not empty, without '/', '+', '#' [MQTT-4.8.2-1], followed by '/' and
 * a valid filter [MQTT-4.8.2-2].
 */
bool topic_filter_is_valid(struct slice filter);

/*
 * Does a valid filter match a valid name [MQTT-3.3.2-3]?  Bytes are compared
 * as they are [MQTT-4.7.3-4].  A filter that starts with a
 * wildcard matches no name that starts with '$' [MQTT-4.7.2-1].  "a/#"
 * matches "a" too.  The filter of a shared subscription is to be given
 * without its "$share/NAME/" (see topic_share_split()).
 */
bool topic_matches(struct slice filter, struct slice name);

/*
 * Does the filter `wide` match every name that `narrow` does?  Both are valid
 * and not shared.  As in matching, a wildcard at the beginning of `wide` does
 * not stand for what begins with '$'.
 */
bool topic_filter_covers(struct slice wide, struct slice narrow);

/* Does the filter hold '+' or '#'? */
bool topic_has_wildcard(struct slice filter);

/*
 * Take "$share/NAME/FILTER" apart.
 * Returns false, and leaves *out_share alone, if the filter does not have
 * that form or a part of it is not valid.
 */
bool topic_share_split(struct slice filter, struct topic_share *out_share);

/* Does the filter start with "$share/", well-formed or not? */
bool topic_is_shared(struct slice filter);

/* A cursor before the first level; the topic must outlive it. */
static inline struct topic_levels
topic_levels(struct slice topic)
{
	return (struct topic_levels){ .p = topic.data,
		.end = topic.data == NULL ? NULL : topic.data + topic.len };
}

/*
 * Step to the next level, which may be empty.
 * Returns false, and leaves *out_level alone, after the last one.
 */
static inline bool
topic_levels_next(struct topic_levels *levels, struct slice *out_level)
{
	const uint8_t *slash;
	size_t left;

	if (levels->p == NULL)
		return false;

	left = (size_t)(levels->end - levels->p);
	slash = left == 0 ? NULL : memchr(levels->p, '/', left);
	if (slash == NULL) {
		*out_level = slice_of(levels->p, left);
		levels->p = NULL;
		return true;
	}
	*out_level = slice_of(levels->p, (size_t)(slash - levels->p));
	levels->p = slash + 1;
	return true;
}

#endif
