/* SPDX-License-Identifier: Apache-2.0 */

/*
 * publish_limits - does a PUBLISH keep what the CONNACK said?
 */

#include "broker/client.h"

/* QoS 1 and 2 messages from this client that are not finished. */
static uint32_t
unfinished(const struct client *client)
{
	const struct ack_queue *acks = &client->session->acks;
	uint32_t count = packet_ids_count(&client->session->received);

	if (client->parked != NULL)
		count += client->parked->reserved;
	for (uint32_t i = 0; i < ack_queue_count(acks); i++)
		count += ack_queue_at(acks, i)->type == MQTT_PUBACK;
	return count;
}

/* [MQTT-3.3.4-7] */
static bool
keeps_receive_maximum(
    const struct client *client, const struct mqtt_publish *publish)
{
	const struct session *session = client->session;
	const uint32_t max = client->worker->broker->conf->receive_maximum;
	uint32_t at_most = packet_ids_count(&session->received) +
	    ack_queue_count(&session->acks);

	if (client->parked != NULL)
		at_most += client->parked->reserved;
	if (at_most < max || client->version != MQTT_5 ||
	    !parked_reserves(client, publish))
		return true;
	return unfinished(client) < max;
}

static bool
has_unfinished_room(
    const struct client *client, const struct mqtt_publish *publish)
{
	const struct conf *conf = client->worker->broker->conf;
	const struct session *session = client->session;
	uint32_t count = packet_ids_count(&session->received),
		 most = CLIENT_MAX_UNFINISHED;

	if (publish->qos != 2 ||
	    packet_ids_has(&session->received, publish->packet_id))
		return true;
	if (client->parked != NULL)
		count += client->parked->reserved;
	if (client->version == MQTT_5 && most < conf->receive_maximum)
		most = conf->receive_maximum;
	return count < most;
}

/* False: it is too much, and the client is over. */
static bool
is_within_receive_maximum(
    struct client *client, const struct mqtt_publish *publish)
{
	const struct conf *conf = client->worker->broker->conf;

	if (keeps_receive_maximum(client, publish))
		return true;
	worker_count(client->worker, COUNT_receive_maximum_exceeded);
	if (conf->receive_maximum_policy == CONF_RECEIVE_MAXIMUM_ENFORCE) {
		client_fail(client, MQTT_RECEIVE_MAXIMUM_EXCEEDED,
		    "more messages under way than the Receive Maximum");
		return false;
	}
	if (!client->is_greedy)
		log_warning("receive_maximum_exceeded",
		    "client=%s receive_maximum=%u help=\"its messages wait "
		    "instead; said once a connection\"",
		    session_quote(client->session), conf->receive_maximum);
	client->is_greedy = true;
	return true;
}

/* [MQTT-3.2.2-11] [MQTT-3.2.2-14] False: the client is over. */
static bool
is_supported(struct client *client, const struct mqtt_publish *publish)
{
	const struct conf *conf = client->worker->broker->conf;

	if (publish->qos > conf->max_qos) {
		client_fail(client, MQTT_QOS_NOT_SUPPORTED,
		    "QoS above the Maximum QoS");
		return false;
	}
	if (publish->retain && !conf->retain_available) {
		client_fail(client, MQTT_RETAIN_NOT_SUPPORTED,
		    "retained messages are not supported here");
		return false;
	}
	return true;
}

bool
publish_is_acceptable(struct client *client, const struct mqtt_publish *publish)
{
	if (!is_supported(client, publish))
		return false;
	if (!has_unfinished_room(client, publish)) {
		worker_count(client->worker, COUNT_unfinished_overflows);
		client_fail(client, MQTT_RECEIVE_MAXIMUM_EXCEEDED,
		    "too many unfinished QoS 2 messages");
		return false;
	}
	return is_within_receive_maximum(client, publish);
}
