/* SPDX-License-Identifier: Apache-2.0 */

/*
 * lane_idle - which lanes a producer has no use for any more.
 *
 * A lane that has a set ("cloud", "*"; never "") and has been empty, back in
 * its smallest size class and unused for a while is found, once: its owner
 * asks the broker to close it and puts nothing into it from then on.
 *
 * One for each link; of the link's thread.
 */

#ifndef WEIR_COMMON_RING_LANE_IDLE_H
#define WEIR_COMMON_RING_LANE_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_link.h"

struct lane_idle {
	struct {
		uint64_t sequence; /* when it was last looked at */
		uint64_t since_ns; /* it is so; 0: not seen open yet */
		bool is_asked;     /* the broker is to close it */
	} lanes[RING_LANES];
};

/* A new link: nothing is known. */
void lane_idle_reset(struct lane_idle *idle);

/*
 * A lane that was idle for `idle_ns` at least, or -1.  Call it again until
 * -1, with lane_idle_asked() or lane_idle_used() in between.
 */
int lane_idle_find(struct lane_idle *idle, struct ring_link *link,
    uint64_t now_ns, uint64_t idle_ns);

/* It is not idle after all: something waits for it. */
void lane_idle_used(struct lane_idle *idle, uint32_t lane, uint64_t now_ns);

/* The broker was asked to close it / has closed it. */
void lane_idle_asked(struct lane_idle *idle, uint32_t lane);
void lane_idle_closed(struct lane_idle *idle, uint32_t lane);
bool lane_idle_is_asked(const struct lane_idle *idle, uint32_t lane);

#endif
