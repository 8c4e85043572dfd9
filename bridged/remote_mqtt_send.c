/* SPDX-License-Identifier: Apache-2.0 */

/* Messages and acknowledgements to the remote. */

#include "bridged/remote_mqtt.h"

#include <errno.h>

/*
 * The packet's size, with a topic alias where one helps; 0: it is too large.
 */
static size_t
choose_alias(struct remote *remote, struct mqtt_publish_out *publish)
{
	const struct slice topic = publish->topic;
	const struct aliases_out *aliases = &remote->aliases_out;
	size_t size, most = remote->max_packet;

	if (most > remote->spec.max_packet)
		most = remote->spec.max_packet;
	publish->topic_alias = aliases_find(aliases, topic);
	if (publish->topic_alias != 0)
		publish->topic = slice_of(NULL, 0);
	else
		publish->topic_alias = aliases_next(aliases, topic);
	size = mqtt_publish_size(publish, remote->version);
	if (size > most && publish->topic_alias != 0) {
		publish->topic = topic;
		publish->topic_alias = 0;
		size = mqtt_publish_size(publish, remote->version);
	}
	return size > most ? 0 : size;
}

static int
write_publish(struct remote *remote, const struct remote_message *message)
{
	uint8_t qos = message->qos;
	struct mqtt_publish_out publish = {
		.dup = message->dup && qos != 0,
		.retain = message->retain && remote->retain_available,
		.has_message_expiry = message->expiry_s != REMOTE_NEVER_EXPIRES,
		.message_expiry_interval_s = message->expiry_s,
		.qos = qos,
		.packet_id = message->id,
		.topic = message->topic,
		.properties = message->properties,
		.payload = message->payload,
	};
	size_t size = choose_alias(remote, &publish);

	if (size == 0)
		return -EMSGSIZE;
	if (stream_room(&remote->stream) < size + MQTT_SMALL_PACKET_BYTES)
		return -EAGAIN;
	if (qos != 0)
		remote->flows[message->id] =
		    qos == 1 ? REMOTE_FLOW_PUBACK : REMOTE_FLOW_PUBREC;
	if (publish.topic_alias != 0)
		aliases_used(
		    &remote->aliases_out, publish.topic_alias, message->topic);
	size = mqtt_encode_publish(remote->scratch, remote->spec.max_packet,
	    &publish, remote->version, NULL);
	remote_mqtt_write(remote, remote->scratch, size);
	return 0;
}

void
remote_mqtt_notify(struct remote *remote, bool is_up, uint16_t id)
{
	struct mqtt_publish_out publish = {
		.retain = remote->retain_available,
		.qos = id == 0 ? 0 : 1,
		.packet_id = id,
		.topic = slice_of_string(remote->notification_topic),
		.payload = slice_of_string(is_up ? "1" : "0"),
	};
	size_t size = mqtt_publish_size(&publish, remote->version);

	/* A topic so long was in the will, and the remote has taken that. */
	if (size == 0 || size > remote->spec.max_packet)
		return;
	size = mqtt_encode_publish(remote->scratch, remote->spec.max_packet,
	    &publish, remote->version, NULL);
	remote_mqtt_write(remote, remote->scratch, size);
}

int
remote_mqtt_send(struct remote *remote, const struct remote_message *message)
{
	if (remote->state != REMOTE_UP)
		return -ENOTCONN;
	if (stream_pending(&remote->stream) >= REMOTE_MQTT_PENDING_HIGH)
		return -EAGAIN;
	return write_publish(remote, message);
}

static int
write_pubrel(struct remote *remote, uint16_t id)
{
	if (remote->state != REMOTE_UP)
		return -ENOTCONN;
	if (stream_pending(&remote->stream) >= REMOTE_MQTT_PENDING_HIGH)
		return -EAGAIN;
	remote_mqtt_write_ack(remote, MQTT_PUBREL, id, MQTT_SUCCESS);
	return remote->state == REMOTE_UP ? 0 : -ENOTCONN;
}

/* [MQTT-4.4.0-1] after PUBREC only the PUBREL is sent again. */
int
remote_mqtt_release(struct remote *remote, uint16_t id)
{
	int err = write_pubrel(remote, id);

	if (err == 0)
		remote->flows[id] = REMOTE_FLOW_PUBCOMP;
	return err;
}

int
remote_mqtt_end(struct remote *remote, uint16_t id)
{
	int err = write_pubrel(remote, id);

	if (err == 0)
		remote_mqtt_set_bit(remote->ending, id, true);
	return err;
}

void
remote_mqtt_remind(struct remote *remote, uint16_t id)
{
	if (remote->state == REMOTE_UP)
		remote_mqtt_write_ack(remote, MQTT_PUBREC, id, MQTT_SUCCESS);
}

void
remote_mqtt_acknowledge(
    struct remote *remote, uint16_t id, uint8_t qos, bool accepted)
{
	enum mqtt_reason reason =
	    accepted ? MQTT_SUCCESS : MQTT_IMPLEMENTATION_SPECIFIC_ERROR;

	if (remote->state != REMOTE_UP || !remote_mqtt_bit(remote->pending, id))
		return;
	remote_mqtt_set_bit(remote->pending, id, false);
	remote->pending_count--;
	if (remote->is_held) {
		remote->is_held = false;
		loop_timer_stop(&remote->held);
		stream_resume_read(&remote->stream);
	}
	remote_mqtt_write_ack(
	    remote, qos == 2 ? MQTT_PUBREC : MQTT_PUBACK, id, reason);
}
