/* SPDX-License-Identifier: Apache-2.0 */

/* What waits in the ring. */

#include "bridged/forward.h"

/* Returns false when there is no record that was not read. */
static bool
first_unread(struct forward *forward, struct ring_record *record)
{
	const void *payload;

	return forward->ring != NULL &&
	    ring_peek(forward->ring, record, &payload) == 1;
}

uint64_t
forward_unread_sequence(struct forward *forward)
{
	struct ring_record record;

	return first_unread(forward, &record) ? record.sequence : 0;
}

uint64_t
forward_unread_since_ns(struct forward *forward)
{
	struct ring_record record;

	return first_unread(forward, &record) ? record.time_ns : 0;
}

uint64_t
forward_unread_bytes(struct forward *forward)
{
	return forward->ring == NULL
	    ? 0
	    : ring_consumer_pending_bytes(forward->ring);
}

bool
forward_has_waiting(struct forward *forward)
{
	return forward->inflight.count != 0 ||
	    forward_unread_sequence(forward) != 0;
}
