/* SPDX-License-Identifier: Apache-2.0 */

/*
 * on_publish - PUBLISH from clients, and its acknowledgement.
 *
 * A PUBLISH that finds no room is parked as it came, before any side effect,
 * and so are all later ones of the same client, so that their order is kept.
 * Its other packets are handled meanwhile.  When the read-ahead is full,
 * reading is paused.  worker_bridges_moved() has parked ones tried again.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/access.h"
#include "broker/client.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/publish.h"
#include "broker/route.h"
#include "broker/tally.h"
#include "broker/throttle.h"
#include "common/base/clock.h"
#include "common/msg/topic.h"

/* Properties up to this size are put together on the stack. */
#define SCRATCH_SIZE 512

/* What became of trying to publish. */
enum outcome {
	PUBLISHED, /* or refused, or dropped: it is dealt with */
	STALLED,   /* nothing was done */
	OVER       /* the client is */
};

static enum outcome
outcome_of(bool alive)
{
	return alive ? PUBLISHED : OVER;
}

static enum packet_verdict
verdict_of(bool alive)
{
	return alive ? PACKET_DONE : PACKET_OVER;
}

/* ---- acknowledging ------------------------------------------------------ */

/* [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] */
static enum mqtt_packet_type
ack_type(const struct mqtt_publish *publish)
{
	return publish->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC;
}

/*
 * Acknowledge once `ticket` is in the rings of `bridges`, or in the journal,
 * and after all that came before.  False: the client is over.
 */
static bool
acknowledge(struct client *client, const struct mqtt_publish *publish,
    uint64_t bridges, uint64_t ticket, enum mqtt_reason reason)
{
	return publish->qos == 0 ||
	    client_acknowledge_after(client,
		&(struct pending_ack){
		    .bridges = bridges,
		    .ticket = ticket,
		    .packet_id = publish->packet_id, /* [MQTT-2.2.1-5] */
		    .type = (uint8_t)ack_type(publish),
		    .reason = (uint8_t)reason,
		});
}

/* ---- what is counted for bridges ---------------------------------------- */

/* Once a message: it may be tried again, and be for other bridges then. */
static void
note_offered(struct client *client, uint64_t bridges)
{
	if (client->offered != bridges)
		tally_moved(client->worker->tally, client->offered, bridges);
	client->offered = bridges;
}

/* These drop it by their policy; the others count it when they get it. */
static void
note_taken(struct client *client, uint64_t dropped_by)
{
	tally_accepted(client->worker->tally, dropped_by);
	client->offered = 0;
}

/* It is dealt with: who has not taken it has refused it. */
static void
note_decided(struct client *client)
{
	if (client->offered != 0)
		tally_declined(client->worker->tally, client->offered);
	client->offered = 0;
}

/* ---- publishing --------------------------------------------------------- */

/* "$SYS/..." is the broker's own to publish to. */
static bool
is_own(struct slice topic)
{
	return slice_starts_with(topic, slice_of_string("$SYS/")) ||
	    slice_equal_string(topic, "$SYS");
}

static bool
may_publish(const struct client *client, struct slice topic)
{
	return !is_own(topic) &&
	    (client->access == NULL ||
		access_may_publish(client->access, topic));
}

static enum outcome
refuse(struct client *client, const struct mqtt_publish *publish,
    enum mqtt_reason reason)
{
	/* [MQTT3-3.3.5-2] no way to say so: acknowledge and drop. */
	if (client->version != MQTT_5)
		reason = MQTT_SUCCESS;
	return outcome_of(acknowledge(client, publish, 0, 0, reason));
}

/* Its account may not publish there. */
static enum outcome
deny(struct client *client, const struct mqtt_publish *publish)
{
	worker_count(client->worker, COUNT_publishes_denied);
	if (!client->is_denied)
		log_info("publish_denied",
		    "client=%s topic=%s help=\"see accounts.publish and access "
		    "in weir.conf(5); said once a connection\"",
		    session_quote(client->session),
		    log_quote_n(publish->topic.data, publish->topic.len));
	client->is_denied = true;
	return refuse(client, publish, MQTT_NOT_AUTHORIZED);
}

/* Not taken, and the publisher is told so. */
static enum outcome
decline(struct client *client, const struct mqtt_publish *publish,
    enum mqtt_reason reason)
{
	if (client->version == MQTT_5)
		return refuse(client, publish, reason);
	client_finish(client, true);
	return OVER;
}

static enum limit
limit_of(const struct client *client, const struct mqtt_publish *publish)
{
	const struct limits_set *set = &client->worker->limits.set;
	enum limit limit = limits_topic(set, publish->topic);

	if (limit == LIMIT_NONE && client->version == MQTT_5)
		limit = limits_user_properties(
		    set, publish->properties.user_property_count);
	return limit;
}

static enum outcome
refuse_at(
    struct client *client, const struct mqtt_publish *publish, enum limit limit)
{
	limit_reached(client->worker, limit, client);
	/* There is no way to refuse QoS 0. */
	return publish->qos == 0
	    ? PUBLISHED
	    : decline(client, publish, limit_reason(limit));
}

/* A bridge with overflow = "reject" has no room. */
static enum outcome
reject(struct client *client, const struct mqtt_publish *publish)
{
	struct worker *worker = client->worker;

	if (publish->qos == 0) {
		worker_count(worker, COUNT_dropped_qos0_bridge);
		return PUBLISHED;
	}
	worker_count(worker, COUNT_bridge_rejects);
	return decline(client, publish, MQTT_QUOTA_EXCEEDED);
}

static enum outcome
stall_on_bridge(struct client *client, const struct mqtt_publish *publish)
{
	struct worker *worker = client->worker;

	if (publish->qos == 0 && worker->broker->conf->qos0 == CONF_QOS0_DROP) {
		worker_count(worker, COUNT_dropped_qos0_bridge);
		return PUBLISHED;
	}
	if (!client->is_stalled)
		worker_count(worker, COUNT_bridge_stalls);
	return STALLED;
}

static enum outcome
stall_on_memory(struct client *client)
{
	if (!client->is_stalled)
		worker_count(client->worker, COUNT_memory_stalls);
	worker_retry_soon(client->worker);
	return STALLED;
}

static uint64_t
expires_ns(const struct client *client, const struct mqtt_publish *publish,
    uint64_t now_ns)
{
	if (client->version != MQTT_5 ||
	    !mqtt_properties_has(
		&publish->properties, MQTT_MESSAGE_EXPIRY_INTERVAL))
		return UINT64_MAX;
	return now_ns +
	    publish->properties.message_expiry_interval_s * CLOCK_SECOND_NS;
}

static struct message *
make_message(struct client *client, const struct mqtt_publish *publish)
{
	struct worker *worker = client->worker;
	struct message_parts parts = {
		.topic = publish->topic,
		.payload = publish->payload,
		.qos = publish->qos,
		.retain = publish->retain,
		.link = MESSAGE_FROM_MQTT,
		.identity = client->identity,
		.created_ns = worker_now_ns(worker),
	};
	uint8_t stack[SCRATCH_SIZE], *scratch = stack;
	struct message *message;

	parts.expires_ns = expires_ns(client, publish, parts.created_ns);
	if (client->version == MQTT_5) {
		if (publish->properties.forwardable_size > sizeof(stack))
			scratch = malloc(publish->properties.forwardable_size);
		if (scratch == NULL)
			return NULL;
		parts.properties =
		    mqtt_properties_forwardable(&publish->properties, scratch);
	}
	message = message_new(worker->messages, &parts);
	if (scratch != stack)
		free(scratch);
	return message;
}

/* message_weight() of what this would become. */
static size_t
weight_of(const struct client *client, const struct mqtt_publish *publish)
{
	return message_weight_of(publish->topic.len,
	    client->version == MQTT_5 ? publish->properties.forwardable_size
				      : 0,
	    publish->payload.len);
}

/* A QoS 2 message that is here already [MQTT-4.3.3-10]. */
static enum outcome
repeat(struct client *client, const struct mqtt_publish *publish)
{
	worker_count(client->worker, COUNT_duplicates);
	/* If its PUBREC is still to come, that will do. */
	if (ack_queue_has(
		&client->session->acks, MQTT_PUBREC, publish->packet_id))
		return PUBLISHED;
	return outcome_of(acknowledge(client, publish, 0, 0, MQTT_SUCCESS));
}

static enum mqtt_reason
count_published(struct client *client, const struct mqtt_publish *publish,
    unsigned receivers)
{
	struct worker *worker = client->worker;

	worker_count(worker, COUNT_messages_accepted);
	stats_add(
	    worker->counters, COUNT_publish_bytes_in, publish->payload.len);
	if (receivers != 0)
		return MQTT_SUCCESS;
	worker_count(worker, COUNT_no_receiver);
	return client->version == MQTT_5 ? MQTT_NO_MATCHING_SUBSCRIBERS
					 : MQTT_SUCCESS;
}

/* The message, and its identifier noted.  NULL: no memory, nothing is done. */
static struct message *
begin_message(struct client *client, const struct mqtt_publish *publish)
{
	struct message *message = make_message(client, publish);

	if (message != NULL && publish->qos == 2 &&
	    packet_ids_add(&client->session->received, publish->packet_id) !=
		0) {
		message_put(message);
		return NULL;
	}
	return message;
}

/*
 * There is room: from here on it has side effects.  `is_found`: its receivers
 * were just found by route_is_durable().
 */
static enum outcome
publish_directly(struct client *client, const struct mqtt_publish *publish,
    uint64_t bridges, bool is_found)
{
	struct worker *worker = client->worker;
	struct broker *broker = worker->broker;
	struct message *message;
	enum mqtt_reason reason;
	uint64_t ticket = 0;
	unsigned receivers;

	message = begin_message(client, publish);
	if (message == NULL)
		return stall_on_memory(client);
	if (bridges != 0)
		ticket = bridge_port_send(worker->port, bridges, message);
	note_taken(client, 0);
	receivers = is_found
	    ? route_found(broker, worker, message, client->session)
	    : route_local(broker, worker, message, client->session);
	if (worker->commit != NULL && message->retain)
		publish_keep_retained(
		    worker, message, route_retain_serial(broker, worker));
	reason = count_published(client, publish, receivers + (bridges != 0));
	message_put(message);
	/* It may have been its own subscriber, and lost for that. */
	if (client_is_over(client))
		return OVER;
	bridges = bridge_table_reliable(broker->bridges, bridges);
	return outcome_of(
	    acknowledge(client, publish, bridges, ticket, reason));
}

static enum outcome
publish_to_bridges(
    struct client *client, const struct mqtt_publish *publish, uint64_t bridges)
{
	if (bridges == 0)
		return publish_directly(client, publish, 0, false);
	switch (bridge_port_offer(
	    client->worker->port, bridges, weight_of(client, publish))) {
	case BRIDGE_PORT_TAKES:
		return publish_directly(client, publish, bridges, false);
	case BRIDGE_PORT_STALLS:
		return stall_on_bridge(client, publish);
	case BRIDGE_PORT_REJECTS:
		break;
	}
	return reject(client, publish);
}

/* ---- with a journal ------------------------------------------------------ */

/* What one has sent before goes before: that may still be on its way. */
static bool
must_be_journalled(const struct client *client,
    const struct mqtt_publish *publish, uint64_t bridges)
{
	const struct session *session = client->session;

	return session->is_journalled || bridges != 0 || publish->retain ||
	    (publish->qos == 2 && session->is_durable);
}

/* What was sent directly goes before what comes by the journal. */
static void
begin_journalling(struct client *client)
{
	if (client->session->is_journalled)
		return;
	client->session->is_journalled = true;
	route_flush(client->worker->broker, client->worker);
}

/* There is room: from here on it has side effects. */
static enum outcome
commit(struct client *client, const struct mqtt_publish *publish,
    uint64_t bridges, uint64_t claimed)
{
	struct session *session = client->session;
	struct publication publication = {
		.publisher = session,
		.bridges = claimed,
		.packet_id = publish->qos == 2 && session->is_durable
		    ? publish->packet_id
		    : 0,
	};
	enum mqtt_reason reason;
	unsigned receivers;
	uint64_t ticket;

	publication.message = begin_message(client, publish);
	if (publication.message == NULL) {
		publish_withdraw(
		    client->worker, claimed, weight_of(client, publish));
		return stall_on_memory(client);
	}
	begin_journalling(client);
	ticket = publish_commit(client->worker, &publication, &receivers);
	message_put(publication.message);
	if (ticket == 0) {
		if (publish->qos == 2)
			packet_ids_remove(
			    &session->received, publish->packet_id);
		return stall_on_memory(client);
	}
	note_taken(client, bridges & ~claimed);
	reason = count_published(client, publish, receivers + (bridges != 0));
	return outcome_of(acknowledge(client, publish, 0, ticket, reason));
}

static enum outcome
publish_to_journal(
    struct client *client, const struct mqtt_publish *publish, uint64_t bridges)
{
	struct worker *worker = client->worker;
	uint64_t claimed;

	switch (publish_offer(
	    worker, bridges, weight_of(client, publish), &claimed)) {
	case PUBLISH_TAKES:
		return commit(client, publish, bridges, claimed);
	case PUBLISH_WAITS:
		return STALLED;
	case PUBLISH_STALLS:
		return stall_on_bridge(client, publish);
	case PUBLISH_REJECTS:
		return reject(client, publish);
	case PUBLISH_REFUSES:
		break;
	}
	return decline(client, publish, commit_refusal(worker->commit));
}

/* It is delivered directly, but the journal has to keep it. */
static enum outcome
publish_retained_qos0(
    struct client *client, const struct mqtt_publish *publish, uint64_t bridges)
{
	struct worker *worker = client->worker;
	const bool may_wait = worker->broker->conf->qos0 != CONF_QOS0_DROP;

	switch (commit_offer(worker->commit, weight_of(client, publish))) {
	case COMMIT_TAKES:
		return publish_to_bridges(client, publish, bridges);
	case COMMIT_STALLS:
		if (may_wait)
			return STALLED;
		break;
	case COMMIT_REFUSES:
		break;
	}
	/* Kept in memory alone, the next life would have an older one. */
	worker_count(worker, COUNT_retained_refused);
	return PUBLISHED;
}

static enum outcome
publish_with_journal(
    struct client *client, const struct mqtt_publish *publish, uint64_t bridges)
{
	struct worker *worker = client->worker;

	if (publish->qos == 0)
		return publish->retain
		    ? publish_retained_qos0(client, publish, bridges)
		    : publish_to_bridges(client, publish, bridges);
	if (must_be_journalled(client, publish, bridges) ||
	    route_is_durable(
		worker->broker, worker, publish->topic, client->session))
		return publish_to_journal(client, publish, bridges);
	return publish_directly(client, publish, 0, true);
}

/* ---- what becomes of it -------------------------------------------------- */

static enum outcome
attempt(struct client *client, struct mqtt_publish *publish)
{
	struct worker *worker = client->worker;
	struct session *session = client->session;
	enum mqtt_reason reason;
	enum limit limit;
	uint64_t bridges;

	if (client->throttle != NULL && !throttle_passes(client, publish))
		return STALLED;
	reason = topic_alias_resolve(client, publish);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason,
		    "a Topic Alias that is 0, too large or has no topic");
		return OVER;
	}
	if (publish->qos == 2 &&
	    packet_ids_has(&session->received, publish->packet_id))
		return repeat(client, publish);
	if (!may_publish(client, publish->topic))
		return deny(client, publish);
	limit = limit_of(client, publish);
	if (limit != LIMIT_NONE)
		return refuse_at(client, publish, limit);
	bridges = bridge_table_match(worker->broker->bridges, publish->topic);
	if (client->version == MQTT_5)
		bridges = bridge_table_unseen(
		    worker->broker->bridges, bridges, publish->properties.raw);
	client->held_for = bridges;
	note_offered(client, bridges);
	/* MQTT 3 knows no Receive Maximum: it waits instead. */
	if (publish->qos != 0 &&
	    ack_queue_count(&session->acks) >=
		worker->broker->conf->receive_maximum)
		return STALLED;
	if (!route_has_room(worker->broker, worker))
		return stall_on_memory(client);
	return worker->commit == NULL
	    ? publish_to_bridges(client, publish, bridges)
	    : publish_with_journal(client, publish, bridges);
}

static enum outcome
try_to_publish(struct client *client, struct mqtt_publish *publish)
{
	const bool is_new = client->offered == 0;
	enum outcome outcome = attempt(client, publish);

	/* When its client is over it has no throttle any more. */
	if (outcome != STALLED && client->throttle != NULL)
		throttle_done(client);
	if (outcome != STALLED)
		note_decided(client);
	else if (is_new && client->offered != 0)
		tally_stalled(client->worker->tally, client->offered);
	return outcome;
}

/* ---- what is held ------------------------------------------------------- */

/* The first that is parked.  PUBLISHED: it is dealt with. */
static enum outcome
try_first_parked(struct client *client)
{
	struct parked *parked = client->parked;
	struct mqtt_publish publish;
	struct mqtt_frame frame;
	enum outcome outcome;
	bool reserved;

	/* It was found to be right when it came. */
	if (mqtt_frame(parked->bytes + parked->start,
		parked->end - parked->start, MQTT_MAX_PACKET_BYTES,
		&frame) != MQTT_FRAME_WHOLE ||
	    mqtt_decode_publish(&frame, client->version, MQTT_SERVER,
		&publish) != MQTT_SUCCESS) {
		client_fail(client, MQTT_UNSPECIFIED_ERROR, "held PUBLISH");
		return OVER;
	}
	reserved = parked_reserves(client, &publish);
	outcome = try_to_publish(client, &publish);
	if (outcome != PUBLISHED)
		return outcome;
	parked->start += frame.size;
	if (reserved && parked->reserved != 0)
		parked->reserved--;
	stats_subtract(
	    client->worker->counters, COUNT_parked_bytes, frame.size);
	return PUBLISHED;
}

bool
publish_parked(struct client *client)
{
	while (client->parked != NULL &&
	    client->parked->start < client->parked->end) {
		switch (try_first_parked(client)) {
		case PUBLISHED:
			break;
		case STALLED:
			return false;
		case OVER:
			return true;
		}
	}
	parked_free(client);
	parked_leave_line(client);
	client_resume(client, CLIENT_PAUSE_PARKED);
	return true;
}

/* ---- the packet --------------------------------------------------------- */

enum packet_verdict
on_publish(struct client *client, const struct mqtt_frame *frame)
{
	struct mqtt_publish publish;
	enum mqtt_reason reason;

	reason =
	    mqtt_decode_publish(frame, client->version, MQTT_SERVER, &publish);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, "PUBLISH");
		return PACKET_OVER;
	}
	if (!publish_is_acceptable(client, &publish))
		return PACKET_OVER;
	if (client->parked == NULL) {
		switch (try_to_publish(client, &publish)) {
		case PUBLISHED:
			worker_count(client->worker, COUNT_publishes_in);
			client->messages_in++;
			/* It was kept, alone, and is dealt with now. */
			parked_leave_line(client);
			return PACKET_DONE;
		case OVER:
			return verdict_of(false);
		case STALLED:
			break;
		}
	}
	return parked_put(client, frame, &publish);
}
