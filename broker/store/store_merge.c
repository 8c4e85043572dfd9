/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Neighbours with little in them that anybody waits for become one file: its
 * name says which sequences it stands for, and in it is only what is left, at
 * the same sequences and in the same order.
 *
 *	read each, write what is left to "merge.tmp"
 *	sync -> rename "FIRST-LAST.seg" -> sync the directory
 *	each cursor's entries point to the new one
 *	the old files go when no reader has them
 *
 * A file with such a name is complete, so whoever recovers drops what lies in
 * its range (store_recover.c).  Only what both checkpoints cover is merged:
 * state is in them, and need not be kept.
 *
 * A merge writes at most as much as it frees, or joins many of about one
 * size: so all that is ever merged is a small multiple of what was appended.
 * For a moment both are there: half a segment more than the limit says.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/segment_index.h"
#include "broker/store/store_private.h"

#define TEMPORARY "merge.tmp"

/* Together they may have this part of a segment that is live. */
#define LIVE_SHARE 2u

/* What is written is at most this part of what was there ... */
#define WRITTEN_SHARE 2u

/* ... or so many are joined, none of which is more than half of it. */
#define MANY 8u

/* Work of one call: so many files, and so many segments' worth of bytes. */
#define MAX_FILES 16u
#define MAX_SEGMENTS 4u

/* What is gathered for a write. */
#define BLOCK_BYTES ((size_t)256 << 10)

/* Cursors that are looked at under one lock. */
#define CURSORS_AT_ONCE 256u

struct merge {
	struct store *store;
	struct segment *from[MAX_FILES];
	size_t count;
	struct segment *into; /* the caller's until it is in the list */
	struct store_segment_header header;
	struct segment_view view;
	struct store_message_room room;
	int file; /* -1: none */
	bool is_named;
	uint8_t *block;
	size_t used, room_bytes;
	uint64_t offset; /* where the block goes */
};

/* ---- which --------------------------------------------------------------- */

static uint64_t
last_of(const struct segment *segment)
{
	return segment->merged_last > segment->last_sequence
	    ? segment->merged_last
	    : segment->last_sequence;
}

/* Lock held. */
static bool
may_merge(const struct store *store, const struct segment *segment)
{
	/* With nothing live it goes anyway. */
	return segment->live != 0 && !segment->is_active &&
	    !segment->is_damaged && !segment->is_merge_refused &&
	    last_of(segment) <= store->covered;
}

struct run {
	size_t count;
	uint64_t live, content, largest;
};

static bool
is_worth_it(const struct run *run)
{
	if (run->count < 2)
		return false;
	return run->live * WRITTEN_SHARE <= run->content ||
	    (run->count >= MANY && run->largest * 2 <= run->live);
}

/*
 * Lock held: how many from the `begin`th on would be merged; 0: none.  Not the
 * last one: the next header names it.
 */
static size_t
run_from(const struct store *store, size_t begin)
{
	const uint64_t segment_bytes = store->spec.segment_bytes;
	const struct segment *segment;
	struct run run = { 0 };
	uint64_t first = store->segments[begin]->first_sequence, live, content;

	for (size_t i = begin;
	     i + 1 < store->segment_count && run.count < MAX_FILES; i++) {
		segment = store->segments[i];
		live = segment_live_bytes(segment);
		content = segment->end - STORE_PAGE;
		if (!may_merge(store, segment) ||
		    run.live + live > segment_bytes / LIVE_SHARE ||
		    run.content + content > MAX_SEGMENTS * segment_bytes ||
		    last_of(segment) - first > UINT32_MAX)
			break;
		run.count++;
		run.live += live;
		run.content += content;
		if (live > run.largest)
			run.largest = live;
	}
	return is_worth_it(&run) ? run.count : 0;
}

/* The oldest that are worth it, if the disk has room for them. */
static void
choose(struct merge *merge)
{
	struct store *store = merge->store;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->segment_count && merge->count == 0; i++) {
		merge->count = run_from(store, i);
		memcpy(merge->from, &store->segments[i],
		    merge->count * sizeof(merge->from[0]));
	}
	if (store->free_bytes < store->spec.segment_bytes + STORE_FREE_ALWAYS)
		merge->count = 0;
	pthread_mutex_unlock(&store->lock);
}

/* ---- what is left -------------------------------------------------------- */

static int
flush(struct merge *merge)
{
	const struct store_io *io = merge->store->io;
	int err;

	if (merge->used == 0)
		return 0;
	err = io->write(
	    io->context, merge->file, merge->block, merge->used, merge->offset);
	if (err != 0)
		return err;
	merge->offset += merge->used;
	merge->used = 0;
	return 0;
}

/* Room for a record of so many bytes in the block. */
static int
reserve(struct merge *merge, uint64_t bytes)
{
	uint8_t *grown;
	int err = 0;

	if (merge->offset + merge->used + bytes >
	    merge->store->spec.segment_bytes)
		return -EFBIG;
	if (bytes > merge->room_bytes - merge->used)
		err = flush(merge);
	if (err != 0 || bytes <= merge->room_bytes)
		return err;
	grown = realloc(merge->block, bytes);
	if (grown == NULL)
		return -ENOMEM;
	merge->block = grown;
	merge->room_bytes = bytes;
	return 0;
}

/* Leave only the deliveries that are not over. */
static void
leave_waiting(
    struct merge *merge, uint64_t sequence, struct store_message *message)
{
	struct store *store = merge->store;
	struct store_delivery *list = merge->room.deliveries;
	size_t kept = 0;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < message->delivery_count; i++)
		if (!cursors_is_over(&store->cursors, list[i].cursor, sequence))
			list[kept++] = list[i];
	pthread_mutex_unlock(&store->lock);
	message->delivery_count = kept;
}

static int
add_to_index(struct merge *merge, uint64_t sequence, uint64_t offset,
    const struct store_message *message)
{
	const struct segment_index_entry entry = {
		.delta = (uint32_t)(sequence - merge->into->first_sequence),
		.place = (uint32_t)(offset / STORE_ALIGN),
	};
	int err = 0;

	for (size_t i = 0; i < message->delivery_count && err == 0; i++)
		err = segment_index_add(
		    merge->into->index, message->deliveries[i].cursor, entry);
	return err;
}

static int
write_message(
    struct merge *merge, uint64_t sequence, const struct store_message *message)
{
	size_t length = store_message_size(message);
	uint64_t bytes = store_record_bytes(length);
	uint8_t *at;
	int err;

	err = reserve(merge, bytes);
	if (err == 0)
		err = add_to_index(
		    merge, sequence, merge->offset + merge->used, message);
	if (err != 0)
		return err;
	at = merge->block + merge->used;
	store_message_write(message, at + sizeof(struct store_record_header));
	segment_record_seal(at,
	    &(struct segment_record){
		.sequence = sequence,
		.tag = merge->store->tag,
		.kind = STORE_MESSAGE,
		.body =
		    slice_of(at + sizeof(struct store_record_header), length),
	    });
	merge->used += bytes;
	merge->into->messages++;
	merge->into->message_bytes += bytes;
	return 0;
}

static int
copy_record(struct merge *merge, const struct segment_record *record)
{
	struct store_message message;
	int err;

	if (record->kind != STORE_MESSAGE)
		return 0;
	err = store_parse_message(record->body, &merge->room, &message);
	if (err != 0)
		return err;
	leave_waiting(merge, record->sequence, &message);
	if (message.delivery_count == 0)
		return 0;
	return write_message(merge, record->sequence, &message);
}

/* What cannot be read stays where it is: -EBADMSG. */
static int
copy_records(struct merge *merge, const struct segment *segment)
{
	uint64_t offset = STORE_PAGE, last = segment->first_sequence - 1;
	struct segment_record record;
	uint64_t lost = 0;
	int result;

	while ((result = segment_view_next_record(
		    &merge->view, offset, last, &record, &lost)) == 1) {
		result = copy_record(merge, &record);
		if (result != 0)
			return result;
		last = record.sequence;
		offset = record.offset + record.bytes;
	}
	return result == 0 && lost != 0 ? -EBADMSG : result;
}

static int
copy_segment(struct merge *merge, const struct segment *segment)
{
	const struct store_io *io = merge->store->io;
	char name[STORE_NAME_MAX];
	int err = 0, file;

	segment_name(segment->first_sequence, segment->merged_last, name);
	file = io->open(io->context, name, STORE_OPEN_READ);
	if (file < 0)
		return file;
	/* What came before the first came before all of them. */
	if (segment == merge->from[0])
		err = segment_header_read(io, file, &merge->header);
	segment_view_set(&merge->view, file, merge->store->tag, segment->end);
	if (err == 0)
		err = copy_records(merge, segment);
	io->close(io->context, file);
	return err;
}

/* ---- into one file ------------------------------------------------------- */

static int
begin(struct merge *merge)
{
	const struct store_io *io = merge->store->io;

	merge->into = calloc(1, sizeof(*merge->into));
	merge->block = malloc(BLOCK_BYTES);
	if (merge->into == NULL || merge->block == NULL ||
	    segment_view_init(&merge->view, io, SEGMENT_VIEW_LARGE) != 0)
		return -ENOMEM;
	merge->room_bytes = BLOCK_BYTES;
	merge->offset = STORE_PAGE;
	merge->into->first_sequence = merge->from[0]->first_sequence;
	merge->into->merged_last = last_of(merge->from[merge->count - 1]);
	merge->into->last_sequence = merge->into->merged_last;
	merge->into->durable = merge->into->merged_last;
	merge->into->index = segment_index_new();
	if (merge->into->index == NULL)
		return -ENOMEM;

	(void)io->remove(io->context, TEMPORARY);
	merge->file = io->open(io->context, TEMPORARY, STORE_OPEN_CREATE);
	return merge->file < 0 ? merge->file : 0;
}

/* The header, and everything onto the disk under its name. */
static int
finish(struct merge *merge)
{
	const struct store_io *io = merge->store->io;
	struct segment *into = merge->into;
	char name[STORE_NAME_MAX];
	int err;

	err = flush(merge);
	if (err != 0)
		return err;
	into->end = merge->offset;
	into->size = merge->offset;
	merge->header.merged_last = into->merged_last;
	merge->header.segment_bytes = into->size;
	merge->header.created_ns = io->wall_ns(io->context);
	segment_header_seal(&merge->header);
	err = io->write(
	    io->context, merge->file, &merge->header, sizeof(merge->header), 0);
	if (err == 0)
		err = io->sync(io->context, merge->file);
	if (err != 0)
		return err;
	segment_name(into->first_sequence, into->merged_last, name);
	/* Whatever is answered: it may have the name. */
	merge->is_named = true;
	err = io->rename(io->context, TEMPORARY, name);
	return err != 0 ? err : io->sync_directory(io->context);
}

static int
write_merged(struct merge *merge)
{
	int err;

	err = begin(merge);
	for (size_t i = 0; i < merge->count && err == 0; i++) {
		err = copy_segment(merge, merge->from[i]);
		/* What this merge leaves out is counted, and known as over. */
		if (err == 0 && merge->from[i]->is_holey)
			merge->into->is_holey = true;
	}
	return err == 0 ? finish(merge) : err;
}

/* ---- in their place ------------------------------------------------------ */

/* Some at a time: who commits waits for the lock. */
static void
move_entries(struct merge *merge, const uint64_t *numbers, size_t count)
{
	struct store *store = merge->store;
	size_t end;

	for (size_t i = 0; i < count; i = end) {
		end = count - i < CURSORS_AT_ONCE ? count : i + CURSORS_AT_ONCE;
		pthread_mutex_lock(&store->lock);
		for (size_t k = i; k < end; k++)
			cursors_merge(&store->cursors, numbers[k], merge->from,
			    merge->count, merge->into);
		pthread_mutex_unlock(&store->lock);
	}
}

static void
replace(struct merge *merge)
{
	struct store *store = merge->store;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < merge->count; i++) {
		store_remove_segment(store, merge->from[i]);
		merge->from[i]->next = store->leaving;
		store->leaving = merge->from[i];
	}
	store_insert_segment(store, merge->into);
	store->merged_bytes += merge->into->size - STORE_PAGE;
	store_refresh_state(store);
	pthread_mutex_unlock(&store->lock);
	merge->into = NULL;
}

/* 0 or -ENOMEM. */
static int
take_over(struct merge *merge)
{
	uint64_t *numbers;
	size_t count;

	/* Cursors that come later have nothing in what is old. */
	numbers = store_list_cursors(merge->store, &count);
	if (numbers == NULL)
		return -ENOMEM;
	move_entries(merge, numbers, count);
	replace(merge);
	free(numbers);
	return 0;
}

/* ---- the keeper ---------------------------------------------------------- */

/*
 * Files that cannot be merged are not tried again; a disk may get well.  Were
 * one with the final name left, the next merge could overlap it.
 */
static void
give_up(struct merge *merge, int err)
{
	struct store *store = merge->store;
	char name[STORE_NAME_MAX];
	int gone;

	(void)store->io->remove(store->io->context, TEMPORARY);
	if (merge->is_named) {
		segment_name(merge->into->first_sequence,
		    merge->into->merged_last, name);
		gone = store->io->remove(store->io->context, name);
		store->is_merge_off = gone != 0 && gone != -ENOENT;
	}
	if (err != -EBADMSG && err != -ENOTSUP && err != -EFBIG)
		return;
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < merge->count; i++)
		merge->from[i]->is_merge_refused = true;
	pthread_mutex_unlock(&store->lock);
}

static void
fini(struct merge *merge)
{
	const struct store_io *io = merge->store->io;

	if (merge->file >= 0)
		io->close(io->context, merge->file);
	segment_view_fini(&merge->view);
	free(merge->room.deliveries);
	free(merge->room.identifiers);
	free(merge->block);
	if (merge->into != NULL)
		store_free_segment(merge->into);
}

/* The next of those that were merged and that no reader has, unlinked. */
static struct segment *
take_leaving(struct store *store)
{
	struct segment **at, *found = NULL;

	pthread_mutex_lock(&store->lock);
	for (at = &store->leaving; *at != NULL; at = &(*at)->next)
		if ((*at)->pins == 0) {
			found = *at;
			*at = found->next;
			break;
		}
	pthread_mutex_unlock(&store->lock);
	return found;
}

/* A file that cannot be removed is when the store is opened next. */
static bool
remove_leaving(struct store *store)
{
	struct segment *segment;
	char name[STORE_NAME_MAX];
	bool is_any = false;

	while ((segment = take_leaving(store)) != NULL) {
		store_index_remove_file(store, segment);
		segment_name(
		    segment->first_sequence, segment->merged_last, name);
		(void)store->io->remove(store->io->context, name);
		store_free_segment(segment);
		is_any = true;
	}
	return is_any;
}

bool
store_merge_tend(struct store *store)
{
	struct merge merge = { .store = store, .file = -1 };
	bool is_busy = remove_leaving(store);
	int err;

	if (!store->is_merge_off)
		choose(&merge);
	if (merge.count == 0)
		return is_busy;
	err = write_merged(&merge);
	if (err == 0)
		err = take_over(&merge);
	if (err != 0)
		give_up(&merge, err);
	fini(&merge);
	return err == 0 || is_busy;
}
