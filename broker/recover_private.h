/* SPDX-License-Identifier: Apache-2.0 */

/*
 * recover_private - what recover_state.c (while records come) and
 * recover_finish.c (once all have come) share.
 */

#ifndef WEIR_BROKER_RECOVER_PRIVATE_H
#define WEIR_BROKER_RECOVER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/dead.h"
#include "broker/recover.h"
#include "broker/recover_state.h"
#include "common/base/fifo.h"

struct session;
struct will;

/* A message for a bridge. */
struct recovery_behind {
	uint64_t sequence;
	bool is_httpds; /* weir-httpd counts it */
};

/* What the records say of a cursor. */
struct recovery_entry {
	struct recovery_entry *next; /* in its bucket */
	uint64_t cursor;
	struct session *session;
	struct will *will;
	uint64_t left_ns; /* 0: it was connected */
	char *account;    /* one that is not there any more */
	char *bridge;     /* it is one */
	struct store_bridge_terms terms;
	struct dead dead;   /* its letters */
	struct fifo behind; /* struct recovery_behind: not in the terms */
	uint64_t *received; /* sequences of QoS 2 that the client has */
	size_t received_count;
	bool is_open;
};

struct recovery_state {
	struct broker *broker;
	struct recovered *recovered;
	struct recovery_entry **buckets;
	size_t bucket_count;
	size_t count;
	uint64_t last;   /* the journal's last sequence; from the finish on */
	uint64_t serial; /* retained: the checkpoint knows all up to it */
	uint64_t ahead_ns;
	uint64_t last_cursor;
	size_t subscribed; /* records */
	size_t room;       /* that the tree of subscriptions has */
	struct recovery_counts counts;
};

/* NULL: the journal does not know it. */
struct recovery_entry *recovery_state_find(
    const struct recovery_state *state, uint64_t cursor);

#endif
