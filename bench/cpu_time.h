/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cpu_time - the processor time that other processes have used, all their
 * threads together, to the nanosecond.
 *
 *	cpu_time_parse("4711,4712", &processes);
 *	cpu_time_read(&processes, &before_ns);
 */

#ifndef WEIR_BENCH_CPU_TIME_H
#define WEIR_BENCH_CPU_TIME_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CPU_TIME_MAX 16

/* Embed it by value; zeroed it is no process at all. */
struct cpu_time {
	clockid_t clocks[CPU_TIME_MAX];
	size_t count;
};

/*
 * Process ids, separated by commas.
 * Returns 0, -EINVAL for anything else, or -ESRCH when one is not there.
 */
int cpu_time_parse(const char *pids, struct cpu_time *out_processes);

/* The sum since they began.  Returns 0, or -errno when one has ended. */
int cpu_time_read(const struct cpu_time *processes, uint64_t *out_ns);

#endif
