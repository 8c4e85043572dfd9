/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load_http - publishes by HTTP, and what a request costs the suite.
 *
 *	bench/load-http -p PORT -a BASIC [-k connections] [-n requests]
 *	    [-s payload bytes] [-t seconds at most] [-c PID,PID...]
 *
 * Each connection is kept and sends POST /api/v4/mqtt/publish (QoS 1) one
 * after the other.  BASIC is what goes behind "Authorization: Basic".  With
 * -c the processor time of those processes is divided by the requests.
 * Prints one line of key=value; exit status 1 unless all were answered 200.
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
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cpu_time.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

#define INPUT_SIZE 8192
#define EVENTS 64

struct peer {
	int fd;
	size_t length;
	char input[INPUT_SIZE];
};

struct load {
	struct cpu_time suite;
	struct peer *peers;
	char *request;
	size_t request_length;
	uint64_t requests, sent, answered, accepted;
	unsigned connections, payload, seconds;
	uint16_t port;
	const char *basic;
	int epoll;
};

static void
die(const char *what)
{
	fprintf(stderr, "load-http: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
make_request(struct load *load)
{
	char *payload = calloc(1, load->payload + 1);
	char *body;
	int length;

	BUG_ON(payload == NULL);
	memset(payload, 'x', load->payload);
	length = asprintf(&body,
	    "{\"topic\":\"bench/http\",\"payload\":\"%s\",\"qos\":1}", payload);
	BUG_ON(length == -1);
	length = asprintf(&load->request,
	    "POST /api/v4/mqtt/publish HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	    "Authorization: Basic %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %d\r\n\r\n%s",
	    load->basic, length, body);
	BUG_ON(length == -1);
	load->request_length = (size_t)length;
	free(body);
	free(payload);
}

static void
send_next(struct load *load, struct peer *peer)
{
	if (load->sent == load->requests)
		return;
	if (send(peer->fd, load->request, load->request_length, MSG_NOSIGNAL) !=
	    (ssize_t)load->request_length)
		die("send");
	load->sent++;
	peer->length = 0;
}

/* Is the whole answer in peer->input? */
static bool
is_whole(const struct peer *peer)
{
	const char *end = strstr(peer->input, "\r\n\r\n");
	const char *field = strcasestr(peer->input, "\r\nContent-Length:");

	if (end == NULL)
		return false;
	if (field == NULL || field > end) {
		errno = EPROTO;
		die("answer without Content-Length");
	}
	return (size_t)(end + 4 - peer->input) +
	    strtoul(field + 17, NULL, 10) <=
	    peer->length;
}

static void
receive(struct load *load, struct peer *peer)
{
	ssize_t got;

	got = recv(peer->fd, peer->input + peer->length,
	    INPUT_SIZE - 1 - peer->length, 0);
	if (got == 0)
		errno = ECONNRESET;
	if (got <= 0)
		die("connection lost");
	peer->length += (size_t)got;
	peer->input[peer->length] = '\0';
	if (!is_whole(peer))
		return;
	load->answered++;
	load->accepted += strncmp(peer->input, "HTTP/1.1 200 ", 13) == 0;
	send_next(load, peer);
}

static void
open_peer(struct load *load, struct peer *peer)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(load->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };
	const int on = 1;

	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->fd == -1)
		die("socket");
	setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(peer->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, peer->fd, &event) != 0)
		die("epoll_ctl");
}

static void
run(struct load *load, uint64_t deadline_ns)
{
	struct epoll_event events[EVENTS];
	int count;

	for (unsigned i = 0; i < load->connections; i++)
		send_next(load, &load->peers[i]);
	while (
	    load->answered < load->requests && clock_now_ns() < deadline_ns) {
		count = epoll_wait(load->epoll, events, EVENTS, 100);
		if (count == -1)
			die("epoll_wait");
		for (int i = 0; i < count; i++)
			receive(load, events[i].data.ptr);
	}
}

static unsigned
number(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value < min || value > max) {
		fprintf(stderr,
		    "load-http: \"%s\" is not a number from %u to %u\n", text,
		    min, max);
		exit(64);
	}
	return (unsigned)value;
}

static void
set_option(struct load *load, int option, const char *value)
{
	switch (option) {
	case 'p':
		load->port = (uint16_t)number(value, 1, 65535);
		break;
	case 'a':
		load->basic = value;
		break;
	case 'k':
		load->connections = number(value, 1, 1000);
		break;
	case 'n':
		load->requests = number(value, 1, 100000000);
		break;
	case 's':
		load->payload = number(value, 0, 32768);
		break;
	case 't':
		load->seconds = number(value, 1, 3600);
		break;
	case 'c':
		if (cpu_time_parse(value, &load->suite) == 0)
			break;
		fprintf(stderr, "load-http: -c takes living PID,PID...\n");
		exit(1);
	default:
		fprintf(stderr,
		    "usage: load-http -p PORT -a BASIC [-k connections]\n"
		    "    [-n requests] [-s bytes] [-t seconds] [-c PID,...]\n");
		exit(64);
	}
}

static uint64_t
cpu_ns(const struct load *load)
{
	uint64_t used_ns = 0;

	if (cpu_time_read(&load->suite, &used_ns) != 0)
		die("the suite's processor time");
	return used_ns;
}

int
main(int argc, char **argv)
{
	struct load load = { .connections = 16,
		.requests = 20000,
		.payload = 16,
		.seconds = 60 };
	uint64_t begin_ns, cpu, elapsed_ns;
	int option;

	while ((option = getopt(argc, argv, "p:a:k:n:s:t:c:")) != -1)
		set_option(&load, option, optarg);
	if (load.port == 0 || load.basic == NULL || optind != argc)
		set_option(&load, '?', NULL);
	make_request(&load);
	load.peers = calloc(load.connections, sizeof(*load.peers));
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	BUG_ON(load.peers == NULL || load.epoll == -1);
	for (unsigned i = 0; i < load.connections; i++)
		open_peer(&load, &load.peers[i]);

	cpu = cpu_ns(&load);
	begin_ns = clock_now_ns();
	run(&load, begin_ns + load.seconds * CLOCK_SECOND_NS);
	elapsed_ns = clock_now_ns() - begin_ns;
	cpu = cpu_ns(&load) - cpu;
	printf("answered=%llu accepted=%llu per_second=%.0f cpu_us=%.3f\n",
	    (unsigned long long)load.answered,
	    (unsigned long long)load.accepted,
	    (double)load.answered * 1e9 / (double)elapsed_ns,
	    load.answered == 0 ? 0 : (double)cpu / 1e3 / (double)load.answered);
	return load.accepted == load.requests ? 0 : 1;
}
