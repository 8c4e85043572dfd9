/* SPDX-License-Identifier: Apache-2.0 */

/*
 * will - the Will Message of a connection, and how it is published.
 *
 * A will is kept with the session and published when the connection ends
 * other than by DISCONNECT [MQTT-3.1.2-8], after its delay
 * [MQTT-3.1.3-9].  When a bridge has no room for it, it waits in a queue of
 * its worker, which is bounded by WILL_MAX_WAITING.
 */

#ifndef WEIR_BROKER_WILL_H
#define WEIR_BROKER_WILL_H

#include <stddef.h>
#include <stdint.h>

#include "common/mqtt/packet.h"

#define WILL_MAX_WAITING 10000

struct will;
struct worker;

/* Wills of one worker that wait for room; embed it, zeroed. */
struct will_queue {
	struct will *first;
	struct will *last;
	size_t count;
};

/* The will of a CONNECT that has one; NULL without memory. */
struct will *will_new(const struct mqtt_connect *connect, uint64_t identity);
void will_free(struct will *will);

uint64_t will_delay_ns(const struct will *will);

/*
 * Takes `will`: it is published at the end of the turn, or as soon as there
 * is room.  (Not at once: a connection may end in the middle of routing.)
 */
void will_publish(struct worker *worker, struct will *will);

/* Publish what waits: at the end of a turn, or when bridges have room. */
void will_retry(struct worker *worker);

/* The worker ends: forget what still waits. */
void will_queue_fini(struct worker *worker);

#endif
