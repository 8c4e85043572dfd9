/* SPDX-License-Identifier: Apache-2.0 */

/*
 * drop_episode - when to tell that a session loses messages.
 *
 * Each loss is counted; a line in the log says that losses began, and one
 * sums them up when the session has caught up.  Episodes that follow one
 * another closely are told as one, so a session that lives at its limit
 * writes at most two lines in DROP_EPISODE_QUIET_NS.
 *
 *	if (drop_episode_count(&episode, now_ns))
 *		... say that it begins ...
 *	if (drop_episode_end(&episode, now_ns, &dropped, &lasted_ns))
 *		... sum up ...
 *
 * The caller passes the time in.  One thread.
 */

#ifndef WEIR_BROKER_DROP_EPISODE_H
#define WEIR_BROKER_DROP_EPISODE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"

#define DROP_EPISODE_QUIET_NS (10 * CLOCK_SECOND_NS)

/* Embed it by value, zeroed. */
struct drop_episode {
	uint64_t since_ns; /* the first loss that is not summed up; 0: none */
	uint64_t told_ns;  /* when the last sum was told; 0: never */
	uint64_t dropped : 63; /* not yet summed up */
	uint64_t is_told : 1;  /* that it began */
};

/* One more is lost.  True: say that an episode begins. */
bool drop_episode_count(struct drop_episode *episode, uint64_t now_ns);

/* The session has caught up.  True: tell this sum. */
bool drop_episode_end(struct drop_episode *episode, uint64_t now_ns,
    uint64_t *out_dropped, uint64_t *out_lasted_ns);

/* As drop_episode_end() for the session's own end: nothing is left untold. */
bool drop_episode_close(struct drop_episode *episode, uint64_t now_ns,
    uint64_t *out_dropped, uint64_t *out_lasted_ns);

#endif
