/* SPDX-License-Identifier: Apache-2.0 */

/* journal_state_private - its nodes, for the two files of journal_state. */

#ifndef WEIR_CTL_JOURNAL_STATE_PRIVATE_H
#define WEIR_CTL_JOURNAL_STATE_PRIVATE_H

#include "ctl/journal_letters.h"
#include "ctl/journal_state.h"

/* A bit for each packet identifier. */
#define UNFINISHED_BYTES 8192

/* What is known of a cursor. */
struct owner {
	uint64_t cursor;
	enum journal_owner_kind kind;
	struct slice name;
	struct store_session session; /* points into `body` */
	void *body;                   /* of the session, or the bridge's name */
	void *subscriptions;          /* tree of struct subscription */
	size_t subscription_count;
	uint8_t *unfinished; /* UNFINISHED_BYTES, or NULL: none */
	struct store_packet *received;
	size_t received_count;
	struct store_cursor queue; /* its `over` is the next */
	uint64_t *over;            /* sorted */
	bool is_open;              /* `queue` is set */
	struct store_bridge_terms terms;
	struct journal_letters letters;
};

/* The filter is behind it. */
struct subscription {
	struct store_subscribe subscribe;
};

/* A retained message; topic and body are behind it. */
struct kept {
	struct slice topic;
	uint64_t serial;
	uint64_t bytes;    /* that it counts for */
	struct slice body; /* empty: it was cleared */
};

struct journal_state {
	void *owners;           /* tree of struct owner */
	void *retained;         /* tree of struct kept */
	void *lanes;            /* tree of struct store_source */
	uint64_t retain_serial; /* the last one that was seen */
	uint64_t retain_floor;  /* up to it the checkpoint knows all */
	struct store_start start;
	bool has_start;
	uint64_t unreadable;
};

#endif
