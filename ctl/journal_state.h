/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal_state - what the records of the journal come to.
 *
 * Records are applied in the order in which store_open() tells them; what is
 * left is the state that a broker would begin with: sessions with their
 * subscriptions, retained messages, bridges, and where each cursor stands.
 * Messages that wait stay in the journal; only their numbers are here.
 *
 * One thread.  Slices that are handed out are valid until the next change.
 */

#ifndef WEIR_CTL_JOURNAL_STATE_H
#define WEIR_CTL_JOURNAL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store.h"

struct journal_state;

/* Whose a cursor is. */
enum journal_owner_kind {
	JOURNAL_UNKNOWN, /* nobody's that is in the journal: a removed bridge */
	JOURNAL_SESSION,
	JOURNAL_BRIDGE
};

struct journal_owner {
	enum journal_owner_kind kind;
	uint64_t cursor;
	struct slice name; /* client identifier, or the bridge's name */
	const struct store_session *session; /* NULL unless it is one */
	size_t subscriptions;
	struct store_cursor queue; /* all zero: not open */
};

struct journal_counts {
	size_t sessions, bridges, unknown, subscriptions, retained;
	uint64_t retained_bytes; /* topics, properties, payloads */
	uint64_t queued, queued_bytes;
	uint64_t unreadable; /* records of a body that is none; passed over */
};

/* NULL: no memory. */
struct journal_state *journal_state_new(void);
void journal_state_free(struct journal_state *state);

/* All 0 or -ENOMEM; a body that is damaged is counted and passed over. */
int journal_state_apply(
    struct journal_state *state, uint8_t kind, struct slice body);
int journal_state_message(
    struct journal_state *state, const struct store_message *message);
int journal_state_open(struct journal_state *state, uint64_t cursor);
void journal_state_close(struct journal_state *state, uint64_t cursor);

/* Where a cursor stands; copied. */
int journal_state_set_queue(
    struct journal_state *state, const struct store_cursor *queue);

/* Is the message of this sequence still to be delivered to the cursor? */
bool journal_state_waits(
    const struct journal_state *state, uint64_t cursor, uint64_t sequence);

/* Of these, has the subscriber said PUBREC? */
bool journal_state_is_received(
    const struct journal_state *state, uint64_t cursor, uint64_t sequence);

void journal_state_count(
    const struct journal_state *state, struct journal_counts *out_counts);

/* By cursor; a result other than 0 ends it and is returned. */
int journal_state_each_owner(const struct journal_state *state,
    int (*each)(void *arg, const struct journal_owner *owner), void *arg);

/*
 * The state as records that come to it when they are applied, for a
 * checkpoint or an export; a result other than 0 ends it and is returned.
 * Also -ENOMEM.
 */
int journal_state_each_record(const struct journal_state *state,
    int (*each)(void *arg, uint8_t kind, struct slice body), void *arg);

#endif
