/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store - the journal, its cursors, and its checkpoints.
 *
 * One append-only log in segments; each record has a sequence (from 1, never
 * used twice) and a CRC32C.  A MESSAGE names the cursors (sessions, bridges)
 * that it is for, so nothing is matched again when it is read.
 *
 *	store_append() ... store_append()	into memory, in order
 *	store_commit()				one write, one sync
 *
 * What store_commit() returned 0 for survives a power cut (is_synced) or the
 * death of the process (not is_synced).  After a failure nothing of the batch
 * is committed, and the store goes on behind it as soon as it can: what is
 * left of the batch on the disk is cut (the next segment says where the one
 * before ends).
 *
 * A cursor has a floor: all deliveries up to it are over.  A segment whose
 * deliveries are all over, and that a checkpoint covers, is used again; one
 * with few that are not is merged with its neighbours in the same order, so
 * sequences and the order in which a cursor reads never change.
 *
 * A checkpoint names the sequence it covers.  It is written while records are
 * appended, so what is in it may be newer than that: replaying the records
 * behind that sequence on top of it comes to the same (store_record.h).
 *
 * Threads: append, commit and done are for one thread, the writer.
 * store_tend() and the checkpoint are for one other, the keeper.  Readers
 * have a store_reader each.  The store locks what they share.
 */

#ifndef WEIR_BROKER_STORE_STORE_H
#define WEIR_BROKER_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store_io.h"
#include "broker/store/store_record.h"

struct store;
struct store_reader;
struct store_checkpoint;

#define STORE_MIN_SEGMENT (UINT64_C(64) << 10)

struct store_spec {
	const struct store_io *io; /* must outlive the store */
	uint64_t segment_bytes;    /* of each; >= 4 times the largest record */
	uint64_t max_bytes;        /* of all files together */
	bool is_synced;            /* durability = "disk" */
	bool is_read_only;         /* look, change nothing (weirctl store) */
};

/* What recovery found wrong; told once for each place. */
struct store_damage {
	const char *file;
	uint64_t offset;
	uint64_t bytes;
	uint64_t first_sequence, last_sequence; /* lost, at most these */
	bool is_torn_tail;   /* never acknowledged: nothing is lost */
	const char *kept_as; /* the file it was put aside as; NULL: none */
	const char *what;
};

/*
 * What recovery tells.  A function that is NULL is not told; those that return
 * int end store_open() with what they return if it is not 0.  Order: everything
 * of the checkpoint, then the records behind it in their order.
 */
struct store_sink {
	void *context;

	/* Any kind from STORE_START on; 0: from the checkpoint. */
	int (*state)(
	    void *context, uint8_t kind, uint64_t sequence, struct slice body);

	/* A MESSAGE behind the checkpoint. */
	int (*message)(void *context, uint64_t sequence,
	    const struct store_message *message);

	/*
	 * One that the checkpoint covers and that is still there, before those
	 * behind it.  What it changed is in the checkpoint; where it came from
	 * may not be, of the last ones.
	 */
	int (*covered)(void *context, uint64_t sequence,
	    const struct store_message *message);

	int (*done)(void *context, const struct store_done *done);
	int (*opened)(void *context, uint64_t cursor);
	int (*closed)(void *context, uint64_t cursor);

	/* Now and then; bytes of journal and checkpoint. */
	void (*progress)(void *context, uint64_t done, uint64_t total);
	void (*damaged)(void *context, const struct store_damage *damage);
};

/* A cursor as recovery left it, and as it is now. */
struct store_cursor {
	uint64_t cursor;
	uint64_t floor;  /* everything up to it is over */
	uint64_t queued; /* deliveries that are not */
	uint64_t queued_bytes;
	const uint64_t *over; /* sequences above the floor that are over */
	size_t over_count;
};

struct store_stat {
	uint64_t first_sequence, last_sequence, committed;
	uint64_t checkpoint_sequence, checkpoint_bytes;
	uint64_t segments, bytes, live_bytes, max_bytes;
	uint64_t commits, syncs, appended_bytes, merged_bytes;
	uint64_t cursors, queued;
	uint64_t sync_ns_total, sync_ns_max;
	int error; /* why the last commit failed; 0: it did not */
};

/*
 * Open, recover, and be ready to append.  Neither a torn tail nor damage is a
 * failure.  0; what the sink returned; -EINVAL: segment_bytes is less than
 * STORE_MIN_SEGMENT, more than 4 GiB or not of whole pages, or max_bytes less
 * than three of them; -ENOTSUP: a file is of a newer version, and nothing was
 * changed; -ENOMEM; or -errno of the disk.
 */
int store_open(const struct store_spec *spec, const struct store_sink *sink,
    struct store **out_store);

/* Commits nothing; accepts NULL. */
void store_close(struct store *store);

/* Each cursor that is open; a result other than 0 ends it. */
int store_each_cursor(struct store *store,
    int (*each)(void *arg, const struct store_cursor *cursor), void *arg);

/* Larger than any cursor number that was ever written. */
uint64_t store_next_cursor(const struct store *store);

/* ---- the writer ---------------------------------------------------------- */

/*
 * Into the batch.  0 with the sequence; -ENOSPC: the journal is at its limit
 * or has no segment ready (some room is kept for those who come to take what
 * waits: DONE, CLOSE, RELEASED and RECEIVED may still be appended, and OPEN,
 * BRIDGE, SESSION, LEAVE and UNSUBSCRIBE into half of it); -EIO: see
 * store_commit();
 * -EAGAIN: the batch would not fit into one segment: commit it first;
 * -EMSGSIZE: more than a quarter of a segment; -ENOMEM.
 */
int store_append_message(struct store *store,
    const struct store_message *message, uint64_t *out_sequence);
int store_append_done(
    struct store *store, const struct store_done *list, size_t count);

/*
 * Where the batch ends, and back to there: what was appended since is in no
 * batch, its sequences are given again.  Only MESSAGEs may have been, and no
 * commit.
 */
struct store_mark {
	uint64_t next_sequence, last_sequence;
	size_t used, effect_count;
};

struct store_mark store_mark(const struct store *store);
void store_take_back(struct store *store, const struct store_mark *mark);

/* STORE_OPEN, STORE_CLOSE: the body is the cursor, by these. */
int store_append_open(struct store *store, uint64_t cursor);
int store_append_close(struct store *store, uint64_t cursor);

/* Kinds from STORE_START on. */
int store_append(struct store *store, uint8_t kind, struct slice body,
    uint64_t *out_sequence);

/*
 * Write what was appended, and sync if is_synced and `must_sync`; what was
 * committed without is synced too then.  0, or -errno: nothing of the batch
 * is committed, nor will be, unless the process ends before the next commit
 * has cut it off.  Without anything appended it tries whether the disk is
 * well again.
 */
int store_commit(struct store *store, bool must_sync);

/* May a MESSAGE be appended?  0, -ENOSPC or -EIO.  Any thread, no lock. */
int store_state(const struct store *store);

/* The last committed sequence.  Any thread, no lock. */
uint64_t store_committed(const struct store *store);

void store_stat(struct store *store, struct store_stat *out_stat);

/* ---- the keeper -----------------------------------------------------------
 */

/*
 * Work off what is due: the next segment made ready, empty ones used again,
 * sparse ones merged.  Returns how long it may rest, in ns; bounded work.
 */
uint64_t store_tend(struct store *store);

/* Call `wake` (any thread) when the keeper has something to do at once. */
void store_on_work(struct store *store, void (*wake)(void *arg), void *arg);

/* Is so much journal behind the last checkpoint that one is due? */
bool store_wants_checkpoint(const struct store *store);

/*
 * Begin: it will cover what is committed now.  Then put the state, any of it
 * as it was at any time from now on; end: sync, rename, forget older ones but
 * the last.  0 or -errno; after a failure only abort.
 */
int store_checkpoint_begin(
    struct store *store, struct store_checkpoint **out_checkpoint);
int store_checkpoint_put(
    struct store_checkpoint *checkpoint, uint8_t kind, struct slice body);
int store_checkpoint_end(struct store_checkpoint *checkpoint);
void store_checkpoint_abort(struct store_checkpoint *checkpoint);

/*
 * Have damage told that is found while reading, by the thread that reads.
 * Before there is a reader; without it nobody is told.
 */
void store_on_damage(struct store *store,
    void (*damaged)(void *context, const struct store_damage *damage),
    void *context);

/* ---- readers ---------------------------------------------------------------
 */

/* One for each thread that reads.  NULL: no memory. */
struct store_reader *store_reader_new(struct store *store);
void store_reader_free(struct store_reader *reader);

/*
 * The committed messages of `cursor` from sequence `from` on that are not
 * over, in order, until `max_messages` or `max_bytes` (of bodies; the first is
 * always given) were given.  `each` gets the message with its one delivery; a
 * result other than 0 ends it, without that message, and is returned.
 * *out_upto, always set: up to there everything was given, so go on from the
 * next; it is store_committed() when there is no more.
 * 0, or -errno of the disk; a record that is damaged is told
 * (store_on_damage) and passed over.
 */
int store_read(struct store_reader *reader, uint64_t cursor, uint64_t from,
    size_t max_messages, size_t max_bytes,
    int (*each)(void *arg, uint64_t sequence,
	const struct store_message *message,
	const struct store_delivery *delivery),
    void *arg, uint64_t *out_upto);

/*
 * All records of the segments in their order, but BATCH: for who looks at a
 * store (is_read_only); what is damaged is passed over.  A result other than
 * 0 ends it and is returned; -errno.  Recovery (store_open) tells of the
 * state in checkpoints, and of all damage.
 */
int store_each_record(struct store *store,
    int (*each)(void *arg, uint64_t sequence, uint8_t kind, struct slice body),
    void *arg);

#endif
