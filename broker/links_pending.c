/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_pending.h"

#include <string.h>

#include "broker/links_private.h"
#include "common/mqtt/reason.h"

static struct links_pending *
at(const struct links_pending_line *line, uint32_t index)
{
	return fifo_at(&line->list, sizeof(struct links_pending), index);
}

static bool
is_settled(const struct links *links, const struct links_pending *pending)
{
	return pending->ticket <= links->journal.settled;
}

static bool
has_receipt_room(
    struct links_endpoint *endpoint, const struct links_pending *pending)
{
	return !pending->wants_receipt ||
	    links_output_has_room(
		&endpoint->output, sizeof(struct record_answer), NULL);
}

/* ---- one that is done with ---------------------------------------------- */

static void
put_receipt(struct links_endpoint *endpoint, const struct links_lane *lane,
    const struct links_pending *pending)
{
	const struct record_answer receipt = {
		.code = pending->reason,
		.receivers = pending->receivers,
	};
	const struct ring_record record = {
		.kind = RECORD_RECEIPT,
		.correlation = pending->correlation,
		.source_link = endpoint->id,
		.source_lane = (uint16_t)lane->geometry.lane,
		.source_sequence = pending->sequence,
		.time_ns = endpoint->links->now_ns,
		.flags = pending->is_traced ? RING_TRACED : 0,
	};
	void *body;

	body = links_output_claim(&endpoint->output, sizeof(receipt));
	memcpy(body, &receipt, sizeof(receipt));
	links_output_put(&endpoint->output, &record);
}

static void
conclude(struct links_endpoint *endpoint, struct links_lane *lane,
    const struct links_pending *pending)
{
	if (mqtt_reason_is_error(pending->reason)) {
		links_count(endpoint->links, COUNT_ring_messages_refused, 1);
		lane->outcome.dead++;
	} else {
		lane->outcome.delivered++;
	}
	if (pending->wants_receipt)
		put_receipt(endpoint, lane, pending);
	lane->done_word = pending->word;
	lane->done_sequence = pending->sequence;
}

/* ---- the line ------------------------------------------------------------ */

bool
links_pending_has_room(struct links_lane *lane)
{
	struct fifo *list = &lane->pending.list;

	return list->count < LINKS_PENDING_MAX &&
	    fifo_reserve(list, sizeof(struct links_pending)) == 0;
}

void
links_pending_add(struct links_endpoint *endpoint, struct links_lane *lane,
    const struct links_pending *pending)
{
	struct fifo *list = &lane->pending.list;
	struct links_pending *last;

	if (list->count == 0 && is_settled(endpoint->links, pending)) {
		conclude(endpoint, lane, pending);
		return;
	}
	last = fifo_add(list, sizeof(*last));
	*last = *pending;
}

static bool
first_can_go(struct links_endpoint *endpoint, const struct links_lane *lane)
{
	const struct links_pending_line *line = &lane->pending;

	return line->list.count > 0 &&
	    is_settled(endpoint->links, at(line, 0)) &&
	    has_receipt_room(endpoint, at(line, 0));
}

static bool
settle_lane(struct links_endpoint *endpoint, struct links_lane *lane)
{
	struct links_pending_line *line = &lane->pending;
	bool moved = false;

	while (first_can_go(endpoint, lane)) {
		conclude(endpoint, lane, at(line, 0));
		fifo_drop_first(&line->list);
		moved = true;
	}
	/* Perhaps it is the line that was full. */
	if (moved)
		lane->waits_for_memory = false;
	return moved;
}

bool
links_pending_round(struct links *links)
{
	struct links_endpoint *endpoint;
	struct links_lane *lane;
	bool moved = false;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (!links_endpoint_is_usable(endpoint))
			continue;
		LINKS_EACH_LANE(endpoint, lane)
		moved |= settle_lane(endpoint, lane);
	}
	return moved;
}

bool
links_pending_can_move(struct links *links)
{
	struct links_endpoint *endpoint;
	struct links_lane *lane;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (!links_endpoint_is_usable(endpoint))
			continue;
		LINKS_EACH_LANE(endpoint, lane)
		{
			if (first_can_go(endpoint, lane))
				return true;
		}
	}
	return false;
}

void
links_pending_fail(
    struct links *links, uint64_t first, uint64_t last, uint8_t reason)
{
	struct links_endpoint *endpoint;
	struct links_pending *pending;
	struct links_lane *lane;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		LINKS_EACH_LANE(endpoint, lane)
		{
			for (uint32_t i = 0; i < lane->pending.list.count;
			     i++) {
				pending = at(&lane->pending, i);
				if (pending->ticket >= first &&
				    pending->ticket <= last)
					pending->reason = reason;
			}
		}
	}
}

bool
links_pending_is_empty(struct links *links)
{
	struct links_endpoint *endpoint;
	struct links_lane *lane;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		LINKS_EACH_LANE(endpoint, lane)
		{
			if (lane->pending.list.count > 0)
				return false;
		}
	}
	return true;
}

void
links_pending_forget(struct links_lane *lane)
{
	fifo_fini(&lane->pending.list);
}
