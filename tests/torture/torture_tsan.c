/* SPDX-License-Identifier: Apache-2.0 */

/*
 * torture_tsan RECORDS - both ends of one lane in two threads of one process.
 *
 * For ThreadSanitizer, which knows memory by its address: the lane is mapped
 * once.  It grows, because the consumer gives back in large groups, and
 * shrinks, because the producer rests now and then.  The threads share
 * nothing but the lane; who waits, yields.  TAP on stdout.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/ring/ring_consumer.h"
#include "common/ring/ring_producer.h"
#include "common/shm/memfd.h"

#define MIN_SHIFT 12u
#define CLASSES 5u
#define PAYLOAD_MAX 320u
#define BATCH 16u

/* Records that the consumer gives back at once: more than class 0 holds. */
#define GROUP 64u

/* Records between two rests, in which the lane gets empty and shrinks. */
#define REST 4096u
#define TENDS 3u

struct lane {
	uint64_t records; /* [const] */
	int fd;           /* [const] */
	uint8_t *data;
	struct ring_head head;
	struct ring_lane_producer producer;
	struct ring_lane_consumer consumer;
};

static int
allocate(void *context, uint64_t offset, uint64_t length)
{
	const struct lane *lane = context;

	return memfd_allocate(lane->fd, offset, length);
}

static int
punch(void *context, uint64_t offset, uint64_t length)
{
	const struct lane *lane = context;

	return memfd_punch(lane->fd, offset, length);
}

static size_t
length_of(uint64_t number)
{
	return sizeof(number) + number * 31 % (PAYLOAD_MAX - sizeof(number));
}

static void
fill(uint64_t number, uint8_t *out_payload)
{
	memset(out_payload, (int)(number * 7), length_of(number));
	memcpy(out_payload, &number, sizeof(number));
}

static void
rest(struct ring_producer *producer)
{
	while (!ring_producer_is_drained(producer))
		sched_yield();
	for (unsigned i = 0; i < TENDS; i++)
		(void)ring_producer_tend(producer, 1);
}

static void
put(struct ring_producer *producer, uint64_t number)
{
	const struct ring_record record = { .kind = 1 };
	void *payload;
	int err;

	while ((err = ring_claim(producer, length_of(number), &payload)) ==
	    -EAGAIN) {
		ring_commit(producer, 1);
		sched_yield();
	}
	BUG_ON(err != 0);
	fill(number, payload);
	ring_put(producer, &record);
}

static void *
produce(void *context)
{
	struct lane *lane = context;
	const struct ring_producer_memory memory = {
		.head = &lane->head,
		.own = &lane->producer,
		.peer = &lane->consumer,
		.data = lane->data,
		.space = { .allocate = allocate,
		    .punch = punch,
		    .context = lane },
		.min_shift = MIN_SHIFT,
		.classes = CLASSES,
	};
	struct ring_producer *producer = ring_producer_new(&memory);

	BUG_ON(producer == NULL);
	for (uint64_t number = 1; number <= lane->records; number++) {
		put(producer, number);
		if (number % BATCH == 0 || number == lane->records)
			ring_commit(producer, 1);
		if (number % REST == 0)
			rest(producer);
	}
	ring_producer_free(producer);
	return NULL;
}

/* One record.  Returns where it ends, or 0 if there is none. */
static uint64_t
take(struct ring_consumer *consumer, uint64_t number)
{
	uint8_t copy[PAYLOAD_MAX], wanted[PAYLOAD_MAX];
	struct ring_record record;
	const void *payload;
	int got = ring_peek(consumer, &record, &payload);

	BUG_ON(got < 0);
	if (got == 0)
		return 0;
	BUG_ON(record.sequence != number);
	BUG_ON(record.length != length_of(number));
	memcpy(copy, payload, record.length);
	fill(number, wanted);
	BUG_ON(memcmp(copy, wanted, record.length) != 0);
	return ring_next(consumer);
}

static void
grant(struct ring_consumer *consumer)
{
	ring_grant(consumer,
	    RING_POSITION(ring_consumer_cursor(consumer)) +
		ring_consumer_capacity(consumer));
}

static void *
consume(void *context)
{
	struct lane *lane = context;
	const struct ring_consumer_memory memory = {
		.head = &lane->head,
		.peer = &lane->producer,
		.own = &lane->consumer,
		.data = lane->data,
		.min_shift = MIN_SHIFT,
		.classes = CLASSES,
	};
	struct ring_consumer *consumer = ring_consumer_new(&memory);
	uint64_t end, number = 1;

	BUG_ON(consumer == NULL);
	grant(consumer);
	while (number <= lane->records) {
		end = take(consumer, number);
		if (end == 0) {
			if (ring_consumer_has_padding(consumer))
				ring_release(consumer,
				    ring_consumer_cursor(consumer), NULL, 1);
			sched_yield();
			continue;
		}
		if (number++ % GROUP != 0 && number <= lane->records)
			continue;
		ring_release(consumer, end, NULL, 1);
		grant(consumer);
	}
	ring_consumer_free(consumer);
	return NULL;
}

static struct lane *
open_lane(uint64_t records)
{
	const uint64_t length = ring_lane_length(MIN_SHIFT, CLASSES);
	struct lane *lane = aligned_alloc(128, sizeof(*lane));
	void *map;

	BUG_ON(lane == NULL);
	memset(lane, 0, sizeof(*lane));
	lane->records = records;
	lane->fd = memfd_create_sealed("torture", length);
	BUG_ON(lane->fd < 0);
	BUG_ON(memfd_map(lane->fd, length, true, &map) != 0);
	lane->data = map;
	return lane;
}

int
main(int argc, char **argv)
{
	struct lane *lane =
	    open_lane(argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000);
	pthread_t producer, consumer;
	uint64_t grows, shrinks;
	bool is_ok;

	BUG_ON(pthread_create(&producer, NULL, produce, lane) != 0);
	BUG_ON(pthread_create(&consumer, NULL, consume, lane) != 0);
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	grows = lane->producer.grows;
	shrinks = lane->producer.shrinks;
	is_ok = grows > 0 && shrinks > 0;
	printf("# %ju records, the lane grew %ju times and shrank %ju times\n",
	    (uintmax_t)lane->records, (uintmax_t)grows, (uintmax_t)shrinks);
	printf("%s 1 - all came, in order and whole, and the lane grew and "
	       "shrank\n1..1\n",
	    is_ok ? "ok" : "not ok");
	return !is_ok;
}
