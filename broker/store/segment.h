/* SPDX-License-Identifier: Apache-2.0 */

/*
 * segment - one file of the journal: its name, its header, and a cursor over
 * its records.
 *
 * A segment_view reads a file that was opened by somebody else, in large
 * blocks.  segment_view_at() says what lies at an offset, and trusts nothing;
 * segment_view_next() finds the next valid record behind damage.  One thread
 * has one view; the file may grow beside it.
 */

#ifndef WEIR_BROKER_STORE_SEGMENT_H
#define WEIR_BROKER_STORE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store_format.h"
#include "broker/store/store_io.h"
#include "common/base/slice.h"

struct segment_index;

/* A segment as the store knows it; under the store's lock but for [const]. */
struct segment {
	uint64_t first_sequence; /* [const] its name */
	uint64_t last_sequence;  /* committed; first - 1: none */
	uint64_t end;            /* offset behind what is committed */
	uint64_t durable;        /* synced up to here, if not active */
	uint64_t size;           /* of the file */
	uint64_t merged_last;    /* 0: it is not a merged one */

	uint64_t live;          /* deliveries that are not over */
	uint64_t messages;      /* in it */
	uint64_t message_bytes; /* of their records */

	bool is_holey; /* it was found so: deliveries are missing in it */

	unsigned pins;   /* readers that have it open */
	bool is_active;  /* the writer appends to it */
	bool is_doomed;  /* the keeper is removing it */
	bool is_damaged; /* and could not be put aside */

	struct segment_index *index; /* NULL: not in memory */
	uint64_t index_used;         /* when, in uses of any */
	bool is_index_partial; /* there was no memory for it: it is not kept */
	uint64_t index_file_bytes; /* 0: there is none */
	bool is_merge_refused; /* what is in it cannot be read, or is large */
	struct segment *next;  /* of those that were merged and still read */

	bool is_index_refused;     /* it could not be written: not again */
};

/*
 * "%016llx.seg", or "%016llx-%016llx.seg" of one that is merged, to `out_name`,
 * which has STORE_NAME_MAX bytes.
 */
void segment_name(
    uint64_t first_sequence, uint64_t merged_last, char *out_name);

/* False if `name` is not that of a segment. */
bool segment_name_parse(
    const char *name, uint64_t *out_first_sequence, uint64_t *out_merged_last);

/* Fill in magic, version and CRC; all numbers as they are in memory. */
void segment_header_seal(struct store_segment_header *header);

/*
 * Read and check: 0 with the numbers as they are in memory; -EBADMSG, also if
 * the disk cannot read it;
 * -ENOTSUP: intact, of a newer version; -errno of the disk.
 */
int segment_header_read(const struct store_io *io, int file,
    struct store_segment_header *out_header);

/* Bytes that deliveries which are not over hold, at most. */
uint64_t segment_live_bytes(const struct segment *segment);

/* ---- records ------------------------------------------------------------- */

struct segment_record {
	uint64_t offset;
	uint64_t bytes; /* with header and padding */
	uint64_t sequence;
	uint64_t tag;
	uint8_t kind;
	uint8_t flags;
	struct slice body; /* valid until the view is used again */
};

/*
 * Write header and padding around the body, which is in its place already,
 * store_record_bytes(length) bytes from `at` on, aligned to 8.
 */
void segment_record_seal(void *at, const struct segment_record *record);

enum segment_found {
	SEGMENT_RECORD,
	SEGMENT_ZEROS,  /* a terminator, or nothing was ever written */
	SEGMENT_BROKEN, /* anything else, the end of the file too */
};

struct segment_view {
	const struct store_io *io;
	int file;
	uint64_t tag; /* 0: any */
	uint64_t end; /* nothing is read from here on */
	uint8_t *buffer;
	size_t capacity;
	uint64_t base; /* offset of buffer[0] */
	size_t filled;
};

/* What is read at once: all of it, or a record here and there. */
#define SEGMENT_VIEW_LARGE ((size_t)1 << 20)
#define SEGMENT_VIEW_SMALL ((size_t)64 << 10)

/* Embed it by value.  0 or -ENOMEM. */
int segment_view_init(
    struct segment_view *view, const struct store_io *io, size_t block_bytes);
void segment_view_fini(struct segment_view *view);

/* Look at a file from now on; `end` may be moved later. */
void segment_view_set(
    struct segment_view *view, int file, uint64_t tag, uint64_t end);

/* An enum segment_found, with *out_record if it is a record; or -errno. */
int segment_view_at(struct segment_view *view, uint64_t offset,
    struct segment_record *out_record);

/*
 * The first record from `offset` on with a sequence above `after`.  As above;
 * SEGMENT_ZEROS: there is none.
 */
int segment_view_next(struct segment_view *view, uint64_t offset,
    uint64_t after, struct segment_record *out_record);

/*
 * The first record but BATCH and FILL at or behind `offset`, where one may
 * begin, with a sequence above `after`.  1, 0: there is none, or -errno.
 * Bytes of damage that were passed over are added to *inout_lost.
 */
int segment_view_next_record(struct segment_view *view, uint64_t offset,
    uint64_t after, struct segment_record *out_record, uint64_t *inout_lost);

#endif
