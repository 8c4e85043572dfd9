/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A commit is one write behind the last one, and one sync.  If the batch does
 * not fit, or the file has failed before, it goes into another file together
 * with that one's header, and the file gets its name when both are safe:
 *
 *	write header, batch -> sync -> rename -> sync the directory
 *
 * So a segment that has a name has a header and a batch, and the header says
 * where the segment before ends: what a failed commit left there is cut.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/store_private.h"
#include "common/base/bug.h"

static int
timed_sync(struct store *store, int file)
{
	const struct store_io *io = store->io;
	uint64_t began_ns = io->now_ns(io->context), took_ns;
	int err;

	err = io->sync(io->context, file);
	took_ns = io->now_ns(io->context) - began_ns;

	pthread_mutex_lock(&store->lock);
	store->syncs++;
	store->sync_ns_total += took_ns;
	if (took_ns > store->sync_ns_max)
		store->sync_ns_max = took_ns;
	pthread_mutex_unlock(&store->lock);
	return err;
}

/*
 * After a sync that failed the file's pages may be clean and not written:
 * another sync would lie.  What was committed before without one is in doubt;
 * what it did is in memory, and a checkpoint puts that on the disk again.
 */
static void
give_up_file(struct store *store)
{
	store->is_broken = true;
	if (!store->is_unsynced)
		return;
	store->is_unsynced = false;
	pthread_mutex_lock(&store->lock);
	store->wants_checkpoint = true;
	pthread_mutex_unlock(&store->lock);
}

static void
set_durable(struct store *store, uint64_t sequence)
{
	store->end.durable = sequence;
	/* For checkpoints; it says nothing about other memory: relaxed. */
	atomic_store_explicit(&store->durable, sequence, memory_order_relaxed);
}

static int
sync_active(struct store *store)
{
	int err;

	if (!store->is_unsynced)
		return 0;
	err = timed_sync(store, store->active_file);
	if (err != 0) {
		give_up_file(store);
		return err;
	}
	store->is_unsynced = false;
	set_durable(store, store_committed(store));
	return 0;
}

/* ---- what was committed takes effect --------------------------------------
 */

/* The batch is in the segment from `offset` on. */
static void
apply(struct store *store, const struct store_effect *effect,
    struct segment *segment, uint64_t offset)
{
	struct store_cursors *cursors = &store->cursors;

	switch (effect->kind) {
	case STORE_MESSAGE:
		if (effect->is_first) {
			segment->messages++;
			segment->message_bytes +=
			    store_record_bytes(effect->bytes);
		}
		cursors_deliver(cursors, effect->cursor, segment,
		    effect->sequence, effect->bytes);
		store_index_note(segment, effect->cursor, effect->sequence,
		    offset + effect->offset);
		break;
	case STORE_DONE:
		cursors_done(cursors, &effect->done, effect->sequence);
		break;
	case STORE_OPEN:
		cursors_open(cursors, effect->cursor, effect->sequence);
		break;
	case STORE_CLOSE:
		cursors_close(cursors, effect->cursor);
		break;
	}
}

/* The batch is in the segment, from `offset` on. */
static void
publish(struct store *store, struct segment *segment, uint64_t offset)
{
	struct store_batch *batch = &store->batch;

	pthread_mutex_lock(&store->lock);
	segment->end = offset + batch->used;
	segment->last_sequence = batch->last_sequence;
	for (size_t i = 0; i < batch->effect_count; i++)
		apply(store, &batch->effects[i], segment, offset);
	for (size_t i = 0; i < batch->effect_count; i++)
		cursors_unreserve(&store->cursors, batch->effects[i].cursor);
	store->commits++;
	store->appended_bytes += batch->used;
	store->behind_bytes += batch->used;
	store->error = 0;
	store_refresh_state(store);
	/* Pairs with store_committed(): readers find what it names. */
	atomic_store_explicit(
	    &store->committed, batch->last_sequence, memory_order_release);
	pthread_mutex_unlock(&store->lock);

	/* Has it made room?  Somebody waits for it then. */
	if (store->wake != NULL && store_state(store) != 0)
		store->wake(store->wake_arg);
	store->end.end = segment->end;
	store->end.last = batch->last_sequence;
	if (!store->spec.is_synced || !store->is_unsynced)
		set_durable(store, batch->last_sequence);
	batch->effect_count = 0;
	batch->used = 0;
}

/* ---- onto the disk ------------------------------------------------------- */

/* With a terminator, which the next commit overwrites. */
static uint64_t
terminate(struct store_batch *batch)
{
	memset(batch->buffer + STORE_PAGE + batch->used, 0, STORE_TERMINATOR);
	return batch->used + STORE_TERMINATOR;
}

static int
write_behind(struct store *store, bool must_sync)
{
	const struct store_io *io = store->io;
	struct segment *active = store->active;
	uint64_t length = terminate(&store->batch);
	int err;

	err = io->write(io->context, store->active_file,
	    store->batch.buffer + STORE_PAGE, length, active->end);
	if (err != 0) {
		store->is_broken = true;
		return err;
	}
	if (store->spec.is_synced && must_sync) {
		err = timed_sync(store, store->active_file);
		if (err != 0) {
			give_up_file(store);
			return err;
		}
	}
	store->is_unsynced = store->spec.is_synced && !must_sync;
	publish(store, active, active->end);
	return 0;
}

/* The BATCH has the sequence of the record behind it. */
static uint64_t
first_of_batch(const struct store_batch *batch)
{
	struct store_record_header header;

	memcpy(&header, batch->buffer + STORE_PAGE, sizeof(header));
	return le64toh(header.sequence);
}

static void
put_header(struct store *store)
{
	struct store_segment_header header = {
		.first_sequence = first_of_batch(&store->batch),
		.tag = store->tag,
		.segment_bytes = store->spec.segment_bytes,
		.before_first = store->end.first,
		.before_end = store->end.end,
		.before_last = store->end.last,
		.before_durable = store->end.durable,
		.created_ns = store->io->wall_ns(store->io->context),
	};

	segment_header_seal(&header);
	memcpy(store->batch.buffer, &header, sizeof(header));
}

/* On error the caller discards the spare, by the name that it has then. */
static int
write_segment(struct store *store, struct store_spare *spare, const char *name)
{
	const struct store_io *io = store->io;
	uint64_t length = STORE_PAGE + terminate(&store->batch);
	int err;

	put_header(store);
	err =
	    io->write(io->context, spare->file, store->batch.buffer, length, 0);
	if (err == 0 && store->spec.is_synced)
		err = timed_sync(store, spare->file);
	if (err != 0)
		return err;

	/*
	 * From here on it may be found again whatever is done about it: what
	 * is committed next must be where its header does not cut it.
	 */
	store->is_broken = true;
	err = io->rename(io->context, spare->name, name);
	if (err != 0)
		return err;
	memcpy(spare->name, name, STORE_NAME_MAX);
	if (store->spec.is_synced)
		err = io->sync_directory(io->context);
	return err;
}

/* The segment takes over from the one that was active. */
static void
switch_to(struct store *store, struct segment *segment, int file)
{
	pthread_mutex_lock(&store->lock);
	if (store->active != NULL) {
		store->active->is_active = false;
		store->active->durable = store->end.durable;
	}
	store->active = segment;
	segment->is_active = true;
	store_insert_segment(store, segment);
	pthread_mutex_unlock(&store->lock);

	if (store->active_file != -1)
		store->io->close(store->io->context, store->active_file);
	store->active_file = file;
	store->is_broken = false;
	store->is_unsynced = false;
	store->end.first = segment->first_sequence;
}

static int
new_segment(struct store *store, struct segment **out_segment)
{
	struct segment *segment;
	int err;

	pthread_mutex_lock(&store->lock);
	err = store_reserve_segment(store);
	pthread_mutex_unlock(&store->lock);
	segment = err == 0 ? calloc(1, sizeof(*segment)) : NULL;
	if (segment == NULL)
		return -ENOMEM;
	*out_segment = segment;
	return 0;
}

static int
write_elsewhere(struct store *store)
{
	char name[STORE_NAME_MAX] = { 0 };
	struct store_spare spare;
	struct segment *segment;
	int err;

	err = sync_active(store);
	if (err != 0)
		return err;
	err = new_segment(store, &segment);
	if (err != 0)
		return err;
	err = store_take_spare(store, &spare);
	if (err != 0)
		goto fail;

	segment->first_sequence = first_of_batch(&store->batch);
	segment->last_sequence = segment->first_sequence - 1;
	segment->size = store->spec.segment_bytes;
	segment_name(segment->first_sequence, 0, name);
	err = write_segment(store, &spare, name);
	if (err != 0) {
		store_discard_spare(store, &spare);
		goto fail;
	}
	switch_to(store, segment, spare.file);
	publish(store, segment, STORE_PAGE);
	store_ask_free(store);
	if (store->wake != NULL)
		store->wake(store->wake_arg);
	return 0;

fail:
	free(segment);
	return err;
}

static bool
fits_behind(const struct store *store)
{
	const struct segment *active = store->active;

	return active != NULL && !store->is_broken &&
	    store->batch.used + STORE_TERMINATOR <= active->size - active->end;
}

static void
note_failure(struct store *store, int err)
{
	store_drop_batch(store);
	pthread_mutex_lock(&store->lock);
	store->error = err;
	store_refresh_state(store);
	pthread_mutex_unlock(&store->lock);
}

/* Is the disk well again?  A segment with nothing but a BATCH tells. */
static int
probe(struct store *store)
{
	int err;

	store_ask_free(store);
	pthread_mutex_lock(&store->lock);
	err = store_available(store) >= 2 ? 0 : -ENOSPC;
	pthread_mutex_unlock(&store->lock);
	if (err == 0)
		err = store_begin_batch(store);
	if (err == 0)
		err = write_elsewhere(store);
	/* No two segments have one name. */
	if (err == 0)
		store->next_sequence++;
	return err;
}

int
store_commit(struct store *store, bool must_sync)
{
	int err;

	BUG_ON(store->spec.is_read_only);
	if (store->batch.used > 0)
		err = fits_behind(store) ? write_behind(store, must_sync)
					 : write_elsewhere(store);
	else if (store->error != 0)
		err = probe(store);
	else if (must_sync)
		err = sync_active(store);
	else
		return 0;
	if (err != 0)
		note_failure(store, err);
	return err;
}

void
store_mark_end(struct store *store)
{
	const struct store_io *io = store->io;
	uint64_t length;

	if (store->active == NULL || store->is_broken || store->error != 0 ||
	    sync_active(store) != 0 || store_begin_batch(store) != 0 ||
	    !fits_behind(store))
		return;
	length = terminate(&store->batch);
	if (io->write(io->context, store->active_file,
		store->batch.buffer + STORE_PAGE, length,
		store->active->end) == 0 &&
	    store->spec.is_synced)
		io->sync(io->context, store->active_file);
}
