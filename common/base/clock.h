/* SPDX-License-Identifier: Apache-2.0 */

/*
 * clock - the two clocks, in nanoseconds.
 *
 * Loops read the clock once a turn (loop_now_ns); modules take the time as an
 * argument.  Any thread.
 */

#ifndef WEIR_COMMON_BASE_CLOCK_H
#define WEIR_COMMON_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_US_NS UINT64_C(1000)
#define CLOCK_MS_NS UINT64_C(1000000)
#define CLOCK_SECOND_NS UINT64_C(1000000000)

/* CLOCK_MONOTONIC: for measuring and for deadlines; same in all processes. */
uint64_t clock_now_ns(void);

/* CLOCK_REALTIME since 1970: for people to read, never for deadlines. */
uint64_t clock_wall_ns(void);

#endif
