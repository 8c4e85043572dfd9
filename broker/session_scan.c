/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/session_scan.h"

#include <limits.h>
#include <stdint.h>

#include "broker/session.h"

/* A step: empty buckets cost little, sessions a look each. */
#define STEP_BUCKETS 8192u
#define STEP_SESSIONS 1024u

static size_t
reversed(size_t value)
{
	size_t out = 0;

	for (unsigned i = 0; i < sizeof(value) * CHAR_BIT; i++) {
		out = out << 1 | (value & 1);
		value >>= 1;
	}
	return out;
}

/*
 * Count with the highest bit of the bucket's number as the lowest one.  A
 * table of twice the size splits bucket n into n and n + old size, which are
 * next to each other in this order: what is behind stays behind.
 */
static size_t
next_bucket(size_t bucket, size_t count)
{
	return reversed(reversed(bucket | ~(count - 1)) + 1);
}

void
session_scan_step(const struct sessions *sessions, struct session_scan *scan,
    bool (*each)(void *context, struct session *session), void *context)
{
	struct session *session;
	unsigned looked_at = 0;
	bool go_on = true;

	for (unsigned i = 0; i < STEP_BUCKETS && looked_at < STEP_SESSIONS &&
	     go_on && !scan->is_over;
	     i++) {
		session =
		    sessions
			->buckets[scan->bucket & (sessions->bucket_count - 1)];
		for (; session != NULL; session = session->next_in_table) {
			looked_at++;
			go_on = each(context, session) && go_on;
		}
		scan->bucket =
		    next_bucket(scan->bucket, sessions->bucket_count);
		scan->is_over = scan->bucket == 0;
	}
}
