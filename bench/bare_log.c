/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bare_log - what a disk allows: a pre-allocated log and its sync, alone.
 *
 *	bench/bare-log -f FILE -b BATCH [-s bytes] [-t seconds]
 *	bench/bare-log -f FILE -p PORT
 *
 * The first writes batches of BATCH records, each followed by fdatasync(),
 * and prints how many records a second that is: nothing answers a record
 * sooner with that disk.
 *
 * The second is the least server that answers so: one thread that splits
 * PUBLISH packets, appends each as it came with a length in front, syncs once
 * for all that one epoll_wait() gave, then sends the PUBACKs.  It routes
 * nothing and keeps no state: what is beyond it is what a broker costs.  It
 * serves QoS 1 of MQTT 3.1.1 until SIGTERM.
 *
 * The log is a circle of LOG_BYTES whose blocks are written beforehand.
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
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/mqtt/encode.h"

#define LOG_BYTES (UINT64_C(64) << 20)
#define INPUT_SIZE 65536
#define EVENTS 512

struct log {
	int fd;
	uint64_t at; /* where the next batch goes */
	uint8_t *batch;
	size_t length, size;
};

struct peer {
	int fd;
	size_t input_length, output_length;
	uint8_t input[INPUT_SIZE];
	uint8_t output[INPUT_SIZE];
};

struct server {
	struct log log;
	int epoll, listener;
	struct peer *answered[EVENTS]; /* in this turn */
	unsigned answered_count;
};

static void
die(const char *what)
{
	fprintf(stderr, "bare-log: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the log ------------------------------------------------------------ */

static void
log_open(struct log *log, const char *path)
{
	const size_t step = 1 << 20;
	uint8_t *zeros = calloc(1, step);

	BUG_ON(zeros == NULL);
	log->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (log->fd == -1)
		die(path);
	for (uint64_t at = 0; at < LOG_BYTES; at += step) {
		if (pwrite(log->fd, zeros, step, (off_t)at) != (ssize_t)step)
			die("allocate");
	}
	if (fsync(log->fd) != 0)
		die("fsync");
	free(zeros);
}

static void
log_append(struct log *log, const uint8_t *bytes, size_t length)
{
	const uint32_t prefix = (uint32_t)length;

	if (log->length + sizeof(prefix) + length > log->size) {
		log->size = (log->length + sizeof(prefix) + length) * 2;
		log->batch = realloc(log->batch, log->size);
		BUG_ON(log->batch == NULL);
	}
	memcpy(log->batch + log->length, &prefix, sizeof(prefix));
	memcpy(log->batch + log->length + sizeof(prefix), bytes, length);
	log->length += sizeof(prefix) + length;
}

static void
log_commit(struct log *log)
{
	if (log->length == 0)
		return;
	if (log->at + log->length > LOG_BYTES)
		log->at = 0;
	if (pwrite(log->fd, log->batch, log->length, (off_t)log->at) !=
		(ssize_t)log->length ||
	    fdatasync(log->fd) != 0)
		die("write and sync");
	log->at += log->length;
	log->length = 0;
}

static void
run_alone(struct log *log, unsigned batch, unsigned bytes, unsigned seconds)
{
	uint8_t *record = calloc(1, bytes);
	uint64_t begin = clock_now_ns(), now, records = 0, syncs = 0;

	BUG_ON(record == NULL);
	do {
		for (unsigned i = 0; i < batch; i++)
			log_append(log, record, bytes);
		log_commit(log);
		records += batch;
		syncs++;
		now = clock_now_ns();
	} while (now - begin < seconds * CLOCK_SECOND_NS);
	printf("records=%llu per_second=%.0f sync_us=%.1f\n",
	    (unsigned long long)records,
	    (double)records * 1e9 / (double)(now - begin),
	    (double)(now - begin) / 1e3 / (double)syncs);
	free(record);
}

/* ---- the server --------------------------------------------------------- */

static void
answer(struct server *server, struct peer *peer, const void *bytes, size_t n)
{
	BUG_ON(peer->output_length + n > sizeof(peer->output));
	if (peer->output_length == 0)
		server->answered[server->answered_count++] = peer;
	memcpy(peer->output + peer->output_length, bytes, n);
	peer->output_length += n;
}

static void
on_publish(struct server *server, struct peer *peer,
    const struct mqtt_frame *frame, const uint8_t *bytes)
{
	struct mqtt_publish publish;
	uint8_t puback[MQTT_SMALL_PACKET_BYTES];

	if (mqtt_decode_publish(frame, MQTT_3_1_1, MQTT_SERVER, &publish) !=
	    MQTT_SUCCESS) {
		errno = EPROTO;
		die("PUBLISH");
	}
	log_append(&server->log, bytes, frame->size);
	if (publish.qos == 0)
		return;
	mqtt_encode_ack_success(puback, MQTT_PUBACK, publish.packet_id);
	answer(server, peer, puback, 4);
}

static void
on_packet(struct server *server, struct peer *peer,
    const struct mqtt_frame *frame, const uint8_t *bytes)
{
	static const uint8_t connack[] = { MQTT_CONNACK << 4, 2, 0, 0 };
	uint8_t suback[] = { MQTT_SUBACK << 4, 3, 0, 0, 1 };

	switch (frame->type) {
	case MQTT_CONNECT:
		answer(server, peer, connack, sizeof(connack));
		break;
	case MQTT_SUBSCRIBE:
		memcpy(suback + 2, frame->body.data, 2);
		answer(server, peer, suback, sizeof(suback));
		break;
	case MQTT_PUBLISH:
		on_publish(server, peer, frame, bytes);
		break;
	default:
		break;
	}
}

/* False: it has gone. */
static bool
receive(struct server *server, struct peer *peer)
{
	struct mqtt_frame frame;
	size_t used = 0;
	ssize_t got;

	got = recv(peer->fd, peer->input + peer->input_length,
	    INPUT_SIZE - peer->input_length, MSG_DONTWAIT);
	if (got <= 0)
		return got == -1 && errno == EAGAIN;
	peer->input_length += (size_t)got;
	while (mqtt_frame(peer->input + used, peer->input_length - used,
		   INPUT_SIZE, &frame) == MQTT_FRAME_WHOLE) {
		on_packet(server, peer, &frame, peer->input + used);
		used += frame.size;
	}
	peer->input_length -= used;
	memmove(peer->input, peer->input + used, peer->input_length);
	return true;
}

static void
welcome(struct server *server)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct peer *peer;
	const int on = 1;
	int fd;

	fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd == -1)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	peer = calloc(1, sizeof(*peer));
	BUG_ON(peer == NULL);
	peer->fd = fd;
	event.data.ptr = peer;
	if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl");
}

static void
listen_on(struct server *server, unsigned port)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = { .events = EPOLLIN };
	const int on = 1;

	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->epoll == -1 || server->listener == -1)
		die("socket");
	setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(server->listener, (const struct sockaddr *)&at, sizeof(at)) !=
		0 ||
	    listen(server->listener, 1024) != 0)
		die("bind");
	if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &event) !=
	    0)
		die("epoll_ctl");
}

/* After the sync: what was read in this turn is answered. */
static void
send_answers(struct server *server)
{
	struct peer *peer;

	for (unsigned i = 0; i < server->answered_count; i++) {
		peer = server->answered[i];
		/* A client that is gone says so when it is read. */
		(void)!send(
		    peer->fd, peer->output, peer->output_length, MSG_NOSIGNAL);
		peer->output_length = 0;
	}
	server->answered_count = 0;
}

static void
serve(struct server *server)
{
	struct epoll_event events[EVENTS];
	struct peer *gone[EVENTS];
	unsigned gone_count;
	int count;

	for (;;) {
		gone_count = 0;
		count = epoll_wait(server->epoll, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL)
				welcome(server);
			else if (!receive(server, events[i].data.ptr))
				gone[gone_count++] = events[i].data.ptr;
		}
		log_commit(&server->log);
		send_answers(server);
		for (unsigned i = 0; i < gone_count; i++) {
			close(gone[i]->fd);
			free(gone[i]);
		}
	}
}

/* ---- the command -------------------------------------------------------- */

static void
usage(void)
{
	fprintf(stderr,
	    "usage: bare-log -f FILE -b BATCH [-s bytes] [-t seconds]\n"
	    "       bare-log -f FILE -p PORT\n");
	exit(64);
}

int
main(int argc, char **argv)
{
	static struct server server;
	unsigned batch = 0, bytes = 128, seconds = 2, port = 0;
	const char *path = NULL;
	int option;

	while ((option = getopt(argc, argv, "f:b:s:t:p:")) != -1) {
		if (option == 'f')
			path = optarg;
		else if (option == 'b')
			batch = (unsigned)atoi(optarg);
		else if (option == 's')
			bytes = (unsigned)atoi(optarg);
		else if (option == 't')
			seconds = (unsigned)atoi(optarg);
		else if (option == 'p')
			port = (unsigned)atoi(optarg);
		else
			usage();
	}
	if (path == NULL || (batch == 0) == (port == 0) || optind != argc)
		usage();
	log_open(&server.log, path);
	if (port == 0) {
		run_alone(&server.log, batch, bytes, seconds);
		return 0;
	}
	listen_on(&server, port);
	serve(&server);
}
