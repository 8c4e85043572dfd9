/* SPDX-License-Identifier: Apache-2.0 */

/*
 * acks - what is acknowledged once it is safe.
 *
 * All that waits of one client is in one line [MQTT-4.6.0-2] [MQTT-4.6.0-3]
 * [MQTT-4.6.0-4].  With a journal an entry waits for its ticket there
 * (commit.h), without one for its message to be in bridges' rings.
 */

#include "broker/client.h"
#include "broker/commit.h"

static bool
is_committed(const struct worker *worker, const struct pending_ack *ack)
{
	if (worker->commit != NULL)
		return ack->ticket <= commit_settled(worker->commit);
	return ack->bridges == 0 ||
	    bridge_port_is_committed(worker->port, ack->bridges, ack->ticket);
}

/* The client asks for it again, or does it again, when it is back. */
static bool
say_failed(struct client *client, const struct pending_ack *ack)
{
	const bool is_told = client->version == MQTT_5 &&
	    (ack->type == MQTT_PUBACK || ack->type == MQTT_PUBREC);

	if (is_told)
		return client_acknowledge(client,
		    (enum mqtt_packet_type)ack->type, ack->packet_id,
		    (enum mqtt_reason)ack->reason);
	client_disconnect(client, (enum mqtt_reason)ack->reason);
	return false;
}

static bool
say(struct client *client, const struct pending_ack *ack)
{
	if (ack->failed)
		return say_failed(client, ack);
	return client_acknowledge(client, (enum mqtt_packet_type)ack->type,
	    ack->packet_id, (enum mqtt_reason)ack->reason);
}

bool
client_acknowledge_after(struct client *client, const struct pending_ack *ack)
{
	struct session *session = client->session;

	if (session->acks.count == 0 && is_committed(client->worker, ack))
		return say(client, ack);
	if (ack_queue_put(&session->acks, ack) != 0) {
		/* It is never acknowledged: the client sends it again. */
		client_close(client, true);
		return false;
	}
	worker_await_acks(client->worker, session);
	return true;
}

/*
 * A PUBREL may only go out when the journal knows that PUBREC came: else the
 * next life would send the message once more.
 */
bool
client_release(struct client *client, const struct outgoing *outgoing)
{
	struct worker *worker = client->worker;
	const struct store_packet packet = {
		.cursor = client->session->cursor,
		.sequence = outgoing->sequence,
		.packet_id = outgoing->packet_id,
	};
	struct pending_ack ack = {
		.type = MQTT_PUBREL,
		.packet_id = outgoing->packet_id,
	};
	uint8_t body[STORE_SMALL_MAX];

	if (worker->commit == NULL || outgoing->sequence == 0)
		return client_acknowledge(
		    client, MQTT_PUBREL, outgoing->packet_id, MQTT_SUCCESS);
	ack.ticket = commit_send_state(worker->commit, STORE_RECEIVED,
	    slice_of(body, store_packet_write(&packet, body)), true);
	if (ack.ticket == 0) {
		client_close(client, true);
		return false;
	}
	return client_acknowledge_after(client, &ack);
}

void
acks_send(struct worker *worker, struct session *session)
{
	struct pending_ack *first, ack;
	bool goes_on = true;

	while (goes_on && (first = ack_queue_first(&session->acks)) != NULL &&
	    is_committed(worker, first)) {
		ack = *first;
		ack_queue_drop_first(&session->acks);
		if (session->client != NULL)
			goes_on = say(session->client, &ack);
	}
}

static void
fail(struct session *session, const struct commit_letter *letter)
{
	struct ack_queue *acks = &session->acks;
	struct pending_ack *ack;

	for (uint32_t i = 0; i < acks->count; i++) {
		ack = ack_queue_at(acks, i);
		if (ack->ticket < letter->first_ticket)
			continue;
		if (ack->ticket > letter->last_ticket)
			return;
		ack->failed = true;
		ack->reason = (uint8_t)letter->reason;
		/* It was not taken: when it comes again, it is new. */
		if (ack->type == MQTT_PUBREC)
			packet_ids_remove(&session->received, ack->packet_id);
	}
}

void
acks_fail(struct worker *worker, const struct commit_letter *letter)
{
	struct session *session;

	for (session = worker->acking; session != NULL;
	     session = session->next_acking)
		if (!session->ended)
			fail(session, letter);
}
