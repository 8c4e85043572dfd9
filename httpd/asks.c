/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/asks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "httpd/counters.h"

/* Room for an answer of our own. */
#define OWN_ANSWER_SIZE 320u

struct ask {
	bool is_used;
	uint64_t id;
	uint64_t deadline_ns;
	void *owner;
	asks_done done; /* NULL: the owner has gone */

	/* The answer as far as it is there. */
	char *text;
	uint32_t length; /* of the whole; 0: nothing has come */
	uint32_t have;
	uint16_t status;
};

struct asks {
	const struct asks_ops *ops;
	void *context;
	struct stats_block *counters;
	uint64_t next_id;
	uint64_t bytes; /* of all texts */
	unsigned count;
	struct ask ask[ASKS_MAX];
};

struct asks *
asks_new(
    const struct asks_ops *ops, void *context, struct stats_block *counters)
{
	struct asks *asks = calloc(1, sizeof(*asks));

	if (asks == NULL)
		return NULL;
	asks->ops = ops;
	asks->context = context;
	asks->counters = counters;
	asks->next_id = 1;
	return asks;
}

void
asks_free(struct asks *asks)
{
	if (asks == NULL)
		return;
	for (unsigned i = 0; i < ASKS_MAX; i++)
		free(asks->ask[i].text);
	free(asks);
}

unsigned
asks_count(const struct asks *asks)
{
	return asks->count;
}

/* ---- answers ------------------------------------------------------------ */

/*
 * `message` holds sentences of ours and of the link: what JSON would have to
 * escape is left out.
 */
static void
refuse(void *owner, asks_done done, unsigned status, const char *message)
{
	char text[OWN_ANSWER_SIZE];
	size_t at;

	at = (size_t)snprintf(
	    text, sizeof(text), "{\"status\":%u,\"message\":\"", status);
	for (; *message != '\0' && at < sizeof(text) - 3; message++)
		if ((unsigned char)*message >= ' ' && *message != '"' &&
		    *message != '\\')
			text[at++] = *message;
	text[at++] = '"';
	text[at++] = '}';
	done(owner, status, slice_of(text, at));
}

/* The place is free before the owner is told: it may ask the next one. */
static struct ask
take_out(struct asks *asks, struct ask *ask)
{
	struct ask copy = *ask;

	asks->bytes -= ask->length;
	asks->count--;
	*ask = (struct ask){ .is_used = false };
	return copy;
}

static void
end(struct asks *asks, struct ask *ask, unsigned status, const char *message)
{
	struct ask over = take_out(asks, ask);

	free(over.text);
	if (over.done != NULL)
		refuse(over.owner, over.done, status, message);
}

static void
finish(struct asks *asks, struct ask *ask)
{
	struct ask over = take_out(asks, ask);

	if (over.done != NULL)
		over.done(
		    over.owner, over.status, slice_of(over.text, over.length));
	free(over.text);
}

static struct ask *
find(struct asks *asks, uint64_t id)
{
	for (unsigned i = 0; i < ASKS_MAX; i++)
		if (asks->ask[i].is_used && asks->ask[i].id == id)
			return &asks->ask[i];
	return NULL;
}

/* The first piece says how long the answer will be. */
static bool
begin(
    struct asks *asks, struct ask *ask, const struct ask_result_header *header)
{
	if (header->length > ASK_ANSWER_MAX) {
		end(asks, ask, 413,
		    "the answer is too long: ask for a page of it");
		return false;
	}
	if (header->length > ASKS_BYTES_MAX - asks->bytes ||
	    (ask->text = malloc(header->length)) == NULL) {
		stats_increment(asks->counters, COUNT_asks_busy);
		end(asks, ask, 503,
		    "too many long answers are under way: try again");
		return false;
	}
	ask->length = header->length;
	ask->status = header->status;
	asks->bytes += ask->length;
	return true;
}

bool
asks_result(struct asks *asks, uint64_t id,
    const struct ask_result_header *header, struct slice bytes)
{
	struct ask *ask = find(asks, id);

	if (ask == NULL)
		return false;
	if (header->version != 1 || header->length == 0 ||
	    (ask->length != 0 &&
		(header->length != ask->length ||
		    header->status != ask->status)) ||
	    bytes.len > header->length - ask->have ||
	    (header->is_last != 0) !=
		(ask->have + bytes.len == header->length)) {
		end(asks, ask, 502, "the broker's answer makes no sense");
		return false;
	}
	if (ask->length == 0 && !begin(asks, ask, header))
		return true;
	memcpy(ask->text + ask->have, bytes.data, bytes.len);
	ask->have += (uint32_t)bytes.len;
	if (header->is_last != 0)
		finish(asks, ask);
	return true;
}

/* ---- questions ---------------------------------------------------------- */

static struct ask *
find_place(struct asks *asks)
{
	for (unsigned i = 0; i < ASKS_MAX; i++)
		if (!asks->ask[i].is_used)
			return &asks->ask[i];
	return NULL;
}

static void
refuse_put(struct asks *asks, const struct asks_question *question, int err)
{
	if (err == -EMSGSIZE) {
		refuse(question->owner, question->done, 413,
		    "this is longer than a question to the broker may be");
	} else if (err == -EAGAIN) {
		stats_increment(asks->counters, COUNT_asks_busy);
		refuse(question->owner, question->done, 503,
		    "too many questions to the broker are under way: try "
		    "again");
	} else {
		refuse(question->owner, question->done, 503,
		    asks->ops->away_reason(asks->context));
	}
}

void
asks_put(struct asks *asks, const struct asks_question *question)
{
	struct ask *ask = find_place(asks);
	int err = -EAGAIN;

	if (question->text.len > ASK_MAX)
		err = -EMSGSIZE;
	else if (ask != NULL)
		err = asks->ops->ask(asks->context, question->text,
		    question->identity, asks->next_id);
	if (err != 0) {
		refuse_put(asks, question, err);
		return;
	}
	stats_increment(asks->counters, COUNT_asks);
	*ask = (struct ask){
		.is_used = true,
		.id = asks->next_id++,
		.deadline_ns = question->now_ns +
		    (question->timeout_ns != 0 ? question->timeout_ns
					       : ASKS_TIMEOUT_NS),
		.owner = question->owner,
		.done = question->done,
	};
	asks->count++;
}

void
asks_forget(struct asks *asks, const void *owner)
{
	for (unsigned i = 0; i < ASKS_MAX && asks->count != 0; i++)
		if (asks->ask[i].is_used && asks->ask[i].owner == owner) {
			asks->ask[i].owner = NULL;
			asks->ask[i].done = NULL;
		}
}

void
asks_expire(struct asks *asks, uint64_t now_ns)
{
	for (unsigned i = 0; i < ASKS_MAX && asks->count != 0; i++) {
		if (!asks->ask[i].is_used || asks->ask[i].deadline_ns > now_ns)
			continue;
		stats_increment(asks->counters, COUNT_asks_late);
		end(asks, &asks->ask[i], 504,
		    "the broker has not answered in time: an order may have "
		    "been carried out");
	}
}

void
asks_flush(struct asks *asks)
{
	const uint64_t last = asks->next_id;

	/* Those that come while these are told are of the new time. */
	for (unsigned i = 0; i < ASKS_MAX && asks->count != 0; i++)
		if (asks->ask[i].is_used && asks->ask[i].id < last)
			end(asks, &asks->ask[i], 503,
			    "the broker went away before it answered: an "
			    "order may have been carried out");
}
