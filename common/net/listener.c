/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/parse.h"
#include "common/net/port_owner.h"
#include "common/net/unix_socket.h"

#define DEFAULT_BACKLOG 1024

/* Connections taken in one turn, so that a storm does not starve others. */
#define ACCEPT_TURN 64

struct listener {
	int fd;
	int reserve; /* given up to refuse a connection; -1: lost */
	struct loop *loop;
	struct loop_fd watch;
	listener_accept_fn *accept;
	void *arg;
	uint64_t refused;
	bool paused;
	struct unix_socket_place place; /* a file of ours */
	uint16_t port;
	char address[LISTENER_ADDRESS_SIZE];
};

static void
format_v4(const void *address, in_port_t port, char *text)
{
	char host[INET_ADDRSTRLEN] = "?";

	inet_ntop(AF_INET, address, host, sizeof(host));
	snprintf(text, LISTENER_ADDRESS_SIZE, "%s:%u", host, ntohs(port));
}

static void
format_v6(const struct sockaddr_in6 *v6, char *text)
{
	char host[INET6_ADDRSTRLEN] = "?", name[IF_NAMESIZE];
	char zone[IF_NAMESIZE + 1] = "";

	inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	if (v6->sin6_scope_id != 0 &&
	    if_indextoname(v6->sin6_scope_id, name) != NULL)
		snprintf(zone, sizeof(zone), "%%%s", name);
	else if (v6->sin6_scope_id != 0)
		snprintf(zone, sizeof(zone), "%%%u", v6->sin6_scope_id);
	snprintf(text, LISTENER_ADDRESS_SIZE, "[%s%s]:%u", host, zone,
	    ntohs(v6->sin6_port));
}

const char *
listener_format(
    const struct sockaddr *address, char text[LISTENER_ADDRESS_SIZE])
{
	const struct sockaddr_in6 *v6 = (const void *)address;
	const struct sockaddr_in *v4 = (const void *)address;

	if (address->sa_family == AF_INET) {
		format_v4(&v4->sin_addr, v4->sin_port, text);
	} else if (address->sa_family == AF_INET6) {
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
			format_v4(
			    v6->sin6_addr.s6_addr + 12, v6->sin6_port, text);
		else
			format_v6(v6, text);
	} else {
		snprintf(text, LISTENER_ADDRESS_SIZE, "unix");
	}
	return text;
}

static int
open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int
set_up(int fd, const struct listener_spec *spec, const struct addrinfo *info)
{
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1)
		return -errno;
	if (spec->shared &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == -1)
		return -errno;
	/* "[::]" is IPv6 alone; IPv4 has a listener of its own. */
	if (info->ai_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1)
		return -errno;
	/* What it accepts inherits this. */
	if (spec->unsent != 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &spec->unsent,
		sizeof(spec->unsent)) == -1)
		return -errno;
	if (bind(fd, info->ai_addr, info->ai_addrlen) == -1)
		return -errno;
	if (listen(fd, spec->backlog > 0 ? spec->backlog : DEFAULT_BACKLOG) ==
	    -1)
		return -errno;
	return 0;
}

static int
open_socket(const struct listener_spec *spec, const struct addrinfo *info)
{
	int err, fd;

	fd = socket(info->ai_family,
	    info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    info->ai_protocol);
	if (fd == -1)
		return -errno;
	err = set_up(fd, spec, info);
	if (err != 0) {
		close(fd);
		return err;
	}
	return fd;
}

/* Returns an fd, or -errno of the last address that was tried. */
static int
open_any(const struct listener_spec *spec, const struct addrinfo *list,
    char tried[LISTENER_ADDRESS_SIZE])
{
	int fd = -EADDRNOTAVAIL;

	for (; list != NULL && fd < 0; list = list->ai_next) {
		listener_format(list->ai_addr, tried);
		fd = open_socket(spec, list);
	}
	return fd;
}

static void
explain(int err, const char *tried, uint16_t port, char *error, size_t size)
{
	char owner[64];

	if (err == -EADDRINUSE) {
		if (port_owner_find(port, owner, sizeof(owner)) != 0)
			strcpy(owner, "unknown");
		snprintf(error, size, "port_in_use address=%s held_by=\"%s\"",
		    tried, owner);
	} else if (err == -EACCES) {
		snprintf(error, size,
		    "address=%s reason=\"no permission; ports below 1024 "
		    "need CAP_NET_BIND_SERVICE\"",
		    tried);
	} else {
		snprintf(error, size, "address=%s reason=\"%s\"", tried,
		    strerror(-err));
	}
}

/* Fill in the address in use, which the kernel may have chosen. */
static int
name_listener(struct listener *listener)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr *address = (struct sockaddr *)&storage;
	socklen_t len = sizeof(storage);

	if (getsockname(listener->fd, address, &len) == -1)
		return -errno;
	listener_format(address, listener->address);
	if (address->sa_family == AF_UNIX)
		snprintf(listener->address, sizeof(listener->address),
		    PARSE_UNIX_PREFIX "%.*s", PARSE_UNIX_PATH_SIZE - 1,
		    ((struct sockaddr_un *)&storage)->sun_path);
	if (address->sa_family == AF_INET)
		listener->port =
		    ntohs(((struct sockaddr_in *)&storage)->sin_port);
	else if (address->sa_family == AF_INET6)
		listener->port =
		    ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
	return 0;
}

int
listener_adopt(int fd, struct listener **out_listener)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int err;

	if (listener == NULL) {
		close(fd);
		return -ENOMEM;
	}
	listener->fd = fd;
	listener->reserve = open_reserve();
	err = name_listener(listener);
	if (err != 0) {
		listener_close(listener);
		return err;
	}
	*out_listener = listener;
	return 0;
}

static int
open_unix(const struct listener_spec *spec, struct listener **out_listener,
    char *error, size_t error_size)
{
	const struct unix_socket_spec socket = {
		.path = parse_unix_path(spec->bind),
		.mode = spec->mode == 0 ? UNIX_SOCKET_MODE : spec->mode,
		.group = spec->group,
		.backlog = spec->backlog > 0 ? spec->backlog : DEFAULT_BACKLOG,
	};
	struct unix_socket_place place = { 0 };
	int err, fd;

	err = unix_socket_open(&socket, &place, &fd, error, error_size);
	if (err != 0)
		return err;
	err = listener_adopt(fd, out_listener);
	if (err == 0) {
		(*out_listener)->place = place;
		return 0;
	}
	unix_socket_remove(&place);
	explain(err, spec->bind, 0, error, error_size);
	return err;
}

/* As getaddrinfo(); "" is all addresses. */
static int
resolve(const struct host_port *address, struct addrinfo **out_list)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	char port[8];

	snprintf(port, sizeof(port), "%u", address->port);
	return getaddrinfo(address->host[0] == '\0' ? NULL : address->host,
	    port, &hints, out_list);
}

int
listener_open(const struct listener_spec *spec, struct listener **out_listener,
    char *error, size_t error_size)
{
	char tried[LISTENER_ADDRESS_SIZE] = "?";
	struct host_port address;
	struct addrinfo *list;
	int err, fd;

	if (parse_unix_path(spec->bind) != NULL)
		return open_unix(spec, out_listener, error, error_size);
	if (parse_host_port(spec->bind, &address) != 0) {
		snprintf(error, error_size,
		    "address=\"%s\" reason=\"must be host:port\"", spec->bind);
		return -EINVAL;
	}
	err = resolve(&address, &list);
	if (err != 0) {
		snprintf(error, error_size, "address=%s reason=\"%s\"",
		    spec->bind, gai_strerror(err));
		return -EADDRNOTAVAIL;
	}
	fd = open_any(spec, list, tried);
	freeaddrinfo(list);
	if (fd < 0) {
		explain(fd, tried, address.port, error, error_size);
		return fd;
	}
	err = listener_adopt(fd, out_listener);
	if (err != 0)
		explain(err, tried, address.port, error, error_size);
	return err;
}

static bool
is_same(const struct sockaddr *a, const struct sockaddr *b)
{
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return a4->sin_port == b4->sin_port &&
		    a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->sa_family == AF_INET6 && a6->sin6_port == b6->sin6_port &&
	    a6->sin6_scope_id == b6->sin6_scope_id &&
	    IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr);
}

bool
listener_is_at(int fd, const char *bind)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr *here = (struct sockaddr *)&storage;
	socklen_t len = sizeof(storage) - 1;
	struct addrinfo *list, *at;
	struct host_port address;

	if (getsockname(fd, here, &len) == -1)
		return false;
	if (parse_unix_path(bind) != NULL)
		return here->sa_family == AF_UNIX &&
		    strcmp(((struct sockaddr_un *)&storage)->sun_path,
			parse_unix_path(bind)) == 0;
	if (parse_host_port(bind, &address) != 0 ||
	    resolve(&address, &list) != 0)
		return false;
	for (at = list; at != NULL && !is_same(at->ai_addr, here);
	     at = at->ai_next)
		;
	freeaddrinfo(list);
	return at != NULL;
}

/*
 * No descriptor is left.  Give up the reserved one to take the connection and
 * close it: its client learns at once, and epoll does not report it for ever.
 */
static void
refuse_one(struct listener *listener)
{
	int fd;

	if (listener->reserve != -1)
		close(listener->reserve);
	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd != -1) {
		close(fd);
		listener->refused++;
	}
	listener->reserve = open_reserve();
}

static void
hand_over(struct listener *listener, int fd, const struct sockaddr *address)
{
	char peer[LISTENER_ADDRESS_SIZE];
	const int on = 1;

	/* Fails on Unix sockets, which do not delay anyway. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	listener->accept(listener->arg, fd, listener_format(address, peer));
}

static void
on_ready(void *arg, int listen_fd, unsigned ready)
{
	struct listener *listener = arg;
	struct sockaddr_storage address;
	socklen_t len;
	int fd;

	(void)ready;
	for (int i = 0; i < ACCEPT_TURN; i++) {
		len = sizeof(address);
		fd = accept4(listen_fd, (struct sockaddr *)&address, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			hand_over(listener, fd, (struct sockaddr *)&address);
			if (listener->paused)
				return;
			continue;
		}
		if (errno == EMFILE || errno == ENFILE)
			refuse_one(listener);
		else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

int
listener_start(struct listener *listener, struct loop *loop,
    listener_accept_fn *accept, void *arg)
{
	int err;

	listener->accept = accept;
	listener->arg = arg;
	err = loop_fd_start(&listener->watch, loop, listener->fd, LOOP_READ,
	    on_ready, listener);
	if (err == 0)
		listener->loop = loop;
	return err;
}

void
listener_pause(struct listener *listener)
{
	listener->paused = true;
	loop_fd_stop(&listener->watch);
}

void
listener_resume(struct listener *listener)
{
	if (listener->loop == NULL || !listener->paused)
		return;
	listener->paused = false;
	loop_fd_start(&listener->watch, listener->loop, listener->fd, LOOP_READ,
	    on_ready, listener);
}

void
listener_close(struct listener *listener)
{
	if (listener == NULL)
		return;
	loop_fd_stop(&listener->watch);
	close(listener->fd);
	unix_socket_remove(&listener->place);
	if (listener->reserve != -1)
		close(listener->reserve);
	free(listener);
}

const char *
listener_address(const struct listener *listener)
{
	return listener->address;
}

uint16_t
listener_port(const struct listener *listener)
{
	return listener->port;
}

int
listener_fd(const struct listener *listener)
{
	return listener->fd;
}

uint64_t
listener_refused(const struct listener *listener)
{
	return listener->refused;
}
