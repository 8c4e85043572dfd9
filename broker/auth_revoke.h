/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_revoke - what a reload of the accounts takes away from clients.
 *
 * Each worker goes over its connections once and says goodbye to those whose
 * identity is void: DISCONNECT 0x87, Not authorized, in MQTT 5.0; the old
 * versions are closed.  A session stays, and is its account's, as long as it
 * does not expire.  The others get the access that their accounts have now,
 * and sessions, with a client or without, lose the subscriptions that they
 * may not have any more.  What was on its way to them is still theirs.
 */

#ifndef WEIR_BROKER_AUTH_REVOKE_H
#define WEIR_BROKER_AUTH_REVOKE_H

struct access;
struct broker;
struct session;
struct worker;

/* After auth_reload(); the main thread.  The workers do it in their time. */
void auth_revoke(struct broker *broker);

/*
 * End the subscriptions that `access` (not NULL) does not allow.  What the
 * journal does not take of it is done again when the broker's next life begins.
 * The worker's thread only, not within routing.
 */
void session_trim(struct worker *worker, struct session *session,
    const struct access *access);

#endif
