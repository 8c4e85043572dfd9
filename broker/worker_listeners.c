/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/worker_listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/client.h"
#include "broker/gate.h"
#include "broker/handover.h"
#include "broker/peer.h"
#include "common/base/exit.h"
#include "common/net/websocket.h"

/* Connections that wait to be told that they come too fast. */
#define MAX_REFUSALS 256u

/* What a listener's callback needs to know. */
struct door {
	struct worker *worker;
	unsigned index;
	struct websocket_rules websocket; /* path NULL: it speaks MQTT plain */
	bool is_alone; /* one socket for all workers, who have their turns */
	unsigned turn; /* the next worker's */
};

/* ---- coming and going --------------------------------------------------- */

/* Count it in, or say at which limit it is not. */
static enum limit
count_in(struct worker *worker, unsigned listener)
{
	struct broker *broker = worker->broker;
	const struct conf_listener *conf = &broker->conf->listeners[listener];
	atomic_uint *here = &broker->listener_connections[listener];
	enum limit limit = LIMIT_NONE;
	unsigned total, local;

	total = atomic_fetch_add_explicit(
	    &broker->connections, 1, memory_order_relaxed);
	local = atomic_fetch_add_explicit(here, 1, memory_order_relaxed);
	if (total >= broker->conf->max_connections)
		limit = LIMIT_CONNECTIONS;
	else if (conf->max_connections != 0 && local >= conf->max_connections)
		limit = LIMIT_LISTENER_CONNECTIONS;
	return limit;
}

static void
count_out(
    struct worker *worker, unsigned listener, const struct gate_pass *pass)
{
	struct broker *broker = worker->broker;

	atomic_fetch_sub_explicit(
	    &broker->connections, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(
	    &broker->listener_connections[listener], 1, memory_order_relaxed);
	if (pass->refusal != LIMIT_NONE)
		atomic_fetch_sub_explicit(
		    &broker->refusals, 1, memory_order_relaxed);
}

void
client_count_closed(
    struct worker *worker, unsigned listener, const struct gate_pass *pass)
{
	stats_subtract(worker->counters, COUNT_connections, 1);
	count_out(worker, listener, pass);
	gate_leave(worker->broker->gate, pass->address, worker_now_ns(worker));
}

/*
 * It comes too fast: it is told so when it has sent its CONNECT, which costs
 * us a connection for that long.  False: many are being told.
 */
static bool
may_be_told(struct worker *worker, struct gate_pass *pass, enum limit limit)
{
	atomic_uint *refusals = &worker->broker->refusals;

	pass->refusal = (uint8_t)limit;
	return atomic_fetch_add_explicit(refusals, 1, memory_order_relaxed) <
	    MAX_REFUSALS;
}

static uint64_t
address_of(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);

	if (getpeername(fd, (struct sockaddr *)&address, &length) != 0)
		return 0;
	return gate_address((const struct sockaddr *)&address);
}

/* LIMIT_NONE: it is in, perhaps only to be told that it is not wanted. */
static enum limit
admit(struct worker *worker, int fd, struct client_origin *origin)
{
	struct gate *gate = worker->broker->gate;
	enum limit limit;

	limit = count_in(worker, origin->listener);
	if (limit == LIMIT_NONE) {
		origin->pass.address = address_of(fd);
		limit =
		    gate_enter(gate, origin->pass.address, origin->accepted_ns);
		if (limit == LIMIT_NONE)
			return LIMIT_NONE;
		if (limit != LIMIT_ADDRESS_CONNECTIONS) {
			if (may_be_told(worker, &origin->pass, limit))
				return LIMIT_NONE;
			gate_leave(
			    gate, origin->pass.address, origin->accepted_ns);
		}
	}
	count_out(worker, origin->listener, &origin->pass);
	return limit;
}

/* Put WebSocket on top of what is there.  False without memory. */
static bool
add_layers(const struct door *door, struct client_origin *origin)
{
	struct stream_layer *top;

	/*
	 * A Unix socket's address says nothing; who fails in a layer's
	 * handshake has none any more when that is told.
	 */
	if (door->is_alone || door->websocket.path != NULL)
		origin->peer = peer_of_socket(origin->parts.fd);
	if (door->websocket.path == NULL)
		return true;
	top = websocket_server(&door->websocket);
	if (top == NULL)
		return false;
	top->below = origin->parts.layer;
	origin->parts.layer = top;
	return true;
}

/* It stays, or goes to the worker whose turn it is. */
static void
settle_in(struct door *door, const struct client_origin *origin)
{
	struct worker *worker = door->worker;
	unsigned to = worker->index;

	if (door->is_alone)
		to = door->turn++ % worker->broker->worker_count;
	if (to == worker->index)
		client_new(worker, origin);
	else
		handover_give(worker, to, origin);
}

static void
on_accept(void *arg, int fd, const char *peer)
{
	struct door *door = arg;
	struct worker *worker = door->worker;
	struct client_origin origin = {
		.parts = { .fd = fd },
		.listener = door->index,
		.accepted_ns = worker_now_ns(worker),
	};
	enum limit limit;

	limit = admit(worker, fd, &origin);
	if (limit != LIMIT_NONE) {
		limit_reached_by(worker, limit, peer);
		close(fd);
		return;
	}
	worker_count(worker, COUNT_connections_accepted);
	stats_increment(worker->counters, COUNT_connections);
	if (!add_layers(door, &origin)) {
		stream_parts_close(&origin.parts);
		peer_free(origin.peer);
		client_count_closed(worker, origin.listener, &origin.pass);
		return;
	}
	settle_in(door, &origin);
}

/* ---- the listeners ------------------------------------------------------ */

static void
open_door(struct door *door, struct worker *worker, unsigned index)
{
	const struct conf_listener *conf =
	    &worker->broker->conf->listeners[index];

	*door = (struct door){
		.worker = worker,
		.index = index,
		.is_alone = conf_unix_path(conf->bind) != NULL,
		.websocket = {
			.path = conf->websocket,
			.origins =
			    (const char *const *)conf->websocket_origins.list,
			.origin_count = conf->websocket_origins.count,
		},
	};
}

/* Returns 0, or -errno with `error` told. */
static int
open_listener(
    struct worker *worker, unsigned index, char error[LISTENER_ERROR_SIZE])
{
	const struct conf_listener *conf =
	    &worker->broker->conf->listeners[index];
	const struct worker *first = worker->broker->workers[0];
	struct listener_spec spec = { .bind = conf->bind,
		.shared = true,
		.mode = (uint32_t)strtoul(conf->mode, NULL, 8),
		.group = conf->group };
	char address[LISTENER_ADDRESS_SIZE];

	/* Port 0: the others follow what the first was given. */
	if (worker->index != 0) {
		if (worker->doors[index].is_alone)
			return 0;
		snprintf(address, sizeof(address), "%s",
		    listener_address(first->listeners[index]));
		spec.bind = address;
	}
	return listener_open(
	    &spec, &worker->listeners[index], error, LISTENER_ERROR_SIZE);
}

int
worker_listeners_open(struct worker *worker)
{
	const struct conf *conf = worker->broker->conf;
	char error[LISTENER_ERROR_SIZE];

	worker->listeners =
	    calloc(conf->listener_count, sizeof(struct listener *));
	worker->doors = calloc(conf->listener_count, sizeof(struct door));
	if (worker->listeners == NULL || worker->doors == NULL) {
		log_error("worker_failed", "error=%s", log_quote("no memory"));
		return EXIT_OSERR;
	}
	for (unsigned i = 0; i < conf->listener_count; i++) {
		open_door(&worker->doors[i], worker, i);
		if (open_listener(worker, i, error) != 0) {
			log_error("listener_failed", "%s", error);
			return EXIT_OSERR;
		}
		worker->listener_count = i + 1;
	}
	return EXIT_OK;
}

int
worker_listeners_start(struct worker *worker)
{
	int err = 0;

	for (unsigned i = 0; i < worker->listener_count && err == 0; i++)
		if (worker->listeners[i] != NULL)
			err = listener_start(worker->listeners[i], worker->loop,
			    on_accept, &worker->doors[i]);
	return err;
}

void
worker_listeners_close(struct worker *worker)
{
	for (size_t i = 0; i < worker->listener_count; i++)
		listener_close(worker->listeners[i]);
	worker->listener_count = 0;
}

void
worker_listeners_free(struct worker *worker)
{
	worker_listeners_close(worker);
	free(worker->listeners);
	free(worker->doors);
}
