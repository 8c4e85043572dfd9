/* SPDX-License-Identifier: Apache-2.0 */

/*
 * held - which publishers are held, for whoever asks why.
 *
 * A worker writes the clients whose PUBLISH packets it holds to a board of
 * its own, a few times a second and only while there are any.  Once a second
 * the links thread sums the boards up, bridge by bridge, on the broker's side
 * of each bridge's link (common/base/board.h), where weirctl finds it, also
 * when this process is stopped:
 *
 *	publishers N NAME,...		client identifiers, "+": there are more
 *
 * Of each worker HELD_NAMES clients are named, those held longest.
 */

#ifndef WEIR_BROKER_HELD_H
#define WEIR_BROKER_HELD_H

#include <stdint.h>

#include "common/base/board.h"
#include "common/conf/conf.h"
#include "common/net/loop.h"

#define HELD_NAMES 8u
#define HELD_NAME_SIZE 56u

struct worker;

/* What is on a worker's board. */
struct held_clients {
	uint32_t count[CONF_MAX_BRIDGES]; /* held for this bridge */
	uint32_t named;
	struct {
		uint64_t bridges; /* as in bridge_table.h */
		char name[HELD_NAME_SIZE];
	} client[HELD_NAMES];
};

_Static_assert(sizeof(struct held_clients) <= BOARD_MAX, "fits a board");

/* In the worker. */
struct held {
	struct board board;
	struct loop_timer timer;
};

/* The worker's thread. */
void held_init(struct worker *worker);
void held_fini(struct worker *worker);

/* A client is held from now on: it is told soon. */
void held_note(struct worker *worker);

/* The links thread: what `held` says, to be added to what is there. */
void held_add(const struct held *held, struct held_clients *clients);

/* As lines of a board's text, for one bridge. */
void held_write(const struct held_clients *clients, unsigned bridge,
    struct board_text *text);

#endif
