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

/*
 * PUBREL and PUBCOMP wait for a note.  They are not given up, for who sent
 * PUBREC or PUBREL has done nothing wrong: the note is made until it succeeds.
 */
static bool
is_note(const struct pending_ack *ack)
{
	return ack->type == MQTT_PUBREL || ack->type == MQTT_PUBCOMP;
}

static bool
is_committed(const struct worker *worker, const struct pending_ack *ack)
{
	if (worker->commit != NULL)
		return ack->ticket <= commit_settled(worker->commit);
	return ack->bridges == 0 ||
	    bridge_port_is_committed(worker->port, ack->bridges, ack->ticket);
}

static bool
say_failed(struct client *client, const struct pending_ack *ack)
{
	if (client->version == MQTT_5)
		return client_acknowledge(client,
		    (enum mqtt_packet_type)ack->type, ack->packet_id,
		    (enum mqtt_reason)ack->reason);
	/* MQTT 3 has no way to say so: it sends it again. */
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

	if (ack_queue_count(&session->acks) == 0 &&
	    is_committed(client->worker, ack))
		return say(client, ack);
	if (ack_queue_put(&session->acks, ack) != 0) {
		/* It is never acknowledged: the client sends it again. */
		client_close(client, true);
		return false;
	}
	worker_await_acks(client->worker, session);
	return true;
}

static uint64_t
note(struct session *session, enum store_kind kind, uint64_t sequence,
    uint16_t packet_id)
{
	const struct store_packet packet = {
		.cursor = session->cursor,
		.sequence = sequence,
		.packet_id = packet_id,
	};
	uint8_t body[STORE_SMALL_MAX];

	return commit_send_state(session->home->commit, kind,
	    slice_of(body, store_packet_write(&packet, body)), true);
}

/* Without memory for the note it is made when the client is back. */
static bool
answer_noted(struct client *client, const struct pending_ack *ack)
{
	if (ack->ticket != 0)
		return client_acknowledge_after(client, ack);
	client_close(client, true);
	return false;
}

bool
client_release(struct client *client, const struct outgoing *outgoing)
{
	struct pending_ack ack = {
		.type = MQTT_PUBREL,
		.packet_id = outgoing->packet_id,
	};

	if (client->worker->commit == NULL || outgoing->sequence == 0)
		return client_acknowledge(
		    client, MQTT_PUBREL, outgoing->packet_id, MQTT_SUCCESS);
	ack.ticket = note(client->session, STORE_RECEIVED, outgoing->sequence,
	    outgoing->packet_id);
	return answer_noted(client, &ack);
}

bool
client_complete(
    struct client *client, uint16_t packet_id, enum mqtt_reason reason)
{
	struct pending_ack ack = {
		.type = MQTT_PUBCOMP,
		.packet_id = packet_id,
		.reason = (uint8_t)reason,
	};

	if (client->worker->commit == NULL || !client->session->is_durable)
		return client_acknowledge(
		    client, MQTT_PUBCOMP, packet_id, reason);
	ack.ticket = note(client->session, STORE_RELEASED, 0, packet_id);
	return answer_noted(client, &ack);
}

void
acks_send(struct worker *worker, struct session *session)
{
	struct pending_ack *first, ack;
	bool goes_on = true;

	while (goes_on && (first = ack_queue_first(&session->acks)) != NULL &&
	    is_committed(worker, first)) {
		if (first->failed && is_note(first)) {
			worker_retry_notes(worker);
			return;
		}
		ack = *first;
		ack_queue_drop_first(&session->acks);
		if (session->client != NULL)
			goes_on = say(session->client, &ack);
	}
}

static void
fail(struct session *session, struct pending_ack *ack, enum mqtt_reason reason)
{
	ack->failed = true;
	if (is_note(ack))
		return;
	ack->reason = (uint8_t)reason;
	/* It was not taken: when it comes again, it is new. */
	if (ack->type == MQTT_PUBREC)
		packet_ids_remove(&session->received, ack->packet_id);
}

void
acks_fail(struct worker *worker, const struct commit_letter *letter)
{
	struct session *session;
	struct pending_ack *ack;

	for (session = worker->acking; session != NULL;
	     session = session->next_acking) {
		for (uint32_t i = 0; i < ack_queue_count(&session->acks); i++) {
			ack = ack_queue_at(&session->acks, i);
			if (ack->ticket >= letter->first_ticket &&
			    ack->ticket <= letter->last_ticket)
				fail(session, ack, letter->reason);
		}
	}
}

static void
note_again(struct session *session, struct pending_ack *ack)
{
	const struct outgoing *outgoing;
	uint64_t ticket;

	if (ack->type == MQTT_PUBCOMP) {
		ticket = note(session, STORE_RELEASED, 0, ack->packet_id);
	} else {
		outgoing = outbox_find(&session->outbox, ack->packet_id);
		ticket = outgoing == NULL
		    ? commit_settled(session->home->commit)
		    : note(session, STORE_RECEIVED, outgoing->sequence,
			  ack->packet_id);
	}
	if (ticket == 0)
		return;
	ack->ticket = ticket;
	ack->failed = false;
}

void
acks_retry(struct worker *worker)
{
	struct session *session;
	struct pending_ack *ack;

	for (session = worker->acking; session != NULL;
	     session = session->next_acking) {
		for (uint32_t i = 0; i < ack_queue_count(&session->acks); i++) {
			ack = ack_queue_at(&session->acks, i);
			if (ack->failed && is_note(ack))
				note_again(session, ack);
		}
	}
}
