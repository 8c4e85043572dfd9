/* SPDX-License-Identifier: Apache-2.0 */

/*
 * notes - a bridge's progress in QoS 2, kept over its own death.
 *
 * To the remote: a record's identifier follows from its sequence, so the next
 * life gives it the same; what it cannot know is how far the exchange was.
 *
 *	notes_publishing()	before a PUBLISH is written
 *	notes_keep()		after PUBREC, before PUBREL is written: from
 *				now on it must not be published again
 *
 * From the remote: a message that is in a lane must not enter it again when
 * the remote, which has not seen our PUBREC, sends it again.
 *
 *	slot = notes_take()	after ring_put(), before the lane's commit
 *	notes_confirm(slot)	after the commit
 *	notes_release()		at PUBREL, before PUBCOMP is written
 *
 * Whoever dies between any two of these steps leaves notes that are true; the
 * layout is in notes_layout.h.  Between notes_close() and the next
 * notes_open() the object remembers what was taken: the remote's session
 * outlives our link.  One thread.
 */

#ifndef WEIR_BRIDGED_NOTES_H
#define WEIR_BRIDGED_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridged/notes_layout.h"

/* Embed it by value, zeroed; its fields are private to notes.c. */
struct notes {
	struct notes_memory *memory;   /* NULL: not open */
	uint16_t slot_id[NOTES_SLOTS]; /* 0: free */
	size_t slot_count;
	uint64_t taken[1024]; /* bit by identifier, those in slots as well */
	uint64_t doubt[1024]; /* of these: may be of a session that is gone */
	size_t taken_count;
	size_t doubts;
};

enum notes_found {
	NOTES_NEW,     /* nothing was there */
	NOTES_RESUMED, /* a former life's */
	NOTES_OTHER,   /* a former life's, with another remote */
	NOTES_DAMAGED  /* they contradicted themselves: begun anew */
};

/*
 * Take over the notes of a link.  `remote` is notes_remote()'s answer;
 * `committed[lane]` is the sequence that the lane's head covers, 0 where no
 * such lane is open.  With NOTES_DAMAGED, *out_fault says what was found; then
 * a QoS 2 message that was under way may arrive twice, none is lost.
 */
enum notes_found notes_open(struct notes *notes, struct notes_memory *memory,
    uint64_t remote, const uint64_t committed[RING_LANES],
    const char **out_fault);

/* The memory is no longer ours.  Nothing when it is not open. */
void notes_close(struct notes *notes);

/* A hash of what identifies a remote and us there, for notes_open(). */
uint64_t notes_remote(const char *host, uint16_t port, const char *client_id);

/* ---- to the remote ---- */

void notes_publishing(struct notes *notes, uint64_t sequence);

/* The greatest sequence that may have been sent, also by former lives. */
uint64_t notes_published(const struct notes *notes);

void notes_keep(struct notes *notes, uint64_t sequence);
bool notes_is_kept(const struct notes *notes, uint64_t sequence);

/*
 * Does nothing that another life began at the remote stand under the
 * identifier of this sequence?
 */
bool notes_is_claimed(const struct notes *notes, uint64_t sequence);

/* The last sequence of which that is known; 0: of none. */
uint64_t notes_claimed(const struct notes *notes);

/*
 * The identifiers of `first`..`last` are free of other lives; when `ids` of
 * them were claimed without a gap, all are.  Or the remote has forgotten us.
 */
void notes_claim(
    struct notes *notes, uint64_t first, uint64_t last, uint64_t ids);
void notes_claim_all(struct notes *notes);

/* ---- from the remote ---- */

/* Is there a slot for one more? */
bool notes_has_room(const struct notes *notes);

/* BUG without notes_has_room(), or when it is taken already. */
size_t notes_take(
    struct notes *notes, uint16_t id, uint32_t lane, uint64_t sequence);
void notes_confirm(struct notes *notes, size_t slot);
bool notes_is_taken(const struct notes *notes, uint16_t id);

/* Returns false when it was not taken. */
bool notes_release(struct notes *notes, uint16_t id);
void notes_release_all(struct notes *notes);

/* The first identifier after `id` that is taken; 0: none. */
uint16_t notes_next_taken(const struct notes *notes, uint16_t id);

/* ---- is it the same session? ---- */

/*
 * "Session present" says that the remote has a session, not that it is the
 * one we know: it may have been made by a CONNECT whose CONNACK a former
 * life did not live to see.
 *
 *	notes_connecting()	before CONNECT is written
 *	notes_connected()	after CONNACK.  Returns false when what is
 *				taken is in doubt, and stays so until the
 *				last of it is released
 */
void notes_connecting(struct notes *notes);
bool notes_connected(struct notes *notes, bool session_present);
bool notes_is_in_doubt(const struct notes *notes);

/* Give up on what is in doubt.  Returns how many identifiers that were. */
size_t notes_release_doubts(struct notes *notes);

#endif
