/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session - what a client identifier owns beyond a connection [MQTT-3.1.2-4]
 * [MQTT-3.1.3-2].
 *
 * A session lives on one worker, for ever: the one that its identifier's hash
 * names.  All of its state is that worker's alone; what publishers on other
 * threads see of it is `subscriber`, through the subscription tree.
 *
 *	          session_attach()
 *	session_new() --> ONLINE <------------------+
 *	                    |                       |
 *	                    | session_leave()       | session_attach()
 *	                    v                       |
 *	                 OFFLINE -------------------+
 *	                    | expiry, Clean Start, session_end()
 *	                    v
 *	                  ENDED, out of the tree; freed by mail after a grace
 *	                  period, behind all deliveries that were under way
 *
 * It expires OFFLINE alone [MQTT-4.1.0-1] [MQTT-4.1.0-2].
 */

#ifndef WEIR_BROKER_SESSION_H
#define WEIR_BROKER_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/alarms.h"
#include "broker/counters.h"
#include "broker/drop_episode.h"
#include "broker/feed.h"
#include "broker/mailbox.h"
#include "broker/outbox.h"
#include "broker/packet_ids.h"
#include "broker/rcu.h"
#include "broker/subscription_tree.h"
#include "common/base/fifo.h"
#include "common/base/pool.h"
#include "common/conf/conf.h"
#include "common/stats/stats.h"

#define SESSION_NEVER UINT64_MAX /* an expiry that does not come */

struct client;
struct commit_port;
struct retained_job;
struct session;
struct store_cursor;
struct will;

/*
 * An acknowledgement that waits for its ticket: until its message is in all
 * bridges' rings or in the journal, and for those before it [MQTT-4.6.0-2].
 */
struct pending_ack {
	uint64_t bridges; /* whose rings; 0 with a journal */
	uint64_t ticket;
	uint16_t packet_id;
	uint8_t type;   /* PUBACK, PUBREC, PUBREL or PUBCOMP */
	uint8_t reason; /* enum mqtt_reason */
	bool failed;    /* its ticket did; `reason` says why */
};

/* First in, first out; empty it keeps room for some while there is a client. */
struct ack_queue {
	struct fifo *list; /* of struct pending_ack; NULL: none waited yet */
};

/*
 * A durable session's QoS 1 and 2 messages are in the journal until they are
 * over; the outbox is a window of them.  See session_queue.h.
 */
struct session_queue {
	struct feed feed;
	uint64_t read_again_ns; /* a read failed: not before */
	bool is_stale;  /* what the read under way still gives is not taken */
	uint64_t *over; /* not in memory, and over nevertheless; sorted */
	size_t over_count;
	size_t over_size;
	size_t over_at;      /* those before it are passed by the read */
	uint64_t former;     /* the last sequence of a former life */
	uint32_t maybe_sent; /* so many up to there may have been sent then */

	/*
	 * Written by the owner, read by who publishes (relaxed: limits): what
	 * is not in flight, in memory or not.
	 */
	_Atomic uint64_t count;
	_Atomic uint64_t bytes; /* message_weight() */

	/* Publishers left out so many, and wrote so once until it is read. */
	_Atomic uint64_t left_out;
	atomic_bool left_out_is_posted;
	uint32_t to_drop; /* the oldest in the journal: when they are read */
	struct mail left_out_mail;
};

struct session {
	/* What a delivery looks at is together: there may be 100,000 of us. */
	struct subscriber subscriber;
	struct sessions *home;   /* [const] */
	struct client *client;   /* NULL: offline */
	struct outgoing *resend; /* in flight: from here on to be sent again */
	bool is_durable;         /* [const] the journal keeps it */
	bool ended : 1;
	bool is_journalled : 1; /* it has published through the journal */
	bool is_kept : 1;       /* beyond its connection: in home->kept */
	bool is_pumped : 1;
	bool is_acking : 1;
	bool leaves_estate : 1; /* it has ended, and see estates.h */
	uint16_t id_length;     /* [const] see session_id() */
	struct outbox outbox;

	struct drop_episode *drops;    /* NULL: nothing was ever dropped */
	struct session *next_in_table; /* private to session.c */
	struct session *next_by_cursor;
	uint64_t cursor;         /* [const] its number for good, not 0 */
	struct client *arriving; /* its CONNECT waits for the journal */
	struct alarm alarm;      /* the next of expiry and will */
	uint64_t identity;       /* whose it is; see auth.h */
	uint64_t expiry_ns;     /* interval, or SESSION_NEVER; session_keep() */
	uint64_t expires_at_ns; /* while offline */
	uint64_t left_ns;       /* with a journal: when, by the wall clock */
	struct will *will;
	struct packet_ids received; /* QoS 2, up to PUBREL */
	struct ack_queue acks;
	struct retained_job *jobs;   /* see retain_job.h */
	struct session *next_pumped; /* see worker.h */
	struct session *next_acking;
	union {
		struct rcu_head rcu; /* once it has ended, and then */
		struct mail mail;    /* its last one */
	};
	/*
	 * A session that is not durable has no memory for this.  Its client
	 * identifier is behind all it has.
	 */
	struct session_queue queue;
};

/* The sessions of one worker; embed it by value. */
struct sessions {
	struct session **buckets;
	struct session **by_cursor; /* as many */
	size_t bucket_count;
	size_t count;
	uint64_t seed;
	unsigned worker;
	struct pool outgoing;
	struct outbox_limits limits;
	uint64_t queued_bytes; /* message_weight() of what waits */
	atomic_bool are_full;  /* of all sessions too much waits; relaxed */
	uint64_t output_mark; /* [const] a PUBLISH begins below so many bytes */
	/* enum conf_slow_subscriber; relaxed, publishers read it too. */
	_Atomic uint8_t slow_subscriber;
	atomic_uint *kept; /* of all workers; relaxed, a limit */
	uint32_t max_kept;
	_Atomic uint64_t *next_cursor; /* see broker_new_cursor() */
	struct commit_port *commit;    /* NULL: there is no journal */
	struct alarms *alarms;
	struct mailbox *mailbox;
	struct subscription_tree *tree;
	struct stats_block *counters;
	uint64_t (*now_ns)(void *context);
	void (*publish_will)(void *context, struct will *will);
	/* See redispatch.h and estates.h; NULL: what is left is dropped. */
	bool (*leave_estate)(void *context, struct session *session);
	void (*begin_estate)(void *context, uint64_t cursor);
	void (*leave_shared)(void *context, struct session *session);
	void (*leave_message)(
	    void *context, struct message *message, uint32_t share);
	void *context;
};

/* The caller sets the fields below `outgoing` first.  0 or -ENOMEM. */
int sessions_init(struct sessions *sessions);

/* End all sessions; their mail is still to be opened, then sessions_fini(). */
void sessions_end_all(struct sessions *sessions);
void sessions_fini(struct sessions *sessions);

struct session *session_find(struct sessions *sessions, struct slice id);

/*
 * The broker ends, and with it all sessions but durable ones: publish the
 * wills of those that are offline, that wait for their delay, now.
 */
void sessions_publish_wills(struct sessions *sessions);

/* By its number; NULL: it has ended, or is another worker's. */
struct session *session_find_cursor(struct sessions *sessions, uint64_t cursor);

/*
 * Offline and empty, expiring at once.  If there is a journal, `is_durable`
 * says for good whether that keeps it.  NULL without memory.
 */
struct session *session_new(
    struct sessions *sessions, struct slice id, bool is_durable);

/* A durable one that recovery found, under its number.  As session_new(). */
struct session *session_restore(
    struct sessions *sessions, struct slice id, uint64_t cursor);

/* `client` has it now; alarms off, a will that waited is forgotten. */
void session_attach(struct session *session, struct client *client);

/*
 * It is kept for so long after its connection.
 * False: there are max_kept already, and it stays as it was.
 */
bool session_keep(struct session *session, uint64_t expiry_ns);

/* Messages to it are lost for want of room; counted by the caller. */
void session_note_drops(struct session *session, uint64_t count);

/* All that waited has been sent: losses, if any, are over. */
void session_note_caught_up(struct session *session);

/*
 * The connection is gone.  `send_will` is false after a DISCONNECT with
 * reason 0x00 [MQTT-3.14.4-3].  The session may be freed by this.
 */
void session_leave(struct session *session, bool send_will);

/* End it now; a will that waits is published first. */
void session_end(struct session *session);

/* Without its client identifier, which is behind it. */
static inline size_t
session_size(bool is_durable)
{
	return is_durable ? sizeof(struct session)
			  : offsetof(struct session, queue);
}

static inline struct slice
session_id(const struct session *session)
{
	const size_t size = session_size(session->is_durable);

	return slice_of((const char *)session + size, session->id_length);
}

/* Its identifier, for a log line; see log_quote(). */
const char *session_quote(const struct session *session);

/* Waits too much for all sessions together?  Any thread. */
static inline bool
session_are_full(const struct session *session)
{
	return atomic_load_explicit(
	    &session->home->are_full, memory_order_relaxed);
}

/* A message of that weight begins to wait, or does not any more. */
static inline void
session_queued(struct session *session, size_t weight)
{
	session->home->queued_bytes += weight;
	stats_increment(session->home->counters, COUNT_queued);
}

static inline void
session_unqueued(struct session *session, size_t weight)
{
	session->home->queued_bytes -= weight;
	stats_subtract(session->home->counters, COUNT_queued, 1);
}

/* drop_oldest and the like; any thread. */
static inline enum conf_slow_subscriber
session_slow_policy(const struct session *session)
{
	return (enum conf_slow_subscriber)atomic_load_explicit(
	    &session->home->slow_subscriber, memory_order_relaxed);
}

/* ---- acknowledgements that wait --------------------------------------- */

static inline uint32_t
ack_queue_count(const struct ack_queue *queue)
{
	return queue->list == NULL ? 0 : queue->list->count;
}

/* 0 or -ENOMEM. */
int ack_queue_put(struct ack_queue *queue, const struct pending_ack *ack);

/* The one `i` places behind the oldest; i < count. */
struct pending_ack *ack_queue_at(const struct ack_queue *queue, uint32_t i);

/* The oldest, or NULL. */
struct pending_ack *ack_queue_first(struct ack_queue *queue);
void ack_queue_drop_first(struct ack_queue *queue);
bool ack_queue_has(
    const struct ack_queue *queue, uint8_t type, uint16_t packet_id);

/* Drop all but those of a type, keep their order. */
void ack_queue_keep_type(struct ack_queue *queue, uint8_t type);
void ack_queue_fini(struct ack_queue *queue);

#endif
