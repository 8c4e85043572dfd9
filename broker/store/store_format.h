/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_format - what lies in a segment file, byte by byte.
 *
 *	"%016llx.seg", named by the first sequence in it
 *	+----------------+ 0
 *	| segment header |  one page, under a CRC as a whole
 *	+----------------+ 4096
 *	| BATCH          |  each commit begins with one
 *	| record         |
 *	| record ...     |  records are aligned to 8 bytes
 *	+----------------+
 *	| 32 zeros       |  behind the last commit; the next overwrites them
 *	+----------------+
 *	| unused         |  zeros, or what the file held in its life before
 *	+----------------+ size
 *
 * Record:
 *
 *	 0        4        8                16               24   25    26 28 32
 *	+--------+--------+----------------+----------------+----+-----+--+---+
 *	| length | crc32c | sequence       | tag            |kind|flags| 0| 0 |
 *	+--------+--------+----------------+----------------+----+-----+--+---+
 *	| body, then zeros up to a multiple of 8
 *
 * The CRC is over header (with 0 for itself), body and padding.  The tag is a
 * random number of the store: without it a payload could be made that is a
 * valid record for whoever looks for the next one behind damage.
 *
 * A file that is used again keeps its old content; that has lower sequences.
 * The sequence of a BATCH is that of the record behind it.
 *
 * All numbers are little-endian.  The layout is kept across versions of Weir:
 * a change of what is below changes STORE_VERSION.
 */

#ifndef WEIR_BROKER_STORE_STORE_FORMAT_H
#define WEIR_BROKER_STORE_STORE_FORMAT_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_MAGIC UINT64_C(0x3152474552495357) /* "WSIREGR1" */
#define STORE_VERSION 1u

#define STORE_PAGE 4096u
#define STORE_ALIGN 8u

/* Zeros behind the last commit: as many as a header has bytes. */
#define STORE_TERMINATOR 32u

/* "0123456789abcdef.seg" and the like, with the final NUL and some room. */
#define STORE_NAME_MAX 48

struct store_segment_header {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* of the page, with 0 here */
	uint64_t first_sequence;
	uint64_t tag;
	uint64_t segment_bytes;

	/*
	 * The segment before: its first sequence (0: there is none), where it
	 * ends, the last sequence in it, and the last that had been synced.
	 * Between it and this one there is no other.
	 */
	uint64_t before_first;
	uint64_t before_end;
	uint64_t before_last;
	uint64_t before_durable;

	/* Merged: it holds what is left up to this sequence.  Else 0. */
	uint64_t merged_last;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint8_t zeros[STORE_PAGE - 88];
};

_Static_assert(sizeof(struct store_segment_header) == STORE_PAGE, "a page");
_Static_assert(
    offsetof(struct store_segment_header, crc) == 12, "of all versions");
_Static_assert(offsetof(struct store_segment_header, zeros) == 88, "packed");

struct store_record_header {
	uint32_t length; /* of the body, without padding */
	uint32_t crc;
	uint64_t sequence;
	uint64_t tag;
	uint8_t kind; /* enum store_kind; never 0 */
	uint8_t flags;
	uint16_t zero16;
	uint32_t zero32;
};

_Static_assert(sizeof(struct store_record_header) == 32, "packed");

/* The body of a BATCH. */
struct store_batch_body {
	/* What survives whatever happens to the bytes behind this. */
	uint64_t durable;
	uint64_t wall_ns;
};

_Static_assert(sizeof(struct store_batch_body) == 16, "packed");

/* Bytes that a record with this body takes. */
static inline uint64_t
store_record_bytes(uint64_t body_length)
{
	return sizeof(struct store_record_header) +
	    (body_length + STORE_ALIGN - 1) / STORE_ALIGN * STORE_ALIGN;
}

#endif
