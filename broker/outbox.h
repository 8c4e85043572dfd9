/* SPDX-License-Identifier: Apache-2.0 */

/*
 * outbox - the QoS 1 and 2 messages that go to one session.
 *
 * A message waits (in order, within limits), then is in flight with a packet
 * identifier until the client has acknowledged it:
 *
 *	outbox_put() -> waiting -> outbox_take() -> in flight -> outbox_done()
 *
 * At most `window` are in flight: the client's Receive Maximum
 * [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]; no other packet waits for it
 * [MQTT-3.3.4-10] [MQTT-4.9.0-3].  Those stay there until PUBACK
 * [MQTT-4.3.2-3] or PUBREC [MQTT-4.3.3-3], then until PUBCOMP without being
 * sent again [MQTT-4.3.3-5] [MQTT-4.3.3-6].  Messages in flight stay in the
 * order in which they were first sent, which is the order to send them again
 * in [MQTT-4.6.0-1].
 *
 * What is in the journal has its sequence, and its packet identifier follows
 * from that: a broker that was killed sends it again under the same one,
 * without having written it down.  In flight such messages lie in the order
 * of their sequences, which is the order they were sent in.
 *
 * An empty outbox has no memory of its own.  The worker's thread only.
 */

#ifndef WEIR_BROKER_OUTBOX_H
#define WEIR_BROKER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/message.h"

struct pool;

/* Where a message in flight is. */
enum outgoing_stage {
	OUTGOING_WAITING,
	OUTGOING_SENT,    /* PUBLISH went out */
	OUTGOING_RECEIVED /* QoS 2: PUBREC came, PUBREL went out */
};

/* One message on its way to one session. */
struct outgoing {
	struct outgoing *next;
	struct outgoing *previous;
	struct outgoing *next_in_place;
	struct message *message; /* NULL once RECEIVED, or forgotten */
	uint64_t sequence;       /* in the journal; 0: not there */
	uint32_t *identifiers;   /* more than one: all of them, on the heap */
	uint32_t identifier;     /* Subscription Identifier, 0: none */
	uint16_t identifier_count;
	uint16_t packet_id; /* 0 while waiting */
	uint8_t qos;
	bool retain;
	uint8_t stage;  /* enum outgoing_stage */
	uint32_t share; /* as in struct outbox_item */
};

struct outgoing_list {
	struct outgoing *first;
	struct outgoing *last;
};

/* Embed it by value, zeroed but for `window`. */
struct outbox {
	struct outgoing_list in_flight;
	struct outgoing_list waiting;
	uint32_t in_flight_count;
	uint32_t waiting_count;
	uint64_t waiting_bytes;   /* message_weight() */
	struct outgoing **places; /* in flight, chains by packet identifier */
	uint32_t place_count;     /* a power of two, or 0 */
	uint16_t last_id;
	uint16_t window;
};

/* What a message to a session is made of. */
struct outbox_item {
	struct message *message;
	uint64_t sequence; /* in the journal; 0: not there */
	uint8_t qos;       /* granted */
	bool retain;
	uint32_t share; /* it is a share's: its number; else 0 */
	const uint32_t *identifiers;
	size_t identifier_count;
};

struct outbox_limits {
	uint32_t max_messages; /* waiting */
	uint64_t max_bytes;
};

/* The packet identifier of what is in the journal. */
static inline uint16_t
outbox_packet_id(uint64_t sequence)
{
	return (uint16_t)(1 + sequence % UINT16_MAX);
}

/*
 * Let it wait; takes a reference of its own.  `limits` NULL: there are none.
 * Returns 0, -ENOSPC at a limit, or -ENOMEM (also: the pool is empty).
 */
int outbox_put(struct outbox *outbox, struct pool *pool,
    const struct outbox_limits *limits, const struct outbox_item *item);

/* The one to be sent next, if the window allows one; else NULL. */
struct outgoing *outbox_peek(const struct outbox *outbox);

/*
 * Put the one that outbox_peek() gave in flight, with a packet identifier
 * that no other has [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1].  Returns 0;
 * -EBUSY: the identifier that its sequence gives it is still another's; or
 * -ENOMEM.
 */
int outbox_take(struct outbox *outbox, struct outgoing *outgoing);

/*
 * Recovery: the client has had it (PUBREC) in a former life, and gets PUBREL.
 * Returns 0, also if another has that identifier; or -ENOMEM.
 */
int outbox_restore_received(
    struct outbox *outbox, struct pool *pool, uint64_t sequence);

/*
 * Forget all that waits.  Returns the first one's sequence, or 0.
 */
uint64_t outbox_drop_waiting(struct outbox *outbox, struct pool *pool);

/* In flight under this identifier, or NULL. */
struct outgoing *outbox_find(const struct outbox *outbox, uint16_t packet_id);

/*
 * It was sent, and will not be sent again: the session ends with its
 * connection.  Only its packet identifier is still of interest.
 */
void outbox_forget_message(struct outgoing *outgoing);

/* PUBREC came: the message itself is needed no more. */
void outbox_received(struct outgoing *outgoing);

/* Acknowledged, or given up, in any stage: forget it. */
void outbox_done(
    struct outbox *outbox, struct pool *pool, struct outgoing *outgoing);

/* Forget everything. */
void outbox_fini(struct outbox *outbox, struct pool *pool);

/* The Subscription Identifiers of one. */
const uint32_t *outgoing_identifiers(const struct outgoing *outgoing);

#endif
