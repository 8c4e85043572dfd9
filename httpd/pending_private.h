/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pending_private - what is kept of pending messages; shared by pending.c,
 * which changes it, and pending_query.c, which only looks.
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
	uint32_t used;
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
	uint32_t held_count;
	uint64_t held_total;
};

#endif
