/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_journal - the links thread and the journal (commit.h).
 *
 * A record from a lane is sent to the journal with all its receivers, the
 * bridges among them by their cursors; it is answered when its ticket is
 * settled (links_pending.h), and what it brings to bridges comes back with
 * the deliveries of all others (links_feed.h).
 *
 * Disk full or ill: httpd is refused (0x83), bridges wait.
 */

#ifndef WEIR_BROKER_LINKS_JOURNAL_H
#define WEIR_BROKER_LINKS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/claims.h"
#include "broker/sources.h"

struct board_text;
struct commit_port;
struct links;
struct links_endpoint;
struct links_incoming;
struct links_lane;
struct message;

/* Sampled records that may be on their way: the last ones are known. */
#define LINKS_TRACED_MAX 32u

struct links_journal {
	struct commit_port *port; /* NULL: there is no journal */
	uint64_t sent_ticket;     /* the last one */
	uint64_t settled;         /* all tickets up to it */
	uint64_t still_since_ns;  /* nothing was settled since; 0: all is */
	struct sources known;     /* what former lives have taken */
	struct claims claims;     /* for bridges, and not settled */

	struct store_source traced[LINKS_TRACED_MAX];
	unsigned next_traced;
};

/* With broker->recovered, before there are endpoints. */
void links_journal_init(struct links *links);

/* With broker->commit, when the links start. */
void links_journal_start(struct links *links);
void links_journal_fini(struct links *links);

/* A lane that was adopted: what a former life took is not taken again. */
void links_journal_know_lane(
    struct links_endpoint *endpoint, struct links_lane *lane);

/*
 * Bring a record that was found right to in->reliable and in->droppable, and
 * to all subscribers.  True: it is done with; in->ticket is to be waited for,
 * or in->reason is why it is refused.  False: it stays, see
 * links_ingress_wait().
 */
bool links_journal_place(struct links_incoming *in);

/* Those of `bridges` whose backlog has no room for so much. */
uint64_t links_journal_lacking(
    const struct links *links, uint64_t bridges, size_t weight);

/* Was it sampled where it entered? */
bool links_journal_was_traced(
    const struct links *links, const struct message *message);

/*
 * A line of a board's text while anything waits for the journal: records, and
 * since when (CLOCK_MONOTONIC) nothing was settled.
 */
void links_journal_tell(const struct links *links, struct board_text *text);

/* Once a turn: wake who waits for room, and the commit thread. */
void links_journal_flush(struct links *links);

#endif
