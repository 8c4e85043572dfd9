/* SPDX-License-Identifier: Apache-2.0 */

/* Questions about what is pending; nothing is changed here. */

#include "httpd/pending.h"

#include "httpd/pending_private.h"

struct pool_use
pending_use(const struct pending *pending)
{
	return pending->use;
}

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
pending_lane_held_bytes(const struct pending *pending, uint32_t lane)
{
	return pending->lane_held_bytes[lane];
}

uint64_t
pending_lane_held_total(const struct pending *pending, uint32_t lane)
{
	return pending->lane_held_total[lane];
}

static uint64_t
sooner(const struct pending *pending, uint32_t first, uint64_t deadline_ns)
{
	if (first == NONE || pending->entry[first].deadline_ns >= deadline_ns)
		return deadline_ns;
	return pending->entry[first].deadline_ns;
}

uint64_t
pending_next_deadline(const struct pending *pending)
{
	uint64_t deadline_ns =
	    sooner(pending, pending->committed.first, UINT64_MAX);

	if (pending->held_count == 0)
		return deadline_ns;
	for (uint32_t lane = 0; lane < PENDING_LANES; lane++)
		deadline_ns =
		    sooner(pending, pending->held[lane].first, deadline_ns);
	return deadline_ns;
}

uint64_t
pending_held_total(const struct pending *pending)
{
	return pending->held_total;
}

uint32_t
pending_lane_outstanding(const struct pending *pending, uint32_t lane)
{
	return pending->lane_outstanding[lane];
}

/* Returns how many more may be looked at. */
static uint32_t
walk(const struct pending *pending, const struct list *list, uint32_t lane,
    uint32_t most, void (*each)(void *context, const void *owner),
    void *context)
{
	const struct entry *entry;

	for (uint32_t number = list->first; number != NONE && most > 0;
	     number = entry->next, most--) {
		entry = &pending->entry[number];
		if (entry->lane == lane)
			each(context, entry->owner);
	}
	return most;
}

void
pending_each_waiting(const struct pending *pending, uint32_t lane,
    uint32_t most, void (*each)(void *context, const void *owner),
    void *context)
{
	most = walk(pending, &pending->held[lane], lane, most, each, context);
	walk(pending, &pending->committed, lane, most, each, context);
}
