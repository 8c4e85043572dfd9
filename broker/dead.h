/* SPDX-License-Identifier: Apache-2.0 */

/*
 * dead - the dead letters of one bridge: what its remote will never take.
 *
 * They are kept with the reason, the oldest first, up to a number and to bytes
 * of memory; who adds one makes room before (links_dead.h, who tells the
 * journal too).  Each has a number of its own, from 1, never used twice.
 *
 *	while (!dead_has_room(dead, length) && dead->first != NULL)
 *		dead_remove(dead, dead->first);
 *	if (dead_has_room(dead, length))
 *		dead_add(dead, id, &parts);
 *
 * One thread.
 */

#ifndef WEIR_BROKER_DEAD_H
#define WEIR_BROKER_DEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct dead_letter {
	struct dead_letter *next, *previous;
	uint64_t id;
	uint64_t wall_ns; /* CLOCK_REALTIME: when the remote refused it */
	uint32_t attempts;
	uint32_t memory;   /* the ring it was in, by its name (sources.h) */
	uint64_t sequence; /* in that ring */
	uint64_t journal;  /* in the journal; 0: it was not there */
	uint32_t why_length, message_length;
	uint8_t bytes[]; /* why, then the message as in record.h */
};

/* What a letter is made of; everything is copied. */
struct dead_parts {
	uint64_t wall_ns;
	uint32_t attempts;
	uint32_t memory;
	uint64_t sequence, journal;
	struct slice why, message;
};

/* Embed it by value, zeroed but for the limits: no letter at all. */
struct dead {
	uint64_t max_count, max_bytes;
	struct dead_letter *first, *last;
	uint64_t count, bytes;
	uint64_t last_id;                /* that was given out */
	uint64_t newest_journal;         /* of all there ever were */
	uint64_t kept, dropped, retried; /* ever, in this life */
};

void dead_fini(struct dead *dead);

/* Of a letter with so many bytes of reason and message. */
bool dead_has_room(const struct dead *dead, size_t length);

/* The newest.  `id` 0: the next number.  NULL: no memory. */
struct dead_letter *dead_add(
    struct dead *dead, uint64_t id, const struct dead_parts *parts);
void dead_remove(struct dead *dead, struct dead_letter *letter);

/* NULL: there is none. */
struct dead_letter *dead_find(const struct dead *dead, uint64_t id);

/*
 * Is it a copy of one that is, or was, here?  A bridge that died before it
 * gave the record back finds out once more that its remote refuses it.
 */
bool dead_has(const struct dead *dead, const struct dead_parts *parts);

static inline struct slice
dead_why(const struct dead_letter *letter)
{
	return slice_of(letter->bytes, letter->why_length);
}

static inline struct slice
dead_message(const struct dead_letter *letter)
{
	return slice_of(
	    letter->bytes + letter->why_length, letter->message_length);
}

#endif
