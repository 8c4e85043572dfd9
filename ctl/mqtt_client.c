/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/mqtt_client.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/net/tls.h"
#include "ctl/mqtt_client_private.h"

/* TCP and CONNACK together. */
#define CONNECT_TIMEOUT_NS (10 * CLOCK_SECOND_NS)

/* At the end the broker must take something within this long. */
#define END_TIMEOUT_NS (5 * CLOCK_SECOND_NS)

/* Nothing more is published while this much waits for the socket. */
#define PCLIENT_ENDING_HIGH (1u << 20)

/* One message of the largest size, and what was pending before it. */
#define WRITE_LIMIT (MQTT_MAX_PACKET_BYTES + 2 * PCLIENT_ENDING_HIGH)
#define MAX_CHUNKS (WRITE_LIMIT / STREAM_CHUNK_SIZE + 64)

void
mqtt_client_enter(struct mqtt_client *client, enum mqtt_client_state state)
{
	static const char *const names[] = { "connecting", "handshake", "up",
		"ending", "over" };

	log_debug("client_state", "from=%s to=%s", names[client->state],
	    names[state]);
	client->state = state;
}

void
mqtt_client_tell(const struct mqtt_client *client, const char *format, ...)
{
	const struct slice id = client->spec->connect.client_id;
	char text[1024];
	va_list args;

	if (!client->spec->debug)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "Client %.*s %s\n", (int)id.len, (const char *)id.data,
	    text);
}

void
mqtt_client_leave(struct mqtt_client *client, int code)
{
	if (client->state == CLIENT_OVER)
		return;
	connector_cancel(client->connector);
	client->connector = NULL;
	stream_close(&client->stream);
	loop_timer_stop(&client->deadline);
	loop_timer_stop(&client->tick);
	mqtt_client_enter(client, CLIENT_OVER);
	client->code = code;
	loop_stop(client->loop);
}

static void __attribute__((format(printf, 2, 0))) complain(
    const struct mqtt_client *client, const char *format, va_list arguments)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", client->spec->program);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

void
mqtt_client_break_off(
    struct mqtt_client *client, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	complain(client, format, arguments);
	va_end(arguments);
	mqtt_client_leave(client, code);
}

void
mqtt_client_write(struct mqtt_client *client, const void *packet, size_t len)
{
	BUG_ON(len == 0);
	if (stream_write(&client->stream, packet, len) != 0)
		mqtt_client_break_off(client, EXIT_FAILED,
		    "out of memory: the broker does not read what it is sent");
	client->sent_ns = loop_now_ns(client->loop);
}

static void
write_disconnect(struct mqtt_client *client, enum mqtt_reason reason)
{
	struct mqtt_disconnect packet = { .reason = reason };
	uint8_t buffer[MQTT_SMALL_PACKET_BYTES];

	mqtt_client_tell(client, "sending DISCONNECT");
	mqtt_client_write(client, buffer,
	    mqtt_encode_disconnect(
		buffer, sizeof(buffer), &packet, client->version));
}

void
mqtt_client_end(struct mqtt_client *client, int code)
{
	if (client->state >= CLIENT_ENDING)
		return;
	if (client->state != CLIENT_UP) {
		mqtt_client_leave(client, code);
		return;
	}
	/* [MQTT-3.14.4-1] [MQTT-3.14.4-2] the last packet, then the end */
	write_disconnect(client, MQTT_NORMAL_DISCONNECTION);
	if (client->state != CLIENT_UP)
		return;
	client->code = code;
	mqtt_client_enter(client, CLIENT_ENDING);
	loop_timer_stop(&client->tick);
	client->pending_before = stream_pending(&client->stream);
	loop_timer_start(&client->deadline, END_TIMEOUT_NS);
	stream_finish(&client->stream);
}

void
mqtt_client_fail(struct mqtt_client *client, int code, const char *format, ...)
{
	va_list arguments;

	if (client->state >= CLIENT_ENDING)
		return;
	va_start(arguments, format);
	complain(client, format, arguments);
	va_end(arguments);
	mqtt_client_end(client, code);
}

void
mqtt_client_fault(struct mqtt_client *client, const struct mqtt_frame *frame,
    enum mqtt_reason reason)
{
	if (client->version == MQTT_5 && client->state == CLIENT_UP) {
		write_disconnect(client, reason);
		stream_hub_flush(client->hub);
	}
	mqtt_client_break_off(client, EXIT_FAILED,
	    "the broker sent a wrong %s: %s",
	    frame == NULL ? "packet" : mqtt_packet_name(frame->type),
	    mqtt_reason_name(reason));
}

static void
on_deadline(void *arg)
{
	struct mqtt_client *client = arg;
	const size_t pending = stream_pending(&client->stream);

	if (client->state == CLIENT_ENDING &&
	    pending < client->pending_before) {
		client->pending_before = pending;
		loop_timer_start(&client->deadline, END_TIMEOUT_NS);
	} else if (client->state == CLIENT_ENDING) {
		mqtt_client_break_off(client, EXIT_FAILED,
		    "the broker does not read: %zu bytes were not sent",
		    pending);
	} else {
		mqtt_client_break_off(client, EXIT_UNAVAILABLE,
		    "%s:%u does not answer CONNECT: is it an MQTT broker, "
		    "without TLS?",
		    client->spec->host, client->spec->port);
	}
}

/* [MQTT-3.1.2-20] something is sent within each keep alive interval. */
static void
on_tick(void *arg)
{
	struct mqtt_client *client = arg;
	const uint64_t now_ns = loop_now_ns(client->loop);
	uint8_t ping[2];

	if (client->ping_sent &&
	    now_ns - client->ping_ns >= client->keep_alive_ns) {
		mqtt_client_break_off(client, EXIT_UNAVAILABLE,
		    "no answer to PINGREQ within %" PRIu64 " s (-k)",
		    client->keep_alive_ns / CLOCK_SECOND_NS);
		return;
	}
	if (!client->ping_sent &&
	    now_ns - client->sent_ns + MQTT_CLIENT_TICK_NS >=
		client->keep_alive_ns - client->keep_alive_ns / 4) {
		mqtt_client_tell(client, "sending PINGREQ");
		client->ping_sent = true;
		client->ping_ns = now_ns;
		mqtt_client_write(client, ping,
		    mqtt_encode_ping(ping, sizeof(ping), MQTT_PINGREQ));
	}
	if (client->state == CLIENT_UP)
		loop_timer_start(&client->tick, MQTT_CLIENT_TICK_NS);
}

static void
on_signal(void *arg, int number)
{
	struct mqtt_client *client = arg;

	(void)number;
	if (client->state == CLIENT_UP)
		client->callbacks->interrupted(client->arg);
	else
		mqtt_client_leave(client, EXIT_FAILED);
}

static void
on_closed(struct stream *stream, int reason)
{
	struct mqtt_client *client = stream->owner;

	if (client->state == CLIENT_ENDING && reason == 0) {
		mqtt_client_leave(client, client->code);
	} else if (stream_fault(stream)[0] != '\0') {
		mqtt_client_break_off(client, EXIT_UNAVAILABLE, "%s:%u: %s",
		    client->spec->host, client->spec->port,
		    stream_fault(stream));
	} else if (client->state == CLIENT_ENDING) {
		mqtt_client_break_off(client, EXIT_UNAVAILABLE,
		    "the connection broke before all was sent: %s",
		    strerror(-reason));
	} else if (client->state == CLIENT_HANDSHAKE) {
		mqtt_client_break_off(client, EXIT_UNAVAILABLE,
		    "%s:%u closed the connection instead of answering "
		    "CONNECT; its log says why",
		    client->spec->host, client->spec->port);
	} else if (client->state == CLIENT_UP) {
		mqtt_client_break_off(client, EXIT_UNAVAILABLE,
		    "the connection is lost: %s%s",
		    reason == 0 ? "closed by the broker" : strerror(-reason),
		    client->version == MQTT_5
			? ""
			: "; with -V 5 a broker says why");
	}
}

static void
on_drained(struct stream *stream)
{
	struct mqtt_client *client = stream->owner;

	if (client->state == CLIENT_UP)
		client->callbacks->writable(client->arg);
}

static const struct stream_callbacks stream_callbacks = {
	.on_data = mqtt_client_on_data,
	.on_closed = on_closed,
	.on_drained = on_drained,
};

static void
send_connect(struct mqtt_client *client)
{
	const struct mqtt_connect *connect = &client->spec->connect;
	const size_t size = mqtt_connect_size(connect);
	uint8_t *packet;

	packet = size == 0 ? NULL : malloc(size);
	if (packet == NULL) {
		mqtt_client_break_off(client, EXIT_FAILED,
		    "the CONNECT is too large: an option is longer than 65535 "
		    "bytes");
		return;
	}
	mqtt_client_tell(client, "sending CONNECT");
	mqtt_client_write(
	    client, packet, mqtt_encode_connect(packet, size, connect));
	free(packet);
}

/* The CONNECT is sent when its handshake is over. */
static bool
push_tls(struct mqtt_client *client)
{
	struct stream_layer *layer =
	    tls_layer(client->spec->tls, client->spec->host);

	if (layer == NULL) {
		mqtt_client_break_off(client, EXIT_FAILED, "no memory for TLS");
		return false;
	}
	stream_push_layer(&client->stream, layer);
	return true;
}

static void
on_socket(void *arg, int fd, const char *what)
{
	struct mqtt_client *client = arg;
	int err;

	client->connector = NULL;
	if (fd < 0) {
		mqtt_client_break_off(client, EXIT_UNAVAILABLE,
		    "cannot reach a broker: %s; is it running? -h and -p, or "
		    "-c, name another",
		    what);
		return;
	}
	err = stream_init(
	    &client->stream, client->hub, fd, &stream_callbacks, client);
	if (err != 0) {
		mqtt_client_break_off(client, EXIT_FAILED,
		    "cannot use the socket: %s", strerror(-err));
		return;
	}
	if (client->spec->tls != NULL && !push_tls(client))
		return;
	stream_set_limits(&client->stream, WRITE_LIMIT, MQTT_MAX_PACKET_BYTES);
	mqtt_client_enter(client, CLIENT_HANDSHAKE);
	send_connect(client);
}

struct mqtt_client *
mqtt_client_new(const struct mqtt_client_spec *spec,
    const struct mqtt_client_callbacks *callbacks, void *arg)
{
	static const int numbers[] = { SIGINT, SIGTERM, 0 };
	struct mqtt_client *client;

	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return NULL;
	client->spec = spec;
	client->callbacks = callbacks;
	client->arg = arg;
	client->version = (enum mqtt_version)spec->connect.version;
	client->code = EXIT_FAILED;
	client->loop = loop_new();
	if (client->loop == NULL)
		goto fail;
	client->hub = stream_hub_new(client->loop, MAX_CHUNKS);
	if (client->hub == NULL)
		goto fail;
	if (loop_signals_start(&client->signals, client->loop, numbers,
		on_signal, client) != 0)
		goto fail;
	loop_timer_init(&client->deadline, client->loop, on_deadline, client);
	loop_timer_init(&client->tick, client->loop, on_tick, client);
	return client;

fail:
	mqtt_client_free(client);
	errno = ENOMEM;
	return NULL;
}

void
mqtt_client_free(struct mqtt_client *client)
{
	if (client == NULL)
		return;
	mqtt_client_leave(client, client->code);
	loop_signals_stop(&client->signals);
	stream_hub_free(client->hub);
	loop_free(client->loop);
	free(client);
}

int
mqtt_client_run(struct mqtt_client *client)
{
	int err;

	client->connector = connector_start(client->loop, client->spec->host,
	    client->spec->port, CONNECT_TIMEOUT_NS, on_socket, client);
	if (client->connector == NULL)
		return EXIT_FAILED;
	loop_timer_start(&client->deadline, CONNECT_TIMEOUT_NS);
	err = loop_run(client->loop);
	if (err != 0)
		mqtt_client_break_off(client, EXIT_FAILED,
		    "cannot wait for events: %s", strerror(-err));
	return client->code;
}

bool
mqtt_client_has_room(const struct mqtt_client *client)
{
	return client->state == CLIENT_UP &&
	    client->in_flight < client->window &&
	    stream_pending(&client->stream) < PCLIENT_ENDING_HIGH;
}

unsigned
mqtt_client_in_flight(const struct mqtt_client *client)
{
	return client->in_flight;
}

struct loop *
mqtt_client_loop(struct mqtt_client *client)
{
	return client->loop;
}

struct mqtt_client_slot *
mqtt_client_find_slot(struct mqtt_client *client, uint16_t packet_id)
{
	for (unsigned i = 0; i < MQTT_CLIENT_WINDOW; i++) {
		if (client->slots[i].awaits != 0 &&
		    client->slots[i].packet_id == packet_id)
			return &client->slots[i];
	}
	return NULL;
}

/* [MQTT-2.2.1-3] [MQTT3-2.3.1-1] one that is not in use, never 0. */
static uint16_t
take_packet_id(struct mqtt_client *client)
{
	do {
		client->last_packet_id++;
	} while (client->last_packet_id == 0 ||
	    mqtt_client_find_slot(client, client->last_packet_id) != NULL);
	return client->last_packet_id;
}

static void
occupy_slot(struct mqtt_client *client, const struct mqtt_publish_out *publish)
{
	struct mqtt_client_slot *slot = client->slots;

	while (slot->awaits != 0)
		slot++;
	slot->packet_id = publish->packet_id;
	slot->awaits = publish->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC;
	client->in_flight++;
}

/* 0 when there is none. */
static uint32_t
topic_alias(const struct mqtt_publish_out *publish)
{
	struct wire walk = wire_read(publish->properties);
	struct mqtt_property_item item;

	return mqtt_properties_find(&walk, MQTT_TOPIC_ALIAS, &item)
	    ? item.number
	    : 0;
}

/* What the broker said in CONNACK that it does not take. */
static bool
is_acceptable(struct mqtt_client *client,
    const struct mqtt_publish_out *publish, size_t size)
{
	/* [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15] [MQTT-3.2.2-17] */
	if (publish->qos > client->maximum_qos)
		mqtt_client_fail(client, EXIT_FAILED,
		    "the broker takes QoS %u at most: lower -q",
		    client->maximum_qos);
	else if (publish->retain && !client->retain_available)
		mqtt_client_fail(client, EXIT_FAILED,
		    "the broker retains nothing: leave -r out");
	else if (topic_alias(publish) > client->topic_alias_maximum)
		mqtt_client_fail(client, EXIT_FAILED,
		    "the broker takes topic aliases up to %u, not %" PRIu32,
		    client->topic_alias_maximum, topic_alias(publish));
	else if (size == 0)
		mqtt_client_fail(client, EXIT_FAILED,
		    "the message is larger than the 256 MiB that MQTT allows");
	else if (size > client->maximum_packet_size)
		mqtt_client_fail(client, EXIT_FAILED,
		    "the message takes %zu bytes, the broker takes packets "
		    "of %" PRIu32 " (max_packet_size)",
		    size, client->maximum_packet_size);
	return client->state == CLIENT_UP;
}

void
mqtt_client_publish(
    struct mqtt_client *client, const struct mqtt_publish_out *publish)
{
	struct mqtt_publish_out out = *publish;
	uint8_t *head;
	size_t size, len;

	size = mqtt_publish_size(&out, client->version);
	if (!is_acceptable(client, &out, size))
		return;
	if (out.qos != 0) {
		out.packet_id = take_packet_id(client);
		occupy_slot(client, &out);
	}
	mqtt_client_tell(client,
	    "sending PUBLISH (d0, q%u, r%d, m%u, '%.*s', ... (%zu bytes))",
	    out.qos, out.retain, out.packet_id, (int)out.topic.len,
	    (const char *)out.topic.data, out.payload.len);
	head = malloc(size - out.payload.len);
	if (head == NULL) {
		mqtt_client_fail(client, EXIT_FAILED, "no memory");
		return;
	}
	len = mqtt_encode_publish_head(
	    head, size - out.payload.len, &out, client->version, NULL);
	mqtt_client_write(client, head, len);
	free(head);
	if (out.payload.len != 0 && client->state == CLIENT_UP)
		mqtt_client_write(client, out.payload.data, out.payload.len);
}

void
mqtt_client_subscribe(struct mqtt_client *client,
    const struct mqtt_subscription *list, size_t count,
    const struct mqtt_properties *properties)
{
	const uint16_t packet_id = take_packet_id(client);
	uint8_t *packet;
	size_t size;

	size = mqtt_subscribe_size(list, count, properties, client->version);
	packet = size == 0 ? NULL : malloc(size);
	if (packet == NULL) {
		mqtt_client_fail(
		    client, EXIT_FAILED, "the SUBSCRIBE is too large");
		return;
	}
	for (size_t i = 0; i < count; i++)
		mqtt_client_tell(client,
		    "sending SUBSCRIBE (Mid: %u, Topic: %.*s, QoS: %u)",
		    packet_id, (int)list[i].filter.len,
		    (const char *)list[i].filter.data, list[i].qos);
	client->subscribed = count;
	mqtt_client_write(client, packet,
	    mqtt_encode_subscribe(packet, size, packet_id, list, count,
		properties, client->version));
	free(packet);
}
