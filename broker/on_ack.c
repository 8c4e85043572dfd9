/* SPDX-License-Identifier: Apache-2.0 */

/*
 * on_ack - PUBACK, PUBREC and PUBCOMP for what we sent; PUBREL for what we
 * received; DISCONNECT.
 */

#include "broker/client.h"
#include "broker/deliver.h"
#include "broker/session_records.h"
#include "common/base/clock.h"

/* The window opened: what waits may go. */
static enum packet_verdict
go_on(struct client *client)
{
	struct session *session = client->session;

	deliver_waiting(client->worker, session);
	if (client_is_over(client))
		return PACKET_OVER;
	if (session->jobs != NULL)
		worker_pump_session(client->worker, session);
	return PACKET_DONE;
}

static enum packet_verdict
done(struct client *client, struct outgoing *outgoing, enum mqtt_reason reason)
{
	if (mqtt_reason_is_error(reason))
		worker_count(client->worker, COUNT_refused_by_client);
	deliver_done(client->session, outgoing);
	return go_on(client);
}

static enum packet_verdict
on_pubrec(struct client *client, const struct mqtt_ack *ack)
{
	struct outgoing *outgoing;

	outgoing = outbox_find(&client->session->outbox, ack->packet_id);
	if (outgoing == NULL || outgoing->qos != 2) {
		if (mqtt_reason_is_error(ack->reason))
			return PACKET_DONE;
		/* It may wait for this to forget it: [MQTT-4.3.3-4]. */
		return client_acknowledge(client, MQTT_PUBREL, ack->packet_id,
			   client->version == MQTT_5
			       ? MQTT_PACKET_IDENTIFIER_NOT_FOUND
			       : MQTT_SUCCESS)
		    ? PACKET_DONE
		    : PACKET_OVER;
	}
	/* [MQTT-4.3.3-4] [MQTT-4.4.0-2] [MQTT-4.8.2-6]: refused is done. */
	if (mqtt_reason_is_error(ack->reason))
		return done(client, outgoing, ack->reason);
	if (outgoing->stage == OUTGOING_SENT)
		outbox_received(outgoing);
	return client_release(client, outgoing) ? PACKET_DONE : PACKET_OVER;
}

enum packet_verdict
on_ack(struct client *client, const struct mqtt_frame *frame)
{
	struct outgoing *outgoing;
	struct mqtt_ack ack;
	enum mqtt_reason reason;

	reason = mqtt_decode_ack(frame, client->version, &ack);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, mqtt_packet_name(frame->type));
		return PACKET_OVER;
	}
	if (frame->type == MQTT_PUBREC)
		return on_pubrec(client, &ack);

	/* One that nobody waits for harms nobody. */
	outgoing = outbox_find(&client->session->outbox, ack.packet_id);
	if (outgoing == NULL)
		return PACKET_DONE;
	if (frame->type == MQTT_PUBACK && outgoing->qos == 1)
		return done(client, outgoing, ack.reason);
	if (frame->type == MQTT_PUBCOMP && outgoing->qos == 2 &&
	    outgoing->stage == OUTGOING_RECEIVED)
		return done(client, outgoing, ack.reason);
	return PACKET_DONE;
}

/*
 * Idempotent: PUBCOMP again for each PUBREL [MQTT-4.3.3-11], whether its
 * message has expired or not [MQTT-4.3.3-13].
 */
enum packet_verdict
on_pubrel(struct client *client, const struct mqtt_frame *frame)
{
	struct mqtt_ack ack;
	enum mqtt_reason reason;
	bool known;

	reason = mqtt_decode_ack(frame, client->version, &ack);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, "PUBREL");
		return PACKET_OVER;
	}
	known = packet_ids_remove(&client->session->received, ack.packet_id);
	reason = known || client->version != MQTT_5
	    ? MQTT_SUCCESS
	    : MQTT_PACKET_IDENTIFIER_NOT_FOUND;
	return client_complete(client, ack.packet_id, reason) ? PACKET_DONE
							      : PACKET_OVER;
}

/* A new expiry for the session.  False: it may not be changed so. */
static bool
change_expiry(struct client *client, uint32_t seconds)
{
	struct session *session = client->session;
	const uint64_t max =
	    client->worker->broker->conf->session_expiry_max_ns;
	uint64_t wanted = SESSION_NEVER;

	/* [MQTT-3.14.2-2] */
	if (session->expiry_ns == 0 && seconds != 0)
		return false;
	if (seconds != UINT32_MAX)
		wanted = seconds * CLOCK_SECOND_NS;
	if (!session_keep(session, wanted < max ? wanted : max))
		return false;
	/* Without memory for the record the expiry before holds. */
	if (session->is_durable)
		session_records_change(client->worker, session);
	return true;
}

enum packet_verdict
on_disconnect(struct client *client, const struct mqtt_frame *frame)
{
	struct mqtt_disconnect disconnect;
	enum mqtt_reason reason;

	/* It gives up before it came in: there is nothing to be kept. */
	if (client->state != CLIENT_CONNECTED) {
		client_finish(client, false);
		return PACKET_OVER;
	}
	reason = mqtt_decode_disconnect(
	    frame, client->version, MQTT_SERVER, &disconnect);
	if (reason == MQTT_SUCCESS &&
	    mqtt_properties_has(
		&disconnect.properties, MQTT_SESSION_EXPIRY_INTERVAL) &&
	    !change_expiry(
		client, disconnect.properties.session_expiry_interval_s))
		reason = MQTT_PROTOCOL_ERROR;
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, "DISCONNECT");
		return PACKET_OVER;
	}
	/* [MQTT-3.14.4-3] */
	client_finish(client, disconnect.reason != MQTT_NORMAL_DISCONNECTION);
	return PACKET_OVER;
}
