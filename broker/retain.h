/* SPDX-License-Identifier: Apache-2.0 */

/*
 * retain - the retained messages, one a topic, of no session [MQTT3-3.1.2-7].
 *
 * They are kept in the order of their topics, level by level, so a lookup by
 * filter jumps from one possible topic to the next instead of looking at all:
 * it costs what it finds.  A lookup goes in slices: the topic that came last
 * is the place to go on from, whatever was stored or cleared in between.
 *
 *	struct retained_cursor cursor = { 0 };
 *
 *	while ((n = retained_find(retained, filter, &cursor, list, 64)) != 0)
 *		... deliver n messages, message_put() each ...
 *	retained_cursor_fini(&cursor);
 *
 * Each change has a serial, larger than that of all changes before it.  With a
 * journal it goes into the message's record: two threads may commit in another
 * order than they stored in, and the serial tells recovery which came last.
 *
 * What the broker itself retains below $SYS is beside the limits, and neither
 * counted nor in what is found for the journal.
 *
 * Any thread may call; the lock is held for one slice at most.
 */

#ifndef WEIR_BROKER_RETAIN_H
#define WEIR_BROKER_RETAIN_H

#include <stddef.h>
#include <stdint.h>

#include "broker/message.h"

struct retained;

/* Where a lookup stands; zeroed at first. */
struct retained_cursor {
	uint8_t *topic; /* the last one that was found, on the heap */
	size_t length;
	uint64_t serial; /* only what was stored up to then is found */
};

/* At most so many messages and bytes (message_weight()).  NULL: no memory. */
struct retained *retained_new(uint32_t max_messages, uint64_t max_bytes);

/* Accepts NULL. */
void retained_free(struct retained *retained);

/*
 * Keep `message` (a reference is taken) instead of what the topic had; with
 * an empty payload only forget that [MQTT-3.3.1-6] [MQTT-3.3.1-7].
 * Returns 0; -ENOSPC at a limit, -ENOMEM: what the topic had is gone in both
 * cases, for it is out of date.  *out_serial (may be NULL) is set in any case;
 * from 1.
 */
int retained_store(
    struct retained *retained, struct message *message, uint64_t *out_serial);

/*
 * Up to `max` messages that match the filter (not a shared one) and have not
 * expired by `now_ns`; a reference each.  Expired ones on the way are
 * forgotten.  Returns how many; 0: there are no more.
 */
size_t retained_find(struct retained *retained, struct slice filter,
    struct retained_cursor *cursor, struct message **list, size_t max,
    uint64_t now_ns);

void retained_cursor_fini(struct retained_cursor *cursor);

/*
 * The same for all messages there are, those below "$" too but for the
 * broker's own, with the serial of each in `serials`, whatever was stored
 * meanwhile.
 */
size_t retained_slice(struct retained *retained, struct retained_cursor *cursor,
    struct message **list, uint64_t *serials, size_t max, uint64_t now_ns);

/*
 * Recovery, before anybody else calls: as retained_store() with the serial of
 * a former life, in any order and without limits; what the topic has of a
 * greater serial stays.  Then retained_restored(): further changes come after
 * `serial` and all that were restored.  0 or -ENOMEM.
 */
int retained_restore(
    struct retained *retained, struct message *message, uint64_t serial);
void retained_restored(struct retained *retained, uint64_t serial);

/* The serial of the last change: all up to it are in what is found now. */
uint64_t retained_serial(struct retained *retained);

size_t retained_count(struct retained *retained);
uint64_t retained_bytes(struct retained *retained);

#endif
