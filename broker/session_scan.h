/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session_scan - the sessions of a worker, some at a time.
 *
 *	struct session_scan scan = { 0 };
 *
 *	while (!scan.is_over)
 *		session_scan_step(sessions, &scan, each, context);
 *
 * The order is that of the bits of an identifier's hash, lowest first: who is
 * there all the time is given exactly once and keeps its place among others,
 * whoever comes and goes between two steps, also when the table grows.  The
 * worker's thread only.
 */

#ifndef WEIR_BROKER_SESSION_SCAN_H
#define WEIR_BROKER_SESSION_SCAN_H

#include <stdbool.h>
#include <stddef.h>

struct session;
struct sessions;

/* Zeroed at first. */
struct session_scan {
	size_t bucket; /* the next one */
	bool is_over;
};

/*
 * Some buckets: until `each` returns false, at the end of a bucket, or a
 * bounded number was looked at.  `each` ends no session.
 */
void session_scan_step(const struct sessions *sessions,
    struct session_scan *scan,
    bool (*each)(void *context, struct session *session), void *context);

#endif
