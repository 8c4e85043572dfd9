/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_producer_private - what the files of a producer share.
 *
 *	ring_producer.c         claim, put, commit
 *	ring_producer_attach.c  new, or where a predecessor died
 *	ring_producer_grow.c    growing, shrinking, what was noted of it
 */

#ifndef WEIR_COMMON_RING_RING_PRODUCER_PRIVATE_H
#define WEIR_COMMON_RING_RING_PRODUCER_PRIVATE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_producer.h"

#define NOTHING_CLAIMED UINT64_MAX

/* Changes that are remembered for the log. */
#define CHANGES_MAX 32u

/* Where a record will go. */
struct ring_place {
	uint32_t class; /* not the current one: a SWITCH comes first */
	uint64_t pad;   /* bytes to skip before it */
};

/* Private memory; positions are bytes without the class. */
struct ring_producer {
	struct ring_producer_memory m; /* [const] */

	/* The class it works in. */
	uint8_t *region; /* where it begins */
	uint64_t size;   /* of the class, a power of 2 */
	uint64_t entered;
	uint64_t max_payload; /* [const] of a record, of all classes */
	struct ring_regions regions;

	uint64_t position;  /* after the last record put */
	uint64_t committed; /* after the last record committed */
	uint64_t tail;      /* last validated value of the peer's tail */
	uint64_t limit;     /* last validated value of the peer's limit */

	uint64_t claimed; /* payload bytes, or NOTHING_CLAIMED */
	struct ring_place claimed_place;

	uint64_t sequence, committed_sequence;
	uint64_t bytes, committed_bytes;
	unsigned next_slot; /* the sequence slot that does not count */

	enum ring_shortage shortage;
	uint64_t stalled_since_ns; /* 0: not stalled */
	uint64_t high_water;
	const char *fault;

	/* Growth and shrinking. */
	uint64_t noted;        /* a fill above this is looked at */
	uint64_t peak;         /* greatest fill since the last tend() */
	unsigned sparse_calls; /* of tend(), in a row */
	bool is_starved;       /* no memory to grow; tend() tries again */
	struct ring_change changes[CHANGES_MAX]; /* a circle */
	unsigned first_change, change_count;
};

static inline int
ring_producer_poison(struct ring_producer *p, const char *fault)
{
	p->fault = fault;
	return -EPROTO;
}

/* Counters have one writer, so a plain read-add-store is enough. */
static inline void
ring_producer_count(_Atomic uint64_t *counter, uint64_t amount)
{
	uint64_t value;

	/* relaxed: statistics, paired with nothing */
	value = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

/* In the class it works in: what lies in others takes nothing from it. */
static inline uint64_t
ring_producer_free_space(const struct ring_producer *p)
{
	uint64_t first = p->tail > p->entered ? p->tail : p->entered;

	return p->size - (p->position - first);
}

static inline struct ring_record *
ring_producer_place_at(const struct ring_producer *p, uint64_t position)
{
	return (struct ring_record *)(p->region + (position & (p->size - 1)));
}

/* Read the peer's tail and check it.  Returns 0, or -EPROTO: poisoned. */
int ring_producer_read_tail(struct ring_producer *p);

/* A larger class, with memory, for a record that this one has no room for. */
bool ring_producer_find_larger(
    struct ring_producer *p, uint64_t need, struct ring_place *out_place);

/* True if find_larger() may find one: it was not refused memory. */
bool ring_producer_can_grow(const struct ring_producer *p, uint64_t need);

/* Leave this class for another one: there is always room for that. */
void ring_producer_switch(struct ring_producer *p, uint32_t class);

/* Take over the class that `regions` says is written to. */
void ring_producer_work_in_class(struct ring_producer *p);

/* Count the SWITCHes that were committed. */
void ring_producer_commit_class(struct ring_producer *p);

/* The fill is above `noted`: look at it, and allocate ahead. */
void ring_producer_note_fill(struct ring_producer *p);

#endif
