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

#include "broker/store/store_private.h"

/* A file with the name of a segment. */
struct found_segment {
	uint64_t first_sequence, merged_last; /* by its name */
	char name[STORE_NAME_MAX];
	int file;
	uint64_t size;
	bool has_header;
	struct store_segment_header header; /* as in memory */
};

struct recovery {
	struct store *store;
	const struct store_sink *sink;
	struct found_segment *found; /* by first sequence */
	size_t count, room;
	char (*others)[STORE_NAME_MAX]; /* spares and temporary files */
	size_t other_count, other_room;
	uint64_t checkpoint_bytes; /* read of checkpoints */
	struct store_manifest manifest;
	int listed; /* 0, or why there is no manifest */
	bool is_manifest_due;
};

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
	err = store_manifest_read(recovery->store, &recovery->manifest);
	recovery->listed = err;
	return err == -ENOTSUP || err == -ENOMEM ? err : 0;
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

/* ---- which of them count ---------------------------------------------------
 */

static void
drop_found(struct recovery *recovery, size_t i)
{
	struct found_segment *found = &recovery->found[i];
	const struct store_io *io = recovery->store->io;

	io->close(io->context, found->file);
	if (!recovery->store->spec.is_read_only)
		io->remove(io->context, found->name);
	recovery->count--;
	memmove(found, found + 1, (recovery->count - i) * sizeof(*found));
}

/*
 * A segment that the header behind it does not know was left by a commit that
 * failed, so late that the file had its name.
 */
static void
drop_void(struct recovery *recovery)
{
	const struct found_segment *next;

	for (size_t i = recovery->count; i-- > 1;) {
		next = &recovery->found[i];
		if (next->has_header &&
		    next->header.before_first <
			recovery->found[i - 1].first_sequence)
			drop_found(recovery, i - 1);
	}
}

/*
 * The list was written without it, and then its file was to go: nothing in it
 * was needed.  A merged one is listed only later.
 */
static bool
was_taken_away(const struct store_manifest *manifest,
    const struct found_segment *found)
{
	uint64_t newest = 0;

	if (!found->has_header || found->header.merged_last != 0)
		return false;
	for (size_t i = 0; i < manifest->count; i++) {
		if (manifest->entries[i].first == found->first_sequence)
			return false;
		newest = manifest->entries[i].first;
	}
	return found->first_sequence < newest;
}

static void
drop_taken_away(struct recovery *recovery)
{
	for (size_t i = recovery->count; i-- > 0;)
		if (was_taken_away(&recovery->manifest, &recovery->found[i]))
			drop_found(recovery, i);
}

static void
tidy(struct recovery *recovery)
{
	struct store *store = recovery->store;
	const struct store_io *io = store->io;

	drop_taken_away(recovery);
	drop_void(recovery);
	for (size_t i = 0; i < recovery->other_count; i++)
		if (!store_adopt_spare(store, recovery->others[i]) &&
		    has_ending(recovery->others[i], ".tmp") &&
		    !store->spec.is_read_only)
			io->remove(io->context, recovery->others[i]);
}

/* ---- which are missing ------------------------------------------------------
 */

static bool
is_present(const struct recovery *recovery, uint64_t first_sequence)
{
	const struct found_segment *found;

	for (size_t i = 0; i < recovery->count; i++) {
		found = &recovery->found[i];
		if (found->first_sequence == first_sequence ||
		    (found->first_sequence < first_sequence &&
			found->merged_last >= first_sequence))
			return true;
	}
	return false;
}

static void
tell_missing(
    struct recovery *recovery, uint64_t first_sequence, uint64_t last_sequence)
{
	const struct store_sink *sink = recovery->sink;
	char name[STORE_NAME_MAX];

	segment_name(first_sequence, 0, name);
	sink->damaged(sink->context,
	    &(struct store_damage){ .file = name,
		.first_sequence = first_sequence,
		.last_sequence = last_sequence,
		.what = "a segment that is missing" });
	recovery->is_manifest_due = true;
}

static uint64_t
next_first(const struct recovery *recovery, uint64_t first_sequence)
{
	for (size_t i = 0; i < recovery->count; i++)
		if (recovery->found[i].first_sequence > first_sequence)
			return recovery->found[i].first_sequence;
	return first_sequence + 1;
}

static void
tell_manifest(struct recovery *recovery, const char *what)
{
	const struct store_sink *sink = recovery->sink;

	sink->damaged(sink->context,
	    &(struct store_damage){ .file = STORE_MANIFEST_NAME,
		.first_sequence = 1,
		.what = what });
	recovery->is_manifest_due = true;
}

/*
 * Each header names the one before.  Up to the newest in the list the list
 * knows better: there some have been taken away.
 */
static void
tell_all_missing(struct recovery *recovery)
{
	const struct store_manifest *manifest = &recovery->manifest;
	const struct found_segment *found;
	uint64_t newest = 0;

	for (size_t i = 0; i < manifest->count; i++) {
		newest = manifest->entries[i].first;
		if (!is_present(recovery, newest))
			tell_missing(
			    recovery, newest, next_first(recovery, newest) - 1);
	}
	recovery->store->listed = newest;
	for (size_t i = 0; i < recovery->count; i++) {
		found = &recovery->found[i];
		if (!found->has_header || found->merged_last != 0 ||
		    found->header.before_first <= newest ||
		    is_present(recovery, found->header.before_first))
			continue;
		if (recovery->listed != 0) {
			tell_manifest(recovery,
			    "segments are missing, or the list of them");
			break;
		}
		tell_missing(recovery, found->header.before_first,
		    found->header.before_last);
	}
}

/* ---- what they say ---------------------------------------------------------
 */

/* NULL: the list has no end of this segment. */
static const struct store_manifest_entry *
find_listed(const struct recovery *recovery, uint64_t first_sequence)
{
	const struct store_manifest *manifest = &recovery->manifest;

	for (size_t i = 0; i < manifest->count; i++)
		if (manifest->entries[i].first == first_sequence &&
		    manifest->entries[i].end != 0)
			return &manifest->entries[i];
	return NULL;
}

static void
set_bounds(
    const struct recovery *recovery, size_t i, struct store_bounds *out_bounds)
{
	const struct found_segment *found = &recovery->found[i];
	const struct found_segment *next = found + 1;
	const struct store_manifest_entry *listed =
	    find_listed(recovery, found->first_sequence);
	struct store_bounds bounds = { .name = found->name,
		.size = found->size,
		.end = found->size,
		.last = UINT64_MAX };

	if (found->merged_last != 0) {
		if (found->has_header)
			bounds.end = found->header.segment_bytes;
		bounds.last = found->merged_last;
		bounds.durable = found->merged_last;
	} else if (i + 1 == recovery->count) {
		bounds.is_last = true;
		bounds.durable = recovery->store->checkpoint_sequence;
	} else if (next->has_header &&
	    next->header.before_first == found->first_sequence) {
		bounds.end = next->header.before_end;
		bounds.last = next->header.before_last;
		bounds.durable = next->header.before_durable;
	} else if (listed != NULL) {
		bounds.end = listed->end;
		bounds.last = listed->last;
		bounds.durable = listed->durable;
	} else {
		bounds.last = next->first_sequence - 1;
		bounds.durable = bounds.last;
		bounds.is_open_ended = true;
	}
	*out_bounds = bounds;
}

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
		    ? next_first(recovery, found->first_sequence) - 1
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
	set_bounds(recovery, i, &bounds);
	store_scan_begin(scan);
	if (!found->has_header)
		tell_header(recovery, scan, &bounds, i);
	err = store_scan_segment(scan, segment, found->file, &bounds);
	if (err != 0)
		return err;
	segment->durable =
	    bounds.is_last ? segment->last_sequence : bounds.durable;
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

/*
 * Even so: a sync that failed in the life before has left pages that are read
 * here, need no sync, and are not on the disk.
 */
static int
renew_tail(const struct recovery *recovery, const struct store_scan *scan)
{
	struct store *store = recovery->store;
	char name[STORE_NAME_MAX];

	if (store->spec.is_read_only || !store->spec.is_synced ||
	    recovery->count == 0 || scan->unsure >= store->end.end)
		return 0;
	segment_name(store->end.first, 0, name);
	return store_write_again(
	    store, name, scan->unsure, store->end.end - scan->unsure);
}

static uint64_t
file_bytes(const struct recovery *recovery)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < recovery->count; i++)
		bytes += recovery->found[i].size;
	return bytes;
}

static int
scan_all(struct recovery *recovery)
{
	struct store *store = recovery->store;
	struct store_scan scan;
	uint64_t last;
	int result;

	result = store_scan_init(&scan, store, recovery->sink);
	scan.checkpoint = store->checkpoint_sequence;
	scan.done_bytes = recovery->checkpoint_bytes;
	scan.told_bytes = recovery->checkpoint_bytes;
	scan.total_bytes = recovery->checkpoint_bytes + file_bytes(recovery);
	for (size_t i = 0; i < recovery->count && result == 0; i++)
		result = scan_one(recovery, &scan, i);
	if (result == 0)
		result = renew_tail(recovery, &scan);
	store_scan_fini(&scan);
	if (result == 0 && scan.last < store->checkpoint_sequence)
		tell_missing(
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
	atomic_store_explicit(&store->committed, last, memory_order_release);
	atomic_store_explicit(&store->durable, last, memory_order_relaxed);
	return result;
}

int
store_recover(struct store *store, const struct store_sink *sink)
{
	struct recovery recovery = { .store = store, .sink = sink };
	int result;

	result = open_all(&recovery);
	if (result == 0)
		result = find_tag(&recovery);
	if (result == 0)
		result = store_checkpoint_load(store, sink,
		    file_bytes(&recovery), &recovery.checkpoint_bytes);
	if (result == 0) {
		tidy(&recovery);
		if (recovery.listed != 0 && recovery.listed != -ENOENT)
			tell_manifest(
			    &recovery, "the list of segments is damaged");
		tell_all_missing(&recovery);
		result = sync_all(&recovery);
	}
	if (result == 0)
		result = scan_all(&recovery);
	if (result == 0)
		result = store_index_find_files(store);
	/* It may fail: then it is told again the next time. */
	if (result == 0 && recovery.is_manifest_due &&
	    !store->spec.is_read_only)
		store_manifest_write(store, NULL);

	for (size_t i = 0; i < recovery.count; i++)
		if (recovery.found[i].file >= 0)
			store->io->close(
			    store->io->context, recovery.found[i].file);
	free(recovery.manifest.entries);
	free(recovery.found);
	free(recovery.others);
	return result;
}
