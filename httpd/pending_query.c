/* SPDX-License-Identifier: Apache-2.0 */

/* Questions about what is pending; nothing is changed here. */

#include "httpd/pending.h"

#include "httpd/pending_private.h"

uint32_t
pending_held(const struct pending *pending)
{
	return pending->held_count;
}

uint32_t
pending_outstanding(const struct pending *pending)
{
	return pending->outstanding;
}

uint32_t
pending_lane_held(const struct pending *pending, uint32_t lane)
{
	return pending->held[lane].count;
}

uint64_t
pending_held_total(const struct pending *pending)
{
	return pending->held_total;
}

void
pending_each_owner(const struct pending *pending, uint32_t lane, uint32_t most,
    void (*each)(void *context, const void *owner), void *context)
{
	uint32_t number = pending->held[lane].first;
	const void *last = NULL;

	for (; number != NONE && most > 0; most--) {
		if (pending->entry[number].owner != last)
			each(context, pending->entry[number].owner);
		last = pending->entry[number].owner;
		number = pending->entry[number].next;
	}
}
