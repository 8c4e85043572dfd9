/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/worker_listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/client.h"
#include "broker/connection_faults.h"
#include "broker/gate.h"
#include "broker/handover.h"
#include "broker/inherited.h"
#include "broker/listener_tls.h"
#include "broker/peer.h"
#include "broker/proxied.h"
#include "common/base/bug.h"
#include "common/base/exit.h"
#include "common/base/network.h"
#include "common/base/parse.h"
#include "common/net/websocket.h"

/* Connections that wait to be told that they come too fast. */
#define MAX_REFUSALS 256u

/* Bytes that the kernel holds for a client that does not read. */
#define MAX_UNSENT (128u << 10)

/* What a listener's callback needs to know. */
struct door {
	struct worker *worker;
	unsigned index;
	struct websocket_rules websocket; /* path NULL: it speaks MQTT plain */
	bool is_alone; /* one socket for all workers, who have their turns */
	unsigned turn; /* the next worker's */
	bool wants_header; /* of the PROXY protocol, and from these alone: */
	struct network *proxies;
	size_t proxy_count;
};

/* ---- coming and going --------------------------------------------------- */

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

/* LIMIT_NONE: it is counted in. */
static enum limit
count_in(struct worker *worker, const struct client_origin *origin)
{
	struct broker *broker = worker->broker;
	const struct conf_listener *conf =
	    &broker->conf->listeners[origin->listener];
	atomic_uint *here = &broker->listener_connections[origin->listener];
	enum limit limit = LIMIT_NONE;
	unsigned total, local;

	total = atomic_fetch_add_explicit(
	    &broker->connections, 1, memory_order_relaxed);
	local = atomic_fetch_add_explicit(here, 1, memory_order_relaxed);
	if (total >= broker->conf->max_connections)
		limit = LIMIT_CONNECTIONS;
	else if (conf->max_connections != 0 && local >= conf->max_connections)
		limit = LIMIT_LISTENER_CONNECTIONS;
	if (limit != LIMIT_NONE)
		count_out(worker, origin->listener, &origin->pass);
	return limit;
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

/*
 * Whoever is counted in goes through the gate.  LIMIT_NONE: it may, perhaps
 * only to be told that it is not wanted; else it is counted out.
 */
static enum limit
pass_gate(struct worker *worker, uint64_t address, struct client_origin *origin)
{
	struct gate *gate = worker->broker->gate;
	enum limit limit;

	origin->pass.address = address;
	limit = gate_enter(gate, address, worker_now_ns(worker));
	if (limit == LIMIT_NONE)
		return LIMIT_NONE;
	if (limit != LIMIT_ADDRESS_CONNECTIONS) {
		if (may_be_told(worker, &origin->pass, limit))
			return LIMIT_NONE;
		gate_leave(gate, address, worker_now_ns(worker));
	}
	count_out(worker, origin->listener, &origin->pass);
	return limit;
}

/*
 * What the listener puts between socket and MQTT: TLS, then WebSocket.  False
 * without memory.
 */
static bool
add_layers(const struct door *door, struct client_origin *origin)
{
	struct listener_tls *tls = door->worker->broker->tls;
	const bool has_tls = listener_tls_is_on(tls, door->index);
	struct stream_layer *top;

	/*
	 * A Unix socket's address says nothing; who fails in a layer's
	 * handshake has none any more when that is told.
	 */
	if (origin->peer == NULL &&
	    (door->is_alone || has_tls || door->websocket.path != NULL))
		origin->peer = peer_of_socket(origin->parts.fd);
	if (has_tls) {
		origin->parts.layer = listener_tls_layer(tls, door->index);
		if (origin->parts.layer == NULL)
			return false;
	}
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
welcome(struct door *door, struct client_origin *origin)
{
	struct worker *worker = door->worker;

	if (add_layers(door, origin)) {
		settle_in(door, origin);
		return;
	}
	stream_parts_close(&origin->parts);
	peer_free(origin->peer);
	client_count_closed(worker, origin->listener, &origin->pass);
}

/* Its header has come: it is whose that says. */
static void
on_proxied(void *arg, struct client_origin *origin)
{
	struct door *door = arg;
	const struct sockaddr *address = peer_address(origin->peer);
	char text[LISTENER_ADDRESS_SIZE];
	enum limit limit;

	limit = pass_gate(
	    door->worker, address == NULL ? 0 : gate_address(address), origin);
	if (limit == LIMIT_NONE) {
		welcome(door, origin);
		return;
	}
	if (peer_format(origin->peer, text) == NULL)
		strcpy(text, "unknown");
	limit_reached_by(door->worker, limit, text);
	stats_subtract(door->worker->counters, COUNT_connections, 1);
	stream_parts_close(&origin->parts);
	peer_free(origin->peer);
}

/* May it tell us who its clients are? */
static bool
is_proxy(const struct door *door, const struct peer *peer)
{
	const struct sockaddr *address = peer_address(peer);

	if (peer == NULL)
		return false;
	/* The mode of its file says who may. */
	if (peer->is_local)
		return true;
	for (size_t i = 0; address != NULL && i < door->proxy_count; i++)
		if (network_has(&door->proxies[i], address))
			return true;
	return false;
}

static void
wait_for_header(
    struct door *door, struct client_origin *origin, const char *peer)
{
	struct worker *worker = door->worker;

	origin->peer = peer_of_socket(origin->parts.fd);
	if (is_proxy(door, origin->peer)) {
		proxied_wait(worker, origin, on_proxied, door);
		return;
	}
	worker_count(worker, COUNT_proxies_refused);
	connection_faults_add(worker->faults, origin->listener, peer,
	    "it is not among proxy_from; if it is a proxy of yours, add it "
	    "there");
	stream_parts_close(&origin->parts);
	peer_free(origin->peer);
	client_count_closed(worker, origin->listener, &origin->pass);
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

	limit = count_in(worker, &origin);
	if (limit == LIMIT_NONE && !door->wants_header)
		limit = pass_gate(worker, address_of(fd), &origin);
	if (limit != LIMIT_NONE) {
		limit_reached_by(worker, limit, peer);
		close(fd);
		return;
	}
	worker_count(worker, COUNT_connections_accepted);
	stats_increment(worker->counters, COUNT_connections);
	if (door->wants_header)
		wait_for_header(door, &origin, peer);
	else
		welcome(door, &origin);
}

/* ---- the listeners ------------------------------------------------------ */

/* The configuration was checked: each is a network.  False without memory. */
static bool
read_proxies(struct door *door, const struct conf_strings *from)
{
	door->proxies = calloc(from->count, sizeof(struct network));
	if (door->proxies == NULL)
		return false;
	for (size_t i = 0; i < from->count; i++)
		BUG_ON(network_parse(from->list[i], &door->proxies[i]) != 0);
	door->proxy_count = from->count;
	return true;
}

static bool
open_door(struct door *door, struct worker *worker, unsigned index)
{
	const struct conf_listener *conf =
	    &worker->broker->conf->listeners[index];

	*door = (struct door){
		.worker = worker,
		.index = index,
		.is_alone = parse_unix_path(conf->bind) != NULL,
		.wants_header = conf->proxy_protocol,
		.websocket = {
			.path = conf->websocket,
			.origins =
			    (const char *const *)conf->websocket_origins.list,
			.origin_count = conf->websocket_origins.count,
		},
	};
	return !conf->proxy_protocol || read_proxies(door, &conf->proxy_from);
}

/* A socket of the supervisor's, if there is one, in all our names. */
static int
adopt_listener(struct worker *worker, unsigned index)
{
	struct broker *broker = worker->broker;
	int fd, err;

	fd = inherited_take(&broker->kept, broker->conf->listeners[index].bind);
	if (fd < 0)
		return fd;
	err = listener_adopt(fd, &worker->listeners[index]);
	if (err == 0)
		worker->doors[index].is_alone = true;
	return err;
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
		.unsent = MAX_UNSENT,
		.mode = (uint32_t)strtoul(conf->mode, NULL, 8),
		.group = conf->group };
	char address[LISTENER_ADDRESS_SIZE];

	if (worker->index == 0) {
		if (adopt_listener(worker, index) == 0)
			return 0;
	} else {
		if (first->doors[index].is_alone)
			return 0;
		/* Port 0: the others follow what the first was given. */
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
		if (!open_door(&worker->doors[i], worker, i)) {
			log_error("worker_failed", "error=%s",
			    log_quote("no memory"));
			return EXIT_OSERR;
		}
		if (open_listener(worker, i, error) != 0) {
			log_error("listener_failed", "%s", error);
			return EXIT_OSERR;
		}
		worker->listener_count = i + 1;
	}
	inherited_close_rest(&worker->broker->kept);
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
	proxied_close_all(worker);
}

void
worker_listeners_free(struct worker *worker)
{
	worker_listeners_close(worker);
	if (worker->doors != NULL)
		for (size_t i = 0; i < worker->broker->conf->listener_count;
		     i++)
			free(worker->doors[i].proxies);
	free(worker->listeners);
	free(worker->doors);
}
