/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_private - what the files of the store share.
 *
 *	store.c             open, close, what is there
 *	store_append.c      records into the batch
 *	store_commit.c      the batch onto the disk; going on in another file
 *	store_space.c       files made ready, used again, removed; the limit
 *	store_recover.c     which files there are, and what they say
 *	store_chain.c       which of them count, and which are missing
 *	store_scan.c        one file: its records, and what is wrong with it
 *	store_reader.c      what waits for a cursor, read
 *	store_merge.c       sparse neighbours into one file
 *	store_index.c       the short cuts to it (segment_index.h)
 *	store_checkpoint.c  checkpoints written; _load: which one to start from
 *	store_mend.c        damage put aside and closed
 *	store_manifest.c    which segments there have been
 *	store_cursors.c     which deliveries are over
 *	segment.c           a file's header; what lies at an offset
 *
 * `lock` protects what writer, keeper and readers share, and is never held
 * over I/O.  A segment stays in the list and in memory while it has pins, is
 * active, is doomed (the keeper takes it out), or has live deliveries.
 *
 * Fields without a tag are under the lock.
 */

#ifndef WEIR_BROKER_STORE_STORE_PRIVATE_H
#define WEIR_BROKER_STORE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/store/segment.h"
#include "broker/store/store.h"
#include "broker/store/store_cursors.h"

/* Files that are ready: the next one, and one that is kept for DONE. */
#define STORE_SPARES 2u

/* Left free on the disk, so that a checkpoint can be written: it frees more. */
#define STORE_FREE_ALWAYS (UINT64_C(4) << 20)

/* Of indexes of complete segments; one that is in use stays in any case. */
#define STORE_INDEX_MEMORY ((size_t)16 << 20)

/* Of a segment: no body may be larger than this part of it. */
#define STORE_BODY_SHARE 4u

/* What a record that is appended will do when it is committed. */
struct store_effect {
	uint8_t kind;  /* MESSAGE (one a delivery), DONE, OPEN or CLOSE */
	bool is_first; /* MESSAGE: the first delivery of it */
	uint64_t cursor;
	uint64_t sequence; /* of the record */
	uint64_t offset;   /* of the record in the batch */
	uint64_t bytes;    /* MESSAGE: of the body */
	struct store_done done;
};

/* [writer] Records in one piece, behind room for a segment's header. */
struct store_batch {
	uint8_t *buffer;
	size_t room;
	size_t used; /* bytes of records */
	uint64_t last_sequence;
	struct store_effect *effects;
	size_t effect_count, effect_room;
};

/* A file that is ready to become a segment. */
struct store_spare {
	char name[STORE_NAME_MAX];
	int file;
};

/* Where the journal ends, for the header of the next segment. */
struct store_end {
	uint64_t first; /* 0: there is no segment */
	uint64_t end;
	uint64_t last;
	uint64_t durable;
};

struct store {
	struct store_spec spec;    /* [const] */
	const struct store_io *io; /* [const] */
	uint64_t tag;              /* [const] */

	_Atomic uint64_t committed;
	_Atomic uint64_t durable; /* of it, what a power cut leaves */
	_Atomic int state;

	/* [writer] */
	struct store_batch batch;
	uint64_t next_sequence;
	int active_file;  /* -1: none */
	bool is_broken;   /* the active file failed: go on in another */
	bool is_unsynced; /* it has what no sync has covered */
	struct store_end end;

	pthread_mutex_t lock;
	struct segment **segments; /* by sequence */
	size_t segment_count, segment_room;
	struct segment *active;  /* NULL: none */
	struct segment *leaving; /* merged into others; the files are there */
	bool is_merge_off; /* [keeper] one was left that is not in the list */
	struct store_cursors cursors;

	struct store_spare spares[STORE_SPARES];
	unsigned spare_count;
	bool is_making; /* somebody makes a spare */
	pthread_cond_t made;
	unsigned spare_serial;
	uint64_t listed; /* first sequence of the newest in the manifest */

	/*
	 * [const] Where the next life begins if this one commits nothing: above
	 * all that this one may leave in files that are ready.
	 */
	uint64_t sequence_floor;
	uint64_t free_bytes; /* of the disk, when last asked */
	uint64_t available;  /* store_available(), when last refreshed */

	/* Of the checkpoints. */
	uint64_t checkpoint_generation;  /* the highest there ever was */
	uint64_t checkpoint_newest;      /* generation that is kept; 0: none */
	uint64_t checkpoint_older;       /* and the other one's */
	uint64_t covered;                /* by the older one that is kept */
	uint64_t checkpoint_sequence;    /* of the newest; 0: none */
	uint64_t checkpoint_bytes;       /* of the newest */
	uint64_t checkpoint_files_bytes; /* of all of them */
	uint64_t behind_bytes;           /* of journal since the newest began */
	bool wants_checkpoint; /* what is in memory is surer than the disk */

	void (*wake)(void *arg);
	void *wake_arg;

	size_t index_memory; /* [const] bytes for those that are not used */
	uint64_t index_uses; /* counts uses, for which was used last */
	void (*damaged)(void *context, const struct store_damage *damage);
	void *damaged_context; /* both [const] once there are readers */

	int error;
	uint64_t commits, syncs, appended_bytes, merged_bytes;
	uint64_t sync_ns_total, sync_ns_max;
};

/* ---- store.c ------------------------------------------------------------- */

/* Lock held: the segment that has, or may have, this sequence; NULL: none. */
struct segment *store_segment_of(const struct store *store, uint64_t sequence);

/* Lock held: room for one more in the list; 0 or -ENOMEM. */
int store_reserve_segment(struct store *store);

/* Lock held, room reserved: by its first sequence. */
void store_insert_segment(struct store *store, struct segment *segment);

/* Lock held: out of the list; it is the caller's to free. */
void store_remove_segment(struct store *store, struct segment *segment);

void store_free_segment(struct segment *segment);

/* No lock: the numbers of all open cursors, on the heap; NULL: no memory. */
uint64_t *store_list_cursors(struct store *store, size_t *out_count);

/* ---- store_append.c ------------------------------------------------------ */

/* Begin the batch if it is not: a BATCH record.  0 or -ENOMEM. */
int store_begin_batch(struct store *store);

/* Forget the batch; what it reserved too. */
void store_drop_batch(struct store *store);

/* ---- store_commit.c ------------------------------------------------------ */

/*
 * At the end, with no batch: a BATCH that says that all before it was safe.
 * Without one, damage to the last commit looks like one that was not
 * finished.  It may fail.
 */
void store_mark_end(struct store *store);

/* ---- store_space.c ------------------------------------------------------- */

/* Lock held: how many more segments there may be, ready ones too. */
uint64_t store_available(const struct store *store);

/* Lock held: bytes of all files. */
uint64_t store_total_bytes(const struct store *store);

/* Lock held: what store_state() says, after any change. */
void store_refresh_state(struct store *store);

/* No lock: ask the disk what is free. */
void store_ask_free(struct store *store);

/*
 * No lock.  One that is ready, or is just being made, or is made here: the
 * caller's from now on.  0, -ENOSPC, or -errno.
 */
int store_take_spare(struct store *store, struct store_spare *out_spare);

/* No lock: close it and remove its file. */
void store_discard_spare(struct store *store, struct store_spare *spare);

/* At open: a file with the name of a spare.  False: it is none. */
bool store_adopt_spare(struct store *store, const char *name);

/* ---- store_recover.c ----------------------------------------------------- */

/* Fill an empty store from its files.  0; from the sink; or -errno. */
int store_recover(struct store *store, const struct store_sink *sink);

/* How much of the files was read; the sink is told now and then. */
struct store_progress {
	const struct store_sink *sink;
	uint64_t done, total; /* bytes */
	uint64_t told;        /* of those done */
};

void store_progress_add(struct store_progress *progress, uint64_t bytes);

/* Tell of damage, if the sink asks for it. */
void store_tell_sink(
    const struct store_sink *sink, const struct store_damage *damage);

/* ---- store_index.c ------------------------------------------------------- */

/* At open: which segments have an index; files of others are removed. */
int store_index_find_files(struct store *store);

/* The segment goes: the file of its index too. */
void store_index_remove_file(
    struct store *store, const struct segment *segment);

/* Lock held: a delivery was committed at this offset of the active one. */
void store_index_note(struct segment *segment, uint64_t cursor,
    uint64_t sequence, uint64_t offset);

/*
 * While the store is opened: the index of what the segment has before this
 * offset, to go on with.  It may fail: then there is none.
 */
void store_index_make(
    struct store *store, struct segment *segment, uint64_t end);

/*
 * No lock, the segment pinned.  Have its index in memory: in the segment, as
 * long as it is pinned, or else *out_own is the caller's to free.  0 or -errno.
 */
int store_index_get(struct store *store, struct segment *segment,
    struct segment_view *view, struct store_message_room *room,
    struct segment_index **out_own);

/* No lock, the keeper: write one that is due; true if it did. */
bool store_index_tend(struct store *store);

/* ---- store_merge.c ------------------------------------------------------- */

/* No lock, the keeper: merge some, if it is worth it; true if it did. */
bool store_merge_tend(struct store *store);

/* ---- store_checkpoint_load.c --------------------------------------------- */

/* A record in checkpoints beside those of enum store_kind: a cursor. */
#define STORE_CHECKPOINT_CURSOR 2u
#define STORE_CHECKPOINT_CURSOR_VERSION 1u

/*
 * Take cursors and state of the newest that is whole; changes no file if one
 * is of a newer version.  `has_journal`: there are segments, which know the
 * store's tag.  What there is to read is added to the progress, and what was.
 * 0; from the sink; -ENOTSUP; or -errno.
 */
int store_checkpoint_load(
    struct store *store, bool has_journal, struct store_progress *progress);

/* ---- store_scan.c -------------------------------------------------------- */

/*
 * What is known about a segment's end before it is read.  A merged segment's
 * file is as long as its records, and its header's segment_bytes say so.
 */
struct store_bounds {
	const char *name;
	uint64_t size;      /* of the file */
	uint64_t end;       /* nothing behind it counts */
	uint64_t last;      /* nor above this sequence */
	uint64_t durable;   /* up to here everything was kept for sure */
	bool is_last;       /* it may end in a torn tail */
	bool is_open_ended; /* `end` is that of the file: zeros end it too */
};

struct store_scan {
	struct store *store;
	const struct store_sink *sink;
	struct segment_view view;
	struct store_message_room room;
	uint64_t checkpoint; /* up to it the state is known already */
	uint64_t last;       /* sequence of the last record taken, or lost */
	uint64_t seen;       /* the highest one in any record */
	struct store_progress *progress;

	/* Of the segment at hand. */
	bool has_tried_to_keep;
	char kept_as[STORE_NAME_MAX]; /* "": it was not put aside */
	uint64_t unsure; /* from here on it may not have been synced */
};

/* The same, with the room made as large as it must be; or -ENOMEM. */
int store_parse_message(struct slice body, struct store_message_room *room,
    struct store_message *out_message);

int store_scan_init(struct store_scan *scan, struct store *store,
    struct store_progress *progress);
void store_scan_fini(struct store_scan *scan);

/* The next segment is begun: nothing of it is put aside yet. */
void store_scan_begin(struct store_scan *scan);

/* Put the file aside, once, and tell the sink. */
void store_scan_tell(struct store_scan *scan, const struct store_bounds *bounds,
    const struct store_damage *damage);

/*
 * Take all records of the open file; end and last_sequence of the segment
 * are set.  0; from the sink; or -errno.
 */
int store_scan_segment(struct store_scan *scan, struct segment *segment,
    int file, const struct store_bounds *bounds);

/* ---- store_mend.c -------------------------------------------------------- */

/*
 * Copy the file.  True with the copy's name, which has STORE_NAME_MAX bytes;
 * false if it cannot be had.
 */
bool store_keep_aside(
    struct store *store, const char *name, uint64_t size, char *out_name);

/* Make it a FILL record of this sequence; 0 or -errno. */
int store_fill_gap(struct store *store, const char *name, uint64_t offset,
    uint64_t bytes, uint64_t sequence);

/*
 * Write these bytes of the file again, as they are read, and sync it.  A page
 * that a failed sync has dropped is clean, and lost with the next cut of the
 * power, however often it is synced.  0 or -errno.
 */
int store_write_again(
    struct store *store, const char *name, uint64_t offset, uint64_t bytes);

/* Seal and write it; 0 or -errno. */
int store_write_header(struct store *store, const char *name,
    const struct store_segment_header *header);

/* ---- store_manifest.c ---------------------------------------------------- */

#define STORE_MANIFEST_NAME "segments"

struct store_manifest_entry {
	uint64_t first;   /* sequence */
	uint64_t end;     /* as in store_bounds; 0: it was appended to */
	uint64_t last;    /* sequence in it */
	uint64_t durable; /* as in store_bounds */
};

struct store_manifest {
	struct store_manifest_entry *entries; /* on the heap */
	size_t count;
	uint64_t sequence_floor;
};

/*
 * No lock: all segments but `without`, which may be NULL.  Before a segment's
 * file goes, or its name: else it would be missed.  0 or -errno.
 */
int store_manifest_write(struct store *store, const struct segment *without);

/* 0; -ENOENT; -EBADMSG; -ENOTSUP; -ENOMEM; or -errno of the disk. */
int store_manifest_read(
    struct store *store, struct store_manifest *out_manifest);

#endif
