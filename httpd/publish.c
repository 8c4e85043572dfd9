/* SPDX-License-Identifier: Apache-2.0 */

/* From the body of a request to messages, and the count of outcomes. */

#include "httpd/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/token_bucket.h"
#include "httpd/connection.h"
#include "httpd/lanes.h"
#include "httpd/limits.h"
#include "httpd/publication.h"
#include "httpd/publish_fast.h"

/* Most publications at a time is bounded by the requests that exist. */
#define PUBLICATIONS_MAX (1u << 24)

struct publisher *
publisher_new(const struct publisher_ports *ports)
{
	struct publisher *publisher;

	publisher = calloc(1, sizeof(*publisher));
	if (publisher == NULL)
		return NULL;
	if (pool_init(&publisher->publications, sizeof(struct publication), 16,
		PUBLICATIONS_MAX) != 0) {
		free(publisher);
		return NULL;
	}
	publisher->ports = *ports;
	publisher->life = ports->life;
	return publisher;
}

void
publisher_free(struct publisher *publisher)
{
	if (publisher == NULL)
		return;
	publish_scratch_fini(&publisher->scratch);
	pool_fini(&publisher->publications);
	free(publisher);
}

const char *
publisher_client(const void *owner)
{
	const struct publication *publication = owner;
	struct request *request = publication->request;

	if (request == NULL)
		return "-";
	return request->account_name[0] != '\0' ? request->account_name
						: request_peer(request);
}

uint32_t
publisher_under_way(const struct publisher *publisher)
{
	return publisher->use.in_use;
}

struct pool_use
publisher_use(const struct publisher *publisher)
{
	struct pool_use use = publisher->use;

	use.max = publisher->publications.max;
	return use;
}

static void
publication_free(struct publisher *publisher, struct publication *publication)
{
	for (uint32_t i = 0; i < publication->results_room; i++)
		free(publication->results[i].message);
	free(publication->results);
	free(publication->labels);
	pool_put(&publisher->publications, publication);
	pool_use_put(&publisher->use);
}

/* All outcomes are in. */
static void
conclude(struct publisher *publisher, struct publication *publication)
{
	if (publication->request != NULL) {
		publication->request->owner = NULL;
		publication_answer(publisher, publication);
	}
	publication_free(publisher, publication);
}

static void
record_result(struct publication *publication, uint32_t index,
    const struct publish_status *status, uint32_t receivers)
{
	const bool is_first_failure =
	    status->status != 200 && publication->first_failure.status == 0;
	struct result *result;

	publication->settled++;
	if (status->status == 200)
		publication->accepted++;
	if (is_first_failure)
		publication->first_failure = *status;
	publication->receivers += receivers;
	if (publication->results == NULL)
		return;
	result = &publication->results[index];
	result->status = *status;
	result->receivers = receivers;
	/* The text may be the publication's own, for its last failure. */
	result->status.message = NULL;
	if (status->message != NULL)
		result->message = strdup(status->message);
	if (result->message == NULL)
		return;
	publication->messages_length += strlen(result->message);
	if (is_first_failure)
		publication->first_failure.message = result->message;
}

void
publisher_settled(struct publisher *publisher, void *owner, uint32_t index,
    const struct pending_outcome *outcome)
{
	struct publication *publication = owner;
	struct publish_status status;
	uint32_t receivers;

	status =
	    publication_status(publisher, publication, outcome, &receivers);
	record_result(publication, index, &status, receivers);
	if (publication->request == NULL &&
	    outcome->result != PENDING_ABANDONED)
		publisher_count(publisher, COUNT_late_results_messages);
	if (!publication->is_open && publication->settled == publication->total)
		conclude(publisher, publication);
}

void
publisher_gone(struct publisher *publisher, struct request *request)
{
	struct publication *publication = request->owner;

	if (publication == NULL)
		return;
	request->owner = NULL;
	publication->request = NULL;
	/* It may end here, or with the last receipt. */
	publication->is_open = true;
	pending_abandon(publisher->ports.pending, publication);
	publication->is_open = false;
	if (publication->settled == publication->total)
		conclude(publisher, publication);
}

/* A larger message than the limit ever lets pass, or one too many for now. */
static struct publish_status
status_of_limit(
    struct publication *publication, const struct limits_refusal *refusal)
{
	struct publish_status status = { 429, 429, 1, publication->detail };

	publication_names_limit(
	    publication, refusal->limit, PUBLICATION_NO_LANE);
	if (refusal->wait_ns == TOKEN_BUCKET_NEVER) {
		status.status = status.code = 413;
		status.retry_after_s = 0;
		snprintf(publication->detail, sizeof(publication->detail),
		    "the message is larger than the burst of %s; it can never "
		    "pass",
		    refusal->limit);
		return status;
	}
	status.retry_after_s = limits_retry_after_s(refusal);
	snprintf(publication->detail, sizeof(publication->detail),
	    "the rate limit %s is reached", refusal->limit);
	return status;
}

/* May this message come now?  Else its refusal is recorded. */
static bool
pass_limits(struct publisher *publisher, struct publication *publication,
    const struct record_message *message, uint32_t index)
{
	const struct request *request = publication->request;
	const struct limits_who who = { request->account,
		request_client(request) };
	struct limits_refusal refusal;
	struct publish_status status;
	size_t bytes = message->topic.len + message->payload.len;

	if (limits_take_message(publisher->ports.limits, &who, message->topic,
		bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes,
		&publication->limits_asked, loop_now_ns(publisher->ports.loop),
		&refusal))
		return true;
	publisher_count(publisher, COUNT_refused_messages);
	publisher_count(publisher, COUNT_refused_rate_messages);
	status = status_of_limit(publication, &refusal);
	record_result(publication, index, &status, 0);
	return false;
}

static void
send_one(struct publisher *publisher, struct publication *publication,
    const struct record_message *message, uint32_t index)
{
	uint32_t lane;

	publisher_count(publisher, COUNT_offered_messages);
	if (!pass_limits(publisher, publication, message, index))
		return;
	lane = lanes_find(publisher->ports.lanes, message->topic);
	pending_send(publisher->ports.pending, lane, message,
	    publication->identity, publication, index,
	    loop_now_ns(publisher->ports.loop));
}

/* Room for one more result and a copy of its topic. */
static int
add_result(struct publication *publication, struct slice topic)
{
	struct result *grown;
	uint32_t room;

	if (publication->labels == NULL)
		publication->labels = malloc(publication->labels_size);
	if (publication->labels == NULL)
		return -ENOMEM;
	BUG_ON(
	    topic.len > publication->labels_size - publication->labels_length);
	if (publication->total == publication->results_room) {
		room = publication->results_room == 0
		    ? 64
		    : publication->results_room * 2;
		grown = realloc(publication->results, room * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		memset(grown + publication->results_room, 0,
		    (room - publication->results_room) * sizeof(*grown));
		publication->results = grown;
		publication->results_room = room;
	}
	if (topic.len > 0)
		memcpy(publication->labels + publication->labels_length,
		    topic.data, topic.len);
	publication->results[publication->total] = (struct result){
		.topic =
		    slice_of(publication->labels + publication->labels_length,
			topic.len),
	};
	publication->labels_length += topic.len;
	return 0;
}

/*
 * Send a decoded entry to each of its topics.  A publication of one message
 * needs no list of results.
 */
static int
send_entry(struct publisher *publisher, struct publication *publication)
{
	struct publish_entry *entry = &publisher->entry;
	bool is_single = !publish_shape_is_array(publication->shape) &&
	    entry->topic_count == 1;
	int err;

	for (size_t i = 0; i < entry->topic_count; i++) {
		err = is_single ? 0 : add_result(publication, entry->topics[i]);
		if (err != 0)
			return err;
		entry->message.topic = entry->topics[i];
		send_one(publisher, publication, &entry->message,
		    publication->total++);
	}
	return 0;
}

static int
add_invalid(struct publisher *publisher, struct publication *publication,
    struct slice label)
{
	struct publish_status status = { 400, publisher->error.code, 0,
		publication->detail };
	int err;

	publisher_count(publisher, COUNT_invalid_messages);
	snprintf(publication->detail, sizeof(publication->detail), "%s",
	    publisher->error.text);
	err = add_result(publication, label);
	if (err == 0)
		record_result(publication, publication->total++, &status, 0);
	return err;
}

/* Topics count: a short request may not become a flood. */
static int
too_many(struct publisher *publisher)
{
	publisher->error.code = PUBLISH_CODE_BAD_FIELD;
	snprintf(publisher->error.text, sizeof(publisher->error.text),
	    "more than %d messages in one request", PUBLISH_BATCH_MAX);
	return -EBADMSG;
}

static int
send_document(struct publisher *publisher, struct publication *publication,
    struct publish_document *document)
{
	int err = 0;

	for (size_t i = 0; i < document->count && err == 0; i++) {
		err = publish_json_read(
		    document, i, &publisher->entry, &publisher->error);
		if (err == 0 &&
		    publication->total + publisher->entry.topic_count >
			PUBLISH_BATCH_MAX)
			err = too_many(publisher);
		if (err == -EBADMSG && !publish_shape_is_array(document->shape))
			return err;
		if (err == -EBADMSG)
			err = add_invalid(publisher, publication,
			    publish_json_label(document, i));
		else if (err == 0)
			err = send_entry(publisher, publication);
	}
	return err;
}

static void
answer_invalid(struct publisher *publisher, struct request *request)
{
	publisher_count(publisher, COUNT_invalid_messages);
	request_answer_error(request, 400, publisher->error.code, 0, NULL,
	    publisher->error.text);
}

static void
answer_no_memory(struct request *request)
{
	request_answer_error(
	    request, 503, 503, 1, NULL, "weir-httpd has no memory left");
}

static struct publication *
publication_new(struct publisher *publisher, struct request *request,
    size_t body_length, enum publish_shape shape)
{
	struct publication *publication;

	publication = pool_take(&publisher->publications);
	if (publication == NULL)
		return NULL;
	memset(publication, 0, sizeof(*publication));
	publication->request = request;
	publication->identity = request->identity;
	publication->shape = shape;
	publication->first_serial = publisher->serial;
	publication->is_open = true;
	publication->labels_size = body_length;
	pool_use_take(&publisher->use);
	return publication;
}

/* All messages have been sent, or err says why not; some may be settled. */
static void
finish_sending(
    struct publisher *publisher, struct publication *publication, int err)
{
	struct request *request = publication->request;

	publication->is_open = false;
	publisher->serial += publication->total;
	if (err == -ENOMEM) {
		publication->is_cut = true;
		publication->first_failure = (struct publish_status){ 503, 503,
			1, "weir-httpd has no memory left" };
	}

	if (publication->total == 0) {
		request->owner = NULL;
		publication_free(publisher, publication);
		if (err == -EBADMSG)
			answer_invalid(publisher, request);
		else
			answer_no_memory(request);
	} else if (publication->settled == publication->total) {
		conclude(publisher, publication);
	}
}

static void
run_document(struct publisher *publisher, struct request *request,
    struct slice body, enum publish_shape shape)
{
	struct publish_document document;
	struct publication *publication;
	int err;

	err = publish_json_open(
	    &publisher->scratch, body, shape, &document, &publisher->error);
	if (err == -EBADMSG) {
		answer_invalid(publisher, request);
		return;
	}
	publication = err != 0
	    ? NULL
	    : publication_new(publisher, request, body.len, shape);
	if (publication == NULL) {
		if (err == 0)
			publish_json_close(&document);
		answer_no_memory(request);
		return;
	}
	request->owner = publication;
	err = send_document(publisher, publication, &document);
	publish_json_close(&document);
	finish_sending(publisher, publication, err);
}

void
publisher_run(struct publisher *publisher, struct request *request,
    struct slice body, enum publish_shape shape)
{
	struct publication *publication;
	int err;

	if (publish_shape_is_array(shape) ||
	    !publish_fast_read(body, &publisher->entry)) {
		run_document(publisher, request, body, shape);
		return;
	}
	publication = publication_new(publisher, request, body.len, shape);
	if (publication == NULL) {
		answer_no_memory(request);
		return;
	}
	request->owner = publication;
	err = send_entry(publisher, publication);
	finish_sending(publisher, publication, err);
}
