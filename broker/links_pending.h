/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_pending - what was taken from a lane and is not in the journal yet.
 *
 * A record is given back, counted and answered when it is settled: when the
 * journal has it, or will not.  Until then it waits in its lane's line, and
 * behind it all that came later, so that a lane is released in order.  Without
 * a journal nothing waits.
 *
 *	links_pending_add()		taken: the lane's cursor is behind it
 *	links_pending_round()		those that are settled
 *	links_credit_release()		their space (links_credit.h)
 *
 * A line is bounded by LINKS_PENDING_MAX, and by the window of the commit
 * line.  It is forgotten with the lane's memory; the messages are not.
 */

#ifndef WEIR_BROKER_LINKS_PENDING_H
#define WEIR_BROKER_LINKS_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/fifo.h"

struct links;
struct links_endpoint;
struct links_lane;

#define LINKS_PENDING_MAX 8192u

/* One record. */
struct links_pending {
	uint64_t ticket; /* 0: it waits for those before it alone */
	uint64_t word;   /* the position word behind it */
	uint64_t sequence;
	uint64_t correlation;
	uint32_t receivers;
	uint8_t reason; /* enum mqtt_reason */
	bool wants_receipt;
	bool is_traced;
};

/* All zero is an empty one. */
struct links_pending_line {
	struct fifo list; /* of struct links_pending */
};

/* Is there a place for one more?  False: it is full, or there is no memory. */
bool links_pending_has_room(struct links_lane *lane);

/* There is.  Done with at once if nothing is to be waited for. */
void links_pending_add(struct links_endpoint *endpoint, struct links_lane *lane,
    const struct links_pending *pending);

/* Those that are settled and have room for their receipt.  True if any. */
bool links_pending_round(struct links *links);

/* The recheck before sleep. */
bool links_pending_can_move(struct links *links);

/* The tickets from `first` to `last` came to nothing. */
void links_pending_fail(
    struct links *links, uint64_t first, uint64_t last, uint8_t reason);

/* Nothing waits in any lane? */
bool links_pending_is_empty(struct links *links);

/* The lane's memory goes. */
void links_pending_forget(struct links_lane *lane);

#endif
