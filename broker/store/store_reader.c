/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What waits for a cursor, read in parts: a part is what its index says of
 * one segment, up to READ_AHEAD messages.  The segment is pinned meanwhile,
 * so that its file stays what it is, whatever the keeper does.
 *
 *	under the lock	which segment comes next; pin it
 *	not		its index into memory, if it is not there
 *	under the lock	where in it the messages are that are not over
 *	not		read, check and give each; let go of it
 */

#include <errno.h>
#include <stdlib.h>

#include "broker/store/segment_index.h"
#include "broker/store/store_private.h"

#define READ_AHEAD 256u

/* Lists of READ_AHEAD that are all over, looked through at once. */
#define MAX_LOOKS 16u

struct store_reader {
	struct store *store;
	struct segment_view view;
	struct store_message_room room;
};

/* What one call may still give, and has given. */
struct quota {
	size_t messages, bytes;
	bool is_begun; /* the first is always given */
	uint64_t upto; /* given, up to here */
	int result;    /* why it ended: from the disk, or from `each` */
	int (*each)(void *arg, uint64_t sequence,
	    const struct store_message *message,
	    const struct store_delivery *delivery);
	void *arg;
};

struct part {
	struct segment *segment; /* pinned */
	uint64_t cursor;
	uint64_t last; /* the segment has something up to here */
	uint64_t end;  /* offset */
	uint64_t upto; /* the places are all there is up to here */
	size_t count;
	struct segment_index_entry places[READ_AHEAD];
};

struct store_reader *
store_reader_new(struct store *store)
{
	struct store_reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		return NULL;
	reader->store = store;
	if (segment_view_init(&reader->view, store->io, SEGMENT_VIEW_SMALL) !=
	    0) {
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

void
store_on_damage(struct store *store,
    void (*damaged)(void *context, const struct store_damage *damage),
    void *context)
{
	store->damaged = damaged;
	store->damaged_context = context;
}

static void
let_go(struct store *store, struct segment *segment)
{
	pthread_mutex_lock(&store->lock);
	segment->pins--;
	pthread_mutex_unlock(&store->lock);
}

/* ---- where --------------------------------------------------------------- */

/* False: there is no more, up to *out_committed. */
static bool
pin_next(struct store *store, uint64_t cursor, uint64_t from,
    struct part *out_part, uint64_t *out_committed)
{
	const struct cursor_entry *entry = NULL;
	const struct cursor *found;

	pthread_mutex_lock(&store->lock);
	found = cursors_find(&store->cursors, cursor);
	if (found != NULL && !found->is_pending)
		entry = cursor_entry_from(found, from);
	if (entry != NULL) {
		entry->segment->pins++;
		out_part->segment = entry->segment;
		out_part->cursor = cursor;
		out_part->last = entry->last;
	}
	*out_committed = store_committed(store);
	pthread_mutex_unlock(&store->lock);
	return entry != NULL;
}

static uint64_t
sequence_of(const struct part *part, size_t i)
{
	return part->segment->first_sequence + part->places[i].delta;
}

/* Lock held: take out what is over. */
static void
leave_waiting(const struct store *store, struct part *part)
{
	size_t kept = 0;

	for (size_t i = 0; i < part->count; i++)
		if (!cursors_is_over(
			&store->cursors, part->cursor, sequence_of(part, i)))
			part->places[kept++] = part->places[i];
	part->count = kept;
}

/* Lock held. */
static void
look(const struct store *store, const struct segment_index *index,
    uint64_t from, struct part *part)
{
	uint64_t first = part->segment->first_sequence, last;
	bool is_all = false;

	part->count = 0;
	part->end = part->segment->end;
	for (unsigned n = 0; n < MAX_LOOKS && part->count == 0 && !is_all;
	     n++) {
		part->count = segment_index_find(index, part->cursor,
		    from <= first ? 0 : (uint32_t)(from - first), part->places,
		    READ_AHEAD);
		is_all = part->count < READ_AHEAD;
		if (part->count > 0) {
			last = sequence_of(part, part->count - 1);
			part->upto = last;
			from = last + 1;
		}
		leave_waiting(store, part);
	}
	/* The active segment may have grown behind what is counted. */
	if (is_all && (part->count == 0 || part->upto < part->last))
		part->upto = part->last;
}

/* 0 or -errno. */
static int
find_places(struct store_reader *reader, uint64_t from, struct part *part)
{
	struct store *store = reader->store;
	struct segment_index *own;
	int err;

	err = store_index_get(
	    store, part->segment, &reader->view, &reader->room, &own);
	if (err != 0)
		return err;
	pthread_mutex_lock(&store->lock);
	look(store, own != NULL ? own : part->segment->index, from, part);
	pthread_mutex_unlock(&store->lock);
	segment_index_free(own);
	return 0;
}

/* ---- what ---------------------------------------------------------------- */

static void
tell_damage(const struct store *store, const struct segment *segment,
    uint64_t offset, uint64_t sequence)
{
	char name[STORE_NAME_MAX];
	const struct store_damage damage = {
		.file = name,
		.offset = offset,
		.bytes = sizeof(struct store_record_header),
		.first_sequence = sequence,
		.last_sequence = sequence,
		.what = "a damaged record, found when it was needed",
	};

	if (store->damaged == NULL)
		return;
	segment_name(segment->first_sequence, segment->merged_last, name);
	store->damaged(store->damaged_context, &damage);
}

/* With just the one delivery; -EBADMSG without. */
static int
parse_for(struct store_reader *reader, uint64_t cursor, struct slice body,
    struct store_message *out_message)
{
	int err;

	err = store_parse_message(body, &reader->room, out_message);
	if (err != 0)
		return err;
	for (size_t i = 0; i < out_message->delivery_count; i++) {
		if (out_message->deliveries[i].cursor != cursor)
			continue;
		out_message->deliveries += i;
		out_message->delivery_count = 1;
		return 0;
	}
	return -EBADMSG;
}

/* 0 with the message; -EBADMSG: it is not there as it was; -errno. */
static int
read_message(struct store_reader *reader, const struct part *part, size_t i,
    struct store_message *out_message, size_t *out_bytes)
{
	uint64_t offset = (uint64_t)part->places[i].place * STORE_ALIGN;
	struct segment_record record;
	int found;

	found = segment_view_at(&reader->view, offset, &record);
	if (found < 0)
		return found;
	if (found != SEGMENT_RECORD || record.kind != STORE_MESSAGE ||
	    record.sequence != sequence_of(part, i))
		return -EBADMSG;
	*out_bytes = record.body.len;
	return parse_for(reader, part->cursor, record.body, out_message);
}

/* False: there is no room for it. */
static bool
take_room(struct quota *quota, size_t bytes)
{
	if (quota->is_begun && (quota->messages == 0 || bytes > quota->bytes))
		return false;
	quota->is_begun = true;
	quota->messages -= quota->messages > 0 ? 1 : 0;
	quota->bytes -= bytes < quota->bytes ? bytes : quota->bytes;
	return true;
}

/* Give it, or pass it over if it is damaged.  False: it ends here. */
static bool
give(struct store_reader *reader, const struct part *part, size_t i,
    struct quota *quota)
{
	uint64_t sequence = sequence_of(part, i);
	struct store_message message;
	size_t bytes = 0;
	int err;

	err = read_message(reader, part, i, &message, &bytes);
	if (err == -EBADMSG || err == -ENOTSUP) {
		tell_damage(reader->store, part->segment,
		    (uint64_t)part->places[i].place * STORE_ALIGN, sequence);
		err = 0;
	} else if (err == 0) {
		if (!take_room(quota, bytes))
			return false;
		err = quota->each(
		    quota->arg, sequence, &message, &message.deliveries[0]);
	}
	if (err == 0)
		quota->upto = sequence;
	quota->result = err;
	return err == 0;
}

static bool
give_all(
    struct store_reader *reader, const struct part *part, struct quota *quota)
{
	for (size_t i = 0; i < part->count; i++)
		if (!give(reader, part, i, quota))
			return false;
	quota->upto = part->upto;
	return true;
}

/* False: it ends here. */
static bool
read_part(
    struct store_reader *reader, const struct part *part, struct quota *quota)
{
	const struct store_io *io = reader->store->io;
	char name[STORE_NAME_MAX];
	bool goes_on;
	int file;

	segment_name(
	    part->segment->first_sequence, part->segment->merged_last, name);
	file = io->open(io->context, name, STORE_OPEN_READ);
	if (file < 0) {
		quota->result = file;
		return false;
	}
	segment_view_set(&reader->view, file, reader->store->tag, part->end);
	goes_on = give_all(reader, part, quota);
	io->close(io->context, file);
	return goes_on;
}

/* False: it ends here. */
static bool
read_next(struct store_reader *reader, uint64_t cursor, struct quota *quota)
{
	struct part part;
	uint64_t committed;
	bool goes_on;

	if (!pin_next(
		reader->store, cursor, quota->upto + 1, &part, &committed)) {
		if (committed > quota->upto)
			quota->upto = committed;
		return false;
	}
	quota->result = find_places(reader, quota->upto + 1, &part);
	goes_on = quota->result == 0 && read_part(reader, &part, quota);
	let_go(reader->store, part.segment);
	return goes_on;
}

int
store_read(struct store_reader *reader, uint64_t cursor, uint64_t from,
    size_t max_messages, size_t max_bytes,
    int (*each)(void *arg, uint64_t sequence,
	const struct store_message *message,
	const struct store_delivery *delivery),
    void *arg, uint64_t *out_upto)
{
	struct quota quota = { .messages = max_messages,
		.bytes = max_bytes,
		.upto = from == 0 ? 0 : from - 1,
		.each = each,
		.arg = arg };

	while (read_next(reader, cursor, &quota))
		continue;
	*out_upto = quota.upto;
	return quota.result;
}

/* ---- everything ---------------------------------------------------------- */

struct walk {
	struct segment_view view;
	uint64_t last;
	uint64_t lost; /* recovery has told of it */
	int (*each)(
	    void *arg, uint64_t sequence, uint8_t kind, struct slice body);
	void *arg;
};

static int
walk_records(struct walk *walk)
{
	uint64_t offset = STORE_PAGE;
	struct segment_record record;
	int result;

	while ((result = segment_view_next_record(&walk->view, offset,
		    walk->last, &record, &walk->lost)) == 1) {
		result = walk->each(
		    walk->arg, record.sequence, record.kind, record.body);
		if (result != 0)
			break;
		walk->last = record.sequence;
		offset = record.offset + record.bytes;
	}
	return result;
}

static int
walk_segment(
    struct store *store, const struct segment *segment, struct walk *walk)
{
	const struct store_io *io = store->io;
	char name[STORE_NAME_MAX];
	uint64_t end;
	int result, file;

	segment_name(segment->first_sequence, segment->merged_last, name);
	file = io->open(io->context, name, STORE_OPEN_READ);
	if (file < 0)
		return file;
	pthread_mutex_lock(&store->lock);
	end = segment->end;
	pthread_mutex_unlock(&store->lock);
	segment_view_set(&walk->view, file, store->tag, end);
	result = walk_records(walk);
	io->close(io->context, file);
	return result;
}

/* The first one behind this sequence, pinned; NULL: there is none. */
static struct segment *
pin_behind(struct store *store, uint64_t sequence)
{
	struct segment *found = NULL;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->segment_count && found == NULL; i++)
		if (store->segments[i]->first_sequence > sequence)
			found = store->segments[i];
	if (found != NULL)
		found->pins++;
	pthread_mutex_unlock(&store->lock);
	return found;
}

int
store_each_record(struct store *store,
    int (*each)(void *arg, uint64_t sequence, uint8_t kind, struct slice body),
    void *arg)
{
	struct walk walk = { .each = each, .arg = arg };
	struct segment *segment;
	int result;

	result = segment_view_init(&walk.view, store->io, SEGMENT_VIEW_LARGE);
	while (
	    result == 0 && (segment = pin_behind(store, walk.last)) != NULL) {
		/* One without any record is passed, too. */
		walk.last = segment->first_sequence - 1;
		result = walk_segment(store, segment, &walk);
		if (walk.last < segment->first_sequence)
			walk.last = segment->first_sequence;
		let_go(store, segment);
	}
	segment_view_fini(&walk.view);
	return result;
}
