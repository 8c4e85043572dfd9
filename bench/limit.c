/* SPDX-License-Identifier: Apache-2.0 */

/*
 * limit - what the kernel's sockets allow: a forwarder that is no broker.
 *
 *	bench/limit -p PORT
 *
 * One thread.  It splits what it reads into packets, copies each PUBLISH as it
 * is to the outputs of those that subscribed to exactly this topic, and writes
 * every output once for all that one epoll_wait(2) gave.  It acknowledges what
 * has to be acknowledged, so that QoS 1 and 2 cost the packets that they
 * cost everywhere.  No sessions, no wildcards, no retained messages, no packet
 * identifiers of its own, no limits: a broker has to do more than this, and
 * cannot well cost less.  All clients must speak the same version of MQTT.
 *
 * For bench/load on the loopback address alone; ends with SIGTERM.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/mqtt/encode.h"

#define INPUT_BYTES (256u * 1024)
#define LARGEST (64u * 1024)
#define EVENTS 256
#define BUCKETS 65536u /* a power of two */

struct connection {
	int fd;
	bool is_dirty, is_blocked, is_gone;
	struct connection *next_dirty;
	uint8_t *rest; /* the beginning of a packet */
	size_t rest_length;
	uint8_t *output;
	size_t output_length, output_size;
};

struct topic {
	struct topic *next;
	char *name;
	size_t length;
	struct connection **receivers;
	size_t count;
};

struct limit {
	int epoll, listener;
	enum mqtt_version version; /* 0: nobody has come */
	struct connection *dirty;
	struct topic *topics[BUCKETS];
	uint8_t input[INPUT_BYTES + LARGEST];
};

static void
die(const char *what)
{
	fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- output ------------------------------------------------------------- */

static uint8_t *
reserve(struct limit *limit, struct connection *to, size_t length)
{
	if (to->output_length + length > to->output_size) {
		to->output_size = (to->output_length + length) * 2;
		to->output = realloc(to->output, to->output_size);
		BUG_ON(to->output == NULL);
	}
	if (!to->is_dirty) {
		to->is_dirty = true;
		to->next_dirty = limit->dirty;
		limit->dirty = to;
	}
	to->output_length += length;
	return to->output + to->output_length - length;
}

static void
watch(struct limit *limit, struct connection *who, int what, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = who };

	if (epoll_ctl(limit->epoll, what, who->fd, &event) != 0)
		die("epoll_ctl");
}

static void
flush(struct limit *limit, struct connection *to)
{
	ssize_t sent;

	if (to->output_length == 0 || to->is_blocked || to->is_gone)
		return;
	sent = send(to->fd, to->output, to->output_length, MSG_NOSIGNAL);
	if (sent == -1)
		sent = 0; /* a broken one is told by the next read */
	to->output_length -= (size_t)sent;
	if (to->output_length == 0)
		return;
	memmove(to->output, to->output + sent, to->output_length);
	to->is_blocked = true;
	watch(limit, to, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void
acknowledge(struct limit *limit, struct connection *to,
    enum mqtt_packet_type type, const uint8_t packet_id[2])
{
	mqtt_encode_ack_success(reserve(limit, to, 4), type,
	    (uint16_t)(packet_id[0] << 8 | packet_id[1]));
}

/* ---- topics ------------------------------------------------------------- */

static struct topic **
find(struct limit *limit, struct slice name)
{
	struct topic **at;

	at = &limit->topics[slice_hash(name, 0) & (BUCKETS - 1)];
	while (*at != NULL &&
	    ((*at)->length != name.len ||
		memcmp((*at)->name, name.data, name.len) != 0))
		at = &(*at)->next;
	return at;
}

static void
add_receiver(struct limit *limit, struct slice name, struct connection *who)
{
	struct topic **at = find(limit, name), *topic = *at;

	if (topic == NULL) {
		topic = calloc(1, sizeof(*topic));
		BUG_ON(topic == NULL);
		topic->name = slice_to_string(name);
		topic->length = name.len;
		*at = topic;
	}
	topic->receivers = realloc(
	    topic->receivers, (topic->count + 1) * sizeof(topic->receivers[0]));
	BUG_ON(topic->receivers == NULL);
	topic->receivers[topic->count++] = who;
}

static void
remove_receiver(struct limit *limit, const struct connection *who)
{
	struct topic *topic;
	size_t kept;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (topic = limit->topics[i]; topic != NULL;
		     topic = topic->next) {
			kept = 0;
			for (size_t k = 0; k < topic->count; k++)
				if (topic->receivers[k] != who)
					topic->receivers[kept++] =
					    topic->receivers[k];
			topic->count = kept;
		}
}

/* ---- packets ------------------------------------------------------------ */

static bool
on_connect(struct limit *limit, struct connection *from,
    const struct mqtt_frame *frame)
{
	const struct mqtt_connack connack = { .reason = MQTT_SUCCESS };
	struct mqtt_connect connect;
	size_t size;

	if (mqtt_decode_connect(frame, &connect) != MQTT_SUCCESS)
		return false;
	if (limit->version != 0 && limit->version != connect.version) {
		fprintf(stderr, "limit: clients of two versions of MQTT\n");
		return false;
	}
	limit->version = connect.version;
	size = mqtt_connack_size(&connack, limit->version);
	mqtt_encode_connack(
	    reserve(limit, from, size), size, &connack, limit->version);
	return true;
}

static bool
on_subscribe(struct limit *limit, struct connection *from,
    const struct mqtt_frame *frame)
{
	struct mqtt_subscribe subscribe;
	struct mqtt_subscription one;
	struct mqtt_suback suback = { 0 };
	struct wire walk;
	uint8_t codes[1024];
	size_t size, count = 0;

	if (mqtt_decode_subscribe(frame, limit->version, &subscribe) !=
		MQTT_SUCCESS ||
	    subscribe.count > sizeof(codes))
		return false;
	walk = wire_read(subscribe.filters);
	while (mqtt_subscribe_next(&walk, &one)) {
		codes[count] = one.qos;
		if (memchr(one.filter.data, '+', one.filter.len) != NULL ||
		    memchr(one.filter.data, '#', one.filter.len) != NULL ||
		    one.filter.data[0] == '$')
			codes[count] = MQTT_UNSPECIFIED_ERROR;
		else
			add_receiver(limit, one.filter, from);
		count++;
	}
	suback.packet_id = subscribe.packet_id;
	suback.codes = slice_of(codes, count);
	size = mqtt_suback_size(MQTT_SUBACK, &suback, limit->version);
	mqtt_encode_suback(reserve(limit, from, size), size, MQTT_SUBACK,
	    &suback, limit->version);
	return true;
}

static bool
on_publish(struct limit *limit, struct connection *from,
    const struct mqtt_frame *frame, const uint8_t *packet)
{
	const uint8_t *body = frame->body.data;
	const uint8_t qos = frame->flags >> 1 & 3;
	const struct topic *topic;
	size_t length;

	if (frame->body.len < 4)
		return false;
	length = (size_t)(body[0] << 8 | body[1]);
	if (length + 4 > frame->body.len)
		return false;
	topic = *find(limit, slice_of(body + 2, length));
	if (qos != 0)
		acknowledge(limit, from, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
		    body + 2 + length);
	for (size_t i = 0; topic != NULL && i < topic->count; i++)
		memcpy(reserve(limit, topic->receivers[i], frame->size), packet,
		    frame->size);
	return true;
}

static bool
on_packet(struct limit *limit, struct connection *from,
    const struct mqtt_frame *frame, const uint8_t *packet)
{
	switch (frame->type) {
	case MQTT_CONNECT:
		return on_connect(limit, from, frame);
	case MQTT_SUBSCRIBE:
		return on_subscribe(limit, from, frame);
	case MQTT_PUBLISH:
		return on_publish(limit, from, frame, packet);
	case MQTT_PUBREC:
		acknowledge(limit, from, MQTT_PUBREL, frame->body.data);
		return true;
	case MQTT_PUBREL:
		acknowledge(limit, from, MQTT_PUBCOMP, frame->body.data);
		return true;
	case MQTT_PINGREQ:
		mqtt_encode_ping(reserve(limit, from, 2), 2, MQTT_PINGRESP);
		return true;
	case MQTT_DISCONNECT:
		return false;
	default:
		return true;
	}
}

/* ---- connections -------------------------------------------------------- */

/* What is in the dirty list stays until that has been walked. */
static void
end(struct limit *limit, struct connection *who)
{
	if (who->is_gone)
		return;
	close(who->fd);
	remove_receiver(limit, who);
	who->is_gone = true;
	reserve(limit, who, 0);
}

static void
keep_rest(struct connection *from, const uint8_t *bytes, size_t length)
{
	free(from->rest);
	from->rest = NULL;
	from->rest_length = length;
	if (length == 0)
		return;
	from->rest = malloc(length);
	BUG_ON(from->rest == NULL);
	memcpy(from->rest, bytes, length);
}

static void
receive(struct limit *limit, struct connection *from)
{
	enum mqtt_frame_status status;
	size_t length = from->rest_length, used = 0;
	struct mqtt_frame frame;
	ssize_t got;

	got = recv(from->fd, limit->input + length, INPUT_BYTES, 0);
	if (got == -1 && errno == EAGAIN)
		return;
	if (got <= 0) {
		end(limit, from);
		return;
	}
	if (length != 0)
		memcpy(limit->input, from->rest, length);
	length += (size_t)got;
	while ((status = mqtt_frame(limit->input + used, length - used, LARGEST,
		    &frame)) == MQTT_FRAME_WHOLE) {
		if (!on_packet(limit, from, &frame, limit->input + used)) {
			end(limit, from);
			return;
		}
		used += frame.size;
	}
	if (status != MQTT_FRAME_PARTIAL)
		end(limit, from);
	else if (used != length || from->rest_length != 0)
		keep_rest(from, limit->input + used, length - used);
}

static void
accept_all(struct limit *limit)
{
	struct connection *who;
	const int on = 1;
	int fd;

	while ((fd = accept4(limit->listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		who = calloc(1, sizeof(*who));
		BUG_ON(who == NULL);
		who->fd = fd;
		watch(limit, who, EPOLL_CTL_ADD, EPOLLIN);
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		die("accept4");
}

static void
flush_all(struct limit *limit)
{
	struct connection *who = limit->dirty, *next;

	limit->dirty = NULL;
	for (; who != NULL; who = next) {
		next = who->next_dirty;
		who->is_dirty = false;
		flush(limit, who);
		if (who->is_gone) {
			free(who->rest);
			free(who->output);
			free(who);
		}
	}
}

static void
turn(struct limit *limit)
{
	struct epoll_event events[EVENTS];
	struct connection *who;
	int count;

	count = epoll_wait(limit->epoll, events, EVENTS, -1);
	if (count == -1 && errno != EINTR)
		die("epoll_wait");
	for (int i = 0; i < count; i++) {
		who = events[i].data.ptr;
		if (who == NULL) {
			accept_all(limit);
			continue;
		}
		if ((events[i].events & EPOLLOUT) != 0) {
			who->is_blocked = false;
			watch(limit, who, EPOLL_CTL_MOD, EPOLLIN);
			reserve(limit, who, 0);
		}
		receive(limit, who);
	}
	flush_all(limit);
}

static void
listen_on(struct limit *limit, uint16_t port)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = { .events = EPOLLIN };
	const int on = 1;

	limit->epoll = epoll_create1(EPOLL_CLOEXEC);
	limit->listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(limit->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(limit->listener, (const struct sockaddr *)&at, sizeof(at)) !=
		0 ||
	    listen(limit->listener, 4096) != 0)
		die("bind");
	if (epoll_ctl(limit->epoll, EPOLL_CTL_ADD, limit->listener, &event) !=
	    0)
		die("epoll_ctl");
}

int
main(int argc, char **argv)
{
	static struct limit limit;
	struct rlimit files;
	unsigned long port = 0;

	if (argc == 3 && strcmp(argv[1], "-p") == 0)
		port = strtoul(argv[2], NULL, 10);
	if (port == 0 || port > 65535) {
		fprintf(stderr, "usage: limit -p PORT\n");
		return 64;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	listen_on(&limit, (uint16_t)port);
	for (;;)
		turn(&limit);
}
