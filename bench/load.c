/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load - publishers and subscribers, and what a delivery costs the broker.
 *
 *	bench/load -p PORT [-P publishers] [-S subscribers] [-T topics]
 *	    [-q QOS] [-s payload bytes] [-n messages a publisher] [-w window]
 *	    [-t seconds at most] [-c PID,PID...] [-5] [-k] [-o]
 *
 * Publisher and subscriber number I use topic number I modulo the topics, so
 * "-P 50 -S 50 -T 50" is fifty pairs and "-P 5 -S 500 -T 1" a fan-out.  A
 * publisher has up to `window` messages under way, acknowledged and arrived
 * at all subscribers or not: QoS 0 as well, so that nothing need be dropped.
 * With -k sessions are kept (no Clean Start); with -o the subscribers are away:
 * they subscribe and leave, and what is counted are acknowledgements.
 * With -c the processor time of those processes is divided by deliveries.
 * Prints one line of key=value; exit status 1 when not all arrived in time.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/cpu_time.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/mqtt/encode.h"

#define INPUT_SIZE 65536
#define EVENTS 256
#define HANDSHAKE_SECONDS 10

struct options {
	struct cpu_time broker;
	uint64_t messages; /* of each publisher */
	unsigned publishers, subscribers, topics;
	unsigned payload, window, seconds;
	uint16_t port;
	uint8_t qos;
	enum mqtt_version version;
	bool is_kept;
	bool is_offline;
};

struct topic {
	uint8_t *packet; /* its PUBLISH, but for the packet identifier */
	struct mqtt_publish_layout layout;
	unsigned publishers, subscribers;
	uint64_t sent, received;
};

struct peer {
	int fd;
	bool is_blocked; /* waits for EPOLLOUT */
	uint16_t packet_id;
	unsigned unacknowledged;
	uint64_t left; /* to publish; 0 in a subscriber */
	struct topic *topic;
	uint8_t *output;
	size_t output_length, output_size;
	size_t input_length;
	uint8_t input[INPUT_SIZE];
};

struct load {
	struct options options;
	struct topic *topics;
	struct peer **peers; /* the publishers, then the subscribers */
	unsigned peer_count;
	unsigned unfinished; /* publishers with something left or under way */
	uint64_t expected, received;
	int epoll;
};

static void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- bytes -------------------------------------------------------------- */

static uint8_t *
reserve(struct peer *peer, size_t length)
{
	if (peer->output_length + length > peer->output_size) {
		peer->output_size = (peer->output_length + length) * 2;
		peer->output = realloc(peer->output, peer->output_size);
		BUG_ON(peer->output == NULL);
	}
	peer->output_length += length;
	return peer->output + peer->output_length - length;
}

static void
watch(struct load *load, struct peer *peer, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = peer };

	if (epoll_ctl(load->epoll, operation, peer->fd, &event) != 0)
		die("epoll_ctl");
}

static void
flush(struct load *load, struct peer *peer)
{
	ssize_t sent;

	if (peer->output_length == 0 || peer->is_blocked)
		return;
	sent = send(peer->fd, peer->output, peer->output_length, MSG_NOSIGNAL);
	if (sent == -1 && errno != EAGAIN)
		die("send");
	if (sent == -1)
		sent = 0;
	peer->output_length -= (size_t)sent;
	if (peer->output_length == 0)
		return;
	memmove(peer->output, peer->output + sent, peer->output_length);
	peer->is_blocked = true;
	watch(load, peer, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

/* ---- packets ------------------------------------------------------------ */

static void
acknowledge(struct peer *peer, enum mqtt_packet_type type, uint16_t packet_id)
{
	mqtt_encode_ack_success(reserve(peer, 4), type, packet_id);
}

static void
on_publish(struct load *load, struct peer *peer, const struct mqtt_frame *frame)
{
	struct mqtt_publish publish;

	if (mqtt_decode_publish(frame, load->options.version, MQTT_CLIENT,
		&publish) != MQTT_SUCCESS) {
		errno = EPROTO;
		die("PUBLISH");
	}
	peer->topic->received++;
	load->received++;
	if (publish.qos != 0)
		acknowledge(peer, publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
		    publish.packet_id);
}

static void
note_if_finished(struct load *load, const struct peer *peer)
{
	if (peer->left == 0 && peer->unacknowledged == 0)
		load->unfinished--;
}

static void
on_packet(struct load *load, struct peer *peer, const struct mqtt_frame *frame)
{
	struct mqtt_ack ack = { 0 };

	if (frame->type == MQTT_PUBLISH) {
		on_publish(load, peer, frame);
		return;
	}
	if (mqtt_decode_ack(frame, load->options.version, &ack) !=
	    MQTT_SUCCESS) {
		errno = EPROTO;
		die(mqtt_packet_name(frame->type));
	}
	switch (frame->type) {
	case MQTT_PUBREC:
		acknowledge(peer, MQTT_PUBREL, ack.packet_id);
		break;
	case MQTT_PUBREL:
		acknowledge(peer, MQTT_PUBCOMP, ack.packet_id);
		break;
	default:
		peer->unacknowledged--;
		if (load->options.is_offline)
			load->received++;
		note_if_finished(load, peer);
		break;
	}
}

static void
receive(struct load *load, struct peer *peer)
{
	struct mqtt_frame frame;
	size_t used = 0;
	ssize_t got;

	got = recv(peer->fd, peer->input + peer->input_length,
	    INPUT_SIZE - peer->input_length, 0);
	if (got == -1 && errno == EAGAIN)
		return;
	if (got == 0)
		errno = ECONNRESET;
	if (got <= 0)
		die("connection lost");
	peer->input_length += (size_t)got;
	while (mqtt_frame(peer->input + used, peer->input_length - used,
		   INPUT_SIZE, &frame) == MQTT_FRAME_WHOLE) {
		on_packet(load, peer, &frame);
		used += frame.size;
	}
	peer->input_length -= used;
	memmove(peer->input, peer->input + used, peer->input_length);
}

/* ---- publishing --------------------------------------------------------- */

static bool
may_publish(const struct load *load, const struct peer *peer)
{
	const struct topic *topic = peer->topic;
	const uint64_t window = load->options.window;

	return peer->left != 0 && peer->unacknowledged < window &&
	    (topic->subscribers == 0 ||
		topic->sent * topic->subscribers - topic->received <
		    window * topic->publishers * topic->subscribers);
}

static void
publish_some(struct load *load, struct peer *peer)
{
	struct topic *topic = peer->topic;
	const struct mqtt_publish_layout *layout = &topic->layout;
	uint8_t *packet;

	while (may_publish(load, peer)) {
		packet = reserve(peer, layout->size);
		memcpy(packet, topic->packet, layout->size);
		topic->sent++;
		peer->left--;
		if (load->options.qos == 0) {
			note_if_finished(load, peer);
			continue;
		}
		if (++peer->packet_id == 0)
			peer->packet_id = 1;
		mqtt_patch_packet_id(packet, layout, peer->packet_id);
		peer->unacknowledged++;
	}
}

static bool
is_done(const struct load *load)
{
	return load->unfinished == 0 && load->received >= load->expected;
}

/* False: not all arrived in time. */
static bool
run(struct load *load, uint64_t deadline_ns)
{
	struct epoll_event events[EVENTS];
	struct peer *peer;
	int count;

	for (;;) {
		for (unsigned i = 0; i < load->options.publishers; i++)
			publish_some(load, load->peers[i]);
		for (unsigned i = 0; i < load->peer_count; i++)
			flush(load, load->peers[i]);
		if (is_done(load))
			return true;
		if (clock_now_ns() >= deadline_ns)
			return false;
		count = epoll_wait(load->epoll, events, EVENTS, 100);
		if (count == -1)
			die("epoll_wait");
		for (int i = 0; i < count; i++) {
			peer = events[i].data.ptr;
			if ((events[i].events & EPOLLOUT) != 0) {
				peer->is_blocked = false;
				watch(load, peer, EPOLL_CTL_MOD, EPOLLIN);
			}
			receive(load, peer);
		}
	}
}

/* ---- setting up --------------------------------------------------------- */

/* Waits for one packet, which must be of this type. */
static void
await(struct peer *peer, enum mqtt_packet_type type, struct mqtt_frame *frame)
{
	ssize_t got;

	peer->input_length = 0;
	do {
		got = recv(peer->fd, peer->input + peer->input_length,
		    INPUT_SIZE - peer->input_length, 0);
		if (got <= 0)
			die(mqtt_packet_name(type));
		peer->input_length += (size_t)got;
	} while (mqtt_frame(peer->input, peer->input_length, INPUT_SIZE,
		     frame) != MQTT_FRAME_WHOLE);
	peer->input_length = 0;
	errno = EPROTO;
	if (frame->type != type)
		die(mqtt_packet_name(type));
}

static int
open_socket(uint16_t port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct timeval patience = { .tv_sec = HANDSHAKE_SECONDS };
	const int on = 1;
	int fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	return fd;
}

static void
send_now(struct peer *peer, const uint8_t *bytes, size_t length)
{
	if (send(peer->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
		die("send");
}

static void
say_hello(struct load *load, struct peer *peer, unsigned number)
{
	char id[48];
	struct mqtt_connect connect = {
		.version = (uint8_t)load->options.version,
		.clean_start = !load->options.is_kept,
	};
	struct mqtt_connack connack;
	struct mqtt_frame frame;
	uint8_t bytes[128];

	snprintf(id, sizeof(id), "load-%d-%u", (int)getpid(), number);
	connect.client_id = slice_of_string(id);
	send_now(
	    peer, bytes, mqtt_encode_connect(bytes, sizeof(bytes), &connect));
	await(peer, MQTT_CONNACK, &frame);
	if (mqtt_decode_connack(&frame, load->options.version, &connack) !=
		MQTT_SUCCESS ||
	    connack.reason != MQTT_SUCCESS)
		die("CONNACK");
}

static void
topic_name(const struct load *load, const struct topic *topic, char name[32])
{
	snprintf(name, 32, "bench/load/%u", (unsigned)(topic - load->topics));
}

static void
subscribe(struct load *load, struct peer *peer)
{
	char name[32];
	struct mqtt_subscription one = { .qos = load->options.qos };
	struct mqtt_frame frame;
	uint8_t bytes[128];

	topic_name(load, peer->topic, name);
	one.filter = slice_of_string(name);
	send_now(peer, bytes,
	    mqtt_encode_subscribe(
		bytes, sizeof(bytes), 1, &one, 1, NULL, load->options.version));
	await(peer, MQTT_SUBACK, &frame);
	if (frame.body.data[frame.body.len - 1] != one.qos)
		die("SUBACK");
}

/* It has subscribed, and is away from now on. */
static void
leave(struct load *load, struct peer *peer)
{
	static const uint8_t disconnect[] = { MQTT_DISCONNECT << 4, 0 };

	send_now(peer, disconnect, sizeof(disconnect));
	close(peer->fd);
	free(peer);
	load->peer_count--;
}

static struct peer *
add_peer(struct load *load, struct topic *topic)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	BUG_ON(peer == NULL);
	peer->fd = open_socket(load->options.port);
	peer->topic = topic;
	say_hello(load, peer, load->peer_count);
	load->peers[load->peer_count++] = peer;
	return peer;
}

static void
prepare_topic(struct load *load, struct topic *topic)
{
	struct mqtt_publish_out publish = {
		.qos = load->options.qos,
		.packet_id = 1,
	};
	uint8_t *payload = malloc(load->options.payload + 1);
	char name[32];
	size_t size;

	BUG_ON(payload == NULL);
	memset(payload, 'x', load->options.payload);
	topic_name(load, topic, name);
	publish.topic = slice_of_string(name);
	publish.payload = slice_of(payload, load->options.payload);
	size = mqtt_publish_size(&publish, load->options.version);
	topic->packet = malloc(size);
	BUG_ON(topic->packet == NULL);
	mqtt_encode_publish(topic->packet, size, &publish,
	    load->options.version, &topic->layout);
	free(payload);
}

static void
set_up(struct load *load)
{
	const struct options *options = &load->options;
	struct topic *topic;
	struct peer *peer;

	load->topics = calloc(options->topics, sizeof(*load->topics));
	load->peers = calloc(
	    options->publishers + options->subscribers, sizeof(*load->peers));
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	BUG_ON(
	    load->topics == NULL || load->peers == NULL || load->epoll == -1);
	for (unsigned i = 0; i < options->topics; i++)
		prepare_topic(load, &load->topics[i]);
	for (unsigned i = 0; i < options->publishers; i++) {
		topic = &load->topics[i % options->topics];
		topic->publishers++;
		add_peer(load, topic)->left = options->messages;
	}
	for (unsigned i = 0; i < options->subscribers; i++) {
		topic = &load->topics[i % options->topics];
		peer = add_peer(load, topic);
		subscribe(load, peer);
		if (options->is_offline) {
			leave(load, peer);
			continue;
		}
		topic->subscribers++;
		load->expected += topic->publishers * options->messages;
	}
	if (options->is_offline)
		load->expected = options->publishers * options->messages;
	load->unfinished = options->publishers;
	for (unsigned i = 0; i < load->peer_count; i++) {
		peer = load->peers[i];
		fcntl(peer->fd, F_SETFL, O_NONBLOCK);
		watch(load, peer, EPOLL_CTL_ADD, EPOLLIN);
	}
}

/* ---- the command -------------------------------------------------------- */

static unsigned
number(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value < min || value > max) {
		fprintf(stderr, "load: \"%s\" is not a number from %u to %u\n",
		    text, min, max);
		exit(64);
	}
	return (unsigned)value;
}

static void
set_option(struct options *options, int option, const char *value)
{
	switch (option) {
	case 'p':
		options->port = (uint16_t)number(value, 1, 65535);
		break;
	case 'P':
		options->publishers = number(value, 1, 20000);
		break;
	case 'S':
		options->subscribers = number(value, 1, 20000);
		break;
	case 'T':
		options->topics = number(value, 1, 20000);
		break;
	case 'q':
		options->qos = (uint8_t)number(value, 0, 2);
		break;
	case 's':
		options->payload = number(value, 0, 32768);
		break;
	case 'n':
		options->messages = number(value, 1, 100000000);
		break;
	case 'w':
		options->window = number(value, 1, 60000);
		break;
	case 't':
		options->seconds = number(value, 1, 3600);
		break;
	case '5':
		options->version = MQTT_5;
		break;
	case 'k':
		options->is_kept = true;
		break;
	case 'o':
		options->is_kept = true;
		options->is_offline = true;
		break;
	case 'c':
		if (cpu_time_parse(value, &options->broker) == 0)
			break;
		fprintf(stderr, "load: -c takes living PID,PID...\n");
		exit(1);
	default:
		fprintf(stderr,
		    "usage: load -p PORT [-P publishers] [-S subscribers]\n"
		    "    [-T topics] [-q QOS] [-s bytes] [-n messages]\n"
		    "    [-w window] [-t seconds] [-c PID,...] [-5] [-k] "
		    "[-o]\n");
		exit(64);
	}
}

static uint64_t
cpu_ns(const struct load *load)
{
	uint64_t used_ns = 0;

	if (cpu_time_read(&load->options.broker, &used_ns) != 0)
		die("the broker's processor time");
	return used_ns;
}

int
main(int argc, char **argv)
{
	struct load load = { .options = { .publishers = 50,
				 .subscribers = 50,
				 .topics = 50,
				 .payload = 16,
				 .messages = 10000,
				 .window = 100,
				 .seconds = 60,
				 .version = MQTT_3_1_1 } };
	struct rlimit files;
	uint64_t begin_ns, cpu, elapsed_ns;
	int option;
	bool good;

	while ((option = getopt(argc, argv, "p:P:S:T:q:s:n:w:t:c:5ko")) != -1)
		set_option(&load.options, option, optarg);
	if (load.options.port == 0 || optind != argc)
		set_option(&load.options, '?', NULL);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	set_up(&load);

	cpu = cpu_ns(&load);
	begin_ns = clock_now_ns();
	good = run(&load, begin_ns + load.options.seconds * CLOCK_SECOND_NS);
	elapsed_ns = clock_now_ns() - begin_ns;
	cpu = cpu_ns(&load) - cpu;
	printf("deliveries=%llu expected=%llu per_second=%.0f cpu_us=%.3f\n",
	    (unsigned long long)load.received,
	    (unsigned long long)load.expected,
	    (double)load.received * 1e9 / (double)elapsed_ns,
	    load.received == 0 ? 0 : (double)cpu / 1e3 / (double)load.received);
	return good ? 0 : 1;
}
