/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "ctl/mqtt_client_private.h"

static void
take_limits(struct mqtt_client *client, const struct mqtt_properties *given)
{
	const uint64_t own_s = client->spec->connect.keep_alive_s;

	client->window = MQTT_CLIENT_WINDOW;
	client->maximum_qos = 2;
	client->retain_available = true;
	client->maximum_packet_size = MQTT_MAX_PACKET_BYTES;
	client->keep_alive_ns = own_s * CLOCK_SECOND_NS;
	/* [MQTT-3.3.4-7]; nothing else waits for it [MQTT-3.3.4-8] */
	if (mqtt_properties_has(given, MQTT_RECEIVE_MAXIMUM) &&
	    given->receive_maximum < client->window)
		client->window = given->receive_maximum;
	if (mqtt_properties_has(given, MQTT_MAXIMUM_QOS))
		client->maximum_qos = given->maximum_qos;
	if (mqtt_properties_has(given, MQTT_RETAIN_AVAILABLE))
		client->retain_available = given->retain_available != 0;
	if (mqtt_properties_has(given, MQTT_TOPIC_ALIAS_MAXIMUM))
		client->topic_alias_maximum = given->topic_alias_maximum;
	if (mqtt_properties_has(given, MQTT_MAXIMUM_PACKET_SIZE))
		client->maximum_packet_size = given->maximum_packet_size;
	/* [MQTT-3.1.2-21] the server's keep alive goes before our own */
	if (mqtt_properties_has(given, MQTT_SERVER_KEEP_ALIVE))
		client->keep_alive_ns =
		    given->server_keep_alive_s * CLOCK_SECOND_NS;
}

static const char *
refusal_hint(enum mqtt_reason reason)
{
	switch (reason) {
	case MQTT_BAD_USER_NAME_OR_PASSWORD:
	case MQTT_NOT_AUTHORIZED:
		return "; check -u and -P";
	case MQTT_UNSUPPORTED_PROTOCOL_VERSION:
		return "; try another -V";
	case MQTT_CLIENT_IDENTIFIER_NOT_VALID:
		return "; try another -i";
	default:
		return "";
	}
}

static void
take_connack(struct mqtt_client *client, const struct mqtt_frame *frame)
{
	struct mqtt_connack connack;
	enum mqtt_reason reason;

	reason = mqtt_decode_connack(frame, client->version, &connack);
	if (reason != MQTT_SUCCESS) {
		mqtt_client_fault(client, frame, reason);
		return;
	}
	mqtt_client_tell(client, "received CONNACK (%u)",
	    client->version == MQTT_5
		? (unsigned)connack.reason
		: (unsigned)mqtt_reason_to_connack3(connack.reason));
	if (connack.reason != MQTT_SUCCESS) {
		mqtt_client_break_off(client, EXIT_FAILED,
		    "the broker refused the connection: %s%s",
		    mqtt_reason_name(connack.reason),
		    refusal_hint(connack.reason));
		return;
	}
	/* [MQTT-3.2.2-4] what is of that session is not known here */
	if (connack.session_present && client->spec->connect.clean_start &&
	    client->version != MQTT_3_1) {
		mqtt_client_break_off(client, EXIT_FAILED,
		    "the broker goes on with a session, but a new one was "
		    "asked for");
		return;
	}
	take_limits(client, &connack.properties);
	loop_timer_stop(&client->deadline);
	if (client->keep_alive_ns != 0)
		loop_timer_start(&client->tick, MQTT_CLIENT_TICK_NS);
	mqtt_client_enter(client, CLIENT_UP);
	client->callbacks->connected(client->arg);
}

static void
send_ack(struct mqtt_client *client, enum mqtt_packet_type type,
    uint16_t packet_id, enum mqtt_reason reason)
{
	struct mqtt_ack ack = { .packet_id = packet_id, .reason = reason };
	uint8_t buffer[MQTT_SMALL_PACKET_BYTES];

	mqtt_client_tell(client, "sending %s (m%u, rc%u)",
	    mqtt_packet_name(type), packet_id, (unsigned)reason);
	mqtt_client_write(client, buffer,
	    mqtt_encode_ack(
		buffer, sizeof(buffer), type, &ack, client->version));
}

static bool
has_alias(const struct mqtt_client *client, const struct mqtt_publish *publish)
{
	return client->version == MQTT_5 &&
	    mqtt_properties_has(&publish->properties, MQTT_TOPIC_ALIAS);
}

static void
take_publish(struct mqtt_client *client, const struct mqtt_frame *frame)
{
	struct mqtt_publish publish;
	enum mqtt_reason reason;
	uint64_t *word, bit;

	reason =
	    mqtt_decode_publish(frame, client->version, MQTT_CLIENT, &publish);
	/* [MQTT-3.1.2-27] we allowed no alias, so a topic is always there */
	if (reason == MQTT_SUCCESS &&
	    (slice_is_empty(publish.topic) || has_alias(client, &publish)))
		reason = MQTT_TOPIC_ALIAS_INVALID;
	if (reason != MQTT_SUCCESS) {
		mqtt_client_fault(client, frame, reason);
		return;
	}
	mqtt_client_tell(client,
	    "received PUBLISH (d%d, q%u, r%d, m%u, '%.*s', ... (%zu bytes))",
	    publish.dup, publish.qos, publish.retain, publish.packet_id,
	    (int)publish.topic.len, (const char *)publish.topic.data,
	    publish.payload.len);
	word = &client->received[publish.packet_id / 64];
	bit = UINT64_C(1) << publish.packet_id % 64;
	/* [MQTT-4.3.3-10] the same identifier until PUBREL: not twice */
	if ((publish.qos != 2 || (*word & bit) == 0) &&
	    client->callbacks->message != NULL &&
	    !client->callbacks->message(client->arg, &publish))
		return;
	if (publish.qos == 2)
		*word |= bit;
	if (publish.qos != 0 && client->state == CLIENT_UP)
		send_ack(client, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
		    publish.packet_id, MQTT_SUCCESS);
	if (client->state == CLIENT_UP)
		client->callbacks->writable(client->arg);
}

static void
complete(struct mqtt_client *client, struct mqtt_client_slot *slot,
    enum mqtt_reason reason)
{
	slot->awaits = 0;
	client->in_flight--;
	client->callbacks->published(client->arg, slot->packet_id, reason);
	if (client->state == CLIENT_UP)
		client->callbacks->writable(client->arg);
}

static void
take_pubrel(struct mqtt_client *client, const struct mqtt_ack *ack)
{
	uint64_t *word = &client->received[ack->packet_id / 64];
	const uint64_t bit = UINT64_C(1) << ack->packet_id % 64;
	const bool known = (*word & bit) != 0;

	*word &= ~bit;
	/* [MQTT-4.3.3-11] also when it was from before this connection */
	send_ack(client, MQTT_PUBCOMP, ack->packet_id,
	    known ? MQTT_SUCCESS : MQTT_PACKET_IDENTIFIER_NOT_FOUND);
}

static void
take_ack(struct mqtt_client *client, const struct mqtt_frame *frame)
{
	struct mqtt_ack ack;
	struct mqtt_client_slot *slot;
	enum mqtt_reason reason;

	reason = mqtt_decode_ack(frame, client->version, &ack);
	if (reason != MQTT_SUCCESS) {
		mqtt_client_fault(client, frame, reason);
		return;
	}
	mqtt_client_tell(client, "received %s (Mid: %u, RC:%u)",
	    mqtt_packet_name(frame->type), ack.packet_id, (unsigned)ack.reason);
	if (frame->type == MQTT_PUBREL) {
		take_pubrel(client, &ack);
		return;
	}
	slot = mqtt_client_find_slot(client, ack.packet_id);
	if (slot == NULL || slot->awaits != frame->type) {
		mqtt_client_fault(client, frame, MQTT_PROTOCOL_ERROR);
	} else if (frame->type == MQTT_PUBREC &&
	    !mqtt_reason_is_error(ack.reason)) {
		/* [MQTT-4.3.3-4] */
		slot->awaits = MQTT_PUBCOMP;
		send_ack(client, MQTT_PUBREL, ack.packet_id, MQTT_SUCCESS);
	} else {
		complete(client, slot, ack.reason);
	}
}

static void
take_suback(struct mqtt_client *client, const struct mqtt_frame *frame)
{
	struct mqtt_suback suback;
	enum mqtt_reason reason;

	reason = mqtt_decode_suback(frame, client->version, &suback);
	/* [MQTT-3.8.4-6] a code for each filter */
	if (reason == MQTT_SUCCESS && suback.codes.len != client->subscribed)
		reason = MQTT_PROTOCOL_ERROR;
	if (reason != MQTT_SUCCESS) {
		mqtt_client_fault(client, frame, reason);
		return;
	}
	mqtt_client_tell(client, "received SUBACK");
	client->callbacks->subscribed(client->arg, &suback);
}

static void
take_disconnect(struct mqtt_client *client, const struct mqtt_frame *frame)
{
	struct mqtt_disconnect packet;
	enum mqtt_reason reason;

	reason = mqtt_decode_disconnect(
	    frame, client->version, MQTT_CLIENT, &packet);
	if (reason != MQTT_SUCCESS) {
		mqtt_client_fault(client, frame, reason);
		return;
	}
	mqtt_client_tell(
	    client, "received DISCONNECT (%u)", (unsigned)packet.reason);
	mqtt_client_break_off(client, EXIT_FAILED,
	    "the broker closed the connection: %s",
	    mqtt_reason_name(packet.reason));
}

static void
take_pingresp(struct mqtt_client *client, const struct mqtt_frame *frame)
{
	const enum mqtt_reason reason =
	    mqtt_decode_ping(frame, client->version);

	if (reason != MQTT_SUCCESS) {
		mqtt_client_fault(client, frame, reason);
		return;
	}
	mqtt_client_tell(client, "received PINGRESP");
	client->ping_sent = false;
}

static void
take_packet(struct mqtt_client *client, const struct mqtt_frame *frame)
{
	/* [MQTT-3.2.0-1] [MQTT-3.2.0-2] CONNACK first, and once */
	if ((frame->type == MQTT_CONNACK) !=
	    (client->state == CLIENT_HANDSHAKE)) {
		mqtt_client_fault(client, frame, MQTT_PROTOCOL_ERROR);
		return;
	}
	switch (frame->type) {
	case MQTT_CONNACK:
		take_connack(client, frame);
		break;
	case MQTT_PUBLISH:
		take_publish(client, frame);
		break;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		take_ack(client, frame);
		break;
	case MQTT_SUBACK:
		take_suback(client, frame);
		break;
	case MQTT_PINGRESP:
		take_pingresp(client, frame);
		break;
	case MQTT_DISCONNECT:
		take_disconnect(client, frame);
		break;
	default:
		mqtt_client_fault(client, frame, MQTT_PROTOCOL_ERROR);
	}
}

size_t
mqtt_client_on_data(struct stream *stream, const uint8_t *data, size_t len)
{
	struct mqtt_client *client = stream->owner;
	struct mqtt_frame frame;
	size_t used = 0;

	while (used < len && client->state < CLIENT_ENDING) {
		switch (mqtt_frame(
		    data + used, len - used, MQTT_MAX_PACKET_BYTES, &frame)) {
		case MQTT_FRAME_WHOLE:
			used += frame.size;
			take_packet(client, &frame);
			break;
		case MQTT_FRAME_PARTIAL:
			return used;
		case MQTT_FRAME_TOO_LARGE:
		case MQTT_FRAME_MALFORMED:
			mqtt_client_fault(client, NULL, MQTT_MALFORMED_PACKET);
			break;
		}
	}
	return client->state < CLIENT_ENDING ? used : len;
}
