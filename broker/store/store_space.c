/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The files of the journal: made ready before they are needed, used again
 * when nothing in them is, and never more than the limit allows.
 *
 *	made      -> "NNNNNNNN.spare" -> renamed by the commit that needs it
 *	            ^                                       |
 *	            +--- all over, covered, not read <------+
 *
 * Of the last two that the limit (or the disk) allows, one is kept for what
 * makes room.  Making one writes it full of zeros; the writer does that itself
 * only if the keeper has not, and waits if the keeper is just at it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/store_private.h"
#include "common/base/clock.h"

/* A file is cut if more than this part of a segment is unused. */
#define LONG_SHARE 8u

/* How long the keeper may rest with nothing to do. */
#define REST_NS CLOCK_SECOND_NS

/* ---- counting ------------------------------------------------------------ */

uint64_t
store_total_bytes(const struct store *store)
{
	const struct segment *segment;
	uint64_t bytes;

	bytes = (store->spare_count + (store->is_making ? 1 : 0)) *
	    store->spec.segment_bytes;
	bytes += store->checkpoint_files_bytes;
	for (size_t i = 0; i < store->segment_count; i++)
		bytes += store->segments[i]->size +
		    store->segments[i]->index_file_bytes;
	for (segment = store->leaving; segment != NULL; segment = segment->next)
		bytes += segment->size + segment->index_file_bytes;
	return bytes;
}

static uint64_t
may_make(const struct store *store)
{
	uint64_t total = store_total_bytes(store), left, always;

	if (total >= store->spec.max_bytes)
		return 0;
	left = store->spec.max_bytes - total;
	always = STORE_FREE_ALWAYS + 2 * store->checkpoint_bytes;
	if (store->free_bytes < always)
		return 0;
	if (left > store->free_bytes - always)
		left = store->free_bytes - always;
	return left / store->spec.segment_bytes;
}

uint64_t
store_available(const struct store *store)
{
	return store->spare_count + (store->is_making ? 1 : 0) +
	    may_make(store);
}

/* Could a small message be appended to what is there? */
static bool
has_room(const struct store *store)
{
	const struct segment *active = store->active;
	uint64_t left = 0;

	if (active != NULL)
		left = active->size - active->end;
	return store->available >= (left > STORE_PAGE ? 1 : 2);
}

void
store_refresh_state(struct store *store)
{
	int state = 0;

	store->available = store_available(store);
	if (store->error != 0)
		state = store->error == -ENOSPC ? -ENOSPC : -EIO;
	else if (!has_room(store))
		state = -ENOSPC;
	atomic_store_explicit(&store->state, state, memory_order_relaxed);
}

void
store_ask_free(struct store *store)
{
	uint64_t bytes = store->io->free_bytes(store->io->context);

	pthread_mutex_lock(&store->lock);
	store->free_bytes = bytes;
	store_refresh_state(store);
	pthread_mutex_unlock(&store->lock);
}

/* ---- files that are ready -------------------------------------------------
 */

static void
name_spare(uint32_t serial, char *out_name)
{
	snprintf(out_name, STORE_NAME_MAX, "%08" PRIx32 ".spare", serial);
}

/* No lock; the caller has set is_making. */
static int
make_spare(struct store *store, struct store_spare *out_spare)
{
	const struct store_io *io = store->io;
	struct store_spare spare = { .file = -1 };
	int err;

	name_spare(store->spare_serial++, spare.name);
	spare.file = io->open(io->context, spare.name, STORE_OPEN_CREATE);
	if (spare.file < 0)
		return spare.file;
	err = io->allocate(io->context, spare.file, store->spec.segment_bytes);
	/* Now, or the first commit into it would have to. */
	if (err == 0 && store->spec.is_synced)
		err = io->sync(io->context, spare.file);
	if (err != 0) {
		store_discard_spare(store, &spare);
		return err;
	}
	*out_spare = spare;
	return 0;
}

void
store_discard_spare(struct store *store, struct store_spare *spare)
{
	store->io->close(store->io->context, spare->file);
	store->io->remove(store->io->context, spare->name);
	spare->file = -1;
}

/* Lock held, and given back meanwhile. */
static int
make_unlocked(struct store *store, struct store_spare *out_spare)
{
	int err;

	store->is_making = true;
	pthread_mutex_unlock(&store->lock);
	err = make_spare(store, out_spare);
	pthread_mutex_lock(&store->lock);
	store->is_making = false;
	/* Until the disk is asked again. */
	if (err == -ENOSPC)
		store->free_bytes = 0;
	pthread_cond_broadcast(&store->made);
	return err;
}

int
store_take_spare(struct store *store, struct store_spare *out_spare)
{
	int err = 0;

	pthread_mutex_lock(&store->lock);
	while (store->spare_count == 0 && store->is_making)
		pthread_cond_wait(&store->made, &store->lock);
	if (store->spare_count > 0)
		*out_spare = store->spares[--store->spare_count];
	else if (may_make(store) == 0)
		err = -ENOSPC;
	else
		err = make_unlocked(store, out_spare);
	pthread_mutex_unlock(&store->lock);
	return err;
}

bool
store_adopt_spare(struct store *store, const char *name)
{
	const struct store_io *io = store->io;
	struct store_spare spare = { .file = -1 };
	char again[STORE_NAME_MAX];
	uint32_t serial;

	if (strlen(name) != 14 || strspn(name, "0123456789abcdef") != 8)
		return false;
	serial = (uint32_t)strtoul(name, NULL, 16);
	name_spare(serial, again);
	if (strcmp(name, again) != 0)
		return false;
	if (store->spec.is_read_only)
		return true;

	if (serial >= store->spare_serial)
		store->spare_serial = serial + 1;
	memcpy(spare.name, again, STORE_NAME_MAX);
	spare.file = io->open(io->context, name, STORE_OPEN_WRITE);
	if (spare.file < 0)
		return true;
	if (store->spare_count < STORE_SPARES &&
	    io->size(io->context, spare.file) ==
		(int64_t)store->spec.segment_bytes)
		store->spares[store->spare_count++] = spare;
	else
		store_discard_spare(store, &spare);
	return true;
}

/* ---- the keeper ---------------------------------------------------------- */

/* True: it made one. */
static bool
tend_spares(struct store *store)
{
	struct store_spare spare;
	bool is_made = false;

	store_ask_free(store);
	pthread_mutex_lock(&store->lock);
	if (store->spare_count < STORE_SPARES && !store->is_making &&
	    may_make(store) > 0 && make_unlocked(store, &spare) == 0) {
		store->spares[store->spare_count++] = spare;
		is_made = true;
	}
	store_refresh_state(store);
	pthread_mutex_unlock(&store->lock);
	return is_made;
}

/* Lock held: the first that nobody needs any more. */
static struct segment *
find_empty(const struct store *store)
{
	struct segment *segment;
	uint64_t last;

	/* The last one is where the next header points to. */
	for (size_t i = 0; i + 1 < store->segment_count; i++) {
		segment = store->segments[i];
		last = segment->merged_last > segment->last_sequence
		    ? segment->merged_last
		    : segment->last_sequence;
		if (!segment->is_active && segment->live == 0 &&
		    segment->pins == 0 && last <= store->covered)
			return segment;
	}
	return NULL;
}

/*
 * No lock: the file becomes a spare, or goes.  On error it is as it was, to
 * be tried again.
 */
static int
retire_file(struct store *store, const struct segment *segment, bool keep,
    struct store_spare *out_spare)
{
	const struct store_io *io = store->io;
	struct store_spare spare = { .file = -1 };
	char name[STORE_NAME_MAX];
	int err;

	err = store_manifest_write(store, segment);
	if (err != 0)
		return err;
	segment_name(segment->first_sequence, segment->merged_last, name);
	if (!keep)
		return io->remove(io->context, name);

	spare.file = io->open(io->context, name, STORE_OPEN_WRITE);
	if (spare.file < 0)
		return spare.file;
	name_spare(store->spare_serial++, spare.name);
	err = io->rename(io->context, name, spare.name);
	if (err != 0) {
		io->close(io->context, spare.file);
		return err;
	}
	/* Before it is written: it must not come back under its old name. */
	err = io->sync_directory(io->context);
	if (err == 0)
		*out_spare = spare;
	else
		store_discard_spare(store, &spare);
	return 0;
}

/* True: one was used again or removed. */
static bool
tend_empty(struct store *store)
{
	struct store_spare spare = { .file = -1 };
	struct segment *segment;
	bool keep;
	int err;

	pthread_mutex_lock(&store->lock);
	segment = store->is_making ? NULL : find_empty(store);
	if (segment == NULL) {
		pthread_mutex_unlock(&store->lock);
		return false;
	}
	segment->is_doomed = true;
	keep = segment->size == store->spec.segment_bytes &&
	    store->spare_count < STORE_SPARES;
	/* Its place among the spares, and its serial, are ours. */
	store->is_making = keep;
	pthread_mutex_unlock(&store->lock);

	store_index_remove_file(store, segment);
	err = retire_file(store, segment, keep, &spare);

	pthread_mutex_lock(&store->lock);
	store->is_making = false;
	segment->is_doomed = false;
	if (err == 0)
		store_remove_segment(store, segment);
	if (spare.file >= 0)
		store->spares[store->spare_count++] = spare;
	store_refresh_state(store);
	pthread_cond_broadcast(&store->made);
	pthread_mutex_unlock(&store->lock);
	if (err == 0)
		store_free_segment(segment);
	return err == 0;
}

/* Lock held: a file that is much longer than what is in it ever will be. */
static struct segment *
find_long(const struct store *store, uint64_t *out_size)
{
	const uint64_t much = store->spec.segment_bytes / LONG_SHARE;
	struct segment *segment;
	uint64_t size;

	for (size_t i = 0; i + 1 < store->segment_count; i++) {
		segment = store->segments[i];
		size = (segment->end + STORE_TERMINATOR + STORE_PAGE - 1) /
		    STORE_PAGE * STORE_PAGE;
		if (!segment->is_active && !segment->is_damaged &&
		    segment->merged_last == 0 && segment->size > size + much) {
			*out_size = size;
			return segment;
		}
	}
	return NULL;
}

/*
 * True: one was cut.  A broker that starts often would else fill the disk
 * with files that nothing is appended to.
 */
static bool
tend_long(struct store *store)
{
	const struct store_io *io = store->io;
	char name[STORE_NAME_MAX];
	struct segment *segment;
	uint64_t size;
	int err, file;

	pthread_mutex_lock(&store->lock);
	segment = find_long(store, &size);
	pthread_mutex_unlock(&store->lock);
	if (segment == NULL)
		return false;

	/* The keeper alone takes segments out: it is there. */
	segment_name(segment->first_sequence, 0, name);
	file = io->open(io->context, name, STORE_OPEN_WRITE);
	err = file < 0 ? file : io->truncate(io->context, file, size);
	if (file >= 0)
		io->close(io->context, file);

	pthread_mutex_lock(&store->lock);
	if (err == 0)
		segment->size = size;
	store_refresh_state(store);
	pthread_mutex_unlock(&store->lock);
	return err == 0;
}

/* The newest belongs into the list too, or nobody would miss it. */
static void
tend_manifest(struct store *store)
{
	uint64_t newest = 0;

	pthread_mutex_lock(&store->lock);
	if (store->segment_count > 0)
		newest =
		    store->segments[store->segment_count - 1]->first_sequence;
	pthread_mutex_unlock(&store->lock);
	if (newest > store->listed && store_manifest_write(store, NULL) == 0)
		store->listed = newest;
}

uint64_t
store_tend(struct store *store)
{
	bool is_busy;

	is_busy = tend_empty(store);
	is_busy = tend_spares(store) || is_busy;
	is_busy = tend_long(store) || is_busy;
	is_busy = store_index_tend(store) || is_busy;
	is_busy = store_merge_tend(store) || is_busy;
	tend_manifest(store);
	return is_busy ? 0 : REST_NS;
}

void
store_on_work(struct store *store, void (*wake)(void *arg), void *arg)
{
	store->wake = wake;
	store->wake_arg = arg;
}
