/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sequence - were numbered messages lost, doubled, or out of order?
 *
 * A stream is what one receiver gets of one sender, numbered from 0 on.  It
 * remembers the gaps alone, so a stream of millions that comes as it should
 * costs 24 bytes:
 *
 *	switch (sequence_note(&stream, number)) {
 *	case SEQUENCE_DOUBLED:
 *		doubled++;
 *
 * Zeroed memory is a stream that nothing was received of.  One thread.
 */

#ifndef WEIR_BENCH_SEQUENCE_H
#define WEIR_BENCH_SEQUENCE_H

#include <stdint.h>

enum sequence_verdict {
	SEQUENCE_NEXT,    /* the one that was to come */
	SEQUENCE_AHEAD,   /* others before it have not come yet */
	SEQUENCE_LATE,    /* one of those: out of order */
	SEQUENCE_DOUBLED, /* it has been here before */
};

struct sequence_gap {
	uint32_t first, end; /* these, and not `end`, are missing */
};

/* Embed it by value; its fields are private to sequence.c. */
struct sequence {
	uint32_t next; /* one more than the greatest that came */
	uint32_t gap_count;
	struct sequence_gap *gaps; /* by number; room for a power of two */
};

/* What does this number mean for the stream? */
enum sequence_verdict sequence_note(struct sequence *stream, uint32_t number);

/* How many of the numbers below `end` have not come. */
uint64_t sequence_missing(const struct sequence *stream, uint32_t end);

/* Frees the gaps; the stream is then one that nothing was received of. */
void sequence_fini(struct sequence *stream);

#endif
