/* SPDX-License-Identifier: Apache-2.0 */

/*
 * segment_index - where in a segment the messages of each cursor are.
 *
 * It grows with the segment that is appended to, and is written beside one
 * that is complete ("NAME.idx"), so that a cursor that has a few messages in
 * a segment does not read all of it.  It is only a short cut: one that is
 * missing or damaged is made again from the segment.
 *
 * File: a header of 48 bytes, then for each cursor {cursor u64, count u32, 0},
 * then the entries of all of them, 8 bytes each.  One CRC covers everything.
 *
 *	 0 magic u64         16 first_sequence u64    32 end u64
 *	 8 version u32       24 tag u64               40 cursors u32
 *	12 crc32c u32                                 44 entries u32
 *
 * One thread at a time.
 */

#ifndef WEIR_BROKER_STORE_SEGMENT_INDEX_H
#define WEIR_BROKER_STORE_SEGMENT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store_io.h"

struct segment_index;

/* In one segment all sequences are within 2^32 of the first. */
struct segment_index_entry {
	uint32_t delta; /* sequence - first_sequence */
	uint32_t place; /* offset / STORE_ALIGN */
};

/* Which segment it is of; an index of another is refused. */
struct segment_index_head {
	uint64_t first_sequence;
	uint64_t tag;
	uint64_t end; /* offset behind its last record */
};

/* Empty; NULL without memory. */
struct segment_index *segment_index_new(void);
void segment_index_free(struct segment_index *index);

/* Bytes of memory. */
size_t segment_index_bytes(const struct segment_index *index);

/*
 * Behind what it has of this cursor (> 0).  0, or -ENOMEM with nothing
 * changed.
 */
int segment_index_add(struct segment_index *index, uint64_t cursor,
    struct segment_index_entry entry);

/*
 * Copy the first entries of a cursor whose delta is at least `from`, at most
 * `room`.  Returns how many.
 */
size_t segment_index_find(const struct segment_index *index, uint64_t cursor,
    uint32_t from, struct segment_index_entry *out, size_t room);

/*
 * It must not exist.  Not synced.  0 with its size, or -errno; then there is
 * no file.
 */
int segment_index_write(const struct segment_index *index,
    const struct store_io *io, const char *name,
    const struct segment_index_head *head, uint64_t *out_bytes);

/* 0; -EBADMSG: it is damaged, or not of this segment; -errno. */
int segment_index_read(const struct store_io *io, const char *name,
    const struct segment_index_head *head, struct segment_index **out_index);

#endif
