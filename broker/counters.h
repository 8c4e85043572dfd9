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

/* The table itself, COUNT_ROWS rows. */
extern const struct stats_row counter_rows[];

#endif
