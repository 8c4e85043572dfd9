/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/pool_trimmer.h"

#include <stdbool.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

#define PERIOD_NS CLOCK_SECOND_NS

/* At the end of a turn: a few loads when there is nothing to do. */
static void
look(void *arg)
{
	struct pool_trimmer *trimmer = arg;

	if (loop_timer_is_running(&trimmer->timer))
		return;
	for (unsigned i = 0; i < trimmer->count; i++) {
		if (!pool_may_trim(trimmer->pools[i]))
			continue;
		loop_timer_start(&trimmer->timer, PERIOD_NS);
		return;
	}
}

/* The hook of this turn starts it again while there is more. */
static void
trim(void *arg)
{
	struct pool_trimmer *trimmer = arg;

	for (unsigned i = 0; i < trimmer->count; i++)
		pool_trim(trimmer->pools[i]);
}

void
pool_trimmer_init(struct pool_trimmer *trimmer, struct loop *loop)
{
	*trimmer = (struct pool_trimmer){
		.loop = loop,
		.hook = { .run = look, .arg = trimmer },
	};
	loop_timer_init(&trimmer->timer, loop, trim, trimmer);
	loop_add_hook(loop, &trimmer->hook);
}

void
pool_trimmer_fini(struct pool_trimmer *trimmer)
{
	if (trimmer->loop == NULL)
		return;
	loop_timer_stop(&trimmer->timer);
	loop_remove_hook(trimmer->loop, &trimmer->hook);
	trimmer->loop = NULL;
}

void
pool_trimmer_add(struct pool_trimmer *trimmer, struct pool *pool)
{
	BUG_ON(trimmer->count == POOL_TRIMMER_POOLS);
	trimmer->pools[trimmer->count++] = pool;
}
