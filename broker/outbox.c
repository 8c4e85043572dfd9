/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/pool.h"

#define FIRST_PLACES 8

static void
list_append(struct outgoing_list *list, struct outgoing *outgoing)
{
	outgoing->next = NULL;
	outgoing->previous = list->last;
	if (list->last != NULL)
		list->last->next = outgoing;
	else
		list->first = outgoing;
	list->last = outgoing;
	list->count++;
}

static void
list_remove(struct outgoing_list *list, struct outgoing *outgoing)
{
	if (outgoing->next != NULL)
		outgoing->next->previous = outgoing->previous;
	else
		list->last = outgoing->previous;
	if (outgoing->previous != NULL)
		outgoing->previous->next = outgoing->next;
	else
		list->first = outgoing->next;
	list->count--;
}

static int
copy_identifiers(struct outgoing *outgoing, const struct outbox_item *item)
{
	const size_t size = item->identifier_count * sizeof(uint32_t);

	outgoing->identifier_count = (uint16_t)item->identifier_count;
	if (item->identifier_count == 0)
		return 0;
	if (item->identifier_count == 1) {
		outgoing->identifier = item->identifiers[0];
		return 0;
	}
	outgoing->identifiers = malloc(size);
	if (outgoing->identifiers == NULL)
		return -ENOMEM;
	memcpy(outgoing->identifiers, item->identifiers, size);
	return 0;
}

int
outbox_put(struct outbox *outbox, struct pool *pool,
    const struct outbox_limits *limits, const struct outbox_item *item)
{
	const size_t weight = message_weight(item->message);
	struct outgoing *outgoing;

	/* Into an empty queue one always goes, however large. */
	if (outbox->waiting.count != 0 &&
	    (outbox->waiting.count >= limits->max_messages ||
		outbox->waiting_bytes + weight > limits->max_bytes))
		return -ENOSPC;
	if (item->identifier_count > UINT16_MAX)
		return -ENOMEM;
	outgoing = pool_take(pool);
	if (outgoing == NULL)
		return -ENOMEM;
	*outgoing = (struct outgoing){
		.message = item->message,
		.qos = item->qos,
		.retain = item->retain,
	};
	if (copy_identifiers(outgoing, item) != 0) {
		pool_put(pool, outgoing);
		return -ENOMEM;
	}
	message_take(item->message);
	outbox->waiting_bytes += weight;
	list_append(&outbox->waiting, outgoing);
	return 0;
}

struct outgoing *
outbox_peek(const struct outbox *outbox)
{
	if (outbox->in_flight.count >= outbox->window)
		return NULL;
	return outbox->waiting.first;
}

/*
 * Identifiers are given out in sequence and lie in places[id % count]; one
 * whose place is taken is passed over.  At most half of the places are taken,
 * so the next free one is near.
 */
static struct outgoing **
place_of(const struct outbox *outbox, uint16_t packet_id)
{
	return &outbox->places[packet_id & (outbox->place_count - 1)];
}

static int
grow(struct outbox *outbox)
{
	struct outgoing **places, *outgoing;
	const uint32_t count =
	    outbox->place_count == 0 ? FIRST_PLACES : outbox->place_count * 2;

	places = calloc(count, sizeof(struct outgoing *));
	if (places == NULL)
		return -ENOMEM;
	free(outbox->places);
	outbox->places = places;
	outbox->place_count = count;
	for (outgoing = outbox->in_flight.first; outgoing != NULL;
	     outgoing = outgoing->next)
		*place_of(outbox, outgoing->packet_id) = outgoing;
	return 0;
}

int
outbox_take(struct outbox *outbox, struct outgoing *outgoing)
{
	int err;

	BUG_ON(outgoing != outbox->waiting.first);
	if (outbox->in_flight.count * 2 >= outbox->place_count &&
	    outbox->place_count < UINT32_C(65536)) {
		err = grow(outbox);
		if (err != 0)
			return err;
	}
	do
		outbox->last_id++;
	while (
	    outbox->last_id == 0 || *place_of(outbox, outbox->last_id) != NULL);

	list_remove(&outbox->waiting, outgoing);
	outbox->waiting_bytes -= message_weight(outgoing->message);
	outgoing->packet_id = outbox->last_id;
	outgoing->stage = OUTGOING_SENT;
	list_append(&outbox->in_flight, outgoing);
	*place_of(outbox, outgoing->packet_id) = outgoing;
	return 0;
}

struct outgoing *
outbox_find(const struct outbox *outbox, uint16_t packet_id)
{
	struct outgoing *outgoing;

	if (outbox->place_count == 0)
		return NULL;
	outgoing = *place_of(outbox, packet_id);
	if (outgoing == NULL || outgoing->packet_id != packet_id)
		return NULL;
	return outgoing;
}

void
outbox_received(struct outgoing *outgoing)
{
	message_put(outgoing->message);
	outgoing->message = NULL;
	outgoing->stage = OUTGOING_RECEIVED;
}

void
outbox_done(struct outbox *outbox, struct pool *pool, struct outgoing *outgoing)
{
	if (outgoing->stage == OUTGOING_WAITING) {
		list_remove(&outbox->waiting, outgoing);
		outbox->waiting_bytes -= message_weight(outgoing->message);
	} else {
		list_remove(&outbox->in_flight, outgoing);
		*place_of(outbox, outgoing->packet_id) = NULL;
	}
	if (outbox->in_flight.count == 0 &&
	    outbox->place_count > FIRST_PLACES * 16) {
		free(outbox->places);
		outbox->places = NULL;
		outbox->place_count = 0;
	}
	message_put(outgoing->message);
	free(outgoing->identifiers);
	pool_put(pool, outgoing);
}

void
outbox_fini(struct outbox *outbox, struct pool *pool)
{
	while (outbox->in_flight.first != NULL)
		outbox_done(outbox, pool, outbox->in_flight.first);
	while (outbox->waiting.first != NULL)
		outbox_done(outbox, pool, outbox->waiting.first);
	free(outbox->places);
	*outbox = (struct outbox){ .window = outbox->window };
}

const uint32_t *
outgoing_identifiers(const struct outgoing *outgoing)
{
	return outgoing->identifier_count == 1 ? &outgoing->identifier
					       : outgoing->identifiers;
}
