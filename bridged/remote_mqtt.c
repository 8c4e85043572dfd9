/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/remote_mqtt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/log.h"

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
	dial_close(&remote->dial);
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
	dial_lost(&remote->dial, remote->state == REMOTE_UP);
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

	remote_mqtt_fail(remote, REMOTE_LOST, "no %s within connect_timeout",
	    stream_is_ready(&remote->stream) ? "CONNACK"
		: dial_remote(&remote->dial)->is_websocket
		? "answer to the WebSocket request"
		: "TLS handshake");
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
	const char *fault = stream_fault(stream);

	if (fault[0] != '\0') {
		remote_mqtt_fail(remote, REMOTE_LOST, "%s", fault);
		return;
	}
	/* Brokers that do not know the bridge bit may just hang up. */
	if (remote->state == REMOTE_HANDSHAKE &&
	    remote->spec.conf->announce_bridge)
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
tell_step(struct remote *remote, const char *step, const char *detail)
{
	if (remote->spec.callbacks->step != NULL)
		remote->spec.callbacks->step(remote->spec.arg, step, detail);
}

static void
on_layer(struct stream *stream, const char *name)
{
	char detail[128] = "mqtt";

	if (strcmp(name, "TLS") == 0)
		tls_describe(
		    stream_layer_named(stream, name), detail, sizeof(detail));
	tell_step(stream->owner, name, detail);
}

static void
on_resolved(void *arg)
{
	struct remote *remote = arg;

	tell_step(remote, "DNS", dial_remote(&remote->dial)->host);
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
	.on_layer = on_layer,
};

static void
on_connected(void *arg, int fd, const char *what)
{
	struct remote *remote = arg;
	char error[TLS_ERROR_SIZE];
	int err;

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
	tell_step(remote, "TCP", "connected");
	if (dial_layers(&remote->dial, &remote->stream, error) != 0) {
		remote_mqtt_fail(remote, REMOTE_DENIED, "TLS: %s", error);
		return;
	}
	stream_set_limits(&remote->stream,
	    (uint32_t)(remote->spec.max_packet + 2 * REMOTE_MQTT_PENDING_HIGH),
	    (uint32_t)remote->spec.max_packet + STREAM_READ_SIZE);
	enter(remote, REMOTE_HANDSHAKE);
	remote->heard_ns = loop_now_ns(remote->spec.loop);

	remote_mqtt_connect(remote);
}

/* The first address is back while another one is connected. */
static void
on_better(void *arg)
{
	struct remote *remote = arg;

	remote_mqtt_fault(remote, MQTT_NORMAL_DISCONNECTION,
	    "going back to the first of urls, which can be reached again");
}

static const struct dial_callbacks dial_callbacks = {
	.done = on_connected,
	.resolved = on_resolved,
	.better = on_better,
};

static const struct conf_remote *
mqtt_where(const struct remote *remote)
{
	return dial_remote(&remote->dial);
}

static void
mqtt_open(struct remote *remote, const char *self)
{
	const struct conf_bridge *conf = remote->spec.conf;

	BUG_ON(remote->state != REMOTE_IDLE);
	snprintf(remote->self, sizeof(remote->self), "%s", self);
	remote->version = (enum mqtt_version)conf->protocol;
	aliases_out_reset(&remote->aliases_out, 0);
	aliases_in_reset(&remote->aliases_in);
	memset(remote->flows, 0, sizeof(remote->flows));
	memset(remote->ending, 0, sizeof(remote->ending));
	remote->ping_sent = false;
	remote->is_receiving = false;
	enter(remote, REMOTE_CONNECTING);
	loop_timer_start(&remote->deadline, conf->connect_timeout_ns);
	if (dial_open(&remote->dial) != 0)
		remote_mqtt_fail(remote, REMOTE_LOST, "out of memory");
}

void
remote_mqtt_start(struct remote *remote)
{
	loop_timer_stop(&remote->deadline);
	dial_up(&remote->dial);
	enter(remote, REMOTE_UP);
	if (remote->keepalive_ns != 0)
		loop_timer_start(&remote->tick, remote->keepalive_ns / 8);
	remote->spec.callbacks->up(remote->spec.arg, &remote->limits);
}

static void
mqtt_close(struct remote *remote)
{
	struct mqtt_disconnect packet = { .reason = MQTT_NORMAL_DISCONNECTION };
	uint8_t buffer[MQTT_SMALL_PACKET_BYTES];
	size_t len;

	if (remote->state == REMOTE_UP && remote->notification_topic != NULL &&
	    remote->is_receiving)
		remote_mqtt_notify(remote, false, 0);
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
	uint16_t aliases = (uint16_t)spec->conf->topic_alias_maximum;
	struct remote *remote;

	BUG_ON(spec->max_packet == 0 || spec->max_pending == 0 ||
	    spec->max_pending > UINT16_MAX);
	remote = calloc(1, sizeof(*remote));
	if (remote == NULL)
		return NULL;
	remote->scratch = malloc(spec->max_packet);
	remote->spec = *spec;
	if (spec->conf->tls.insecure)
		log_warning("bridge_insecure",
		    "bridge=%s note=\"tls.insecure: the remote proves "
		    "nothing; whoever is in between can read and change "
		    "everything\"",
		    spec->conf->name);
	if (remote->scratch == NULL ||
	    aliases_out_init(&remote->aliases_out, aliases) != 0 ||
	    aliases_in_init(&remote->aliases_in, aliases) != 0) {
		aliases_out_fini(&remote->aliases_out);
		free(remote->scratch);
		free(remote);
		return NULL;
	}
	remote->bridge_bit = spec->conf->announce_bridge;
	dial_init(
	    &remote->dial, spec->conf, spec->loop, &dial_callbacks, remote);
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
	subscriptions_fini(&remote->subscriptions);
	aliases_out_fini(&remote->aliases_out);
	aliases_in_fini(&remote->aliases_in);
	free(remote->notification_topic);
	free(remote->scratch);
	free(remote);
}

const struct remote_kind remote_mqtt = {
	.type = "mqtt",
	.new = mqtt_new,
	.free = mqtt_free,
	.open = mqtt_open,
	.send = remote_mqtt_send,
	.release = remote_mqtt_release,
	.end = remote_mqtt_end,
	.receive = remote_mqtt_subscribe,
	.resubscribe = remote_mqtt_resubscribe,
	.acknowledge = remote_mqtt_acknowledge,
	.remind = remote_mqtt_remind,
	.close = mqtt_close,
	.where = mqtt_where,
};
