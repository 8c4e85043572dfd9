/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "broker/session.h"

#define FIRST_SIZE 8

struct pending_ack *
ack_queue_at(const struct ack_queue *queue, uint32_t i)
{
	return &queue->list[(queue->first + i) & (queue->size - 1)];
}

static int
grow(struct ack_queue *queue)
{
	struct ack_queue larger = { .count = queue->count };

	larger.size = queue->size == 0 ? FIRST_SIZE : queue->size * 2;
	larger.list = malloc(larger.size * sizeof(*larger.list));
	if (larger.list == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < queue->count; i++)
		larger.list[i] = *ack_queue_at(queue, i);
	free(queue->list);
	*queue = larger;
	return 0;
}

int
ack_queue_put(struct ack_queue *queue, const struct pending_ack *ack)
{
	int err;

	if (queue->count == queue->size) {
		err = grow(queue);
		if (err != 0)
			return err;
	}
	*ack_queue_at(queue, queue->count++) = *ack;
	return 0;
}

struct pending_ack *
ack_queue_first(struct ack_queue *queue)
{
	return queue->count == 0 ? NULL : ack_queue_at(queue, 0);
}

void
ack_queue_drop_first(struct ack_queue *queue)
{
	queue->first++;
	if (--queue->count == 0)
		ack_queue_fini(queue);
}

bool
ack_queue_has(const struct ack_queue *queue, uint8_t type, uint16_t packet_id)
{
	const struct pending_ack *ack;

	for (uint32_t i = 0; i < queue->count; i++) {
		ack = ack_queue_at(queue, i);
		if (ack->type == type && ack->packet_id == packet_id)
			return true;
	}
	return false;
}

void
ack_queue_keep_type(struct ack_queue *queue, uint8_t type)
{
	struct pending_ack *ack;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < queue->count; i++) {
		ack = ack_queue_at(queue, i);
		if (ack->type == type)
			*ack_queue_at(queue, kept++) = *ack;
	}
	queue->count = kept;
	if (kept == 0)
		ack_queue_fini(queue);
}

void
ack_queue_fini(struct ack_queue *queue)
{
	free(queue->list);
	*queue = (struct ack_queue){ 0 };
}
