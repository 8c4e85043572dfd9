/* SPDX-License-Identifier: Apache-2.0 */

/*
 * overflow - when to tell that a lane turns clients away.
 *
 * An episode begins when a message of the lane was refused for want of room,
 * or messages have been held without a pause for OVERFLOW_TELL_NS: a lane that
 * throttles its clients now and then is at work, not in trouble.  It ends when
 * nothing was held or refused for OVERFLOW_QUIET_NS.  So a lane writes two
 * lines an episode, whatever happens in it.
 *
 *	switch (overflow_look(&lane->overflow, &now, &episode)) ...
 *
 * The caller passes the time in.  One thread.
 */

#ifndef WEIR_HTTPD_OVERFLOW_H
#define WEIR_HTTPD_OVERFLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"

#define OVERFLOW_TELL_NS CLOCK_SECOND_NS
#define OVERFLOW_QUIET_NS (5 * CLOCK_SECOND_NS)

enum overflow_news {
	OVERFLOW_NOTHING,
	OVERFLOW_BEGAN,
	OVERFLOW_ENDED
};

/* What a lane is like: messages held now, ever held, ever refused. */
struct overflow_now {
	uint64_t at_ns;
	uint32_t holds;
	uint64_t held;
	uint64_t refused;
};

/* Embed it by value, zeroed; its fields are private to overflow.c. */
struct overflow {
	bool is_open; /* something is held, or was a moment ago */
	bool is_told;
	uint64_t since_ns;
	uint64_t last_ns; /* something was held or refused */
	uint64_t held_before, refused_before; /* totals when it began */
	uint64_t held, refused;               /* totals when last looked at */
};

/* Of an episode that ended. */
struct overflow_episode {
	uint64_t lasted_ns;
	uint64_t stalled; /* messages that were held */
	uint64_t refused;
};

/* Now and then, at least once a second. */
enum overflow_news overflow_look(struct overflow *overflow,
    const struct overflow_now *now, struct overflow_episode *out_episode);

/* The lane ends: is an episode to be summed up? */
bool overflow_close(
    struct overflow *overflow, struct overflow_episode *out_episode);

#endif
