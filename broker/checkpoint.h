/* SPDX-License-Identifier: Apache-2.0 */

/*
 * checkpoint - the broker's state into the store, beside its work.
 *
 * The keeper (commit.h) asks the members one after the other by mail; each
 * writes some of its sessions a turn into a piece of memory, which the keeper
 * puts into the checkpoint while the member goes on with its clients.  No
 * turn is longer than CHECKPOINT_TURN_SESSIONS sessions.  Retained messages
 * are taken in slices, as a subscriber takes them (retain.h).
 */

#ifndef WEIR_BROKER_CHECKPOINT_H
#define WEIR_BROKER_CHECKPOINT_H

#include "broker/store/store.h"

#define CHECKPOINT_TURN_SESSIONS 64u

struct broker;

/* For commit_spec.write_state; `context` is the broker. */
int checkpoint_write_state(void *context, struct store_checkpoint *checkpoint);

#endif
