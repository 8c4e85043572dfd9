/* SPDX-License-Identifier: Apache-2.0 */

/*
 * route - bring a message to the local subscribers.
 *
 * Any thread that is registered with RCU may route: it reads the
 * subscription tree without a lock, hands what is its own worker's over
 * directly and puts the rest into the other workers' mailboxes, one letter a
 * worker.  Retained messages are stored on the way.
 */

#ifndef WEIR_BROKER_ROUTE_H
#define WEIR_BROKER_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/message.h"
#include "common/base/slice.h"

struct broker;
struct commit_item;
struct pool_trimmer;
struct router;
struct session;
struct worker;

/*
 * What a thread needs to route; one for each worker and one for the links
 * thread (`worker` NULL), made and freed by that thread.  NULL: no memory.
 */
struct router *router_new(struct broker *broker, struct worker *worker);

/* Have its memory given back after bursts. */
void router_trim(struct router *router, struct pool_trimmer *trimmer);

/* The calling thread routes with it from now on. */
void router_adopt(struct router *router);

/* All its letters must have been opened.  Accepts NULL. */
void router_free(struct router *router);

/*
 * Deliver `message` to every session whose subscription matches
 * [MQTT-4.5.0-1], in the order of the calls [MQTT-4.6.0-5] [MQTT-4.6.0-6], and
 * store or clear it as retained if message->retain [MQTT-3.3.1-5]
 * [MQTT-3.3.1-6]. `worker` is the calling worker, NULL on the links thread.
 * `publisher` is the session it came from (for No Local [MQTT-3.8.3-3]), NULL
 * if none. The caller keeps its reference.  Returns the number of receiving
 * sessions.
 */
unsigned route_local(struct broker *broker, struct worker *worker,
    struct message *message, const struct session *publisher);

/*
 * With a journal, for QoS 1 and 2: as route_local(), but nothing is delivered
 * now; the receivers are added to `item`, those whose queue is full are
 * counted as dropped and left out.  *out_retain_serial: see retain.h, 0 if it
 * is not retained.  Returns the number of receiving sessions, or -ENOMEM: the
 * item lacks some and must not be sent; it may be tried again from the start.
 */
int route_collect(struct broker *broker, struct worker *worker,
    struct message *message, const struct session *publisher,
    struct commit_item *item, uint64_t *out_retain_serial);

/*
 * With a journal: does a durable session get messages of this topic?  If not,
 * route_found() is route_local() for who was found, at once and at most once;
 * nothing else may be routed in between.
 */
bool route_is_durable(struct broker *broker, struct worker *worker,
    struct slice topic, const struct session *publisher);
unsigned route_found(struct broker *broker, struct worker *worker,
    struct message *message, const struct session *publisher);

/*
 * To one member of a share, chosen now, if its filter is still subscribed to.
 * With a journal by `item`, as route_collect(); else at once, `item` NULL.
 * Returns how many get it, 0 or 1, or -ENOMEM.
 */
int route_share(struct broker *broker, struct worker *worker,
    struct message *message, uint32_t share, struct commit_item *item);

/* The serial (retain.h) of the retained message that was routed last. */
uint64_t route_retain_serial(struct broker *broker, struct worker *worker);

/*
 * May one more message be routed now?  False while too many letters of this
 * thread are not opened yet: their readers are behind, so producers wait.
 */
bool route_has_room(struct broker *broker, struct worker *worker);

/* Once after a batch of route_local() calls: wake the workers written to. */
void route_flush(struct broker *broker, struct worker *worker);

#endif
