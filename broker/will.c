/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/will.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/access.h"
#include "broker/publish.h"
#include "broker/route.h"
#include "broker/session_records.h"
#include "broker/store/store_record.h"
#include "broker/tally.h"
#include "broker/worker.h"
#include "common/base/clock.h"

struct will {
	struct will *next;
	uint64_t delay_ns;
	uint64_t due_ns;    /* see will_set_due() */
	uint64_t expiry_ns; /* after its publication; UINT64_MAX: never */
	uint64_t cursor;    /* under which the journal has it; 0: it has not */
	uint64_t left_ns;   /* when its connection ended, by the wall clock */
	struct slice client_id;
	struct message_parts parts;
	uint8_t bytes[];
};

static struct slice
keep(uint8_t **at, struct slice bytes)
{
	uint8_t *copy = *at;

	if (bytes.len != 0)
		memcpy(copy, bytes.data, bytes.len);
	*at += bytes.len;
	return slice_of(copy, bytes.len);
}

static void
read_properties(struct will *will, const struct mqtt_properties *properties)
{
	will->expiry_ns = UINT64_MAX;
	if (mqtt_properties_has(properties, MQTT_WILL_DELAY_INTERVAL))
		will->delay_ns =
		    properties->will_delay_interval_s * CLOCK_SECOND_NS;
	if (mqtt_properties_has(properties, MQTT_MESSAGE_EXPIRY_INTERVAL))
		will->expiry_ns =
		    properties->message_expiry_interval_s * CLOCK_SECOND_NS;
}

/* Zeroed, with room behind it for what of it has a length. */
static struct will *
make(const struct message_parts *parts, struct slice client_id)
{
	struct will *will;
	uint8_t *at;

	will = calloc(1,
	    sizeof(*will) + parts->topic.len + parts->properties.len +
		parts->payload.len + client_id.len);
	if (will == NULL)
		return NULL;
	at = will->bytes;
	will->expiry_ns = UINT64_MAX;
	will->parts = *parts;
	will->parts.link = MESSAGE_FROM_MQTT;
	will->parts.topic = keep(&at, parts->topic);
	will->parts.payload = keep(&at, parts->payload);
	will->client_id = keep(&at, client_id);
	/* Last: whoever has no bytes for them yet writes them here. */
	will->parts.properties = parts->properties.data == NULL
	    ? slice_of(at, parts->properties.len)
	    : keep(&at, parts->properties);
	return will;
}

struct will *
will_new(const struct mqtt_connect *connect, uint64_t identity)
{
	const bool v5 = connect->version == MQTT_5;
	const size_t properties_size =
	    v5 ? connect->will_properties.forwardable_size : 0;
	const struct message_parts parts = {
		.topic = connect->will_topic,
		.payload = connect->will_payload,
		.properties = slice_of(NULL, properties_size),
		.qos = connect->will_qos,
		.retain = connect->will_retain,
		.identity = identity,
	};
	struct will *will;

	will = make(&parts, connect->client_id);
	if (will == NULL || !v5)
		return will;
	read_properties(will, &connect->will_properties);
	mqtt_properties_copy_forwardable(&connect->will_properties,
	    will->bytes + parts.topic.len + parts.payload.len +
		connect->client_id.len);
	return will;
}

struct will *
will_restore(const struct store_session *session, uint64_t identity)
{
	const struct message_parts parts = {
		.topic = session->will_topic,
		.payload = session->will_payload,
		.properties = session->will_properties,
		.qos = session->will_qos,
		.retain = session->will_retain,
		.identity = identity,
	};
	struct will *will;

	will = make(&parts, session->client_id);
	if (will == NULL)
		return NULL;
	will->delay_ns = session->will_delay_ns;
	will->expiry_ns = session->will_expiry_ns;
	return will;
}

void
will_describe(const struct will *will, struct store_session *session)
{
	session->has_will = true;
	session->will_delay_ns = will->delay_ns;
	session->will_expiry_ns = will->expiry_ns;
	session->will_qos = will->parts.qos;
	session->will_retain = will->parts.retain;
	session->will_topic = will->parts.topic;
	session->will_properties = will->parts.properties;
	session->will_payload = will->parts.payload;
}

void
will_free(struct will *will)
{
	free(will);
}

uint64_t
will_delay_ns(const struct will *will)
{
	return will->delay_ns;
}

void
will_set_due(struct will *will, uint64_t due_ns)
{
	will->due_ns = due_ns;
}

uint64_t
will_due_ns(const struct will *will)
{
	return will->due_ns;
}

uint64_t
will_identity(const struct will *will)
{
	return will->parts.identity;
}

void
will_set_owner(struct will *will, uint64_t cursor, uint64_t left_ns)
{
	will->cursor = cursor;
	will->left_ns = left_ns;
}

uint64_t
will_cursor(const struct will *will)
{
	return will->cursor;
}

uint64_t
will_left_ns(const struct will *will)
{
	return will->left_ns;
}

static struct message *
make_message(struct worker *worker, struct will *will)
{
	struct message_parts *parts = &will->parts;

	parts->created_ns = worker_now_ns(worker);
	parts->expires_ns = will->expiry_ns > UINT64_MAX - parts->created_ns
	    ? UINT64_MAX
	    : parts->created_ns + will->expiry_ns;
	return message_new(worker->messages, parts);
}

/* What became of trying to publish a will. */
enum outcome {
	PUBLISHED,
	DROPPED, /* nobody is left to be told */
	WAITS    /* there is no room now, and nothing was done */
};

static enum outcome
wait_for_memory(struct worker *worker)
{
	worker_retry_soon(worker);
	return WAITS;
}

static enum outcome
publish_directly(struct worker *worker, struct will *will, uint64_t bridges)
{
	struct broker *broker = worker->broker;
	struct message *message;

	message = make_message(worker, will);
	if (message == NULL)
		return wait_for_memory(worker);
	if (bridges != 0)
		bridge_port_send(worker->port, bridges, message);
	route_local(broker, worker, message, NULL);
	if (worker->commit != NULL && message->retain)
		publish_keep_retained(
		    worker, message, route_retain_serial(broker, worker));
	message_put(message);
	return PUBLISHED;
}

static enum outcome
publish_to_bridges(
    struct worker *worker, struct will *will, uint64_t bridges, size_t weight)
{
	if (bridges == 0)
		return publish_directly(worker, will, 0);
	switch (bridge_port_offer(worker->port, bridges, weight)) {
	case BRIDGE_PORT_TAKES:
		return publish_directly(worker, will, bridges);
	case BRIDGE_PORT_STALLS:
		return WAITS;
	case BRIDGE_PORT_REJECTS:
		break;
	}
	return DROPPED;
}

static enum outcome
publish_to_journal(
    struct worker *worker, struct will *will, uint64_t bridges, size_t weight)
{
	struct publication publication = { .publisher = NULL };
	unsigned receivers;
	uint64_t ticket;

	switch (publish_offer(worker, bridges, weight, &publication.bridges)) {
	case PUBLISH_TAKES:
		break;
	case PUBLISH_WAITS:
	case PUBLISH_STALLS:
		return WAITS;
	case PUBLISH_REFUSES:
		return wait_for_memory(worker);
	case PUBLISH_REJECTS:
		return DROPPED;
	}
	publication.message = make_message(worker, will);
	if (publication.message == NULL) {
		publish_withdraw(worker, publication.bridges, weight);
		return wait_for_memory(worker);
	}
	ticket = publish_commit(worker, &publication, &receivers);
	message_put(publication.message);
	if (ticket == 0)
		return wait_for_memory(worker);
	tally_accepted(worker->tally, bridges & ~publication.bridges);
	return PUBLISHED;
}

/* Accounts may have changed since its CONNECT. */
static bool
is_allowed(struct worker *worker, const struct will *will)
{
	struct access *access;
	bool is_allowed = true;

	if (auth_access(worker->broker->auth, will->parts.identity,
		will->client_id, &access) != 0)
		return false;
	if (access != NULL)
		is_allowed = access_may_publish(access, will->parts.topic);
	access_free(access);
	return is_allowed;
}

static void
deny(struct worker *worker, const struct will *will)
{
	worker_count(worker, COUNT_wills_denied);
	log_info("will_denied",
	    "client=%s topic=%s help=\"the account may not publish there any "
	    "more\"",
	    log_quote_n(will->client_id.data, will->client_id.len),
	    log_quote_n(will->parts.topic.data, will->parts.topic.len));
}

/* False: there is no room now, and nothing was done. */
static bool
try_to_publish(struct worker *worker, struct will *will)
{
	const struct message_parts *parts = &will->parts;
	const size_t weight = message_weight_of(
	    parts->topic.len, parts->properties.len, parts->payload.len);
	enum outcome outcome;
	uint64_t bridges;

	if (!is_allowed(worker, will)) {
		deny(worker, will);
		return true;
	}
	bridges = bridge_table_match(worker->broker->bridges, parts->topic);
	outcome = worker->commit != NULL && parts->qos != 0
	    ? publish_to_journal(worker, will, bridges, weight)
	    : publish_to_bridges(worker, will, bridges, weight);
	if (outcome == WAITS)
		return false;
	worker_count(worker,
	    outcome == PUBLISHED ? COUNT_wills_published : COUNT_wills_dropped);
	tally_offered(worker->tally, bridges);
	if (outcome == DROPPED)
		tally_declined(worker->tally, bridges);
	return true;
}

void
will_publish(struct worker *worker, struct will *will)
{
	if (worker->is_over ||
	    worker->waiting_wills.count >= WILL_MAX_WAITING) {
		worker_count(worker, COUNT_wills_dropped);
		will_free(will);
		return;
	}
	will_publish_restored(worker, will);
}

void
will_publish_restored(struct worker *worker, struct will *will)
{
	struct will_queue *queue = &worker->waiting_wills;

	will->next = NULL;
	if (queue->last != NULL)
		queue->last->next = will;
	else
		queue->first = will;
	queue->last = will;
	if (queue->count++ == 0)
		worker->wills_wait = false;
}

struct will *
will_next_waiting(const struct worker *worker, const struct will *will)
{
	return will == NULL ? worker->waiting_wills.first : will->next;
}

static struct will *
remove_first(struct will_queue *queue)
{
	struct will *will = queue->first;

	queue->first = will->next;
	if (queue->first == NULL)
		queue->last = NULL;
	queue->count--;
	return will;
}

void
will_retry(struct worker *worker)
{
	struct will_queue *queue = &worker->waiting_wills;

	while (queue->count != 0 && try_to_publish(worker, queue->first)) {
		session_records_will_over(worker, queue->first);
		will_free(remove_first(queue));
	}
	worker->wills_wait = queue->count != 0;
}

void
will_queue_fini(struct worker *worker)
{
	while (worker->waiting_wills.count != 0) {
		worker_count(worker, COUNT_wills_dropped);
		will_free(remove_first(&worker->waiting_wills));
	}
}
