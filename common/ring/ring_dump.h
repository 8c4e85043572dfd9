/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_dump - the records of one lane, from outside, also after a death.
 *
 *	err = ring_dump_open(&view, &lane);	a lane of ring_inspect.h
 *	err = ring_dump_take(lane, &options, &dump);
 *	for (i = 0; i < dump.count; i++)
 *		ring_dump_body(lane, &dump.record[i], buffer, length);
 *	ring_dump_free(&dump);
 *	ring_dump_close(lane);
 *
 * A dump has the records that wait between tail and head and, if wanted,
 * those before the tail that are released and not yet overwritten
 * (ring_dump_search.h says how far they can be believed).  Behind a damaged
 * record nothing leads to the next; what lies between it and the head is
 * searched in the same way.
 *
 * The lane may be written to meanwhile.  What the consumer releases while it
 * is read is taken again from the start; in the end, and for each body, it is
 * checked that the record is still there, and what was overtaken is left out
 * and counted.
 */

#ifndef WEIR_COMMON_RING_RING_DUMP_H
#define WEIR_COMMON_RING_RING_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_inspect.h"
#include "common/ring/ring_layout.h"

/* Most records that a dump holds, whatever is asked for. */
#define RING_DUMP_MAX (1u << 20)

/* Records, PADs and SWITCHes that are walked over. */
#define RING_DUMP_STEPS (1u << 24)

struct ring_dump_lane;

struct ring_dump_options {
	bool released;    /* those before the tail, too */
	size_t limit;     /* most records to keep; 0: RING_DUMP_MAX */
	bool keep_oldest; /* of more than that; else the newest */
};

struct ring_dump_record {
	struct ring_record header; /* checked: length, type, sequence */
	uint64_t position;
	uint32_t class;
	bool is_released;
	bool is_found; /* by the search, not from the record before it */
};

/* What is wrong with the lane's memory. */
struct ring_dump_fault {
	const char *text; /* a constant sentence; NULL: nothing */
	bool has_place;   /* the rest is known: a header's place and bytes */
	uint64_t position;
	uint32_t class;
	struct ring_record header;
};

struct ring_dump {
	struct ring_dump_record *record; /* oldest first */
	size_t count;
	uint64_t left_out;   /* beyond the limit */
	uint64_t overtaken;  /* released or overwritten while they were read */
	uint64_t head, tail; /* words */
	uint64_t waiting;    /* records from the tail on, limit or not */
	uint64_t released;   /* records before the tail, likewise */
	bool is_cut;         /* a limit of search or walk was reached */
	struct ring_dump_fault fault;
};

/*
 * Find the memory of the lane that `view` shows.
 * Returns 0, -ENOENT when nobody holds it any more, or -errno.
 */
int ring_dump_open(
    const struct ring_view *view, struct ring_dump_lane **out_lane);

/*
 * As ring_dump_open(), for memory at hand: the lane memfd, the side of its
 * producer, and that of its consumer (-1: not there).  The descriptors stay
 * the caller's.  -EBADMSG if it is no lane memfd.
 */
int ring_dump_open_memory(int lane_fd, int producer_fd, int consumer_fd,
    struct ring_dump_lane **out_lane);

/* Accepts NULL. */
void ring_dump_close(struct ring_dump_lane *lane);

/*
 * Read the lane.  Whatever its memory holds, this succeeds: what could be
 * read is in *out_dump, and its fault says what could not.
 * Returns 0 or -ENOMEM.
 */
int ring_dump_take(struct ring_dump_lane *lane,
    const struct ring_dump_options *options, struct ring_dump *out_dump);
void ring_dump_free(struct ring_dump *dump);

/*
 * Copy the first `length` bytes of a record's payload, which has that many.
 * Returns 0; -ESTALE when the record was overtaken: what was copied is not
 * to be used; -EIO when it cannot be read.
 */
int ring_dump_body(struct ring_dump_lane *lane,
    const struct ring_dump_record *record, void *to, size_t length);

#endif
