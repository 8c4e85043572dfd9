/* SPDX-License-Identifier: Apache-2.0 */

/*
 * recover - the broker as the journal left it.
 *
 * Before any thread runs: opens the store and makes the sessions,
 * subscriptions, retained messages, unfinished QoS 2 identifiers, wills that
 * are due, and the bridges' cursors.  Messages that wait stay in the journal;
 * sessions and bridges read them when they have somebody to send them to
 * (feed.h).
 *
 * A session is there if its cursor is open; one that was connected left now.
 * It belongs to the account whose name it has: accounts are not in the
 * journal, for they live in the configuration and nothing else changes them.
 * Sessions of an account that is there no more end.
 *
 * Progress goes to the log and to systemd's status; what was damaged is said
 * in the log with what it cost.
 */

#ifndef WEIR_BROKER_RECOVER_H
#define WEIR_BROKER_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/dead.h"
#include "broker/sources.h"
#include "broker/store/store.h"

struct broker;

/* What the links thread needs of it, by bridge number. */
struct recovered_bridge {
	uint64_t cursor; /* 0: the journal does not know it yet */
	uint64_t floor;
	uint64_t last; /* the last sequence that waits for it; 0: none */
	uint64_t queued, queued_bytes;
	struct dead dead; /* its letters; who takes them empties it */
	struct store_bridge_terms terms;
	/* Messages behind them: all, and those of MQTT clients and bridges. */
	uint64_t given_behind, accepted_behind;
};

struct recovered {
	struct recovered_bridge bridges[64];
	uint64_t *closing; /* cursors that nobody has, to be closed */
	size_t closing_count;
	bool is_changed;        /* so a checkpoint is due */
	uint64_t committed;     /* the last sequence */
	struct sources sources; /* of messages and STORE_SOURCE records */
};

/*
 * broker->store, recovered and checkpoints are set; workers, tables and auth
 * are there.  EXIT_OK, or an exit code after logging what is wrong.
 */
int recover_broker(struct broker *broker, const struct store_spec *spec);

/* Accepts NULL. */
void recovered_free(struct recovered *recovered);

#endif
