/* SPDX-License-Identifier: Apache-2.0 */

/* counters - the indexes of counters.def in the program's stats block. */

#ifndef WEIR_BRIDGED_COUNTERS_H
#define WEIR_BRIDGED_COUNTERS_H

#include "common/stats/stats.h"

enum bridged_counter {
#define STAT(kind, name, help) BRIDGED_##name,
#include "bridged/counters.def"
#undef STAT
	BRIDGED_COUNTERS
};

#endif
