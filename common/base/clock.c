/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/clock.h"

#include <time.h>

static uint64_t
read_clock(clockid_t id)
{
	struct timespec now;

	/* Neither clock can fail on Linux. */
	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * CLOCK_SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t
clock_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t
clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}
