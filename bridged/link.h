/* SPDX-License-Identifier: Apache-2.0 */

/*
 * link - a bridge's end of its link to the broker.
 *
 * Connects to the broker's control socket, and again for as long as there is
 * no broker; watches control socket and bell; beats the heart; and runs the
 * bridge's ring work once a turn with the sleep protocol of ring_link.h
 * around it:
 *
 *	events of the turn -> disarm -> work() -> wake the broker -> arm,
 *	fence, is_movable()? -> again, or sleep
 *
 * Make it before the stream hub: what work() writes to sockets is then
 * flushed in the same turn.  The loop's thread.
 */

#ifndef WEIR_BRIDGED_LINK_H
#define WEIR_BRIDGED_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/net/loop.h"
#include "common/ring/lane.h"
#include "common/ring/ring_control.h"
#include "common/ring/ring_link.h"

struct link;

/* What a turn's work came to; all false before. */
struct link_turn {
	bool is_news; /* committed, released or granted: the broker must know */
	bool found_work; /* the wake was not for nothing */
	bool again;      /* there is more to do at once */
};

struct link_callbacks {
	/* Its lanes that are open already are in the table next. */
	void (*attached)(void *arg, struct ring_link *ring_link);
	/* The link is gone after this call; `reason` may be NULL. */
	void (*lost)(void *arg, const char *reason);
	/* An order of the broker, also before `attached`: RING_ORDER_*. */
	void (*order)(void *arg, const char *word);
	/* Once a turn, also while detached. */
	void (*work)(void *arg, struct link_turn *turn);
	bool (*is_movable)(void *arg);
};

/*
 * Starts to connect, from the loop's next turn; link_set_lanes() comes first.
 * `name` must outlive it.  NULL without memory.
 */
struct link *link_new(struct loop *loop, const char *run_dir, const char *name,
    const struct link_callbacks *callbacks, void *arg);

/* Lanes unused for so long are closed; 0, as at first: none is. */
void link_set_lane_idle(struct link *link, uint64_t idle_ns);

/* Accepts NULL. */
void link_free(struct link *link);

/* The table to be told of lanes and filters; it must outlive the link's use. */
void link_set_lanes(struct link *link, struct lane_table *lanes);

/* NULL while not attached. */
struct ring_link *link_ring(struct link *link);

void link_open_lane(struct link *link, const char *set);

/* The broker's memory contradicts itself: close the link, tell it why. */
void link_poison(struct link *link, const char *reason);

#endif
