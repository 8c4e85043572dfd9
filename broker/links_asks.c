/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_asks.h"

#include <stdlib.h>
#include <string.h>

#include "broker/links_private.h"
#include "broker/manage.h"
#include "common/base/bug.h"
#include "common/msg/ask.h"

/* One question. */
struct ask {
	struct manage_ask manage;        /* first */
	struct links_endpoint *endpoint; /* NULL: nobody reads the answer */
	struct ask *next;
	uint64_t correlation;
	size_t sent;
	bool is_answered;
};

static const char no_memory[] =
    "{\"status\":503,\"message\":\"the broker has no memory for this: try "
    "again\"}";
static const char too_many[] =
    "{\"status\":503,\"message\":\"too many questions are under way: try "
    "again\"}";

static void
ask_free(struct ask *ask)
{
	if (ask->is_answered)
		ask->manage.links->answer_bytes -= ask->manage.length;
	free(ask->manage.text);
	free(ask);
}

/* ---- taking ------------------------------------------------------------- */

static void
answer_fixed(struct ask *ask, const char *text)
{
	ask->manage.status = 503;
	ask->manage.text = strdup(text);
	ask->manage.length = ask->manage.text == NULL ? 0 : strlen(text);
}

/* The row's function is done with it. */
static void
answered(struct manage_ask *manage)
{
	struct ask *ask = (struct ask *)manage;
	struct links_endpoint *endpoint = ask->endpoint;

	if (endpoint == NULL) {
		ask_free(ask);
		return;
	}
	if (manage->text != NULL &&
	    manage->links->answer_bytes > LINKS_ASKS_BYTES) {
		links_count(endpoint->links, COUNT_asks_refused, 1);
		free(manage->text);
		answer_fixed(ask, too_many);
	}
	if (manage->text == NULL)
		answer_fixed(ask, no_memory);
	ask->is_answered = true;
	manage->links->answer_bytes += manage->length;
	loop_again(endpoint->links->loop);
}

static void
add(struct links_endpoint *endpoint, struct ask *ask)
{
	struct ask **end = &endpoint->asks;

	while (*end != NULL)
		end = &(*end)->next;
	*end = ask;
	endpoint->ask_count++;
}

bool
links_asks_take(struct links_endpoint *endpoint,
    const struct ring_record *record, const void *body)
{
	struct links *links = endpoint->links;
	struct ask *ask;

	if (endpoint->ask_count == LINKS_ASKS_MAX) {
		endpoint->fault = "it asks more at once than it may";
		return false;
	}
	ask = calloc(1, sizeof(*ask));
	if (ask == NULL)
		return true; /* it gives up at its deadline */
	links_count(links, COUNT_asks, 1);
	ask->manage.links = links;
	ask->manage.identity = record->identity;
	ask->manage.answered = answered;
	ask->endpoint = endpoint;
	ask->correlation = record->correlation;
	add(endpoint, ask);
	manage_run(&ask->manage, slice_of(body, record->length));
	return true;
}

/* ---- pieces ------------------------------------------------------------- */

/* Bytes of a lane that unread pieces may take. */
static uint64_t
share(const struct links_output *output)
{
	return ring_class_size(output->geometry.min_shift, 0) / ASK_SHARE;
}

static size_t
piece_max(const struct links_output *output)
{
	const size_t overhead =
	    ring_record_size(sizeof(struct ask_result_header));
	const uint64_t room = share(output);

	if (room <= overhead)
		return 0;
	return room - overhead < ASK_PIECE_MAX ? (size_t)(room - overhead)
					       : ASK_PIECE_MAX;
}

/* The peer has read all pieces that were put. */
static bool
are_read(const struct links_endpoint *endpoint)
{
	struct ring_producer *producer = endpoint->output.producer;

	return RING_POSITION(ring_producer_tail(producer)) >=
	    endpoint->asks_position;
}

static size_t
next_length(const struct links_endpoint *endpoint, const struct ask *ask)
{
	const size_t left = ask->manage.length - ask->sent;
	const size_t most = piece_max(&endpoint->output);

	return left < most ? left : most;
}

static struct ask *
first_answered(const struct links_endpoint *endpoint)
{
	struct ask *ask = endpoint->asks;

	while (ask != NULL && !ask->is_answered)
		ask = ask->next;
	return ask;
}

/* Receipts and results of checks go first, always. */
static bool
has_room(struct links_endpoint *endpoint, const struct ask *ask)
{
	return endpoint->output.producer != NULL &&
	    endpoint->answer_count == 0 && are_read(endpoint) &&
	    links_output_has_room(&endpoint->output,
		sizeof(struct ask_result_header) + next_length(endpoint, ask),
		NULL);
}

static void
put_piece(struct links_endpoint *endpoint, struct ask *ask)
{
	const size_t length = next_length(endpoint, ask);
	const struct ask_result_header header = {
		.version = RECORD_VERSION,
		.is_last = ask->sent + length == ask->manage.length,
		.status = (uint16_t)ask->manage.status,
		.length = (uint32_t)ask->manage.length,
	};
	const struct ring_record record = {
		.kind = RECORD_ASK_RESULT,
		.correlation = ask->correlation,
		.time_ns = endpoint->links->now_ns,
	};
	uint8_t *body;

	body = links_output_claim(&endpoint->output, sizeof(header) + length);
	memcpy(body, &header, sizeof(header));
	memcpy(body + sizeof(header), ask->manage.text + ask->sent, length);
	links_output_put(&endpoint->output, &record);
	ask->sent += length;
	endpoint->asks_position =
	    RING_POSITION(ring_producer_next_head(endpoint->output.producer));
}

/* Out of the list; one that has more to say goes to its end. */
static void
take_turn(struct links_endpoint *endpoint, struct ask *ask)
{
	struct ask **link = &endpoint->asks;

	while (*link != ask)
		link = &(*link)->next;
	*link = ask->next;
	ask->next = NULL;
	endpoint->ask_count--;
	if (ask->sent < ask->manage.length) {
		add(endpoint, ask);
		return;
	}
	ask_free(ask);
}

bool
links_asks_round(struct links_endpoint *endpoint)
{
	struct ask *ask = first_answered(endpoint);

	if (ask == NULL)
		return false;
	if (ask->manage.text == NULL) {
		take_turn(endpoint, ask); /* no memory even for a word */
		return true;
	}
	if (!has_room(endpoint, ask))
		return false;
	put_piece(endpoint, ask);
	take_turn(endpoint, ask);
	return true;
}

bool
links_asks_can_move(struct links_endpoint *endpoint)
{
	const struct ask *ask = first_answered(endpoint);

	return ask != NULL &&
	    (ask->manage.text == NULL || has_room(endpoint, ask));
}

void
links_asks_forget(struct links_endpoint *endpoint)
{
	struct ask *ask;

	while ((ask = endpoint->asks) != NULL) {
		endpoint->asks = ask->next;
		ask->next = NULL;
		ask->endpoint = NULL;
		if (ask->is_answered)
			ask_free(ask);
	}
	endpoint->ask_count = 0;
	endpoint->asks_position = 0;
}
