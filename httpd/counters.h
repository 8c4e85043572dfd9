/* SPDX-License-Identifier: Apache-2.0 */

/*
 * counters - the indexes of weir-httpd's counters in its stats block.
 *
 *	stats_increment(block, COUNT_requests);
 *
 * The table is counters.def.  One thread writes: the main one.
 */

#ifndef WEIR_HTTPD_COUNTERS_H
#define WEIR_HTTPD_COUNTERS_H

#include "common/stats/stats.h"

#define STAT(kind, name, help) COUNT_##name,
enum counter {
#include "httpd/counters.def"
	COUNT_ROWS
};
#undef STAT

/* The memory for all of them.  Returns 0 or -errno. */
int counters_create(struct stats **out_stats);

/* Count one response by its status. */
void counters_response(struct stats_block *block, unsigned status);

#endif
