/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/connector.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connector {
	struct loop *loop;
	struct evdns_base *dns;
	struct evdns_getaddrinfo_request *request; /* NULL: not resolving */
	struct evutil_addrinfo *addresses;
	struct evutil_addrinfo *next; /* to try */
	struct loop_timer deadline;
	struct loop_timer soon; /* reports from the loop, not from start */
	struct loop_fd watch;
	int fd;
	int err;        /* of the last address */
	bool is_bind;   /* it was bind_address that failed */
	bool resolving; /* the callback is still to come */
	bool cancelled; /* while resolving: freed by the callback */
	connector_fn *done;
	void *arg;
	struct connector_spec spec; /* host and bind_address are below */
	char host[256];
	char port[8];
	char bind_address[64];
};

static void try_next(struct connector *c);

static void
close_fd(struct connector *c)
{
	loop_fd_stop(&c->watch);
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
}

static void
free_connector(struct connector *c)
{
	close_fd(c);
	loop_timer_stop(&c->deadline);
	loop_timer_stop(&c->soon);
	if (c->addresses != NULL)
		evutil_freeaddrinfo(c->addresses);
	if (c->dns != NULL)
		evdns_base_free(c->dns, 0);
	free(c);
}

/* The resolver calls back even when it is told to stop: wait for that. */
static void
let_go(struct connector *c)
{
	close_fd(c);
	loop_timer_stop(&c->deadline);
	loop_timer_stop(&c->soon);
	if (!c->resolving) {
		free_connector(c);
		return;
	}
	c->cancelled = true;
	if (c->request != NULL)
		evdns_getaddrinfo_cancel(c->request);
}

static void
finish(struct connector *c, int fd, const char *what)
{
	connector_fn *done = c->done;
	void *arg = c->arg;
	char text[400];

	snprintf(text, sizeof(text), "%s", what);
	c->fd = -1;
	let_go(c);
	done(arg, fd, text);
}

static void
fail(struct connector *c, int err, const char *step, const char *reason)
{
	char text[400];

	snprintf(
	    text, sizeof(text), "%s %s:%s: %s", step, c->host, c->port, reason);
	close_fd(c);
	finish(c, err, text);
}

static void
on_deadline(void *arg)
{
	struct connector *c = arg;

	fail(c, -ETIMEDOUT, c->resolving ? "resolving" : "connecting to",
	    "no answer in time");
}

static void
on_writable(void *arg, int fd, unsigned ready)
{
	struct connector *c = arg;
	socklen_t len = sizeof(int);
	int err = 0;

	(void)ready;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1)
		err = errno;
	loop_fd_stop(&c->watch);
	if (err == 0) {
		finish(c, fd, "connected");
		return;
	}
	c->err = -err;
	close_fd(c);
	try_next(c);
}

/* Our own end.  Returns 0 or -errno. */
static int
bind_to(const struct connector *c, int family)
{
	struct evutil_addrinfo hints = { .ai_flags = EVUTIL_AI_NUMERICHOST,
		.ai_family = family,
		.ai_socktype = SOCK_STREAM };
	struct evutil_addrinfo *own = NULL;
	int err = 0;

	if (c->bind_address[0] == '\0')
		return 0;
	if (evutil_getaddrinfo(c->bind_address, "0", &hints, &own) != 0)
		return -EAFNOSUPPORT;
	if (bind(c->fd, own->ai_addr, (socklen_t)own->ai_addrlen) == -1)
		err = -errno;
	evutil_freeaddrinfo(own);
	return err;
}

/* What a system does not know is left as it is. */
static void
set_options(const struct connector *c)
{
	const struct connector_spec *spec = &c->spec;
	const int on = 1;

	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (spec->user_timeout_ms != 0)
		setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
		    &spec->user_timeout_ms, sizeof(spec->user_timeout_ms));
	if (spec->keepalive_idle_s == 0)
		return;
	setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &spec->keepalive_idle_s,
	    sizeof(spec->keepalive_idle_s));
	setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL,
	    &spec->keepalive_interval_s, sizeof(spec->keepalive_interval_s));
	setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &spec->keepalive_count,
	    sizeof(spec->keepalive_count));
}

/* Returns 0 when the connection is under way. */
static int
try_address(struct connector *c, const struct evutil_addrinfo *address)
{
	int err;

	c->fd = socket(
	    address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		return -errno;
	set_options(c);
	err = bind_to(c, address->ai_family);
	c->is_bind = err != 0;
	if (err != 0)
		return err;
	if (connect(c->fd, address->ai_addr, (socklen_t)address->ai_addrlen) ==
		-1 &&
	    errno != EINPROGRESS)
		return -errno;
	return loop_fd_start(
	    &c->watch, c->loop, c->fd, LOOP_WRITE, on_writable, c);
}

static void
try_next(struct connector *c)
{
	struct evutil_addrinfo *address;
	char reason[160];

	while (c->next != NULL) {
		address = c->next;
		c->next = address->ai_next;
		c->err = try_address(c, address);
		if (c->err == 0)
			return;
		close_fd(c);
	}
	if (c->is_bind)
		snprintf(reason, sizeof(reason), "from bind_address %s: %s",
		    c->bind_address, strerror(-c->err));
	else
		snprintf(reason, sizeof(reason), "%s", strerror(-c->err));
	fail(c, c->err, "connecting to", reason);
}

static void
on_soon(void *arg)
{
	struct connector *c = arg;

	/* The resolver may have answered at once, with an error. */
	if (c->addresses != NULL && c->spec.resolved != NULL)
		c->spec.resolved(c->arg);
	if (c->addresses == NULL)
		fail(c, c->err, "resolving", "no such host");
	else
		try_next(c);
}

static void
on_resolved(int result, struct evutil_addrinfo *addresses, void *arg)
{
	struct connector *c = arg;

	c->resolving = false;
	c->request = NULL;
	if (c->cancelled) {
		if (addresses != NULL)
			evutil_freeaddrinfo(addresses);
		/* The resolver is on the stack: free it from the loop. */
		loop_timer_start(&c->soon, 0);
		return;
	}
	c->addresses = addresses;
	c->next = addresses;
	c->err = result == 0 ? -EHOSTUNREACH : -ENOENT;
	loop_timer_start(&c->soon, 0);
}

static void
on_soon_or_cancelled(void *arg)
{
	struct connector *c = arg;

	if (c->cancelled)
		free_connector(c);
	else
		on_soon(c);
}

/* Numbers need no resolver, and so no resolv.conf. */
static void
resolve(struct connector *c)
{
	struct evutil_addrinfo hints = { .ai_flags = EVUTIL_AI_NUMERICHOST,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP };
	struct evutil_addrinfo *list = NULL;
	int result;

	result = evutil_getaddrinfo(c->host, c->port, &hints, &list);
	if (result == 0) {
		on_resolved(0, list, c);
		return;
	}
	hints.ai_flags = EVUTIL_AI_ADDRCONFIG;
	c->dns = evdns_base_new(loop_base(c->loop),
	    EVDNS_BASE_INITIALIZE_NAMESERVERS |
		EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	/* No usable resolv.conf: the hosts file may still know the name. */
	if (c->dns == NULL) {
		c->dns = evdns_base_new(
		    loop_base(c->loop), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (c->dns != NULL)
			evdns_base_load_hosts(c->dns, "/etc/hosts");
	}
	if (c->dns == NULL) {
		on_resolved(EVUTIL_EAI_FAIL, NULL, c);
		return;
	}
	c->resolving = true;
	c->request =
	    evdns_getaddrinfo(c->dns, c->host, c->port, &hints, on_resolved, c);
	/* Answered already, by the hosts file: the callback has run. */
	if (!c->resolving)
		c->request = NULL;
}

struct connector *
connector_start(struct loop *loop, const char *host, uint16_t port,
    uint64_t timeout_ns, connector_fn *done, void *arg)
{
	const struct connector_spec spec = {
		.host = host,
		.port = port,
		.timeout_ns = timeout_ns,
	};

	return connector_open(loop, &spec, done, arg);
}

struct connector *
connector_open(struct loop *loop, const struct connector_spec *spec,
    connector_fn *done, void *arg)
{
	struct connector *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = loop;
	c->fd = -1;
	c->done = done;
	c->arg = arg;
	c->spec = *spec;
	snprintf(c->host, sizeof(c->host), "%s", spec->host);
	snprintf(c->port, sizeof(c->port), "%u", spec->port);
	if (spec->bind_address != NULL)
		snprintf(c->bind_address, sizeof(c->bind_address), "%s",
		    spec->bind_address);
	loop_timer_init(&c->deadline, loop, on_deadline, c);
	loop_timer_init(&c->soon, loop, on_soon_or_cancelled, c);
	loop_timer_start(&c->deadline, spec->timeout_ns);
	resolve(c);
	return c;
}

void
connector_cancel(struct connector *connector)
{
	if (connector != NULL)
		let_go(connector);
}
