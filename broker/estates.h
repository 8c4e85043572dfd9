/* SPDX-License-Identifier: Apache-2.0 */

/*
 * estates - what a durable session leaves of its shares, in the journal.
 *
 * When a member of a share ends, its cursor is not closed at once.  What waits
 * for it is read, a page at a time, and given to other members
 * (redispatch.h); each message is over for the old cursor when the journal
 * has it for the new one.  What is no share's is dropped as ever.  Then the
 * cursor is closed.
 *
 *	estates_leave()			the session ends: RESTING
 *	estates_begin()			nobody can choose it any more: a marker
 *	   |				behind all that may name it
 *	   v  estates_settled()
 *	estates_load(), _loaded()	a page: GIVING
 *	   |
 *	   v  estate_given()		the last of it: the next page, or CLOSE
 *
 * A SESSION record without client identifier and will says that a cursor is
 * an estate, so the next life goes on with it; a broker that was killed may
 * give a message on twice, and loses none.  The worker's thread only.
 */

#ifndef WEIR_BROKER_ESTATES_H
#define WEIR_BROKER_ESTATES_H

#include <stdbool.h>
#include <stdint.h>

struct commit_delivery;
struct commit_letter;
struct message;
struct session;
struct store_session;
struct worker;

enum estate_state {
	ESTATE_RESTING, /* publishers may still see the session */
	ESTATE_GRACED,  /* the marker is to be sent */
	ESTATE_MARKED,  /* it is under way */
	ESTATE_WANTS_READ,
	ESTATE_READING,
	ESTATE_GIVING, /* a page is being given on */
	ESTATE_CLOSING
};

struct estate {
	struct estate *next;
	uint64_t cursor;
	uint64_t identity;      /* whose it was; see auth.h */
	uint64_t left_ns;       /* when the session ended, by the wall clock */
	uint64_t from;          /* the next page begins here */
	uint64_t read_again_ns; /* a read failed: not before */
	uint64_t ticket;        /* of the marker */
	unsigned loaded;        /* messages of the page, of shares or not */
	unsigned to_give;       /* of them, not given on yet */
	bool is_short;          /* one found no memory: it is read again */
	bool has_more;          /* one has come behind the marker */
	uint8_t state;          /* enum estate_state */
};

/* Embed it in a worker, zeroed. */
struct estates {
	struct estate *first;
};

/*
 * A durable session ends, and is out of the tree; before its CLOSE.  False:
 * it leaves nothing to give on, or there is no memory: it is to be closed.
 */
bool estates_leave(struct worker *worker, struct session *session);

/* A grace period has passed: what is under way to it is in the line. */
void estates_begin(struct worker *worker, uint64_t cursor);

/* Once a turn: what is due, and what could not be done before. */
void estates_run(struct worker *worker);

/* From the worker as a member of the commit, for cursors without a session. */
void estates_settled(struct worker *worker, const struct commit_letter *letter);
void estates_arrived(struct worker *worker, uint64_t cursor);
void estates_load(struct worker *worker, uint64_t cursor,
    struct message *message, uint64_t sequence,
    const struct commit_delivery *delivery);
void estates_loaded(
    struct worker *worker, uint64_t cursor, uint64_t upto, int err);

/* This one is in the journal for another, or nobody wants it. */
void estate_given(
    struct worker *worker, struct estate *estate, uint64_t sequence);

/* The SESSION record of an estate, for checkpoints too. */
void estate_describe(const struct worker *worker, const struct estate *estate,
    struct store_session *out_record);

/* The worker ends: the next life goes on with them. */
void estates_fini(struct worker *worker);

#endif
