/* SPDX-License-Identifier: Apache-2.0 */

/*
 * checkpoint - the broker's state into the store, beside its work.
 *
 * The keeper (commit.h) asks the members one after the other by mail; each
 * writes some of its sessions a turn into a piece of memory, which the keeper
 * puts into the checkpoint while the member goes on with its clients.  No
 * turn is longer than CHECKPOINT_TURN_SESSIONS sessions or
 * CHECKPOINT_TURN_SUBSCRIPTIONS subscriptions (session_walk.h).  Retained
 * messages are taken in slices, as a subscriber takes them (retain.h).
 *
 * A checkpoint that covers sequence S may hold what came after S, but it must
 * hold all up to S, and nothing that was never committed:
 *
 *	S is fixed
 *	each member has been told of all it had sent before then
 *	the members are asked for their state
 *	each member has been told of all it had sent by then, all of it well
 *	the checkpoint counts
 *
 * So a member may give the state as it was last sent, or as it was last
 * settled.
 */

#ifndef WEIR_BROKER_CHECKPOINT_H
#define WEIR_BROKER_CHECKPOINT_H

#include <stdint.h>

#include "broker/store/store.h"

#define CHECKPOINT_TURN_SESSIONS 64u
#define CHECKPOINT_TURN_SUBSCRIPTIONS 2048u

struct broker;
struct checkpoint_desk;

/* Between the keeper and the members; broker->checkpoints.  NULL: no memory. */
struct checkpoint_desk *checkpoint_desk_new(struct broker *broker);

/* All mail has been opened.  Accepts NULL. */
void checkpoint_desk_free(struct checkpoint_desk *desk);

/*
 * A bridge that the configuration does not have: its cursor is kept.  Before
 * threads run.  0 or -ENOMEM.
 */
int checkpoint_keep_bridge(
    struct checkpoint_desk *desk, const struct store_bridge *bridge);

/* Likewise what else there is of it; `context` is the desk. */
int checkpoint_keep_record(
    void *context, enum store_kind kind, struct slice body);

/* For commit_spec.write_state; `context` is the broker. */
int checkpoint_write_state(void *context, struct store_checkpoint *checkpoint);

/*
 * Main thread, at the end.  First: the members' threads have ended, what is
 * being written is given up.  Then: nothing of them moves any more, the keeper
 * may read all of it itself.
 */
void checkpoint_members_ended(struct checkpoint_desk *desk);
void checkpoint_read_directly(struct checkpoint_desk *desk);

#endif
