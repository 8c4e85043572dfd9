/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_resize - which size classes of a lane hold what.
 *
 * A lane's memfd has a region for each size class, each twice as large as the
 * one before (ring_layout.h).  The producer writes in one of them; SWITCH
 * records lead from one to the next, so that a lane grows, also several times
 * while its consumer releases nothing, and shrinks, without a stop:
 *
 *	class 0   [......records......SWITCH{1}]
 *	class 1   [....................records....................SWITCH{3}]
 *	class 3   [..records, the head is here..
 *	           ^ entered                   all of it allocated before
 *
 * A region is USED from when it is entered until the tail has passed the
 * SWITCH that leads out of it.  Only an unused region is entered, upwards or
 * downwards, and only an unused one is punched: nothing unreleased is ever
 * overwritten.  Class 0 stays allocated, so that shrinking cannot fail.
 *
 * This is the producer's private view, used by ring_producer.c alone; after a
 * restart it is found again by a scan from the tail to the head.  The tail is
 * the peer's word and is checked against it.
 */

#ifndef WEIR_COMMON_RING_RING_RESIZE_H
#define WEIR_COMMON_RING_RING_RESIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

/*
 * The memory behind a lane: allocate and give back [offset, offset + length)
 * of the lane memfd.  0 or -errno.  Tests pass their own, to fail.  NULL for
 * both: it is plain memory, all of it there for good.
 */
struct ring_space {
	int (*allocate)(void *context, uint64_t offset, uint64_t length);
	int (*punch)(void *context, uint64_t offset, uint64_t length);
	void *context;
};

struct ring_regions {
	uint32_t min_shift;      /* [const] */
	uint32_t classes;        /* [const] */
	struct ring_space space; /* [const] */

	uint32_t class;                   /* the one written now */
	uint32_t used;                    /* bit k: region k is used */
	uint64_t entered[RING_CLASSES];   /* position of its first record */
	uint64_t left[RING_CLASSES];      /* position after its SWITCH */
	uint64_t allocated[RING_CLASSES]; /* bytes, from the beginning */
	uint32_t
	    unknown; /* bit k: what a predecessor left there is not known */

	/* Classes left since the last commit, to go back on abort. */
	uint8_t left_uncommitted[RING_CLASSES];
	unsigned uncommitted;
};

/*
 * Find the regions again from what lies between `tail` (the peer's word,
 * unchecked) and `head` (ours) in `data`, the lane memfd as mapped.
 * Returns NULL, or why that cannot be: a constant sentence.
 */
const char *ring_regions_recover(struct ring_regions *regions,
    const struct ring_space *space, uint32_t min_shift, uint32_t classes,
    const void *data, uint64_t tail, uint64_t head);

/* True if the tail may be at this word: in a used region, where it lies. */
bool ring_regions_has(const struct ring_regions *regions, uint64_t word);

/* The class in which a used region has `position`. */
uint32_t ring_regions_class_of(
    const struct ring_regions *regions, uint64_t position);

/* The tail is at `position`: regions that it has left are unused. */
void ring_regions_release(struct ring_regions *regions, uint64_t position);

/*
 * The smallest unused class above the current one in which `need` bytes and a
 * SWITCH fit, entered at `position`.  Returns it with the bytes to pad in
 * front, or -1: there is none.
 */
int ring_regions_larger(const struct ring_regions *regions, uint64_t position,
    uint64_t need, uint64_t *out_pad);

/*
 * The smallest unused class below the current one of at least `size` bytes,
 * or -1: there is none.
 */
int ring_regions_smaller(const struct ring_regions *regions, uint64_t size);

/*
 * Bytes that all unused classes above the current one have, within `credit`
 * positions, when `waste` bytes in each come to nothing.
 */
uint64_t ring_regions_spare(
    const struct ring_regions *regions, uint64_t credit, uint64_t waste);

/*
 * Allocate the region of `class`, at least up to its first `bytes` bytes.
 * Returns 0 or -errno; what was allocated stays.
 */
int ring_regions_allocate(
    struct ring_regions *regions, uint32_t class, uint64_t bytes);

/* A SWITCH that ends at `position` leads to `class`, allocated and unused. */
void ring_regions_enter(
    struct ring_regions *regions, uint32_t class, uint64_t position);

/* What was entered since the last commit counts, or never happened. */
void ring_regions_commit(struct ring_regions *regions);
void ring_regions_abort(struct ring_regions *regions);

/*
 * Give the memory of unused regions back, class 0 and `keep` (-1: none)
 * excepted.
 */
void ring_regions_punch(struct ring_regions *regions, int keep);

/* True if there is anything for ring_regions_punch(regions, -1). */
bool ring_regions_has_unused_memory(const struct ring_regions *regions);

#endif
