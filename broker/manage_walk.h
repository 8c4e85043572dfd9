/* SPDX-License-Identifier: Apache-2.0 */

/*
 * manage_walk - the subscriptions of a worker's sessions, some at a time.
 *
 * Sessions come in the order of session_scan.h, the subscriptions of each
 * from the newest on.  A session whose subscriptions are all of no interest is
 * passed at once, however many they are.  Between two steps sessions and
 * subscriptions come and go: one that is there all the time is given once, but
 * for those of a session that ends one at the very place where a step ended.
 *
 * The worker's thread; the tree's lock is held for a bounded time.
 */

#ifndef WEIR_BROKER_MANAGE_WALK_H
#define WEIR_BROKER_MANAGE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/session_scan.h"
#include "common/base/slice.h"

struct session;
struct subscription_options;
struct worker;

struct manage_walk {
	/* Set by the caller. */
	struct slice only; /* the session with this identifier; no data: all */
	void *context;

	/* So many follow: true if none of them is wanted. */
	bool (*pass)(void *context, uint64_t count);
	void (*take)(void *context, const struct session *session,
	    struct slice filter, const struct subscription_options *options);

	/* Private, zeroed at first. */
	struct session_scan scan;
	uint64_t *sessions; /* their numbers: they are next, in this order */
	size_t count, size, at;
	uint8_t *after; /* the filter given last, of the session at hand */
	size_t after_length;
	uint64_t given; /* of the session at hand */
	const struct session *session;
	bool has_failed; /* no memory: the walk is not complete */
};

/* Some.  True: that was all of this worker; the next one may be begun. */
bool manage_walk_step(struct manage_walk *walk, struct worker *worker);

void manage_walk_fini(struct manage_walk *walk);

#endif
