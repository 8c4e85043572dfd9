/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bridge_port_links - the links thread's half of the ports (bridge_port.h).
 *
 *	bridge_port_collect(port)	what the worker sent, sorted by bridge
 *	while ((item = bridge_port_head(port, bridge)) != NULL) {
 *		... put item->message into the bridge's ring ...
 *		bridge_port_advance(port, bridge);
 *	}
 *	... commit the rings ...
 *	bridge_port_publish(port)	windows open, tickets are committed,
 *					the worker gets one letter
 *
 * Each (port, bridge) is a queue of its own: a bridge that does not take
 * anything holds nothing but its own queue, which its window bounds.
 */

#ifndef WEIR_BROKER_BRIDGE_PORT_LINKS_H
#define WEIR_BROKER_BRIDGE_PORT_LINKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bridge_port.h"
#include "broker/mailbox.h"

struct bridge_port_spec {
	unsigned bridges;    /* how many there are */
	size_t window_bytes; /* for each bridge */

	/* Those with overflow = "reject". */
	const _Atomic uint64_t *rejecting;

	/* Bridges whose ring has no room; written by the links thread. */
	const _Atomic uint64_t *full;

	/* Told on the links thread that there is something to collect. */
	struct mailbox *links_mailbox;
	void (*sent)(void *context, struct bridge_port *port);
	void *sent_context;

	/* Told on the worker's thread, by mail, after a publish. */
	struct mailbox *worker_mailbox;
	void (*moved)(void *context);
	void *moved_context;
};

/* One message on its way to one bridge. */
struct bridge_port_item {
	struct message *message; /* its reference is the item's */
	uint64_t ticket;
	size_t weight;
	unsigned bridge;
	struct bridge_port_item *next; /* private */
};

/* Made by the links thread before the worker runs.  NULL with errno. */
struct bridge_port *bridge_port_new(const struct bridge_port_spec *spec);

/* When worker and links have ended; drops what is still queued. */
void bridge_port_free(struct bridge_port *port);

void bridge_port_collect(struct bridge_port *port);

/* Bridges that have something waiting in this port. */
uint64_t bridge_port_waiting(const struct bridge_port *port);

/* The oldest item, still the port's; NULL when there is none. */
struct bridge_port_item *bridge_port_head(
    struct bridge_port *port, unsigned bridge);

/* Done with the oldest item: in the ring, not yet committed, or given up. */
void bridge_port_advance(struct bridge_port *port, unsigned bridge);

/* Everything advanced so far is committed.  Returns true if that was news. */
bool bridge_port_publish(struct bridge_port *port);

/* Have the worker look again, for another reason. */
void bridge_port_moved(struct bridge_port *port);

/* Refusals of this bridge since the last call, for its counters. */
uint64_t bridge_port_refused(struct bridge_port *port, unsigned bridge);

#endif
