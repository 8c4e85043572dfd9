/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ingest: when a message is safe, and the remote is told.
 *
 * Without a journal a message is safe in its lane.  With one a power cut
 * takes the lane away, so it is safe when the broker has released it, which
 * it does when the journal has it.
 */

#include "bridged/counters.h"
#include "bridged/ingest_private.h"

void
ingest_item_committed(struct ingest *ingest, struct ingest_item *item)
{
	stats_increment(ingest->counters, BRIDGED_received_committed);
	if (item->qos == 2)
		notes_confirm(ingest->notes, item->note);
	item->state = ITEM_ACCEPTED;
	if (!ingest->awaits_journal)
		return;
	item->state = ITEM_GIVEN;
	ingest->given++;
}

/*
 * A lane that is gone, or another in its place, was released to its end.
 * Without the link it is as without a journal: the lanes stay, and nobody
 * knows yet how the next broker will release them.
 */
static bool
is_released(const struct ingest *ingest, const struct ingest_item *item)
{
	struct ring_producer *producer;

	if (ingest->link == NULL)
		return true;
	producer = ring_link_producer(ingest->link, item->lane);
	return producer == NULL ||
	    RING_POSITION(ring_producer_next_head(producer)) < item->position ||
	    RING_POSITION(ring_producer_tail(producer)) >= item->position;
}

void
ingest_take_released(struct ingest *ingest)
{
	for (struct ingest_item *item = ingest->first;
	     item != NULL && ingest->given != 0; item = item->next) {
		if (item->state != ITEM_GIVEN || !is_released(ingest, item))
			continue;
		item->state = ITEM_ACCEPTED;
		ingest->given--;
	}
}

bool
ingest_is_released(const struct ingest *ingest)
{
	if (ingest->given == 0)
		return false;
	for (const struct ingest_item *item = ingest->first; item != NULL;
	     item = item->next)
		if (item->state == ITEM_GIVEN && is_released(ingest, item))
			return true;
	return false;
}

bool
ingest_acknowledge(struct ingest *ingest)
{
	struct ingest_item **at = &ingest->first, *item;
	bool in_order = true, any = false;

	while ((item = *at) != NULL) {
		bool is_safe =
		    item->state == ITEM_ACCEPTED || item->state == ITEM_REFUSED;

		if (!is_safe && item->qos != 0)
			in_order = false;
		if (!is_safe || (item->qos != 0 && !in_order)) {
			at = &item->next;
			continue;
		}
		if (item->qos != 0)
			ingest->kind->acknowledge(ingest->remote, item->id,
			    item->qos, item->state == ITEM_ACCEPTED);
		ingest_drop_item(ingest, at);
		any = true;
	}
	return any;
}
