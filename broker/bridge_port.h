/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bridge_port - the way of an MQTT worker to the bridges' rings.
 *
 * The rings belong to the links thread.  Each worker has one port; through it
 * goes what its clients publish to bridged topics.  For each bridge a port
 * has a window of bytes (configuration: worker_window) that may be on the
 * way to that bridge's ring:
 *
 *	bridges = bridge_table_match(table, topic);
 *	switch (bridge_port_offer(port, bridges, weight)) {
 *	case BRIDGE_PORT_TAKES:  ticket = bridge_port_send(...)
 *	case BRIDGE_PORT_STALLS: park the PUBLISH, before any side effect
 *	case BRIDGE_PORT_REJECTS: refuse it (0x97), before any side effect
 *	}
 *
 * A PUBLISH of QoS 1 or 2 is acknowledged when its ticket is committed: then
 * the record is in the ring of every bridge that stalls or rejects.  The
 * links thread calls the worker's `moved` function, on the worker's thread
 * (by mail), when windows opened or tickets were committed.
 *
 * All of it is for one thread, the worker; the links thread's half is in
 * bridge_port_links.h.  Sets of bridges are those of bridge_table.h.
 */

#ifndef WEIR_BROKER_BRIDGE_PORT_H
#define WEIR_BROKER_BRIDGE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bridge_table.h"
#include "broker/message.h"

struct bridge_port;

enum bridge_port_answer {
	BRIDGE_PORT_TAKES,
	BRIDGE_PORT_STALLS,  /* try again after `moved` */
	BRIDGE_PORT_REJECTS, /* a bridge with overflow = "reject" is full */
};

/* All or nothing over all `bridges`.  No side effect but counters. */
enum bridge_port_answer bridge_port_offer(
    struct bridge_port *port, uint64_t bridges, size_t weight);

/*
 * Send; takes a reference of its own.  Only after TAKES for the same weight.
 * Returns the ticket (from 1, growing).
 */
uint64_t bridge_port_send(
    struct bridge_port *port, uint64_t bridges, struct message *message);

/* True once `ticket` is in the rings of all of `bridges` (or given up). */
bool bridge_port_is_committed(
    const struct bridge_port *port, uint64_t bridges, uint64_t ticket);

/* Once after each event batch: wake the links thread if anything was sent. */
void bridge_port_flush(struct bridge_port *port);

#endif
