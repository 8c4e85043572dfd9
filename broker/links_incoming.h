/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_incoming - a record from an endpoint, checked like what a network
 * brings.
 *
 * Endpoints are not trusted: the body was copied to private memory before it
 * is looked at, and all of it is checked, for the ring layer knows nothing of
 * its contents.
 */

#ifndef WEIR_BROKER_LINKS_INCOMING_H
#define WEIR_BROKER_LINKS_INCOMING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/mqtt/reason.h"
#include "common/msg/record.h"
#include "common/ring/ring_layout.h"

struct links;
struct links_endpoint;
struct links_lane;
struct message;

/* A record at the head of a lane, copied and looked at. */
struct links_incoming {
	struct links *links;
	struct links_endpoint *endpoint;
	struct links_lane *lane;
	struct ring_record record;
	struct record_message message;
	enum mqtt_reason reason; /* an error: it goes nowhere */
	uint64_t reliable;       /* bridges that must have it yet */
	uint64_t droppable;      /* bridges that may lose it */
	uint64_t late; /* of them: by what its producer knew when it chose */
	uint64_t held; /* bridges that have it already */
	unsigned receivers; /* refused: enum record_detail */
	uint64_t ticket;    /* to be waited for; 0: nothing */
	bool may_queue;     /* nothing of this lane was taken in this turn */
};

/*
 * Take the MESSAGE body in links->scratch apart into in->message.
 * Returns MQTT_SUCCESS or what is wrong: layout, topic, properties, size, or
 * an identity that may not publish.
 */
enum mqtt_reason links_incoming_check(struct links_incoming *in);

/* What came, as a message.  NULL: no memory. */
struct message *links_incoming_message(const struct links_incoming *in);

#endif
