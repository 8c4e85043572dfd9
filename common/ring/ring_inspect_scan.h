/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_inspect_scan - find the ring memory of a host in /proc.
 *
 * Used by the files that look from outside.  Each memfd is found once, whoever
 * holds it, and opened read-only; headers are checked, everything behind them
 * is not.
 */

#ifndef WEIR_COMMON_RING_RING_INSPECT_SCAN_H
#define WEIR_COMMON_RING_RING_INSPECT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

struct ring_scan_side {
	struct ring_side_header header; /* checked copy; names end */
	int fd;
};

struct ring_scan_lane {
	struct ring_lane_header header; /* checked copy */
	int fd;
};

struct ring_scan {
	struct ring_scan_side *side;
	size_t sides;
	struct ring_scan_lane *lane;
	size_t lanes;
	struct ring_scan_seen *seen; /* memfds looked at already */
	size_t seen_count;
	size_t unreadable;
};

/* Returns 0 or -errno.  Free with ring_scan_free(), also after failure. */
int ring_scan_take(struct ring_scan *scan);
void ring_scan_free(struct ring_scan *scan);

enum ring_scan_process {
	RING_SCAN_GONE,    /* no such process, or it waits to be reaped */
	RING_SCAN_STOPPED, /* by a signal or a debugger */
	RING_SCAN_RUNS,
};

/*
 * How process `pid` is, that gave its last sign of life at `heartbeat_ns`
 * (CLOCK_MONOTONIC): one that is younger only happens to have its number.
 */
enum ring_scan_process ring_scan_process(uint64_t pid, uint64_t heartbeat_ns);

#endif
