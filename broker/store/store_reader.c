/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A cursor is read by walking the segments from where it stands.  A segment
 * that is being walked is pinned: its file stays.
 */

#include <errno.h>
#include <stdlib.h>

#include "broker/store/store_private.h"

struct store_reader {
	struct store *store;
	struct segment_view view;
	struct store_message_room room;
};

/* A read under way. */
struct walk {
	struct store_reader *reader;
	uint64_t cursor;
	uint64_t next; /* from here on */
	size_t messages_left, bytes_left;
	bool is_full;
	int (*each)(void *arg, uint64_t sequence,
	    const struct store_message *message,
	    const struct store_delivery *delivery);
	void *arg;
};

struct store_reader *
store_reader_new(struct store *store)
{
	struct store_reader *reader;

	reader = calloc(1, sizeof(*reader));
	if (reader == NULL)
		return NULL;
	reader->store = store;
	if (segment_view_init(&reader->view, store->io) != 0) {
		free(reader);
		return NULL;
	}
	return reader;
}

void
store_reader_free(struct store_reader *reader)
{
	if (reader == NULL)
		return;
	segment_view_fini(&reader->view);
	free(reader->room.deliveries);
	free(reader->room.identifiers);
	free(reader);
}

static int
make_room(struct store_message_room *room, size_t deliveries, size_t ids)
{
	void *list;

	if (deliveries > room->delivery_count) {
		list = realloc(room->deliveries,
		    deliveries * sizeof(struct store_delivery));
		if (list == NULL)
			return -ENOMEM;
		room->deliveries = list;
		room->delivery_count = deliveries;
	}
	if (ids > room->identifier_count) {
		list = realloc(room->identifiers, ids * sizeof(uint32_t));
		if (list == NULL)
			return -ENOMEM;
		room->identifiers = list;
		room->identifier_count = ids;
	}
	return 0;
}

static int
parse(struct store_reader *reader, struct slice body,
    struct store_message *out_message)
{
	struct store_message_room room = reader->room;
	int err;

	err = store_message_parse(body, &room, out_message);
	if (err != -ENOBUFS)
		return err;
	err = make_room(
	    &reader->room, room.delivery_count, room.identifier_count);
	if (err != 0)
		return err;
	room = reader->room;
	return store_message_parse(body, &room, out_message);
}

/* What cannot be parsed was told of when the store was opened. */
static int
take(struct walk *walk, const struct segment_record *record)
{
	const struct store_delivery *delivery = NULL;
	struct store_message message;
	int err;

	if (record->kind != STORE_MESSAGE || record->sequence < walk->next)
		return 0;
	err = parse(walk->reader, record->body, &message);
	if (err != 0)
		return err == -ENOMEM ? err : 0;
	for (size_t i = 0; i < message.delivery_count; i++)
		if (message.deliveries[i].cursor == walk->cursor)
			delivery = &message.deliveries[i];
	if (delivery == NULL)
		return 0;
	err = walk->each(walk->arg, record->sequence, &message, delivery);
	if (err != 0)
		return err;
	walk->next = record->sequence + 1;
	walk->messages_left--;
	walk->bytes_left -= record->body.len < walk->bytes_left
	    ? record->body.len
	    : walk->bytes_left;
	walk->is_full = walk->messages_left == 0 || walk->bytes_left == 0;
	return 0;
}

static int
walk_records(struct walk *walk)
{
	struct segment_view *view = &walk->reader->view;
	uint64_t offset = STORE_PAGE, last = 0;
	struct segment_record record;
	int found, err;

	while (!walk->is_full) {
		found = segment_view_at(view, offset, &record);
		if (found == SEGMENT_BROKEN)
			found = segment_view_next(view, offset, last, &record);
		if (found < 0)
			return found;
		if (found != SEGMENT_RECORD)
			return 0;
		err = take(walk, &record);
		if (err != 0)
			return err;
		last = record.sequence;
		offset = record.offset + record.bytes;
	}
	return 0;
}

static int
walk_file(struct walk *walk, const struct segment *segment, uint64_t end)
{
	const struct store_io *io = walk->reader->store->io;
	char name[STORE_NAME_MAX];
	int file, err;

	segment_name(segment->first_sequence, name);
	file = io->open(io->context, name, STORE_OPEN_READ);
	if (file < 0)
		return file;
	segment_view_set(
	    &walk->reader->view, file, walk->reader->store->tag, end);
	err = walk_records(walk);
	io->close(io->context, file);
	return err;
}

/* The first one with something from walk->next on, pinned; NULL: none. */
static struct segment *
pin_next(struct walk *walk, uint64_t *out_end, uint64_t *out_last)
{
	struct store *store = walk->reader->store;
	struct segment *found = NULL;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->segment_count && found == NULL; i++)
		if (store->segments[i]->last_sequence >= walk->next &&
		    store->segments[i]->live != 0)
			found = store->segments[i];
	if (found != NULL) {
		found->pins++;
		*out_end = found->end;
		*out_last = found->last_sequence;
	}
	pthread_mutex_unlock(&store->lock);
	return found;
}

static void
unpin(struct store *store, struct segment *segment)
{
	pthread_mutex_lock(&store->lock);
	segment->pins--;
	pthread_mutex_unlock(&store->lock);
}

int
store_read(struct store_reader *reader, uint64_t cursor, uint64_t from,
    size_t max_messages, size_t max_bytes,
    int (*each)(void *arg, uint64_t sequence,
	const struct store_message *message,
	const struct store_delivery *delivery),
    void *arg, uint64_t *out_upto)
{
	const uint64_t committed = store_committed(reader->store);
	struct walk walk = {
		.reader = reader,
		.cursor = cursor,
		.next = from,
		.messages_left = max_messages,
		.bytes_left = max_bytes,
		.each = each,
		.arg = arg,
	};
	struct segment *segment;
	uint64_t end, last;
	int err = 0;

	while (err == 0 && !walk.is_full &&
	    (segment = pin_next(&walk, &end, &last)) != NULL) {
		err = walk_file(&walk, segment, end);
		unpin(reader->store, segment);
		if (!walk.is_full)
			walk.next = last + 1;
	}
	if (err != 0)
		return err;
	*out_upto = walk.next - 1;
	if (!walk.is_full && committed > *out_upto)
		*out_upto = committed;
	return 0;
}
