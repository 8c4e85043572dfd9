/* SPDX-License-Identifier: Apache-2.0 */

/*
 * recover_state - the records of the journal become the broker's tables.
 *
 * Sessions are put into the workers' tables as their records come, and taken
 * out again when they are closed; what is only known at the end (which cursors
 * are open, and what they still wait for) is done then.
 *
 * The order of retained messages is that of their serials.  A checkpoint says
 * up to which serial it knows all changes, so a message behind it that has no
 * greater one is in it already, or was replaced.
 *
 * For recover.c; one thread, before others run.
 */

#ifndef WEIR_BROKER_RECOVER_STATE_H
#define WEIR_BROKER_RECOVER_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "broker/store/store.h"

struct broker;
struct recovered;
struct recovery_state;

/* What came of it, for the log. */
struct recovery_counts {
	size_t sessions, subscriptions, retained, bridges, wills;
	size_t were_connected; /* of the sessions */
	size_t orphans;        /* sessions whose account is gone */
	size_t wrong;          /* records whose body makes no sense */
	uint64_t queued;       /* messages that wait for sessions */
};

/* NULL: no memory. */
struct recovery_state *recovery_state_new(
    struct broker *broker, struct recovered *recovered);

/* Accepts NULL. */
void recovery_state_free(struct recovery_state *state);

/*
 * From the store, in its order; see struct store_sink.  0, -ENOMEM, or
 * -ENOTSUP: of a newer version.
 */
int recovery_state_record(struct recovery_state *state, uint8_t kind,
    uint64_t sequence, struct slice body);
int recovery_state_covered(
    struct recovery_state *state, const struct store_message *message);
int recovery_state_message(struct recovery_state *state, uint64_t sequence,
    const struct store_message *message);
int recovery_state_closed(struct recovery_state *state, uint64_t cursor);

/* The greatest number of a cursor that came. */
uint64_t recovery_state_last_cursor(const struct recovery_state *state);

/* All has come: the store is open.  0 or -ENOMEM. */
int recovery_state_finish(struct recovery_state *state, struct store *store,
    struct recovery_counts *out_counts);

#endif
