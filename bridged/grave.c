/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/grave.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/msg/record.h"
#include "common/net/loop.h"
#include "common/ring/ring_producer.h"

/* The lane "", which every link has. */
#define LANE 0u

static struct record_dead
letter_of(const struct inflight_entry *entry)
{
	return (struct record_dead){
		.attempts = entry->attempts,
		.sequence = entry->sequence,
		.journal = entry->record.correlation,
		.wall_ns = clock_wall_ns(),
		.why = slice_of_string(entry->why),
		.message = slice_of(entry->payload, entry->record.length),
	};
}

static int
bury(void *arg, const struct inflight_entry *entry)
{
	const struct record_dead letter = letter_of(entry);
	const size_t length = record_dead_size(&letter);
	struct grave *grave = arg;
	struct ring_producer *producer;
	const uint64_t now_ns = loop_now_ns(grave->loop);
	const struct ring_record record = {
		.length = (uint32_t)length,
		.kind = RECORD_DEAD,
		.time_ns = now_ns,
	};
	void *place;
	int err;

	if (grave->link == NULL)
		return -EAGAIN;
	producer = ring_link_producer(grave->link, LANE);
	if (producer == NULL)
		return -EAGAIN;
	err = ring_claim(producer, length, &place);
	/* A lane that is at fault is found by the others who use it. */
	if (err != 0)
		return err == -EPROTO ? -EAGAIN : err;
	record_dead_write(&letter, place);
	ring_put(producer, &record);
	ring_commit(producer, now_ns);
	return 0;
}

static bool
has_room(void *arg, const struct inflight_entry *entry)
{
	const struct record_dead letter = letter_of(entry);
	const struct grave *grave = arg;
	struct ring_producer *producer;

	if (grave->link == NULL)
		return false;
	producer = ring_link_producer(grave->link, LANE);
	return producer != NULL &&
	    ring_producer_has_room(producer, record_dead_size(&letter));
}

struct forward_grave
grave_of(struct grave *grave)
{
	return (struct forward_grave){
		.bury = bury,
		.has_room = has_room,
		.arg = grave,
	};
}
