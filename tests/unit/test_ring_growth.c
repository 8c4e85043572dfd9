/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A lane that grows and shrinks.  Its memory is real: what is not allocated
 * cannot be touched, and what is punched is gone.
 */

#include "common/ring/ring_consumer.h"
#include "common/ring/ring_producer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/unit/unit.h"

#define SHIFT 12u
#define CLASSES 5u
#define SIZE (UINT64_C(1) << SHIFT)
#define MAX_SIZE (SIZE << (CLASSES - 1))
#define TOTAL (2 * MAX_SIZE - SIZE)
#define DATA_LENGTH (RING_PAGE + TOTAL)
#define UNLIMITED (UINT64_C(1) << 60)

struct scene {
	struct ring_head head;
	struct ring_lane_producer own;
	struct ring_lane_consumer peer;
	uint8_t *data;
	uint64_t allocated; /* bytes of class 1 and up */
	bool refuses;       /* memory */
	unsigned refused;
	bool is_there[DATA_LENGTH / RING_PAGE];
	struct ring_producer *producer;
	struct ring_consumer *consumer;
	uint64_t taken; /* records */
};

static void
set_pages(struct scene *scene, uint64_t offset, uint64_t length, bool there)
{
	bool changed = false;

	ck_assert_uint_ge(offset, RING_PAGE + SIZE);
	ck_assert_uint_le(offset + length, DATA_LENGTH);
	ck_assert_uint_eq((offset | length) % RING_PAGE, 0);
	for (uint64_t at = offset; at < offset + length; at += RING_PAGE) {
		if (scene->is_there[at / RING_PAGE] == there)
			continue;
		scene->is_there[at / RING_PAGE] = there;
		scene->allocated += there ? RING_PAGE : -(uint64_t)RING_PAGE;
		if (!there)
			memset(scene->data + at, 0xdd, RING_PAGE);
		changed = true;
	}
	if (changed)
		ck_assert_int_eq(
		    mprotect(scene->data + offset, length,
			there ? PROT_READ | PROT_WRITE : PROT_NONE),
		    0);
}

static int
allocate(void *context, uint64_t offset, uint64_t length)
{
	struct scene *scene = context;

	if (scene->refuses) {
		scene->refused++;
		return -ENOSPC;
	}
	set_pages(scene, offset, length, true);
	return 0;
}

static int
punch(void *context, uint64_t offset, uint64_t length)
{
	set_pages(context, offset, length, false);
	return 0;
}

static struct ring_producer *
new_producer(struct scene *scene)
{
	const struct ring_producer_memory m = {
		.head = &scene->head,
		.own = &scene->own,
		.peer = &scene->peer,
		.data = scene->data,
		.space = { .allocate = allocate,
		    .punch = punch,
		    .context = scene },
		.min_shift = SHIFT,
		.classes = CLASSES,
	};

	return ring_producer_new(&m);
}

static struct ring_consumer *
new_consumer(struct scene *scene)
{
	const struct ring_consumer_memory m = {
		.head = &scene->head,
		.peer = &scene->own,
		.own = &scene->peer,
		.data = scene->data,
		.min_shift = SHIFT,
		.classes = CLASSES,
	};

	return ring_consumer_new(&m);
}

static struct scene *
open_scene(uint64_t credit)
{
	struct scene *scene;

	scene = aligned_alloc(128, (sizeof(*scene) + 127) & ~(size_t)127);
	ck_assert_ptr_nonnull(scene);
	memset(scene, 0, sizeof(*scene));
	scene->data = mmap(NULL, DATA_LENGTH, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(scene->data, MAP_FAILED);
	ck_assert_int_eq(mprotect(scene->data + RING_PAGE + SIZE,
			     DATA_LENGTH - RING_PAGE - SIZE, PROT_NONE),
	    0);
	scene->producer = new_producer(scene);
	scene->consumer = new_consumer(scene);
	ck_assert_ptr_nonnull(scene->producer);
	ck_assert_ptr_nonnull(scene->consumer);
	if (credit != 0)
		ck_assert(ring_grant(scene->consumer, credit));
	return scene;
}

static void
close_scene(struct scene *scene)
{
	ring_producer_free(scene->producer);
	ring_consumer_free(scene->consumer);
	munmap(scene->data, DATA_LENGTH);
	free(scene);
}

static void
kill_producer(struct scene *scene)
{
	ring_producer_free(scene->producer);
	scene->producer = new_producer(scene);
	ck_assert_ptr_nonnull(scene->producer);
}

static void
kill_consumer(struct scene *scene)
{
	ring_consumer_free(scene->consumer);
	scene->consumer = new_consumer(scene);
	ck_assert_ptr_nonnull(scene->consumer);
}

static uint32_t
next_dice(uint32_t *dice)
{
	*dice = *dice * 1664525 + 1013904223;
	return *dice >> 8;
}

static int
put(struct scene *scene, size_t length)
{
	const struct ring_record record = { .kind = 7 };
	uint64_t number = ring_producer_sequence(scene->producer) + 1;
	void *payload;
	int err;

	err = ring_claim(scene->producer, length, &payload);
	if (err != 0)
		return err;
	for (size_t i = 0; i < length; i++)
		((uint8_t *)payload)[i] = (uint8_t)(number * 31 + i);
	ring_put(scene->producer, &record);
	return 0;
}

static void
put_and_commit(struct scene *scene, size_t length)
{
	ck_assert_int_eq(put(scene, length), 0);
	ck_assert(ring_commit(scene->producer, 1));
}

/* As many records as there is room for; returns how many. */
static uint64_t
fill(struct scene *scene, size_t length)
{
	uint64_t count = 0;

	while (put(scene, length) == 0) {
		ring_commit(scene->producer, 1);
		count++;
	}
	return count;
}

/* The next record, which must be there and whole. */
static uint64_t
take(struct scene *scene)
{
	struct ring_record record;
	const uint8_t *bytes;
	const void *payload;

	ck_assert_int_eq(ring_peek(scene->consumer, &record, &payload), 1);
	ck_assert_uint_eq(record.sequence, ++scene->taken);
	bytes = payload;
	for (size_t i = 0; i < record.length; i++) {
		if (bytes[i] != (uint8_t)(record.sequence * 31 + i))
			ck_abort_msg("byte %zu of record %llu is damaged", i,
			    (unsigned long long)record.sequence);
	}
	return ring_next(scene->consumer);
}

static bool
release(struct scene *scene, uint64_t word, uint64_t delivered)
{
	const struct ring_outcome outcome = { .delivered = delivered };

	return ring_release(scene->consumer, word, &outcome, 1);
}

static uint64_t
take_all(struct scene *scene)
{
	struct ring_record record;
	const void *payload;
	uint64_t count = 0;

	while (ring_peek(scene->consumer, &record, &payload) == 1) {
		take(scene);
		count++;
	}
	release(scene, ring_consumer_cursor(scene->consumer), count);
	return count;
}

static uint32_t
class_of_head(const struct scene *scene)
{
	return RING_CLASS(scene->head.word);
}

START_TEST(grows_by_doubling_while_nothing_is_released)
{
	struct scene *scene = open_scene(UNLIMITED);
	uint64_t records;

	for (uint32_t class = 0; class < CLASSES; class ++) {
		ck_assert_uint_eq(class_of_head(scene), class);
		ck_assert_uint_eq(
		    ring_producer_capacity(scene->producer), SIZE << class);
		while (class_of_head(scene) == class && put(scene, 100) == 0)
			ring_commit(scene->producer, 1);
	}
	ck_assert_int_eq(
	    ring_producer_shortage(scene->producer), RING_SHORT_OF_SPACE);
	ck_assert_uint_eq(scene->own.grows, CLASSES - 1);
	ck_assert_uint_eq(scene->own.shrinks, 0);
	ck_assert_uint_gt(ring_producer_used_bytes(scene->producer), MAX_SIZE);
	ck_assert_uint_lt(ring_producer_used_bytes(scene->producer), TOTAL);
	records = ring_producer_sequence(scene->producer);
	ck_assert_uint_gt(records, (TOTAL - CLASSES * 256) / 192);
	ck_assert_uint_eq(take_all(scene), records);
	ck_assert(ring_producer_is_drained(scene->producer));
	put_and_commit(scene, 100);
	ck_assert_uint_eq(take_all(scene), 1);
	close_scene(scene);
}
END_TEST

START_TEST(a_large_record_leads_to_a_class_that_holds_it)
{
	struct scene *scene = open_scene(UNLIMITED);
	const size_t most = MAX_SIZE / 4 - sizeof(struct ring_record);

	ck_assert_uint_eq(ring_producer_max_payload(scene->producer), most);
	ck_assert_int_eq(put(scene, most + 1), -EMSGSIZE);
	put_and_commit(scene, 10);
	put_and_commit(scene, most);
	ck_assert_uint_eq(class_of_head(scene), 3);
	put_and_commit(scene, 10);
	ck_assert_uint_eq(take_all(scene), 3);
	close_scene(scene);
}
END_TEST

START_TEST(without_credit_it_does_not_grow)
{
	struct scene *scene = open_scene(SIZE / 4);

	fill(scene, 100);
	ck_assert_int_eq(
	    ring_producer_shortage(scene->producer), RING_SHORT_OF_CREDIT);
	ck_assert_uint_eq(class_of_head(scene), 0);
	ck_assert_uint_eq(scene->allocated, 0);
	ck_assert(ring_grant(scene->consumer, SIZE));
	fill(scene, 100);
	ck_assert_uint_le(class_of_head(scene), 1);
	close_scene(scene);
}
END_TEST

START_TEST(stays_and_stalls_while_memory_is_refused)
{
	struct scene *scene = open_scene(UNLIMITED);
	struct ring_change change;
	uint64_t records;

	scene->refuses = true;
	records = fill(scene, 100);
	ck_assert_uint_eq(class_of_head(scene), 0);
	ck_assert_uint_eq(scene->own.grow_failures, 1);
	ck_assert(ring_producer_needs_tending(scene->producer));
	ck_assert_uint_eq(ring_producer_free_bytes(scene->producer, 100), 0);
	/* One refusal is enough for a while. */
	scene->refused = 0;
	ck_assert_int_eq(put(scene, 100), -EAGAIN);
	ck_assert_uint_eq(scene->refused, 0);
	ck_assert(ring_producer_next_change(scene->producer, &change));
	ck_assert_int_eq(change.error, -ENOSPC);
	ck_assert_uint_eq(change.from_bytes, SIZE);

	ck_assert(ring_producer_tend(scene->producer, 1));
	ck_assert_int_eq(put(scene, 100), -EAGAIN);
	ck_assert_uint_eq(scene->own.grow_failures, 2);
	scene->refuses = false;
	ck_assert_int_eq(put(scene, 100), -EAGAIN);
	ck_assert(ring_producer_tend(scene->producer, 1));
	put_and_commit(scene, 100);
	ck_assert_uint_eq(class_of_head(scene), 1);
	ck_assert_uint_eq(take_all(scene), records + 1);
	close_scene(scene);
}
END_TEST

/* All or nothing over several lanes stands on this. */
START_TEST(what_has_room_said_is_there_whatever_fails_in_between)
{
	struct scene *scene = open_scene(UNLIMITED);

	while (ring_producer_has_room(scene->producer, 100) &&
	    scene->allocated == 0)
		put_and_commit(scene, 100);
	while (ring_producer_has_room(scene->producer, 100) &&
	    class_of_head(scene) == 0 && scene->allocated < 2 * SIZE)
		put_and_commit(scene, 100);
	while (ring_producer_free_bytes(scene->producer, 100) > TOTAL - SIZE)
		put_and_commit(scene, 100);
	ck_assert(ring_producer_has_room(scene->producer, 900));
	scene->refuses = true;
	ck_assert(!ring_producer_has_room(
	    scene->producer, ring_producer_max_payload(scene->producer)));
	ck_assert(ring_producer_has_room(scene->producer, 900));
	ck_assert_int_eq(put(scene, 900), 0);
	close_scene(scene);
}
END_TEST

START_TEST(abort_takes_growth_back)
{
	struct scene *scene = open_scene(UNLIMITED);
	uint64_t records;

	put_and_commit(scene, 100);
	while (put(scene, 1000) == 0)
		;
	ck_assert_uint_eq(ring_producer_capacity(scene->producer), MAX_SIZE);
	ring_abort(scene->producer);
	ck_assert_uint_eq(ring_producer_capacity(scene->producer), SIZE);
	ck_assert_uint_eq(scene->own.grows, 0);
	ck_assert(!ring_commit(scene->producer, 1));
	put_and_commit(scene, 100);
	ck_assert_uint_eq(class_of_head(scene), 0);
	records = 2 + fill(scene, 1000);
	ck_assert_uint_eq(scene->own.grows, CLASSES - 1);
	ck_assert_uint_eq(take_all(scene), records);
	close_scene(scene);
}
END_TEST

START_TEST(an_idle_lane_is_small_again_after_a_few_calls)
{
	struct scene *scene = open_scene(UNLIMITED);
	unsigned calls;

	fill(scene, 500);
	take_all(scene);
	ck_assert_uint_gt(scene->allocated, MAX_SIZE);
	for (calls = 0; ring_producer_needs_tending(scene->producer); calls++) {
		ck_assert_uint_lt(calls, 10);
		ring_producer_tend(scene->producer, 1);
		/* A consumer that finds no record releases the SWITCH. */
		ck_assert_uint_eq(take_all(scene), 0);
	}
	ck_assert_uint_le(calls, 5);
	ck_assert_uint_eq(class_of_head(scene), 0);
	ck_assert_uint_eq(scene->allocated, 0);
	ck_assert_uint_eq(scene->own.shrinks, 1);
	ck_assert_uint_eq(scene->own.class, 0);
	put_and_commit(scene, 100);
	ck_assert_uint_eq(take_all(scene), 1);
	close_scene(scene);
}
END_TEST

/* Two full regions of an idle lane would be a leak. */
START_TEST(memory_of_a_region_that_was_left_is_given_back)
{
	struct scene *scene = open_scene(UNLIMITED);

	fill(scene, 500);
	take_all(scene);
	put_and_commit(scene, 100);
	ring_producer_tend(scene->producer, 1);
	ck_assert_uint_eq(scene->allocated, MAX_SIZE);
	close_scene(scene);
}
END_TEST

START_TEST(a_trickle_does_not_keep_a_lane_large)
{
	struct scene *scene = open_scene(UNLIMITED);

	fill(scene, 500);
	take_all(scene);
	for (int calls = 0; calls < 3 * (int)CLASSES; calls++) {
		put_and_commit(scene, 100);
		ck_assert_uint_eq(take_all(scene), 1);
		ring_producer_tend(scene->producer, 1);
	}
	ck_assert_uint_eq(class_of_head(scene), 0);
	close_scene(scene);
}
END_TEST

START_TEST(a_lane_in_use_does_not_shrink)
{
	struct scene *scene = open_scene(UNLIMITED);
	uint32_t class;

	while (class_of_head(scene) < 2)
		put_and_commit(scene, 500);
	class = class_of_head(scene);
	take_all(scene);
	for (int calls = 0; calls < 20; calls++) {
		while (
		    ring_producer_used_bytes(scene->producer) < SIZE + SIZE / 2)
			put_and_commit(scene, 500);
		take_all(scene);
		ring_producer_tend(scene->producer, 1);
		ck_assert_uint_eq(class_of_head(scene), class);
	}
	close_scene(scene);
}
END_TEST

/* Else larger classes stay used, and it could not grow to its maximum. */
START_TEST(shrinks_only_when_nothing_is_unreleased)
{
	struct scene *scene = open_scene(UNLIMITED);
	uint64_t before_last = 0, first, last = 0;

	put_and_commit(scene, 10);
	first = take(scene);
	while (class_of_head(scene) < 3)
		put_and_commit(scene, 900);
	while (scene->taken < ring_producer_sequence(scene->producer)) {
		before_last = last;
		last = take(scene);
	}
	/* All is read, but for the last one all is released. */
	ck_assert(release(scene, first, 1));
	ck_assert(release(scene, before_last, scene->taken - 2));
	for (int calls = 0; calls < 6; calls++)
		ring_producer_tend(scene->producer, 1);
	ck_assert_uint_eq(class_of_head(scene), 3);
	ck_assert(release(scene, last, 1));
	for (int calls = 0; calls < 6; calls++) {
		ring_producer_tend(scene->producer, 1);
		take_all(scene);
	}
	ck_assert_uint_eq(class_of_head(scene), 0);
	ck_assert_uint_eq(scene->allocated, 0);
	close_scene(scene);
}
END_TEST

START_TEST(a_restarted_producer_knows_which_regions_are_used)
{
	struct scene *scene = open_scene(UNLIMITED);
	uint64_t records = 0;

	for (uint64_t n = 0; n < 120; n++) {
		kill_producer(scene);
		if (put(scene, 300) != 0)
			break;
		ring_commit(scene->producer, 1);
		records++;
		ring_producer_tend(scene->producer, 1);
	}
	ck_assert_uint_gt(class_of_head(scene), 1);
	ck_assert_uint_eq(take_all(scene), records);
	kill_producer(scene);
	/* What the dead one allocated and left is given back, too. */
	for (int calls = 0; calls < 8; calls++) {
		ring_producer_tend(scene->producer, 1);
		take_all(scene);
	}
	ck_assert_uint_eq(scene->allocated, 0);
	close_scene(scene);
}
END_TEST

START_TEST(a_tail_in_a_class_where_it_cannot_be_poisons)
{
	struct scene *scene = open_scene(UNLIMITED);
	uint64_t word;

	while (class_of_head(scene) < 1)
		put_and_commit(scene, 900);
	word = scene->head.word;
	switch (_i) {
	case 0: /* the old class at the position of the new one */
		scene->peer.tail = RING_WORD(RING_POSITION(word), 0);
		break;
	case 1: /* the new class before it was entered */
		scene->peer.tail = RING_WORD(64, 1);
		break;
	case 2:
		scene->peer.tail = RING_WORD(64, 2);
		break;
	default:
		scene->peer.tail = RING_WORD(64, CLASSES);
		break;
	}
	ck_assert_uint_eq(ring_producer_free_bytes(scene->producer, 1), 0);
	ck_assert(ring_producer_is_poisoned(scene->producer));
	ck_assert_str_eq(ring_producer_fault(scene->producer),
	    "the consumer is in a size class never used");
	ck_assert(ring_producer_tend(scene->producer, 1));
	scene->peer.tail = 0;
	close_scene(scene);
}
END_TEST

START_TEST(a_tail_within_a_record_cannot_be_attached_to)
{
	struct scene *scene = open_scene(UNLIMITED);
	struct ring_producer *producer;
	unsigned found = 0;

	while (class_of_head(scene) < 2)
		put_and_commit(scene, 900);
	for (uint64_t at = 0; at < SIZE; at += 64) {
		scene->peer.tail = RING_WORD(at, 0);
		producer = new_producer(scene);
		if (producer == NULL)
			ck_assert_int_eq(errno, EPROTO);
		else
			found++;
		ring_producer_free(producer);
	}
	/* Where its three records and the SWITCH begin, and nowhere else. */
	ck_assert_uint_eq(found, 4);
	scene->peer.tail = 0;
	close_scene(scene);
}
END_TEST

START_TEST(drops_the_oldest_only_when_it_cannot_grow)
{
	struct scene *scene = open_scene(UNLIMITED);
	uint64_t dropped = 0, word = 0;
	struct ring_record record;
	const void *payload;

	while (class_of_head(scene) < CLASSES - 1) {
		ck_assert(!ring_producer_drop_oldest(scene->producer, 300));
		put_and_commit(scene, 300);
	}
	fill(scene, 300);
	ck_assert(ring_producer_drop_oldest(scene->producer, 300));
	while (ring_peek(scene->consumer, &record, &payload) == 1 &&
	    ring_consumer_should_drop(scene->consumer)) {
		word = take(scene);
		dropped++;
	}
	ck_assert_uint_gt(dropped, 10); /* all that lies in older classes */
	ck_assert(release(scene, word, dropped));
	put_and_commit(scene, 300);
	close_scene(scene);
}
END_TEST

START_TEST(each_step_is_told_once_in_order)
{
	struct scene *scene = open_scene(UNLIMITED);
	struct ring_change change;

	fill(scene, 500);
	for (uint32_t class = 1; class < CLASSES; class ++) {
		ck_assert(ring_producer_next_change(scene->producer, &change));
		ck_assert_int_eq(change.error, 0);
		ck_assert_uint_eq(change.from_bytes, SIZE << (class - 1));
		ck_assert_uint_eq(change.to_bytes, SIZE << class);
	}
	ck_assert(!ring_producer_next_change(scene->producer, &change));
	take_all(scene);
	for (int calls = 0; calls < 4; calls++)
		ring_producer_tend(scene->producer, 1);
	ck_assert(ring_producer_next_change(scene->producer, &change));
	ck_assert_uint_eq(change.from_bytes, MAX_SIZE);
	ck_assert_uint_eq(change.to_bytes, SIZE);
	ck_assert(!ring_producer_next_change(scene->producer, &change));
	close_scene(scene);
}
END_TEST

/* A burst finds the next class' memory there. */
START_TEST(memory_is_taken_ahead_of_need)
{
	struct scene *scene = open_scene(UNLIMITED);

	while (ring_producer_used_bytes(scene->producer) < SIZE * 3 / 4)
		put_and_commit(scene, 100);
	ck_assert_uint_eq(class_of_head(scene), 0);
	ck_assert_uint_eq(scene->allocated, 2 * SIZE);
	scene->refuses = true;
	fill(scene, 100);
	ck_assert_uint_eq(class_of_head(scene), 1);
	close_scene(scene);
}
END_TEST

/* What free_bytes() promises can be put, grown or not. */
START_TEST(free_bytes_never_promises_too_much)
{
	struct scene *scene = open_scene(0);
	uint32_t dice = (uint32_t)_i + 1;
	uint64_t promised, size, limit = 0;
	size_t largest, length;

	for (int round = 0; round < 400; round++) {
		largest = next_dice(&dice) % (MAX_SIZE / 4 - 63);
		if (next_dice(&dice) % 2 == 0)
			largest /= 16;
		promised = ring_producer_free_bytes(scene->producer, largest);
		for (;;) {
			length = next_dice(&dice) % (largest + 1);
			size = ring_record_size(length);
			if (size > promised)
				break;
			put_and_commit(scene, length);
			promised -= size;
		}
		for (uint32_t n = next_dice(&dice) % 8; n > 0; n--) {
			if (!ring_consumer_has_record(scene->consumer) ||
			    scene->taken ==
				ring_producer_sequence(scene->producer))
				break;
			release(scene, take(scene), 1);
		}
		if (next_dice(&dice) % 4 == 0)
			ring_producer_tend(scene->producer, 1);
		limit += next_dice(&dice) % 6000;
		ring_grant(scene->consumer, limit);
	}
	ck_assert_uint_gt(scene->taken, 100);
	ck_assert_uint_gt(scene->own.grows, 0);
	close_scene(scene);
}
END_TEST

#define MODEL_MAX 8192

struct model {
	uint64_t put, committed, taken, released;
	uint64_t word_after[MODEL_MAX + 1];
	size_t length[MODEL_MAX + 1];
};

static void
model_put(struct scene *scene, struct model *model, uint32_t *dice)
{
	static const size_t lengths[] = { 200, 200, SIZE / 4 - 64,
		MAX_SIZE / 4 - 64 };
	size_t length;
	bool has_room;

	length = next_dice(dice) % (lengths[next_dice(dice) % 4] + 1);
	has_room = ring_producer_has_room(scene->producer, length);
	ck_assert_int_eq(put(scene, length), has_room ? 0 : -EAGAIN);
	if (has_room)
		model->length[++model->put] = length;
}

static void
model_take(struct scene *scene, struct model *model)
{
	struct ring_record record;
	const void *payload;

	if (ring_peek(scene->consumer, &record, &payload) != 1) {
		ck_assert_uint_eq(model->taken, model->committed);
		return;
	}
	model->taken++;
	ck_assert_uint_le(model->taken, model->committed);
	ck_assert_uint_eq(record.length, model->length[model->taken]);
	scene->taken = model->taken - 1;
	model->word_after[model->taken] = take(scene);
}

static void
model_release(struct scene *scene, struct model *model, uint32_t *dice)
{
	uint64_t count;

	if (model->taken == model->released) {
		release(scene, ring_consumer_cursor(scene->consumer), 0);
		return;
	}
	count = 1 + next_dice(dice) % (model->taken - model->released);
	ck_assert(
	    release(scene, model->word_after[model->released + count], count));
	model->released += count;
}

/*
 * The promise itself: any mix of putting, committing, aborting, reading
 * ahead, releasing, granting, tending, refusing memory and dying gives each
 * committed record in order and whole; afterwards the lane is small again.
 */
START_TEST(keeps_its_promise_for_any_order_of_events)
{
	struct scene *scene = open_scene(0);
	static struct model model;
	uint32_t dice = (uint32_t)_i + 1;
	uint64_t limit = 0;

	model = (struct model){ 0 };
	for (int turn = 0; turn < 9000 && model.put < MODEL_MAX; turn++) {
		/* In turn: both go, the consumer stands, the producer does. */
		unsigned phase = (unsigned)turn / 500 % 3;
		uint32_t what = next_dice(&dice) % (phase == 1 ? 12 : 20);

		if (phase == 2 && what < 10)
			what += 10;
		if (what < 6) {
			model_put(scene, &model, &dice);
		} else if (what < 8) {
			ring_commit(scene->producer, 1);
			model.committed = model.put;
		} else if (what == 8) {
			ring_abort(scene->producer);
			model.put = model.committed;
		} else if (what == 9) {
			limit += next_dice(&dice) % 16384;
			ring_grant(scene->consumer, limit);
		} else if (what == 10 && next_dice(&dice) % 4 == 0) {
			kill_producer(scene);
			model.put = model.committed;
		} else if (what == 10 || what == 11) {
			if (next_dice(&dice) % 4 == 0)
				scene->refuses = !scene->refuses;
			ring_producer_tend(scene->producer, 1);
		} else if (what == 12) {
			kill_consumer(scene);
			model.taken = model.released;
		} else if (what < 17) {
			model_take(scene, &model);
		} else {
			model_release(scene, &model, &dice);
		}
		ck_assert(!ring_producer_is_poisoned(scene->producer));
		ck_assert(!ring_consumer_is_poisoned(scene->consumer));
		ck_assert_uint_le(
		    ring_producer_used_bytes(scene->producer), TOTAL);
	}
	ck_assert_uint_gt(model.released, 200);
	ck_assert_uint_gt(scene->own.grows, 5);
	ck_assert_uint_gt(scene->own.shrinks, 1);

	scene->refuses = false;
	ring_commit(scene->producer, 1);
	scene->taken = model.taken;
	take_all(scene);
	ck_assert_uint_eq(scene->taken, model.put);
	for (int calls = 0; calls < 8; calls++) {
		ring_producer_tend(scene->producer, 1);
		take_all(scene);
	}
	ck_assert(ring_producer_is_drained(scene->producer));
	ck_assert_uint_eq(class_of_head(scene), 0);
	ck_assert_uint_eq(scene->allocated, 0);
	close_scene(scene);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_growth");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, grows_by_doubling_while_nothing_is_released);
	tcase_add_test(tc, a_large_record_leads_to_a_class_that_holds_it);
	tcase_add_test(tc, without_credit_it_does_not_grow);
	tcase_add_test(tc, stays_and_stalls_while_memory_is_refused);
	tcase_add_test(
	    tc, what_has_room_said_is_there_whatever_fails_in_between);
	tcase_add_test(tc, abort_takes_growth_back);
	tcase_add_test(tc, an_idle_lane_is_small_again_after_a_few_calls);
	tcase_add_test(tc, memory_of_a_region_that_was_left_is_given_back);
	tcase_add_test(tc, a_trickle_does_not_keep_a_lane_large);
	tcase_add_test(tc, a_lane_in_use_does_not_shrink);
	tcase_add_test(tc, shrinks_only_when_nothing_is_unreleased);
	tcase_add_test(tc, a_restarted_producer_knows_which_regions_are_used);
	tcase_add_loop_test(
	    tc, a_tail_in_a_class_where_it_cannot_be_poisons, 0, 4);
	tcase_add_test(tc, a_tail_within_a_record_cannot_be_attached_to);
	tcase_add_test(tc, drops_the_oldest_only_when_it_cannot_grow);
	tcase_add_test(tc, each_step_is_told_once_in_order);
	tcase_add_test(tc, memory_is_taken_ahead_of_need);
	tcase_add_loop_test(tc, free_bytes_never_promises_too_much, 0, 16);
	tcase_add_loop_test(
	    tc, keeps_its_promise_for_any_order_of_events, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
