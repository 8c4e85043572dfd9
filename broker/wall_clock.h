/* SPDX-License-Identifier: Apache-2.0 */

/*
 * wall_clock - times that outlive a boot.
 *
 * The broker counts by CLOCK_MONOTONIC, the journal by CLOCK_REALTIME.  They
 * are converted by the distance of the two now, so a clock that is set moves
 * what is converted afterwards.  UINT64_MAX is "never" in both.
 */

#ifndef WEIR_BROKER_WALL_CLOCK_H
#define WEIR_BROKER_WALL_CLOCK_H

#include <stdint.h>

#include "common/base/clock.h"

/* How far the wall clock is ahead; 0 if it is not. */
static inline uint64_t
wall_clock_ahead_ns(void)
{
	const uint64_t now_ns = clock_now_ns(), wall_ns = clock_wall_ns();

	return wall_ns > now_ns ? wall_ns - now_ns : 0;
}

static inline uint64_t
wall_clock_from(uint64_t monotonic_ns, uint64_t ahead_ns)
{
	return monotonic_ns > UINT64_MAX - ahead_ns ? UINT64_MAX
						    : monotonic_ns + ahead_ns;
}

/* 0 for what was before the boot. */
static inline uint64_t
wall_clock_to_monotonic(uint64_t wall_ns, uint64_t ahead_ns)
{
	if (wall_ns == UINT64_MAX)
		return UINT64_MAX;
	return wall_ns > ahead_ns ? wall_ns - ahead_ns : 0;
}

#endif
