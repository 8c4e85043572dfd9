/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/counters.h"

#include "common/base/pool.h"

const struct stats_row counter_rows[] = {
#define STAT(kind, name, help) STATS_ROW(kind, name, help)
#include "broker/counters.def"
#undef STAT
};

void
counters_set_pool(struct stats_block *block, enum counter first,
    const struct pool_level *level)
{
	stats_set(block, first, level->in_use);
	stats_set(block, first + 1, level->most);
	stats_set(block, first + 2, level->size);
}
