/* SPDX-License-Identifier: Apache-2.0 */

/*
 * inflight - what was read from the ring and not yet given back to it.
 *
 * Records enter in ring order, are sent in that order, are settled by the
 * remote in any order, and leave as the longest settled prefix:
 *
 *	READY --inflight_sent--> SENT --inflight_settle--> settled
 *	  ^                       |
 *	  +--inflight_resend------+	connection lost, or "try later"
 *
 * One that the remote will never take is DYING until it is kept elsewhere: it
 * is neither sent again nor given back meanwhile, and the others go on.
 *
 *	entry = inflight_push(...)	a record to be sent
 *	inflight_skip(...)		one that is not: dropped, dead
 *	entry = inflight_next(...)	the first that is READY
 *	while (inflight_pop(..., &word, &outcome))
 *		ring_release(consumer, word, &outcome, now_ns);
 *
 * The packet identifier follows from the record's sequence, so a bridge that
 * was killed and started again gives the record the same one: what a remote
 * remembers of a QoS 2 exchange then still belongs to that record.
 *
 * Records that were skipped are merged into one entry, so that the memory is
 * bounded by the window.  One thread.
 */

#ifndef WEIR_BRIDGED_INFLIGHT_H
#define WEIR_BRIDGED_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_consumer.h"

/* Identifiers 1 to this are for records; 65,535 is kept for requests. */
#define INFLIGHT_IDS 65534u

/* Largest window, and sequences from its oldest record to its newest. */
#define INFLIGHT_MAX 4096u

enum inflight_state {
	INFLIGHT_READY,
	INFLIGHT_SENT,
	INFLIGHT_DYING,
	INFLIGHT_SETTLED
};

/* Of the reason why, in bytes, with the final NUL. */
#define INFLIGHT_WHY_SIZE 80u

enum inflight_fate {
	INFLIGHT_DELIVERED,
	INFLIGHT_DROPPED,
	INFLIGHT_DEAD
};

struct inflight_entry {
	uint64_t word;     /* position after the record, to release up to */
	uint64_t sequence; /* of the record (the last one, when merged) */
	struct ring_record record;
	const void *payload; /* in the ring, or `copy` */
	uint8_t *copy;       /* on the heap; NULL: still in the ring */
	enum inflight_state state;
	bool maybe_sent;             /* the remote may have it already: DUP */
	uint32_t attempts;           /* sent so often, by this life */
	char why[INFLIGHT_WHY_SIZE]; /* DYING */
	struct ring_outcome outcome;
};

struct inflight {
	struct inflight_entry *entries; /* circular */
	size_t size;
	size_t first;
	size_t count;
	size_t unsettled;      /* entries that are READY or SENT */
	size_t unsent;         /* entries that are READY */
	size_t dying;          /* entries that are DYING */
	uint64_t copied_bytes; /* of records on the heap */
};

/* Room for `max_window` <= INFLIGHT_MAX records.  Returns 0 or -ENOMEM. */
int inflight_init(struct inflight *inflight, size_t max_window);
void inflight_fini(struct inflight *inflight);

/* Forget everything: the ring is gone. */
void inflight_clear(struct inflight *inflight);

/* May a record of that sequence enter a window of `window` records? */
bool inflight_has_room(
    const struct inflight *inflight, size_t window, uint64_t sequence);

/*
 * Append a record that is to be sent.  BUG without inflight_has_room().
 */
struct inflight_entry *inflight_push(struct inflight *inflight,
    const struct ring_record *record, const void *payload, uint64_t word);

/* Append a record that nothing is to be done with. */
void inflight_skip(struct inflight *inflight, uint64_t sequence, uint64_t word,
    enum inflight_fate fate);

/* The first entry to be sent, or NULL. */
struct inflight_entry *inflight_next(struct inflight *inflight);

void inflight_sent(struct inflight *inflight, struct inflight_entry *entry);
void inflight_settle(struct inflight *inflight, struct inflight_entry *entry,
    enum inflight_fate fate);

/* The remote will never take it: DYING, until it is settled. */
void inflight_die(
    struct inflight *inflight, struct inflight_entry *entry, const char *why);

/* The first that is DYING, or NULL. */
struct inflight_entry *inflight_dying(struct inflight *inflight);

/* SENT becomes READY again; the remote may have it. */
void inflight_resend(struct inflight *inflight, struct inflight_entry *entry);
void inflight_resend_all(struct inflight *inflight);

/* The remote forgot us: nothing here was ever sent to it [MQTT-3.2.2-5]. */
void inflight_forget_sent(struct inflight *inflight);

/* The packet identifier of a record, 1..INFLIGHT_IDS. */
uint16_t inflight_id(uint64_t sequence);

/* The only sequence from `from` on, less than one round, with that one. */
uint64_t inflight_sequence(uint64_t from, uint16_t id);

/* The unsettled entry with that identifier, or NULL. */
struct inflight_entry *inflight_find(struct inflight *inflight, uint16_t id);

/*
 * Take the longest settled prefix off.
 * Returns false when the first record is not settled; else true, with where
 * to release the ring up to and what became of the records.
 */
bool inflight_pop(struct inflight *inflight, uint64_t *out_word,
    struct ring_outcome *out_outcome);

/*
 * Copy what still lies in the ring to the heap, so that the ring may be
 * released without waiting (overflow "drop_oldest").
 * Returns 0 with the word to release up to (0: nothing), or -ENOMEM.
 */
int inflight_copy_out(struct inflight *inflight, uint64_t *out_word);

#endif
