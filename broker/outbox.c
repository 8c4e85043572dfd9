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
}

/* In the order of sequences; it is nearly always the last. */
static void
list_insert(struct outgoing_list *list, struct outgoing *outgoing)
{
	struct outgoing *after = list->last;

	if (outgoing->sequence != 0)
		while (after != NULL && after->sequence > outgoing->sequence)
			after = after->previous;
	if (after == list->last) {
		list_append(list, outgoing);
		return;
	}
	outgoing->previous = after;
	outgoing->next = after == NULL ? list->first : after->next;
	outgoing->next->previous = outgoing;
	if (after == NULL)
		list->first = outgoing;
	else
		after->next = outgoing;
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
	if (limits != NULL && outbox->waiting_count != 0 &&
	    (outbox->waiting_count >= limits->max_messages ||
		outbox->waiting_bytes + weight > limits->max_bytes))
		return -ENOSPC;
	if (item->identifier_count > UINT16_MAX)
		return -ENOMEM;
	outgoing = pool_take(pool);
	if (outgoing == NULL)
		return -ENOMEM;
	*outgoing = (struct outgoing){
		.message = item->message,
		.sequence = item->sequence,
		.qos = item->qos,
		.retain = item->retain,
		.share = item->share,
	};
	if (copy_identifiers(outgoing, item) != 0) {
		pool_put(pool, outgoing);
		return -ENOMEM;
	}
	message_take(item->message);
	list_append(&outbox->waiting, outgoing);
	outbox->waiting_count++;
	outbox->waiting_bytes += weight;
	return 0;
}

static void
remove_waiting(struct outbox *outbox, struct outgoing *outgoing)
{
	list_remove(&outbox->waiting, outgoing);
	outbox->waiting_count--;
	outbox->waiting_bytes -= message_weight(outgoing->message);
}

struct outgoing *
outbox_peek(const struct outbox *outbox)
{
	if (outbox->in_flight_count >= outbox->window)
		return NULL;
	return outbox->waiting.first;
}

/*
 * Chains in places[id % count], at most half as many as there are places.
 * Identifiers that are given out in sequence have a place each.
 */
static struct outgoing **
place_of(const struct outbox *outbox, uint16_t packet_id)
{
	return &outbox->places[packet_id & (outbox->place_count - 1)];
}

static void
put_in_place(struct outbox *outbox, struct outgoing *outgoing)
{
	struct outgoing **place = place_of(outbox, outgoing->packet_id);

	outgoing->next_in_place = *place;
	*place = outgoing;
}

static void
remove_from_place(struct outbox *outbox, struct outgoing *outgoing)
{
	struct outgoing **link = place_of(outbox, outgoing->packet_id);

	while (*link != outgoing)
		link = &(*link)->next_in_place;
	*link = outgoing->next_in_place;
}

/* One more place, at least, than are in flight.  0 or -ENOMEM. */
static int
make_place(struct outbox *outbox)
{
	struct outgoing **places, *outgoing;
	const uint32_t count =
	    outbox->place_count == 0 ? FIRST_PLACES : outbox->place_count * 2;

	if (outbox->in_flight_count * 2 < outbox->place_count ||
	    outbox->place_count >= UINT32_C(65536))
		return 0;
	places = calloc(count, sizeof(struct outgoing *));
	if (places == NULL)
		return -ENOMEM;
	free(outbox->places);
	outbox->places = places;
	outbox->place_count = count;
	for (outgoing = outbox->in_flight.first; outgoing != NULL;
	     outgoing = outgoing->next)
		put_in_place(outbox, outgoing);
	return 0;
}

/* The next one that is nobody's. */
static uint16_t
next_id(struct outbox *outbox)
{
	do
		outbox->last_id++;
	while (outbox->last_id == 0 ||
	    outbox_find(outbox, outbox->last_id) != NULL);
	return outbox->last_id;
}

static void
put_in_flight(struct outbox *outbox, struct outgoing *outgoing,
    uint16_t packet_id, enum outgoing_stage stage)
{
	outgoing->packet_id = packet_id;
	outgoing->stage = (uint8_t)stage;
	list_insert(&outbox->in_flight, outgoing);
	outbox->in_flight_count++;
	put_in_place(outbox, outgoing);
}

int
outbox_take(struct outbox *outbox, struct outgoing *outgoing)
{
	uint16_t packet_id;

	BUG_ON(outgoing != outbox->waiting.first);
	if (make_place(outbox) != 0)
		return -ENOMEM;
	if (outgoing->sequence == 0) {
		packet_id = next_id(outbox);
	} else {
		packet_id = outbox_packet_id(outgoing->sequence);
		if (outbox_find(outbox, packet_id) != NULL)
			return -EBUSY;
	}
	remove_waiting(outbox, outgoing);
	put_in_flight(outbox, outgoing, packet_id, OUTGOING_SENT);
	return 0;
}

int
outbox_restore_received(
    struct outbox *outbox, struct pool *pool, uint64_t sequence)
{
	const uint16_t packet_id = outbox_packet_id(sequence);
	struct outgoing *outgoing;

	/* A damaged journal may say so; the client knows one of them. */
	if (outbox_find(outbox, packet_id) != NULL)
		return 0;
	if (make_place(outbox) != 0)
		return -ENOMEM;
	outgoing = pool_take(pool);
	if (outgoing == NULL)
		return -ENOMEM;
	*outgoing = (struct outgoing){ .sequence = sequence, .qos = 2 };
	put_in_flight(outbox, outgoing, packet_id, OUTGOING_RECEIVED);
	return 0;
}

struct outgoing *
outbox_find(const struct outbox *outbox, uint16_t packet_id)
{
	struct outgoing *outgoing;

	if (outbox->place_count == 0)
		return NULL;
	outgoing = *place_of(outbox, packet_id);
	while (outgoing != NULL && outgoing->packet_id != packet_id)
		outgoing = outgoing->next_in_place;
	return outgoing;
}

void
outbox_forget_message(struct outgoing *outgoing)
{
	message_put(outgoing->message);
	outgoing->message = NULL;
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
		remove_waiting(outbox, outgoing);
	} else {
		list_remove(&outbox->in_flight, outgoing);
		outbox->in_flight_count--;
		remove_from_place(outbox, outgoing);
	}
	if (outbox->in_flight_count == 0 &&
	    outbox->place_count > FIRST_PLACES * 16) {
		free(outbox->places);
		outbox->places = NULL;
		outbox->place_count = 0;
	}
	message_put(outgoing->message);
	free(outgoing->identifiers);
	pool_put(pool, outgoing);
}

uint64_t
outbox_drop_waiting(struct outbox *outbox, struct pool *pool)
{
	const struct outgoing *first = outbox->waiting.first;
	const uint64_t sequence = first == NULL ? 0 : first->sequence;

	while (outbox->waiting.first != NULL)
		outbox_done(outbox, pool, outbox->waiting.first);
	return sequence;
}

void
outbox_fini(struct outbox *outbox, struct pool *pool)
{
	while (outbox->in_flight.first != NULL)
		outbox_done(outbox, pool, outbox->in_flight.first);
	outbox_drop_waiting(outbox, pool);
	free(outbox->places);
	*outbox = (struct outbox){ .window = outbox->window };
}

const uint32_t *
outgoing_identifiers(const struct outgoing *outgoing)
{
	return outgoing->identifier_count == 1 ? &outgoing->identifier
					       : outgoing->identifiers;
}
