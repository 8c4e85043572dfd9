/* SPDX-License-Identifier: Apache-2.0 */

/*
 * broker - the parts of a weir-broker and how they know each other.
 *
 * main.c owns one `struct broker`.  Threads:
 *
 *	main = links	signals, control socket, all rings (links.c)
 *	worker 0..n-1	MQTT connections and sessions (worker.c)
 *	auth		password hashing (auth.c)
 *	commit, keeper, reader	the journal's (commit.h)
 *	call_rcu	liburcu's, frees what readers may still see
 *
 * Start: configuration, auth, bridge table, tree, workers (each binds its
 * listeners), what the journal has, links, the journal's threads, READY.
 * Stop: listeners closed, workers drain and end, links drain and end, the
 * journal writes a last checkpoint.
 */

#ifndef WEIR_BROKER_BROKER_H
#define WEIR_BROKER_BROKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "broker/auth.h"
#include "broker/bridge_port.h"
#include "broker/mailbox.h"
#include "common/conf/conf.h"
#include "common/service/fdstore.h"

/* As many as conf_keys.def allows. */
#define BROKER_MAX_LISTENERS 64
#define BROKER_MAX_WORKERS 64

struct backlogs;
struct checkpoint_desk;
struct commit;
struct gate;
struct journal;
struct links;
struct listener_tls;
struct loop;
struct recovered;
struct retained;
struct router;
struct stats;
struct store;
struct subscription_tree;
struct worker;

struct broker {
	/* [const] while threads run. */
	const struct conf *conf;
	struct auth *auth;
	struct listener_tls *tls; /* own locks, see listener_tls.h */
	struct bridge_table *bridges;
	struct subscription_tree *subscriptions; /* [rcu] */
	struct retained *retained;               /* own lock, see retain.h */
	struct gate *gate;                       /* own lock, see gate.h */
	struct worker **workers;
	unsigned worker_count;
	struct links *links;
	struct mailbox *links_mailbox; /* mail for the links thread */
	struct loop *loop;             /* the links thread's */
	struct stats *stats;           /* counters, one block a thread */
	size_t max_packet_size;        /* bytes, accepted from clients */
	uint8_t instance[16];          /* random, of this start */
	uint64_t client_seed;          /* see worker_of_client() */
	uint64_t started_ns;
	/* What the supervisor kept; its rings are the links' when made. */
	struct fdstore kept;
	FILE *reload_notes;          /* links: what needs a restart; or NULL */
	struct router *links_router; /* the links thread's, see route.h */

	/*
	 * The journal; all NULL without one.  What was recovered is there when
	 * the links are made, the commit when they are started.
	 */
	struct journal *journal; /* see journal.h */
	struct store *store;
	struct commit *commit;
	struct backlogs *backlogs;
	struct checkpoint_desk *checkpoints;
	struct recovered *recovered;  /* until the links have started */
	_Atomic uint64_t next_cursor; /* see broker_new_cursor() */

	/* Of the links thread, made by links_new(); outlives all messages. */
	struct message_pools *links_messages;

	/* Any worker; relaxed, each is a limit and orders nothing. */
	atomic_uint connections;
	atomic_uint kept_sessions;
	atomic_uint refusals; /* connections that will be told of a limit */
	atomic_uint listener_connections[BROKER_MAX_LISTENERS];
};

struct service;

/* A number that no session and no bridge ever had.  Any thread. */
static inline uint64_t
broker_new_cursor(struct broker *broker)
{
	return atomic_fetch_add_explicit(
	    &broker->next_cursor, 1, memory_order_relaxed);
}

/*
 * Make all parts and start the threads.  Main thread.
 * Returns EXIT_OK, or an exit code after logging what is wrong.
 */
int broker_new(struct service *service, struct broker **out_broker);

/*
 * SIGHUP: take what may change while it runs; the log says what needs a
 * restart, and so does broker->reload_notes, a key a line, if it is there.
 */
void broker_reload(struct broker *broker, const struct conf *conf);

/* The newest configuration that was right; lent until the next.  Main thread.
 */
const struct conf *broker_configured(struct broker *broker);

/* As at SIGHUP; as service_reload().  Main thread. */
int broker_reload_file(struct broker *broker, char **out_mistakes);

/* SIGTERM: let go in order, then service_stop(). */
void broker_drain(struct broker *broker);

/* After service_run(); accepts NULL. */
void broker_free(struct broker *broker);

#endif
