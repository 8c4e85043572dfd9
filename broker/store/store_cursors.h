/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_cursors - which deliveries are over, and what is left where.
 *
 * A cursor has a floor (all up to it is over) and a set of sequences above it
 * that are over too.  What is left is counted for each segment that has any
 * of it: an entry.  So a queue of millions costs an entry a segment and a
 * mark for every STORE_MARK_EVERY deliveries; marks say how many deliveries a
 * floor passes that moves into the middle of a segment, a few too few, never
 * too many.  Individually ended deliveries are counted exactly.
 *
 * Whatever may want memory is reserved before it is written (reserve_*), so
 * that what is committed can always be counted: a delivery that is not would
 * have its segment used again under it.
 *
 * The store's lock is held by the caller of everything here.
 */

#ifndef WEIR_BROKER_STORE_STORE_CURSORS_H
#define WEIR_BROKER_STORE_STORE_CURSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/segment.h"
#include "broker/store/store_record.h"

#define STORE_MARK_EVERY 64u

/* What a cursor has in one segment. */
struct cursor_entry {
	struct segment *segment;
	uint64_t first, last; /* sequences of the deliveries counted */
	uint64_t total;       /* of them, over or not */
	uint64_t below;       /* of them, known to be up to the floor */
	uint64_t over;        /* of them, in the over set */
	uint64_t bytes;       /* of the messages' bodies */
	uint64_t *marks;      /* each the sequence of a 64th delivery */
	size_t mark_count, mark_room;
};

/* Deliveries of it that wait. */
static inline uint64_t
cursor_entry_live(const struct cursor_entry *entry)
{
	return entry->total - entry->below - entry->over;
}

struct cursor {
	uint64_t number;
	uint64_t floor;
	bool is_pending;              /* its OPEN is not committed yet */
	struct cursor_entry *entries; /* by sequence, none without live */
	size_t entry_count, entry_room;
	uint64_t *over; /* sorted, all above the floor */
	size_t over_count, over_room;
	size_t over_reserved; /* by the batch at hand */
};

struct store_cursors {
	struct cursor **slots; /* open addressing, a power of two */
	size_t room;
	size_t count;  /* of slots in use */
	size_t open;   /* of them, not pending */
	uint64_t next; /* larger than any number seen */
	uint64_t queued;
	uint64_t highest; /* sequence that a checkpoint knew of */
};

/* Accepts a zeroed one. */
void cursors_fini(struct store_cursors *cursors);

/* NULL: there is none; one that is pending is found too. */
struct cursor *cursors_find(
    const struct store_cursors *cursors, uint64_t number);

/* ---- before it is written: 0 or -ENOMEM ---------------------------------- */

/* Make it, pending; 0 too if it is there. */
int cursors_reserve_open(struct store_cursors *cursors, uint64_t number);

/* One entry more, and one more in the over set. */
int cursors_reserve_delivery(struct store_cursors *cursors, uint64_t number);
int cursors_reserve_done(struct store_cursors *cursors, uint64_t number);

/* The batch is over: nothing is reserved for this cursor now. */
void cursors_unreserve(struct store_cursors *cursors, uint64_t number);

/* ---- what is committed, in its order ------------------------------------- */

/* Needs cursors_reserve_open(). */
void cursors_open(
    struct store_cursors *cursors, uint64_t number, uint64_t sequence);
void cursors_close(struct store_cursors *cursors, uint64_t number);

/*
 * Needs cursors_reserve_delivery().  Counted unless the cursor is unknown or
 * the delivery is over.  `bytes`: of the message's body.
 */
void cursors_deliver(struct store_cursors *cursors, uint64_t number,
    struct segment *segment, uint64_t sequence, uint64_t bytes);

/*
 * Needs cursors_reserve_done().  `applied`: the last sequence that was
 * counted; with nothing left the floor rises to it.
 */
void cursors_done(struct store_cursors *cursors, const struct store_done *done,
    uint64_t applied);

/*
 * From a checkpoint, which gives each cursor once.  The over set is copied
 * and must be sorted; what is in it up to the floor is left out.  Number 0 is
 * no cursor: its floor is what was committed when the checkpoint was ended.
 */
int cursors_restore(struct store_cursors *cursors, uint64_t number,
    uint64_t floor, const uint64_t *over, size_t over_count);

/* Is this delivery over, or its cursor gone? */
bool cursors_is_over(
    const struct store_cursors *cursors, uint64_t number, uint64_t sequence);

/* The first of its entries that may have something from `from` on; NULL. */
const struct cursor_entry *cursor_entry_from(
    const struct cursor *cursor, uint64_t from);

/* What is left for one cursor. */
uint64_t cursor_queued(const struct cursor *cursor, uint64_t *out_bytes);

/*
 * What this cursor has in the segments of `from` is in `into` now, at the same
 * sequences; its entries become one.  Live counts move too.
 */
void cursors_merge(struct store_cursors *cursors, uint64_t number,
    struct segment *const *from, size_t from_count, struct segment *into);

#endif
