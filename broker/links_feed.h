/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_feed - a bridge as a cursor in the journal.
 *
 * What is committed for a bridge goes into its ring in the order of the
 * journal.  A window of it is in memory; what finds no room there is read when
 * the ring has drained (feed.h), with no need for anything new to come:
 *
 *	journal ----> window ----> ring ----> bridged
 *	       read,         room           | tail
 *	       or as it comes               v
 *	journal <---------------------- the cursor's floor
 *
 * `put` is the last sequence that is in the ring, or was dropped.  With the
 * ring's head its memory says so (ring_forward.h, as if from a lane that no
 * program can have), so that a restarted broker goes on behind it.  When the
 * consumer's tail has passed a head, the floor moves to what was put then.
 *
 * A ring that is lost is no loss: the feed goes back to its tail.
 *
 * What the journal has and the window has not, or not yet, is `later`; it is
 * counted as it comes and goes, and is 0 when all was read, whatever damage
 * the reader went by.
 */

#ifndef WEIR_BROKER_LINKS_FEED_H
#define WEIR_BROKER_LINKS_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/feed.h"
#include "broker/store/store_record.h"
#include "common/conf/conf.h"

struct links;
struct links_endpoint;
struct message;

/* Bytes of the window, by message_weight(). */
#define LINKS_FEED_WINDOW CONF_FEED_WINDOW

/* Heads whose sequence is remembered; more are told apart less well. */
#define LINKS_FEED_HEADS 1024u

/* `source_lane` of what an MQTT client sent; its sequence is the journal's. */
#define LINKS_FEED_LANE UINT16_MAX

/* Of its own link: no lane leads from a program to itself. */
#define LINKS_FEED_FORWARD (RING_LANES - 1)

/* What is in the ring of a feed; zeroed: nothing. */
struct links_feed_ring {
	uint64_t count, bytes; /* of the journal's, not released */
	uint64_t first;        /* sequence of the first of them; 0: none */
};

struct links_feed_item {
	struct message *message; /* its reference is the item's */
	uint64_t sequence;
	size_t counted; /* in the backlog */
	struct links_feed_item *next;
};

struct links_feed {
	uint64_t cursor; /* [const] */
	bool is_new;     /* [const] this life opened it */
	struct feed feed;
	struct links_feed_item *head, **tail; /* the window */
	uint64_t count;
	size_t bytes;
	uint64_t queued; /* the last sequence that is in the window, or was */
	uint64_t put;
	uint64_t accepted_upto; /* the last sequence that was counted */
	struct store_bridge_terms terms; /* as the journal has them */
	bool is_stale;                   /* the read under way is of no use */
	bool waits; /* a read failed: tried again at the next beat */

	uint64_t later, later_bytes;
	uint64_t early; /* read before the mail that told of them */

	/* Heads of the ring and what was put up to them: a circle. */
	struct {
		uint64_t position, sequence;
	} heads[LINKS_FEED_HEADS];
	unsigned first_head, head_count;
	uint64_t floor; /* all up to it is out of the ring */
	uint64_t told;  /* the floor that the journal knows */

	uint64_t behind_since_ns; /* 0: it is not */
	bool behind_is_logged;
};

/*
 * Give a bridge its feed, where recovery found it; one that the journal does
 * not know begins.  Before the commit line has begun.  Returns 0 or -errno.
 */
int links_feed_new(struct links_endpoint *endpoint);
void links_feed_free(struct links_endpoint *endpoint);

/* Committed for this bridge. */
void links_feed_arrived(struct links_endpoint *endpoint,
    struct message *message, uint64_t sequence);

/* Read for it, as commit.h says. */
void links_feed_loaded(struct links_endpoint *endpoint, struct message *message,
    uint64_t sequence);
void links_feed_loaded_upto(
    struct links_endpoint *endpoint, uint64_t upto, int err);

/* One bounded turn for each bridge.  True if anything moved. */
bool links_feed_round(struct links *links);

/* Its output was committed: note the head, move the floor. */
void links_feed_committed(struct links_endpoint *endpoint);

/* The recheck before sleep. */
bool links_feed_can_move(struct links *links);

/* Once a second: reads that failed, the floor, the log. */
void links_feed_beat(struct links *links);

/* Does anything wait for room in the ring? */
bool links_feed_is_behind(const struct links_endpoint *endpoint);

/* Messages in the journal that the ring has not. */
uint64_t links_feed_waiting(const struct links_endpoint *endpoint);

/*
 * The memory of the ring: that of a former life is in use now; or what is in
 * it will be given up, and has to be put once more (nothing without a feed).
 */
void links_feed_ring_found(
    struct links_endpoint *endpoint, const struct links_feed_ring *ring);
void links_feed_ring_lost(
    struct links_endpoint *endpoint, const struct links_feed_ring *ring);

/* What is in it could not be read: anything that was not released. */
struct links_feed_ring links_feed_ring_unknown(
    const struct links_endpoint *endpoint);

/* An adopted ring: a record up to `position` is the journal's `sequence`. */
void links_feed_note_head(
    struct links_endpoint *endpoint, uint64_t position, uint64_t sequence);

#endif
