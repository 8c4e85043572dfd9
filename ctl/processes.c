/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/processes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/ring/ring_inspect.h"

/* The number behind `key` in a file of "Key:   123 kB" lines, or 0. */
static uint64_t
read_kilobytes(const char *path, const char *key)
{
	const size_t key_length = strlen(key);
	uint64_t kilobytes = 0;
	char line[256];
	FILE *file;

	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, key_length) == 0) {
			kilobytes = strtoull(line + key_length, NULL, 10);
			break;
		}
	}
	fclose(file);
	return kilobytes;
}

uint64_t
process_resident_bytes(uint64_t pid)
{
	uint64_t kilobytes;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/smaps_rollup", pid);
	kilobytes = read_kilobytes(path, "Pss:");
	if (kilobytes == 0) {
		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", pid);
		kilobytes = read_kilobytes(path, "VmRSS:");
	}
	return kilobytes * 1024;
}

static bool
is_known(const struct processes *processes, uint64_t pid)
{
	for (size_t i = 0; i < processes->count; i++) {
		if (processes->process[i].pid == pid)
			return true;
	}
	return false;
}

static void
add(struct processes *processes, const char *name, uint64_t pid, bool alive)
{
	struct process *process;

	if (pid == 0 || is_known(processes, pid))
		return;
	process = &processes->process[processes->count++];
	snprintf(process->name, sizeof(process->name), "%s", name);
	process->pid = pid;
	process->alive = alive;
	process->resident_bytes = alive ? process_resident_bytes(pid) : 0;
	processes->resident_bytes += process->resident_bytes;
}

int
processes_find(const char *run_dir, struct processes *out_processes)
{
	struct processes found = { NULL, 0, 0 };
	struct ring_views views;
	int err;

	err = ring_views_take(run_dir, clock_now_ns(), &views);
	if (err != 0)
		return err;
	found.process = calloc(2 * views.count + 1, sizeof(*found.process));
	if (found.process == NULL) {
		ring_views_free(&views);
		return -ENOMEM;
	}
	for (size_t i = 0; i < views.count; i++) {
		const struct ring_view *v = &views.view[i];

		add(&found, v->from, v->producer_pid, v->producer_alive);
		add(&found, v->to, v->consumer_pid, v->consumer_alive);
	}
	ring_views_free(&views);
	*out_processes = found;
	return 0;
}

void
processes_free(struct processes *processes)
{
	free(processes->process);
}
