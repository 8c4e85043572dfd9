/* SPDX-License-Identifier: Apache-2.0 */

/*
 * remote - a scripted MQTT server for the far end of a bridge.
 *
 *	bench/remote [-p PORT] [-R receive maximum] [-m messages at most]
 *
 * Listens on a loopback port (0: one that is free), prints "port N", and
 * obeys commands on its standard input, one a line, each answered by one
 * line, "ok ..." or "error ...":
 *
 *	stall | go          read nothing, accept nothing; read again
 *	mute | ack          acknowledge no message; acknowledge, also the old
 *	delay MS            send each acknowledgement so much later
 *	refuse PREFIX CODE  answer such topics with that reason (MQTT 5.0)
 *	refuse              refuse nothing
 *	cut                 close every connection
 *	close | listen      cut, and refuse connections; take them again
 *	forget              forget the sessions
 *	report              what came, as key=value
 *	dump FILE           the ledger (bench/remote_ledger.h)
 *	quit
 *
 * It ends when its standard input does.
 */

#include "bench/remote.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

#define CONNECTIONS 64
#define EVENTS 64
#define LINE 512
#define READS_A_TURN 4

struct server {
	struct remote remote;
	struct remote_connection *connections[CONNECTIONS];
	uint32_t opened;
	uint16_t port;
	int listener; /* -1: closed */
	int epoll;
	bool is_stalled;
	bool is_done;
	size_t line_length;
	char line[LINE];
};

static void
die(const char *what)
{
	fprintf(stderr, "remote: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- sockets ------------------------------------------------------------ */

static void
watch(struct server *server, int operation, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	if (epoll_ctl(server->epoll, operation, fd, &event) != 0)
		die("epoll_ctl");
}

static void
open_listener(struct server *server)
{
	struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_port = htons(server->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(here);
	const int on = 1;

	server->listener =
	    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->listener == -1)
		die("socket");
	setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(server->listener, (struct sockaddr *)&here, size) != 0 ||
	    listen(server->listener, CONNECTIONS) != 0 ||
	    getsockname(server->listener, (struct sockaddr *)&here, &size) != 0)
		die("listen");
	server->port = ntohs(here.sin_port);
	watch(server, EPOLL_CTL_ADD, server->listener, EPOLLIN, server);
}

static void
close_connection(struct server *server, struct remote_connection *c)
{
	/* No TIME_WAIT on our side, and what was not read is not: a reset. */
	const struct linger at_once = { .l_onoff = 1 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(c->fd);
	remote_end_session(c->session);
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (server->connections[i] == c)
			server->connections[i] = NULL;
	free(c->acks);
	free(c->output);
	free(c);
}

static void
cut_all(struct server *server)
{
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (server->connections[i] != NULL)
			close_connection(server, server->connections[i]);
}

static void
accept_one(struct server *server)
{
	struct remote_connection *c;
	const int on = 1;
	size_t i = 0;
	int fd;

	fd =
	    accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd == -1)
		return;
	while (i < CONNECTIONS && server->connections[i] != NULL)
		i++;
	c = i == CONNECTIONS ? NULL : calloc(1, sizeof(*c));
	if (c == NULL) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->fd = fd;
	c->number = ++server->opened;
	server->connections[i] = c;
	watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, c);
}

static void
flush(struct server *server, struct remote_connection *c)
{
	ssize_t sent;

	if (c->output_length == 0 || c->is_blocked)
		return;
	sent = send(c->fd, c->output, c->output_length, MSG_NOSIGNAL);
	if (sent == -1 && errno != EAGAIN) {
		c->is_broken = true;
		return;
	}
	if (sent == -1)
		sent = 0;
	c->output_length -= (size_t)sent;
	if (c->output_length == 0)
		return;
	memmove(c->output, c->output + sent, c->output_length);
	c->is_blocked = true;
	watch(server, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
}

static void
receive(struct server *server, struct remote_connection *c)
{
	ssize_t got = 1;

	for (int i = 0; i < READS_A_TURN && !c->is_broken; i++) {
		got = recv(c->fd, c->input + c->input_length,
		    REMOTE_INPUT - c->input_length, 0);
		if (got <= 0)
			break;
		c->input_length += (size_t)got;
		remote_take_input(&server->remote, c);
	}
	if (got == 0 || (got == -1 && errno != EAGAIN))
		c->is_broken = true;
}

/* Acks that are due, output, and the end of what is broken. */
static void
finish_turn(struct server *server)
{
	struct remote_connection *c;

	for (size_t i = 0; i < CONNECTIONS; i++) {
		c = server->connections[i];
		if (c == NULL)
			continue;
		remote_release_acks(&server->remote, c);
		if (!c->is_broken)
			flush(server, c);
		if (c->is_broken)
			close_connection(server, c);
	}
}

/* ---- commands ----------------------------------------------------------- */

static void
report(const struct server *server)
{
	const struct remote_counts *n = &server->remote.counts;
	unsigned open = 0;

	for (size_t i = 0; i < CONNECTIONS; i++)
		open += server->connections[i] != NULL;
	printf("ok connections=%" PRIu32 " open=%u connects=%" PRIu64
	       " publishes=%" PRIu64 " dups=%" PRIu64 " refused=%" PRIu64
	       " held_again=%" PRIu64 " subscribes=%" PRIu64 " acks=%" PRIu64
	       " pings=%" PRIu64 " disconnects=%" PRIu64 " bad=%" PRIu64
	       " max_unacked=%" PRIu64 " noted=%zu missed=%" PRIu64
	       " foreign=%" PRIu64 "\n",
	    server->opened, open, n->connects, n->publishes, n->dups,
	    n->refused, n->held_again, n->subscribes, n->acks, n->pings,
	    n->disconnects, n->bad, n->max_unacked, server->remote.ledger.count,
	    server->remote.ledger.missed, server->remote.ledger.foreign);
}

/* False: the words make no sense. */
static bool
add_refusal(struct remote *remote, const char *prefix, const char *code)
{
	unsigned long reason;

	if (prefix == NULL) {
		remote->refusal_count = 0;
		return true;
	}
	reason = code == NULL ? 0 : strtoul(code, NULL, 0);
	if (reason < 0x80 || reason > 0xff ||
	    remote->refusal_count == REMOTE_REFUSALS ||
	    strlen(prefix) >= sizeof(remote->refusals[0].prefix))
		return false;
	remote->refusals[remote->refusal_count].reason = (uint8_t)reason;
	strcpy(remote->refusals[remote->refusal_count++].prefix, prefix);
	return true;
}

static void
do_close(struct server *server)
{
	cut_all(server);
	if (server->listener != -1)
		close(server->listener);
	server->listener = -1;
}

/* A command that takes no word; false: there is none of this name. */
static bool
obey_plain(struct server *server, const char *verb)
{
	if (strcmp(verb, "stall") == 0 || strcmp(verb, "go") == 0)
		server->is_stalled = verb[0] == 's';
	else if (strcmp(verb, "mute") == 0 || strcmp(verb, "ack") == 0)
		server->remote.is_mute = verb[0] == 'm';
	else if (strcmp(verb, "cut") == 0)
		cut_all(server);
	else if (strcmp(verb, "close") == 0)
		do_close(server);
	else if (strcmp(verb, "listen") == 0 && server->listener == -1)
		open_listener(server);
	else if (strcmp(verb, "forget") == 0)
		remote_forget(&server->remote);
	else if (strcmp(verb, "quit") == 0)
		server->is_done = true;
	else
		return false;
	return true;
}

static void
obey(struct server *server, char *line)
{
	char *rest = NULL, *verb, *first, *second;
	int error = 0;

	verb = strtok_r(line, " ", &rest);
	first = strtok_r(NULL, " ", &rest);
	second = strtok_r(NULL, " ", &rest);
	if (verb != NULL && strcmp(verb, "report") == 0) {
		report(server);
		return;
	}
	if (verb == NULL)
		error = EINVAL;
	else if (strcmp(verb, "dump") == 0 && first != NULL)
		error = -remote_ledger_write(&server->remote.ledger, first);
	else if (strcmp(verb, "refuse") == 0)
		error =
		    add_refusal(&server->remote, first, second) ? 0 : EINVAL;
	else if (strcmp(verb, "delay") == 0 && first != NULL)
		server->remote.delay_ns =
		    strtoul(first, NULL, 10) * CLOCK_MS_NS;
	else if (!obey_plain(server, verb))
		error = EINVAL;
	printf(error == 0 ? "ok\n" : "error %s\n", strerror(error));
}

static void
take_commands(struct server *server)
{
	char *end;
	ssize_t got;

	got = read(STDIN_FILENO, server->line + server->line_length,
	    LINE - 1 - server->line_length);
	if (got == -1 && errno == EAGAIN)
		return;
	if (got <= 0) {
		server->is_done = true;
		return;
	}
	server->line_length += (size_t)got;
	server->line[server->line_length] = '\0';
	while ((end = strchr(server->line, '\n')) != NULL) {
		*end = '\0';
		obey(server, server->line);
		server->line_length -= (size_t)(end + 1 - server->line);
		memmove(server->line, end + 1, server->line_length + 1);
	}
	fflush(stdout);
	if (server->line_length == LINE - 1)
		server->is_done = true;
}

/* ---- the turns ---------------------------------------------------------- */

static int
pause_ms(const struct server *server)
{
	const struct remote_connection *c;
	uint64_t due_ns = UINT64_MAX;

	for (size_t i = 0; i < CONNECTIONS; i++) {
		c = server->connections[i];
		if (c != NULL && c->ack_count != 0 && !server->remote.is_mute &&
		    c->acks[c->ack_head].due_ns < due_ns)
			due_ns = c->acks[c->ack_head].due_ns;
	}
	if (due_ns == UINT64_MAX)
		return -1;
	if (due_ns <= clock_now_ns())
		return 0;
	return (int)((due_ns - clock_now_ns()) / CLOCK_MS_NS) + 1;
}

static void
turn(struct server *server)
{
	struct epoll_event events[EVENTS];
	struct remote_connection *c;
	int count;

	count = epoll_wait(server->epoll, events, EVENTS, pause_ms(server));
	if (count == -1 && errno != EINTR)
		die("epoll_wait");
	server->remote.now_ns = clock_now_ns();
	for (int i = 0; i < count; i++) {
		c = events[i].data.ptr;
		if (c == NULL || (void *)c == (void *)server)
			continue;
		if ((events[i].events & EPOLLOUT) != 0) {
			c->is_blocked = false;
			watch(server, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
		}
		receive(server, c);
	}
	finish_turn(server);
	/* Last: a command may close what the events are about. */
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == server && server->listener != -1)
			accept_one(server);
		else if (events[i].data.ptr == NULL)
			take_commands(server);
	}
}

static void
stalled_turn(struct server *server)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	if (poll(&input, 1, -1) == 1)
		take_commands(server);
}

static unsigned long
number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end != text && *end == '\0' && value <= max)
		return value;
	fprintf(
	    stderr, "remote: \"%s\" is not a number up to %lu\n", text, max);
	exit(64);
}

static void
set_options(struct server *server, int argc, char **argv, size_t *out_max)
{
	int option;

	while ((option = getopt(argc, argv, "p:R:m:")) != -1) {
		switch (option) {
		case 'p':
			server->port = (uint16_t)number(optarg, 65535);
			break;
		case 'R':
			server->remote.receive_maximum =
			    (uint16_t)number(optarg, 65535);
			break;
		case 'm':
			*out_max = number(optarg, 1000000000);
			break;
		default:
			fprintf(stderr,
			    "usage: remote [-p PORT] [-R receive maximum] "
			    "[-m messages at most]\n");
			exit(64);
		}
	}
}

int
main(int argc, char **argv)
{
	struct server *server = calloc(1, sizeof(*server));
	size_t max = 20000000;

	BUG_ON(server == NULL);
	set_options(server, argc, argv, &max);
	BUG_ON(remote_ledger_init(&server->remote.ledger, max) != 0);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server->epoll == -1)
		die("epoll");
	open_listener(server);
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	watch(server, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
	printf("port %u\n", server->port);
	fflush(stdout);
	while (!server->is_done) {
		if (server->is_stalled)
			stalled_turn(server);
		else
			turn(server);
	}
	cut_all(server);
	remote_ledger_fini(&server->remote.ledger);
	free(server);
	return 0;
}
