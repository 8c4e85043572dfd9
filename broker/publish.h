/* SPDX-License-Identifier: Apache-2.0 */

/*
 * publish - a worker's messages into the journal.
 *
 *	switch (publish_offer(worker, bridges, weight, &taken)) {
 *	case PUBLISH_TAKES:
 *		ticket = publish_commit(worker, &publication, &receivers);
 *		...
 *
 * What the journal has is delivered and put into bridges' rings from there
 * (commit.h); the publisher is answered when the ticket is settled.
 *
 * The worker's thread only; there is a journal.
 */

#ifndef WEIR_BROKER_PUBLISH_H
#define WEIR_BROKER_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct commit_item;
struct message;
struct session;
struct worker;

enum publish_answer {
	PUBLISH_TAKES,
	PUBLISH_WAITS,   /* the disk is behind: try again when
			    worker_bridges_moved() */
	PUBLISH_STALLS,  /* a bridge's backlog is full: likewise */
	PUBLISH_REJECTS, /* one with overflow = "reject" is full */
	PUBLISH_REFUSES, /* the journal is full or ill: commit_refusal() */
};

struct publication {
	struct message *message;         /* stays the caller's */
	const struct session *publisher; /* NULL: none, as a will's */
	uint64_t bridges;                /* that publish_offer() gave */
	uint16_t packet_id; /* QoS 2 of a durable publisher, else 0 */
};

/*
 * May a message of this message_weight() be published?  If it TAKES, room is
 * claimed in the backlogs of *out_bridges, those of `bridges` that get it:
 * publish_commit() or publish_withdraw() is next.
 */
enum publish_answer publish_offer(struct worker *worker, uint64_t bridges,
    size_t weight, uint64_t *out_bridges);
void publish_withdraw(struct worker *worker, uint64_t bridges, size_t weight);

/*
 * Send it to the journal with all its receivers.  Returns the ticket; 0: no
 * memory, nothing was sent and the claim is withdrawn.
 */
uint64_t publish_commit(struct worker *worker,
    const struct publication *publication, unsigned *out_receivers);

/*
 * A retained message of QoS 0 that was delivered: the journal keeps it, and
 * nobody waits for that.  Without memory it does not.
 */
void publish_keep_retained(
    struct worker *worker, struct message *message, uint64_t serial);

/* Bridges as receivers of `item`; any member's thread.  False: no memory. */
bool publish_add_bridges(const struct broker *broker, struct commit_item *item,
    const struct message *message, uint64_t bridges);

#endif
