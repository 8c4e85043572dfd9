/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The bound on resident memory.  Terms, each an upper bound by a limit that
 * the programs keep:
 *
 *	rings		every link has one lane from the broker, and one to it
 *			for each set of stall or reject bridges (a bridge's
 *			own link without itself), 32 at most.  A lane that
 *			grows while nothing is released holds all its size
 *			classes: nearly twice max_capacity.  Its pages are
 *			counted once: they are shared.
 *	windows		each worker may have worker_window under way to each
 *			bridge.
 *	journal		each thread that publishes may have its window under
 *			way to the journal, as messages and as the batch that
 *			is written; for each bridge CONF_FEED_WINDOW is read
 *			ahead of its ring.  A session's queue is its window.
 *	connections	unfinished input (a packet), what was read ahead of a
 *			held publish, what waits to be sent, topic aliases, and
 *			the objects; TLS, if a listener speaks it.
 *	sessions	max_queued_bytes or max_queued_messages of the largest
 *			packet, whichever is less, and the inflight messages;
 *			a message queued for many is counted for each.
 *	http		each connection's body, answer and TLS; the pending
 *			requests' records; what is held; the accounts and
 *			addresses that limits are kept for.
 *			Answers to questions, also those of weirctl.
 *	bridges		messages copied out of the ring while in flight, and
 *			topic aliases and dead letters.
 *	programs	measured: code, libraries, heap and stacks when idle.
 */

#include "common/conf/conf.h"

#include <stdbool.h>

#define MIB (UINT64_C(1) << 20)
#define KIB (UINT64_C(1) << 10)

/*
 * Answers to questions: what the broker has to be read (LINKS_ASKS_BYTES and
 * one more), and what httpd has received of them (ASKS_BYTES_MAX).
 */
#define ANSWER_BYTES (32 * MIB)

/* Lanes that a direction of a link may have: RING_LANES. */
#define MAX_LANES 32

/* Those that every ingress can count on: "" and the shared one. */
#define FIRST_LANES 2

#define PROGRAM_BYTES (12 * MIB)
#define WORKER_BYTES (2 * MIB)
#define CONNECTION_OBJECT_BYTES (4 * KIB)
/*
 * A TLS connection's state, and a record of 16 KiB either way.  Measured, idle:
 * 16 KiB, and 26 KiB with the certificate of the client.
 */
#define TLS_BYTES (64 * KIB)
#define SESSION_OBJECT_BYTES (8 * KIB)

/* A topic alias: one of the longest topics, and one of our own. */
#define ALIAS_IN_BYTES (64 * KIB + 32)
#define ALIAS_OUT_BYTES 288
#define ALIAS_BYTES (ALIAS_IN_BYTES + ALIAS_OUT_BYTES)

/* A queued message costs this beside its bytes. */
#define MESSAGE_OBJECT_BYTES 512

/* httpd/limits.c and identity.c: three tables of a fixed size, and a cache. */
#define RATE_BYTES (2 * MIB)

static uint64_t
plus(uint64_t a, uint64_t b)
{
	return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}

static uint64_t
times(uint64_t a, uint64_t b)
{
	return __builtin_mul_overflow(a, b, &a) ? UINT64_MAX : a;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool
stalls(const struct conf_bridge *bridge)
{
	return bridge->overflow == CONF_OVERFLOW_STALL ||
	    bridge->overflow == CONF_OVERFLOW_REJECT;
}

/* Lanes to the broker of an ingress that may name `bridges` in its sets. */
static uint64_t
lanes(size_t bridges)
{
	return bridges >= 5 ? MAX_LANES : UINT64_C(1) << bridges;
}

uint64_t
conf_ring_bytes(const struct conf_ring *ring)
{
	/* capacity + 2 * capacity + ... + max_capacity */
	return 2 * ring->max_capacity - ring->capacity;
}

static uint64_t
ring_bytes(const struct conf *conf, uint64_t most_lanes)
{
	uint64_t total = 0;
	size_t reliable = 0;

	for (size_t i = 0; i < conf->bridge_count; i++)
		reliable += stalls(&conf->bridges[i]);
	if (conf->http.enabled)
		total = times(conf_ring_bytes(&conf->http.ring),
		    least(lanes(reliable), most_lanes) + 1);
	for (size_t i = 0; i < conf->bridge_count; i++) {
		const struct conf_bridge *bridge = &conf->bridges[i];

		total = plus(total,
		    times(conf_ring_bytes(&bridge->ring),
			least(lanes(reliable - stalls(bridge)), most_lanes) +
			    1));
	}
	return total;
}

static uint64_t
journal_bytes(const struct conf *conf)
{
	if (!conf_has_journal(conf))
		return 0;
	/* The workers and the links thread. */
	return plus(
	    times(2 * (uint64_t)(conf->workers + 1), conf_commit_window(conf)),
	    times(conf->bridge_count,
		plus(CONF_FEED_WINDOW, conf->max_packet_size)));
}

static bool
has_tls(const struct conf *conf)
{
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].tls.enabled)
			return true;
	return false;
}

static uint64_t
connection_bytes(const struct conf *conf)
{
	const uint64_t write = conf->output_buffer + conf->max_packet_size +
	    CONF_CONNECTION_ANSWER_BYTES;
	uint64_t aliases =
	    plus(times(conf->topic_alias_maximum, ALIAS_IN_BYTES),
		times(conf->topic_alias_maximum_out, ALIAS_OUT_BYTES));

	return plus(plus(write, aliases),
	    conf->max_packet_size + conf->read_ahead + CONNECTION_OBJECT_BYTES +
		has_tls(conf) * TLS_BYTES);
}

static uint64_t
session_bytes(const struct conf *conf)
{
	uint64_t packets, queue;

	packets =
	    times(conf->max_queued_messages, plus(conf->max_packet_size, 0));
	queue = plus(least(packets, conf->max_queued_bytes),
	    times(conf->max_queued_messages, MESSAGE_OBJECT_BYTES));
	return plus(plus(queue, SESSION_OBJECT_BYTES),
	    times(conf->max_inflight,
		conf->max_packet_size + MESSAGE_OBJECT_BYTES));
}

static uint64_t
http_bytes(const struct conf_http *http)
{
	/* weirctl asks too. */
	if (!http->enabled)
		return ANSWER_BYTES;
	return plus(times(http->max_connections,
			plus(http->max_body,
			    3 * CONNECTION_OBJECT_BYTES +
				http->tls.enabled * TLS_BYTES)),
	    plus(times(http->max_pending, MESSAGE_OBJECT_BYTES),
		plus(http->max_stalled_bytes, RATE_BYTES + 2 * ANSWER_BYTES)));
}

static uint64_t
bridge_bytes(const struct conf *conf)
{
	uint64_t total = 0;

	for (size_t i = 0; i < conf->bridge_count; i++)
		total = plus(total,
		    plus(TLS_BYTES,
			plus(conf->bridges[i].dead_letters_size,
			    plus(times(conf->bridges[i].max_inflight + 2,
				     conf->max_packet_size +
					 MESSAGE_OBJECT_BYTES),
				times(conf->bridges[i].topic_alias_maximum,
				    ALIAS_BYTES)))));
	return total;
}

uint64_t
conf_memory_for(const struct conf *conf, uint64_t connections,
    uint64_t sessions, struct conf_memory *out)
{
	struct conf_memory m = {
		.rings = ring_bytes(conf, MAX_LANES),
		.first_rings = ring_bytes(conf, FIRST_LANES),
		.windows = times(times(conf->workers, conf->bridge_count),
		    conf->worker_window),
		.journal = journal_bytes(conf),
		.per_connection = connection_bytes(conf),
		.per_session = session_bytes(conf),
		.retained = plus(conf->retained_max_bytes,
		    times(least(conf->retained_max_messages,
			      conf->retained_max_bytes),
			MESSAGE_OBJECT_BYTES)),
		.http = http_bytes(&conf->http),
		.bridges = bridge_bytes(conf),
		.programs =
		    plus(times(1 + conf->http.enabled + conf->bridge_count,
			     PROGRAM_BYTES),
			times(conf->workers, WORKER_BYTES)),
	};

	m.connections = times(connections, m.per_connection);
	m.sessions = times(sessions, m.per_session);
	m.total = plus(plus(plus(m.rings, plus(m.windows, m.journal)),
			   plus(m.connections, m.sessions)),
	    plus(plus(m.retained, m.http), plus(m.bridges, m.programs)));
	if (out != NULL)
		*out = m;
	return m.total;
}

uint64_t
conf_memory_bound(const struct conf *conf, struct conf_memory *out)
{
	return conf_memory_for(
	    conf, conf->max_connections, conf->max_connections, out);
}
