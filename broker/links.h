/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links - the thread that owns the rings: control socket, endpoints, lanes.
 *
 * It listens on run_dir/broker.sock (or takes the socket from systemd),
 * creates the memory of each link, grants it to endpoints, and then moves
 * records: from httpd's and bridged's lanes to local subscribers and bridges'
 * rings, from the workers' ports to bridges' rings, receipts back.  A head
 * record is taken only when all its destinations have room.
 *
 * Runs on the main thread's loop; every function is for that thread.
 */

#ifndef WEIR_BROKER_LINKS_H
#define WEIR_BROKER_LINKS_H

#include <stdbool.h>

#include "broker/store/store_record.h"
#include "common/base/slice.h"

struct bridge_port;
struct broker;
struct conf;
struct commit_member;
struct links;

/*
 * Bind the control socket and make the links of all configured bridges and
 * of httpd.  Errors are logged.  NULL with errno (EADDRINUSE: another broker
 * lives on this run_dir).
 */
struct links *links_new(struct broker *broker);

/* Begin to serve; call once the workers exist. */
int links_start(struct links *links);

/*
 * The port of worker `index`.  `moved` is called on the worker's thread, by
 * mail, when its windows opened or tickets were committed.
 */
struct bridge_port *links_port(struct links *links, unsigned index,
    void (*moved)(void *context), void *context);

/* The links thread as a member of the commit (commit.h). */
void links_commit_member(struct links *links, struct commit_member *out_member);

/*
 * For a checkpoint: STORE_BRIDGE of each bridge that is configured, and
 * STORE_SOURCE of each lane.  Ends with what `put` returned if it is not 0.
 */
int links_checkpoint(struct links *links,
    int (*put)(void *context, enum store_kind kind, struct slice body),
    void *context);

/*
 * Another configuration: what bridges do without room, and their backlogs.
 * Before links_filters_changed(), by which programs learn of it.
 */
void links_policies_changed(struct links *links, const struct conf *conf);

/*
 * The bridge table has other filters: programs get them, and records that
 * wait are looked at again.
 */
void links_filters_changed(struct links *links);

/*
 * Stop taking from producers and hand over what is on its way.
 * Returns true when nothing is left in ports and lanes, the rings of bridges
 * that are attached included.  Call it again until then.
 */
bool links_drain(struct links *links);

/*
 * After the workers have ended and all mail is opened: the ports' letters
 * die with them.  Messages made here may live on; their pools are
 * broker->links_messages.
 */
void links_free(struct links *links);

#endif
