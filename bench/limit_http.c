/* SPDX-License-Identifier: Apache-2.0 */

/*
 * limit_http - what the kernel's sockets allow for HTTP: requests are found
 * by their end, and answered; nobody reads what is in them.
 *
 *	bench/limit-http -p PORT
 *
 * One thread; one read and one write a connection and turn.  A request has a
 * Content-Length.  For bench/load-http on the loopback address alone; ends
 * with SIGTERM.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bug.h"

#define INPUT_BYTES 65536u
#define EVENTS 256

static const char answer[] = "HTTP/1.1 200 OK\r\n"
			     "Content-Type: application/json\r\n"
			     "Content-Length: 10\r\n\r\n"
			     "{\"code\":0}";
#define ANSWER_BYTES (sizeof(answer) - 1)
#define ANSWERS_A_TURN 256u

struct connection {
	int fd;
	size_t length;
	char input[INPUT_BYTES + 1];
};

static void
die(const char *what)
{
	fprintf(stderr, "limit-http: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The length of the request at the beginning; 0: it is not whole. */
static size_t
request_size(char *text, size_t length)
{
	char *end = memmem(text, length, "\r\n\r\n", 4), *field;
	size_t size, body = 0;

	if (end == NULL)
		return 0;
	*end = '\0';
	field = strcasestr(text, "\r\nContent-Length:");
	if (field != NULL)
		body = strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
	*end = '\r';
	size = (size_t)(end + 4 - text) + body;
	return size <= length ? size : 0;
}

static void
end(struct connection *who)
{
	close(who->fd);
	free(who);
}

static void
serve(struct connection *who)
{
	static char answers[ANSWER_BYTES * ANSWERS_A_TURN];
	size_t used = 0, size, count = 0;
	ssize_t got;

	got = recv(
	    who->fd, who->input + who->length, INPUT_BYTES - who->length, 0);
	if (got <= 0) {
		end(who);
		return;
	}
	who->length += (size_t)got;
	while (count < ANSWERS_A_TURN &&
	    (size = request_size(who->input + used, who->length - used)) != 0) {
		memcpy(answers + count++ * ANSWER_BYTES, answer, ANSWER_BYTES);
		used += size;
	}
	who->length -= used;
	memmove(who->input, who->input + used, who->length);
	if (count != 0 &&
	    send(who->fd, answers, count * ANSWER_BYTES, MSG_NOSIGNAL) !=
		(ssize_t)(count * ANSWER_BYTES))
		end(who);
}

static void
take(int epoll, int listener)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct connection *who = calloc(1, sizeof(*who));
	const int on = 1;

	BUG_ON(who == NULL);
	who->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (who->fd == -1)
		die("accept4");
	setsockopt(who->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	event.data.ptr = who;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, who->fd, &event) != 0)
		die("epoll_ctl");
}

static int
listen_on(uint16_t port)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;
	int fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, 1024) != 0)
		die("bind");
	return fd;
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS], event = { .events = EPOLLIN };
	unsigned long port = 0;
	int epoll, listener, count;

	if (argc == 3 && strcmp(argv[1], "-p") == 0)
		port = strtoul(argv[2], NULL, 10);
	if (port == 0 || port > 65535) {
		fprintf(stderr, "usage: limit-http -p PORT\n");
		return 64;
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	listener = listen_on((uint16_t)port);
	if (epoll == -1 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
		die("epoll");
	for (;;) {
		count = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL)
				take(epoll, listener);
			else
				serve(events[i].data.ptr);
		}
	}
}
