/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_inspect_lane - what two sides tell of themselves, and of one lane.
 *
 * Used by ring_inspect.c alone.  All of it is read with pread() from memory
 * that others write, and nothing is believed.
 */

#ifndef WEIR_COMMON_RING_RING_INSPECT_LANE_H
#define WEIR_COMMON_RING_RING_INSPECT_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_inspect.h"
#include "common/ring/ring_inspect_scan.h"

/* One lane to look at; the parties are those of the two sides. */
struct ring_inspect_lane {
	const struct ring_scan *scan;
	const struct ring_scan_side *producer_side;
	const struct ring_scan_side *consumer_side; /* NULL: nobody has it */
	const struct ring_party *producer;
	const struct ring_party *consumer; /* NULL likewise */
	uint32_t lane;
};

void ring_inspect_party(const struct ring_scan_side *side, uint64_t now_ns,
    struct ring_party *out_party);

/* Returns false when the lane is not open. */
bool ring_inspect_lane(const struct ring_inspect_lane *lane, uint64_t now_ns,
    struct ring_view *out_view);

#endif
