/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/will.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/publish.h"
#include "broker/route.h"
#include "broker/worker.h"
#include "common/base/clock.h"

struct will {
	struct will *next;
	uint64_t delay_ns;
	uint64_t expiry_ns; /* after its publication; UINT64_MAX: never */
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

struct will *
will_new(const struct mqtt_connect *connect, uint64_t identity)
{
	const bool v5 = connect->version == MQTT_5;
	const size_t properties_size =
	    v5 ? connect->will_properties.forwardable_size : 0;
	struct will *will;
	uint8_t *at;

	will = calloc(1,
	    sizeof(*will) + connect->will_topic.len + properties_size +
		connect->will_payload.len);
	if (will == NULL)
		return NULL;
	at = will->bytes;
	will->expiry_ns = UINT64_MAX;
	will->parts.topic = keep(&at, connect->will_topic);
	will->parts.payload = keep(&at, connect->will_payload);
	if (v5) {
		read_properties(will, &connect->will_properties);
		mqtt_properties_copy_forwardable(&connect->will_properties, at);
		will->parts.properties = slice_of(at, properties_size);
	}
	will->parts.qos = connect->will_qos;
	will->parts.retain = connect->will_retain;
	will->parts.link = MESSAGE_FROM_MQTT;
	will->parts.identity = identity;
	return will;
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
	return ticket == 0 ? wait_for_memory(worker) : PUBLISHED;
}

/* False: there is no room now, and nothing was done. */
static bool
try_to_publish(struct worker *worker, struct will *will)
{
	const struct message_parts *parts = &will->parts;
	const size_t weight =
	    128 + parts->topic.len + parts->properties.len + parts->payload.len;
	enum outcome outcome;
	uint64_t bridges;

	bridges = bridge_table_match(worker->broker->bridges, parts->topic);
	outcome = worker->commit != NULL && parts->qos != 0
	    ? publish_to_journal(worker, will, bridges, weight)
	    : publish_to_bridges(worker, will, bridges, weight);
	if (outcome == PUBLISHED)
		worker_count(worker, COUNT_wills_published);
	if (outcome == DROPPED)
		worker_count(worker, COUNT_wills_dropped);
	return outcome != WAITS;
}

void
will_publish(struct worker *worker, struct will *will)
{
	struct will_queue *queue = &worker->waiting_wills;

	if (worker->is_over || queue->count >= WILL_MAX_WAITING) {
		worker_count(worker, COUNT_wills_dropped);
		will_free(will);
		return;
	}
	will->next = NULL;
	if (queue->last != NULL)
		queue->last->next = will;
	else
		queue->first = will;
	queue->last = will;
	if (queue->count++ == 0)
		worker->wills_wait = false;
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

	while (queue->count != 0 && try_to_publish(worker, queue->first))
		will_free(remove_first(queue));
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
