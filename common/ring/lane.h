/* SPDX-License-Identifier: Apache-2.0 */

/*
 * lane - which lane of a link a topic travels in.
 *
 * What may stall apart, travels apart: the lane of a record is the set of
 * bridges that can hold it up.  An ingress (httpd, a bridge) gets the
 * bridges' filters from the broker, keeps them here, and asks for each topic:
 *
 *	lane_table_choose(table, topic, topic_len, &choice);
 *	if (choice.state == LANE_IS_WANTED)
 *		ring_endpoint_open_lane(endpoint, choice.set);
 *	if (choice.state != LANE_IS_OPEN)
 *		hold the message until lane_opened or lane_refused;
 *
 * The filters arrive in one piece (begin, add, end) and take effect at the
 * end.  A set is written as the bridges' names in byte order, joined by '+';
 * sets beyond what a link has lanes for, and those whose name is too long or
 * that the broker refused, share the lane "*".
 *
 * The ring knows nothing of topics: how a filter is matched is passed in.
 * A table belongs to one thread.
 */

#ifndef WEIR_COMMON_RING_LANE_H
#define WEIR_COMMON_RING_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

/* Bridges that a set can tell apart. */
#define LANE_MAX_BRIDGES 64u

/* The lane of all sets that have none of their own. */
#define LANE_SHARED "*"

struct lane_table;

typedef bool lane_match_fn(
    const void *filter, size_t filter_len, const void *topic, size_t topic_len);

enum lane_state {
	LANE_IS_OPEN,   /* write to `lane` */
	LANE_IS_WANTED, /* ask for `set`, once: the next answer is ASKED */
	LANE_IS_ASKED,  /* the broker's answer is on its way */
	LANE_IS_CLOSED  /* the broker refused even "*": nothing can be sent */
};

struct lane_choice {
	enum lane_state state;
	uint32_t lane;   /* when open */
	const char *set; /* valid until the next call about this table */
};

/*
 * `self` is the ingress' own name when it is a bridge (what it brings in
 * never goes back through it), else NULL.  NULL without memory.
 */
struct lane_table *lane_table_new(lane_match_fn *match, const char *self);

/* Accepts NULL. */
void lane_table_free(struct lane_table *table);

/* Forget all lanes: the link is gone.  Filters stay until new ones come. */
void lane_table_reset(struct lane_table *table);

/*
 * A new list of filters.  add() returns 0, -EINVAL for an empty or
 * over-long bridge name, -ENOSPC for too many bridges, or -ENOMEM; end()
 * then keeps the old list and returns the same error.
 */
void lane_table_begin(struct lane_table *table);
int lane_table_add(struct lane_table *table, const char *bridge,
    const char *filter, size_t filter_len);
int lane_table_end(struct lane_table *table);

/* The broker opened the lane of that set / will not open it. */
void lane_table_opened(
    struct lane_table *table, const char *set, uint32_t lane);
void lane_table_refused(struct lane_table *table, const char *set);

/*
 * The broker is asked to close the lane of that set: until it has, topics of
 * the set get ASKED.  Then the set is forgotten, and wanted again when a
 * topic needs it; with "*" those that were refused are forgotten too.
 */
void lane_table_closing(struct lane_table *table, const char *set);
void lane_table_closed(struct lane_table *table, const char *set);

/*
 * Sets that found no lane of their own stay in "*", new ones join them, and
 * their topics keep their order there.  Nothing of it is left in that lane
 * or on its way to it: lanes that are free may be used again.  Returns true
 * if there were such sets.
 */
bool lane_table_unshare(struct lane_table *table);

void lane_table_choose(struct lane_table *table, const void *topic,
    size_t topic_len, struct lane_choice *out_choice);

#endif
