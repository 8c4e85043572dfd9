/* SPDX-License-Identifier: Apache-2.0 */

/*
 * connector - open a TCP connection without ever blocking the loop.
 *
 *	connector = connector_start(loop, "broker.example", 1883,
 *	    10 * CLOCK_SECOND_NS, on_connected, bridge);
 *
 * Names are resolved by libevent's own resolver (hosts file and DNS), so a
 * dead DNS server costs time, not the loop.  The addresses are tried one
 * after another; the time limit is for all of it together.  The loop's
 * thread only.
 */

#ifndef WEIR_COMMON_NET_CONNECTOR_H
#define WEIR_COMMON_NET_CONNECTOR_H

#include <stdint.h>

#include "common/net/loop.h"

struct connector;

/*
 * Called once, from the loop.  `fd` is the connected socket, now the
 * callee's: non-blocking, close-on-exec, TCP_NODELAY.  Or it is -errno and
 * `what` says in words what failed.  The connector is gone afterwards.
 */
typedef void connector_fn(void *arg, int fd, const char *what);

struct connector_spec {
	const char *host; /* a name, or an address without brackets */
	uint16_t port;
	uint64_t timeout_ns;
	const char *bind_address;  /* our end, an address; NULL: any */
	uint32_t keepalive_idle_s; /* TCP keepalive; 0: none */
	uint32_t keepalive_interval_s;
	uint32_t keepalive_count;
	uint32_t user_timeout_ms;    /* TCP_USER_TIMEOUT; 0: the system's */
	void (*resolved)(void *arg); /* before the first connect(), or NULL */
};

/* As connector_start(); what `spec` points to is copied. */
struct connector *connector_open(struct loop *loop,
    const struct connector_spec *spec, connector_fn *done, void *arg);

/* Returns NULL without memory; all other failures are reported by `done`. */
struct connector *connector_start(struct loop *loop, const char *host,
    uint16_t port, uint64_t timeout_ns, connector_fn *done, void *arg);

/* Give up; `done` is not called.  Accepts NULL. */
void connector_cancel(struct connector *connector);

#endif
