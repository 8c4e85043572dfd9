/* SPDX-License-Identifier: Apache-2.0 */

/*
 * on_subscribe - SUBSCRIBE and UNSUBSCRIBE.
 *
 * Retained messages are sent after the SUBACK, by retain_job.
 */

#include <errno.h>
#include <stdlib.h>

#include "broker/client.h"
#include "broker/retain_job.h"
#include "broker/route.h"
#include "common/msg/topic.h"

/*
 * Removed entries wait for a grace period: if too many do, so does who makes
 * more of them.  A worker in the middle of routing ends that first.
 */
static void
bound_backlog(struct worker *worker)
{
	if (!subscription_tree_is_backlogged(worker->broker->subscriptions))
		return;
	route_flush(worker->broker, worker);
	urcu_memb_barrier();
}

static struct subscription_options
options_of(const struct client *client, const struct mqtt_subscribe *subscribe,
    const struct mqtt_subscription *asked)
{
	struct subscription_options options = {
		.qos = asked->qos,
		.no_local = asked->no_local || client->is_bridge,
		.retain_as_published =
		    asked->retain_as_published || client->is_bridge,
	};

	if (client->version == MQTT_5 &&
	    mqtt_properties_has(
		&subscribe->properties, MQTT_SUBSCRIPTION_IDENTIFIER))
		options.identifier =
		    subscribe->properties.subscription_identifier;
	return options;
}

/* Returns the code for the SUBACK. */
static enum mqtt_reason
grant(struct client *client, const struct mqtt_subscription *asked,
    const struct subscription_options *options, bool *out_send_retained)
{
	struct worker *worker = client->worker;
	bool existed = false;
	int err;

	*out_send_retained = false;
	err = subscription_tree_add(worker->broker->subscriptions,
	    asked->filter, &client->session->subscriber, options, &existed);
	if (err != 0) {
		worker_count(worker, COUNT_subscribes_refused);
		log_info("subscription_refused", "client=%s error=\"%s\"",
		    log_quote_n(
			client->session->id, client->session->id_length),
		    err == -E2BIG ? "more than 200 levels" : "no memory");
		return MQTT_QUOTA_EXCEEDED;
	}
	worker_count(worker, COUNT_subscribes);
	/* [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] */
	*out_send_retained = !topic_is_shared(asked->filter) &&
	    (asked->retain_handling == 0 ||
		(asked->retain_handling == 1 && !existed));
	return (enum mqtt_reason)options->qos;
}

static bool
send_suback(struct client *client, enum mqtt_packet_type type,
    uint16_t packet_id, struct slice codes)
{
	const struct mqtt_suback suback = {
		.packet_id = packet_id,
		.codes = codes,
	};
	size_t size;
	uint8_t *bytes;
	bool sent;

	size = mqtt_suback_size(type, &suback, client->version);
	bytes = malloc(size);
	if (bytes == NULL) {
		client_close(client, true);
		return false;
	}
	mqtt_encode_suback(bytes, size, type, &suback, client->version);
	sent = client_write(client, bytes, size);
	free(bytes);
	return sent;
}

/* Second pass, behind the SUBACK. */
static void
start_retained(struct client *client, const struct mqtt_subscribe *subscribe,
    const bool *send_retained)
{
	struct wire walk = wire_read(subscribe->filters);
	struct mqtt_subscription asked;
	struct subscription_options options;

	for (size_t i = 0; mqtt_subscribe_next(&walk, &asked); i++) {
		if (!send_retained[i])
			continue;
		options = options_of(client, subscribe, &asked);
		if (retain_job_start(client->session, asked.filter, &options) !=
		    0)
			worker_count(client->worker, COUNT_dropped_memory);
	}
	if (client->session->jobs != NULL)
		worker_pump_session(client->worker, client->session);
}

/* [MQTT-3.8.3-4]: the decoder does not know what is shared. */
static bool
is_allowed(const struct mqtt_subscription *asked)
{
	return !asked->no_local || !topic_is_shared(asked->filter);
}

static enum packet_verdict
subscribe_all(struct client *client, const struct mqtt_subscribe *subscribe,
    uint8_t *codes, bool *send_retained)
{
	struct wire walk = wire_read(subscribe->filters);
	struct subscription_options options;
	struct mqtt_subscription asked;
	size_t i;

	while (mqtt_subscribe_next(&walk, &asked)) {
		if (!is_allowed(&asked)) {
			client_fail(client, MQTT_PROTOCOL_ERROR,
			    "No Local on a shared subscription");
			return PACKET_OVER;
		}
	}
	walk = wire_read(subscribe->filters);
	for (i = 0; mqtt_subscribe_next(&walk, &asked); i++) {
		options = options_of(client, subscribe, &asked);
		codes[i] =
		    (uint8_t)grant(client, &asked, &options, &send_retained[i]);
	}
	/* [MQTT-3.8.4-1] [MQTT-3.8.4-6] */
	if (!send_suback(
		client, MQTT_SUBACK, subscribe->packet_id, slice_of(codes, i)))
		return PACKET_OVER;
	start_retained(client, subscribe, send_retained);
	return PACKET_DONE;
}

enum packet_verdict
on_subscribe(struct client *client, const struct mqtt_frame *frame)
{
	struct mqtt_subscribe subscribe;
	enum packet_verdict verdict;
	enum mqtt_reason reason;
	bool *send_retained;
	uint8_t *codes;

	reason = mqtt_decode_subscribe(frame, client->version, &subscribe);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, "SUBSCRIBE");
		return PACKET_OVER;
	}
	bound_backlog(client->worker);
	codes = malloc(subscribe.count);
	send_retained = calloc(subscribe.count, sizeof(*send_retained));
	if (codes == NULL || send_retained == NULL) {
		client_close(client, true);
		verdict = PACKET_OVER;
	} else {
		verdict =
		    subscribe_all(client, &subscribe, codes, send_retained);
	}
	free(codes);
	free(send_retained);
	return verdict;
}

enum packet_verdict
on_unsubscribe(struct client *client, const struct mqtt_frame *frame)
{
	struct worker *worker = client->worker;
	struct session *session = client->session;
	struct mqtt_unsubscribe unsubscribe;
	struct slice filter;
	enum mqtt_reason reason;
	struct wire walk;
	uint8_t *codes;
	size_t count = 0;
	bool sent;

	reason = mqtt_decode_unsubscribe(frame, client->version, &unsubscribe);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, "UNSUBSCRIBE");
		return PACKET_OVER;
	}
	bound_backlog(worker);
	codes = malloc(unsubscribe.count);
	if (codes == NULL) {
		client_close(client, true);
		return PACKET_OVER;
	}
	walk = wire_read(unsubscribe.filters);
	while (mqtt_unsubscribe_next(&walk, &filter)) {
		codes[count++] =
		    subscription_tree_remove(worker->broker->subscriptions,
			filter, &session->subscriber) == 0
		    ? MQTT_SUCCESS
		    : MQTT_NO_SUBSCRIPTION_EXISTED;
		retain_job_stop(session, filter);
	}
	/* [MQTT-3.10.4-4] [MQTT-3.10.4-5] */
	sent = send_suback(client, MQTT_UNSUBACK, unsubscribe.packet_id,
	    slice_of(codes, count));
	free(codes);
	return sent ? PACKET_DONE : PACKET_OVER;
}
