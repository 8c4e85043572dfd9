/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/counters.h"

const struct stats_row counter_rows[] = {
#define STAT(kind, name, help) STATS_ROW(kind, name, help)
#include "broker/counters.def"
#undef STAT
};
