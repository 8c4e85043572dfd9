/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_control.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/links_connection.h"
#include "broker/links_handback.h"
#include "broker/links_lanes.h"
#include "broker/links_memory.h"
#include "broker/links_private.h"
#include "broker/links_request.h"
#include "broker/links_socket.h"
#include "broker/links_words.h"
#include "common/base/log.h"
#include "common/ring/ring_control.h"
#include "common/shm/fdpass.h"
#include "common/shm/memfd.h"
#include "common/stats/stats.h"

#define CONNECTIONS_MAX 256u
#define MESSAGES_A_TURN 32u

struct links_control {
	struct links *links;
	struct links_socket socket;
	struct loop_fd watch;
	struct links_connection *connections;
	unsigned count;
	uid_t httpd_uid, bridged_uid; /* (uid_t)-1: there is no such user */
};

/* ---- HELLO --------------------------------------------------------------- */

/* Say why and close. */
static void
refuse(struct links_connection *connection, const char *text)
{
	log_warning("link_refused", "pid=%d uid=%d reason=%s",
	    (int)connection->pid, (int)connection->uid, log_quote(text));
	links_connection_send_text(
	    connection, RING_CONTROL_REFUSED, "", text, strlen(text));
	links_control_close(connection, text);
}

static bool
uid_is_allowed(const struct links_connection *connection, uint32_t role)
{
	const struct links_control *control = connection->control;
	uid_t uid = connection->uid;

	if (uid == 0 || uid == geteuid())
		return true;
	if (uid == (uid_t)-1)
		return false;
	if (uid == control->httpd_uid)
		return role != RING_ROLE_BRIDGE;
	if (uid == control->bridged_uid)
		return role != RING_ROLE_HTTPD;
	return false;
}

static void
warn_of_isolation(struct links_connection *connection)
{
	struct links *links = connection->control->links;

	if (links->isolation_warned || connection->uid != geteuid())
		return;
	links->isolation_warned = true;
	log_warning("isolation_off",
	    "uid=%d reason=\"programs share one user, so a broken one could "
	    "write the rings of the others\" hint=\"run each as a user of its "
	    "own, as the systemd units do\"",
	    (int)connection->uid);
}

static struct links_endpoint *
find_endpoint(struct links *links, uint32_t role, const char *name)
{
	struct links_endpoint *endpoint;

	for (uint32_t i = 0; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (endpoint != NULL && endpoint->role == role &&
		    (role == RING_ROLE_HTTPD ||
			strcmp(endpoint->identity.name, name) == 0))
			return endpoint;
	}
	return NULL;
}

static void
attach(struct links_connection *connection, struct links_endpoint *endpoint)
{
	char text[160];
	pid_t other;
	int err;

	if (links_endpoint_claim(endpoint, connection->pid, &other) != 0) {
		snprintf(text, sizeof(text),
		    "%s is served by process %d already",
		    endpoint->identity.name, (int)other);
		refuse(connection, text);
		return;
	}
	if (endpoint->state == LINKS_POISONED) {
		err = links_memory_rebuild(endpoint);
		if (err != 0) {
			snprintf(text, sizeof(text),
			    "the broker has no memory for this link: %s",
			    strerror(-err));
			refuse(connection, text);
			return;
		}
	}
	connection->endpoint = endpoint;
	if (endpoint->is_disabled)
		links_words_order(connection, RING_ORDER_DISABLE);
	err = links_words_grant(connection);
	if (err != 0) {
		connection->endpoint = NULL;
		refuse(connection, strerror(-err));
		return;
	}
	links_words_all(connection);
	links_endpoint_attached(endpoint, connection);
	warn_of_isolation(connection);
	log_info("link_attached", "link=%s pid=%d lanes=%u",
	    log_quote(endpoint->identity.name), (int)connection->pid,
	    links_endpoint_lanes(endpoint));
}

static void
on_hello(struct links_connection *connection, const void *bytes, size_t length)
{
	struct links *links = connection->control->links;
	struct links_endpoint *endpoint;
	struct ring_control_hello hello;
	char text[160];

	if (length != sizeof(hello)) {
		refuse(connection, "this HELLO has a wrong length");
		return;
	}
	memcpy(&hello, bytes, sizeof(hello));
	hello.name[sizeof(hello.name) - 1] = '\0';
	if (hello.abi != RING_ABI) {
		snprintf(text, sizeof(text),
		    "this program speaks ring ABI %u, the broker %u: install "
		    "all programs of one version and restart them",
		    hello.abi, RING_ABI);
		refuse(connection, text);
		return;
	}
	if (!uid_is_allowed(connection, hello.role)) {
		snprintf(text, sizeof(text),
		    "user %d may not do this: be root, the broker's user, or "
		    "the program's own (weir-httpd, weir-bridged)",
		    (int)connection->uid);
		refuse(connection, text);
		return;
	}
	if (hello.role == RING_ROLE_CONTROL) {
		connection->is_control = true;
		return;
	}
	if (links->is_draining) {
		refuse(connection, "the broker is stopping");
		return;
	}
	endpoint = find_endpoint(links, hello.role, hello.name);
	if (endpoint == NULL) {
		snprintf(text, sizeof(text),
		    "the broker's configuration has no %s%.60s: restart the "
		    "broker if it was added",
		    hello.role == RING_ROLE_BRIDGE ? "bridge " : "http group",
		    hello.role == RING_ROLE_BRIDGE ? hello.name : "");
		refuse(connection, text);
		return;
	}
	if (hello.holds_link == 0) {
		attach(connection, endpoint);
		return;
	}
	connection->handback = links_handback_new(endpoint);
	if (connection->handback == NULL)
		refuse(connection, "the broker has no memory for a hand-back");
}

/* ---- what comes between HELLO and GRANT --------------------------------- */

static void
on_held_sides(struct links_connection *connection, const void *bytes,
    size_t length, int *fds, unsigned count)
{
	struct ring_control_held_sides sides;

	if (length != sizeof(sides) || count != 2) {
		links_control_close(connection, "HELD_SIDES in a wrong shape");
		return;
	}
	memcpy(&sides, bytes, sizeof(sides));
	sides.identity.name[sizeof(sides.identity.name) - 1] = '\0';
	sides.identity.run_dir[sizeof(sides.identity.run_dir) - 1] = '\0';
	links_handback_sides(connection->handback, &sides, fds);
}

static void
on_held_lane(struct links_connection *connection, const void *bytes,
    size_t length, int *fds, unsigned count)
{
	struct ring_control_lane lane;

	if (length != sizeof(lane) || count != 1) {
		links_control_close(connection, "HELD_LANE in a wrong shape");
		return;
	}
	memcpy(&lane, bytes, sizeof(lane));
	lane.geometry.name[sizeof(lane.geometry.name) - 1] = '\0';
	links_handback_lane(connection->handback, &lane, fds);
}

static void
on_held_end(struct links_connection *connection)
{
	struct links_endpoint *endpoint = connection->handback->endpoint;

	links_handback_finish(connection->handback);
	links_handback_free(connection->handback);
	connection->handback = NULL;
	attach(connection, endpoint);
}

/* ---- what else is said ------------------------------------------------- */

static void
on_open_lane(
    struct links_connection *connection, const void *bytes, size_t length)
{
	struct links_endpoint *endpoint = connection->endpoint;
	struct ring_control_open_lane message;
	const char *reason = "it cannot be opened";
	int lane;

	if (length != sizeof(message)) {
		links_control_close(connection, "OPEN_LANE of a wrong length");
		return;
	}
	memcpy(&message, bytes, sizeof(message));
	message.set[sizeof(message.set) - 1] = '\0';
	lane = links_lanes_open(endpoint, message.set, &reason);
	if (lane == -EEXIST)
		return; /* it was told already */
	if (lane < 0) {
		/* A program that asks for ever shall not fill the log. */
		if (token_bucket_take(&endpoint->refused_lines, 1,
			loop_now_ns(endpoint->links->loop)) == 0)
			log_warning("lane_refused", "link=%s set=%s reason=%s",
			    log_quote(endpoint->identity.name),
			    log_quote(message.set), log_quote(reason));
		links_connection_send_text(connection,
		    RING_CONTROL_LANE_REFUSED, message.set, reason,
		    strlen(reason));
		return;
	}
	log_info("lane_opened", "link=%s lane=%d set=%s",
	    log_quote(endpoint->identity.name), lane, log_quote(message.set));
	links_words_lane(connection, RING_TO_BROKER,
	    &endpoint->lanes[lane].geometry, endpoint->lanes[lane].fd);
	loop_again(endpoint->links->loop);
}

static void
on_close_lane(
    struct links_connection *connection, const void *bytes, size_t length)
{
	struct links_endpoint *endpoint = connection->endpoint;
	struct ring_control_close_lane message;
	const char *why = "it asked to close a lane that cannot be";

	if (length != sizeof(message)) {
		links_control_close(connection, "CLOSE_LANE of a wrong length");
		return;
	}
	memcpy(&message, bytes, sizeof(message));
	message.set[sizeof(message.set) - 1] = '\0';
	if (message.lane < RING_LANES)
		why = links_lanes_close(endpoint, message.lane, message.set);
	if (why != NULL) {
		links_endpoint_poison(endpoint, why);
		return;
	}
	links_count(endpoint->links, COUNT_lanes_closed, 1);
	log_info("lane_closed", "link=%s lane=%u set=%s reason=idle",
	    log_quote(endpoint->identity.name), message.lane,
	    log_quote(message.set));
	message.header = links_connection_header(RING_CONTROL_LANE_CLOSED);
	links_connection_send(connection, &message, sizeof(message), NULL, 0);
}

static void
on_request(
    struct links_connection *connection, const uint8_t *bytes, size_t length)
{
	struct ring_control_text message;
	struct slice question;
	const char *why;

	if (length < sizeof(message)) {
		links_control_close(connection, "REQUEST of a wrong length");
		return;
	}
	memcpy(&message, bytes, sizeof(message));
	question = slice_of(bytes + sizeof(message), length - sizeof(message));
	if (message.length != question.len) {
		links_control_close(connection, "REQUEST of a wrong length");
		return;
	}
	why = links_request_take(
	    connection->control->links, connection, question);
	if (why != NULL)
		links_control_close(connection, why);
}

/* The endpoint gives the link up: its reason is text for the log. */
static void
on_poisoned(
    struct links_connection *connection, const uint8_t *bytes, size_t length)
{
	size_t skip = sizeof(struct ring_control_text);

	if (length < skip)
		skip = length;
	log_error("link_given_up", "link=%s pid=%d reason=%s",
	    log_quote(connection->endpoint->identity.name),
	    (int)connection->pid, log_quote_n(bytes + skip, length - skip));
	links_endpoint_poison(
	    connection->endpoint, "the endpoint found it damaged");
}

static void
on_held(struct links_connection *connection, enum ring_control_type type,
    const uint8_t *bytes, size_t length, int *fds, unsigned count)
{
	if (type == RING_CONTROL_HELD_SIDES)
		on_held_sides(connection, bytes, length, fds, count);
	else if (type == RING_CONTROL_HELD_LANE)
		on_held_lane(connection, bytes, length, fds, count);
	else if (type == RING_CONTROL_HELD_END)
		on_held_end(connection);
	else
		links_control_close(connection, "a hand-back without an end");
}

/* Descriptors that are taken are set to -1. */
static void
on_message(struct links_connection *connection, const uint8_t *bytes,
    size_t length, int *fds, unsigned count)
{
	bool is_new = connection->endpoint == NULL && !connection->is_control;
	struct ring_control_header header;

	if (length < sizeof(header)) {
		links_control_close(connection, "a message without a header");
		return;
	}
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != RING_CONTROL_MAGIC)
		links_control_close(connection, "a message of another program");
	else if (connection->handback != NULL)
		on_held(connection, (enum ring_control_type)header.type, bytes,
		    length, fds, count);
	else if (header.type == RING_CONTROL_HELLO && is_new)
		on_hello(connection, bytes, length);
	else if (header.type == RING_CONTROL_REQUEST && connection->is_control)
		on_request(connection, bytes, length);
	else if (connection->endpoint == NULL)
		links_control_close(connection, "an unexpected message");
	else if (header.type == RING_CONTROL_OPEN_LANE)
		on_open_lane(connection, bytes, length);
	else if (header.type == RING_CONTROL_CLOSE_LANE)
		on_close_lane(connection, bytes, length);
	else if (header.type == RING_CONTROL_READY)
		ring_link_ring(connection->endpoint->link);
	else if (header.type == RING_CONTROL_POISONED)
		on_poisoned(connection, bytes, length);
	else
		links_control_close(connection, "an unexpected message");
}

/* ---- connections --------------------------------------------------------- */

/*
 * Handlers close the connection they are called for, so reading goes on only
 * while it is still in the list.
 */
static bool
is_open(const struct links_control *control,
    const struct links_connection *connection)
{
	const struct links_connection *c;

	for (c = control->connections; c != NULL; c = c->next) {
		if (c == connection)
			return true;
	}
	return false;
}

static void
read_messages(struct links_connection *connection)
{
	struct links_control *control = connection->control;
	uint8_t buffer[RING_CONTROL_MAX];
	int fds[FDPASS_MAX];
	unsigned count;
	ssize_t n;

	for (unsigned i = 0; i < MESSAGES_A_TURN; i++) {
		count = 0;
		n = fdpass_recv(connection->sock, buffer, sizeof(buffer), fds,
		    FDPASS_MAX, &count);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			links_control_close(connection,
			    n == 0 ? "it ended" : strerror((int)-n));
			return;
		}
		on_message(connection, buffer, (size_t)n, fds, count);
		while (count-- > 0) {
			if (fds[count] != -1)
				close(fds[count]);
		}
		if (!is_open(control, connection))
			return;
	}
}

static void
connection_ready(void *arg, int fd, unsigned ready)
{
	struct links_connection *connection = arg;

	(void)fd;
	if ((ready & LOOP_WRITE) != 0)
		links_connection_flush(connection);
	links_request_go_on(connection);
	if (connection->is_broken)
		links_control_close(connection, "it does not read");
	else if ((ready & LOOP_READ) != 0)
		read_messages(connection);
}

static int
connection_new(struct links_control *control, int sock)
{
	struct links_connection *connection;
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (control->count >= CONNECTIONS_MAX)
		return -EMFILE;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &length) == -1)
		return -errno;
	connection =
	    links_connection_new(control->links->loop, sock, connection_ready);
	if (connection == NULL)
		return -errno;
	connection->control = control;
	connection->pid = peer.pid;
	connection->uid = peer.uid;
	connection->next = control->connections;
	connection->link = &control->connections;
	if (connection->next != NULL)
		connection->next->link = &connection->next;
	control->connections = connection;
	control->count++;
	return 0;
}

static void
accept_ready(void *arg, int fd, unsigned ready)
{
	struct links_control *control = arg;
	int err, sock;

	(void)ready;
	sock = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (sock == -1)
		return;
	err = connection_new(control, sock);
	if (err != 0) {
		log_warning(
		    "control_refused", "error=%s", log_quote(strerror(-err)));
		close(sock);
	}
}

void
links_control_send_filters(struct links_control *control)
{
	struct links_connection *connection;

	for (connection = control->connections; connection != NULL;
	     connection = connection->next) {
		if (connection->endpoint != NULL)
			links_words_filters(connection);
	}
}

void
links_control_say_poisoned(struct links_connection *connection, const char *why)
{
	links_connection_send_text(
	    connection, RING_CONTROL_POISONED, "", why, strlen(why));
}

void
links_control_close(struct links_connection *connection, const char *why)
{
	struct links_endpoint *endpoint = connection->endpoint;

	if (endpoint != NULL) {
		log_info("link_detached", "link=%s pid=%d reason=%s",
		    log_quote(endpoint->identity.name), (int)connection->pid,
		    log_quote(why));
		links_endpoint_detached(endpoint);
	}
	links_request_forget(connection);
	links_handback_free(connection->handback);
	*connection->link = connection->next;
	if (connection->next != NULL)
		connection->next->link = connection->link;
	connection->control->count--;
	links_connection_free(connection);
}

/* ---- life -----------------------------------------------------------------
 */

static uid_t
uid_of(const char *user)
{
	const struct passwd *entry = getpwnam(user);

	return entry == NULL ? (uid_t)-1 : entry->pw_uid;
}

struct links_control *
links_control_new(struct links *links)
{
	struct links_control *control;
	int err;

	control = calloc(1, sizeof(*control));
	if (control == NULL)
		return NULL;
	control->links = links;
	control->httpd_uid = uid_of("weir-httpd");
	control->bridged_uid = uid_of("weir-bridged");
	err = links_socket_open(
	    &control->socket, links->broker->conf->run_dir, &links->store);
	if (err != 0) {
		free(control);
		errno = -err;
		return NULL;
	}
	return control;
}

bool
links_control_was_stale(const struct links_control *control)
{
	return control->socket.was_stale;
}

int
links_control_start(struct links_control *control)
{
	return loop_fd_start(&control->watch, control->links->loop,
	    control->socket.fd, LOOP_READ, accept_ready, control);
}

void
links_control_free(struct links_control *control)
{
	if (control == NULL)
		return;
	while (control->connections != NULL)
		links_control_close(
		    control->connections, "the broker is stopping");
	loop_fd_stop(&control->watch);
	links_socket_close(&control->socket);
	free(control);
}
