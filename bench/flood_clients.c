/* SPDX-License-Identifier: Apache-2.0 */

/*
 * flood_clients - a flood by HTTP and MQTT, and what became of each message.
 *
 *	bench/flood-clients [-w HTTP port] [-c connections] [-a AUTHORIZATION]
 *	    [-u path] [-b body] [-A text] [-m MQTT port] [-1 publishers]
 *	    [-2 publishers] [-W window] [-U user] [-P password] [-5]
 *	    [-T topic prefix] [-s payload bytes] [-n most] [-t seconds]
 *	    [-S settle seconds] [-y stall timeout ms] [-o FILE]
 *
 * Each HTTP connection sends one request after the other, each MQTT publisher
 * has up to -W messages under way (-1: QoS 1, -2: QoS 2), as fast as answers
 * come; every fourth HTTP connection asks for QoS 2.  The topics are
 * PREFIX/q1/NAME and PREFIX/q2/NAME.  A connection that breaks comes back.
 * The flood ends after -t seconds, or when each has sent -n messages; then
 * what is under way may settle.  -b is the body of a request, with %t for the
 * topic, %p for the payload, %q for the QoS; an answer 2xx accepts when it
 * holds the text -A.
 *
 * Every 100 ms a line "progress ..." goes to standard output, and in the end
 * one line "done ...", key=value.  FILE gets a line a producer: name, topic,
 * QoS, reconnects, lost sessions, and a letter for each number
 * (flood_producer.h).
 */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/flood_producer.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

#define EVENTS 128
#define TURN_MS 10
#define PROGRESS_NS (100 * CLOCK_MS_NS)
#define RETRY_NS (20 * CLOCK_MS_NS)

struct flood {
	struct flood_options options;
	unsigned http_count, qos1_count, qos2_count;
	struct flood_producer **producers;
	unsigned count;
	struct flood_totals totals;
	const char *file;
	int epoll;
};

static void
die(const char *what)
{
	fprintf(stderr, "flood-clients: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- for the protocols -------------------------------------------------- */

uint8_t *
flood_reserve(struct flood_producer *producer, size_t length)
{
	size_t needed = producer->output_length + length;

	if (needed > producer->output_size) {
		producer->output_size = needed * 2;
		producer->output =
		    realloc(producer->output, producer->output_size);
		BUG_ON(producer->output == NULL);
	}
	producer->output_length = needed;
	return producer->output + needed - length;
}

size_t
flood_payload(
    const struct flood_producer *producer, uint32_t number, char *room)
{
	int words = snprintf(
	    room, FLOOD_INPUT, "%s %07" PRIu32 " ", producer->name, number);
	size_t length = (size_t)words;

	if (length < producer->options->payload) {
		memset(room + length, 'x', producer->options->payload - length);
		length = producer->options->payload;
	}
	room[length] = '\0';
	return length;
}

bool
flood_take_number(struct flood_producer *producer, uint32_t *out_number)
{
	if (producer->next == producer->options->most)
		return false;
	producer->outcomes[producer->next] = FLOOD_UNKNOWN;
	*out_number = producer->next++;
	return true;
}

void
flood_note(struct flood_producer *producer, struct flood_totals *totals,
    uint32_t number, enum flood_outcome outcome)
{
	bool is_resent = producer->outcomes[number] == 'U';

	totals->accepted += outcome == FLOOD_ACCEPTED;
	totals->refused += outcome == FLOOD_REFUSED;
	totals->rude += outcome == FLOOD_RUDE;
	totals->errors += outcome == FLOOD_ERROR;
	producer->outcomes[number] =
	    (char)(is_resent ? outcome - 'a' + 'A' : outcome);
}

void
flood_note_resent(struct flood_producer *producer, struct flood_totals *totals,
    uint32_t number)
{
	totals->resent++;
	producer->outcomes[number] = 'U';
}

/* ---- connections -------------------------------------------------------- */

static void
watch(struct flood *flood, struct flood_producer *producer, int operation,
    uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = producer };

	if (epoll_ctl(flood->epoll, operation, producer->fd, &event) != 0)
		die("epoll_ctl");
}

static void
disconnect(struct flood *flood, struct flood_producer *producer)
{
	close(producer->fd);
	producer->fd = -1;
	producer->state = FLOOD_DOWN;
	producer->is_blocked = false;
	producer->output_length = 0;
	producer->input_length = 0;
	producer->retry_ns = clock_now_ns() + RETRY_NS;
	producer->reconnects++;
	if (producer->is_http)
		flood_http_lost(producer, &flood->totals);
}

static void
begin_connect(struct flood *flood, struct flood_producer *producer)
{
	const struct flood_options *options = producer->options;
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(producer->is_http ? options->http_port
						    : options->mqtt_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;

	producer->fd =
	    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (producer->fd == -1)
		die("socket");
	setsockopt(producer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(producer->fd, (const struct sockaddr *)&to, sizeof(to)) !=
		0 &&
	    errno != EINPROGRESS) {
		disconnect(flood, producer);
		return;
	}
	producer->state = FLOOD_CONNECTING;
	watch(flood, producer, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
flush(struct flood *flood, struct flood_producer *producer)
{
	ssize_t sent;

	if (producer->output_length == 0 || producer->is_blocked)
		return;
	sent = send(producer->fd, producer->output, producer->output_length,
	    MSG_NOSIGNAL);
	if (sent == -1 && errno != EAGAIN) {
		disconnect(flood, producer);
		return;
	}
	if (sent == -1)
		sent = 0;
	producer->output_length -= (size_t)sent;
	if (producer->output_length == 0)
		return;
	memmove(
	    producer->output, producer->output + sent, producer->output_length);
	producer->is_blocked = true;
	watch(flood, producer, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void
connected(struct flood *flood, struct flood_producer *producer)
{
	socklen_t size = sizeof(int);
	int error = 0;

	getsockopt(producer->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0) {
		disconnect(flood, producer);
		return;
	}
	watch(flood, producer, EPOLL_CTL_MOD, EPOLLIN);
	producer->state = producer->is_http ? FLOOD_OPEN : FLOOD_GREETING;
	if (!producer->is_http)
		flood_mqtt_open(producer);
	flush(flood, producer);
}

static void
receive(struct flood *flood, struct flood_producer *producer)
{
	bool is_good;
	ssize_t got;

	got = recv(producer->fd, producer->input + producer->input_length,
	    FLOOD_INPUT - producer->input_length, 0);
	if (got == -1 && errno == EAGAIN)
		return;
	if (got <= 0) {
		disconnect(flood, producer);
		return;
	}
	producer->input_length += (size_t)got;
	is_good = producer->is_http
	    ? flood_http_receive(producer, &flood->totals)
	    : flood_mqtt_receive(producer, &flood->totals);
	if (!is_good)
		disconnect(flood, producer);
}

static void
on_event(struct flood *flood, struct flood_producer *producer, uint32_t events)
{
	if (producer->state == FLOOD_CONNECTING) {
		connected(flood, producer);
		return;
	}
	if (producer->state == FLOOD_DOWN)
		return;
	if ((events & EPOLLOUT) != 0) {
		producer->is_blocked = false;
		watch(flood, producer, EPOLL_CTL_MOD, EPOLLIN);
	}
	receive(flood, producer);
}

/* ---- the flood ---------------------------------------------------------- */

/* Is there nothing left to send, or to wait for? */
static bool
has_finished(const struct flood *flood, bool is_on)
{
	const struct flood_producer *producer;

	for (unsigned i = 0; i < flood->count; i++) {
		producer = flood->producers[i];
		if (producer->under_way != 0 ||
		    (is_on && producer->next != flood->options.most))
			return false;
	}
	return true;
}

static void
step(struct flood *flood, struct flood_producer *producer, bool is_on)
{
	if (producer->state == FLOOD_DOWN &&
	    producer->retry_ns <= clock_now_ns() &&
	    (is_on || producer->under_way != 0))
		begin_connect(flood, producer);
	if (producer->state != FLOOD_OPEN)
		return;
	if (producer->is_http)
		flood_http_send(producer, is_on);
	else
		flood_mqtt_send(producer, is_on);
	flush(flood, producer);
}

static void
say(const struct flood *flood, const char *what)
{
	const struct flood_totals *totals = &flood->totals;
	uint64_t offered = 0, under_way = 0, lost_sessions = 0, reconnects = 0;

	for (unsigned i = 0; i < flood->count; i++) {
		offered += flood->producers[i]->next;
		under_way += flood->producers[i]->under_way;
		lost_sessions += flood->producers[i]->lost_sessions;
		reconnects += flood->producers[i]->reconnects;
	}
	printf("%s offered=%" PRIu64 " accepted=%" PRIu64 " refused=%" PRIu64
	       " rude=%" PRIu64 " errors=%" PRIu64 " under_way=%" PRIu64
	       " resent=%" PRIu64 " reconnects=%" PRIu64
	       " lost_sessions=%" PRIu64,
	    what, offered, totals->accepted, totals->refused, totals->rude,
	    totals->errors, under_way, totals->resent, reconnects,
	    lost_sessions);
}

static void
run(struct flood *flood)
{
	struct epoll_event events[EVENTS];
	uint64_t now_ns = clock_now_ns(), said_ns = now_ns, end_ns;
	bool is_on = true;
	int count;

	end_ns = now_ns + flood->options.seconds * CLOCK_SECOND_NS;
	for (;;) {
		now_ns = clock_now_ns();
		if (is_on && (now_ns >= end_ns || has_finished(flood, true))) {
			is_on = false;
			end_ns = now_ns +
			    flood->options.settle_seconds * CLOCK_SECOND_NS;
		}
		if (!is_on && (now_ns >= end_ns || has_finished(flood, false)))
			return;
		for (unsigned i = 0; i < flood->count; i++)
			step(flood, flood->producers[i], is_on);
		count = epoll_wait(flood->epoll, events, EVENTS, TURN_MS);
		if (count == -1 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < count; i++)
			on_event(flood, events[i].data.ptr, events[i].events);
		if (now_ns - said_ns < PROGRESS_NS)
			continue;
		said_ns = now_ns;
		say(flood, "progress");
		printf("\n");
		fflush(stdout);
	}
}

static struct flood_producer *
add_producer(struct flood *flood, const char *kind, uint8_t qos)
{
	struct flood_producer *producer = calloc(1, sizeof(*producer));

	BUG_ON(producer == NULL);
	producer->options = &flood->options;
	producer->is_http = kind[0] == 'h';
	producer->qos = qos;
	producer->fd = -1;
	producer->outcomes = malloc(flood->options.most);
	BUG_ON(producer->outcomes == NULL);
	snprintf(
	    producer->name, sizeof(producer->name), "%s%u", kind, flood->count);
	snprintf(producer->topic, sizeof(producer->topic), "%s/q%u/%s",
	    flood->options.topic, qos, producer->name);
	flood->producers[flood->count++] = producer;
	return producer;
}

static void
add_producers(struct flood *flood)
{
	flood->producers = calloc(
	    flood->http_count + flood->qos1_count + flood->qos2_count + 1,
	    sizeof(*flood->producers));
	flood->epoll = epoll_create1(EPOLL_CLOEXEC);
	BUG_ON(flood->producers == NULL || flood->epoll == -1);
	for (unsigned i = 0; i < flood->http_count; i++)
		add_producer(flood, "h", i % 4 == 3 ? 2 : 1);
	for (unsigned i = 0; i < flood->qos1_count; i++)
		add_producer(flood, "m", 1);
	for (unsigned i = 0; i < flood->qos2_count; i++)
		add_producer(flood, "m", 2);
}

static void
write_outcomes(const struct flood *flood)
{
	const struct flood_producer *producer;
	FILE *file = fopen(flood->file, "we");

	if (file == NULL)
		die(flood->file);
	for (unsigned i = 0; i < flood->count; i++) {
		producer = flood->producers[i];
		fprintf(file, "%s %s %u %u %u %.*s\n", producer->name,
		    producer->topic, producer->qos, producer->reconnects,
		    producer->lost_sessions, (int)producer->next,
		    producer->outcomes);
	}
	if (fclose(file) != 0)
		die(flood->file);
}

static void
conclude(struct flood *flood)
{
	struct flood_totals *totals = &flood->totals;

	say(flood, "done");
	printf(" accepted_p50_us=%" PRIu64 " accepted_p99_us=%" PRIu64
	       " late=%" PRIu64 " late_p50_us=%" PRIu64 " late_p99_us=%" PRIu64
	       " at_once=%" PRIu64,
	    histogram_percentile(&totals->accepted_us, 50),
	    histogram_percentile(&totals->accepted_us, 99),
	    totals->late_us.count, histogram_percentile(&totals->late_us, 50),
	    histogram_percentile(&totals->late_us, 99),
	    totals->refused_at_once);
	for (unsigned i = 0; i < 600; i++)
		if (totals->by_status[i] != 0)
			printf(" http%u=%" PRIu64, i, totals->by_status[i]);
	printf("\n");
}

/* ---- options ------------------------------------------------------------ */

static unsigned
number(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end != text && *end == '\0' && value >= min && value <= max)
		return (unsigned)value;
	fprintf(stderr, "flood-clients: \"%s\" is not a number from %u to %u\n",
	    text, min, max);
	exit(64);
}

static void
set_text_option(struct flood *flood, int option, const char *value)
{
	struct flood_options *options = &flood->options;

	switch (option) {
	case 'a':
		options->authorization = value;
		break;
	case 'u':
		options->http_path = value;
		break;
	case 'b':
		options->body = value;
		break;
	case 'A':
		options->accepted_text = value;
		break;
	case 'U':
		options->username = value;
		break;
	case 'P':
		options->password = value;
		break;
	case 'T':
		options->topic = value;
		break;
	case 'o':
		flood->file = value;
		break;
	case '5':
		options->version = MQTT_5;
		break;
	default:
		fprintf(stderr,
		    "usage: flood-clients [-w port] [-c connections] [-a "
		    "auth]\n"
		    "    [-u path] [-b body] [-A text] [-m port] [-1 count]\n"
		    "    [-2 count] [-W window] [-U user] [-P password] [-5]\n"
		    "    [-T topic] [-s bytes] [-n most] [-t seconds]\n"
		    "    [-S seconds] [-y ms] [-o FILE]\n");
		exit(64);
	}
}

static void
set_option(struct flood *flood, int option, const char *value)
{
	struct flood_options *options = &flood->options;

	switch (option) {
	case 'w':
		options->http_port = (uint16_t)number(value, 1, 65535);
		break;
	case 'c':
		flood->http_count = number(value, 0, 10000);
		break;
	case 'm':
		options->mqtt_port = (uint16_t)number(value, 1, 65535);
		break;
	case '1':
		flood->qos1_count = number(value, 0, 10000);
		break;
	case '2':
		flood->qos2_count = number(value, 0, 10000);
		break;
	case 'W':
		options->window = number(value, 1, FLOOD_WINDOW_MAX);
		break;
	case 's':
		options->payload = number(value, 0, FLOOD_INPUT / 2);
		break;
	case 'n':
		options->most = number(value, 1, 9999999);
		break;
	case 't':
		options->seconds = number(value, 1, 3600);
		break;
	case 'S':
		options->settle_seconds = number(value, 0, 3600);
		break;
	case 'y':
		options->stall_timeout_ns =
		    number(value, 0, 3600000) * CLOCK_MS_NS;
		break;
	default:
		set_text_option(flood, option, value);
		break;
	}
}

int
main(int argc, char **argv)
{
	static struct flood flood = {
		.http_count = 16,
		.options = { .http_path = "/api/v4/mqtt/publish",
		    .body = "{\"topic\":\"%t\",\"payload\":\"%p\",\"qos\":%q}",
		    .topic = "bridge",
		    .stall_timeout_ns = 2 * CLOCK_SECOND_NS,
		    .most = 100000,
		    .payload = 256,
		    .window = 20,
		    .seconds = 10,
		    .settle_seconds = 30,
		    .version = MQTT_3_1_1 },
	};
	int option;

	while ((option = getopt(argc, argv,
		    "w:c:a:u:b:A:m:1:2:W:U:P:5T:s:n:t:S:y:o:")) != -1)
		set_option(&flood, option, optarg);
	if (flood.options.http_port == 0)
		flood.http_count = 0;
	if (flood.options.mqtt_port == 0)
		flood.qos1_count = flood.qos2_count = 0;
	if (optind != argc ||
	    flood.http_count + flood.qos1_count + flood.qos2_count == 0)
		set_option(&flood, '?', NULL);
	signal(SIGPIPE, SIG_IGN);
	add_producers(&flood);
	run(&flood);
	if (flood.file != NULL)
		write_outcomes(&flood);
	conclude(&flood);
	return 0;
}
