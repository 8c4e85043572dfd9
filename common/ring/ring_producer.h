/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_producer - the writing end of one lane.
 *
 *	err = ring_claim(producer, length, &payload);
 *	if (err == 0) {
 *		memcpy(payload, ...);
 *		ring_put(producer, &record);
 *	}
 *	...
 *	ring_commit(producer);		once a batch
 *
 * Nothing is visible to the consumer before ring_commit(), which is one
 * atomic store.  Whether the consumer sleeps is asked once for all lanes of
 * a link, by ring_link_wake() after the commits (ring_link.h).
 *
 * A lane grows by itself: a record for which there is credit and no room
 * leads to a larger size class, up to the last one, if memory can be had.
 * ring_producer_tend(), called a few times a second, shrinks it again.
 *
 * A producer belongs to one thread.  What the peer wrote (tail, limit) is
 * validated on every read: it must be monotone, not beyond head, in a class
 * that exists; else the lane is poisoned for good and every call returns
 * -EPROTO.  It never reads outside its own mapping.
 */

#ifndef WEIR_COMMON_RING_RING_PRODUCER_H
#define WEIR_COMMON_RING_RING_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"
#include "common/ring/ring_resize.h"

struct ring_producer;

/* What ring_claim() lacked. */
enum ring_shortage {
	RING_SHORT_OF_NOTHING = 0,
	RING_SHORT_OF_CREDIT, /* the consumer's `limit` is reached */
	RING_SHORT_OF_SPACE,  /* the ring is full */
};

/* The shared memory of one lane as its producer maps it. */
struct ring_producer_memory {
	struct ring_head *head;                /* own, read-write */
	struct ring_lane_producer *own;        /* own, read-write */
	const struct ring_lane_consumer *peer; /* read-only */
	void *data;                            /* lane memfd, read-write */
	struct ring_space space;               /* what lies behind it */
	uint32_t min_shift;
	uint32_t classes;
};

/* One step of growth or shrinking, for the log. */
struct ring_change {
	uint64_t from_bytes, to_bytes; /* capacity; equal: growth failed */
	int error;                     /* 0, or -errno of that failure */
};

/*
 * Attach to the lane, as new or where a predecessor died: work goes on at
 * the committed head; records written but not committed never existed.
 * The memory stays mapped by the caller and must outlive the producer.
 * Returns the producer, or NULL with errno ENOMEM or EPROTO (the memory
 * contradicts itself or the peer's tail is impossible).
 */
struct ring_producer *ring_producer_new(const struct ring_producer_memory *m);
void ring_producer_free(struct ring_producer *producer);

/* Greatest payload that fits: a quarter of the last class, less the header. */
size_t ring_producer_max_payload(const struct ring_producer *producer);

/*
 * Reserve room for a record of `length` payload bytes, growing if it must.
 * Returns 0 and where the payload goes; -EAGAIN without room or credit
 * (ring_producer_shortage() says which; an episode of stall begins and is
 * counted until the next success or ring_producer_unstall()); -EMSGSIZE if
 * it can never fit; -EPROTO if the lane is poisoned.
 */
int ring_claim(
    struct ring_producer *producer, size_t length, void **out_payload);

enum ring_shortage ring_producer_shortage(const struct ring_producer *producer);

/*
 * Finish the record claimed last.  `record` gives kind, source, identity,
 * correlation, time and flags; length, type and sequence are filled in.
 * BUG if nothing is claimed, or record->length is neither 0 nor the length
 * that was claimed.
 */
void ring_put(struct ring_producer *producer, const struct ring_record *record);

/*
 * Make all records put since the last commit visible, also in a lane that is
 * poisoned since.  `now_ns` is the loop's clock.  Returns true when there was
 * something to commit.
 */
bool ring_commit(struct ring_producer *producer, uint64_t now_ns);

/*
 * The head that the next ring_commit() stores: the last one when nothing was
 * put since.
 */
uint64_t ring_producer_next_head(const struct ring_producer *producer);

/* Forget what was put and not committed (all or nothing over several lanes). */
void ring_abort(struct ring_producer *producer);

/* End an episode of stall without success: nobody waits any more. */
void ring_producer_unstall(struct ring_producer *producer, uint64_t now_ns);

/*
 * Begin an episode of stall without a failed claim: for owners that ask
 * ring_producer_has_room() first and find none.  Ends as any other.
 */
void ring_producer_stall(struct ring_producer *producer, uint64_t now_ns);

/*
 * True if a record of `length` bytes would be claimed now.  Memory that it
 * would grow into is allocated by this; nothing else changes.
 */
bool ring_producer_has_room(struct ring_producer *producer, size_t length);

/*
 * Bytes that may still be written before the ring is full, grown as far as
 * it can, or the credit reached; pads for a record of `largest` bytes allowed
 * for.  Memory for growth is taken to be there until it was refused.
 */
uint64_t ring_producer_free_bytes(
    struct ring_producer *producer, size_t largest);

/* Bytes committed or put and not yet released by the consumer. */
uint64_t ring_producer_used_bytes(struct ring_producer *producer);

/* The position word of the consumer's tail, the last one that was valid. */
uint64_t ring_producer_tail(struct ring_producer *producer);

/* What ring_consumer_set_remote_id() said; any value is harmless. */
void ring_producer_remote_id(
    const struct ring_producer *producer, uint64_t out_id[2]);

/* Sequence of the last record put (0: none yet). */
uint64_t ring_producer_sequence(const struct ring_producer *producer);

/* True if the consumer has released all that was put. */
bool ring_producer_is_drained(struct ring_producer *producer);

/*
 * drop_oldest: ask the consumer to skip the oldest records until a record of
 * `length` payload bytes fits.  It takes effect when the consumer has run.
 * Nothing is dropped while the lane can grow instead.
 * Returns true if more are to be skipped than before.
 */
bool ring_producer_drop_oldest(struct ring_producer *producer, size_t length);

/*
 * Shrink what is empty and was nearly so, give memory back that is not used,
 * and let growth be tried again that failed.  Call it every RING_TEND_NS while
 * ring_producer_needs_tending(), with everything committed; an idle lane is
 * back in its smallest class after three calls.
 * Returns true if something changed that the peer or the owner may act on:
 * wake the one, try the other's claims again.
 */
#define RING_TEND_NS UINT64_C(250000000)
bool ring_producer_tend(struct ring_producer *producer, uint64_t now_ns);
bool ring_producer_needs_tending(const struct ring_producer *producer);

/*
 * The next change that was not asked for yet.  Returns false when there is
 * none.  The last 32 are kept; the counters in shared memory have all.
 */
bool ring_producer_next_change(
    struct ring_producer *producer, struct ring_change *out_change);

/* Bytes of the class it works in, and of the last one. */
uint64_t ring_producer_capacity(const struct ring_producer *producer);
uint64_t ring_producer_max_capacity(const struct ring_producer *producer);

/* Counters for refusals and drops that happen before the ring. */
void ring_producer_count_refused(struct ring_producer *producer);
void ring_producer_count_dropped(struct ring_producer *producer);

bool ring_producer_is_poisoned(const struct ring_producer *producer);

/* Why it is poisoned: a constant sentence for the log; NULL: it is not. */
const char *ring_producer_fault(const struct ring_producer *producer);

#endif
