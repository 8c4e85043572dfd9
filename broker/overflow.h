/* SPDX-License-Identifier: Apache-2.0 */

/*
 * overflow - what is given up when a session's queue is full: slow_subscriber.
 *
 *	drop_newest	the message that finds no room
 *	drop_oldest	those that have waited longest, never one that is in
 *			flight.  What is in the journal alone is read for that,
 *			also for a client that is away, and is over there too.
 *	disconnect	the client; while it is away as drop_newest
 *
 * The thread of the session's worker.
 */

#ifndef WEIR_BROKER_OVERFLOW_H
#define WEIR_BROKER_OVERFLOW_H

#include <stdbool.h>
#include <stdint.h>

struct session;

/*
 * So many messages for it were lost, and are counted: tell, and disconnect
 * the client if that is the policy; the session may have ended then.
 */
void overflow_note(struct session *session, uint64_t count);

/*
 * Of what waits in memory, and is not in the journal, the first goes, counted
 * and told.  False: that is not the policy, or nothing waits.
 */
bool overflow_drop_first(struct session *session);

/*
 * Of a durable session the oldest go until what is queued is within its
 * limits, if that is the policy.  True: some of them are to be read for that.
 */
bool overflow_trim(struct session *session);

#endif
