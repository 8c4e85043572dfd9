/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/load_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

#define EVENTS 256
#define PATIENCE_SECONDS 10

void
load_die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

void
load_die_of(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "load: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

/* ---- step by step ------------------------------------------------------- */

void
load_client_open(struct load_client *client, uint16_t port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
	const int on = 1;

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd == -1)
		load_die("socket");
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(
	    client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(client->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		load_die("connect");
	client->receive_maximum = UINT16_MAX;
}

void
load_client_send(struct load_client *client, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	ssize_t sent;

	while (length != 0) {
		sent = send(client->fd, at, length, MSG_NOSIGNAL);
		if (sent == -1)
			load_die("send");
		at += sent;
		length -= (size_t)sent;
	}
}

void
load_client_connect(
    struct load_client *client, const struct mqtt_connect *connect)
{
	uint8_t bytes[256];

	client->version = connect->version;
	load_client_send(
	    client, bytes, mqtt_encode_connect(bytes, sizeof(bytes), connect));
}

void
load_client_subscribe(struct load_client *client,
    const struct mqtt_subscription *list, size_t count)
{
	size_t size = mqtt_subscribe_size(list, count, NULL, client->version);
	uint8_t *bytes = malloc(size);

	BUG_ON(bytes == NULL);
	mqtt_encode_subscribe(bytes, size, load_client_packet_id(client), list,
	    count, NULL, client->version);
	load_client_send(client, bytes, size);
	free(bytes);
}

uint16_t
load_client_packet_id(struct load_client *client)
{
	if (++client->packet_id == 0)
		client->packet_id = 1;
	return client->packet_id;
}

static void
take_in(struct load_client *client)
{
	if (client->input == NULL)
		client->input = malloc(LOAD_INPUT_BYTES);
	BUG_ON(client->input == NULL);
}

/* Drop the packet at the beginning of the input. */
static void
drop(struct load_client *client, size_t size)
{
	client->input_length -= size;
	memmove(client->input, client->input + size, client->input_length);
}

static void
check_connack(struct load_client *client, const struct mqtt_frame *frame)
{
	struct mqtt_connack connack;

	if (mqtt_decode_connack(frame, client->version, &connack) !=
	    MQTT_SUCCESS)
		load_die_of("the CONNACK cannot be read");
	if (connack.reason != MQTT_SUCCESS)
		load_die_of("CONNECT was refused: %s",
		    mqtt_reason_name(connack.reason));
	if (mqtt_properties_has(&connack.properties, MQTT_RECEIVE_MAXIMUM))
		client->receive_maximum = connack.properties.receive_maximum;
}

static void
check_suback(struct load_client *client, const struct mqtt_frame *frame)
{
	struct mqtt_suback suback;

	if (mqtt_decode_suback(frame, client->version, &suback) != MQTT_SUCCESS)
		load_die_of("the SUBACK cannot be read");
	for (size_t i = 0; i < suback.codes.len; i++)
		if (suback.codes.data[i] > 2)
			load_die_of("SUBSCRIBE was refused: %s",
			    mqtt_reason_name(suback.codes.data[i]));
}

static void
look_for(struct load_client *client, struct mqtt_frame *frame)
{
	ssize_t got;

	while (mqtt_frame(client->input, client->input_length, LOAD_INPUT_BYTES,
		   frame) != MQTT_FRAME_WHOLE) {
		got = recv(client->fd, client->input + client->input_length,
		    LOAD_INPUT_BYTES - client->input_length, 0);
		if (got == 0)
			errno = ECONNRESET;
		if (got <= 0)
			load_die("waiting for the broker's answer");
		client->input_length += (size_t)got;
	}
}

void
load_client_await(struct load_client *client, enum mqtt_packet_type type,
    struct mqtt_frame *frame)
{
	static uint8_t body[LOAD_INPUT_BYTES];

	take_in(client);
	look_for(client, frame);
	if (frame->type != type)
		load_die_of("%s instead of %s", mqtt_packet_name(frame->type),
		    mqtt_packet_name(type));
	if (type == MQTT_CONNACK)
		check_connack(client, frame);
	if (type == MQTT_SUBACK)
		check_suback(client, frame);
	memcpy(body, frame->body.data, frame->body.len);
	frame->body.data = body;
	drop(client, frame->size);
}

void
load_client_fini(struct load_client *client)
{
	close(client->fd);
	free(client->output);
	free(client->input);
	*client = (struct load_client){ .fd = -1 };
}

/* ---- in the loop -------------------------------------------------------- */

uint8_t *
load_client_reserve(struct load_client *client, size_t length)
{
	if (client->output_length + length > client->output_size) {
		client->output_size = (client->output_length + length) * 2;
		client->output = realloc(client->output, client->output_size);
		BUG_ON(client->output == NULL);
	}
	if (!client->is_dirty && client->loop != NULL) {
		client->is_dirty = true;
		client->next_dirty = client->loop->dirty;
		client->loop->dirty = client;
	}
	client->output_length += length;
	return client->output + client->output_length - length;
}

void
load_loop_init(struct load_loop *loop)
{
	*loop = (struct load_loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	if (loop->epoll == -1)
		load_die("epoll_create1");
}

static void
watch(struct load_client *client, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = client };

	if (epoll_ctl(client->loop->epoll, operation, client->fd, &event) != 0)
		load_die("epoll_ctl");
}

void
load_loop_watch(struct load_loop *loop, struct load_client *client)
{
	client->loop = loop;
	take_in(client);
	fcntl(client->fd, F_SETFL, O_NONBLOCK);
	watch(client, EPOLL_CTL_ADD, EPOLLIN);
}

static void
flush(struct load_client *client)
{
	ssize_t sent;

	if (client->output_length == 0 || client->is_blocked)
		return;
	sent = send(
	    client->fd, client->output, client->output_length, MSG_NOSIGNAL);
	if (sent == -1 && errno != EAGAIN)
		load_die("send");
	if (sent == -1)
		sent = 0;
	client->output_length -= (size_t)sent;
	if (client->output_length == 0)
		return;
	memmove(client->output, client->output + sent, client->output_length);
	client->is_blocked = true;
	watch(client, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

void
load_loop_flush(struct load_loop *loop)
{
	struct load_client *client = loop->dirty, *next;

	loop->dirty = NULL;
	for (; client != NULL; client = next) {
		next = client->next_dirty;
		client->is_dirty = false;
		flush(client);
	}
}

static void
say_disconnect(const struct load_client *client, const struct mqtt_frame *frame)
{
	struct mqtt_disconnect disconnect;

	if (mqtt_decode_disconnect(frame, client->version, MQTT_CLIENT,
		&disconnect) != MQTT_SUCCESS)
		load_die_of("a DISCONNECT that cannot be read");
	load_die_of(
	    "the broker disconnects: %s", mqtt_reason_name(disconnect.reason));
}

static void
hand_out(struct load_client *client, load_packet_fn *on_packet, void *context,
    uint64_t now_ns)
{
	enum mqtt_frame_status status;
	struct mqtt_frame frame;
	size_t used = 0;

	while ((status = mqtt_frame(client->input + used,
		    client->input_length - used, LOAD_INPUT_BYTES, &frame)) ==
	    MQTT_FRAME_WHOLE) {
		if (frame.type == MQTT_DISCONNECT)
			say_disconnect(client, &frame);
		on_packet(context, client, &frame, now_ns);
		used += frame.size;
	}
	if (status != MQTT_FRAME_PARTIAL)
		load_die_of("the broker sends what is no MQTT packet");
	drop(client, used);
}

static void
receive(struct load_client *client, load_packet_fn *on_packet, void *context)
{
	ssize_t got;

	got = recv(client->fd, client->input + client->input_length,
	    LOAD_INPUT_BYTES - client->input_length, 0);
	if (got == -1 && errno == EAGAIN)
		return;
	if (got == 0)
		errno = ECONNRESET;
	if (got <= 0)
		load_die("connection lost");
	client->input_length += (size_t)got;
	hand_out(client, on_packet, context, clock_now_ns());
}

void
load_loop_wait(struct load_loop *loop, uint64_t timeout_ns,
    load_packet_fn *on_packet, void *context)
{
	const struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / CLOCK_SECOND_NS),
		.tv_nsec = (long)(timeout_ns % CLOCK_SECOND_NS),
	};
	struct epoll_event events[EVENTS];
	struct load_client *client;
	int count;

	count = epoll_pwait2(loop->epoll, events, EVENTS, &timeout, NULL);
	if (count == -1 && errno != EINTR)
		load_die("epoll_pwait2");
	for (int i = 0; i < count; i++) {
		client = events[i].data.ptr;
		if ((events[i].events & EPOLLOUT) != 0) {
			client->is_blocked = false;
			watch(client, EPOLL_CTL_MOD, EPOLLIN);
			load_client_reserve(client, 0);
		}
		receive(client, on_packet, context);
	}
}
