/* SPDX-License-Identifier: Apache-2.0 */

/*
 * will - the Will Message of a connection, and how it is published.
 *
 * A will is kept with the session and published when the connection ends
 * other than by DISCONNECT [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10], after
 * its delay [MQTT-3.1.3-9], with all its properties [MQTT-3.1.3-10] and
 * retained or not [MQTT-3.1.2-14] [MQTT-3.1.2-15].  When a bridge has no room
 * for it, it waits in a queue of its worker, which is bounded by
 * WILL_MAX_WAITING.
 *
 * With a journal it is part of the session's record until its message has
 * been sent there: the end of a will is a record behind its message, so a
 * broker that dies in between publishes it again rather than never.
 */

#ifndef WEIR_BROKER_WILL_H
#define WEIR_BROKER_WILL_H

#include <stddef.h>
#include <stdint.h>

#include "common/mqtt/packet.h"

#define WILL_MAX_WAITING 10000

struct store_session;
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

/* Its connection is gone: when it is to be published, by clock_now_ns(). */
void will_set_due(struct will *will, uint64_t due_ns);
uint64_t will_due_ns(const struct will *will);

/* Whose it is, see auth.h. */
uint64_t will_identity(const struct will *will);

/*
 * Into and out of a session's record: the fields that begin with will_, and
 * has_will.  Slices point into the will.  will_restore(): NULL without memory.
 */
void will_describe(const struct will *will, struct store_session *session);
struct will *will_restore(
    const struct store_session *session, uint64_t identity);

/*
 * It leaves its session to be published: by this its end is journalled.
 * `left_ns` by the wall clock.  Without a cursor (0) it is not.
 */
void will_set_owner(struct will *will, uint64_t cursor, uint64_t left_ns);
uint64_t will_cursor(const struct will *will);
uint64_t will_left_ns(const struct will *will);

/*
 * Takes `will`: it is published at the end of the turn, or as soon as there
 * is room.  (Not at once: a connection may end in the middle of routing.)
 */
void will_publish(struct worker *worker, struct will *will);

/*
 * Recovery, before the worker runs: as will_publish(), but for those that are
 * in memory already there is no bound.
 */
void will_publish_restored(struct worker *worker, struct will *will);

/* The next one that waits, the first for NULL; NULL: there are no more. */
struct will *will_next_waiting(
    const struct worker *worker, const struct will *will);

/* Publish what waits: at the end of a turn, or when bridges have room. */
void will_retry(struct worker *worker);

/* The worker ends: forget what still waits. */
void will_queue_fini(struct worker *worker);

#endif
