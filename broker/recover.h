/* SPDX-License-Identifier: Apache-2.0 */

/*
 * recover - the broker as the journal left it.
 *
 * Before any thread runs: opens the store in state_dir/journal and makes the
 * sessions, subscriptions, retained messages, unfinished QoS 2 identifiers,
 * wills that are due, and the bridges' cursors.  Messages that wait stay in
 * the journal; sessions and bridges read them when they have somebody to send
 * them to (feed.h).
 *
 * Progress goes to the log and to systemd's status; what was damaged is said
 * in the log with what it cost.
 */

#ifndef WEIR_BROKER_RECOVER_H
#define WEIR_BROKER_RECOVER_H

#include <stdint.h>

#include "broker/sources.h"
#include "broker/store/store.h"

struct broker;

/* What the links thread needs of it, by bridge number. */
struct recovered_bridge {
	uint64_t cursor; /* 0: the journal does not know it yet */
	uint64_t floor;
	uint64_t last; /* the last sequence that waits for it; 0: none */
	uint64_t queued, queued_bytes;
};

struct recovered {
	struct recovered_bridge bridges[64];
	struct sources sources; /* of messages and STORE_SOURCE records */
};

/*
 * broker->store and broker->recovered are set.  EXIT_OK, or an exit code
 * after logging what is wrong.
 */
int recover_broker(struct broker *broker);

void recovered_free(struct recovered *recovered);

#endif
