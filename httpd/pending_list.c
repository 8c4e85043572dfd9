/* SPDX-License-Identifier: Apache-2.0 */

/* The lists that entries are in, and what is counted of those held. */

#include <string.h>

#include "common/base/bug.h"
#include "httpd/pending_private.h"

void
pending_list_init(struct list *list)
{
	*list = (struct list){ .first = NONE, .last = NONE };
}

void
pending_list_append(struct pending *pending, struct list *list, uint32_t number)
{
	struct entry *entry = &pending->entry[number];

	entry->previous = list->last;
	entry->next = NONE;
	if (list->last == NONE)
		list->first = number;
	else
		pending->entry[list->last].next = number;
	list->last = number;
	list->count++;
}

void
pending_list_remove(struct pending *pending, struct list *list, uint32_t number)
{
	struct entry *entry = &pending->entry[number];

	if (entry->previous == NONE)
		list->first = entry->next;
	else
		pending->entry[entry->previous].next = entry->next;
	if (entry->next == NONE)
		list->last = entry->previous;
	else
		pending->entry[entry->next].previous = entry->previous;
	list->count--;
}

static bool
is_of(const struct pending *pending, uint32_t number, const void *owner)
{
	return number != NONE && pending->entry[number].owner == owner;
}

bool
pending_held_is_last(
    const struct pending *pending, uint32_t lane, const void *owner)
{
	return is_of(pending, pending->held[lane].last, owner);
}

void
pending_held_add(struct pending *pending, uint32_t lane, uint32_t number)
{
	struct entry *entry = &pending->entry[number];

	if (!pending_held_is_last(pending, lane, entry->owner))
		pending->lane_requests[lane]++;
	entry->lane = (uint8_t)lane;
	pending_list_append(pending, &pending->held[lane], number);
	pending->held_count++;
	pending->held_bytes += entry->length;
	pending->lane_held_bytes[lane] += entry->length;
}

void
pending_held_remove(struct pending *pending, uint32_t number)
{
	struct entry *entry = &pending->entry[number];

	if (!is_of(pending, entry->previous, entry->owner) &&
	    !is_of(pending, entry->next, entry->owner))
		pending->lane_requests[entry->lane]--;
	pending_list_remove(pending, &pending->held[entry->lane], number);
	pending->held_count--;
	pending->held_bytes -= entry->length;
	pending->lane_held_bytes[entry->lane] -= entry->length;
}

/* The lane whose head was held first, or NONE. */
static uint32_t
oldest_lane(
    const struct list lists[PENDING_LANES], const struct pending *pending)
{
	uint32_t oldest = NONE, first;
	uint64_t serial = UINT64_MAX;

	for (uint32_t lane = 0; lane < PENDING_LANES; lane++) {
		first = lists[lane].first;
		if (first != NONE && pending->entry[first].serial < serial) {
			serial = pending->entry[first].serial;
			oldest = lane;
		}
	}
	return oldest;
}

void
pending_reroute(struct pending *pending)
{
	struct list before[PENDING_LANES];
	struct record_message message;
	struct entry *entry;
	uint32_t lane, to, number;
	int err;

	if (pending->held_count == 0)
		return;
	memcpy(before, pending->held, sizeof(before));
	for (lane = 0; lane < PENDING_LANES; lane++)
		pending_list_init(&pending->held[lane]);
	memset(pending->lane_requests, 0, sizeof(pending->lane_requests));
	memset(pending->lane_held_bytes, 0, sizeof(pending->lane_held_bytes));
	pending->held_bytes = 0;
	pending->held_count = 0;

	while ((lane = oldest_lane(before, pending)) != NONE) {
		number = before[lane].first;
		entry = &pending->entry[number];
		pending_list_remove(pending, &before[lane], number);
		err =
		    record_message_parse(entry->body, entry->length, &message);
		BUG_ON(err != 0);
		to = pending->ops->lane_of(pending->context, message.topic);
		pending_held_add(pending, to, number);
		if (to != lane)
			pending->ops->rerouted(pending->context, lane, to);
	}
}
