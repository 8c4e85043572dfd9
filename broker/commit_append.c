/* SPDX-License-Identifier: Apache-2.0 */

/* An item as the store wants it. */

#include <errno.h>
#include <stdlib.h>

#include "broker/commit_private.h"
#include "broker/wall_clock.h"

static struct store_delivery
delivery_of(const struct commit_item *item, const struct commit_way *way)
{
	struct store_delivery delivery = {
		.cursor = way->cursor,
		.qos = way->qos,
		.flags = way->retain ? STORE_RETAIN_FLAG : 0,
		.identifier_count = way->identifier_count,
	};

	if (way->identifier_count != 0)
		delivery.identifiers =
		    item->identifiers + way->first_identifier;
	if (way->share == 0)
		return delivery;
	delivery.flags |= STORE_SHARE_FLAG;
	delivery.identifiers =
	    way->identifier_count == 0 ? &way->share : delivery.identifiers - 1;
	delivery.identifier_count++;
	return delivery;
}

/* Those of the item that are durable, as the store wants them. */
static int
list_deliveries(struct commit_line *line, const struct commit_item *item)
{
	struct store_delivery *deliveries;
	const struct commit_way *way;
	size_t count = 0;

	if (item->durable_count > line->delivery_room) {
		deliveries = realloc(line->deliveries,
		    2 * item->durable_count * sizeof(*deliveries));
		if (deliveries == NULL)
			return -ENOMEM;
		line->deliveries = deliveries;
		line->delivery_room = 2 * (size_t)item->durable_count;
	}
	for (uint32_t i = 0; i < item->way_count; i++) {
		way = &item->ways[i];
		if (!way->is_durable)
			continue;
		line->deliveries[count++] = delivery_of(item, way);
	}
	return 0;
}

static int
append_message(struct commit *commit, struct commit_item *item)
{
	const struct message *message = item->message;
	struct commit_line *line = &commit->line;
	struct store_message record;
	int err;

	err = list_deliveries(line, item);
	if (err != 0)
		return err;
	record = (struct store_message){
		.publisher = item->publisher,
		.packet_id = item->packet_id,
		.qos = message->qos,
		.retain = message->retain,
		.retain_serial = item->retain_serial,
		.source = { message->link, message->lane, message->sequence },
		.identity = message->identity,
		.created_ns =
		    wall_clock_from(message->created_ns, line->ahead_ns),
		.expires_ns =
		    wall_clock_from(message->expires_ns, line->ahead_ns),
		.topic = message_topic(message),
		.properties = message_properties(message),
		.payload = message_payload(message),
		.deliveries = line->deliveries,
		.delivery_count = item->durable_count,
	};
	return store_append_message(commit->store, &record, &item->sequence);
}

int
commit_append(struct commit *commit, struct commit_item *item)
{
	if (!item->is_written)
		return 0;
	switch ((enum commit_what)item->what) {
	case COMMIT_MESSAGE:
		return append_message(commit, item);
	case COMMIT_STATE:
		return store_append(commit->store, item->kind,
		    slice_of(item->bytes, item->length), &item->sequence);
	case COMMIT_CURSOR:
		return item->kind == STORE_OPEN
		    ? store_append_open(commit->store, item->publisher)
		    : store_append_close(commit->store, item->publisher);
	case COMMIT_DONE:
		return store_append_done(
		    commit->store, item->dones, item->length);
	}
	return -EINVAL;
}
