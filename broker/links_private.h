/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_private - what the files of the links thread share; see links.h.
 *
 *	links.c           life, the turn, sleep and wake
 *	links_drain.c     the end
 *	links_tend.c      rings that have grown
 *	links_control.c   the control socket
 *	links_words.c     what is said there to an endpoint
 *	links_endpoint.c  one endpoint and its memory
 *	links_memory.c    its memory: made, adopted, given up
 *	links_lanes.c     its lanes: opened, closed, adopted
 *	links_output.c    the lane to an endpoint
 *	links_ingress.c   records from endpoints
 *	links_incoming.c  one record, checked
 *	links_overdue.c   heads of lanes that waited too long
 *	links_pending.c   records that wait for the journal
 *	links_journal.c   records into the journal, and what comes back
 *	links_feed.c      a bridge as a cursor in the journal
 *	links_feed_ring.c ... and where it stands in its ring
 *	links_credit.c    space and credit given back to endpoints
 *	links_salvage.c   records of links that were given up
 *	links_connection.c  one connection to the socket
 *	links_egress.c    messages from workers, overflow
 *	links_episodes.c  what is told of it once a second
 *	links_dead.c      what remotes will never take
 *	links_policy.c    what they do without room, when it changes
 *	links_terms.c     what a bridge was offered and given
 *	links_auth.c      credentials from httpd
 *	links_asks.c      questions from httpd
 *	links_request.c   ... and over the control socket
 *	links_socket.c    where the control socket comes from
 *	links_store.c     memory that outlives the broker
 *	links_status.c    answers for weirctl
 */

#ifndef WEIR_BROKER_LINKS_PRIVATE_H
#define WEIR_BROKER_LINKS_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/broker.h"
#include "broker/counters.h"
#include "broker/links.h"
#include "broker/links_endpoint.h"
#include "broker/links_journal.h"
#include "common/net/pool_trimmer.h"
#include "common/service/fdstore.h"

struct links_control;
struct manage_file;

/* A turn of one lane or port: then the next one is served. */
#define LINKS_TURN_RECORDS 64u
#define LINKS_TURN_BYTES (256 * 1024)

/* Rounds over all lanes and ports before the loop looks at its events. */
#define LINKS_ROUNDS 8u

struct links {
	struct broker *broker;
	struct loop *loop;
	struct message_pools *pools;
	struct links_control *control;
	struct fdstore store; /* inherited; empty once started */

	/* By link id: 0 is httpd (NULL without), 1.. are the bridges. */
	struct links_endpoint *endpoints[RING_LINKS];
	uint32_t endpoint_count; /* the greatest id + 1 */

	struct links_journal journal;

	struct bridge_port **ports; /* one for each worker */
	unsigned port_count;

	/* Bridges without room, for the workers' offers. */
	_Alignas(64) _Atomic uint64_t full;

	uint8_t *scratch; /* a copy of the record at hand */
	size_t scratch_size;

	struct manage_file *file; /* see manage_file.h */
	uint64_t answer_bytes;    /* of answers that wait, see links_asks.h */

	struct loop_hook hook;
	struct loop_timer beat;
	struct loop_timer unmute;
	struct loop_timer tend; /* rings that are larger than need be */
	struct loop_timer overdue;
	struct pool_trimmer trimmer;
	uint64_t overdue_next_ns; /* UINT64_MAX: the timer does not run */
	struct loop_fd mail_watch;
	bool is_started;
	bool is_armed;
	bool is_draining;
	uint64_t await_until_ns; /* 0: no program is awaited */
	bool isolation_warned;
	uint64_t filters_version; /* of the bridge table's filters */
	uint64_t were_droppable;  /* bridges: in this life, by their policy */
	struct stats_block *counters; /* this thread's; NULL: none are kept */
	uint64_t turns;               /* also says who goes first */
	uint64_t now_ns;              /* of this turn */
};

/* Those that have memory. */
#define LINKS_EACH_ENDPOINT(links, endpoint)                                   \
	for (uint32_t i_ = 0; i_ < (links)->endpoint_count; i_++)              \
		if (((endpoint) = (links)->endpoints[i_]) != NULL &&           \
		    (endpoint)->link != NULL)

/* The output of a bridge. */
static inline struct links_output *
links_bridge_output(struct links *links, unsigned bridge)
{
	return &links->endpoints[bridge + 1]->output;
}

/* Where what goes to a bridge is noted; NULL: it has no memory now. */
static inline struct ring_trace *
links_bridge_trace(struct links *links, unsigned bridge)
{
	struct ring_link *link = links->endpoints[bridge + 1]->link;

	return link == NULL ? NULL : ring_link_trace(link);
}

static inline void
links_count(struct links *links, enum counter counter, uint64_t n)
{
	if (links->counters != NULL)
		stats_add(links->counters, counter, n);
}

static inline bool
links_endpoint_is_usable(const struct links_endpoint *endpoint)
{
	return endpoint != NULL && endpoint->state != LINKS_POISONED &&
	    endpoint->fault == NULL;
}

#endif
