/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Checkpoints of a store: begun, filled by others, ended with the cursors;
 * and which one a store starts from.  Files: checkpoint_file.h.
 *
 * The two newest are kept.  What the older one covers may go, so that a
 * store whose newest one is damaged starts from the older and the records
 * behind that, and has lost nothing.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/store/checkpoint_file.h"
#include "broker/store/store_bytes.h"
#include "broker/store/store_private.h"

/* A checkpoint is due behind so much journal, or as much as the last took. */
#define WANTED_BEHIND_BYTES (UINT64_C(64) << 20)

/* ... but before this part of the journal's limit cannot be used again. */
#define WANTED_LIMIT_SHARE 8u

/* Of a cursor's body, before its over set. */
#define CURSOR_FIXED 17u

struct store_checkpoint {
	struct store *store;
	struct checkpoint_writer *writer;
	struct checkpoint_head head;
	uint64_t behind_bytes; /* when it began */
	bool was_wanted;
	uint8_t *scratch;
	size_t scratch_room;
};

/* ---- when ---------------------------------------------------------------- */

static uint64_t
wanted_behind(const struct store *store)
{
	uint64_t bytes = WANTED_BEHIND_BYTES;

	if (store->checkpoint_bytes > bytes)
		bytes = store->checkpoint_bytes;
	if (store->spec.max_bytes / WANTED_LIMIT_SHARE < bytes)
		bytes = store->spec.max_bytes / WANTED_LIMIT_SHARE;
	return bytes;
}

/* Lock held: is there a segment that only checkpoints keep? */
static bool
holds_dead(const struct store *store)
{
	const struct segment *segment;

	for (size_t i = 0; i < store->segment_count; i++) {
		segment = store->segments[i];
		if (segment != store->active && segment->live == 0 &&
		    segment->last_sequence > store->covered)
			return true;
	}
	return false;
}

bool
store_wants_checkpoint(const struct store *store)
{
	/* The lock is no part of what the caller sees as the store. */
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&store->lock;
	bool wants;

	pthread_mutex_lock(lock);
	wants = store->wants_checkpoint ||
	    store->behind_bytes > wanted_behind(store) ||
	    (store_available(store) < STORE_SPARES && holds_dead(store));
	pthread_mutex_unlock(lock);
	return wants;
}

/* ---- writing ------------------------------------------------------------- */

int
store_checkpoint_begin(
    struct store *store, struct store_checkpoint **out_checkpoint)
{
	struct store_checkpoint *checkpoint;
	int err;

	if (store->spec.is_read_only)
		return -EROFS;
	checkpoint = calloc(1, sizeof(*checkpoint));
	if (checkpoint == NULL)
		return -ENOMEM;
	checkpoint->store = store;

	pthread_mutex_lock(&store->lock);
	checkpoint->head = (struct checkpoint_head){
		.generation = store->checkpoint_generation + 1,
		.sequence =
		    atomic_load_explicit(&store->durable, memory_order_relaxed),
		.tag = store->tag,
		.next_cursor = store->cursors.next,
		.wall_ns = store->io->wall_ns(store->io->context),
	};
	checkpoint->behind_bytes = store->behind_bytes;
	checkpoint->was_wanted = store->wants_checkpoint;
	pthread_mutex_unlock(&store->lock);

	err = checkpoint_writer_new(
	    store->io, &checkpoint->head, &checkpoint->writer);
	if (err != 0) {
		free(checkpoint);
		return err;
	}
	*out_checkpoint = checkpoint;
	return 0;
}

int
store_checkpoint_put(
    struct store_checkpoint *checkpoint, uint8_t kind, struct slice body)
{
	return checkpoint_writer_put(checkpoint->writer, kind, body);
}

/*
 * Lock held: a cursor's body into the scratch.  0 bytes: it is gone; more
 * than the scratch has: nothing was written.
 */
static size_t
write_cursor(struct store_checkpoint *checkpoint, uint64_t number)
{
	const struct cursor *cursor;
	size_t bytes;
	uint8_t *at;

	cursor = cursors_find(&checkpoint->store->cursors, number);
	if (cursor == NULL || cursor->is_pending)
		return 0;
	bytes = CURSOR_FIXED + cursor->over_count * sizeof(uint64_t);
	if (bytes > checkpoint->scratch_room)
		return bytes;
	at = store_bytes_put_u8(
	    checkpoint->scratch, STORE_CHECKPOINT_CURSOR_VERSION);
	at = store_bytes_put_u64(at, cursor->number);
	at = store_bytes_put_u64(at, cursor->floor);
	for (size_t i = 0; i < cursor->over_count; i++)
		at = store_bytes_put_u64(at, cursor->over[i]);
	return bytes;
}

static int
grow_scratch(struct store_checkpoint *checkpoint, size_t bytes)
{
	uint8_t *grown = realloc(checkpoint->scratch, bytes);

	if (grown == NULL)
		return -ENOMEM;
	checkpoint->scratch = grown;
	checkpoint->scratch_room = bytes;
	return 0;
}

/* The over set may grow while the lock is free: then it is tried again. */
static int
put_cursor(struct store_checkpoint *checkpoint, uint64_t number)
{
	struct store *store = checkpoint->store;
	size_t bytes;
	int err;

	for (;;) {
		pthread_mutex_lock(&store->lock);
		bytes = write_cursor(checkpoint, number);
		pthread_mutex_unlock(&store->lock);
		if (bytes <= checkpoint->scratch_room)
			break;
		err = grow_scratch(checkpoint, bytes * 2);
		if (err != 0)
			return err;
	}
	if (bytes == 0)
		return 0;
	return checkpoint_writer_put(checkpoint->writer,
	    STORE_CHECKPOINT_CURSOR, slice_of(checkpoint->scratch, bytes));
}

/*
 * What is in this may be newer than all that a power cut leaves of the
 * journal.  Sequences go on above it: else a floor would swallow new messages.
 */
static int
put_upto(struct store_checkpoint *checkpoint)
{
	uint8_t body[CURSOR_FIXED], *at;

	at = store_bytes_put_u8(body, STORE_CHECKPOINT_CURSOR_VERSION);
	at = store_bytes_put_u64(at, 0);
	store_bytes_put_u64(at, store_committed(checkpoint->store));
	return checkpoint_writer_put(checkpoint->writer,
	    STORE_CHECKPOINT_CURSOR, slice_of(body, sizeof(body)));
}

static int
put_cursors(struct store_checkpoint *checkpoint)
{
	uint64_t *numbers;
	size_t count;
	int err = 0;

	/* Those that come meanwhile are in records that are replayed. */
	numbers = store_list_cursors(checkpoint->store, &count);
	if (numbers == NULL)
		return -ENOMEM;
	for (size_t i = 0; err == 0 && i < count; i++)
		err = put_cursor(checkpoint, numbers[i]);
	free(numbers);
	return err == 0 ? put_upto(checkpoint) : err;
}

/* Returns the generation that is of no use any more; 0: none. */
static uint64_t
note_newest(struct store_checkpoint *checkpoint, uint64_t bytes)
{
	struct store *store = checkpoint->store;
	uint64_t useless;

	pthread_mutex_lock(&store->lock);
	useless = store->checkpoint_older;
	store->checkpoint_files_bytes = store->checkpoint_bytes + bytes;
	store->covered = store->checkpoint_sequence;
	store->checkpoint_older = store->checkpoint_newest;
	store->checkpoint_newest = checkpoint->head.generation;
	store->checkpoint_generation = checkpoint->head.generation;
	store->checkpoint_sequence = checkpoint->head.sequence;
	store->checkpoint_bytes = bytes;
	store->behind_bytes -= checkpoint->behind_bytes;
	if (checkpoint->was_wanted)
		store->wants_checkpoint = false;
	pthread_mutex_unlock(&store->lock);
	return useless;
}

static void
remove_generation(struct store *store, uint64_t generation)
{
	char name[STORE_NAME_MAX];

	checkpoint_file_name(generation, name);
	(void)store->io->remove(store->io->context, name);
}

int
store_checkpoint_end(struct store_checkpoint *checkpoint)
{
	struct store *store = checkpoint->store;
	uint64_t bytes, useless;
	int err;

	err = put_cursors(checkpoint);
	if (err == 0)
		err = checkpoint_writer_end(checkpoint->writer, &bytes);
	if (err != 0)
		return err;
	useless = note_newest(checkpoint, bytes);
	if (useless != 0)
		remove_generation(store, useless);
	store_checkpoint_abort(checkpoint);
	return 0;
}

void
store_checkpoint_abort(struct store_checkpoint *checkpoint)
{
	if (checkpoint == NULL)
		return;
	checkpoint_writer_free(checkpoint->writer);
	free(checkpoint->scratch);
	free(checkpoint);
}
