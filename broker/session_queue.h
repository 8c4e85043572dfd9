/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session_queue - a durable session's messages between journal and outbox.
 *
 * All QoS 1 and 2 messages for a durable session are in the journal until
 * they are over.  While its client is there, the outbox holds a window of
 * them, in the journal's order; what finds no room, and all that comes while
 * the client is away, stays in the journal and is read when the window is
 * low (feed.h):
 *
 *	session_queue_arrives()		a message was committed for it
 *	session_queue_wants_read()	-> commit_read()
 *	session_queue_loads(), session_queue_loaded()
 *	session_queue_done()		a delivery is over: what to journal
 *
 * The owner's thread only, but for session_queue_is_full() and _leave_out().
 * Of durable sessions alone: others have no such queue.
 */

#ifndef WEIR_BROKER_SESSION_QUEUE_H
#define WEIR_BROKER_SESSION_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/session.h"
#include "broker/store/store_record.h"

/* What waits in memory for a client that is there; the first always may. */
#define SESSION_WINDOW_MESSAGES 512u
#define SESSION_WINDOW_BYTES (256u << 10)

/* It is read again when the window is down to so many. */
#define SESSION_WINDOW_LOW (SESSION_WINDOW_MESSAGES / 2)

/* What became of a message that was committed or read. */
enum session_arrival {
	SESSION_KEPT,    /* it waits in the outbox */
	SESSION_KNOWN,   /* it was there before, or is over: nothing was done */
	SESSION_LATER,   /* it is in the journal */
	SESSION_FULL,    /* max_queued_*: nothing was done but to remember it */
	SESSION_DROPPED, /* it was to be dropped, and is: to be journalled */
};

/*
 * Recovery, before anything else: its cursor as the store has it, and the
 * last sequence of the journal.  0 or -ENOMEM.
 */
int session_queue_restore(
    struct session *session, const struct store_cursor *cursor, uint64_t last);

/* And the client had this one (RECEIVED).  0 or -ENOMEM. */
int session_queue_restore_received(struct session *session, uint64_t sequence);

/* What waits, in memory or not; message_weight(). */
uint64_t session_queue_count(const struct session *session);
uint64_t session_queue_bytes(const struct session *session);

/* Is there no room for one more?  Any thread; relaxed, a limit. */
bool session_queue_is_full(const struct session *session, size_t weight);

/* Is one more, that is newer than all, left out for that?  Any thread. */
bool session_queue_refuses(const struct session *session, size_t weight);

/*
 * drop_oldest: how many of the oldest are to go, for what is queued to be
 * within the limits.  What is in the journal alone counts with the average.
 */
uint64_t session_queue_excess(const struct session *session);

/* The first that waits in memory goes: it is taken out of the outbox next. */
void session_queue_drops(struct session *session, size_t weight);

/*
 * So many more of those that are in the journal alone are dropped when they
 * are read, and a read for that is wanted.  False: there are none.
 */
bool session_queue_drop_unread(struct session *session, uint64_t count);

/* How much a read may give now; its first message always. */
size_t session_queue_read_count(const struct session *session);
size_t session_queue_read_bytes(const struct session *session);

/*
 * A publisher, any thread, within rcu_enter(): one is not queued, for it is
 * full.  The owner counts it, and is written to; true: wake it.
 */
bool session_queue_leave_out(struct session *session);

/* A message was committed for it, with item->sequence. */
enum session_arrival session_queue_arrives(
    struct session *session, const struct outbox_item *item);

/* Should a read be started?  From feed.next on; it is taken to be. */
bool session_queue_wants_read(struct session *session);

/* The read could not be started, or failed. */
void session_queue_read_failed(struct session *session);

/* The read gave a message. */
enum session_arrival session_queue_loads(
    struct session *session, const struct outbox_item *item);

/* It gave everything up to `upto`. */
void session_queue_loaded(struct session *session, uint64_t upto);

/* One that waited goes in flight.  True: it may have been sent before. */
bool session_queue_leaves(
    struct session *session, uint64_t sequence, size_t weight);

/* The client has gone: what waits in memory is read again when it is back. */
void session_queue_rest(struct session *session);

/* This one, just taken out of the outbox, is over: to be journalled. */
struct store_done session_queue_done(
    const struct session *session, uint64_t sequence);

/*
 * The client is back.  What may have been sent in a former life is now known:
 * as many as it takes at once.
 */
void session_queue_resume(struct session *session);

void session_queue_fini(struct session *session);

#endif
