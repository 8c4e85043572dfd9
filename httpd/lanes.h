/* SPDX-License-Identifier: Apache-2.0 */

/*
 * lanes - which lane a topic travels in.
 *
 * common/ring/lane.h says which set of bridges a topic goes to; here each set
 * has a slot, small numbers that pending counts with, and the last topics
 * are remembered, since clients tend to publish to the same ones:
 *
 *	slot = lanes_find(lanes, topic);
 *	lane = lanes_get(lanes, slot);
 *	if (lane->state == LANES_CLOSED)
 *		ask the broker for lane->set, wait
 *
 * No ring, no socket: bookkeeping only.  One thread.
 */

#ifndef WEIR_HTTPD_LANES_H
#define WEIR_HTTPD_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/ring/ring_layout.h"
#include "httpd/drain.h"
#include "httpd/overflow.h"

#define LANES_MAX RING_LANES
#define LANES_PLAIN 0u  /* slot of "": no bridge that could stall */
#define LANES_SHARED 1u /* slot of "*": sets without a lane of their own */

enum lanes_state {
	LANES_CLOSED, /* not asked for since the link is up */
	LANES_ASKED,
	LANES_OPEN
};

struct lanes_slot {
	char set[RING_NAME_MAX]; /* "", "cloud", "cloud+plant", "*" */
	enum lanes_state state;
	uint32_t ring_lane; /* while open */
	uint64_t messages;  /* put into it, over all lives */
	uint64_t refused;   /* turned away for want of credit */
	struct drain drain; /* while open: how fast it is emptied */
	struct overflow overflow;
};

struct lanes;

/* Does anything still count with this slot? */
typedef bool lanes_is_used_fn(void *context, uint32_t slot);

/* `seed` is random.  NULL without memory. */
struct lanes *lanes_new(uint64_t seed);
void lanes_free(struct lanes *lanes);

/*
 * A new list of filters.  Nothing changes for lanes_find() until end();
 * then a topic's slot may be another one.  What add() refuses (not valid, no
 * memory) makes end() return that error, and the old list stays.
 */
void lanes_filters_begin(struct lanes *lanes);
void lanes_filters_add(
    struct lanes *lanes, const char *bridge, struct slice filter);
int lanes_filters_end(struct lanes *lanes);

/* The slot of a valid topic name; always one that may be used. */
uint32_t lanes_find(struct lanes *lanes, struct slice topic);

/* NULL beyond lanes_count(). */
struct lanes_slot *lanes_get(struct lanes *lanes, uint32_t slot);
uint32_t lanes_count(const struct lanes *lanes);

/* The broker opened the lane of `set`: its slot, or -ENOSPC. */
int lanes_opened(struct lanes *lanes, const char *set, uint32_t ring_lane);

/*
 * The broker refused `set`: its topics go to LANES_SHARED from now on.
 * Returns its slot, or -ENOENT.
 */
int lanes_refused(struct lanes *lanes, const char *set);

/* The slot of a set, or -ENOENT. */
int lanes_slot_of(const struct lanes *lanes, const char *set);

/*
 * The broker is asked to close the lane of a set: it is as if it was asked to
 * open it.  Then it is closed: whoever needs it asks.
 */
void lanes_closing(struct lanes *lanes, const char *set);
void lanes_closed(struct lanes *lanes, const char *set);

/* Nothing is left in "*": see lane_table_unshare(). */
void lanes_unshare(struct lanes *lanes);

/*
 * How to know that a slot whose lane is closed may become another set's when
 * all are taken; without it none is.
 */
void lanes_set_is_used(
    struct lanes *lanes, lanes_is_used_fn *is_used, void *context);

/* The link is gone: all lanes are closed, refusals forgotten. */
void lanes_detached(struct lanes *lanes);

/* "bridge cloud", "bridges cloud, plant", "weir-broker": whose credit lacks. */
void lanes_holder(const struct lanes_slot *lane, char *out, size_t size);

#endif
