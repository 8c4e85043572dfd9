/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load_connect - connections that are made and given up.
 *
 * `window` callers at a time: each connects, sends CONNECT, waits for the
 * CONNACK, sends DISCONNECT, waits until the broker has closed, and begins
 * again with another client id.  Closing last, with the connection reset, a
 * caller leaves no port in TIME_WAIT.  The delay is from connect(2) to CONNACK.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

#define EVENTS 256

enum step {
	CONNECTING,
	WAITING, /* for the CONNACK */
	LEAVING, /* for the broker's end */
};

struct caller {
	int fd;
	enum step step;
	uint64_t begin_ns;
	size_t length;
	uint8_t input[256];
};

struct calls {
	const struct load_options *options;
	struct load_result *result;
	int epoll;
	struct caller *callers;
	uint64_t begun;
};

static void
watch(struct calls *calls, struct caller *caller, int what, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = caller };

	if (epoll_ctl(calls->epoll, what, caller->fd, &event) != 0)
		load_die("epoll_ctl");
}

static void
begin(struct calls *calls, struct caller *caller)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)calls->options->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct linger reset = { .l_onoff = 1 };
	const int on = 1;

	if (calls->begun == calls->options->messages)
		return;
	calls->begun++;
	caller->fd =
	    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (caller->fd == -1)
		load_die("socket");
	setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(caller->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	caller->step = CONNECTING;
	caller->length = 0;
	caller->begin_ns = clock_now_ns();
	if (connect(caller->fd, (const struct sockaddr *)&to, sizeof(to)) !=
		0 &&
	    errno != EINPROGRESS)
		load_die("connect");
	watch(calls, caller, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
say_hello(struct calls *calls, struct caller *caller)
{
	struct mqtt_connect connect = {
		.version = (uint8_t)load_version(calls->options),
		.clean_start = true,
	};
	uint8_t bytes[128];
	char id[48];
	size_t size;
	int err = 0;
	socklen_t length = sizeof(err);

	getsockopt(caller->fd, SOL_SOCKET, SO_ERROR, &err, &length);
	errno = err;
	if (err != 0)
		load_die("connect");
	load_client_id(id, sizeof(id), "c", (unsigned)calls->begun);
	connect.client_id = slice_of_string(id);
	size = mqtt_encode_connect(bytes, sizeof(bytes), &connect);
	if (send(caller->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
		load_die("send");
	caller->step = WAITING;
	watch(calls, caller, EPOLL_CTL_MOD, EPOLLIN);
}

static void
on_connack(struct calls *calls, struct caller *caller)
{
	static const uint8_t disconnect[] = { MQTT_DISCONNECT << 4, 0 };
	struct mqtt_connack connack;
	struct mqtt_frame frame;

	if (mqtt_frame(caller->input, caller->length, sizeof(caller->input),
		&frame) != MQTT_FRAME_WHOLE)
		return;
	if (frame.type != MQTT_CONNACK ||
	    mqtt_decode_connack(
		&frame, load_version(calls->options), &connack) != MQTT_SUCCESS)
		load_die_of("no CONNACK that can be read");
	if (connack.reason != MQTT_SUCCESS)
		load_die_of("CONNECT was refused: %s",
		    mqtt_reason_name(connack.reason));
	histogram_record(
	    &calls->result->latency, clock_now_ns() - caller->begin_ns);
	if (send(caller->fd, disconnect, sizeof(disconnect), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(disconnect))
		load_die("send");
	caller->step = LEAVING;
}

static void
receive(struct calls *calls, struct caller *caller)
{
	ssize_t got;

	got = recv(caller->fd, caller->input + caller->length,
	    sizeof(caller->input) - caller->length, 0);
	if (got == -1 && errno == EAGAIN)
		return;
	if (got > 0 && caller->step == WAITING) {
		caller->length += (size_t)got;
		on_connack(calls, caller);
		return;
	}
	/* Some reset what has been left; that is an end, too. */
	if (got > 0 || caller->step != LEAVING) {
		errno = got == 0 ? ECONNRESET : got > 0 ? EPROTO : errno;
		load_die("before the end of a connection");
	}
	close(caller->fd);
	calls->result->count++;
	begin(calls, caller);
}

static void
turn(struct calls *calls)
{
	struct epoll_event events[EVENTS];
	struct caller *caller;
	int count;

	count = epoll_wait(calls->epoll, events, EVENTS, 100);
	if (count == -1 && errno != EINTR)
		load_die("epoll_wait");
	for (int i = 0; i < count; i++) {
		caller = events[i].data.ptr;
		if (caller->step == CONNECTING)
			say_hello(calls, caller);
		else
			receive(calls, caller);
	}
}

void
load_connect_run(const struct load_options *options, struct load_result *result)
{
	struct calls calls = {
		.options = options,
		.result = result,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
	};
	uint64_t begin_ns, cpu_ns, deadline_ns;

	result->unit = "connections";
	result->expected = options->messages;
	calls.callers = calloc(options->window, sizeof(*calls.callers));
	BUG_ON(calls.callers == NULL || calls.epoll == -1);
	cpu_ns = load_cpu_ns(options);
	begin_ns = clock_now_ns();
	deadline_ns = begin_ns + options->seconds * CLOCK_SECOND_NS;
	for (uint64_t i = 0; i < options->window; i++)
		begin(&calls, &calls.callers[i]);
	while (result->count < result->expected && clock_now_ns() < deadline_ns)
		turn(&calls);
	result->elapsed_ns = clock_now_ns() - begin_ns;
	result->cpu_ns = load_cpu_ns(options) - cpu_ns;
	result->is_whole = result->count == result->expected;
	free(calls.callers);
}
