/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_recovery - what recovery knows while it runs, and the chain of the
 * segments: which of the files count, which are missing, where each ends.
 *
 * Each header names the segment before it and says where that ends; the list
 * of segments (store_manifest.c) knows of those that were taken away.  The
 * thread that opens the store.
 */

#ifndef WEIR_BROKER_STORE_STORE_RECOVERY_H
#define WEIR_BROKER_STORE_STORE_RECOVERY_H

#include "broker/store/store_private.h"

/* A file with the name of a segment. */
struct found_segment {
	uint64_t first_sequence, merged_last; /* by its name */
	char name[STORE_NAME_MAX];
	int file;
	uint64_t size;
	bool has_header;
	struct store_segment_header header; /* as in memory */
};

struct recovery {
	struct store *store;
	const struct store_sink *sink;
	struct found_segment *found; /* by first sequence */
	size_t count, room;
	char (*others)[STORE_NAME_MAX]; /* spares and temporary files */
	size_t other_count, other_room;
	struct store_progress progress;
	struct store_manifest manifest;
	int listed; /* 0, or why there is no manifest */
};

/* Remove those that a failed commit has left, were merged, or taken away. */
void recovery_drop_void(struct recovery *recovery);

/* Tell of each segment that should be there and is not, and of the list. */
void recovery_tell_missing(struct recovery *recovery);

/* Tell of one; the list is to be written anew. */
void recovery_tell_one(
    struct recovery *recovery, uint64_t first_sequence, uint64_t last_sequence);

/* The first sequence of the next that is there, or the next sequence. */
uint64_t recovery_next_first(
    const struct recovery *recovery, uint64_t first_sequence);

/* What is known of the end of the `i`th. */
void recovery_set_bounds(
    const struct recovery *recovery, size_t i, struct store_bounds *out_bounds);

#endif
