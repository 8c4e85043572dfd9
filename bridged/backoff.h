/* SPDX-License-Identifier: Apache-2.0 */

/*
 * backoff - how long to wait before the next attempt.
 *
 * The bound doubles with each failure from `min` to `max`; the wait is drawn
 * evenly between nothing and the bound ("full jitter"), so that many bridges
 * that lost the same remote do not come back together.  Only a connection
 * that held for a while starts the sequence anew: a remote that accepts and
 * closes at once is not hammered.
 *
 *	wait_ns = backoff_next(&backoff, random());
 *	...
 *	backoff_connected(&backoff, now_ns);
 *	backoff_lost(&backoff, now_ns);
 *
 * Time and randomness are passed in.  One thread.
 */

#ifndef WEIR_BRIDGED_BACKOFF_H
#define WEIR_BRIDGED_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* Embed it by value; its fields are private to backoff.c. */
struct backoff {
	uint64_t min_ns;
	uint64_t max_ns;
	uint64_t stable_ns;
	uint64_t bound_ns; /* of the next wait */
	uint64_t connected_ns;
	bool is_connected;
};

/*
 * Start anew.  A connection of `stable_ns` or longer resets the sequence.
 * BUG if min is 0 or greater than max.
 */
void backoff_init(struct backoff *backoff, uint64_t min_ns, uint64_t max_ns,
    uint64_t stable_ns);

/* The attempt succeeded, or what it had made is lost. */
void backoff_connected(struct backoff *backoff, uint64_t now_ns);
void backoff_lost(struct backoff *backoff, uint64_t now_ns);

/*
 * The next wait in nanoseconds, at least a millisecond.  `dice` is any
 * random number, all 64 bits of it.
 */
uint64_t backoff_next(struct backoff *backoff, uint64_t dice);

/* Other bounds from now on; where the sequence stands stays, within them. */
void backoff_change(struct backoff *backoff, uint64_t min_ns, uint64_t max_ns,
    uint64_t stable_ns);

/*
 * As backoff_next(), but drawn below `most_ns` (or the minimum, if that is
 * more) where the bound is higher: somebody waits.
 */
uint64_t backoff_soon(struct backoff *backoff, uint64_t most_ns, uint64_t dice);

/* As backoff_next(), from the upper half of [0, max]: trying hard is no use. */
uint64_t backoff_slow(struct backoff *backoff, uint64_t dice);

#endif
