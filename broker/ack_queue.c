/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "broker/session.h"

/* Room that stays while the queue is empty: who has filled it does so again. */
#define KEPT_ACKS 64

struct pending_ack *
ack_queue_at(const struct ack_queue *queue, uint32_t i)
{
	return fifo_at(queue->list, sizeof(struct pending_ack), i);
}

int
ack_queue_put(struct ack_queue *queue, const struct pending_ack *ack)
{
	struct pending_ack *last;
	int err;

	if (queue->list == NULL)
		queue->list = calloc(1, sizeof(*queue->list));
	if (queue->list == NULL)
		return -ENOMEM;
	err = fifo_reserve(queue->list, sizeof(*last));
	if (err != 0)
		return err;
	last = fifo_add(queue->list, sizeof(*last));
	*last = *ack;
	return 0;
}

struct pending_ack *
ack_queue_first(struct ack_queue *queue)
{
	return ack_queue_count(queue) == 0 ? NULL : ack_queue_at(queue, 0);
}

void
ack_queue_drop_first(struct ack_queue *queue)
{
	fifo_drop_first(queue->list);
	if (queue->list->count == 0 && queue->list->size > KEPT_ACKS)
		ack_queue_fini(queue);
}

bool
ack_queue_has(const struct ack_queue *queue, uint8_t type, uint16_t packet_id)
{
	const struct pending_ack *ack;

	for (uint32_t i = 0; i < ack_queue_count(queue); i++) {
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

	for (uint32_t i = 0; i < ack_queue_count(queue); i++) {
		ack = ack_queue_at(queue, i);
		if (ack->type == type)
			*ack_queue_at(queue, kept++) = *ack;
	}
	if (kept != 0)
		queue->list->count = kept;
	else
		ack_queue_fini(queue);
}

void
ack_queue_fini(struct ack_queue *queue)
{
	if (queue->list != NULL)
		fifo_fini(queue->list);
	free(queue->list);
	queue->list = NULL;
}
