/* SPDX-License-Identifier: Apache-2.0 */

/* What the remote sends.  All of it is hostile until decoded. */

#include "bridged/remote_mqtt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

/* Credentials, names and versions: no retry mends them. */
static bool
is_denial(enum mqtt_reason reason)
{
	switch (reason) {
	case MQTT_UNSUPPORTED_PROTOCOL_VERSION:
	case MQTT_CLIENT_IDENTIFIER_NOT_VALID:
	case MQTT_BAD_USER_NAME_OR_PASSWORD:
	case MQTT_NOT_AUTHORIZED:
	case MQTT_BANNED:
	case MQTT_BAD_AUTHENTICATION_METHOD:
		return true;
	default:
		return false;
	}
}

/* What a CONNACK says of the will: no retry mends that either. */
static bool
is_about_will(enum mqtt_reason reason)
{
	return reason == MQTT_QOS_NOT_SUPPORTED ||
	    reason == MQTT_RETAIN_NOT_SUPPORTED ||
	    reason == MQTT_TOPIC_NAME_INVALID;
}

/* The key of the bridge to look at. */
static const char *
denial_key(enum mqtt_reason reason)
{
	switch (reason) {
	case MQTT_UNSUPPORTED_PROTOCOL_VERSION:
		return "protocol";
	case MQTT_CLIENT_IDENTIFIER_NOT_VALID:
		return "client_id";
	case MQTT_QOS_NOT_SUPPORTED:
	case MQTT_RETAIN_NOT_SUPPORTED:
	case MQTT_TOPIC_NAME_INVALID:
		return "will and notifications";
	default:
		return "username and password_file (or password), and will";
	}
}

static void
on_refusal(struct remote *remote, const struct mqtt_connack *connack)
{
	enum mqtt_reason reason = connack->reason;
	const char *text =
	    remote_mqtt_reason(remote, reason, &connack->properties);

	if (reason == MQTT_UNSUPPORTED_PROTOCOL_VERSION &&
	    remote->version != MQTT_5 && remote->bridge_bit) {
		remote->bridge_bit = false;
		remote_mqtt_fail(remote, REMOTE_LOST,
		    "the remote does not know bridges; going on as a client");
	} else if (is_denial(reason) || is_about_will(reason)) {
		remote_mqtt_fail(remote, REMOTE_DENIED,
		    "CONNACK says %s; check %s", text, denial_key(reason));
	} else {
		remote_mqtt_fail(remote, REMOTE_LOST, "CONNACK says %s", text);
	}
}

/* The value of the user property that names a Weir, if it looks like one. */
static void
read_weir_id(
    const struct mqtt_properties *properties, char id[REMOTE_WEIR_ID_SIZE])
{
	struct wire walk = wire_read(properties->raw);
	struct mqtt_property_item item;

	id[0] = '\0';
	if (properties->user_property_count == 0)
		return;
	while (mqtt_properties_find(&walk, MQTT_USER_PROPERTY, &item)) {
		if (!slice_equal_string(item.name, REMOTE_MQTT_ID) ||
		    item.value.len != REMOTE_WEIR_ID_SIZE - 1)
			continue;
		memcpy(id, item.value.data, item.value.len);
		id[item.value.len] = '\0';
		return;
	}
}

static void
read_limits(struct remote *remote, const struct mqtt_connack *connack)
{
	const struct mqtt_properties *properties = &connack->properties;
	const struct conf_bridge *conf = remote->spec.conf;
	struct remote_limits *limits = &remote->limits;

	*limits = (struct remote_limits){
		.window = conf->max_inflight,
		.max_qos = 2,
		.session_present = connack->session_present,
		.keeps_session = true,
		.marks_retained = remote->version != MQTT_5,
	};
	remote->max_packet = MQTT_MAX_PACKET_BYTES;
	remote->retain_available = true;
	remote->keepalive_ns =
	    conf->keepalive_ns / CLOCK_SECOND_NS * CLOCK_SECOND_NS;
	if (remote->version != MQTT_5)
		return;

	if (mqtt_properties_has(properties, MQTT_RECEIVE_MAXIMUM) &&
	    properties->receive_maximum < limits->window)
		limits->window = properties->receive_maximum;
	if (mqtt_properties_has(properties, MQTT_MAXIMUM_PACKET_SIZE))
		remote->max_packet = properties->maximum_packet_size;
	if (mqtt_properties_has(properties, MQTT_MAXIMUM_QOS))
		limits->max_qos = properties->maximum_qos;
	if (mqtt_properties_has(properties, MQTT_RETAIN_AVAILABLE))
		remote->retain_available = properties->retain_available != 0;
	/* [MQTT-3.2.2-21] the server's keep alive replaces ours */
	if (mqtt_properties_has(properties, MQTT_SERVER_KEEP_ALIVE))
		remote->keepalive_ns =
		    properties->server_keep_alive_s * CLOCK_SECOND_NS;
	/* section 3.2.2.3.2: what the remote says replaces what we asked for */
	if (mqtt_properties_has(properties, MQTT_SESSION_EXPIRY_INTERVAL))
		limits->keeps_session =
		    properties->session_expiry_interval_s != 0;
	if (mqtt_properties_has(properties, MQTT_TOPIC_ALIAS_MAXIMUM))
		aliases_out_reset(
		    &remote->aliases_out, properties->topic_alias_maximum);
	read_weir_id(properties, limits->weir_id);
}

/* What the remote changes of the configuration is worth a line. */
static void
say_limits(
    const struct remote *remote, const struct mqtt_properties *properties)
{
	const struct conf_bridge *conf = remote->spec.conf;
	const struct remote_limits *limits = &remote->limits;

	if (mqtt_properties_has(properties, MQTT_ASSIGNED_CLIENT_IDENTIFIER))
		log_info("bridge_client_id_assigned", "bridge=%s client_id=%s",
		    conf->name,
		    log_quote_n(properties->assigned_client_identifier.data,
			properties->assigned_client_identifier.len));
	if (limits->max_qos < 2 || !remote->retain_available ||
	    remote->max_packet < remote->spec.max_packet ||
	    remote->keepalive_ns != conf->keepalive_ns)
		log_info("bridge_limited",
		    "bridge=%s max_qos=%u retain=%s max_packet_size=%zu "
		    "keepalive_s=%llu note=\"the remote allows no more\"",
		    conf->name, (unsigned)limits->max_qos,
		    remote->retain_available ? "yes" : "no", remote->max_packet,
		    (unsigned long long)(remote->keepalive_ns /
			CLOCK_SECOND_NS));
}

static void
on_connack(struct remote *remote, const struct mqtt_frame *frame)
{
	struct mqtt_connack connack;
	enum mqtt_reason reason;

	reason = mqtt_decode_connack(frame, remote->version, &connack);
	if (reason != MQTT_SUCCESS) {
		remote_mqtt_fault(remote, reason, "bad CONNACK: %s",
		    mqtt_reason_name(reason));
	} else if (connack.reason != MQTT_SUCCESS) {
		on_refusal(remote, &connack);
	} else if (connack.session_present && remote_mqtt_is_clean(remote)) {
		/* [MQTT-3.2.2-4] what is of that session is not known here */
		remote_mqtt_fault(remote, MQTT_PROTOCOL_ERROR,
		    "the remote goes on with a session, but a new one was "
		    "asked for");
	} else {
		read_limits(remote, &connack);
		say_limits(remote, &connack.properties);
		remote_mqtt_start(remote);
	}
}

/*
 * Would this packet be one message more than may wait for us?  MQTT 3.1.1
 * knows no limit, and MQTT 5.0 remotes are not cut off for passing theirs
 * [MQTT-3.3.4-9]: mosquitto 2.0.11 does now and then, and the redelivery
 * after a reconnect would cost order and copies.  The rest stays unread.
 */
static bool
must_wait(const struct remote *remote, const struct mqtt_frame *frame)
{
	return frame->type == MQTT_PUBLISH && (frame->flags & 0x06) != 0 &&
	    remote->pending_count >= remote->spec.max_pending;
}

/* Is it a message, not a copy of one that waits here already? */
static bool
accept_id(struct remote *remote, const struct mqtt_publish *publish)
{
	uint16_t id = publish->packet_id;

	if (publish->qos == 0)
		return true;
	if (remote_mqtt_bit(remote->pending, id))
		return false;
	remote_mqtt_set_bit(remote->pending, id, true);
	remote->pending_count++;
	return true;
}

/* The topic of an alias, or the alias of a topic. */
static enum mqtt_reason
resolve_alias(struct remote *remote, struct mqtt_publish *publish)
{
	uint16_t alias = publish->properties.topic_alias;

	if (!mqtt_properties_has(&publish->properties, MQTT_TOPIC_ALIAS))
		return MQTT_SUCCESS;
	if (publish->topic.len == 0) {
		publish->topic = aliases_topic(&remote->aliases_in, alias);
		return publish->topic.len == 0 ? MQTT_PROTOCOL_ERROR
					       : MQTT_SUCCESS;
	}
	switch (aliases_keep(&remote->aliases_in, alias, publish->topic)) {
	case 0:
		return MQTT_SUCCESS;
	case -ERANGE: /* [MQTT-3.1.2-26] above our Topic Alias Maximum */
		return MQTT_TOPIC_ALIAS_INVALID;
	default:
		return MQTT_QUOTA_EXCEEDED;
	}
}

static void
on_publish(struct remote *remote, const struct mqtt_frame *frame)
{
	const struct remote_spec *spec = &remote->spec;
	struct remote_message message;
	struct mqtt_publish publish;
	enum mqtt_reason reason;

	reason =
	    mqtt_decode_publish(frame, remote->version, MQTT_CLIENT, &publish);
	if (reason == MQTT_SUCCESS)
		reason = resolve_alias(remote, &publish);
	if (reason != MQTT_SUCCESS) {
		remote_mqtt_fault(remote, reason, "bad PUBLISH: %s",
		    mqtt_reason_name(reason));
		return;
	}
	if (!accept_id(remote, &publish))
		return;

	message = (struct remote_message){
		.id = publish.packet_id,
		.qos = publish.qos,
		.retain = publish.retain,
		.dup = publish.dup,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = publish.topic,
		.properties = mqtt_properties_forwardable(
		    &publish.properties, remote->scratch),
		.payload = publish.payload,
	};
	if (mqtt_properties_has(
		&publish.properties, MQTT_MESSAGE_EXPIRY_INTERVAL))
		message.expiry_s = publish.properties.message_expiry_interval_s;
	spec->callbacks->received(spec->arg, &message);
}

static enum remote_verdict
verdict_of(enum mqtt_reason reason)
{
	if (!mqtt_reason_is_error(reason))
		return REMOTE_TOOK;
	if (reason == MQTT_QUOTA_EXCEEDED ||
	    reason == MQTT_PACKET_IDENTIFIER_IN_USE)
		return REMOTE_LATER;
	return REMOTE_REFUSED;
}

static void
settle(struct remote *remote, uint16_t id, enum mqtt_reason reason,
    const char *why)
{
	remote->flows[id] = REMOTE_FLOW_FREE;
	remote->spec.callbacks->settled(
	    remote->spec.arg, id, verdict_of(reason), why);
}

static void
settle_by(struct remote *remote, const struct mqtt_ack *ack)
{
	settle(remote, ack->packet_id, ack->reason,
	    mqtt_reason_is_error(ack->reason)
		? remote_mqtt_reason(remote, ack->reason, &ack->properties)
		: mqtt_reason_name(ack->reason));
}

static void
settle_as_taken(struct remote *remote, uint16_t id)
{
	settle(remote, id, MQTT_SUCCESS, mqtt_reason_name(MQTT_SUCCESS));
}

/*
 * Is it for a message of ours?  A remote may also repeat, after a reconnect,
 * what it said to a former life, before we have sent anything.
 */
static bool
is_pubrec_ours(struct remote *remote, uint16_t id)
{
	switch (remote->flows[id]) {
	case REMOTE_FLOW_PUBCOMP:
		return true;
	case REMOTE_FLOW_FREE:
	case REMOTE_FLOW_PUBREC:
		return remote->spec.callbacks->kept(remote->spec.arg, id);
	default:
		return false;
	}
}

static void
on_pubrec(struct remote *remote, const struct mqtt_ack *ack)
{
	uint16_t id = ack->packet_id;
	uint8_t flow = remote->flows[id];

	/* Our PUBREL is on its way already. */
	if (flow == REMOTE_FLOW_FREE && remote_mqtt_bit(remote->ending, id))
		return;
	if (mqtt_reason_is_error(ack->reason)) {
		/* Once kept it cannot be refused any more. */
		if (flow == REMOTE_FLOW_PUBREC)
			settle_by(remote, ack);
		else if (flow == REMOTE_FLOW_PUBCOMP)
			settle_as_taken(remote, id);
		return;
	}
	if (is_pubrec_ours(remote, id)) {
		remote->flows[id] = REMOTE_FLOW_PUBCOMP;
		remote_mqtt_write_ack(remote, MQTT_PUBREL, id, MQTT_SUCCESS);
	} else {
		remote_mqtt_write_ack(
		    remote, MQTT_PUBREL, id, MQTT_PACKET_IDENTIFIER_NOT_FOUND);
	}
}

/* The remote will not send this message again. */
static void
on_pubrel(struct remote *remote, const struct mqtt_ack *ack)
{
	const struct remote_callbacks *callbacks = remote->spec.callbacks;
	bool known = callbacks->forgotten(remote->spec.arg, ack->packet_id);

	remote_mqtt_write_ack(remote, MQTT_PUBCOMP, ack->packet_id,
	    known ? MQTT_SUCCESS : MQTT_PACKET_IDENTIFIER_NOT_FOUND);
}

static void
on_pubcomp(struct remote *remote, const struct mqtt_ack *ack)
{
	uint16_t id = ack->packet_id;

	if (remote_mqtt_bit(remote->ending, id)) {
		remote_mqtt_set_bit(remote->ending, id, false);
		remote->spec.callbacks->ended(remote->spec.arg, id);
	} else if (remote->flows[id] == REMOTE_FLOW_PUBCOMP) {
		/* An unknown identifier was completed before: it has it. */
		settle_as_taken(remote, id);
	}
}

static void
on_ack(struct remote *remote, const struct mqtt_frame *frame)
{
	struct mqtt_ack ack;
	enum mqtt_reason reason;

	reason = mqtt_decode_ack(frame, remote->version, &ack);
	if (reason != MQTT_SUCCESS) {
		remote_mqtt_fault(remote, reason, "bad %s: %s",
		    mqtt_packet_name(frame->type), mqtt_reason_name(reason));
		return;
	}
	switch (frame->type) {
	case MQTT_PUBACK:
		if (ack.packet_id == REMOTE_MQTT_SUBSCRIBE_ID)
			remote_mqtt_on_notified(remote, &ack);
		else if (remote->flows[ack.packet_id] == REMOTE_FLOW_PUBACK)
			settle_by(remote, &ack);
		break;
	case MQTT_PUBREC:
		on_pubrec(remote, &ack);
		break;
	case MQTT_PUBREL:
		on_pubrel(remote, &ack);
		break;
	case MQTT_PUBCOMP:
		on_pubcomp(remote, &ack);
		break;
	}
}

static void
on_disconnect(struct remote *remote, const struct mqtt_frame *frame)
{
	struct mqtt_disconnect packet;
	enum mqtt_reason reason;

	reason = mqtt_decode_disconnect(
	    frame, remote->version, MQTT_CLIENT, &packet);
	if (reason != MQTT_SUCCESS)
		remote_mqtt_fail(remote, REMOTE_LOST, "bad DISCONNECT: %s",
		    mqtt_reason_name(reason));
	else
		remote_mqtt_fail(remote,
		    is_denial(packet.reason) ? REMOTE_DENIED : REMOTE_LOST,
		    "DISCONNECT says %s",
		    remote_mqtt_reason(
			remote, packet.reason, &packet.properties));
}

static void
on_pingresp(struct remote *remote, const struct mqtt_frame *frame)
{
	const enum mqtt_reason reason =
	    mqtt_decode_ping(frame, remote->version);

	if (reason != MQTT_SUCCESS)
		remote_mqtt_fault(remote, reason, "bad PINGRESP: %s",
		    mqtt_reason_name(reason));
	else
		remote->ping_sent = false;
}

static void
on_packet(struct remote *remote, const struct mqtt_frame *frame)
{
	remote->heard_ns = loop_now_ns(remote->spec.loop);

	/* [MQTT-3.2.0-1] CONNACK comes first, and once */
	if ((remote->state == REMOTE_HANDSHAKE) !=
	    (frame->type == MQTT_CONNACK)) {
		remote_mqtt_fault(remote, MQTT_PROTOCOL_ERROR,
		    "%s where it may not be", mqtt_packet_name(frame->type));
		return;
	}
	switch (frame->type) {
	case MQTT_CONNACK:
		on_connack(remote, frame);
		break;
	case MQTT_PUBLISH:
		on_publish(remote, frame);
		break;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		on_ack(remote, frame);
		break;
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		remote_mqtt_on_suback(remote, frame);
		break;
	case MQTT_PINGRESP:
		on_pingresp(remote, frame);
		break;
	case MQTT_DISCONNECT:
		on_disconnect(remote, frame);
		break;
	default:
		remote_mqtt_fault(remote, MQTT_PROTOCOL_ERROR,
		    "%s is not for a client", mqtt_packet_name(frame->type));
	}
}

size_t
remote_mqtt_on_data(struct stream *stream, const uint8_t *data, size_t len)
{
	struct remote *remote = stream->owner;
	struct mqtt_frame frame;
	size_t used = 0;

	while (
	    remote->state == REMOTE_HANDSHAKE || remote->state == REMOTE_UP) {
		if (used == len)
			return used;
		switch (mqtt_frame(
		    data + used, len - used, remote->spec.max_packet, &frame)) {
		case MQTT_FRAME_WHOLE:
			if (must_wait(remote, &frame)) {
				remote_mqtt_hold(remote);
				return used;
			}
			on_packet(remote, &frame);
			used += frame.size;
			break;
		case MQTT_FRAME_PARTIAL:
			return used;
		case MQTT_FRAME_MALFORMED:
			remote_mqtt_fault(remote, MQTT_MALFORMED_PACKET,
			    "not an MQTT packet (byte 0x%02x)", data[used]);
			break;
		case MQTT_FRAME_TOO_LARGE:
			remote_mqtt_fault(remote, MQTT_PACKET_TOO_LARGE,
			    "a packet larger than %zu bytes (max_packet_size, "
			    "or what fits the ring)",
			    remote->spec.max_packet);
			break;
		}
	}
	return len;
}
