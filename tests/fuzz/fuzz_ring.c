/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_ring - one end of a lane against a peer that writes what it likes.
 *
 * The first byte of the input says which end is ours.  The rest is a program:
 * each step lets our end do something, or writes into memory that the peer
 * could write, either wild or nearly right (a record of any length, type and
 * sequence at the peer's own position), so that deep states are reached too.
 * Memory is exactly as long as it should be: the sanitizers see every step
 * outside.  Besides, each thing that our end hands out is checked and touched
 * to its last byte.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/ring/ring_consumer.h"
#include "common/ring/ring_producer.h"
#include "tests/fuzz/fuzz.h"

#define SHIFT 12u
#define CLASSES 3u
#define SIZE (UINT64_C(1) << SHIFT)
#define DATA_LENGTH (RING_PAGE + 7 * SIZE)

struct lane {
	struct ring_head *head;
	struct ring_lane_producer *producer;
	struct ring_lane_consumer *consumer;
	uint8_t *data;
	/* Where an honest peer would go on. */
	uint64_t position;
	uint32_t class;
	uint64_t sequence;
	bool has_memory; /* to grow into */
};

struct input {
	const uint8_t *at, *end;
};

static uint64_t
take(struct input *input, size_t bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0 && input->at < input->end)
		value = value << 8 | *input->at++;
	return value;
}

static void *
zeroed(size_t length)
{
	void *memory = aligned_alloc(128, length);

	BUG_ON(memory == NULL);
	memset(memory, 0, length);
	return memory;
}

static struct lane
open_lane(void)
{
	return (struct lane){
		.head = zeroed(sizeof(struct ring_head)),
		.producer = zeroed(sizeof(struct ring_lane_producer)),
		.consumer = zeroed(sizeof(struct ring_lane_consumer)),
		.data = zeroed(DATA_LENGTH),
	};
}

static void
close_lane(struct lane *lane)
{
	free(lane->head);
	free(lane->producer);
	free(lane->consumer);
	free(lane->data);
}

/* Any word of a block becomes anything, or a little more or less. */
static void
scribble(struct input *input, void *block, size_t length)
{
	size_t offset = take(input, 2) % (length / 8) * 8;
	uint64_t value;

	memcpy(&value, (uint8_t *)block + offset, sizeof(value));
	switch (take(input, 1) % 4) {
	case 0:
		value = take(input, 8);
		break;
	case 1:
		value += take(input, 1);
		break;
	case 2:
		value -= take(input, 2);
		break;
	default:
		value ^= UINT64_C(1) << take(input, 1) % 64;
		break;
	}
	memcpy((uint8_t *)block + offset, &value, sizeof(value));
}

/* A record as an honest producer might write it, or nearly so. */
static void
write_record(struct lane *lane, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t size = ring_class_size(SHIFT, lane->class);
	struct ring_record record = {
		.type = how % 8 == 0 ? RING_PAD
		    : how % 8 == 1   ? RING_SWITCH
				     : RING_DATA,
		.sequence = lane->sequence + (how == 0xff ? 2 : 1),
	};

	if (record.type == RING_SWITCH)
		record.class = take(input, 1) % CLASSES;
	else
		record.length = (uint32_t)take(input, 2) % 1200;
	memcpy(lane->data + ring_class_offset(SHIFT, lane->class) +
		(lane->position & (size - 1)),
	    &record, sizeof(record));
	lane->position += ring_record_size(record.length);
	if (record.type == RING_DATA)
		lane->sequence = record.sequence;
	if (record.type == RING_SWITCH)
		lane->class = record.class;
}

static void
hostile_producer(struct lane *lane, struct input *input)
{
	switch (take(input, 1) % 8) {
	case 0:
		scribble(input, lane->head, sizeof(uint64_t));
		break;
	case 1:
		scribble(input, lane->producer, sizeof(*lane->producer));
		break;
	case 2:
		scribble(input, lane->data, DATA_LENGTH);
		break;
	case 3:
	case 4:
		lane->head->word = RING_WORD(lane->position, lane->class);
		break;
	default:
		write_record(lane, input);
		break;
	}
}

static struct ring_consumer *
new_consumer(struct lane *lane)
{
	const struct ring_consumer_memory memory = {
		.head = lane->head,
		.peer = lane->producer,
		.own = lane->consumer,
		.data = lane->data,
		.min_shift = SHIFT,
		.classes = CLASSES,
	};
	struct ring_consumer *consumer = ring_consumer_new(&memory);

	/* Only we write the tail, so it can never be impossible. */
	BUG_ON(consumer == NULL);
	return consumer;
}

/* What a peek hands out lies in the lane, whole. */
static void
look(struct lane *lane, struct ring_consumer *consumer)
{
	struct ring_record record;
	const void *payload;
	uint8_t copy[4 * SIZE / 4];
	int got;

	got = ring_peek(consumer, &record, &payload);
	BUG_ON(got < 0 && ring_consumer_fault(consumer) == NULL);
	if (got != 1)
		return;
	BUG_ON(record.length > ring_consumer_max_payload(consumer));
	BUG_ON(record.length > sizeof(copy));
	BUG_ON((const uint8_t *)payload < lane->data + RING_PAGE);
	BUG_ON((const uint8_t *)payload + record.length >
	    lane->data + DATA_LENGTH);
	memcpy(copy, payload, record.length);
	ring_next(consumer);
}

static void
be_consumer(struct lane *lane, struct input *input)
{
	struct ring_consumer *consumer = new_consumer(lane);
	const struct ring_outcome outcome = { .delivered = 1 };
	uint64_t word = ring_consumer_cursor(consumer);

	while (input->at < input->end) {
		switch (take(input, 1) % 12) {
		case 0:
		case 1:
		case 2:
			look(lane, consumer);
			break;
		case 3:
			word = ring_consumer_cursor(consumer);
			break;
		case 4:
			ring_release(consumer, word, &outcome, 1);
			break;
		case 5:
			ring_grant(
			    consumer, RING_POSITION(word) + take(input, 2));
			break;
		case 6:
			(void)ring_consumer_has_record(consumer);
			(void)ring_consumer_should_drop(consumer);
			BUG_ON(ring_consumer_pending_bytes(consumer) >
			    DATA_LENGTH);
			break;
		case 7:
			ring_consumer_free(consumer);
			consumer = new_consumer(lane);
			word = ring_consumer_cursor(consumer);
			break;
		default:
			hostile_producer(lane, input);
			break;
		}
	}
	ring_consumer_free(consumer);
}

static int
allocate(void *context, uint64_t offset, uint64_t length)
{
	struct lane *lane = context;

	BUG_ON(offset + length > DATA_LENGTH);
	return lane->has_memory ? 0 : -ENOSPC;
}

/* What is punched may not be read as records any more. */
static int
punch(void *context, uint64_t offset, uint64_t length)
{
	struct lane *lane = context;

	BUG_ON(offset + length > DATA_LENGTH);
	memset(lane->data + offset, 0, length);
	return 0;
}

static struct ring_producer *
new_producer(struct lane *lane)
{
	const struct ring_producer_memory memory = {
		.head = lane->head,
		.own = lane->producer,
		.peer = lane->consumer,
		.data = lane->data,
		.space = { .allocate = allocate,
		    .punch = punch,
		    .context = lane },
		.min_shift = SHIFT,
		.classes = CLASSES,
	};

	return ring_producer_new(&memory);
}

static void
claim(struct lane *lane, struct ring_producer *producer, size_t length)
{
	const struct ring_record record = { .kind = 1 };
	bool has_room = ring_producer_has_room(producer, length);
	void *payload;
	int err;

	err = ring_claim(producer, length, &payload);
	BUG_ON(err == -EPROTO && ring_producer_fault(producer) == NULL);
	BUG_ON((err == 0) != has_room);
	if (err != 0)
		return;
	BUG_ON((uint8_t *)payload < lane->data + RING_PAGE);
	BUG_ON((uint8_t *)payload + length > lane->data + DATA_LENGTH);
	memset(payload, 0xaa, length);
	ring_put(producer, &record);
}

static void
hostile_consumer(struct lane *lane, struct input *input)
{
	uint64_t head = RING_POSITION(lane->head->word);

	switch (take(input, 1) % 4) {
	case 0:
		scribble(input, lane->consumer, sizeof(*lane->consumer));
		break;
	case 1:
		lane->consumer->limit += take(input, 2);
		break;
	default:
		/* An honest tail: on from where it was, up to head. */
		lane->consumer->tail += take(input, 2) * RING_ALIGN;
		if (lane->consumer->tail > head)
			lane->consumer->tail = head;
		break;
	}
}

static void
be_producer(struct lane *lane, struct input *input)
{
	struct ring_producer *producer = new_producer(lane);

	while (input->at < input->end && producer != NULL) {
		switch (take(input, 1) % 14) {
		case 0:
		case 1:
		case 2:
		case 3:
			claim(lane, producer, take(input, 2) % 4200);
			break;
		case 4:
		case 5:
			ring_commit(producer, 1);
			break;
		case 6:
			ring_abort(producer);
			break;
		case 7:
			BUG_ON(ring_producer_free_bytes(
				   producer, take(input, 1)) > DATA_LENGTH);
			BUG_ON(
			    ring_producer_used_bytes(producer) > DATA_LENGTH);
			ring_producer_drop_oldest(producer, take(input, 1));
			break;
		case 8:
			ring_producer_tend(producer, 1);
			break;
		case 9:
			lane->has_memory = !lane->has_memory;
			break;
		case 10:
			ring_producer_free(producer);
			producer = new_producer(lane);
			break;
		default:
			hostile_consumer(lane, input);
			break;
		}
	}
	ring_producer_free(producer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { .at = data, .end = data + size };
	struct lane lane = open_lane();

	if (take(&input, 1) % 2 == 0)
		be_consumer(&lane, &input);
	else
		be_producer(&lane, &input);
	close_lane(&lane);
	return 0;
}
