/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_consumer - the reading end of one lane, with two cursors.
 *
 *	while (ring_peek(consumer, &record, &payload) == 1) {
 *		memcpy(buffer, payload, record.length);	then parse the copy
 *		end = ring_next(consumer);	read cursor moves on
 *		... hand over, remember `end` ...
 *	}
 *	ring_release(consumer, end, ...);	release cursor follows
 *
 * The read cursor runs ahead (records in flight to a remote); the release
 * cursor gives space back and is what survives a crash: a restarted consumer
 * reads again from there.  Release in order: the longest finished prefix.
 *
 * The producer is untrusted.  Its header is copied to private memory and
 * validated against what is available and contiguous; the payload must be
 * copied before it is parsed.  A fault poisons the lane for good: -EPROTO.
 * A consumer belongs to one thread.
 */

#ifndef WEIR_COMMON_RING_RING_CONSUMER_H
#define WEIR_COMMON_RING_RING_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

struct ring_consumer;

/* The shared memory of one lane as its consumer maps it. */
struct ring_consumer_memory {
	const struct ring_head *head;          /* read-only */
	const struct ring_lane_producer *peer; /* read-only */
	struct ring_lane_consumer *own;        /* own, read-write */
	const void *data;                      /* lane memfd, read-only */
	uint32_t min_shift;                    /* as validated at attach, */
	uint32_t classes;                      /* never re-read */
};

/* What became of the records that a release gives back. */
struct ring_outcome {
	uint64_t delivered;
	uint64_t dropped;
	uint64_t dead;
};

/* As ring_producer_new(): the memory stays the caller's. */
struct ring_consumer *ring_consumer_new(const struct ring_consumer_memory *m);
void ring_consumer_free(struct ring_consumer *consumer);

/*
 * Look at the record at the read cursor.  PADs and SWITCHes before it are
 * stepped over (at most a bounded number a call, then 0 as if empty).
 * Returns 1 with the validated header copy and the payload's place in shared
 * memory (copy it once, then parse the copy); 0 when there is none;
 * -EPROTO when the lane is poisoned.  Unless it returns 1, *out_record is
 * not to be used: it may hold a header that was refused.
 */
int ring_peek(struct ring_consumer *consumer, struct ring_record *out_record,
    const void **out_payload);

/*
 * Headers that ring_peek() went by, ever: PADs and SWITCHes too.  For owners
 * that give each lane its turn.
 */
uint64_t ring_consumer_steps(const struct ring_consumer *consumer);

/*
 * Step over the record peeked at.  Returns the position word after it, to be
 * given to ring_release() when it is finished.
 */
uint64_t ring_next(struct ring_consumer *consumer);

/* The position word of the read cursor. */
uint64_t ring_consumer_cursor(const struct ring_consumer *consumer);

/*
 * True if the record peeked at lies before the producer's drop_before: it is
 * to be skipped and counted as dropped.
 */
bool ring_consumer_should_drop(const struct ring_consumer *consumer);

/*
 * Give back everything before `word` (from ring_next() or
 * ring_consumer_cursor(), not going back).  The outcome (NULL: nothing) is
 * added to the totals in the same commit.  Skipped PADs after `word` are
 * released too, also when nothing else is.  Returns true if the tail moved.
 */
bool ring_release(struct ring_consumer *consumer, uint64_t word,
    const struct ring_outcome *outcome, uint64_t now_ns);

/*
 * Let records begin below byte position `position`; a lower value than
 * before is ignored.  A PAD in front of a record needs no credit: the record
 * counts as beginning where the one before it ended.
 * Returns true if the limit moved.
 */
bool ring_grant(struct ring_consumer *consumer, uint64_t position);

/* Longest payload that a valid record of this lane has: the buffer to bring. */
size_t ring_consumer_max_payload(const struct ring_consumer *consumer);

/* Largest class's bytes: ring_grant(cursor + this) is "no credit limit". */
uint64_t ring_consumer_capacity(const struct ring_consumer *consumer);

/* Bytes between the read cursor and the producer's head (validated). */
uint64_t ring_consumer_pending_bytes(struct ring_consumer *consumer);

/*
 * True if ring_peek() would return 1, or ring_release() would give back
 * padding that was stepped over; used for the recheck before sleep.
 */
bool ring_consumer_has_record(struct ring_consumer *consumer);

/*
 * True if nothing but padding lies between the tail and the read cursor: it
 * is to be released though no record was taken, or a producer that wants to
 * shrink waits for ever.
 */
bool ring_consumer_has_padding(const struct ring_consumer *consumer);

/* Gauges for weirctl: in flight to a remote, its window, connected or not. */
void ring_consumer_set_remote(struct ring_consumer *consumer,
    uint64_t in_flight, uint64_t window, bool is_up);

/*
 * The instance of the Weir that the remote is (two words, 0 0: it is none, or
 * was not there yet).  The producer sends nothing there that came from it.
 */
void ring_consumer_set_remote_id(
    struct ring_consumer *consumer, const uint64_t id[2]);

bool ring_consumer_is_poisoned(const struct ring_consumer *consumer);
const char *ring_consumer_fault(const struct ring_consumer *consumer);

#endif
