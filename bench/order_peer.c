/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/order.h"
#include "common/base/bug.h"
#include "common/mqtt/encode.h"

#define INPUT_SIZE 65536u
#define OUTPUT_ENOUGH 65536u
#define NEVER_EXPIRES UINT32_MAX

/* A slow one takes so many bytes every so many turns. */
#define SLOW_BYTES 600u
#define SLOW_TURNS 8u

enum stage {
	IDLE,
	CONNECTING,  /* CONNACK is due */
	SUBSCRIBING, /* SUBACK is due */
	READY
};

/* What a publisher waits for. */
struct unacknowledged {
	uint64_t sequence;
	uint16_t packet_id;
	uint8_t qos;
	bool is_received; /* QoS 2: PUBREC came */
	bool is_done;
};

struct order_peer {
	struct order *order;
	struct order_receiver *receiver; /* NULL: it publishes */
	unsigned number;
	int epoll, fd;
	int old_fd; /* taken over: nobody reads it; -1: none */
	enum stage stage;
	enum mqtt_version version;
	bool is_blocked; /* waits for EPOLLOUT */
	bool was_ready;  /* once */
	bool must_cut;
	bool was_cut;
	uint64_t turns, since_cut, cut_after, dice;

	/* Publisher: in the order they were sent, from `head` on. */
	struct unacknowledged window[ORDER_MAX_WINDOW];
	uint64_t head, tail, next;
	uint16_t packet_id;

	uint8_t unreleased[65536 / 8]; /* QoS 2 identifiers that are in use */
	uint8_t *output;
	size_t output_length, output_size, input_length;
	uint8_t input[INPUT_SIZE];
};

static void
die(const char *what)
{
	fprintf(stderr, "order: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t
throw_dice(struct order_peer *peer, uint64_t below)
{
	peer->dice = peer->dice * UINT64_C(6364136223846793005) + 1442695041;
	return (peer->dice >> 33) % below;
}

/* ---- bytes --------------------------------------------------------------- */

static uint8_t *
reserve(struct order_peer *peer, size_t length)
{
	if (peer->output_length + length > peer->output_size) {
		peer->output_size = (peer->output_length + length) * 2;
		peer->output = realloc(peer->output, peer->output_size);
		BUG_ON(peer->output == NULL);
	}
	return peer->output + peer->output_length;
}

static void
watch(struct order_peer *peer, int operation)
{
	struct epoll_event event = { .data.ptr = peer };

	event.events = peer->is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN;
	if (epoll_ctl(peer->epoll, operation, peer->fd, &event) != 0)
		die("epoll_ctl");
}

static void
flush(struct order_peer *peer)
{
	const bool was_blocked = peer->is_blocked;
	ssize_t sent;

	if (peer->output_length == 0 || peer->fd == -1)
		return;
	sent = send(peer->fd, peer->output, peer->output_length, MSG_NOSIGNAL);
	if (sent == -1 && errno != EAGAIN) {
		peer->must_cut = true; /* what it was is told by reading */
		return;
	}
	if (sent == -1)
		sent = 0;
	peer->output_length -= (size_t)sent;
	if (peer->output_length != 0)
		memmove(peer->output, peer->output + sent, peer->output_length);
	peer->is_blocked = peer->output_length != 0;
	if (peer->is_blocked != was_blocked)
		watch(peer, EPOLL_CTL_MOD);
}

/* ---- connections --------------------------------------------------------- */

static int
open_socket(const struct order *order)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)order->options.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd == -1 ||
	    connect(fd, (const void *)&address, sizeof(address)) != 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void
put_connect(struct order_peer *peer)
{
	const struct order_options *options = &peer->order->options;
	const bool is_kept = options->is_kept ||
	    (peer->receiver == NULL && options->publisher_cut_every != 0);
	struct mqtt_connect connect = {
		.version = peer->version,
		.clean_start = !is_kept,
	};
	char id[32];
	size_t size;

	snprintf(id, sizeof(id), "%s-%s-%u", options->name,
	    peer->receiver == NULL ? "p" : "s", peer->number);
	connect.client_id = slice_of_string(id);
	if (peer->version == MQTT_5 && is_kept) {
		connect.properties.session_expiry_interval_s = NEVER_EXPIRES;
		mqtt_properties_set(
		    &connect.properties, MQTT_SESSION_EXPIRY_INTERVAL);
	}
	if (peer->version == MQTT_5 && peer->receiver != NULL &&
	    options->receive_maximum != 0) {
		connect.properties.receive_maximum =
		    (uint16_t)options->receive_maximum;
		mqtt_properties_set(&connect.properties, MQTT_RECEIVE_MAXIMUM);
	}
	size = mqtt_connect_size(&connect);
	peer->output_length +=
	    mqtt_encode_connect(reserve(peer, size), size, &connect);
}

void
order_peer_start(struct order_peer *peer)
{
	peer->fd = open_socket(peer->order);
	peer->is_blocked = false;
	peer->must_cut = false;
	peer->since_cut = 0;
	peer->input_length = peer->output_length = 0;
	if (peer->receiver != NULL)
		order_connected(peer->order, peer->receiver);
	watch(peer, EPOLL_CTL_ADD);
	put_connect(peer);
	peer->stage = CONNECTING;
	flush(peer);
}

static void
cut(struct order_peer *peer)
{
	const bool takes_over =
	    peer->order->options.takes_over && peer->stage == READY;

	peer->order->result.cuts++;
	peer->was_cut = true;
	if (peer->receiver != NULL)
		peer->receiver->was_cut = true;
	epoll_ctl(peer->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
	/* What it sent last may be on its way; what comes is not read. */
	if (takes_over && peer->old_fd == -1)
		peer->old_fd = peer->fd;
	else
		close(peer->fd);
	peer->fd = -1;
	order_peer_start(peer);
}

static void
put_subscribe(struct order_peer *peer)
{
	static struct mqtt_subscription list[ORDER_MAX_TOPICS];
	const size_t count =
	    order_filters(&peer->order->options, peer->number, list);
	const size_t size =
	    mqtt_subscribe_size(list, count, NULL, peer->version);

	peer->output_length += mqtt_encode_subscribe(
	    reserve(peer, size), size, 1, list, count, NULL, peer->version);
}

/* ---- publishing ---------------------------------------------------------- */

static void
put_publish(
    struct order_peer *peer, uint64_t sequence, uint16_t packet_id, bool dup)
{
	const struct order *order = peer->order;
	uint8_t payload[ORDER_PAYLOAD];
	struct mqtt_publish_out publish = {
		.dup = dup,
		.retain = order->options.is_retained,
		.qos = order_qos(order, sequence),
		.packet_id = packet_id,
		.payload = slice_of(payload, sizeof(payload)),
	};
	char topic[32];
	size_t size;

	snprintf(topic, sizeof(topic), "%s/%u/%u", order->options.name,
	    peer->number, (unsigned)(sequence % order->options.topics));
	publish.topic = slice_of_string(topic);
	order_payload(peer->number, sequence, payload);
	size = mqtt_publish_size(&publish, peer->version);
	peer->output_length += mqtt_encode_publish(
	    reserve(peer, size), size, &publish, peer->version, NULL);
}

static void
put_ack(struct order_peer *peer, enum mqtt_packet_type type, uint16_t packet_id)
{
	mqtt_encode_ack_success(reserve(peer, 4), type, packet_id);
	peer->output_length += 4;
}

static struct unacknowledged *
slot(struct order_peer *peer, uint64_t number)
{
	return &peer->window[number % ORDER_MAX_WINDOW];
}

static void
publish_next(struct order_peer *peer)
{
	const uint8_t qos = order_qos(peer->order, peer->next);

	if (qos != 0) {
		if (++peer->packet_id == 0)
			peer->packet_id = 1;
		*slot(peer, peer->tail++) = (struct unacknowledged){
			.sequence = peer->next,
			.packet_id = peer->packet_id,
			.qos = qos,
		};
	}
	put_publish(peer, peer->next, qos == 0 ? 0 : peer->packet_id, false);
	peer->next++;
	peer->since_cut++;
}

static void
publish_some(struct order_peer *peer)
{
	const struct order_options *options = &peer->order->options;

	while (peer->next < options->messages &&
	    peer->tail - peer->head < options->window &&
	    peer->output_length < OUTPUT_ENOUGH)
		publish_next(peer);
}

/* [MQTT-4.4.0-1] */
static void
send_again(struct order_peer *peer)
{
	const struct unacknowledged *one;

	for (uint64_t i = peer->head; i != peer->tail; i++) {
		one = slot(peer, i);
		if (one->is_done)
			continue;
		if (one->is_received)
			put_ack(peer, MQTT_PUBREL, one->packet_id);
		else
			put_publish(peer, one->sequence, one->packet_id, true);
	}
}

static void
on_ack(struct order_peer *peer, enum mqtt_packet_type type, uint16_t packet_id)
{
	struct unacknowledged *one = NULL;

	for (uint64_t i = peer->head; i != peer->tail && one == NULL; i++)
		if (slot(peer, i)->packet_id == packet_id)
			one = slot(peer, i);
	if (one == NULL)
		return;
	if (type == MQTT_PUBREC) {
		one->is_received = true;
		put_ack(peer, MQTT_PUBREL, packet_id);
		return;
	}
	one->is_done = true;
	while (peer->head != peer->tail && slot(peer, peer->head)->is_done)
		peer->head++;
}

/* ---- what comes ---------------------------------------------------------- */

static void
on_publish(struct order_peer *peer, const struct mqtt_frame *frame)
{
	struct mqtt_publish publish;
	uint8_t *byte, bit;

	if (mqtt_decode_publish(frame, peer->version, MQTT_CLIENT, &publish) !=
	    MQTT_SUCCESS) {
		peer->order->result.wrong++;
		return;
	}
	byte = &peer->unreleased[publish.packet_id / 8];
	bit = (uint8_t)(1u << (publish.packet_id & 7));
	peer->since_cut++;
	if (publish.qos == 2 && (*byte & bit) != 0)
		order_repeated(peer->order, peer->receiver, &publish);
	else
		order_received(peer->order, peer->receiver, &publish);
	if (publish.qos == 2)
		*byte |= bit;
	if (publish.qos != 0)
		put_ack(peer, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
		    publish.packet_id);
}

static void
on_connack(struct order_peer *peer, const struct mqtt_frame *frame)
{
	struct mqtt_connack connack;

	if (mqtt_decode_connack(frame, peer->version, &connack) !=
		MQTT_SUCCESS ||
	    connack.reason != MQTT_SUCCESS) {
		errno = EPROTO;
		die("CONNACK");
	}
	if (peer->old_fd != -1) {
		close(peer->old_fd);
		peer->old_fd = -1;
	}
	if (!connack.session_present)
		memset(peer->unreleased, 0, sizeof(peer->unreleased));
	if (peer->receiver != NULL && !connack.session_present) {
		put_subscribe(peer);
		peer->stage = SUBSCRIBING;
		return;
	}
	peer->stage = READY;
	peer->was_ready = true;
	if (peer->receiver == NULL)
		send_again(peer);
}

/* A PUBREL that was sent again may have been answered before. */
static bool
is_again(const struct order_peer *peer, unsigned type, enum mqtt_reason reason)
{
	return type == MQTT_PUBCOMP && peer->was_cut &&
	    reason == MQTT_PACKET_IDENTIFIER_NOT_FOUND;
}

static void
on_packet(struct order_peer *peer, const struct mqtt_frame *frame)
{
	struct mqtt_ack ack;

	switch (frame->type) {
	case MQTT_CONNACK:
		on_connack(peer, frame);
		return;
	case MQTT_SUBACK:
		peer->stage = READY;
		peer->was_ready = true;
		return;
	case MQTT_PUBLISH:
		on_publish(peer, frame);
		return;
	case MQTT_DISCONNECT:
		return;
	default:
		break;
	}
	if (mqtt_decode_ack(frame, peer->version, &ack) != MQTT_SUCCESS ||
	    (mqtt_reason_is_error(ack.reason) &&
		!is_again(peer, frame->type, ack.reason))) {
		peer->order->result.wrong++;
		return;
	}
	if (frame->type == MQTT_PUBREL) {
		peer->unreleased[ack.packet_id / 8] &=
		    (uint8_t) ~(1u << (ack.packet_id & 7));
		put_ack(peer, MQTT_PUBCOMP, ack.packet_id);
		return;
	}
	on_ack(peer, (enum mqtt_packet_type)frame->type, ack.packet_id);
}

/* Only until it is cut: what is behind that was never read. */
static void
take_input(struct order_peer *peer)
{
	struct mqtt_frame frame;
	size_t used = 0;

	while (!peer->must_cut &&
	    mqtt_frame(peer->input + used, peer->input_length - used,
		INPUT_SIZE, &frame) == MQTT_FRAME_WHOLE) {
		on_packet(peer, &frame);
		used += frame.size;
		peer->must_cut = peer->cut_after != 0 && peer->stage == READY &&
		    peer->since_cut >= peer->cut_after;
	}
	peer->input_length -= used;
	memmove(peer->input, peer->input + used, peer->input_length);
}

static bool
is_slow(const struct order_peer *peer)
{
	return peer->receiver != NULL && peer->was_ready &&
	    peer->number < peer->order->options.slow;
}

static void
read_input(struct order_peer *peer)
{
	size_t room = INPUT_SIZE - peer->input_length;
	ssize_t length;

	if (is_slow(peer) && room > SLOW_BYTES)
		room = SLOW_BYTES;
	length = recv(peer->fd, peer->input + peer->input_length, room, 0);
	if (length > 0) {
		peer->input_length += (size_t)length;
		take_input(peer);
		return;
	}
	if (length == -1 && errno == EAGAIN)
		return;
	/* The broker closes nobody here who was not cut. */
	peer->order->result.wrong++;
	if (peer->order->told++ < 8)
		fprintf(stderr, "order: %s %u: the broker closed it\n",
		    peer->receiver == NULL ? "publisher" : "subscriber",
		    peer->number);
	peer->must_cut = true;
}

/* ---- public -------------------------------------------------------------- */

struct order_peer *
order_peer_new(
    struct order *order, unsigned number, bool is_publisher, int epoll)
{
	struct order_peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL)
		return NULL;
	peer->order = order;
	peer->receiver = is_publisher ? NULL : &order->receivers[number];
	peer->number = number;
	peer->epoll = epoll;
	peer->fd = peer->old_fd = -1;
	/* Both versions side by side. */
	peer->version = number % 2 == 0 ? MQTT_5 : MQTT_3_1_1;
	peer->dice =
	    order->options.seed * 2654435761u + number * 97u + is_publisher;
	peer->cut_after = is_publisher ? order->options.publisher_cut_every
				       : order->options.cut_every;
	/* A share without any member is no more: one stays. */
	if (!is_publisher && number == 0 && !order->options.is_kept)
		peer->cut_after = 0;
	if (peer->cut_after != 0)
		peer->cut_after += throw_dice(peer, peer->cut_after);
	return peer;
}

void
order_peer_free(struct order_peer *peer)
{
	if (peer == NULL)
		return;
	if (peer->fd != -1)
		close(peer->fd);
	if (peer->old_fd != -1)
		close(peer->old_fd);
	free(peer->output);
	free(peer);
}

bool
order_peer_is_ready(const struct order_peer *peer)
{
	return peer->was_ready;
}

void
order_peer_event(struct order_peer *peer, uint32_t events)
{
	if ((events & EPOLLOUT) != 0)
		flush(peer);
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || peer->must_cut)
		return;
	if (is_slow(peer) && ++peer->turns % SLOW_TURNS != 0)
		return;
	read_input(peer);
}

void
order_peer_turn(struct order_peer *peer)
{
	/* Some of what it has acknowledged is still sent, some not. */
	if (peer->must_cut && throw_dice(peer, 2) == 0)
		flush(peer);
	if (peer->must_cut) {
		cut(peer);
		return;
	}
	if (peer->receiver == NULL && peer->stage == READY) {
		publish_some(peer);
		peer->must_cut = peer->cut_after != 0 &&
		    peer->since_cut >= peer->cut_after &&
		    !order_peer_is_done(peer);
	}
	if (!peer->is_blocked)
		flush(peer);
}

bool
order_peer_is_done(const struct order_peer *peer)
{
	return peer->next == peer->order->options.messages &&
	    peer->head == peer->tail;
}
