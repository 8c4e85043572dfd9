/* SPDX-License-Identifier: Apache-2.0 */

/* counters - the names of weir-broker's counters, COUNT_x for each row. */

#ifndef WEIR_BROKER_COUNTERS_H
#define WEIR_BROKER_COUNTERS_H

#include "common/stats/stats.h"

enum counter {
#define STAT(kind, name, help) COUNT_##name,
#include "broker/counters.def"
#undef STAT
	COUNT_ROWS
};

struct pool_level;

/* Three rows from `first` on: in use, the most, and the size. */
void counters_set_pool(struct stats_block *block, enum counter first,
    const struct pool_level *level);

/* The table itself, COUNT_ROWS rows. */
extern const struct stats_row counter_rows[];

#endif
