/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load_http - publishes by HTTP, and what a request costs the suite.
 *
 *	bench/load-http -p PORT -a BASIC [-k connections] [-n requests]
 *	    [-w requests under way] [-s payload bytes] [-T topic]
 *	    [-t seconds at most] [-c PID,PID...] [-m MQTT PORT] [-R stall ms]
 *
 * Each connection is kept and sends POST /api/v4/mqtt/publish (QoS 1), one
 * after the other or as many at a time as -w says.  BASIC is what goes behind
 * "Authorization: Basic".  With -c the processor time of those processes is
 * divided by the requests; with -m a subscriber counts what arrives at that
 * broker.  Prints one line of key=value; exit status 1 unless all were
 * answered 200 and, with -m, have arrived.
 *
 * With -R refusals are what is looked for: how late they come after
 * http.stall_timeout, which is so many milliseconds, and those that are not
 * held at all after the request; exit status 1 if one has no Retry-After.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/cpu_time.h"
#include "bench/http_peer.h"
#include "bench/mqtt_count.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/histogram.h"

#define EVENTS 64

struct load {
	struct cpu_time suite;
	struct http_peer *peers;
	struct mqtt_count reader;
	char *requests; /* as many as fit the window */
	size_t request_length;
	uint64_t wanted, sent, answered, accepted, refused, bare;
	struct histogram late, at_once;
	unsigned connections, payload, seconds, window, mqtt_port;
	bool has_stall;
	bool is_told; /* the first answer that was not 200 */
	uint64_t stall_ns;
	uint16_t port;
	const char *basic, *topic;
	int epoll;
};

static void
die(const char *what, int err)
{
	fprintf(stderr, "load-http: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void
make_requests(struct load *load)
{
	char *payload = calloc(1, load->payload + 1);
	char *body, *request;
	int length;

	BUG_ON(payload == NULL);
	memset(payload, 'x', load->payload);
	length =
	    asprintf(&body, "{\"topic\":\"%s\",\"payload\":\"%s\",\"qos\":1}",
		load->topic, payload);
	BUG_ON(length == -1);
	length = asprintf(&request,
	    "POST /api/v4/mqtt/publish HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	    "Authorization: Basic %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %d\r\n\r\n%s",
	    load->basic, length, body);
	BUG_ON(length == -1);
	load->request_length = (size_t)length;
	load->requests = malloc(load->window * load->request_length);
	BUG_ON(load->requests == NULL);
	for (unsigned i = 0; i < load->window; i++)
		memcpy(load->requests + i * load->request_length, request,
		    load->request_length);
	free(request);
	free(body);
	free(payload);
}

static void
note_answer(void *context, const struct http_answer *answer)
{
	struct load *load = context;

	load->answered++;
	load->accepted += answer->status == 200;
	if (answer->status != 200 && !load->has_stall && !load->is_told) {
		fprintf(stderr, "load-http: %u %s\n", answer->status,
		    answer->body);
		load->is_told = true;
	}
	if (answer->status != 429)
		return;
	load->refused++;
	load->bare += strcasestr(answer->head, "\r\nRetry-After:") == NULL;
	if (strstr(answer->body, "\"limit\":\"http.stall_timeout\"") == NULL)
		histogram_record(&load->at_once, answer->took_ns);
	else
		histogram_record(&load->late,
		    answer->took_ns > load->stall_ns
			? answer->took_ns - load->stall_ns
			: 0);
}

/* Fill the connection's window. */
static void
send_more(struct load *load, struct http_peer *peer)
{
	uint64_t count = load->window - peer->under_way;
	int err;

	if (count > load->wanted - load->sent)
		count = load->wanted - load->sent;
	if (count == 0)
		return;
	load->sent += count;
	err = http_peer_send(peer, load->requests, count * load->request_length,
	    (uint32_t)count);
	if (err != 0)
		die("send", err);
}

static void
receive(struct load *load, void *from)
{
	int got;

	if (from == &load->reader) {
		got = mqtt_count_read(&load->reader);
		if (got != 0)
			die("the subscriber", got);
		return;
	}
	got = http_peer_read(from, note_answer, load);
	if (got < 0)
		die("connection lost", got);
	if (got > 0)
		send_more(load, from);
}

static bool
is_done(const struct load *load)
{
	return load->answered == load->wanted &&
	    (load->mqtt_port == 0 || load->reader.messages >= load->accepted);
}

static void
turn(struct load *load)
{
	struct epoll_event events[EVENTS];
	int count;

	count = epoll_wait(load->epoll, events, EVENTS, 100);
	if (count == -1)
		die("epoll_wait", -errno);
	for (int i = 0; i < count; i++)
		receive(load, events[i].data.ptr);
}

static void
run(struct load *load, uint64_t deadline_ns)
{
	for (unsigned i = 0; i < load->connections; i++)
		send_more(load, &load->peers[i]);
	while (!is_done(load) && clock_now_ns() < deadline_ns)
		turn(load);
}

static void
watch(struct load *load, int fd, void *who)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = who };

	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl", -errno);
}

static void
open_all(struct load *load)
{
	int err;

	load->peers = calloc(load->connections, sizeof(*load->peers));
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	BUG_ON(load->peers == NULL || load->epoll == -1);
	for (unsigned i = 0; i < load->connections; i++) {
		err = http_peer_open(&load->peers[i], load->port);
		if (err != 0)
			die("connect", err);
		watch(load, load->peers[i].fd, &load->peers[i]);
	}
	if (load->mqtt_port == 0)
		return;
	err = mqtt_count_open(
	    &load->reader, (uint16_t)load->mqtt_port, load->topic, 5);
	if (err != 0)
		die("the subscriber", err);
	watch(load, load->reader.fd, &load->reader);
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
usage(void)
{
	fprintf(stderr,
	    "usage: load-http -p PORT -a BASIC [-k connections]\n"
	    "    [-n requests] [-w window] [-s bytes] [-T topic]\n"
	    "    [-t seconds] [-c PID,...] [-m MQTT-PORT] [-R stall-ms]\n");
	exit(64);
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
		load->wanted = number(value, 1, 100000000);
		break;
	case 'w':
		load->window = number(value, 1, HTTP_PEER_WINDOW);
		break;
	case 's':
		load->payload = number(value, 0, 32768);
		break;
	case 'T':
		load->topic = value;
		break;
	case 't':
		load->seconds = number(value, 1, 3600);
		break;
	case 'm':
		load->mqtt_port = number(value, 1, 65535);
		break;
	case 'R':
		load->has_stall = true;
		load->stall_ns = number(value, 0, 3600000) * CLOCK_MS_NS;
		break;
	case 'c':
		if (cpu_time_parse(value, &load->suite) == 0)
			break;
		fprintf(stderr, "load-http: -c takes living PID,PID...\n");
		exit(1);
	default:
		usage();
	}
}

static uint64_t
cpu_ns(const struct load *load)
{
	uint64_t used_ns = 0;

	if (cpu_time_read(&load->suite, &used_ns) != 0)
		die("the suite's processor time", -ESRCH);
	return used_ns;
}

static double
ms(const struct histogram *histogram, double percent)
{
	return histogram->count == 0
	    ? 0
	    : (double)histogram_percentile(histogram, percent) / 1e6;
}

static void
print_refusals(const struct load *load)
{
	printf("refused=%llu bare=%llu held=%llu late_p50_ms=%.1f "
	       "late_p99_ms=%.1f late_max_ms=%.1f at_once=%llu "
	       "at_once_p50_ms=%.1f at_once_p99_ms=%.1f ",
	    (unsigned long long)load->refused, (unsigned long long)load->bare,
	    (unsigned long long)load->late.count, ms(&load->late, 50),
	    ms(&load->late, 99), ms(&load->late, 100),
	    (unsigned long long)load->at_once.count, ms(&load->at_once, 50),
	    ms(&load->at_once, 99));
}

static int
print_result(const struct load *load, uint64_t elapsed_ns, uint64_t cpu)
{
	if (load->has_stall)
		print_refusals(load);
	printf("answered=%llu accepted=%llu arrived=%llu per_second=%.0f "
	       "cpu_us=%.3f\n",
	    (unsigned long long)load->answered,
	    (unsigned long long)load->accepted,
	    (unsigned long long)load->reader.messages,
	    (double)load->answered * 1e9 / (double)elapsed_ns,
	    load->answered == 0 ? 0
				: (double)cpu / 1e3 / (double)load->answered);
	if (load->has_stall)
		return load->bare == 0 ? 0 : 1;
	return load->accepted == load->wanted && is_done(load) ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct load load = { .connections = 16,
		.wanted = 20000,
		.window = 1,
		.payload = 16,
		.topic = "bench/http",
		.seconds = 60 };
	uint64_t begin_ns, cpu, elapsed_ns;
	int option;

	while ((option = getopt(argc, argv, "p:a:k:n:w:s:T:t:c:m:R:")) != -1)
		set_option(&load, option, optarg);
	if (load.port == 0 || load.basic == NULL || optind != argc)
		usage();
	make_requests(&load);
	open_all(&load);

	cpu = cpu_ns(&load);
	begin_ns = clock_now_ns();
	run(&load, begin_ns + load.seconds * CLOCK_SECOND_NS);
	elapsed_ns = clock_now_ns() - begin_ns;
	cpu = cpu_ns(&load) - cpu;
	return print_result(&load, elapsed_ns, cpu);
}
