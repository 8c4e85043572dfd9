/* SPDX-License-Identifier: Apache-2.0 */

/*
 * doctor - what commonly goes wrong on a machine, and what to do about it.
 *
 *	doctor_look()	measures and reads: the facts
 *	doctor_judge()	says of each whether it is well; pure
 *
 * One thread.
 */

#ifndef WEIR_CTL_DOCTOR_H
#define WEIR_CTL_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf/conf.h"

/* How long the disk is measured, and how often it is asked at most. */
#define DOCTOR_SYNC_NS UINT64_C(2000000000)
#define DOCTOR_SYNCS 1000u

/* Beside its connections, the broker has so many descriptors at most. */
#define DOCTOR_OTHER_FILES 2500u

struct doctor_folder {
	int err; /* 0, or why it cannot be looked at (errno) */
	bool is_folder;
	bool is_usable; /* the broker may write into it */
	bool is_open;   /* everybody may read it */
	bool is_memory; /* tmpfs or ramfs: gone at a power cut */
	bool is_remote; /* NFS and the like */
	uint64_t free_bytes;
};

struct doctor_facts {
	bool has_journal; /* by the configuration */
	const char *state_dir, *run_dir;
	struct doctor_folder state, run;

	int sync_err; /* errno; 0: it was measured */
	unsigned syncs;
	uint64_t sync_p50_ns, sync_p99_ns;

	uint64_t journal_max_bytes;
	uint64_t journal_bytes; /* that its files take now */
	uint64_t backlog_bytes; /* of all bridges together */

	bool is_running; /* the broker answers */
	int no_answer;   /* errno, if it does not */

	uint64_t max_connections;
	uint64_t file_limit; /* of the broker, or of what starts from here */
	uint64_t memory_bound, memory_limit;
	const char *memory_whose;
	bool is_memory_set; /* somebody chose the limit */

	uint64_t wall_ns;
	bool is_clock_synchronised;
};

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARN,
	DOCTOR_FAIL
};

struct doctor_finding {
	enum doctor_level level;
	const char *name; /* "disk", "state_dir", ... */
	char text[256];
	char advice[256]; /* "" when there is nothing to do */
};

#define DOCTOR_FINDINGS 9

/* Returns how many were written. */
size_t doctor_judge(const struct doctor_facts *facts,
    struct doctor_finding out_findings[DOCTOR_FINDINGS]);

/* Takes up to DOCTOR_SYNC_NS.  Strings of the facts are the configuration's. */
void doctor_look(const struct conf *conf, struct doctor_facts *out_facts);

#endif
