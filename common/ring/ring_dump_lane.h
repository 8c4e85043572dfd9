/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_dump_lane - the memory of one lane, read from outside.
 *
 * Used by the files ring_dump*.c.  All is read with pread(), so that holes
 * stay holes and a process that dies or writes meanwhile cannot hurt, and all
 * of it is treated as hostile: a header is checked before its length is used.
 *
 *	ring_dump_lane.c    headers, the ends of the lane
 *	ring_dump_search.c  records before the tail, which no index leads to
 *	ring_dump.c         the list that is handed out
 */

#ifndef WEIR_COMMON_RING_RING_DUMP_LANE_H
#define WEIR_COMMON_RING_RING_DUMP_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

/*
 * Bytes of headers that are read at a time; little, since a hostile producer
 * can have them lie far apart.
 */
#define RING_DUMP_WINDOW RING_PAGE

/* A sequence that is not known, or may be any. */
#define RING_DUMP_ANY UINT64_MAX

/* A place in the stream: where, and in which class's region. */
struct ring_dump_place {
	uint64_t position;
	uint32_t class;
};

/* What both sides say of the lane. */
struct ring_dump_ends {
	struct ring_dump_place head, tail;
	uint64_t sequence; /* of the last record before the head, or ANY */
};

/* The descriptors are its own. */
struct ring_dump_lane {
	int data_fd;     /* the lane memfd */
	int producer_fd; /* the producer's side memfd */
	int consumer_fd; /* the consumer's; -1: nobody holds it */
	uint32_t lane;
	uint32_t min_shift, classes;

	/* The part of the lane memfd that was read last. */
	uint8_t *window; /* RING_DUMP_WINDOW bytes */
	uint64_t window_offset;
	size_t window_length; /* 0: none */

	struct ring_dump_ends taken; /* when it was dumped last */
	uint64_t margin;             /* bytes that may be being overwritten */
	uint64_t search_left; /* bytes that the search at hand may look at */
};

/* Bytes of all classes: the tail is never farther behind the head. */
uint64_t ring_dump_total(const struct ring_dump_lane *lane);

/* Bytes of the longest record that the lane can have. */
uint64_t ring_dump_largest(const struct ring_dump_lane *lane);

/*
 * Read head and tail.  Returns NULL, or what makes no sense in them: a
 * constant sentence.  The head is then not to be used, nor the tail.
 */
const char *ring_dump_read_ends(
    const struct ring_dump_lane *lane, struct ring_dump_ends *out_ends);

/* Read what is in the lane anew from now on. */
void ring_dump_forget(struct ring_dump_lane *lane);

/* Copy the header at `at`, out of the window.  False: it cannot be read. */
bool ring_dump_header(struct ring_dump_lane *lane, struct ring_dump_place at,
    struct ring_record *out_record);

/* Copy `length` bytes from `at` on, which lie in one piece, as they are now. */
bool ring_dump_bytes(const struct ring_dump_lane *lane,
    struct ring_dump_place at, void *to, size_t length);

/*
 * Is this a header that may stand at `at`, of a record that ends at `end` or
 * before?  Returns NULL and the place after the record, or what is wrong: a
 * constant sentence.
 */
const char *ring_dump_check(const struct ring_dump_lane *lane,
    struct ring_dump_place at, uint64_t end, const struct ring_record *record,
    struct ring_dump_place *out_after);

#endif
