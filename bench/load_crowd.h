/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load_crowd - what else is there while a pattern runs, and should not matter.
 *
 * idle        clients that have a subscription of their own and do nothing
 * unrelated   subscriptions that match nothing, a thousand a client, half of
 *             them with a wildcard
 * retained    retained messages that nobody asks for
 * queued      QoS 1 messages for a session that is away
 * stalled     subscribers of the pattern's topics that never read; for each
 *             some messages wait already, unread ones
 * half_open   connections that send no CONNECT
 */

#ifndef WEIR_BENCH_LOAD_CROWD_H
#define WEIR_BENCH_LOAD_CROWD_H

#include "bench/load.h"

struct load_crowd {
	const struct load_options *options;
	struct load_client *members; /* that stay connected */
	size_t count, room;
};

/*
 * Have all of it come, as the options say, and wait until the broker has next
 * to nothing left to do, ten seconds at most.
 */
void load_crowd_init(
    struct load_crowd *crowd, const struct load_options *options);

/* Say "ready" on stdout, and wait until stdin ends. */
void load_crowd_hold(const struct load_crowd *crowd);

/* Have them leave, and take back what was retained or queued. */
void load_crowd_fini(struct load_crowd *crowd);

#endif
