/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/cpu_time.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"

int
cpu_time_parse(const char *pids, struct cpu_time *out_processes)
{
	struct cpu_time found = { .count = 0 };
	const char *at = pids;
	char *end;
	long pid;

	do {
		pid = strtol(at, &end, 10);
		if (end == at || pid <= 0 || (*end != ',' && *end != '\0') ||
		    found.count == CPU_TIME_MAX)
			return -EINVAL;
		if (clock_getcpuclockid(
			(pid_t)pid, &found.clocks[found.count++]) != 0)
			return -ESRCH;
		at = end + 1;
	} while (*end == ',');
	*out_processes = found;
	return 0;
}

int
cpu_time_read(const struct cpu_time *processes, uint64_t *out_ns)
{
	struct timespec used;
	uint64_t sum_ns = 0;

	for (size_t i = 0; i < processes->count; i++) {
		if (clock_gettime(processes->clocks[i], &used) != 0)
			return -errno;
		sum_ns += (uint64_t)used.tv_sec * CLOCK_SECOND_NS +
		    (uint64_t)used.tv_nsec;
	}
	*out_ns = sum_ns;
	return 0;
}
