/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session_records - what the journal is told of a session.
 *
 *	session_records_begin()		OPEN and SESSION: a CONNECT
 *	session_records_change()	SESSION: its expiry is another one
 *	session_records_leave()		LEAVE: its connection ended
 *	session_records_will_over()	LEAVE: its will has been published
 *
 * (STORE_CLOSE is sent by session_end().)  A session that is not durable has
 * a SESSION record if it has a will, for that will alone: it was never opened
 * as a cursor, so recovery publishes the will and forgets the rest.
 *
 * A will that has left its session has the session's record for its own until
 * it is published.  If the client is back before that, the record is about the
 * new connection, and the will is given a record of its own.
 *
 * The thread of the session's worker only; all returns are tickets of its
 * port: 0 means no memory.  The worker has a port.
 */

#ifndef WEIR_BROKER_SESSION_RECORDS_H
#define WEIR_BROKER_SESSION_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/store/store_record.h"
#include "broker/subscription_tree.h"

struct auth;
struct session;
struct will;
struct worker;

/*
 * The SESSION record as it would be written now.  A session with a client, or
 * with one that is arriving, is connected.  Slices point into session and auth.
 */
void session_records_describe(const struct auth *auth,
    const struct session *session, struct store_session *out_record);

/* The record of a will alone, that left its session. */
void session_records_describe_will(const struct auth *auth,
    const struct will *will, struct store_session *out_record);

/* The SUBSCRIBE record of one subscription.  The slice is the caller's. */
struct store_subscribe session_records_subscription(
    const struct session *session, struct slice filter,
    const struct subscription_options *options);

/*
 * Its client connects: session->will is the will of this connection, and
 * session->arriving or client is set.  `is_new`: the cursor is opened.
 */
uint64_t session_records_begin(
    struct worker *worker, struct session *session, bool is_new);

uint64_t session_records_change(
    struct worker *worker, const struct session *session);

/* session->left_ns is set; `keeps_will`: it may still be published. */
void session_records_leave(const struct session *session, bool keeps_will);

void session_records_will_over(struct worker *worker, const struct will *will);

uint64_t session_records_subscribe(struct worker *worker,
    const struct session *session, struct slice filter,
    const struct subscription_options *options);
uint64_t session_records_unsubscribe(
    struct worker *worker, const struct session *session, struct slice filter);

#endif
