/* SPDX-License-Identifier: Apache-2.0 */

/*
 * feed - the part of a cursor's queue that is in memory.
 *
 * Messages for a session or a bridge are committed in the journal's order.
 * The owner keeps a window of them; what does not fit stays in the journal
 * and is read when the window has drained:
 *
 *	          no room: FEED_LATER
 *	LIVE ------------------------------> LAGGING <---+
 *	  ^                                     |        | feed_loaded(),
 *	  |  feed_loaded() up to all that came  v        | more to come
 *	  +---------------------------------- READING ---+
 *
 * So memory is the window, however long the queue, and order is that of the
 * journal in any case.  The owner's thread only.
 */

#ifndef WEIR_BROKER_FEED_H
#define WEIR_BROKER_FEED_H

#include <stdbool.h>
#include <stdint.h>

/* Embed it by value; feed_init(). */
struct feed {
	uint64_t next;    /* LAGGING: read from here on */
	uint64_t loaded;  /* up to here everything is, or was, in memory */
	uint64_t arrived; /* the last sequence that was committed for it */
	bool is_lagging;
	bool is_reading;
};

enum feed_verdict {
	FEED_KEEP,  /* put it into the window */
	FEED_KNOWN, /* it was read from the journal already */
	FEED_LATER  /* not now: it will be read */
};

/*
 * Everything up to `floor` is over.  `arrived`: the last sequence that the
 * journal has for it (from recovery; 0: nothing), which makes it lag.
 */
void feed_init(struct feed *feed, uint64_t floor, uint64_t arrived);

/* A message was committed for it. */
enum feed_verdict feed_arrives(
    struct feed *feed, uint64_t sequence, bool has_room);

/*
 * Should a read be started?  `has_room`: the window is low.  If so, it is
 * taken to be: read from feed->next on.
 */
bool feed_begins_read(struct feed *feed, bool has_room);

/* The read gave this one: should the read fail, the next begins behind it. */
void feed_loads(struct feed *feed, uint64_t sequence);

/* The read gave everything up to `upto`. */
void feed_loaded(struct feed *feed, uint64_t upto);

/* It failed; it may be tried again. */
void feed_read_failed(struct feed *feed);

/* The owner has let go of `sequence` and all behind it: they are read again. */
void feed_rewind(struct feed *feed, uint64_t sequence);

#endif
