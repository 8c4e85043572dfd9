/* SPDX-License-Identifier: Apache-2.0 */

/* The receive rules as subscriptions at the remote, one request at a time. */

#include "bridged/remote_mqtt.h"

#include <stdlib.h>

#include "common/base/log.h"

/* Filters of one request, and what they take; filled until it is full. */
struct request {
	struct mqtt_subscription *subscriptions;
	struct slice *filters;
	size_t count;
};

static size_t
request_size(const struct remote *remote, enum mqtt_packet_type type,
    const struct request *request)
{
	return type == MQTT_SUBSCRIBE
	    ? mqtt_subscribe_size(
		  request->subscriptions, request->count, NULL, remote->version)
	    : mqtt_unsubscribe_size(
		  request->filters, request->count, NULL, remote->version);
}

static void
add(struct request *request, const struct subscription *subscription)
{
	struct slice filter = slice_of_string(subscription->filter);

	request->subscriptions[request->count] = (struct mqtt_subscription){
		.filter = filter,
		.qos = subscription->qos,
		.no_local = subscription->no_local,
		.retain_as_published = subscription->retain_as_published,
		.retain_handling = (uint8_t)subscription->retain_handling,
	};
	request->filters[request->count] = filter;
	request->count++;
}

static void
say_too_large(const struct remote *remote, const char *filter)
{
	log_warning("bridge_subscription_refused",
	    "bridge=%s filter=%s reason=\"longer than the remote's Maximum "
	    "Packet Size\"",
	    remote->spec.conf->name, log_quote(filter));
}

/*
 * As many filters as fit what the remote takes.  One that does not fit alone
 * is given up: SUBSCRIBE and UNSUBSCRIBE are then refused alike.
 */
static void
gather(struct remote *remote, enum mqtt_packet_type type,
    enum subscription_state state, enum subscription_state next,
    struct request *request)
{
	struct subscriptions *all = &remote->subscriptions;
	struct subscription *at;
	size_t size, from = 0, most = REMOTE_MQTT_PENDING_HIGH;

	if (remote->max_packet < most)
		most = remote->max_packet;

	while ((at = subscriptions_next(all, state, from)) != NULL) {
		from = subscriptions_index(all, at) + 1;
		add(request, at);
		size = request_size(remote, type, request);
		if (size != 0 && size <= most) {
			at->state = next;
			at->asked = request->count;
			continue;
		}
		request->count--;
		if (request->count != 0)
			return;
		say_too_large(remote, at->filter);
		at->state = SUBSCRIPTION_REFUSED;
	}
}

static void
write_request(struct remote *remote, enum mqtt_packet_type type,
    const struct request *request)
{
	size_t size = request_size(remote, type, request);
	uint8_t *packet = malloc(size);

	if (packet == NULL) {
		remote_mqtt_fail(remote, REMOTE_LOST, "out of memory");
		return;
	}
	if (type == MQTT_SUBSCRIBE)
		size = mqtt_encode_subscribe(packet, size,
		    REMOTE_MQTT_SUBSCRIBE_ID, request->subscriptions,
		    request->count, NULL, remote->version);
	else
		size = mqtt_encode_unsubscribe(packet, size,
		    REMOTE_MQTT_SUBSCRIBE_ID, request->filters, request->count,
		    NULL, remote->version);
	remote->request = type;
	remote->request_count = request->count;
	remote_mqtt_write(remote, packet, size);
	free(packet);
}

/* The first request: that we are here.  Returns false when it needs none. */
static bool
tell(struct remote *remote)
{
	bool awaits_answer = remote->limits.max_qos != 0;

	if (!remote->is_notifying)
		return false;
	remote->is_notifying = false;
	if (awaits_answer)
		remote->request = MQTT_PUBLISH;
	remote_mqtt_notify(
	    remote, true, awaits_answer ? REMOTE_MQTT_SUBSCRIBE_ID : 0);
	return awaits_answer;
}

/* All that is to be subscribed to, or left. */
static void
ask_for_topics(struct remote *remote)
{
	size_t most = remote->subscriptions.count;
	struct request request = {
		.subscriptions =
		    calloc(most + 1, sizeof(struct mqtt_subscription)),
		.filters = calloc(most + 1, sizeof(struct slice)),
	};
	enum mqtt_packet_type type = MQTT_UNSUBSCRIBE;

	if (request.subscriptions == NULL || request.filters == NULL) {
		remote_mqtt_fail(remote, REMOTE_LOST, "out of memory");
	} else {
		gather(remote, type, SUBSCRIPTION_UNWANTED,
		    SUBSCRIPTION_LEAVING, &request);
		if (request.count == 0) {
			type = MQTT_SUBSCRIBE;
			gather(remote, type, SUBSCRIPTION_WANTED,
			    SUBSCRIPTION_ASKED, &request);
		}
		if (request.count != 0)
			write_request(remote, type, &request);
	}
	free(request.subscriptions);
	free(request.filters);
}

/* The next request, if there is one to be made. */
static void
ask(struct remote *remote)
{
	if (!tell(remote))
		ask_for_topics(remote);
}

void
remote_mqtt_on_notified(struct remote *remote, const struct mqtt_ack *ack)
{
	if (remote->request != MQTT_PUBLISH)
		return;
	if (mqtt_reason_is_error(ack->reason))
		log_warning("bridge_notification_refused",
		    "bridge=%s topic=%s reason=%s note=\"see "
		    "notification_topic\"",
		    remote->spec.conf->name,
		    log_quote(remote->notification_topic),
		    log_quote(remote_mqtt_reason(
			remote, ack->reason, &ack->properties)));
	remote->request = 0;
	ask(remote);
}

void
remote_mqtt_resubscribe(struct remote *remote)
{
	if (subscriptions_follow(
		&remote->subscriptions, remote->spec.receive) != 0)
		log_error("bridge_subscription_missing",
		    "bridge=%s reason=\"out of memory\"",
		    remote->spec.conf->name);
	if (remote->state == REMOTE_UP && remote->is_receiving &&
	    remote->request == 0)
		ask(remote);
}

void
remote_mqtt_subscribe(struct remote *remote)
{
	if (remote->state != REMOTE_UP)
		return;
	remote->is_receiving = true;
	remote->is_notifying = remote->notification_topic != NULL;
	remote->request = 0;
	subscriptions_connected(&remote->subscriptions,
	    remote->limits.session_present, remote->version != MQTT_5);
	remote_mqtt_resubscribe(remote);
}

static void
take_code(struct remote *remote, size_t n, enum mqtt_reason code)
{
	const char *name = remote->spec.conf->name;
	const struct subscription *at;

	at = subscriptions_answer(
	    &remote->subscriptions, n, !mqtt_reason_is_error(code));
	if (at == NULL)
		return;
	if (mqtt_reason_is_error(code))
		log_warning("bridge_subscription_refused",
		    "bridge=%s filter=%s reason=%s", name,
		    log_quote(at->filter), log_quote(mqtt_reason_name(code)));
	else if (code < at->qos && at->state == SUBSCRIPTION_MADE)
		log_info("bridge_subscription_lowered",
		    "bridge=%s filter=%s asked=%u granted=%u", name,
		    log_quote(at->filter), (unsigned)at->qos, (unsigned)code);
}

void
remote_mqtt_on_suback(struct remote *remote, const struct mqtt_frame *frame)
{
	enum mqtt_packet_type awaited =
	    frame->type == MQTT_SUBACK ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE;
	bool has_codes =
	    frame->type == MQTT_SUBACK || remote->version == MQTT_5;
	struct mqtt_suback suback;
	enum mqtt_reason reason;

	reason = mqtt_decode_suback(frame, remote->version, &suback);
	if (reason == MQTT_SUCCESS &&
	    (suback.packet_id != REMOTE_MQTT_SUBSCRIBE_ID ||
		remote->request != awaited ||
		(has_codes && suback.codes.len != remote->request_count)))
		/* [MQTT-3.9.3-1] one code for each filter, in order */
		reason = MQTT_PROTOCOL_ERROR;
	if (reason != MQTT_SUCCESS) {
		remote_mqtt_fault(remote, reason, "bad %s: %s",
		    mqtt_packet_name(frame->type), mqtt_reason_name(reason));
		return;
	}
	remote->request = 0;
	if (awaited == MQTT_SUBSCRIBE)
		for (size_t i = 0; i < suback.codes.len; i++)
			take_code(remote, i + 1, suback.codes.data[i]);
	else
		subscriptions_left(&remote->subscriptions);
	ask(remote);
}
