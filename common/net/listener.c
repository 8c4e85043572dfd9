/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/parse.h"
#include "common/net/port_owner.h"

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
	uint16_t port;
	char address[LISTENER_ADDRESS_SIZE];
};

const char *
listener_format(
    const struct sockaddr *address, char text[LISTENER_ADDRESS_SIZE])
{
	const struct sockaddr_in6 *v6 = (const void *)address;
	const struct sockaddr_in *v4 = (const void *)address;
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->sa_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(text, LISTENER_ADDRESS_SIZE, "%s:%u", host,
		    ntohs(v4->sin_port));
	} else if (address->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(text, LISTENER_ADDRESS_SIZE, "[%s]:%u", host,
		    ntohs(v6->sin6_port));
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
	struct sockaddr_storage storage;
	struct sockaddr *address = (struct sockaddr *)&storage;
	socklen_t len = sizeof(storage);

	if (getsockname(listener->fd, address, &len) == -1)
		return -errno;
	listener_format(address, listener->address);
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

int
listener_open(const struct listener_spec *spec, struct listener **out_listener,
    char *error, size_t error_size)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	char tried[LISTENER_ADDRESS_SIZE] = "?", port[8];
	struct host_port address;
	struct addrinfo *list;
	int err, fd;

	if (parse_host_port(spec->bind, &address) != 0) {
		snprintf(error, error_size,
		    "address=\"%s\" reason=\"must be host:port\"", spec->bind);
		return -EINVAL;
	}
	snprintf(port, sizeof(port), "%u", address.port);
	err = getaddrinfo(
	    address.host[0] == '\0' ? NULL : address.host, port, &hints, &list);
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
