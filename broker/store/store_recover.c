/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Recovery reads the checkpoint, then every segment from its first byte to
 * its last: what the checkpoint has is only counted (who still waits for
 * what), what is behind it is told to the sink.
 *
 * Nothing is changed before it is known that no file is of a newer version.
 * Nothing is appended to a file that was recovered: the next commit begins
 * another, whose header says where this one ends.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/store/store_recovery.h"

/* Bytes from one time that progress is told to the next. */
#define TELL_EVERY (UINT64_C(16) << 20)

/* ---- what is told ---------------------------------------------------------
 */

void
store_progress_add(struct store_progress *progress, uint64_t bytes)
{
	const struct store_sink *sink = progress->sink;

	progress->done += bytes;
	if (sink->progress == NULL ||
	    progress->done - progress->told < TELL_EVERY)
		return;
	progress->told = progress->done;
	sink->progress(sink->context, progress->done, progress->total);
}

void
store_tell_sink(
    const struct store_sink *sink, const struct store_damage *damage)
{
	if (sink->damaged != NULL)
		sink->damaged(sink->context, damage);
}

/* ---- which files there are ------------------------------------------------
 */

static int
grow(void *list, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room == 0 ? 16 : *room * 2;
	void **at = list, *grown;

	if (count < *room)
		return 0;
	grown = realloc(*at, wanted * size);
	if (grown == NULL)
		return -ENOMEM;
	*at = grown;
	*room = wanted;
	return 0;
}

static bool
has_ending(const char *name, const char *ending)
{
	size_t length = strlen(name), tail = strlen(ending);

	return length >= tail && strcmp(name + length - tail, ending) == 0;
}

static int
note_name(void *arg, const char *name)
{
	struct recovery *recovery = arg;
	struct found_segment *found;
	uint64_t first, merged_last;
	int err;

	if (segment_name_parse(name, &first, &merged_last)) {
		err = grow(&recovery->found, recovery->count, &recovery->room,
		    sizeof(*recovery->found));
		if (err != 0)
			return err;
		found = &recovery->found[recovery->count++];
		*found = (struct found_segment){ .first_sequence = first,
			.merged_last = merged_last,
			.file = -1 };
		segment_name(first, merged_last, found->name);
		return 0;
	}
	if (strlen(name) >= STORE_NAME_MAX ||
	    !(has_ending(name, ".spare") || has_ending(name, ".tmp")))
		return 0;
	err = grow(&recovery->others, recovery->other_count,
	    &recovery->other_room, sizeof(*recovery->others));
	if (err == 0)
		strcpy(recovery->others[recovery->other_count++], name);
	return err;
}

static int
by_first_sequence(const void *a, const void *b)
{
	const struct found_segment *one = a, *other = b;

	return one->first_sequence < other->first_sequence ? -1
	    : one->first_sequence > other->first_sequence  ? 1
							   : 0;
}

/* -ENOTSUP: of a newer version. */
static int
open_found(struct recovery *recovery, struct found_segment *found)
{
	const struct store_io *io = recovery->store->io;
	int64_t size;
	int err;

	found->file = io->open(io->context, found->name, STORE_OPEN_READ);
	if (found->file < 0)
		return found->file;
	size = io->size(io->context, found->file);
	if (size < 0)
		return (int)size;
	found->size = (uint64_t)size;
	err = segment_header_read(io, found->file, &found->header);
	found->has_header = err == 0 &&
	    found->header.first_sequence == found->first_sequence &&
	    found->header.merged_last == found->merged_last;
	return err == -EBADMSG ? 0 : err;
}

static int
open_all(struct recovery *recovery)
{
	const struct store_io *io = recovery->store->io;
	int err;

	err = io->list(io->context, note_name, recovery);
	if (err != 0)
		return err;
	if (recovery->count > 0)
		qsort(recovery->found, recovery->count,
		    sizeof(*recovery->found), by_first_sequence);
	for (size_t i = 0; i < recovery->count && err == 0; i++)
		err = open_found(recovery, &recovery->found[i]);
	if (err != 0)
		return err;
	/*
	 * One that the disk does not give may be whole: without it what a
	 * failed commit left behind the end of a segment would be found again.
	 */
	err = store_manifest_read(recovery->store, &recovery->manifest);
	recovery->listed = err;
	return err == -ENOENT || err == -EBADMSG ? 0 : err;
}

/* Without any header that is whole, a record tells the store's tag. */
static int
tag_from_records(struct recovery *recovery, uint64_t *out_tag)
{
	struct segment_record record;
	struct segment_view view;
	int found = 0, err;

	err = segment_view_init(&view, recovery->store->io, SEGMENT_VIEW_LARGE);
	for (size_t i = 0; i < recovery->count && err == 0; i++) {
		segment_view_set(
		    &view, recovery->found[i].file, 0, recovery->found[i].size);
		found = segment_view_next(&view, STORE_PAGE,
		    recovery->found[i].first_sequence - 1, &record);
		if (found < 0)
			err = found;
		else if (found == SEGMENT_RECORD) {
			*out_tag = record.tag;
			break;
		}
	}
	segment_view_fini(&view);
	return err;
}

static int
find_tag(struct recovery *recovery)
{
	uint64_t tag = 0;
	int err = 0;

	for (size_t i = 0; i < recovery->count && tag == 0; i++)
		if (recovery->found[i].has_header)
			tag = recovery->found[i].header.tag;
	if (tag == 0)
		err = tag_from_records(recovery, &tag);
	while (err == 0 && tag == 0)
		if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
			err = -errno;
	recovery->store->tag = tag;
	return err;
}

static void
tidy(struct recovery *recovery)
{
	struct store *store = recovery->store;
	const struct store_io *io = store->io;

	recovery_drop_void(recovery);
	for (size_t i = 0; i < recovery->other_count; i++)
		if (!store_adopt_spare(store, recovery->others[i]) &&
		    has_ending(recovery->others[i], ".tmp") &&
		    !store->spec.is_read_only)
			io->remove(io->context, recovery->others[i]);
}

/* ---- what they say ---------------------------------------------------------
 */

/*
 * What can be known without it is written anew, so that it is told once; what
 * came before it is known from there.
 */
static void
mend_header(struct recovery *recovery, struct store_scan *scan,
    const struct found_segment *found)
{
	const struct store *store = recovery->store;
	struct store_segment_header header = {
		.first_sequence = found->first_sequence,
		.tag = store->tag,
		.segment_bytes = found->size,
		.before_first = store->end.first,
		.before_end = store->end.end,
		.before_last = store->end.last,
		.before_durable = store->end.last,
		.merged_last = found->merged_last,
		.created_ns = store->io->wall_ns(store->io->context),
	};

	if (scan->kept_as[0] != '\0')
		store_write_header(recovery->store, found->name, &header);
}

static void
tell_header(const struct recovery *recovery, struct store_scan *scan,
    const struct store_bounds *bounds, size_t i)
{
	const struct found_segment *found = &recovery->found[i];
	bool is_empty = found->size < STORE_PAGE;

	store_scan_tell(scan, bounds,
	    &(struct store_damage){
		.bytes = is_empty ? found->size : STORE_PAGE,
		.first_sequence = found->first_sequence,
		.last_sequence = is_empty
		    ? recovery_next_first(recovery, found->first_sequence) - 1
		    : found->first_sequence - 1,
		.what = is_empty ? "a segment without content"
				 : "a damaged header of a segment" });
}

/* Files are as long as they were made until they are no longer the last. */
static void
tell_short(struct store_scan *scan, const struct found_segment *found,
    const struct store_bounds *bounds)
{
	if (!bounds->is_last || !found->has_header ||
	    found->size >= found->header.segment_bytes)
		return;
	store_scan_tell(scan, bounds,
	    &(struct store_damage){ .offset = found->size,
		.bytes = found->header.segment_bytes - found->size,
		.first_sequence = scan->last + 1,
		.last_sequence = scan->last,
		.what = "a segment that was cut" });
}

static int
add_segment(struct recovery *recovery, const struct found_segment *found,
    struct segment **out_segment)
{
	struct segment *segment;

	if (store_reserve_segment(recovery->store) != 0)
		return -ENOMEM;
	segment = calloc(1, sizeof(*segment));
	if (segment == NULL)
		return -ENOMEM;
	segment->first_sequence = found->first_sequence;
	segment->size = found->size;
	segment->merged_last = found->merged_last;
	store_insert_segment(recovery->store, segment);
	*out_segment = segment;
	return 0;
}

/*
 * Even so: a sync that failed in the life before has left pages that are read
 * here, need no sync, and are not on the disk.
 */
static int
renew_tail(
    struct store *store, const struct store_scan *scan, struct segment *segment)
{
	char name[STORE_NAME_MAX];

	if (scan->unsure >= segment->end)
		return 0;
	segment_name(segment->first_sequence, segment->merged_last, name);
	return store_write_again(
	    store, name, scan->unsure, segment->end - scan->unsure);
}

/* Up to where the segment is on the disk for sure; it is made so. */
static int
settle_durable(struct store *store, const struct store_scan *scan,
    const struct store_bounds *bounds, struct segment *segment)
{
	int err;

	segment->durable = bounds->durable;
	if (store->spec.is_synced && !store->spec.is_read_only &&
	    segment->durable < segment->last_sequence) {
		err = renew_tail(store, scan, segment);
		if (err != 0)
			return err;
		segment->durable = segment->last_sequence;
	}
	if (bounds->is_last)
		segment->durable = segment->last_sequence;
	return 0;
}

static int
scan_one(struct recovery *recovery, struct store_scan *scan, size_t i)
{
	const struct found_segment *found = &recovery->found[i];
	struct store *store = recovery->store;
	struct store_bounds bounds;
	struct segment *segment;
	int err;

	err = add_segment(recovery, found, &segment);
	if (err != 0)
		return err;
	recovery_set_bounds(recovery, i, &bounds);
	store_scan_begin(scan);
	if (!found->has_header)
		tell_header(recovery, scan, &bounds, i);
	err = store_scan_segment(scan, segment, found->file, &bounds);
	if (err != 0)
		return err;
	/* It had more once, and numbers are not used twice. */
	if (found->merged_last > scan->last)
		scan->last = found->merged_last;
	err = settle_durable(store, scan, &bounds, segment);
	if (err != 0)
		return err;
	tell_short(scan, found, &bounds);
	if (!found->has_header)
		mend_header(recovery, scan, found);
	store->end = (struct store_end){ .first = segment->first_sequence,
		.end = segment->end,
		.last = segment->last_sequence,
		.durable = segment->last_sequence };
	return 0;
}

/*
 * What is read may be in the system's memory only: what is built on it must
 * not be surer than it is.
 */
static int
sync_all(struct recovery *recovery)
{
	const struct store *store = recovery->store;
	int err = 0;

	if (store->spec.is_read_only || !store->spec.is_synced)
		return 0;
	for (size_t i = 0; i < recovery->count && err == 0; i++)
		err = store->io->sync(
		    store->io->context, recovery->found[i].file);
	if (err == 0)
		err = store->io->sync_directory(store->io->context);
	return err;
}

static uint64_t
file_bytes(const struct recovery *recovery)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < recovery->count; i++)
		bytes += recovery->found[i].size;
	return bytes;
}

/*
 * A commit that did not come to its end may have left as many records as fit
 * into a file in one that is ready to be used.  Old sequences they must have
 * there, or they pass for a part of what is written before them.
 */
static uint64_t
most_records(const struct store *store)
{
	return store->spec.segment_bytes / sizeof(struct store_record_header);
}

static int
scan_all(struct recovery *recovery)
{
	struct store *store = recovery->store;
	struct store_scan scan;
	uint64_t last;
	int result;

	result = store_scan_init(&scan, store, &recovery->progress);
	scan.checkpoint = store->checkpoint_sequence;
	/* Some files have gone. */
	recovery->progress.total =
	    recovery->progress.done + file_bytes(recovery);
	for (size_t i = 0; i < recovery->count && result == 0; i++)
		result = scan_one(recovery, &scan, i);
	store_scan_fini(&scan);
	if (result == 0 && scan.last < store->checkpoint_sequence)
		recovery_tell_one(
		    recovery, scan.last + 1, store->checkpoint_sequence);

	last = scan.last;
	if (store->checkpoint_sequence > last)
		last = store->checkpoint_sequence;
	/*
	 * Above whatever lies about, is the name of a file, or is known to a
	 * checkpoint: that may be newer than what a power cut has left.
	 */
	store->next_sequence = (scan.seen > last ? scan.seen : last) + 1;
	if (store->cursors.highest >= store->next_sequence)
		store->next_sequence = store->cursors.highest + 1;
	if (store->end.first >= store->next_sequence)
		store->next_sequence = store->end.first + 1;
	if (store->end.first != 0 || store->spare_count != 0)
		store->next_sequence += most_records(store);
	if (recovery->manifest.sequence_floor > store->next_sequence)
		store->next_sequence = recovery->manifest.sequence_floor;
	store->sequence_floor = store->next_sequence + most_records(store);
	atomic_store_explicit(&store->committed, last, memory_order_release);
	atomic_store_explicit(&store->durable, last, memory_order_relaxed);
	return result;
}

/*
 * It may fail, on a disk that is full: then what was missing is told again
 * the next time, and nothing is taken over that could be of a void commit.
 */
static void
write_manifest(struct store *store)
{
	if (store_manifest_write(store, NULL) == 0)
		return;
	while (store->spare_count > 0)
		store_discard_spare(
		    store, &store->spares[--store->spare_count]);
}

int
store_recover(struct store *store, const struct store_sink *sink)
{
	struct recovery recovery = {
		.store = store, .sink = sink, .progress.sink = sink
	};
	int result;

	result = open_all(&recovery);
	if (result == 0)
		result = find_tag(&recovery);
	recovery.progress.total = file_bytes(&recovery);
	if (result == 0)
		result = store_checkpoint_load(
		    store, recovery.progress.total != 0, &recovery.progress);
	if (result == 0) {
		tidy(&recovery);
		recovery_tell_missing(&recovery);
		result = sync_all(&recovery);
	}
	if (result == 0)
		result = scan_all(&recovery);
	if (result == 0)
		result = store_index_find_files(store);
	if (result == 0 && !store->spec.is_read_only)
		write_manifest(store);

	for (size_t i = 0; i < recovery.count; i++)
		if (recovery.found[i].file >= 0)
			store->io->close(
			    store->io->context, recovery.found[i].file);
	free(recovery.manifest.entries);
	free(recovery.found);
	free(recovery.others);
	return result;
}
