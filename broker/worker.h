/* SPDX-License-Identifier: Apache-2.0 */

/*
 * worker - a thread that speaks MQTT, and what it owns.
 *
 * Each worker has a loop, its own listening sockets on all addresses (the
 * kernel spreads connections over them), its connections and its sessions.
 * Nothing of it is touched by other threads but the mailbox.  A connection
 * whose client identifier belongs to another worker is handed there by mail
 * together with the bytes of its CONNECT.
 *
 * A turn: events, alarms, mail; then the hook: retained messages that found
 * room, letters to other workers, the bridges' port; then the streams flush.
 *
 * Functions are for the worker's own thread unless it says otherwise.
 */

#ifndef WEIR_BROKER_WORKER_H
#define WEIR_BROKER_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/alarms.h"
#include "broker/broker.h"
#include "broker/claims.h"
#include "broker/counters.h"
#include "broker/estates.h"
#include "broker/give_back.h"
#include "broker/held.h"
#include "broker/limits.h"
#include "broker/redispatch.h"
#include "broker/session.h"
#include "broker/settle.h"
#include "broker/will.h"
#include "common/net/listener.h"
#include "common/net/loop.h"
#include "common/net/pool_trimmer.h"
#include "common/net/stream.h"

struct client;
struct commit_member;
struct commit_port;
struct door;
struct encoder;
struct connection_faults;
struct router;
struct sys_topics;
struct tally;

/* Clients, in a doubly linked list through client->next and previous. */
struct client_list {
	struct client *first;
	struct client *last;
	size_t count;
};

struct worker {
	/* [const] while the thread runs. */
	struct broker *broker;
	unsigned index;
	struct mailbox *mailbox;
	struct bridge_port *port;
	struct commit_port *commit; /* NULL: there is no journal */
	struct stats_block *counters;
	struct listener **listeners;
	struct door *doors; /* a listener's worker and number */
	size_t listener_count;
	void (*ended)(void *context, struct worker *worker);
	void *ended_context;

	/* The worker's own. */
	pthread_t thread;
	struct loop *loop;
	struct stream_hub *hub;
	struct loop_hook hook;         /* before the streams' flush */
	struct loop_hook flushed_hook; /* after it */
	struct loop_fd mail_watch;
	struct loop_timer alarm_timer;
	struct loop_timer retry_timer;
	struct loop_timer notes_timer;
	struct loop_timer drain_timer;
	struct pool_trimmer trimmer;
	uint64_t alarm_armed_ns;
	uint64_t drain_until_ns;
	uint8_t drain_step; /* enum drain_step */
	struct alarms alarms;
	struct sessions sessions;
	struct message_pools *messages;
	struct router *router;
	struct encoder *encoder;
	struct client_list clients;
	struct proxied *proxied;    /* connections before their PROXY header */
	struct client_list stalled; /* with parked PUBLISHes, oldest first */
	struct connection_faults *faults;
	struct held held; /* what weirctl is told of them */
	struct limits limits;
	struct give_back give_back;
	struct client *graveyard; /* freed at the end of the turn */
	struct session *pumped;   /* with retained messages to send */
	struct session *acking;   /* with acknowledgements that wait */
	struct will_queue waiting_wills;
	struct claims claims;
	struct redispatch redispatch;
	struct estates estates;
	struct tally *tally;         /* what its clients offer to bridges */
	struct sys_topics *sys;      /* of the first worker alone, or NULL */
	struct message *delivered;   /* see worker_commit.c */
	struct settle_line settling; /* answers that wait for the journal */
	uint64_t settled_badly;      /* letters of what was not committed */
	uint64_t dice;               /* for identifiers; see worker_random() */
	bool wills_wait;             /* for room, not for the end of the turn */
	bool draining;
	bool is_over; /* the loop is done: nothing is routed any more */
	bool is_running;
};

/*
 * Make worker `index`: mailbox, loop, sessions, listeners bound (main thread,
 * before any thread runs).  `ended` is called on the worker's thread when it
 * has drained.  Returns 0, or an exit code after logging what is wrong.
 */
int worker_new(struct broker *broker, unsigned index,
    void (*ended)(void *context, struct worker *worker), void *context,
    struct worker **out_worker);

/* Main thread: start the thread.  The port must be there.  0 or -errno. */
int worker_start(struct worker *worker);

/*
 * worker_drain.c: any thread: close listeners, let clients go, end the thread.
 * worker_new() prepares for it.
 */
void worker_drain(struct worker *worker);
void worker_drain_init(struct worker *worker);

/*
 * Main thread, at the end: wait for the thread; end its sessions; and, when
 * call_rcu has been waited for and all mail of all workers been opened, free
 * it.  The message pools and the router are freed by the caller, who knows
 * when nobody holds a message or a letter.  They accept NULL.
 */
void worker_join(struct worker *worker);
void worker_end_sessions(struct worker *worker);
void worker_free(struct worker *worker);

/* Main thread, before the threads run: what it publishes goes to `port`. */
void worker_use_commit(struct worker *worker, struct commit_port *port);

/* The worker as a member of the commit (commit.h). */
void worker_commit_member(
    struct worker *worker, struct commit_member *out_member);

/*
 * Windows opened, tickets were committed, or there is room in a backlog: say
 * what is due, try again what is held.
 */
void worker_bridges_moved(void *worker);

/* Which worker a client identifier belongs to; any thread. */
unsigned worker_of_client(const struct broker *broker, struct slice id);

/* The session has something to send when its client has room. */
void worker_pump_session(struct worker *worker, struct session *session);

/* The session has acknowledgements that wait for a commit. */
void worker_await_acks(struct worker *worker, struct session *session);

/* Try again soon what found no memory or no room in the mailboxes. */
void worker_retry_soon(struct worker *worker);

/* The journal did not take a note that somebody waits for: later. */
void worker_retry_notes(struct worker *worker);

static inline uint64_t
worker_now_ns(struct worker *worker)
{
	return loop_now_ns(worker->loop);
}

/* Unpredictable bits from the kernel. */
uint64_t worker_random(struct worker *worker);

/* Count one. */
static inline void
worker_count(struct worker *worker, enum counter counter)
{
	stats_increment(worker->counters, counter);
}

#endif
