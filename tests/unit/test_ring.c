/* SPDX-License-Identifier: Apache-2.0 */

/* Both ends of one lane in plain memory, mapped once. */

#include "common/ring/ring_consumer.h"
#include "common/ring/ring_producer.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define SHIFT 12u
#define CLASSES 3u
#define SIZE (UINT64_C(1) << SHIFT)
#define UNLIMITED (UINT64_C(1) << 60)

struct memory {
	uint32_t classes;
	struct ring_head head;
	struct ring_lane_producer producer;
	struct ring_lane_consumer consumer;
	_Alignas(4096) uint8_t data[RING_PAGE + 7 * SIZE];
};

struct lane {
	struct memory *memory;
	struct ring_producer *producer;
	struct ring_consumer *consumer;
};

static struct ring_producer *
new_producer(struct memory *memory)
{
	const struct ring_producer_memory m = {
		.head = &memory->head,
		.own = &memory->producer,
		.peer = &memory->consumer,
		.data = memory->data,
		.min_shift = SHIFT,
		.classes = memory->classes,
	};

	return ring_producer_new(&m);
}

static struct ring_consumer *
new_consumer(struct memory *memory)
{
	const struct ring_consumer_memory m = {
		.head = &memory->head,
		.peer = &memory->producer,
		.own = &memory->consumer,
		.data = memory->data,
		.min_shift = SHIFT,
		.classes = memory->classes,
	};

	return ring_consumer_new(&m);
}

static struct lane
open_classes(uint32_t classes)
{
	struct lane lane;

	lane.memory = aligned_alloc(4096, sizeof(*lane.memory));
	ck_assert_ptr_nonnull(lane.memory);
	memset(lane.memory, 0, sizeof(*lane.memory));
	lane.memory->classes = classes;
	lane.producer = new_producer(lane.memory);
	lane.consumer = new_consumer(lane.memory);
	ck_assert_ptr_nonnull(lane.producer);
	ck_assert_ptr_nonnull(lane.consumer);
	return lane;
}

/* Of a fixed size; test_ring_growth.c has those that grow. */
static struct lane
open_lane(void)
{
	return open_classes(1);
}

static struct lane
open_unlimited(void)
{
	struct lane lane = open_lane();

	ck_assert(ring_grant(lane.consumer, UNLIMITED));
	return lane;
}

static struct lane
open_unlimited_classes(void)
{
	struct lane lane = open_classes(CLASSES);

	ck_assert(ring_grant(lane.consumer, UNLIMITED));
	return lane;
}

static void
close_lane(struct lane *lane)
{
	ring_producer_free(lane->producer);
	ring_consumer_free(lane->consumer);
	free(lane->memory);
}

static uint32_t
next_dice(uint32_t *dice)
{
	*dice = *dice * 1664525 + 1013904223;
	return *dice >> 8;
}

/* Every byte of a payload follows from its number. */
static void
fill(void *payload, size_t length, uint64_t number)
{
	for (size_t i = 0; i < length; i++)
		((uint8_t *)payload)[i] = (uint8_t)(number * 31 + i);
}

static bool
is_filled(const void *payload, size_t length, uint64_t number)
{
	for (size_t i = 0; i < length; i++)
		if (((const uint8_t *)payload)[i] != (uint8_t)(number * 31 + i))
			return false;
	return true;
}

static int
put(struct lane *lane, size_t length)
{
	const struct ring_record record = { .kind = 7 };
	void *payload;
	int err;

	err = ring_claim(lane->producer, length, &payload);
	if (err != 0)
		return err;
	fill(payload, length, ring_producer_sequence(lane->producer) + 1);
	ring_put(lane->producer, &record);
	return 0;
}

static void
put_and_commit(struct lane *lane, size_t length)
{
	ck_assert_int_eq(put(lane, length), 0);
	ck_assert(ring_commit(lane->producer, 1));
}

/* Take one record that must be there; returns the word after it. */
static uint64_t
take(struct lane *lane, uint64_t sequence, size_t length)
{
	struct ring_record record;
	const void *payload;

	ck_assert_int_eq(ring_peek(lane->consumer, &record, &payload), 1);
	ck_assert_uint_eq(record.sequence, sequence);
	ck_assert_uint_eq(record.length, length);
	ck_assert(is_filled(payload, length, sequence));
	return ring_next(lane->consumer);
}

static bool
release(struct lane *lane, uint64_t word, uint64_t delivered)
{
	const struct ring_outcome outcome = { .delivered = delivered };

	return ring_release(lane->consumer, word, &outcome, 1);
}

static int
peek(struct lane *lane)
{
	struct ring_record record;
	const void *payload;

	return ring_peek(lane->consumer, &record, &payload);
}

static void
kill_producer(struct lane *lane)
{
	ring_producer_free(lane->producer);
	lane->producer = new_producer(lane->memory);
}

static void
kill_consumer(struct lane *lane)
{
	ring_consumer_free(lane->consumer);
	lane->consumer = new_consumer(lane->memory);
}

/* Write a record by hand, as a hostile or a later producer would. */
static void
write_header(
    struct memory *memory, uint64_t offset, const struct ring_record *record)
{
	memcpy(memory->data + RING_PAGE + offset, record, sizeof(*record));
}

START_TEST(a_record_arrives_as_it_was_put)
{
	struct lane lane = open_unlimited();
	const struct ring_record sent = {
		.kind = 3,
		.source_lane = 4,
		.correlation = 5,
		.source_sequence = 6,
		.source_link = 7,
		.crc = 8,
		.identity = 9,
		.time_ns = 10,
		.flags = 11,
	};
	struct ring_record got;
	const void *payload;
	void *place;

	ck_assert_int_eq(ring_claim(lane.producer, 5, &place), 0);
	memcpy(place, "hello", 5);
	ring_put(lane.producer, &sent);
	ck_assert(ring_commit(lane.producer, 1));

	ck_assert_int_eq(ring_peek(lane.consumer, &got, &payload), 1);
	ck_assert_mem_eq(payload, "hello", 5);
	ck_assert_uint_eq(got.length, 5);
	ck_assert_uint_eq(got.type, RING_DATA);
	ck_assert_uint_eq(got.kind, 3);
	ck_assert_uint_eq(got.source_lane, 4);
	ck_assert_uint_eq(got.sequence, 1);
	ck_assert_uint_eq(got.correlation, 5);
	ck_assert_uint_eq(got.source_sequence, 6);
	ck_assert_uint_eq(got.source_link, 7);
	ck_assert_uint_eq(got.crc, 8);
	ck_assert_uint_eq(got.identity, 9);
	ck_assert_uint_eq(got.time_ns, 10);
	ck_assert_uint_eq(got.flags, 11);
	close_lane(&lane);
}
END_TEST

START_TEST(nothing_is_seen_before_the_commit)
{
	struct lane lane = open_unlimited();

	ck_assert(!ring_commit(lane.producer, 1));
	ck_assert_int_eq(put(&lane, 10), 0);
	ck_assert_int_eq(peek(&lane), 0);
	ck_assert(!ring_consumer_has_record(lane.consumer));
	ck_assert(ring_commit(lane.producer, 1));
	ck_assert(ring_consumer_has_record(lane.consumer));
	ck_assert_uint_eq(ring_consumer_pending_bytes(lane.consumer), 128);
	take(&lane, 1, 10);
	ck_assert_int_eq(peek(&lane), 0);
	close_lane(&lane);
}
END_TEST

START_TEST(abort_forgets_what_was_not_committed)
{
	struct lane lane = open_unlimited();

	put_and_commit(&lane, 1);
	ck_assert_int_eq(put(&lane, 2), 0);
	ring_abort(lane.producer);
	ck_assert(!ring_commit(lane.producer, 1));
	put_and_commit(&lane, 3);
	take(&lane, 1, 1);
	take(&lane, 2, 3);
	ck_assert_uint_eq(lane.memory->producer.bytes, 4);
	close_lane(&lane);
}
END_TEST

START_TEST(takes_at_most_a_quarter_of_the_ring)
{
	struct lane lane = open_unlimited();
	const size_t most = SIZE / 4 - sizeof(struct ring_record);

	ck_assert_uint_eq(ring_producer_max_payload(lane.producer), most);
	ck_assert_int_eq(put(&lane, most + 1), -EMSGSIZE);
	ck_assert(!ring_producer_has_room(lane.producer, most + 1));
	put_and_commit(&lane, most);
	take(&lane, 1, most);
	close_lane(&lane);
}
END_TEST

START_TEST(stalls_without_credit_and_says_so)
{
	struct lane lane = open_lane();

	ck_assert(!ring_producer_has_room(lane.producer, 1));
	ck_assert_uint_eq(lane.memory->producer.stalls, 0);
	ck_assert_int_eq(put(&lane, 1), -EAGAIN);
	ck_assert_int_eq(put(&lane, 1), -EAGAIN);
	ck_assert_int_eq(
	    ring_producer_shortage(lane.producer), RING_SHORT_OF_CREDIT);
	ck_assert_uint_eq(lane.memory->producer.stalls, 1);
	ck_assert_uint_ne(lane.memory->producer.stalled_since_ns, 0);

	ck_assert(ring_grant(lane.consumer, 1));
	ck_assert(!ring_grant(lane.consumer, 1));
	ck_assert(!ring_grant(lane.consumer, 0));
	ck_assert_int_eq(put(&lane, 1), 0);
	ck_assert_int_eq(
	    ring_producer_shortage(lane.producer), RING_SHORT_OF_NOTHING);
	ck_assert_uint_eq(lane.memory->producer.stalled_since_ns, 0);
	ck_assert_uint_ne(lane.memory->producer.unstalled_ns, 0);
	ck_assert_uint_gt(lane.memory->producer.stalled_ns, 0);
	/* The first one began below the limit, this one would not. */
	ck_assert_int_eq(put(&lane, 1), -EAGAIN);
	ck_assert_uint_eq(lane.memory->producer.stalls, 2);
	close_lane(&lane);
}
END_TEST

START_TEST(an_episode_of_stall_can_begin_and_end_without_a_claim)
{
	struct lane lane = open_lane();

	ring_producer_stall(lane.producer, 100);
	ring_producer_stall(lane.producer, 200);
	ck_assert_uint_eq(lane.memory->producer.stalled_since_ns, 100);
	ring_producer_unstall(lane.producer, 350);
	ring_producer_unstall(lane.producer, 400);
	ck_assert_uint_eq(lane.memory->producer.stalls, 1);
	ck_assert_uint_eq(lane.memory->producer.stalled_ns, 250);
	ck_assert_uint_eq(lane.memory->producer.stalled_since_ns, 0);
	ck_assert_uint_eq(lane.memory->producer.unstalled_ns, 350);
	close_lane(&lane);
}
END_TEST

START_TEST(a_full_ring_keeps_room_for_a_switch)
{
	struct lane lane = open_unlimited();
	uint64_t count = 0, word;

	while (put(&lane, 0) == 0)
		count++;
	ck_assert_uint_eq(count, SIZE / RING_ALIGN - 1);
	ck_assert_int_eq(
	    ring_producer_shortage(lane.producer), RING_SHORT_OF_SPACE);
	ck_assert_uint_eq(ring_producer_free_bytes(lane.producer, 0), 0);
	ck_assert(ring_commit(lane.producer, 1));
	ck_assert_uint_eq(lane.memory->producer.high_water, SIZE - RING_ALIGN);

	word = take(&lane, 1, 0);
	ck_assert_int_eq(put(&lane, 0), -EAGAIN);
	ck_assert(release(&lane, word, 1));
	ck_assert_int_eq(put(&lane, 0), 0);
	ck_assert_int_eq(put(&lane, 0), -EAGAIN);
	close_lane(&lane);
}
END_TEST

START_TEST(a_record_that_does_not_fit_before_the_end_is_padded)
{
	struct lane lane = open_unlimited();
	uint64_t number = 0, word = 0;

	/* 3 * 960 used of 4096 and released: 1216 left, then 256. */
	for (int i = 0; i < 4; i++) {
		put_and_commit(&lane, 896);
		word = take(&lane, ++number, 896);
		ck_assert(release(&lane, word, 1));
	}
	ck_assert_uint_eq(RING_POSITION(word), 3840);
	put_and_commit(&lane, 500);
	word = take(&lane, ++number, 500);
	ck_assert_uint_eq(RING_POSITION(word), SIZE + 576);
	ck_assert(release(&lane, word, 1));
	ck_assert(ring_producer_is_drained(lane.producer));
	close_lane(&lane);
}
END_TEST

/* Else credit for a record but not for its pad stalls an empty lane. */
START_TEST(credit_for_a_record_includes_its_pad)
{
	struct lane lane = open_lane();
	uint32_t dice = (uint32_t)_i + 1;
	uint64_t word;
	size_t length;

	for (uint64_t number = 1; number <= 1000; number++) {
		/* The least that may be granted to an empty lane. */
		ring_grant(lane.consumer,
		    RING_POSITION(ring_consumer_cursor(lane.consumer)) + 1);
		length = next_dice(&dice) % (SIZE / 4 - 63);
		ck_assert(ring_producer_has_room(lane.producer, length));
		put_and_commit(&lane, length);
		word = take(&lane, number, length);
		ck_assert(release(&lane, word, 1));
	}
	close_lane(&lane);
}
END_TEST

START_TEST(a_restarted_consumer_takes_the_record_after_a_released_pad)
{
	struct lane lane = open_lane();
	struct ring_record record;
	const void *payload;
	uint64_t word = 0;

	for (uint64_t number = 1; number <= 4; number++) {
		ring_grant(lane.consumer, number * 960);
		put_and_commit(&lane, 896);
		word = take(&lane, number, 896);
		ck_assert(release(&lane, word, 1));
	}
	/* At 3840 of 4096, with credit for one byte more: a pad comes first. */
	ring_grant(lane.consumer, 3841);
	put_and_commit(&lane, 500);
	ck_assert_int_eq(ring_peek(lane.consumer, &record, &payload), 1);
	/* Only the pad is released; then the consumer dies. */
	ck_assert(release(&lane, ring_consumer_cursor(lane.consumer), 0));
	ring_consumer_free(lane.consumer);
	lane.consumer = new_consumer(lane.memory);
	ck_assert_int_eq(ring_peek(lane.consumer, &record, &payload), 1);
	ck_assert_uint_eq(record.length, 500);
	close_lane(&lane);
}
END_TEST

START_TEST(skipping_only_pads_releases_them)
{
	struct lane lane = open_unlimited();
	const struct ring_record pad = { .type = RING_PAD, .length = 192 };

	write_header(lane.memory, 0, &pad);
	lane.memory->head.word = 256;
	/* There is something to do though there is no record. */
	ck_assert(!ring_consumer_has_padding(lane.consumer));
	ck_assert(ring_consumer_has_record(lane.consumer));
	ck_assert(ring_consumer_has_padding(lane.consumer));
	ck_assert_int_eq(peek(&lane), 0);
	ck_assert(release(&lane, 0, 0));
	ck_assert(!ring_consumer_has_record(lane.consumer));
	ck_assert_uint_eq(lane.memory->consumer.tail, 256);
	ck_assert(!release(&lane, 256, 0));
	close_lane(&lane);
}
END_TEST

START_TEST(a_flood_of_pads_takes_many_calls_but_none_long)
{
	struct lane lane = open_unlimited();
	const struct ring_record pad = { .type = RING_PAD };
	int calls = 0;

	for (uint64_t at = 0; at < SIZE; at += RING_ALIGN)
		write_header(lane.memory, at, &pad);
	lane.memory->head.word = SIZE;
	for (; ring_consumer_has_record(lane.consumer); calls++) {
		ck_assert_int_lt(calls, 10);
		release(&lane, ring_consumer_cursor(lane.consumer), 0);
	}
	ck_assert_int_eq(calls, 2);
	ck_assert_uint_eq(ring_consumer_cursor(lane.consumer), SIZE);
	close_lane(&lane);
}
END_TEST

START_TEST(follows_switches_to_other_classes_and_back)
{
	struct lane lane = open_unlimited_classes();
	struct ring_record to = { .type = RING_SWITCH };
	struct ring_record data = { .type = RING_DATA, .length = 900 };
	uint64_t word;

	/* Chained: class 0 -> 1 -> 2, a record there, -> 0, a record there. */
	to.class = 1;
	write_header(lane.memory, 0, &to);
	to.class = 2;
	write_header(lane.memory, SIZE + 64, &to);
	data.sequence = 1;
	write_header(lane.memory, 3 * SIZE + 128, &data);
	fill(lane.memory->data + RING_PAGE + 3 * SIZE + 192, 900, 1);
	to.class = 0;
	write_header(lane.memory, 3 * SIZE + 128 + 1024, &to);
	data.sequence = 2;
	write_header(lane.memory, 128 + 1024 + 64, &data);
	fill(lane.memory->data + RING_PAGE + 128 + 1024 + 128, 900, 2);
	lane.memory->head.word = RING_WORD(UINT64_C(128 + 1024 + 64 + 1024), 0);

	word = take(&lane, 1, 900);
	ck_assert_uint_eq(word, RING_WORD(UINT64_C(128 + 1024), 2));
	ck_assert(release(&lane, word, 1));
	ck_assert_uint_eq(lane.memory->consumer.tail, word);
	kill_consumer(&lane);
	word = take(&lane, 2, 900);
	ck_assert_uint_eq(RING_CLASS(word), 0);
	ck_assert(release(&lane, word, 1));
	ck_assert_int_eq(peek(&lane), 0);
	ck_assert_uint_eq(lane.memory->consumer.bytes, 1800);
	close_lane(&lane);
}
END_TEST

START_TEST(the_read_cursor_runs_ahead_of_the_release_cursor)
{
	struct lane lane = open_unlimited();
	const struct ring_outcome mixed = { 1, 2, 0 }, dead = { 0, 0, 1 };
	struct ring_lane_consumer *shared = &lane.memory->consumer;
	uint64_t after[5];

	for (size_t i = 1; i <= 4; i++)
		put_and_commit(&lane, 100 * i);
	for (size_t i = 1; i <= 4; i++)
		after[i] = take(&lane, i, 100 * i);
	ck_assert_uint_eq(shared->tail, 0);

	ck_assert(ring_release(lane.consumer, after[3], &mixed, 77));
	ck_assert_uint_eq(shared->tail, after[3]);
	ck_assert_uint_eq(shared->bytes, 600);
	ck_assert_uint_eq(shared->released_ns, 77);
	ck_assert(!ring_release(lane.consumer, after[3], NULL, 78));
	ck_assert(!ring_release(lane.consumer, after[2], NULL, 78));
	ck_assert(ring_release(lane.consumer, after[4], &dead, 79));
	ck_assert_uint_eq(shared->bytes, 1000);
	close_lane(&lane);
}
END_TEST

START_TEST(a_restarted_consumer_reads_again_what_it_had_not_released)
{
	struct lane lane = open_unlimited();
	const struct ring_outcome outcome = { 1, 1, 1 };
	uint64_t word;

	for (size_t i = 1; i <= 5; i++)
		put_and_commit(&lane, i);
	take(&lane, 1, 1);
	take(&lane, 2, 2);
	word = take(&lane, 3, 3);
	ck_assert(ring_release(lane.consumer, word, &outcome, 1));
	take(&lane, 4, 4);

	kill_consumer(&lane);
	take(&lane, 4, 4);
	word = take(&lane, 5, 5);
	ck_assert(ring_release(lane.consumer, word, &outcome, 1));
	for (unsigned i = 0; i < 2; i++) {
		struct ring_tail_slot *slot = &lane.memory->consumer.slot[i];

		if (slot->tail != word)
			continue;
		ck_assert_uint_eq(slot->delivered, 2);
		ck_assert_uint_eq(slot->dropped, 2);
		ck_assert_uint_eq(slot->dead, 2);
	}
	ck_assert(lane.memory->consumer.slot[0].tail == word ||
	    lane.memory->consumer.slot[1].tail == word);
	ck_assert_uint_eq(lane.memory->consumer.bytes, 15);
	close_lane(&lane);
}
END_TEST

/* It died after the slot was written and before the tail moved. */
START_TEST(totals_of_a_release_that_did_not_happen_do_not_count)
{
	struct lane lane = open_unlimited();
	struct ring_lane_consumer *shared = &lane.memory->consumer;
	uint64_t tail, word;

	put_and_commit(&lane, 1);
	put_and_commit(&lane, 2);
	tail = take(&lane, 1, 1);
	ck_assert(release(&lane, tail, 10));
	word = take(&lane, 2, 2);
	ck_assert(release(&lane, word, 100));
	shared->tail = tail;

	kill_consumer(&lane);
	word = take(&lane, 2, 2);
	ck_assert(release(&lane, word, 1));
	ck_assert_uint_eq(shared->tail, word);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_uint_eq(shared->slot[i].delivered,
		    shared->slot[i].tail == word ? 11 : 10);
	close_lane(&lane);
}
END_TEST

START_TEST(a_restarted_producer_goes_on_at_the_committed_head)
{
	struct lane lane = open_unlimited();

	for (size_t i = 1; i <= 3; i++)
		put_and_commit(&lane, i);
	ck_assert_int_eq(put(&lane, 99), 0);
	kill_producer(&lane);
	ck_assert_uint_eq(ring_producer_sequence(lane.producer), 3);
	put_and_commit(&lane, 4);
	for (size_t i = 1; i <= 4; i++)
		take(&lane, i, i);
	ck_assert_int_eq(peek(&lane), 0);
	ck_assert_uint_eq(lane.memory->producer.bytes, 10);
	close_lane(&lane);
}
END_TEST

/* It died after the slot was written and before head moved. */
START_TEST(the_sequence_of_a_commit_that_did_not_happen_is_erased)
{
	struct lane lane = open_unlimited();
	struct ring_sequence_slot *slot = lane.memory->producer.sequence;

	for (uint64_t i = 1; i <= 3; i++) {
		put_and_commit(&lane, 1);
		put_and_commit(&lane, 1);
		lane.memory->head.word -= 128;
		kill_producer(&lane);
		ck_assert_uint_eq(ring_producer_sequence(lane.producer), i);
		ck_assert_uint_le(slot[0].head, lane.memory->head.word);
		ck_assert_uint_le(slot[1].head, lane.memory->head.word);
	}
	for (uint64_t i = 1; i <= 3; i++)
		take(&lane, i, 1);
	close_lane(&lane);
}
END_TEST

START_TEST(a_first_commit_that_did_not_happen_leaves_sequence_zero)
{
	struct lane lane = open_unlimited();

	put_and_commit(&lane, 1);
	lane.memory->head.word = 0;
	kill_producer(&lane);
	ck_assert_uint_eq(ring_producer_sequence(lane.producer), 0);
	put_and_commit(&lane, 1);
	take(&lane, 1, 1);
	close_lane(&lane);
}
END_TEST

static const struct hostile_tail {
	uint64_t tail;
	uint64_t limit;
	const char *fault;
} hostile_tails[] = {
	{ 64, UNLIMITED, "the consumer's tail went backwards" },
	{ 320, UNLIMITED, "the consumer's tail is beyond the head" },
	{ 4096, UNLIMITED, "the consumer's tail is beyond the head" },
	{ UINT64_MAX & ~UINT64_C(63), UNLIMITED,
	    "the consumer's tail is beyond the head" },
	{ 129, UNLIMITED, "the consumer is in a size class never used" },
	{ 128 | 63, UNLIMITED, "the consumer is in a size class never used" },
};

START_TEST(a_tail_that_cannot_be_poisons_the_producer)
{
	const struct hostile_tail *row = &hostile_tails[_i];
	struct lane lane = open_unlimited();
	void *payload;

	put_and_commit(&lane, 1);
	release(&lane, take(&lane, 1, 1), 1);
	put_and_commit(&lane, 1);
	ck_assert_uint_eq(ring_producer_used_bytes(lane.producer), 128);
	ck_assert(!ring_producer_is_poisoned(lane.producer));

	lane.memory->consumer.tail = row->tail;
	ck_assert_uint_eq(ring_producer_free_bytes(lane.producer, 1), 0);
	ck_assert(ring_producer_is_poisoned(lane.producer));
	ck_assert_str_eq(ring_producer_fault(lane.producer), row->fault);
	ck_assert_int_eq(ring_claim(lane.producer, 1, &payload), -EPROTO);
	ck_assert(!ring_producer_has_room(lane.producer, 1));
	ck_assert(!ring_commit(lane.producer, 1));
	close_lane(&lane);
}
END_TEST

START_TEST(a_limit_that_goes_down_poisons_the_producer)
{
	struct lane lane = open_lane();

	ring_grant(lane.consumer, 64);
	ck_assert_int_eq(put(&lane, 0), 0);
	lane.memory->consumer.limit = 63;
	ck_assert_int_eq(put(&lane, 0), -EPROTO);
	ck_assert_str_eq(ring_producer_fault(lane.producer),
	    "the consumer lowered its limit");
	close_lane(&lane);
}
END_TEST

START_TEST(a_producer_refuses_to_attach_to_impossible_memory)
{
	static const uint64_t words[][2] = {
		/* head, tail */
		{ 128, 192 },
		{ 8192, 4032 },
		{ 256, 64 },
		{ 192, 0 },
		{ 256, 1 },
		{ 256 | 1, 0 },
		{ 256 | 63, 256 | 63 },
	};
	struct lane lane = open_unlimited();

	put_and_commit(&lane, 64);
	put_and_commit(&lane, 64);
	ck_assert_uint_eq(lane.memory->head.word, 256);
	kill_producer(&lane);
	ck_assert_ptr_nonnull(lane.producer);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		lane.memory->head.word = words[i][0];
		lane.memory->consumer.tail = words[i][1];
		kill_producer(&lane);
		ck_assert_ptr_null(lane.producer);
		ck_assert_int_eq(errno, EPROTO);
	}
	close_lane(&lane);
}
END_TEST

/* One record by hand at offset 64, after a good one; head behind it. */
static const struct hostile_record {
	uint64_t head;
	struct ring_record record;
	const char *fault;
} hostile_records[] = {
	{ 0, { 0 }, "the head went backwards" },
	{ 64 | 1, { 0 }, "the head changed class without moving" },
	{ 128 | 3, { 0 }, "the head is in a size class that is not" },
	{ 128 | 63, { 0 }, "the head is in a size class that is not" },
	{ 128 | 1, { .type = RING_DATA, .sequence = 2 },
	    "the head is not in its size class" },
	{ 7 * SIZE + 64, { 0 }, "the head is farther than the ring is long" },
	{ UINT64_MAX & ~UINT64_C(63), { 0 },
	    "the head is farther than the ring is long" },
	{ 128, { .type = 0 }, "a record is of no known type" },
	{ 128, { .type = 4 }, "a record is of no known type" },
	{ 128, { .type = RING_DATA, .sequence = 2, .length = 1 },
	    "a record is longer than what was committed" },
	{ 128, { .type = RING_DATA, .sequence = 2, .length = UINT32_MAX },
	    "a record is longer than what was committed" },
	{ 128, { .type = RING_PAD, .length = UINT32_MAX },
	    "a record is longer than what was committed" },
	{ 4160, { .type = RING_PAD, .length = 4032 },
	    "a record runs over the end of its size class" },
	{ 8192, { .type = RING_DATA, .sequence = 2, .length = 4033 },
	    "a record runs over the end of its size class" },
	{ 128, { .type = RING_DATA, .sequence = 1 },
	    "a record is out of sequence" },
	{ 128, { .type = RING_DATA, .sequence = 3 },
	    "a record is out of sequence" },
	{ 128, { .type = RING_SWITCH, .class = 0 },
	    "a switch to a size class that is not" },
	{ 128, { .type = RING_SWITCH, .class = 3 },
	    "a switch to a size class that is not" },
	{ 192, { .type = RING_SWITCH, .class = 1, .length = 1 },
	    "a class switch has a payload" },
	{ 128, { .type = RING_SWITCH, .class = 1 },
	    "the head is not in its size class" },
};

START_TEST(a_record_that_cannot_be_poisons_the_consumer)
{
	const struct hostile_record *row = &hostile_records[_i];
	struct lane lane = open_unlimited_classes();
	int got = 0;

	put_and_commit(&lane, 0);
	ck_assert_uint_eq(take(&lane, 1, 0), 64);

	write_header(lane.memory, 64, &row->record);
	lane.memory->head.word = row->head;
	for (int i = 0; i < 3 && (got = peek(&lane)) == 1; i++)
		ring_next(lane.consumer);
	ck_assert_int_eq(got, -EPROTO);
	ck_assert_str_eq(ring_consumer_fault(lane.consumer), row->fault);
	ck_assert(ring_consumer_is_poisoned(lane.consumer));
	ck_assert(!ring_consumer_has_record(lane.consumer));
	ck_assert_uint_eq(ring_consumer_pending_bytes(lane.consumer), 0);
	ck_assert_uint_eq(lane.memory->consumer.bad, 1);
	close_lane(&lane);
}
END_TEST

START_TEST(the_largest_valid_record_by_hand_is_taken)
{
	struct lane lane = open_unlimited_classes();
	const struct ring_record record = {
		.type = RING_DATA,
		.sequence = 1,
		.length = 4 * SIZE / 4 - 64,
	};

	ck_assert_uint_eq(ring_consumer_capacity(lane.consumer), 4 * SIZE);
	ck_assert_uint_eq(
	    ring_consumer_max_payload(lane.consumer), record.length);
	write_header(lane.memory, 0, &record);
	lane.memory->head.word = SIZE;
	ck_assert_int_eq(peek(&lane), 1);
	ck_assert_uint_eq(ring_next(lane.consumer), SIZE);
	close_lane(&lane);
}
END_TEST

START_TEST(a_record_of_more_than_a_quarter_poisons_the_consumer)
{
	struct lane lane = open_unlimited_classes();
	struct ring_record record = { .type = RING_SWITCH, .class = 2 };

	write_header(lane.memory, 0, &record);
	record = (struct ring_record){
		.type = RING_DATA,
		.sequence = 1,
		.length = SIZE - 64 + 1,
	};
	write_header(lane.memory, 3 * SIZE + 64, &record);
	lane.memory->head.word = RING_WORD(2 * SIZE, 2);
	ck_assert_int_eq(peek(&lane), -EPROTO);
	ck_assert_str_eq(ring_consumer_fault(lane.consumer),
	    "a record is longer than a quarter of the ring");
	close_lane(&lane);
}
END_TEST

START_TEST(a_record_beyond_the_limit_poisons_the_consumer)
{
	struct lane lane = open_lane();
	struct ring_record record = { .type = RING_DATA, .sequence = 1 };

	ring_grant(lane.consumer, 64);
	write_header(lane.memory, 0, &record);
	record.sequence = 2;
	write_header(lane.memory, 64, &record);
	lane.memory->head.word = 128;
	ck_assert_int_eq(peek(&lane), 1);
	ring_next(lane.consumer);
	ck_assert_int_eq(peek(&lane), -EPROTO);
	ck_assert_str_eq(ring_consumer_fault(lane.consumer),
	    "a record begins beyond the limit granted");
	close_lane(&lane);
}
END_TEST

START_TEST(a_consumer_refuses_a_tail_in_no_class)
{
	struct lane lane = open_classes(CLASSES);

	lane.memory->consumer.tail = 64 | CLASSES;
	kill_consumer(&lane);
	ck_assert_ptr_null(lane.consumer);
	ck_assert_int_eq(errno, EPROTO);
	close_lane(&lane);
}
END_TEST

/* Space may be given back before it is known what became of the records. */
START_TEST(counts_an_outcome_that_comes_after_the_release)
{
	struct lane lane = open_unlimited();
	const struct ring_lane_consumer *own = &lane.memory->consumer;
	uint64_t word;

	for (unsigned round = 1; round <= 3; round++) {
		ck_assert_int_eq(put(&lane, 64), 0);
		ring_commit(lane.producer, 1);
		ck_assert_int_eq(peek(&lane), 1);
		word = ring_next(lane.consumer);
		ck_assert(ring_release(lane.consumer, word, NULL, 0));
		ck_assert(!release(&lane, word, 1));
		for (unsigned i = 0; i < 2; i++)
			if (own->slot[i].tail == own->tail)
				ck_assert_uint_eq(
				    own->slot[i].delivered, round);
	}
	close_lane(&lane);
}
END_TEST

START_TEST(drop_oldest_marks_just_enough_records)
{
	struct lane lane = open_unlimited();
	uint64_t word = 0;
	int dropped = 0;

	while (put(&lane, 64) == 0)
		ring_commit(lane.producer, 1);
	ring_producer_drop_oldest(lane.producer, 300);
	ck_assert_int_eq(put(&lane, 300), -EAGAIN);
	while (peek(&lane) == 1 && ring_consumer_should_drop(lane.consumer)) {
		word = ring_next(lane.consumer);
		dropped++;
	}
	ck_assert(release(&lane, word, 0));
	ck_assert_int_eq(put(&lane, 300), 0);
	/* 128 bytes each; 384 wanted, after a pad of 128. */
	ck_assert_int_eq(dropped, 4);

	/* The record that begins at the mark is kept. */
	ck_assert(ring_consumer_has_record(lane.consumer));
	lane.memory->producer.drop_before = ring_consumer_cursor(lane.consumer);
	ck_assert(!ring_consumer_should_drop(lane.consumer));

	/* With room there is nothing to drop. */
	word = lane.memory->producer.drop_before;
	ring_producer_drop_oldest(lane.producer, 0);
	ck_assert_uint_eq(lane.memory->producer.drop_before, word);
	close_lane(&lane);
}
END_TEST

START_TEST(counts_what_is_refused_and_dropped_before_the_ring)
{
	struct lane lane = open_lane();

	ring_producer_count_refused(lane.producer);
	ring_producer_count_refused(lane.producer);
	ring_producer_count_dropped(lane.producer);
	ck_assert_uint_eq(lane.memory->producer.refused, 2);
	ck_assert_uint_eq(lane.memory->producer.offered_dropped, 1);
	close_lane(&lane);
}
END_TEST

/* What free_bytes() promises can be put, whatever lies in between. */
START_TEST(free_bytes_never_promises_too_much)
{
	struct lane lane = open_lane();
	uint32_t dice = (uint32_t)_i + 1;
	uint64_t number = 0, promised, size, limit = 0;
	size_t largest, length;

	for (int round = 0; round < 500; round++) {
		largest = next_dice(&dice) % (SIZE / 4 - 63);
		promised = ring_producer_free_bytes(lane.producer, largest);
		for (;;) {
			length = next_dice(&dice) % (largest + 1);
			size = ring_record_size(length);
			if (size > promised)
				break;
			put_and_commit(&lane, length);
			promised -= size;
		}
		for (uint32_t n = next_dice(&dice) % 8; n > 0; n--) {
			if (peek(&lane) != 1)
				break;
			number++;
			release(&lane, ring_next(lane.consumer), 1);
		}
		limit += next_dice(&dice) % 1500;
		ring_grant(lane.consumer, limit);
	}
	ck_assert_uint_gt(number, 100);
	close_lane(&lane);
}
END_TEST

#define MODEL_MAX 4096

/*
 * The promise itself, one thread: any mix of putting, committing, aborting,
 * reading ahead, releasing, granting and dying gives each committed record
 * in order and whole, and after the last release all of the space.
 */
START_TEST(keeps_its_promise_for_any_order_of_events)
{
	struct lane lane = open_lane();
	uint32_t dice = (uint32_t)_i + 1;
	uint64_t put_count = 0, committed = 0, taken = 0, released = 0;
	static uint64_t word_after[MODEL_MAX + 1];
	static size_t lengths[MODEL_MAX + 1];
	struct ring_record record;
	const void *payload;
	uint64_t limit = 0;
	size_t length;

	for (int turn = 0; turn < 20000 && put_count < MODEL_MAX; turn++) {
		switch (next_dice(&dice) % 16) {
		default:
			length = next_dice(&dice) %
			    (next_dice(&dice) % 4 == 0 ? SIZE / 4 - 63 : 200);
			if (put(&lane, length) == 0)
				lengths[++put_count] = length;
			break;
		case 5:
		case 6:
			ring_commit(lane.producer, 1);
			committed = put_count;
			break;
		case 7:
			ring_abort(lane.producer);
			put_count = committed;
			break;
		case 8:
			kill_producer(&lane);
			ck_assert_ptr_nonnull(lane.producer);
			put_count = committed;
			break;
		case 9:
			kill_consumer(&lane);
			ck_assert_ptr_nonnull(lane.consumer);
			taken = released;
			break;
		case 10:
		case 11:
		case 12:
			if (ring_peek(lane.consumer, &record, &payload) != 1) {
				ck_assert_uint_eq(taken, committed);
				break;
			}
			taken++;
			ck_assert_uint_le(taken, committed);
			ck_assert_uint_eq(record.sequence, taken);
			ck_assert_uint_eq(record.length, lengths[taken]);
			ck_assert(is_filled(payload, record.length, taken));
			word_after[taken] = ring_next(lane.consumer);
			break;
		case 13:
			if (taken == released)
				break;
			length = 1 + next_dice(&dice) % (taken - released);
			ck_assert(release(
			    &lane, word_after[released + length], length));
			released += length;
			break;
		case 14:
		case 15:
			limit += next_dice(&dice) % 1024;
			ring_grant(lane.consumer, limit);
			break;
		}
		ck_assert_uint_le(
		    ring_producer_used_bytes(lane.producer), SIZE - RING_ALIGN);
	}
	ck_assert_uint_gt(released, 500);

	ring_commit(lane.producer, 1);
	while (peek(&lane) == 1)
		word_after[++taken] = ring_next(lane.consumer);
	ck_assert_uint_eq(taken, put_count);
	release(&lane, word_after[taken], taken - released);
	ck_assert(ring_producer_is_drained(lane.producer));
	length = 0;
	for (uint64_t i = 1; i <= taken; i++)
		length += lengths[i];
	ck_assert_uint_eq(lane.memory->consumer.bytes, length);
	ck_assert_uint_eq(lane.memory->producer.bytes, length);
	close_lane(&lane);
}
END_TEST

#define THREAD_RECORDS UINT64_C(20000)

static void *
produce(void *context)
{
	struct lane *lane = context;
	uint32_t dice = 4711;
	size_t length;
	int err;

	for (uint64_t number = 1; number <= THREAD_RECORDS; number++) {
		length = next_dice(&dice) % 300;
		while ((err = put(lane, length)) != 0) {
			if (err != -EAGAIN)
				return context;
			ring_commit(lane->producer, 1);
			sched_yield();
		}
		if (number % 16 == 0)
			ring_commit(lane->producer, 1);
	}
	ring_commit(lane->producer, 1);
	return NULL;
}

START_TEST(keeps_its_promise_between_two_threads)
{
	struct lane lane = open_lane();
	struct ring_record record;
	uint64_t number = 0, word = 0;
	uint32_t dice = 4711;
	const void *payload;
	pthread_t thread;
	void *failed;
	int got;

	ck_assert_int_eq(pthread_create(&thread, NULL, produce, &lane), 0);
	while (number < THREAD_RECORDS) {
		got = ring_peek(lane.consumer, &record, &payload);
		ck_assert_int_ge(got, 0);
		if (got == 1) {
			number++;
			if (record.sequence != number ||
			    record.length != next_dice(&dice) % 300 ||
			    !is_filled(payload, record.length, number))
				ck_abort_msg("record %d damaged", (int)number);
			word = ring_next(lane.consumer);
		}
		if (got == 0 || number % 16 == 0) {
			release(&lane, word, 0);
			ring_grant(lane.consumer, RING_POSITION(word) + 3000);
		}
		if (got == 0)
			sched_yield();
	}
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	close_lane(&lane);
}
END_TEST

static void
add_hostile(TCase *tc)
{
	tcase_add_loop_test(tc, a_tail_that_cannot_be_poisons_the_producer, 0,
	    sizeof(hostile_tails) / sizeof(hostile_tails[0]));
	tcase_add_test(tc, a_limit_that_goes_down_poisons_the_producer);
	tcase_add_test(tc, a_producer_refuses_to_attach_to_impossible_memory);
	tcase_add_loop_test(tc, a_record_that_cannot_be_poisons_the_consumer, 0,
	    sizeof(hostile_records) / sizeof(hostile_records[0]));
	tcase_add_test(tc, the_largest_valid_record_by_hand_is_taken);
	tcase_add_test(
	    tc, a_record_of_more_than_a_quarter_poisons_the_consumer);
	tcase_add_test(tc, a_record_beyond_the_limit_poisons_the_consumer);
	tcase_add_test(tc, a_consumer_refuses_a_tail_in_no_class);
}

static void
add_restarts(TCase *tc)
{
	tcase_add_test(
	    tc, a_restarted_consumer_reads_again_what_it_had_not_released);
	tcase_add_test(
	    tc, totals_of_a_release_that_did_not_happen_do_not_count);
	tcase_add_test(tc, a_restarted_producer_goes_on_at_the_committed_head);
	tcase_add_test(
	    tc, the_sequence_of_a_commit_that_did_not_happen_is_erased);
	tcase_add_test(
	    tc, a_first_commit_that_did_not_happen_leaves_sequence_zero);
}

int
main(void)
{
	Suite *suite = suite_create("ring");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_record_arrives_as_it_was_put);
	tcase_add_test(tc, nothing_is_seen_before_the_commit);
	tcase_add_test(tc, abort_forgets_what_was_not_committed);
	tcase_add_test(tc, takes_at_most_a_quarter_of_the_ring);
	tcase_add_test(tc, stalls_without_credit_and_says_so);
	tcase_add_test(
	    tc, an_episode_of_stall_can_begin_and_end_without_a_claim);
	tcase_add_test(tc, a_full_ring_keeps_room_for_a_switch);
	tcase_add_test(tc, a_record_that_does_not_fit_before_the_end_is_padded);
	tcase_add_loop_test(tc, credit_for_a_record_includes_its_pad, 0, 4);
	tcase_add_test(
	    tc, a_restarted_consumer_takes_the_record_after_a_released_pad);
	tcase_add_test(tc, skipping_only_pads_releases_them);
	tcase_add_test(tc, a_flood_of_pads_takes_many_calls_but_none_long);
	tcase_add_test(tc, follows_switches_to_other_classes_and_back);
	tcase_add_test(tc, the_read_cursor_runs_ahead_of_the_release_cursor);
	tcase_add_test(tc, counts_an_outcome_that_comes_after_the_release);
	tcase_add_test(tc, drop_oldest_marks_just_enough_records);
	tcase_add_test(tc, counts_what_is_refused_and_dropped_before_the_ring);
	tcase_add_loop_test(tc, free_bytes_never_promises_too_much, 0, 8);
	tcase_add_loop_test(
	    tc, keeps_its_promise_for_any_order_of_events, 0, 8);
	tcase_add_test(tc, keeps_its_promise_between_two_threads);
	add_restarts(tc);
	add_hostile(tc);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
