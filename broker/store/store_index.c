/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Indexes of the store's segments: the active one's grows with each commit,
 * that of a complete one is written beside it by the keeper while somebody
 * still waits for something in it, and is in memory while it is used.
 *
 * Nothing depends on a file being there, whole, or synced.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/segment_index.h"
#include "broker/store/store_private.h"

/* ---- files --------------------------------------------------------------- */

/* "NAME.seg" -> "NAME.idx" */
static void
index_name(const struct segment *segment, char *out_name)
{
	segment_name(segment->first_sequence, segment->merged_last, out_name);
	memcpy(strrchr(out_name, '.'), ".idx", sizeof(".idx"));
}

/* Lock held, or nobody else has the segment. */
static struct segment_index_head
head_of(const struct store *store, const struct segment *segment)
{
	return (struct segment_index_head){
		.first_sequence = segment->first_sequence,
		.tag = store->tag,
		.end = segment->end,
	};
}

/* NULL: it is no index of a segment that is there. */
static struct segment *
segment_of_index(const struct store *store, const char *name)
{
	size_t length = strlen(name);
	char own[STORE_NAME_MAX];
	struct segment *segment;
	uint64_t first, merged_last;

	if (length < 4 || length >= sizeof(own))
		return NULL;
	memcpy(own, name, length - 4);
	memcpy(own + length - 4, ".seg", sizeof(".seg"));
	if (!segment_name_parse(own, &first, &merged_last))
		return NULL;
	segment = store_segment_of(store, first);
	if (segment == NULL || segment->first_sequence != first ||
	    segment->merged_last != merged_last)
		return NULL;
	return segment;
}

/* At least 1: it is there. */
static uint64_t
file_bytes(const struct store_io *io, const char *name)
{
	int64_t size = 0;
	int file;

	file = io->open(io->context, name, STORE_OPEN_READ);
	if (file >= 0) {
		size = io->size(io->context, file);
		io->close(io->context, file);
	}
	return size < 1 ? 1 : (uint64_t)size;
}

static int
note_file(void *arg, const char *name)
{
	struct store *store = arg;
	struct segment *segment;
	size_t length = strlen(name);

	if (length < 4 || strcmp(name + length - 4, ".idx") != 0)
		return 0;
	segment = segment_of_index(store, name);
	if (segment != NULL)
		segment->index_file_bytes = file_bytes(store->io, name);
	else if (!store->spec.is_read_only)
		(void)store->io->remove(store->io->context, name);
	return 0;
}

int
store_index_find_files(struct store *store)
{
	return store->io->list(store->io->context, note_file, store);
}

void
store_index_remove_file(struct store *store, const struct segment *segment)
{
	char name[STORE_NAME_MAX];

	if (segment->index_file_bytes == 0)
		return;
	index_name(segment, name);
	(void)store->io->remove(store->io->context, name);
}

/* ---- growing ------------------------------------------------------------- */

void
store_index_note(struct segment *segment, uint64_t cursor, uint64_t sequence,
    uint64_t offset)
{
	const struct segment_index_entry entry = {
		.delta = (uint32_t)(sequence - segment->first_sequence),
		.place = (uint32_t)(offset / STORE_ALIGN),
	};

	if (cursor == 0 || segment->is_index_partial)
		return;
	if (segment->index == NULL)
		segment->index = segment_index_new();
	if (segment->index != NULL &&
	    segment_index_add(segment->index, cursor, entry) == 0)
		return;

	/* Who reads goes through the file then. */
	segment_index_free(segment->index);
	segment->index = NULL;
	segment->is_index_partial = true;
}

/* ---- made again ---------------------------------------------------------- */

struct build {
	const struct segment *segment;
	struct segment_view *view;
	struct store_message_room *room;
	struct segment_index *index;
	uint64_t last; /* sequence of the last record */
	uint64_t lost; /* bytes of damage */
};

static int
add_record(struct build *build, const struct segment_record *record)
{
	uint64_t delta = record->sequence - build->segment->first_sequence;
	struct segment_index_entry entry = { .delta = (uint32_t)delta,
		.place = (uint32_t)(record->offset / STORE_ALIGN) };
	struct store_message message;
	uint64_t cursor;
	int err;

	if (record->kind != STORE_MESSAGE || delta > UINT32_MAX)
		return 0;
	err = store_parse_message(record->body, build->room, &message);
	if (err != 0)
		return err == -ENOMEM ? err : 0;
	for (size_t i = 0; i < message.delivery_count && err == 0; i++) {
		cursor = message.deliveries[i].cursor;
		if (cursor != 0)
			err = segment_index_add(build->index, cursor, entry);
	}
	return err;
}

static int
add_all(struct build *build)
{
	uint64_t offset = STORE_PAGE;
	struct segment_record record;
	int result;

	while ((result = segment_view_next_record(build->view, offset,
		    build->last, &record, &build->lost)) == 1) {
		result = add_record(build, &record);
		if (result != 0)
			return result;
		build->last = record.sequence;
		offset = record.offset + record.bytes;
	}
	return result;
}

static int
build_index(struct store *store, struct build *build, uint64_t end)
{
	const struct segment *segment = build->segment;
	const struct store_io *io = store->io;
	char name[STORE_NAME_MAX];
	int err, file;

	build->index = segment_index_new();
	if (build->index == NULL)
		return -ENOMEM;
	segment_name(segment->first_sequence, segment->merged_last, name);
	file = io->open(io->context, name, STORE_OPEN_READ);
	if (file < 0)
		err = file;
	else {
		segment_view_set(build->view, file, store->tag, end);
		build->last = segment->first_sequence - 1;
		err = add_all(build);
		io->close(io->context, file);
	}
	if (err != 0)
		segment_index_free(build->index);
	return err;
}

void
store_index_make(struct store *store, struct segment *segment, uint64_t end)
{
	struct store_message_room room = { 0 };
	struct segment_view view;
	struct build build = {
		.segment = segment, .view = &view, .room = &room
	};
	int err;

	err = segment_view_init(&view, store->io, SEGMENT_VIEW_LARGE);
	if (err == 0)
		err = build_index(store, &build, end);
	segment_view_fini(&view);
	free(room.deliveries);
	free(room.identifiers);
	segment->index = err == 0 ? build.index : NULL;
	segment->is_index_partial = err != 0;
}

/* ---- into memory --------------------------------------------------------- */

/* What is not in the index is not missed when it is read: say it now. */
static void
tell_lost(const struct store *store, const struct build *build)
{
	const struct segment *segment = build->segment;
	char name[STORE_NAME_MAX];
	const struct store_damage damage = {
		.file = name,
		.offset = STORE_PAGE,
		.bytes = build->lost,
		.first_sequence = segment->first_sequence,
		.last_sequence = build->last,
		.what = "damaged records, found when one was looked for",
	};

	if (store->damaged == NULL)
		return;
	segment_name(segment->first_sequence, segment->merged_last, name);
	store->damaged(store->damaged_context, &damage);
}

/* No lock.  0; 1: there is none that is of use; -ENOMEM. */
static int
read_index(struct store *store, struct segment *segment,
    const struct segment_index_head *head, struct segment_index **out_index)
{
	char name[STORE_NAME_MAX];
	int err;

	index_name(segment, name);
	err = segment_index_read(store->io, name, head, out_index);
	if (err == 0 || err == -ENOMEM)
		return err;
	if (!store->spec.is_read_only)
		(void)store->io->remove(store->io->context, name);
	pthread_mutex_lock(&store->lock);
	segment->index_file_bytes = 0;
	pthread_mutex_unlock(&store->lock);
	return 1;
}

int
store_index_get(struct store *store, struct segment *segment,
    struct segment_view *view, struct store_message_room *room,
    struct segment_index **out_own)
{
	struct build build = { .segment = segment, .view = view, .room = room };
	struct segment_index_head head;
	bool has_file, is_there;
	int err = 1;

	*out_own = NULL;
	pthread_mutex_lock(&store->lock);
	segment->index_used = ++store->index_uses;
	is_there = segment->index != NULL;
	has_file = segment->index_file_bytes != 0;
	head = head_of(store, segment);
	pthread_mutex_unlock(&store->lock);
	if (is_there)
		return 0;

	if (has_file)
		err = read_index(store, segment, &head, &build.index);
	if (err == 1)
		err = build_index(store, &build, head.end);
	if (err != 0)
		return err;

	/* One that grows has by now more than was read. */
	pthread_mutex_lock(&store->lock);
	if (segment->index == NULL && !segment->is_active) {
		segment->index = build.index;
		build.index = NULL;
	}
	pthread_mutex_unlock(&store->lock);
	*out_own = build.index;
	if (build.lost != 0)
		tell_lost(store, &build);
	return 0;
}

/* ---- the keeper ---------------------------------------------------------- */

/* Lock held: of those in memory the one that is due to be written; NULL. */
static struct segment *
find_unwritten(const struct store *store)
{
	struct segment *segment;

	for (size_t i = 0; i < store->segment_count; i++) {
		segment = store->segments[i];
		if (segment->index != NULL && segment->live != 0 &&
		    !segment->is_active && segment->index_file_bytes == 0 &&
		    !segment->is_index_refused)
			return segment;
	}
	return NULL;
}

/*
 * Lock held: nobody waits for anything in it, or it has a file and has not
 * been used for longest.
 */
static void
forget_some(struct store *store)
{
	struct segment *segment, *oldest;
	size_t bytes;

	do {
		oldest = NULL;
		bytes = 0;
		for (size_t i = 0; i < store->segment_count; i++) {
			segment = store->segments[i];
			if (segment->index == NULL || segment->is_active ||
			    segment->pins != 0)
				continue;
			if (segment->live == 0) {
				segment_index_free(segment->index);
				segment->index = NULL;
				continue;
			}
			bytes += segment_index_bytes(segment->index);
			if (oldest == NULL ||
			    segment->index_used < oldest->index_used)
				oldest = segment;
		}
		if (bytes <= store->index_memory)
			return;
		segment_index_free(oldest->index);
		oldest->index = NULL;
	} while (true);
}

bool
store_index_tend(struct store *store)
{
	struct segment_index_head head;
	struct segment *segment;
	char name[STORE_NAME_MAX];
	uint64_t bytes = 0;
	int err;

	pthread_mutex_lock(&store->lock);
	segment = store->spec.is_read_only ? NULL : find_unwritten(store);
	if (segment == NULL) {
		forget_some(store);
		pthread_mutex_unlock(&store->lock);
		return false;
	}
	segment->pins++;
	head = head_of(store, segment);
	pthread_mutex_unlock(&store->lock);

	index_name(segment, name);
	err =
	    segment_index_write(segment->index, store->io, name, &head, &bytes);

	pthread_mutex_lock(&store->lock);
	segment->pins--;
	segment->index_file_bytes = err == 0 ? bytes : 0;
	segment->is_index_refused = err != 0;
	store_refresh_state(store);
	pthread_mutex_unlock(&store->lock);
	return true;
}
