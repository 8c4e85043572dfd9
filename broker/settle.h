/* SPDX-License-Identifier: Apache-2.0 */

/*
 * settle - answers to a client that wait for the journal.
 *
 * CONNACK, SUBACK and UNSUBACK say that something is kept, so they are sent
 * when its record is committed (commit.h).  What is to be done then is a
 * `wait`; waits of a worker stand in one line, in the order of their tickets:
 *
 *	wait->ticket = ...; wait->settled = on_settled;
 *	settle_await(worker, client, wait);
 *
 * A client that closes is forgotten by its waits, which are settled
 * nevertheless.  The worker's thread only.
 */

#ifndef WEIR_BROKER_SETTLE_H
#define WEIR_BROKER_SETTLE_H

#include <stdint.h>

#include "common/mqtt/reason.h"

struct client;
struct commit_letter;
struct settle_wait;
struct worker;

/* First member of what waits. */
struct settle_wait {
	struct settle_wait *next;           /* private, as the next */
	struct settle_wait *next_of_client; /* in the order of tickets */
	uint64_t ticket;
	struct client *client; /* NULL: it has gone */

	/*
	 * MQTT_SUCCESS, or why it was not committed.  The wait is the
	 * callee's, to be freed.
	 */
	void (*settled)(struct settle_wait *wait, enum mqtt_reason reason);
};

/* Embed it in a worker, and in a client; zeroed. */
struct settle_line {
	struct settle_wait *first;
	struct settle_wait *last;
};

/* The ticket is this worker's, and not before that of the last wait. */
void settle_await(
    struct worker *worker, struct client *client, struct settle_wait *wait);

/* From the worker as a member of the commit: these tickets are settled. */
void settle_letter(struct worker *worker, const struct commit_letter *letter);

/* The connection is closed: its waits answer nobody. */
void settle_forget_client(struct client *client);

/* The worker ends: what still waits never gets an answer. */
void settle_fini(struct worker *worker);

#endif
