/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_dump_lane.h"

#include <string.h>
#include <unistd.h>

/* Tries to read what is half written, and what belongs to a head. */
#define READ_TRIES 8
#define HEAD_TRIES 64

/* Tries to read head and tail of about one instant. */
#define BOTH_TRIES 64

static bool
read_at(int fd, void *to, size_t length, uint64_t offset)
{
	return pread(fd, to, length, (off_t)offset) == (ssize_t)length;
}

static uint64_t
size_of(const struct ring_dump_lane *lane, uint32_t class)
{
	return ring_class_size(lane->min_shift, class);
}

uint64_t
ring_dump_total(const struct ring_dump_lane *lane)
{
	return ring_lane_length(lane->min_shift, lane->classes) -
	    (uint64_t)RING_PAGE;
}

uint64_t
ring_dump_largest(const struct ring_dump_lane *lane)
{
	return size_of(lane, lane->classes - 1) / 4;
}

static struct ring_dump_place
place_of(uint64_t word)
{
	return (struct ring_dump_place){
		.position = RING_POSITION(word),
		.class = RING_CLASS(word),
	};
}

/* The copies are private: plain reads of them need no order. */
static uint64_t
value(const _Atomic uint64_t *copy)
{
	return atomic_load_explicit(copy, memory_order_relaxed);
}

/* The slot with the greatest head <= head counts, slot 0 on a tie. */
static uint64_t
sequence_at(const struct ring_sequence_slot *slot, uint64_t head)
{
	uint64_t at = 0, sequence = 0;

	for (unsigned i = 0; i < 2; i++) {
		uint64_t slot_head = value(&slot[i].head);

		if (slot_head > head || slot_head <= at)
			continue;
		at = slot_head;
		sequence = value(&slot[i].sequence);
	}
	return sequence;
}

/* The head, and the sequence that belongs to it if it stands long enough. */
static bool
read_producer(const struct ring_dump_lane *lane, uint64_t *out_head,
    uint64_t *out_sequence)
{
	struct ring_sequence_slot slot[2];
	uint64_t again, head_offset, offset;

	head_offset = RING_SIDE_HEADS + lane->lane * sizeof(struct ring_head);
	offset = RING_SIDE_PRODUCERS +
	    (uint64_t)lane->lane * RING_PRODUCER_STRIDE +
	    offsetof(struct ring_lane_producer, sequence);
	*out_sequence = RING_DUMP_ANY;
	for (unsigned i = 0; i < HEAD_TRIES; i++) {
		if (!read_at(lane->producer_fd, out_head, sizeof(*out_head),
			head_offset) ||
		    !read_at(lane->producer_fd, slot, sizeof(slot), offset) ||
		    !read_at(
			lane->producer_fd, &again, sizeof(again), head_offset))
			return false;
		if (again == *out_head) {
			*out_sequence = sequence_at(slot, again);
			break;
		}
	}
	return true;
}

/* Twice the same, in case a word may be seen half written. */
static bool
read_tail(const struct ring_dump_lane *lane, uint64_t *out_tail)
{
	const uint64_t offset =
	    RING_SIDE_CONSUMERS + (uint64_t)lane->lane * RING_CONSUMER_STRIDE;
	uint64_t again;

	for (unsigned i = 0; i < READ_TRIES; i++) {
		if (!read_at(lane->consumer_fd, out_tail, sizeof(*out_tail),
			offset) ||
		    !read_at(lane->consumer_fd, &again, sizeof(again), offset))
			return false;
		if (again == *out_tail)
			break;
	}
	return true;
}

/* NULL, or what makes no sense in them. */
static const char *
judge(const struct ring_dump_lane *lane, const struct ring_dump_ends *ends)
{
	if (ends->head.class >= lane->classes)
		return "the head is in a size class that is not";
	if (lane->consumer_fd == -1)
		return "nobody holds the consumer's side: where the tail is "
		       "is not known";
	if (ends->tail.class >= lane->classes)
		return "the tail is in a size class that is not";
	if (ends->tail.position > ends->head.position)
		return "the tail is beyond the head";
	if (ends->head.position - ends->tail.position > ring_dump_total(lane))
		return "the head is farther from the tail than the ring is "
		       "long";
	return NULL;
}

/*
 * The tail comes first: it is then never beyond the head.  While both move
 * they may be too far apart; what stands still is what it is.
 */
const char *
ring_dump_read_ends(
    const struct ring_dump_lane *lane, struct ring_dump_ends *out_ends)
{
	const bool has_tail = lane->consumer_fd != -1;
	uint64_t again = 0, head, sequence, tail = 0;
	const char *text = NULL;

	for (unsigned i = 0; i < BOTH_TRIES; i++) {
		if ((has_tail && !read_tail(lane, &tail)) ||
		    !read_producer(lane, &head, &sequence) ||
		    (has_tail && !read_tail(lane, &again)))
			return "head and tail cannot be read";
		*out_ends = (struct ring_dump_ends){
			.head = place_of(head),
			.tail = place_of(has_tail ? tail : head),
			.sequence = sequence,
		};
		text = judge(lane, out_ends);
		if (text == NULL || again == tail)
			break;
	}
	return text;
}

void
ring_dump_forget(struct ring_dump_lane *lane)
{
	lane->window_length = 0;
}

static uint64_t
offset_of(const struct ring_dump_lane *lane, struct ring_dump_place at)
{
	return ring_class_offset(lane->min_shift, at.class) +
	    (at.position & (size_of(lane, at.class) - 1));
}

bool
ring_dump_header(struct ring_dump_lane *lane, struct ring_dump_place at,
    struct ring_record *out_record)
{
	uint64_t offset = offset_of(lane, at);
	ssize_t got;

	if (offset < lane->window_offset ||
	    offset + sizeof(*out_record) >
		lane->window_offset + lane->window_length) {
		lane->window_offset =
		    offset & ~(uint64_t)(RING_DUMP_WINDOW - 1);
		lane->window_length = 0;
		got = pread(lane->data_fd, lane->window, RING_DUMP_WINDOW,
		    (off_t)lane->window_offset);
		if (got < 0)
			return false;
		lane->window_length = (size_t)got;
	}
	if (offset + sizeof(*out_record) >
	    lane->window_offset + lane->window_length)
		return false;
	memcpy(out_record, lane->window + (offset - lane->window_offset),
	    sizeof(*out_record));
	return true;
}

bool
ring_dump_bytes(const struct ring_dump_lane *lane, struct ring_dump_place at,
    void *to, size_t length)
{
	size_t done = 0;
	ssize_t got;

	while (done < length) {
		got = pread(lane->data_fd, (uint8_t *)to + done, length - done,
		    (off_t)(offset_of(lane, at) + done));
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static const char *
check_switch(const struct ring_dump_lane *lane, struct ring_dump_place at,
    const struct ring_record *record)
{
	if (record->length != 0)
		return "a class switch has a payload";
	if (record->class >= lane->classes || record->class == at.class)
		return "a switch to a size class that is not";
	return NULL;
}

const char *
ring_dump_check(const struct ring_dump_lane *lane, struct ring_dump_place at,
    uint64_t end, const struct ring_record *record,
    struct ring_dump_place *out_after)
{
	uint64_t contiguous, size = ring_record_size(record->length);

	contiguous = size_of(lane, at.class);
	contiguous -= at.position & (contiguous - 1);
	if (record->type != RING_DATA && record->type != RING_PAD &&
	    record->type != RING_SWITCH)
		return "a record is of no known type";
	if (record->type == RING_DATA && size > ring_dump_largest(lane))
		return "a record is longer than a quarter of the ring";
	if (size > end - at.position)
		return "a record is longer than what was committed";
	if (size > contiguous)
		return "a record runs over the end of its size class";
	if (record->type == RING_DATA && record->sequence == 0)
		return "a record has no sequence";
	*out_after = (struct ring_dump_place){
		.position = at.position + size,
		.class = at.class,
	};
	if (record->type != RING_SWITCH)
		return NULL;
	out_after->class = record->class;
	return check_switch(lane, at, record);
}
