/* SPDX-License-Identifier: Apache-2.0 */

/*
 * deliver - bring messages to the sessions of this worker.
 *
 * What many receivers get alike is encoded once for each version, QoS and
 * retain flag, and only the packet identifier differs; the payload is copied
 * once, from the message to the connection's output.
 *
 *	deliver_begin(worker, message);
 *	for each receiver: deliver(worker, session, &item)
 *
 * The worker's thread only.
 */

#ifndef WEIR_BROKER_DELIVER_H
#define WEIR_BROKER_DELIVER_H

#include <stdbool.h>

#include "broker/outbox.h"
#include "common/base/clock.h"

/* After a read of the journal that failed. */
#define DELIVER_READ_AGAIN_NS (100 * CLOCK_MS_NS)

struct encoder;
struct session;
struct worker;

/* NULL without memory. */
struct encoder *encoder_new(void);
void encoder_free(struct encoder *encoder);

/* What follows is about `message`. */
void deliver_begin(struct worker *worker, const struct message *message);

/*
 * QoS 0: write it, or drop it if the client is away or too slow.  QoS 1 and
 * 2: write it, or let it wait in the session; beyond the limits drop it.
 * With item->sequence it is in the journal, and waits there if need be.
 * Every drop is counted by its reason.
 */
void deliver(struct worker *worker, struct session *session,
    const struct outbox_item *item);

/* Send what waits, as far as the window and the output have room. */
void deliver_waiting(struct worker *worker, struct session *session);

/*
 * The client is back: send again, in order and as fast as it reads, what it
 * has not acknowledged [MQTT-4.4.0-1], expired or not [MQTT-4.3.3-7], of shares
 * too [MQTT-4.8.2-4]; then what waits.  That alone is marked DUP [MQTT-3.3.1-3]
 * [MQTT-4.3.2-2] [MQTT-4.3.3-2].
 */
void deliver_resume(struct worker *worker, struct session *session);

/* A message in flight is acknowledged or given up: forget it. */
void deliver_done(struct session *session, struct outgoing *outgoing);

/* The journal need not keep this one for the session; 0: it does not. */
void deliver_forget(struct session *session, uint64_t sequence);

/* A read of the session's messages has failed: it is tried again. */
void deliver_read_failed(struct worker *worker, struct session *session);

/* Is there room to begin a PUBLISH to this session's client? */
bool deliver_has_room(const struct session *session);

#endif
