/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pool_trimmer - has a loop's pools give back what a burst took.
 *
 *	pool_trimmer_init(&trimmer, loop);
 *	pool_trimmer_add(&trimmer, &pool);
 *
 * While one of them has slabs that nobody uses, pool_trim() is called once a
 * second; then the timer stops, so that an idle loop sleeps.  Everything
 * belongs to the loop's thread, which owns the pools.
 */

#ifndef WEIR_COMMON_NET_POOL_TRIMMER_H
#define WEIR_COMMON_NET_POOL_TRIMMER_H

#include "common/base/pool.h"
#include "common/net/loop.h"

#define POOL_TRIMMER_POOLS 16

/* Embed it by value; zeroed, it may be given to pool_trimmer_fini(). */
struct pool_trimmer {
	struct loop *loop;
	struct loop_hook hook;
	struct loop_timer timer;
	unsigned count;
	struct pool *pools[POOL_TRIMMER_POOLS];
};

void pool_trimmer_init(struct pool_trimmer *trimmer, struct loop *loop);

/* Before the pools go. */
void pool_trimmer_fini(struct pool_trimmer *trimmer);

/* BUG if there are more than POOL_TRIMMER_POOLS. */
void pool_trimmer_add(struct pool_trimmer *trimmer, struct pool *pool);

#endif
