/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/order.h"
#include "common/mqtt/wire.h"

#define MAGIC UINT32_C(0x57454952)
#define MAX_TOLD 8

uint8_t
order_qos(const struct order *order, uint64_t sequence)
{
	const char *pattern = order->options.qos;

	return (uint8_t)(pattern[sequence % strlen(pattern)] - '0');
}

/* ... and that it is to arrive with. */
static uint8_t
granted(const struct order *order, uint64_t sequence)
{
	const uint8_t qos = order_qos(order, sequence);

	return qos < order->options.granted ? qos
					    : (uint8_t)order->options.granted;
}

/* Does this receiver get what that publisher sends? */
static bool
wants(const struct order *order, unsigned receiver, unsigned publisher)
{
	return order->options.how != ORDER_OWN ||
	    receiver % order->options.publishers == publisher;
}

static unsigned
book_count(const struct order *order)
{
	return order->options.how == ORDER_SHARED
	    ? 1
	    : (unsigned)order->options.subscribers;
}

static uint64_t
reliable_of(const struct order *order)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < order->options.messages; i++)
		count += granted(order, i) != 0;
	return count;
}

int
order_books_init(struct order *order)
{
	const struct order_options *options = &order->options;
	const size_t bits = options->publishers * options->messages;
	const uint64_t reliable = reliable_of(order);
	struct order_receiver *receiver;

	order->books = calloc(book_count(order), sizeof(*order->books));
	order->receivers =
	    calloc(options->subscribers, sizeof(*order->receivers));
	if (order->books == NULL || order->receivers == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < book_count(order); i++) {
		order->books[i].seen = calloc(bits / 8 + 1, 1);
		if (order->books[i].seen == NULL)
			return -ENOMEM;
		for (unsigned p = 0; p < options->publishers; p++)
			if (wants(order, i, p))
				order->expected += reliable;
	}
	for (unsigned i = 0; i < options->subscribers; i++) {
		receiver = &order->receivers[i];
		receiver->number = i;
		receiver->book = &order->books[i % book_count(order)];
		receiver->streams = calloc(options->publishers * ORDER_LEVELS,
		    sizeof(*receiver->streams));
		if (receiver->streams == NULL)
			return -ENOMEM;
	}
	return 0;
}

void
order_books_fini(struct order *order)
{
	for (unsigned i = 0; i < book_count(order); i++)
		free(order->books[i].seen);
	for (unsigned i = 0; i < order->options.subscribers; i++)
		free(order->receivers[i].streams);
	free(order->books);
	free(order->receivers);
}

void
order_connected(struct order *order, struct order_receiver *receiver)
{
	const size_t count = order->options.publishers * ORDER_LEVELS;

	for (size_t i = 0; i < count; i++)
		receiver->streams[i].connection = 0;
}

void
order_payload(unsigned publisher, uint64_t sequence, uint8_t out[ORDER_PAYLOAD])
{
	wire_store_u32(out, MAGIC);
	wire_store_u32(out + 4, publisher);
	wire_store_u32(out + 8, (uint32_t)(sequence >> 32));
	wire_store_u32(out + 12, (uint32_t)sequence);
}

static void
tell(struct order *order, const struct order_receiver *receiver,
    const struct mqtt_publish *publish, unsigned publisher, uint64_t sequence,
    uint64_t last, const char *what)
{
	if (order->told++ >= MAX_TOLD)
		return;
	fprintf(stderr,
	    "order: subscriber %u: %s: publisher %u message %llu after %llu "
	    "qos %u dup %d retain %d topic %.*s\n",
	    receiver->number, what, publisher, (unsigned long long)sequence,
	    (unsigned long long)last - 1, publish->qos, publish->dup,
	    publish->retain, (int)publish->topic.len,
	    (const char *)publish->topic.data);
}

/* It has been here before: was that to be expected? */
static bool
may_repeat(const struct order *order, const struct order_receiver *receiver,
    const struct mqtt_publish *publish)
{
	if (publish->qos != 1)
		return false;
	/* Its publisher may have sent it again, or its first member left. */
	if (order->options.publisher_cut_every != 0 ||
	    (order->options.how == ORDER_SHARED && !order->options.is_kept &&
		order->result.cuts != 0))
		return true;
	/* [MQTT-3.3.1-1] */
	return receiver->was_cut && publish->dup;
}

/*
 * New ones come in the order they were sent in; on one connection all do,
 * repeated or not [MQTT-4.6.0-1], but for what publishers sent again, and
 * what another member of a share has left.
 */
static bool
is_in_order(const struct order *order, const struct order_stream *stream,
    uint64_t sequence, bool is_new)
{
	const bool is_given_on = order->options.how == ORDER_SHARED &&
	    !order->options.is_kept && order->options.cut_every != 0;

	if (is_given_on)
		return true;
	if (is_new && sequence < stream->first)
		return false;
	return order->options.publisher_cut_every != 0 ||
	    sequence >= stream->connection;
}

static bool
set_bit(uint8_t *bits, uint64_t at)
{
	const uint8_t bit = (uint8_t)(1u << (at & 7));
	const bool was = (bits[at / 8] & bit) != 0;

	bits[at / 8] |= bit;
	return was;
}

static bool
read_payload(const struct order *order, const struct mqtt_publish *publish,
    unsigned *publisher, uint64_t *sequence)
{
	const uint8_t *at = publish->payload.data;

	if (publish->payload.len != ORDER_PAYLOAD || wire_load_u32(at) != MAGIC)
		return false;
	*publisher = wire_load_u32(at + 4);
	*sequence =
	    (uint64_t)wire_load_u32(at + 8) << 32 | wire_load_u32(at + 12);
	return *publisher < order->options.publishers &&
	    *sequence < order->options.messages;
}

void
order_received(struct order *order, struct order_receiver *receiver,
    const struct mqtt_publish *publish)
{
	struct order_result *result = &order->result;
	struct order_stream *stream;
	unsigned publisher = 0;
	uint64_t sequence = 0;
	bool was_seen;

	result->received++;
	if (!read_payload(order, publish, &publisher, &sequence) ||
	    !wants(order, receiver->number, publisher) ||
	    publish->qos != granted(order, sequence)) {
		result->wrong++;
		tell(order, receiver, publish, publisher, sequence, 0, "wrong");
		return;
	}
	stream = &receiver->streams[publisher * ORDER_LEVELS + publish->qos];
	was_seen = set_bit(receiver->book->seen,
	    publisher * order->options.messages + sequence);
	if (!was_seen && publish->qos != 0) {
		receiver->book->reliable++;
		order->seen++;
	}
	if (was_seen && !may_repeat(order, receiver, publish)) {
		result->doubled++;
		tell(order, receiver, publish, publisher, sequence,
		    stream->connection, "doubled");
	}
	result->repeated += was_seen;
	if (!is_in_order(order, stream, sequence, !was_seen)) {
		result->disordered++;
		tell(order, receiver, publish, publisher, sequence,
		    stream->connection, "out of order");
	}
	if (!was_seen && sequence >= stream->first)
		stream->first = sequence + 1;
	stream->connection = sequence + 1;
}

void
order_repeated(struct order *order, struct order_receiver *receiver,
    const struct mqtt_publish *publish)
{
	order->result.repeated++;
	if (publish->dup && receiver->was_cut)
		return;
	order->result.wrong++;
	tell(order, receiver, publish, 0, publish->packet_id, 0,
	    "an identifier in use");
}

void
order_count_lost(struct order *order)
{
	const struct order_options *options = &order->options;
	uint64_t at;

	for (unsigned b = 0; b < book_count(order); b++) {
		for (at = 0; at < options->publishers * options->messages;
		     at++) {
			if (!wants(
				order, b, (unsigned)(at / options->messages)) ||
			    granted(order, at % options->messages) == 0 ||
			    set_bit(order->books[b].seen, at))
				continue;
			order->result.lost++;
			if (order->told++ < MAX_TOLD)
				fprintf(stderr,
				    "order: subscriber %u: lost: publisher "
				    "%llu message %llu\n",
				    b,
				    (unsigned long long)(at /
					options->messages),
				    (unsigned long long)(at %
					options->messages));
		}
	}
}
