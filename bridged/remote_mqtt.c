/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/remote_mqtt.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/* More than this waiting for the socket: stop sending. */
#define PENDING_HIGH (256u << 10)

/* Input is left unread for this long before the connection is given up. */
#define HOLD_NS CLOCK_SECOND_NS

static void
enter(struct remote *remote, enum remote_state state)
{
	static const char *const names[] = {
		[REMOTE_IDLE] = "idle",
		[REMOTE_CONNECTING] = "connecting",
		[REMOTE_HANDSHAKE] = "handshake",
		[REMOTE_UP] = "up",
		[REMOTE_FAILED] = "failed",
	};

	log_debug("remote_state", "bridge=%s from=%s to=%s",
	    remote->spec.conf->name, names[remote->state], names[state]);
	remote->state = state;
}

static void
disconnect(struct remote *remote)
{
	connector_cancel(remote->connector);
	remote->connector = NULL;
	stream_close(&remote->stream);
	loop_timer_stop(&remote->deadline);
	loop_timer_stop(&remote->tick);
	loop_timer_stop(&remote->held);
	loop_timer_stop(&remote->report);
	remote->is_held = false;
	memset(remote->pending, 0, sizeof(remote->pending));
	remote->pending_count = 0;
}

static void __attribute__((format(printf, 3, 0))) fail(struct remote *remote,
    enum remote_trouble trouble, const char *format, va_list arguments)
{
	if (remote->state == REMOTE_IDLE || remote->state == REMOTE_FAILED)
		return;
	vsnprintf(remote->why, sizeof(remote->why), format, arguments);
	remote->trouble = trouble;
	disconnect(remote);
	enter(remote, REMOTE_FAILED);
	loop_timer_start(&remote->report, 0);
}

void
remote_mqtt_fail(
    struct remote *remote, enum remote_trouble trouble, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fail(remote, trouble, format, arguments);
	va_end(arguments);
}

void
remote_mqtt_fault(
    struct remote *remote, enum mqtt_reason reason, const char *format, ...)
{
	struct mqtt_disconnect packet = { .reason = reason };
	uint8_t buffer[MQTT_SMALL_PACKET_BYTES];
	va_list arguments;
	size_t len;

	/* A client may say why only in MQTT 5.0, and once it is connected. */
	if (remote->version == MQTT_5 && remote->state == REMOTE_UP) {
		len = mqtt_encode_disconnect(
		    buffer, sizeof(buffer), &packet, remote->version);
		if (stream_write(&remote->stream, buffer, len) == 0)
			stream_hub_flush(remote->spec.hub);
	}
	va_start(arguments, format);
	fail(remote, REMOTE_LOST, format, arguments);
	va_end(arguments);
}

static void
on_report(void *arg)
{
	struct remote *remote = arg;

	enter(remote, REMOTE_IDLE);
	remote->spec.callbacks->down(
	    remote->spec.arg, remote->trouble, remote->why);
}

void
remote_mqtt_write(struct remote *remote, const uint8_t *p, size_t len)
{
	int err;

	BUG_ON(len == 0);
	err = stream_write(&remote->stream, p, len);
	if (err != 0) {
		remote_mqtt_fail(remote, REMOTE_LOST,
		    "the remote does not read what it is sent");
		return;
	}
	remote->sent_ns = loop_now_ns(remote->spec.loop);
}

void
remote_mqtt_write_ack(struct remote *remote, enum mqtt_packet_type type,
    uint16_t id, enum mqtt_reason reason)
{
	struct mqtt_ack ack = { .packet_id = id, .reason = reason };
	uint8_t buffer[MQTT_SMALL_PACKET_BYTES];
	size_t len;

	len = mqtt_encode_ack(
	    buffer, sizeof(buffer), type, &ack, remote->version);
	remote_mqtt_write(remote, buffer, len);
}

/* [MQTT-3.1.2-20] something is sent within each keep alive interval. */
static void
on_tick(void *arg)
{
	struct remote *remote = arg;
	uint64_t now_ns = loop_now_ns(remote->spec.loop);
	uint64_t half_ns = remote->keepalive_ns / 2;
	uint8_t ping[2];

	if (remote->ping_sent && now_ns - remote->ping_ns >= half_ns) {
		remote_mqtt_fail(remote, REMOTE_LOST,
		    "no answer to PINGREQ within %llu ms (keepalive)",
		    (unsigned long long)(half_ns / CLOCK_MS_NS));
		return;
	}
	if (!remote->ping_sent &&
	    (now_ns - remote->sent_ns >= half_ns ||
		now_ns - remote->heard_ns >= half_ns)) {
		remote->ping_sent = true;
		remote->ping_ns = now_ns;
		remote_mqtt_write(remote, ping,
		    mqtt_encode_ping(ping, sizeof(ping), MQTT_PINGREQ));
	}
	if (remote->state == REMOTE_UP)
		loop_timer_start(&remote->tick, remote->keepalive_ns / 8);
}

static void
on_deadline(void *arg)
{
	struct remote *remote = arg;

	remote_mqtt_fail(
	    remote, REMOTE_LOST, "no CONNACK within connect_timeout");
}

void
remote_mqtt_hold(struct remote *remote)
{
	if (remote->is_held)
		return;
	remote->is_held = true;
	stream_pause_read(&remote->stream);
	loop_timer_start(&remote->held, HOLD_NS);
}

static void
on_held_long(void *arg)
{
	struct remote *remote = arg;

	remote_mqtt_fail(remote, REMOTE_LOST,
	    "%zu received messages wait for room in the broker",
	    remote->pending_count);
}

static void
on_closed(struct stream *stream, int reason)
{
	struct remote *remote = stream->owner;

	/* Brokers that do not know the bridge bit may just hang up. */
	if (remote->state == REMOTE_HANDSHAKE)
		remote->bridge_bit = !remote->bridge_bit;

	if (remote->state == REMOTE_HANDSHAKE && reason == 0)
		remote_mqtt_fail(
		    remote, REMOTE_LOST, "closed by the remote before CONNACK");
	else if (reason == 0)
		remote_mqtt_fail(remote, REMOTE_LOST, "closed by the remote");
	else
		remote_mqtt_fail(remote, REMOTE_LOST, "%s", strerror(-reason));
}

static void
on_drained(struct stream *stream)
{
	struct remote *remote = stream->owner;

	remote->spec.callbacks->writable(remote->spec.arg);
}

static const struct stream_callbacks stream_callbacks = {
	.on_data = remote_mqtt_on_data,
	.on_closed = on_closed,
	.on_drained = on_drained,
};

/* The password of whichever source is configured; NULL in *out: none. */
static int
read_password(const struct conf_bridge *conf, char **out_password)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];
	int err;

	*out_password = NULL;
	if (conf->password != NULL) {
		*out_password = strdup(conf->password);
		return *out_password == NULL ? -ENOMEM : 0;
	}
	if (conf->password_file != NULL)
		return conf_read_secret(conf->password_file, out_password);
	if (folder == NULL || conf->username == NULL)
		return 0;
	snprintf(
	    path, sizeof(path), "%s/bridge.%s.password", folder, conf->name);
	err = conf_read_secret(path, out_password);
	return err == -ENOENT ? 0 : err;
}

/* Seconds on the wire, rounded up; 0xffffffff is for ever. */
static uint32_t
expiry_on_wire(uint64_t expiry_ns)
{
	if (expiry_ns == CONF_NEVER)
		return UINT32_MAX;
	return (uint32_t)((expiry_ns + CLOCK_SECOND_NS - 1) / CLOCK_SECOND_NS);
}

static void
connect_properties(struct remote *remote, struct mqtt_properties *properties,
    uint8_t *verbatim, size_t size)
{
	struct wire_out w = wire_write(verbatim, size);

	properties->session_expiry_interval_s =
	    expiry_on_wire(remote->spec.conf->session_expiry_ns);
	mqtt_properties_set(properties, MQTT_SESSION_EXPIRY_INTERVAL);
	properties->receive_maximum = (uint16_t)remote->spec.max_pending;
	mqtt_properties_set(properties, MQTT_RECEIVE_MAXIMUM);
	properties->maximum_packet_size = (uint32_t)remote->spec.max_packet;
	mqtt_properties_set(properties, MQTT_MAXIMUM_PACKET_SIZE);

	mqtt_properties_put_user(&w, slice_of_string(REMOTE_MQTT_BRIDGE),
	    slice_of_string(remote->self));
	BUG_ON(w.bad);
	properties->verbatim = slice_of(verbatim, (size_t)(w.p - verbatim));
}

/* Set the top bit of the Protocol Level: how bridges announce themselves. */
static void
set_bridge_bit(uint8_t *packet)
{
	size_t at = 1;

	while ((packet[at] & 0x80) != 0)
		at++;
	packet[at + 7] |= 0x80;
}

static void
send_connect(struct remote *remote, const char *password)
{
	const struct conf_bridge *conf = remote->spec.conf;
	struct mqtt_connect connect = { 0 };
	uint8_t verbatim[128];
	uint8_t *packet;
	size_t size;

	connect.version = (uint8_t)remote->version;
	/* [MQTT-3.1.3-8] no client identifier, no session */
	connect.clean_start = conf->client_id[0] == '\0';
	connect.keep_alive_s = (uint16_t)(conf->keepalive_ns / CLOCK_SECOND_NS);
	connect.client_id = slice_of_string(conf->client_id);
	connect.has_username = conf->username != NULL;
	connect.username = slice_of_string(conf->username);
	connect.has_password = password != NULL;
	connect.password = slice_of_string(password);
	if (remote->version == MQTT_5)
		connect_properties(
		    remote, &connect.properties, verbatim, sizeof(verbatim));

	size = mqtt_connect_size(&connect);
	packet = size == 0 ? NULL : malloc(size);
	if (packet == NULL) {
		remote_mqtt_fail(remote, REMOTE_DENIED,
		    "client_id, username and password do not fit a CONNECT");
		return;
	}
	size = mqtt_encode_connect(packet, size, &connect);
	if (remote->version != MQTT_5 && remote->bridge_bit)
		set_bridge_bit(packet);
	remote->spec.callbacks->connecting(remote->spec.arg);
	remote_mqtt_write(remote, packet, size);
	explicit_bzero(packet, size);
	free(packet);
}

static void
on_connected(void *arg, int fd, const char *what)
{
	struct remote *remote = arg;
	char *password;
	int err;

	remote->connector = NULL;
	if (fd < 0) {
		remote_mqtt_fail(remote, REMOTE_LOST, "%s", what);
		return;
	}
	err = stream_init(
	    &remote->stream, remote->spec.hub, fd, &stream_callbacks, remote);
	if (err != 0) {
		remote_mqtt_fail(remote, REMOTE_LOST, "%s", strerror(-err));
		return;
	}
	stream_set_limits(&remote->stream,
	    (uint32_t)(remote->spec.max_packet + 2 * PENDING_HIGH),
	    (uint32_t)remote->spec.max_packet + STREAM_READ_SIZE);
	enter(remote, REMOTE_HANDSHAKE);
	remote->heard_ns = loop_now_ns(remote->spec.loop);

	err = read_password(remote->spec.conf, &password);
	if (err != 0) {
		remote_mqtt_fail(remote, REMOTE_DENIED,
		    "password of bridge cannot be read: %s; check "
		    "password_file",
		    strerror(-err));
		return;
	}
	send_connect(remote, password);
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(password);
}

static void
mqtt_open(struct remote *remote, const char *self)
{
	const struct conf_bridge *conf = remote->spec.conf;

	BUG_ON(remote->state != REMOTE_IDLE);
	snprintf(remote->self, sizeof(remote->self), "%s", self);
	memset(remote->flows, 0, sizeof(remote->flows));
	memset(remote->ending, 0, sizeof(remote->ending));
	remote->ping_sent = false;
	enter(remote, REMOTE_CONNECTING);
	loop_timer_start(&remote->deadline, conf->connect_timeout_ns);
	remote->connector = connector_start(remote->spec.loop, conf->host,
	    conf->port, conf->connect_timeout_ns, on_connected, remote);
	if (remote->connector == NULL)
		remote_mqtt_fail(remote, REMOTE_LOST, "out of memory");
}

void
remote_mqtt_start(struct remote *remote)
{
	loop_timer_stop(&remote->deadline);
	enter(remote, REMOTE_UP);
	if (remote->keepalive_ns != 0)
		loop_timer_start(&remote->tick, remote->keepalive_ns / 8);
	remote->spec.callbacks->up(remote->spec.arg, &remote->limits);
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
	size_t size = mqtt_publish_size(&publish, remote->version);

	if (size == 0 || size > remote->max_packet ||
	    size > remote->spec.max_packet)
		return -EMSGSIZE;
	if (stream_room(&remote->stream) < size + MQTT_SMALL_PACKET_BYTES)
		return -EAGAIN;
	if (qos != 0)
		remote->flows[message->id] =
		    qos == 1 ? REMOTE_FLOW_PUBACK : REMOTE_FLOW_PUBREC;
	size = mqtt_encode_publish(remote->scratch, remote->spec.max_packet,
	    &publish, remote->version, NULL);
	remote_mqtt_write(remote, remote->scratch, size);
	return 0;
}

static int
mqtt_send(struct remote *remote, const struct remote_message *message)
{
	if (remote->state != REMOTE_UP)
		return -ENOTCONN;
	if (stream_pending(&remote->stream) >= PENDING_HIGH)
		return -EAGAIN;
	return write_publish(remote, message);
}

static int
write_pubrel(struct remote *remote, uint16_t id)
{
	if (remote->state != REMOTE_UP)
		return -ENOTCONN;
	if (stream_pending(&remote->stream) >= PENDING_HIGH)
		return -EAGAIN;
	remote_mqtt_write_ack(remote, MQTT_PUBREL, id, MQTT_SUCCESS);
	return remote->state == REMOTE_UP ? 0 : -ENOTCONN;
}

/* [MQTT-4.4.0-1] after PUBREC only the PUBREL is sent again. */
static int
mqtt_release(struct remote *remote, uint16_t id)
{
	int err = write_pubrel(remote, id);

	if (err == 0)
		remote->flows[id] = REMOTE_FLOW_PUBCOMP;
	return err;
}

static int
mqtt_end(struct remote *remote, uint16_t id)
{
	int err = write_pubrel(remote, id);

	if (err == 0)
		remote_mqtt_set_bit(remote->ending, id, true);
	return err;
}

static void
mqtt_remind(struct remote *remote, uint16_t id)
{
	if (remote->state == REMOTE_UP)
		remote_mqtt_write_ack(remote, MQTT_PUBREC, id, MQTT_SUCCESS);
}

static void
mqtt_acknowledge(struct remote *remote, uint16_t id, uint8_t qos, bool accepted)
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

static void
mqtt_close(struct remote *remote)
{
	struct mqtt_disconnect packet = { .reason = MQTT_NORMAL_DISCONNECTION };
	uint8_t buffer[MQTT_SMALL_PACKET_BYTES];
	size_t len;

	if (remote->state == REMOTE_UP) {
		len = mqtt_encode_disconnect(
		    buffer, sizeof(buffer), &packet, remote->version);
		if (stream_write(&remote->stream, buffer, len) == 0)
			stream_hub_flush(remote->spec.hub);
	}
	disconnect(remote);
	enter(remote, REMOTE_IDLE);
}

static struct remote *
mqtt_new(const struct remote_spec *spec)
{
	struct remote *remote;

	BUG_ON(spec->max_packet == 0 || spec->max_pending == 0 ||
	    spec->max_pending > UINT16_MAX);
	remote = calloc(1, sizeof(*remote));
	if (remote == NULL)
		return NULL;
	remote->scratch = malloc(spec->max_packet);
	if (remote->scratch == NULL) {
		free(remote);
		return NULL;
	}
	remote->spec = *spec;
	remote->version = (enum mqtt_version)spec->conf->protocol;
	remote->bridge_bit = true;
	loop_timer_init(&remote->deadline, spec->loop, on_deadline, remote);
	loop_timer_init(&remote->tick, spec->loop, on_tick, remote);
	loop_timer_init(&remote->held, spec->loop, on_held_long, remote);
	loop_timer_init(&remote->report, spec->loop, on_report, remote);
	return remote;
}

static void
mqtt_free(struct remote *remote)
{
	if (remote == NULL)
		return;
	disconnect(remote);
	free(remote->scratch);
	free(remote);
}

const struct remote_kind remote_mqtt = {
	.type = "mqtt",
	.new = mqtt_new,
	.free = mqtt_free,
	.open = mqtt_open,
	.send = mqtt_send,
	.release = mqtt_release,
	.end = mqtt_end,
	.receive = remote_mqtt_subscribe,
	.acknowledge = mqtt_acknowledge,
	.remind = mqtt_remind,
	.close = mqtt_close,
};
