/* SPDX-License-Identifier: Apache-2.0 */

/* counters_pools - how full a thread's pools are, in its counters. */

#ifndef WEIR_BROKER_COUNTERS_POOLS_H
#define WEIR_BROKER_COUNTERS_POOLS_H

#include "broker/commit.h"
#include "broker/counters.h"
#include "broker/message.h"
#include "common/base/pool.h"

/* Once a turn, by the thread whose they are; `port` is NULL without journal. */
static inline void
counters_show_pools(struct stats_block *block,
    const struct message_pools *pools, const struct commit_port *port)
{
	struct pool_level messages = { 0 }, commits = { 0 };

	message_pools_level(pools, &messages);
	counters_set_pool(block, COUNT_pool_messages, &messages);
	if (port == NULL)
		return;
	commit_port_level(port, &commits);
	counters_set_pool(block, COUNT_pool_commits, &commits);
}

#endif
