/* SPDX-License-Identifier: Apache-2.0 */

/*
 * processes - the processes of an installation and the memory they take.
 *
 * They are found through the rings they are attached to, so it works while
 * they hang.  Memory is proportional (PSS): a page that two processes share
 * counts half for each, so the sum is what the machine really spends.
 */

#ifndef WEIR_CTL_PROCESSES_H
#define WEIR_CTL_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

struct process {
	char name[RING_NAME_MAX]; /* "broker", "httpd", "cloud" */
	uint64_t pid;
	uint64_t resident_bytes; /* 0: gone, or may not be looked at */
	bool alive;
};

struct processes {
	struct process *process;
	size_t count;
	uint64_t resident_bytes; /* the sum */
};

/* Returns 0 or -errno.  Free with processes_free(). */
int processes_find(const char *run_dir, struct processes *out_processes);
void processes_free(struct processes *processes);

/* PSS of one process, RSS where PSS may not be read, else 0. */
uint64_t process_resident_bytes(uint64_t pid);

#endif
