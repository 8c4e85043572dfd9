/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session_walk - all sessions of a worker as records, some at a time.
 *
 *	struct session_walk walk = { 0 };
 *
 *	do
 *		err = session_walk_step(worker, &walk, put, context);
 *	while (err == 0 && !walk.is_over);
 *
 * Between two steps sessions come and go.  What is there all the time is
 * given at least once, which is enough: records are idempotent.  The worker's
 * thread only.
 */

#ifndef WEIR_BROKER_SESSION_WALK_H
#define WEIR_BROKER_SESSION_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store_record.h"

struct worker;

/* Zeroed at first; session_walk_fini() if it is given up. */
struct session_walk {
	size_t bucket;
	size_t bucket_count; /* when `cursor` was left */
	uint64_t cursor;     /* whose subscriptions are not done; 0: none */
	uint8_t *after;      /* the filter of the last one, on the heap */
	size_t after_length;
	bool is_over;
};

/* 0; -ENOMEM; or what `put` returned. */
int session_walk_step(struct worker *worker, struct session_walk *walk,
    int (*put)(void *context, enum store_kind kind, struct slice body),
    void *context);

void session_walk_fini(struct session_walk *walk);

#endif
