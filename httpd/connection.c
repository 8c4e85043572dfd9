/* SPDX-License-Identifier: Apache-2.0 */

/* Life and deadlines: accepted, told that time is up, drained, reaped. */

#include "httpd/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/parse.h"
#include "common/base/pool.h"
#include "common/net/listener.h"
#include "common/net/tls.h"
#include "httpd/connection_state.h"
#include "httpd/counters.h"

/* Answers of one connection that wait to be sent. */
#define OUTPUT_LIMIT (1u << 20)

/*
 * Four requests a connection, and room for connections that were closed in a
 * turn while others come.
 */
static int
make_pools(struct connections *all, uint64_t connections)
{
	uint64_t most =
	    connections * 4 + CONNECTION_PIPELINE + CONNECTION_OVERFLOW;
	int err;

	/* conf_keys.def: at most a million. */
	BUG_ON(most > UINT32_MAX);
	err = pool_init(
	    &all->requests, sizeof(struct request), 16, (uint32_t)most);
	if (err != 0)
		return err;
	most = 2 * (connections + CONNECTION_OVERFLOW);
	err = pool_init(
	    &all->pool, sizeof(struct connection), 16, (uint32_t)most);
	if (err != 0)
		pool_fini(&all->requests);
	return err;
}

struct connections *
connections_new(const struct connections_config *config, struct loop *loop,
    struct stream_hub *hub, const struct connection_handler *handler,
    void *context, struct stats_block *counters)
{
	struct connections *all;
	int err;

	all = calloc(1, sizeof(*all));
	if (all == NULL)
		return NULL;
	err = make_pools(all, config->max_connections);
	if (err != 0) {
		free(all);
		errno = -err;
		return NULL;
	}
	all->config = *config;
	all->loop = loop;
	all->hub = hub;
	all->handler = handler;
	all->context = context;
	all->counters = counters;
	return all;
}

void
connection_free_request(struct connections *all, struct request *request)
{
	all->unsent_bytes -= request->rendered_length;
	request_fini(request);
	free(request->body);
	free(request->rendered);
	pool_put(&all->requests, request);
	pool_use_put(&all->requests_use);
}

void
connection_kill(struct connection *c)
{
	struct connections *all = c->all;
	struct request *request;

	if (c->is_dead)
		return;
	c->is_dead = true;
	if (c->in_handshake)
		stats_increment(all->counters, COUNT_tls_failures);
	stream_close(&c->stream);
	while ((request = c->first) != NULL) {
		c->first = request->next;
		if (!request->answered && request->input != INPUT_HEAD)
			all->handler->gone(all->context, request);
		connection_free_request(all, request);
	}
	c->current = c->last = NULL;

	if (c->previous == NULL)
		all->first = c->next;
	else
		c->previous->next = c->next;
	if (c->next != NULL)
		c->next->previous = c->previous;
	c->next = all->dead;
	all->dead = c;
	if (c->is_overflow)
		all->overflow--;
	all->count--;
	stats_set(all->counters, COUNT_connections, all->count);
}

void
connections_reap(struct connections *all)
{
	struct connection *c;

	while ((c = all->dead) != NULL) {
		all->dead = c->next;
		pool_put(&all->pool, c);
	}
}

void
connections_free(struct connections *all)
{
	if (all == NULL)
		return;
	while (all->first != NULL)
		connection_kill(all->first);
	connections_reap(all);
	pool_fini(&all->requests);
	pool_fini(&all->pool);
	free(all);
}

void
connections_use(const struct connections *all, struct pool_use *out_connections,
    struct pool_use *out_requests)
{
	*out_connections = (struct pool_use){ .in_use = all->count,
		.high_water = all->high_water,
		.max = all->config.max_connections + CONNECTION_OVERFLOW };
	*out_requests = all->requests_use;
	out_requests->max = all->requests.max;
}

uint64_t
connections_unsent_bytes(const struct connections *all)
{
	return all->unsent_bytes;
}

uint32_t
connections_count(const struct connections *all)
{
	return all->count;
}

uint32_t
connections_most(const struct connections *all)
{
	return all->most;
}

void
connections_forget_most(struct connections *all)
{
	all->most = all->count;
}

static void
on_closed(struct stream *stream, int reason)
{
	(void)reason;
	connection_kill(stream->owner);
}

static void
on_drained(struct stream *stream)
{
	connection_advance(stream->owner);
}

static void
on_layer(struct stream *stream, const char *name)
{
	struct connection *c = stream->owner;

	(void)name;
	c->in_handshake = false;
	stats_increment(c->all->counters, COUNT_tls_handshakes);
}

static const struct stream_callbacks stream_callbacks = {
	.on_data = connection_input,
	.on_closed = on_closed,
	.on_drained = on_drained,
	.on_layer = on_layer,
};

static void
copy_address(char out[LISTENER_ADDRESS_SIZE], const char *peer)
{
	const char *end = strrchr(peer, ':');
	size_t length = end == NULL ? strlen(peer) : (size_t)(end - peer);

	if (length > 1 && peer[0] == '[' && peer[length - 1] == ']') {
		peer++;
		length -= 2;
	}
	if (length >= LISTENER_ADDRESS_SIZE)
		length = LISTENER_ADDRESS_SIZE - 1;
	memcpy(out, peer, length);
	out[length] = '\0';
}

/* Its bytes as they are; IPv4 inside of IPv6 is IPv4. */
static uint64_t
number_of(const char *peer)
{
	struct in6_addr six;
	struct in_addr four;
	uint64_t network;

	if (strncmp(peer, "::ffff:", 7) == 0)
		peer += 7;
	if (inet_pton(AF_INET, peer, &four) == 1)
		return four.s_addr;
	if (inet_pton(AF_INET6, peer, &six) != 1)
		return 0;
	memcpy(&network, &six, sizeof(network));
	return network;
}

/* Speak TLS, if that is spoken here.  Returns false without memory. */
static bool
secure(struct connections *all, struct connection *c)
{
	struct stream_layer *layer;

	if (all->tls == NULL)
		return true;
	layer = tls_layer(all->tls, NULL);
	if (layer == NULL)
		return false;
	stream_push_layer(&c->stream, layer);
	c->in_handshake = true;
	return true;
}

void
connections_set_tls(struct connections *all, struct tls *tls)
{
	all->tls = tls;
}

void
connections_accept(struct connections *all, int fd, const char *peer)
{
	bool is_over =
	    all->count - all->overflow >= all->config.max_connections;
	struct connection *c;

	if (is_over)
		stats_increment(all->counters, COUNT_connections_refused);
	if ((is_over && all->overflow == CONNECTION_OVERFLOW) ||
	    all->is_draining) {
		close(fd);
		return;
	}
	c = pool_take(&all->pool);
	if (c == NULL) {
		stats_increment(all->counters, COUNT_out_of_memory);
		close(fd);
		return;
	}
	memset(c, 0, sizeof(*c));
	if (stream_init(&c->stream, all->hub, fd, &stream_callbacks, c) != 0) {
		pool_put(&all->pool, c);
		return;
	}
	if (!secure(all, c)) {
		stats_increment(all->counters, COUNT_out_of_memory);
		stream_close(&c->stream);
		pool_put(&all->pool, c);
		return;
	}
	stream_set_limits(&c->stream, OUTPUT_LIMIT, STREAM_DEFAULT_INPUT_LIMIT);
	http_parser_init(&c->parser, HTTP_REQUEST);
	c->parser.data = c;
	c->all = all;
	c->is_overflow = is_over;
	c->deadline_ns = loop_now_ns(all->loop) + all->config.header_timeout_ns;
	copy_address(c->peer, peer);
	c->client = number_of(c->peer);

	c->next = all->first;
	if (c->next != NULL)
		c->next->previous = c;
	all->first = c;
	all->count++;
	if (all->count > all->high_water)
		all->high_water = all->count;
	if (all->count > all->most)
		all->most = all->count;
	all->overflow += is_over;
	stats_set(all->counters, COUNT_connections, all->count);
	stats_increment(all->counters, COUNT_connections_accepted);
	if (is_over)
		connection_refuse(
		    c, "too many connections: http.max_connections is reached");
}

static void
expire(struct connection *c)
{
	struct request *request = c->current;

	stats_increment(c->all->counters, COUNT_connections_timed_out);
	if (c->is_deaf || request == NULL || request->answered) {
		connection_kill(c);
		return;
	}
	connection_reject(c, 408,
	    request->input == INPUT_HEAD
		? "the head of the request did not come in http.header_timeout"
		: "the body did not come in http.body_timeout");
}

void
connections_tick(struct connections *all, uint64_t now_ns)
{
	struct connection *c, *next;

	for (c = all->first; c != NULL; c = next) {
		next = c->next;
		if (c->deadline_ns <= now_ns)
			expire(c);
		else
			connection_unblock(c);
	}
}

uint32_t
connections_drain(struct connections *all)
{
	struct connection *c, *next;

	all->is_draining = true;
	for (c = all->first; c != NULL; c = next) {
		next = c->next;
		if (c->requests != 0 || c->is_deaf)
			continue;
		if (stream_pending(&c->stream) > 0)
			connection_end(c, false);
		else
			connection_kill(c);
	}
	return all->count;
}

const char *
request_peer(const struct request *request)
{
	return request->connection->peer;
}

uint64_t
request_client(const struct request *request)
{
	return request->connection->client;
}

bool
request_is_from_loopback(const struct request *request)
{
	const char *peer = request->connection->peer;

	/* IPv4 clients of an IPv6 socket are ::ffff:127.0.0.1. */
	if (strncmp(peer, "::ffff:", 7) == 0)
		peer += 7;
	return parse_is_loopback(peer);
}
