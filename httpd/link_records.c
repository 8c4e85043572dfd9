/* SPDX-License-Identifier: Apache-2.0 */

/* Records: claimed, put and committed; receipts read and released. */

#include "httpd/link.h"

#include <errno.h>
#include <string.h>

#include "common/ring/ring_control.h"
#include "httpd/counters.h"
#include "httpd/link_state.h"

/* Receipts that one turn reads at most. */
#define TURN_RECEIPTS 2048u

void
link_grant(struct link *link)
{
	ring_grant(link->receipts,
	    RING_POSITION(ring_consumer_cursor(link->receipts)) +
		ring_consumer_capacity(link->receipts));
}

/* Room for a record of `length` bytes in a lane; errors as link_put_*(). */
static int
claim(struct link *link, uint32_t ring_lane, size_t length, void **out_place)
{
	struct ring_producer *producer;
	int err;

	if (link->ring == NULL || link->fault != NULL)
		return -ENOTCONN;
	producer = ring_link_producer(link->ring, ring_lane);
	if (producer == NULL)
		return -EAGAIN;
	err = ring_claim(producer, length, out_place);
	if (err == 0 || err == -EAGAIN || err == -EMSGSIZE)
		return err;
	/* Not here: whoever calls us is in the middle of something. */
	link->fault = ring_producer_fault(producer);
	if (link->fault == NULL)
		link->fault = "a lane is damaged";
	loop_again(link->loop);
	return -ENOTCONN;
}

/* The record to put; of a kind, with its length, by whom and for what. */
static void
finish(struct link *link, uint32_t ring_lane, const struct ring_record *fields)
{
	struct ring_producer *producer =
	    ring_link_producer(link->ring, ring_lane);
	struct ring_record record = *fields;

	record.time_ns = loop_now_ns(link->loop);
	record.source_lane = (uint16_t)ring_lane;
	record.source_link = ring_link_identity(link->ring)->link;
	record.source_sequence = ring_producer_sequence(producer) + 1;
	ring_put(producer, &record);
	link->dirty |= UINT32_C(1) << ring_lane;
	ring_trace_note_record(
	    ring_link_trace(link->ring), &record, RING_TRACE_PUT);
}

/* The message at hand is one to be traced: when it came, and from now on. */
static void
begin_trace(struct link *link, uint32_t ring_lane, uint64_t read_ns,
    struct ring_record *record)
{
	const struct ring_trace_id id = {
		.link = ring_link_identity(link->ring)->link,
		.lane = (uint16_t)ring_lane,
		.sequence = ring_producer_sequence(
				ring_link_producer(link->ring, ring_lane)) +
		    1,
	};

	record->flags |= RING_TRACED;
	ring_trace_note(
	    ring_link_trace(link->ring), &id, RING_TRACE_READ, read_ns);
}

int
link_put_message(struct link *link, uint32_t ring_lane,
    const struct record_message *message, uint64_t identity,
    uint64_t correlation, uint64_t read_ns)
{
	struct ring_record record = {
		.length = (uint32_t)record_message_size(message),
		.kind = RECORD_MESSAGE,
		.identity = identity,
		.correlation = correlation,
	};
	void *place;
	int err;

	err = claim(link, ring_lane, record_message_size(message), &place);
	if (err != 0)
		return err;
	record_message_write(message, place);
	if (ring_trace_is_due(ring_link_trace(link->ring)))
		begin_trace(link, ring_lane, read_ns, &record);
	finish(link, ring_lane, &record);
	return 0;
}

int
link_put_auth(struct link *link, uint32_t ring_lane,
    const struct record_auth *auth, uint64_t correlation)
{
	const struct ring_record record = {
		.length = (uint32_t)record_auth_size(auth),
		.kind = RECORD_AUTH,
		.correlation = correlation,
	};
	void *place;
	int err;

	if (link->ring != NULL && link->asks >= link->asks_max)
		return -EAGAIN;
	err = claim(link, ring_lane, record_auth_size(auth), &place);
	if (err != 0)
		return err;
	record_auth_write(auth, place);
	finish(link, ring_lane, &record);
	link->asks++;
	return 0;
}

int
link_put_ask(struct link *link, uint32_t ring_lane, struct slice question,
    uint64_t identity, uint64_t correlation)
{
	const struct ring_record record = {
		.length = (uint32_t)question.len,
		.kind = RECORD_ASK,
		.identity = identity,
		.correlation = correlation,
	};
	void *place;
	int err;

	err = claim(link, ring_lane, question.len, &place);
	if (err != 0)
		return err;
	memcpy(place, question.data, question.len);
	finish(link, ring_lane, &record);
	return 0;
}

bool
link_has_room(struct link *link, uint32_t ring_lane, size_t length)
{
	struct ring_producer *producer;

	if (link->ring == NULL || link->fault != NULL)
		return false;
	producer = ring_link_producer(link->ring, ring_lane);
	return producer != NULL && ring_producer_has_room(producer, length);
}

void
link_unstall(struct link *link, uint32_t ring_lane)
{
	struct ring_producer *producer;

	if (link->ring == NULL)
		return;
	producer = ring_link_producer(link->ring, ring_lane);
	if (producer != NULL)
		ring_producer_unstall(producer, loop_now_ns(link->loop));
}

void
link_count_refused(struct link *link, uint32_t ring_lane)
{
	struct ring_producer *producer;

	if (link->ring == NULL)
		return;
	producer = ring_link_producer(link->ring, ring_lane);
	if (producer != NULL)
		ring_producer_count_refused(producer);
}

uint64_t
link_used_bytes(struct link *link, uint32_t ring_lane)
{
	struct ring_producer *producer = NULL;

	if (link->ring != NULL)
		producer = ring_link_producer(link->ring, ring_lane);
	return producer == NULL ? 0 : ring_producer_used_bytes(producer);
}

uint64_t
link_released_bytes(struct link *link, uint32_t ring_lane)
{
	struct ring_producer *producer = NULL;

	if (link->ring != NULL)
		producer = ring_link_producer(link->ring, ring_lane);
	return producer == NULL ? 0
				: RING_POSITION(ring_producer_tail(producer));
}

/* A piece of an answer; its bytes are copied by who takes it. */
static bool
take_piece(
    struct link *link, const struct ring_record *record, const void *shared)
{
	struct ask_result_header header;

	if (record->length < sizeof(header) ||
	    record->length > sizeof(header) + ASK_PIECE_MAX)
		return false;
	memcpy(&header, shared, sizeof(header));
	link->events->ask_result(link->context, record->correlation, &header,
	    slice_of((const uint8_t *)shared + sizeof(header),
		record->length - sizeof(header)));
	return true;
}

static bool
take_auth_result(
    struct link *link, const struct ring_record *record, const void *shared)
{
	uint8_t copy[sizeof(struct record_auth_result)];
	struct record_auth_result result;

	if (record->length != sizeof(copy))
		return false;
	memcpy(copy, shared, sizeof(copy));
	if (record_auth_result_parse(copy, sizeof(copy), &result) != 0)
		return false;
	if (link->asks > 0)
		link->asks--;
	link->events->auth_result(link->context, record->correlation, &result);
	return true;
}

/* One record from the broker, which may be damaged. */
static bool
take_record(
    struct link *link, const struct ring_record *record, const void *shared)
{
	uint8_t copy[sizeof(struct record_answer)];
	struct record_answer answer;

	if (record->kind == RECORD_ASK_RESULT)
		return take_piece(link, record, shared);
	if (record->kind == RECORD_AUTH_RESULT)
		return take_auth_result(link, record, shared);
	if (record->kind != RECORD_RECEIPT || record->length != sizeof(copy))
		return false;
	memcpy(copy, shared, sizeof(copy));
	if (record_answer_parse(copy, sizeof(copy), &answer) != 0)
		return false;
	stats_increment(link->counters, COUNT_receipts);
	ring_trace_note_record(
	    ring_link_trace(link->ring), record, RING_TRACE_ANSWERED);
	link->events->receipt(link->context, record->correlation, &answer);
	return true;
}

void
link_read(struct link *link)
{
	struct ring_record record;
	const void *payload;
	unsigned count = 0;
	int got = 0;

	if (link->ring == NULL)
		return;
	ring_link_disarm(link->ring);
	while (link->receipts != NULL && link->fault == NULL &&
	    count < TURN_RECEIPTS &&
	    (got = ring_peek(link->receipts, &record, &payload)) == 1) {
		if (!take_record(link, &record, payload)) {
			link->fault = "the broker sent a record that is no "
				      "answer";
			break;
		}
		link->read_word = ring_next(link->receipts);
		link->read_count++;
		count++;
	}
	if (got < 0)
		link->fault = ring_consumer_fault(link->receipts);
	if (count == TURN_RECEIPTS)
		loop_again(link->loop);
}

void
link_commit(struct link *link)
{
	uint64_t now_ns = loop_now_ns(link->loop);
	struct ring_outcome outcome = { .delivered = link->read_count };

	if (link->ring == NULL)
		return;
	if (link->fault != NULL) {
		stats_increment(link->counters, COUNT_ring_faults);
		ring_endpoint_poison(link->endpoint, link->fault);
		return;
	}
	for (uint32_t i = 0; i < RING_LANES && link->dirty != 0; i++)
		if ((link->dirty >> i & 1) != 0)
			ring_commit(ring_link_producer(link->ring, i), now_ns);
	link->dirty = 0;

	ring_release(link->receipts,
	    link->read_count > 0 ? link->read_word
				 : ring_consumer_cursor(link->receipts),
	    &outcome, now_ns);
	link->read_count = 0;
	link_grant(link);
	ring_link_wake(link->ring);
}

bool
link_sleep(struct link *link)
{
	if (link->ring == NULL)
		return true;
	link_tend_later(link);
	ring_link_arm(link->ring);
	ring_fence();
	return link->fault == NULL && !ring_consumer_has_record(link->receipts);
}
