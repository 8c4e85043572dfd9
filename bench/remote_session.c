/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/remote.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/mqtt/encode.h"

static uint8_t *
reserve(struct remote_connection *c, size_t length)
{
	if (c->output_length + length > c->output_size) {
		c->output_size = (c->output_length + length) * 2;
		c->output = realloc(c->output, c->output_size);
		BUG_ON(c->output == NULL);
	}
	c->output_length += length;
	return c->output + c->output_length - length;
}

static void
break_off(struct remote *remote, struct remote_connection *c, const char *why)
{
	fprintf(stderr, "remote: connection %u: %s\n", c->number, why);
	remote->counts.bad++;
	c->is_broken = true;
}

/* ---- acknowledgements --------------------------------------------------- */

static void
owe(struct remote *remote, struct remote_connection *c,
    enum mqtt_packet_type type, uint16_t packet_id, uint8_t reason)
{
	if (c->ack_head + c->ack_count == c->ack_size) {
		memmove(c->acks, c->acks + c->ack_head,
		    c->ack_count * sizeof(*c->acks));
		c->ack_head = 0;
	}
	if (c->ack_count == c->ack_size) {
		c->ack_size = c->ack_size == 0 ? 256 : c->ack_size * 2;
		c->acks = realloc(c->acks, c->ack_size * sizeof(*c->acks));
		BUG_ON(c->acks == NULL);
	}
	c->acks[c->ack_head + c->ack_count++] = (struct remote_ack){
		.due_ns = remote->now_ns + remote->delay_ns,
		.packet_id = packet_id,
		.type = (uint8_t)type,
		.reason = reason,
	};
	if (c->ack_count > remote->counts.max_unacked)
		remote->counts.max_unacked = c->ack_count;
}

static void
send_ack(struct remote_connection *c, const struct remote_ack *owed)
{
	const struct mqtt_ack ack = {
		.packet_id = owed->packet_id,
		.reason = (enum mqtt_reason)owed->reason,
	};
	size_t size = mqtt_ack_size(&ack, c->version);

	mqtt_encode_ack(reserve(c, size), size,
	    (enum mqtt_packet_type)owed->type, &ack, c->version);
}

void
remote_release_acks(struct remote *remote, struct remote_connection *c)
{
	while (!remote->is_mute && c->ack_count != 0 &&
	    c->acks[c->ack_head].due_ns <= remote->now_ns) {
		send_ack(c, &c->acks[c->ack_head]);
		c->ack_head++;
		c->ack_count--;
		remote->counts.acks++;
	}
}

/* ---- sessions ----------------------------------------------------------- */

static struct remote_session *
find_session(struct remote *remote, struct slice client_id)
{
	struct remote_session *session, *empty = NULL;

	for (size_t i = 0; i < REMOTE_SESSIONS; i++) {
		session = &remote->sessions[i];
		if (session->client_id == NULL)
			empty = empty == NULL ? session : empty;
		else if (slice_equal_string(client_id, session->client_id))
			return session;
	}
	if (empty != NULL) {
		empty->client_id = slice_to_string(client_id);
		BUG_ON(empty->client_id == NULL);
	}
	return empty;
}

static void
clear_session(struct remote_session *session)
{
	free(session->client_id);
	*session = (struct remote_session){ 0 };
}

void
remote_end_session(struct remote_session *session)
{
	if (session != NULL && !session->is_kept)
		clear_session(session);
}

void
remote_forget(struct remote *remote)
{
	for (size_t i = 0; i < REMOTE_SESSIONS; i++)
		memset(remote->sessions[i].held, 0,
		    sizeof(remote->sessions[i].held));
	for (size_t i = 0; i < REMOTE_SESSIONS; i++)
		remote->sessions[i].is_kept = false;
}

static bool
wants_to_be_kept(const struct mqtt_connect *connect)
{
	const struct mqtt_properties *properties = &connect->properties;

	if (connect->version != MQTT_5)
		return !connect->clean_start;
	return mqtt_properties_has(properties, MQTT_SESSION_EXPIRY_INTERVAL) &&
	    properties->session_expiry_interval_s != 0;
}

static void
on_connect(struct remote *remote, struct remote_connection *c,
    const struct mqtt_frame *frame)
{
	struct mqtt_connack connack = { 0 };
	struct mqtt_connect connect;
	size_t size;

	if (mqtt_decode_connect(frame, &connect) != MQTT_SUCCESS) {
		break_off(remote, c, "a bad CONNECT");
		return;
	}
	c->session = find_session(remote, connect.client_id);
	if (c->session == NULL) {
		break_off(remote, c, "too many client identifiers");
		return;
	}
	c->version = (enum mqtt_version)connect.version;
	connack.session_present = c->session->is_kept && !connect.clean_start;
	if (!connack.session_present)
		memset(c->session->held, 0, sizeof(c->session->held));
	c->session->is_kept = wants_to_be_kept(&connect);
	if (remote->receive_maximum != 0) {
		connack.properties.receive_maximum = remote->receive_maximum;
		mqtt_properties_set(&connack.properties, MQTT_RECEIVE_MAXIMUM);
	}
	size = mqtt_connack_size(&connack, c->version);
	mqtt_encode_connack(reserve(c, size), size, &connack, c->version);
	remote->counts.connects++;
}

/* ---- messages ----------------------------------------------------------- */

static uint8_t
refusal_of(const struct remote *remote, struct slice topic)
{
	for (size_t i = 0; i < remote->refusal_count; i++)
		if (slice_starts_with(
			topic, slice_of_string(remote->refusals[i].prefix)))
			return remote->refusals[i].reason;
	return 0;
}

static bool
is_held(const struct remote_session *session, uint16_t id)
{
	return (session->held[id / 64] >> id % 64 & 1) != 0;
}

static void
on_publish(struct remote *remote, struct remote_connection *c,
    const struct mqtt_frame *frame)
{
	struct remote_ledger_entry entry = { 0 };
	struct mqtt_publish publish;
	uint8_t reason = 0;

	if (mqtt_decode_publish(frame, c->version, MQTT_SERVER, &publish) !=
	    MQTT_SUCCESS) {
		break_off(remote, c, "a bad PUBLISH");
		return;
	}
	remote->counts.publishes++;
	remote->counts.dups += publish.dup;
	/* A version without reasons has no way to refuse one message. */
	if (c->version == MQTT_5 && publish.qos != 0)
		reason = refusal_of(remote, publish.topic);
	remote->counts.refused += reason != 0;
	entry = (struct remote_ledger_entry){
		.arrived_ns = remote->now_ns,
		.connection = c->number,
		.position = c->publishes++,
		.qos = publish.qos,
		.is_dup = publish.dup,
		.is_refused = reason != 0,
	};
	if (publish.qos == 2 && is_held(c->session, publish.packet_id))
		remote->counts.held_again++;
	else
		remote_ledger_note(
		    &remote->ledger, publish.topic, publish.payload, entry);
	if (publish.qos == 2 && reason == 0)
		c->session->held[publish.packet_id / 64] |= UINT64_C(1)
		    << publish.packet_id % 64;
	if (publish.qos != 0)
		owe(remote, c, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
		    publish.packet_id, reason);
}

static void
on_pubrel(struct remote *remote, struct remote_connection *c,
    const struct mqtt_frame *frame)
{
	struct mqtt_ack ack;

	if (mqtt_decode_ack(frame, c->version, &ack) != MQTT_SUCCESS) {
		break_off(remote, c, "a bad PUBREL");
		return;
	}
	c->session->held[ack.packet_id / 64] &=
	    ~(UINT64_C(1) << ack.packet_id % 64);
	owe(remote, c, MQTT_PUBCOMP, ack.packet_id, 0);
}

/* Every filter is granted what it asks for; nothing is ever sent. */
static void
on_subscribe(struct remote *remote, struct remote_connection *c,
    const struct mqtt_frame *frame)
{
	struct mqtt_subscription subscription;
	struct mqtt_subscribe subscribe;
	struct mqtt_suback suback = { 0 };
	uint8_t codes[256];
	struct wire walk;
	size_t size;

	if (mqtt_decode_subscribe(frame, c->version, &subscribe) !=
		MQTT_SUCCESS ||
	    subscribe.count > sizeof(codes)) {
		break_off(remote, c, "a bad SUBSCRIBE");
		return;
	}
	walk = wire_read(subscribe.filters);
	while (mqtt_subscribe_next(&walk, &subscription))
		codes[suback.codes.len++] = subscription.qos;
	suback.packet_id = subscribe.packet_id;
	suback.codes.data = codes;
	size = mqtt_suback_size(MQTT_SUBACK, &suback, c->version);
	mqtt_encode_suback(
	    reserve(c, size), size, MQTT_SUBACK, &suback, c->version);
	remote->counts.subscribes++;
}

static void
on_unsubscribe(struct remote *remote, struct remote_connection *c,
    const struct mqtt_frame *frame)
{
	struct mqtt_unsubscribe unsubscribe;
	struct mqtt_suback unsuback = { 0 };
	static const uint8_t codes[256];
	size_t size;

	if (mqtt_decode_unsubscribe(frame, c->version, &unsubscribe) !=
		MQTT_SUCCESS ||
	    unsubscribe.count > sizeof(codes)) {
		break_off(remote, c, "a bad UNSUBSCRIBE");
		return;
	}
	unsuback.packet_id = unsubscribe.packet_id;
	if (c->version == MQTT_5)
		unsuback.codes = slice_of(codes, unsubscribe.count);
	size = mqtt_suback_size(MQTT_UNSUBACK, &unsuback, c->version);
	mqtt_encode_suback(
	    reserve(c, size), size, MQTT_UNSUBACK, &unsuback, c->version);
}

static void
on_packet(struct remote *remote, struct remote_connection *c,
    const struct mqtt_frame *frame)
{
	if ((c->version == 0) != (frame->type == MQTT_CONNECT)) {
		break_off(remote, c, "CONNECT is first, and once");
		return;
	}
	switch (frame->type) {
	case MQTT_CONNECT:
		on_connect(remote, c, frame);
		break;
	case MQTT_PUBLISH:
		on_publish(remote, c, frame);
		break;
	case MQTT_PUBREL:
		on_pubrel(remote, c, frame);
		break;
	case MQTT_SUBSCRIBE:
		on_subscribe(remote, c, frame);
		break;
	case MQTT_UNSUBSCRIBE:
		on_unsubscribe(remote, c, frame);
		break;
	case MQTT_PINGREQ:
		mqtt_encode_ping(reserve(c, 2), 2, MQTT_PINGRESP);
		remote->counts.pings++;
		break;
	case MQTT_DISCONNECT:
		remote->counts.disconnects++;
		c->is_broken = true;
		break;
	default:
		break_off(remote, c, mqtt_packet_name(frame->type));
		break;
	}
}

void
remote_take_input(struct remote *remote, struct remote_connection *c)
{
	enum mqtt_frame_status status = MQTT_FRAME_PARTIAL;
	struct mqtt_frame frame;
	size_t used = 0;

	while (!c->is_broken) {
		status = mqtt_frame(c->input + used, c->input_length - used,
		    REMOTE_INPUT, &frame);
		if (status != MQTT_FRAME_WHOLE)
			break;
		on_packet(remote, c, &frame);
		used += frame.size;
	}
	c->input_length -= used;
	memmove(c->input, c->input + used, c->input_length);
	if (!c->is_broken && status != MQTT_FRAME_PARTIAL)
		break_off(remote, c, "not MQTT, or a packet above 1 MiB");
}
