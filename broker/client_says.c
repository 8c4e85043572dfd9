/* SPDX-License-Identifier: Apache-2.0 */

/*
 * client_says - acknowledgements and goodbyes, with what helps.
 *
 * Texts go to MQTT 5.0 alone, and never beyond the client's Maximum Packet
 * Size.
 */

#include "broker/client.h"
#include "common/base/log.h"

/* Room for a DISCONNECT with a Reason String of ours, or a Server Reference. */
#define DISCONNECT_SIZE 600

/* And for an acknowledgement with one. */
#define ACK_SIZE 128

/* ---- goodbye ---------------------------------------------------------------
 */

/* [MQTT-3.14.2-3] without the text where that is too much. */
static size_t
encode_disconnect(const struct client *client, enum mqtt_reason reason,
    const char *why, uint8_t bytes[DISCONNECT_SIZE])
{
	struct mqtt_disconnect disconnect = { .reason = reason };

	if (why != NULL) {
		/* [MQTT-3.14.2-4] User Properties are never sent. */
		disconnect.properties.reason_string = slice_of_string(why);
		mqtt_properties_set(&disconnect.properties, MQTT_REASON_STRING);
	}
	if (reason == MQTT_USE_ANOTHER_SERVER) {
		disconnect.properties.server_reference = slice_of_string(
		    client->worker->broker->conf->server_reference);
		mqtt_properties_set(
		    &disconnect.properties, MQTT_SERVER_REFERENCE);
	}
	if (mqtt_disconnect_size(&disconnect, MQTT_5) > client->max_packet)
		mqtt_properties_clear(&disconnect.properties);
	return mqtt_encode_disconnect(
	    bytes, DISCONNECT_SIZE, &disconnect, MQTT_5);
}

void
client_disconnect_because(
    struct client *client, enum mqtt_reason reason, const char *why)
{
	uint8_t bytes[DISCONNECT_SIZE];
	size_t length;

	if (client_is_over(client))
		return;
	/* The old versions know no DISCONNECT of the server. */
	if (client->state == CLIENT_CONNECTED && client->version == MQTT_5) {
		length = encode_disconnect(client, reason, why, bytes);
		stream_write(&client->stream, bytes, length);
	}
	client_finish(client, true);
}

void
client_disconnect(struct client *client, enum mqtt_reason reason)
{
	client_disconnect_because(client, reason, NULL);
}

void
client_say_goodbye(struct client *client)
{
	client_disconnect(client,
	    client->worker->broker->conf->server_reference != NULL
		? MQTT_USE_ANOTHER_SERVER
		: MQTT_SERVER_SHUTTING_DOWN);
}

void
client_fail(struct client *client, enum mqtt_reason reason, const char *what)
{
	char address[LISTENER_ADDRESS_SIZE];
	struct slice id = { 0 };

	if (client_is_over(client))
		return;
	if (client->session != NULL)
		id = session_id(client->session);
	worker_count(client->worker, COUNT_protocol_errors);
	log_info("client_failed", "client=%s address=%s reason=\"%s\" what=%s",
	    log_quote_n(id.data, id.len), client_address(client, address),
	    mqtt_reason_name(reason), log_quote(what));
	client_disconnect_because(client, reason, what);
}

/* ---- acknowledgements ------------------------------------------------------
 */

/* What helps where a message was refused; NULL: nothing does. */
static const char *
ack_help(enum mqtt_reason reason)
{
	switch (reason) {
	case MQTT_NOT_AUTHORIZED:
		return "the account may not publish to this topic";
	case MQTT_QUOTA_EXCEEDED:
		return "there is no room now: publish it again later";
	case MQTT_IMPLEMENTATION_SPECIFIC_ERROR:
	case MQTT_UNSPECIFIED_ERROR:
		return "the broker cannot keep it now: publish it again later";
	default:
		return NULL;
	}
}

/* [MQTT-3.1.2-29], [MQTT-3.4.2-2], [MQTT-3.5.2-2] */
static size_t
encode_refusal(const struct client *client, enum mqtt_packet_type type,
    struct mqtt_ack *ack, uint8_t bytes[ACK_SIZE])
{
	const char *help = ack_help(ack->reason);

	if (client->wants_problems && help != NULL) {
		/*
		 * [MQTT-3.4.2-3] [MQTT-3.5.2-3] [MQTT-3.6.2-3] [MQTT-3.7.2-3]
		 * User Properties are never sent, and a Reason String only
		 * if it fits [MQTT-3.6.2-2] [MQTT-3.7.2-2].
		 */
		ack->properties.reason_string = slice_of_string(help);
		mqtt_properties_set(&ack->properties, MQTT_REASON_STRING);
		if (mqtt_ack_size(ack, client->version) > client->max_packet)
			mqtt_properties_clear(&ack->properties);
	}
	return mqtt_encode_ack(bytes, ACK_SIZE, type, ack, client->version);
}

bool
client_acknowledge(struct client *client, enum mqtt_packet_type type,
    uint16_t packet_id, enum mqtt_reason reason)
{
	struct mqtt_ack ack = {
		.packet_id = packet_id,
		.reason = reason,
	};
	uint8_t bytes[ACK_SIZE];
	size_t length = 4;

	if (reason == MQTT_SUCCESS)
		mqtt_encode_ack_success(bytes, type, packet_id);
	else
		length = encode_refusal(client, type, &ack, bytes);
	return client_write(client, bytes, length);
}
