/* SPDX-License-Identifier: Apache-2.0 */

/*
 * drain - how fast a lane is emptied, and so when to come back to it.
 *
 * The position up to which the other side has released the lane is noted now
 * and then; what it moved in the last DRAIN_WINDOW_NS is the rate.  Who is
 * turned away is told when those that wait before it will have gone in:
 *
 *	drain_note(&lane->drain, released, now_ns)	a few times a second
 *	drain_retry_after_s(&lane->drain, released, waiting, now_ns)
 *
 * A lane that did not move at all in the window is told to be tried again
 * after as long as it has stood still: who comes back early is only turned
 * away again, who comes back late wastes what has become free.
 *
 * No clock in here.  One thread.
 */

#ifndef WEIR_HTTPD_DRAIN_H
#define WEIR_HTTPD_DRAIN_H

#include <stdint.h>

#include "common/base/clock.h"

#define DRAIN_STEP_NS (500 * CLOCK_MS_NS)
#define DRAIN_STEPS 10u
#define DRAIN_WINDOW_NS (DRAIN_STEPS * DRAIN_STEP_NS)

/* What Retry-After says at least and at most. */
#define DRAIN_RETRY_MIN_S 1u
#define DRAIN_RETRY_MAX_S 60u

/* Embed it by value, zeroed; its fields are private to drain.c. */
struct drain {
	struct {
		uint64_t at_ns;
		uint64_t released;
	} step[DRAIN_STEPS]; /* a ring: `next` is the oldest */
	uint32_t next, count;
	uint64_t moved_ns; /* when it was last seen to have moved */
	uint64_t moved;    /* to where */
};

/*
 * `released` never goes down as long as the lane is open; if it does, the lane
 * is another one and all is forgotten.  Called more often than every
 * DRAIN_STEP_NS it does nothing.
 */
void drain_note(struct drain *drain, uint64_t released, uint64_t now_ns);

/* Bytes a second in the window; 0: nothing moved, or nothing is known. */
uint64_t drain_rate(
    const struct drain *drain, uint64_t released, uint64_t now_ns);

/* Seconds after which `waiting` bytes will have gone in. */
uint32_t drain_retry_after_s(const struct drain *drain, uint64_t released,
    uint64_t waiting, uint64_t now_ns);

#endif
