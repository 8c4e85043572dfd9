/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pending_private - what is kept of pending messages; shared by pending.c and
 * pending_list.c, which change it, and pending_query.c, which only looks.
 */

#ifndef WEIR_HTTPD_PENDING_PRIVATE_H
#define WEIR_HTTPD_PENDING_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "httpd/pending.h"

/* No entry: the end of a list. */
#define NONE UINT32_MAX

enum entry_state {
	FREE,
	HELD,
	COMMITTED, /* or put and about to be */
	ORPHAN     /* settled as unknown, but its receipt may still come */
};

struct entry {
	uint64_t correlation;
	uint64_t identity;
	uint64_t deadline_ns;
	uint64_t serial; /* order in which entries were made or put */
	void *owner;
	void *body; /* HELD: the encoded message */
	uint32_t length;
	uint32_t index;
	uint32_t generation;
	uint32_t previous, next; /* in its list */
	uint8_t lane;
	uint8_t state;
};

/* A doubly linked list of entries by their numbers. */
struct list {
	uint32_t first, last;
	uint32_t count;
};

struct pending {
	struct pending_config config;
	const struct pending_ops *ops;
	void *context;
	struct entry *entry;
	uint32_t free_first; /* chained by `next` */
	struct pool_use use; /* of entries */
	uint64_t epoch;
	bool is_attached;
	uint32_t receipts;
	uint64_t serial, committed_serial;
	struct list held[PENDING_LANES];
	struct list committed; /* by deadline */
	struct list orphans;
	uint32_t outstanding; /* committed and orphans */
	uint32_t lane_outstanding[PENDING_LANES];
	uint64_t held_bytes, lane_held_bytes[PENDING_LANES];
	uint32_t lane_requests[PENDING_LANES]; /* owners of what is held */
	uint32_t held_count;
	uint64_t held_total, lane_held_total[PENDING_LANES];
};

/* pending_list.c */

void pending_list_init(struct list *list);
void pending_list_append(
    struct pending *pending, struct list *list, uint32_t number);
void pending_list_remove(
    struct pending *pending, struct list *list, uint32_t number);

/*
 * To the end of what a lane holds, or out of it, with all that is counted.
 * The messages of one owner follow each other, so its neighbours tell whether
 * it is the first or the last of them.
 */
void pending_held_add(struct pending *pending, uint32_t lane, uint32_t number);
void pending_held_remove(struct pending *pending, uint32_t number);

/* Is the message that was held last this owner's? */
bool pending_held_is_last(
    const struct pending *pending, uint32_t lane, const void *owner);

#endif
