/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records are taken one behind the other.  Where there is none, one of these
 * holds:
 *
 *	the end		zeros, and nothing behind them that counts
 *	a torn tail	the last segment; nothing says that what is missing
 *			was ever kept: it was acknowledged to nobody
 *	damage		a later record, the header of the next segment or the
 *			checkpoint says that there was something
 *
 * Behind damage the next record that is whole and has a higher sequence goes
 * on.  What tells a torn tail from damage are the BATCH records: each names
 * what had been synced when it was begun.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/store_private.h"

int
store_scan_init(struct store_scan *scan, struct store *store,
    struct store_progress *progress)
{
	*scan = (struct store_scan){
		.store = store, .sink = progress->sink, .progress = progress
	};
	return segment_view_init(&scan->view, store->io, SEGMENT_VIEW_LARGE);
}

void
store_scan_fini(struct store_scan *scan)
{
	segment_view_fini(&scan->view);
	free(scan->room.deliveries);
	free(scan->room.identifiers);
}

void
store_scan_begin(struct store_scan *scan)
{
	scan->unsure = STORE_PAGE;
	scan->has_tried_to_keep = false;
	scan->kept_as[0] = '\0';
}

static void
tell_damage(struct store_scan *scan, const struct store_bounds *bounds,
    const struct store_damage *damage)
{
	struct store_damage told = *damage;

	told.file = bounds->name;
	store_tell_sink(scan->sink, &told);
}

void
store_scan_tell(struct store_scan *scan, const struct store_bounds *bounds,
    const struct store_damage *damage)
{
	struct store_damage told = *damage;

	if (!scan->has_tried_to_keep) {
		scan->has_tried_to_keep = true;
		if (!store_keep_aside(
			scan->store, bounds->name, bounds->size, scan->kept_as))
			scan->kept_as[0] = '\0';
	}
	told.kept_as = scan->kept_as[0] != '\0' ? scan->kept_as : NULL;
	tell_damage(scan, bounds, &told);
}

/* ---- what a record does -------------------------------------------------- */

static int
grow_room(struct store_message_room *room, const struct store_message_room *old)
{
	struct store_delivery *deliveries;
	uint32_t *identifiers;

	deliveries = realloc(
	    old->deliveries, (room->delivery_count + 1) * sizeof(*deliveries));
	room->deliveries = deliveries != NULL ? deliveries : old->deliveries;
	identifiers = realloc(old->identifiers,
	    (room->identifier_count + 1) * sizeof(*identifiers));
	room->identifiers =
	    identifiers != NULL ? identifiers : old->identifiers;
	if (deliveries != NULL && identifiers != NULL)
		return 0;
	room->delivery_count = old->delivery_count;
	room->identifier_count = old->identifier_count;
	return -ENOMEM;
}

int
store_parse_message(struct slice body, struct store_message_room *room,
    struct store_message *out_message)
{
	struct store_message_room wanted = *room;
	int err;

	err = store_message_parse(body, &wanted, out_message);
	if (err != -ENOBUFS)
		return err;
	if (wanted.delivery_count < room->delivery_count)
		wanted.delivery_count = room->delivery_count;
	if (wanted.identifier_count < room->identifier_count)
		wanted.identifier_count = room->identifier_count;
	err = grow_room(&wanted, room);
	*room = wanted;
	if (err != 0)
		return err;
	return store_message_parse(body, room, out_message);
}

static int
tell_message(struct store_scan *scan, uint64_t sequence,
    const struct store_message *message)
{
	const struct store_sink *sink = scan->sink;
	int (*told)(void *context, uint64_t sequence,
	    const struct store_message *message);

	told = sequence > scan->checkpoint ? sink->message : sink->covered;
	return told == NULL ? 0 : told(sink->context, sequence, message);
}

static int
take_message(struct store_scan *scan, struct segment *segment,
    const struct segment_record *record)
{
	struct store_cursors *cursors = &scan->store->cursors;
	struct store_message message;
	uint64_t cursor;
	int err;

	err = store_parse_message(record->body, &scan->room, &message);
	if (err != 0)
		return err;
	if (message.delivery_count > 0) {
		segment->messages++;
		segment->message_bytes += record->bytes;
	}
	for (size_t i = 0; i < message.delivery_count; i++) {
		cursor = message.deliveries[i].cursor;
		err = cursors_reserve_delivery(cursors, cursor);
		if (err != 0)
			return err;
		cursors_deliver(cursors, cursor, segment, record->sequence,
		    record->body.len);
		/* Which of those that are over it still has. */
		if (segment->is_holey)
			store_index_note(
			    segment, cursor, record->sequence, record->offset);
	}
	return tell_message(scan, record->sequence, &message);
}

static int
take_done(struct store_scan *scan, const struct segment_record *record)
{
	struct store_cursors *cursors = &scan->store->cursors;
	const struct store_sink *sink = scan->sink;
	struct store_done done;
	size_t count;
	int result;

	result = store_done_parse(record->body, &count);
	for (size_t i = 0; result == 0 && i < count; i++) {
		done = store_done_at(record->body, i);
		result = cursors_reserve_done(cursors, done.cursor);
		if (result != 0)
			return result;
		cursors_done(cursors, &done, record->sequence);
		cursors_unreserve(cursors, done.cursor);
		if (sink->done != NULL)
			result = sink->done(sink->context, &done);
	}
	return result;
}

static int
take_cursor(struct store_scan *scan, const struct segment_record *record)
{
	struct store_cursors *cursors = &scan->store->cursors;
	const struct store_sink *sink = scan->sink;
	uint64_t cursor;
	int err;

	err = store_cursor_parse(record->body, &cursor);
	if (err != 0)
		return err;
	if (record->kind == STORE_CLOSE) {
		cursors_close(cursors, cursor);
		return sink->closed == NULL
		    ? 0
		    : sink->closed(sink->context, cursor);
	}
	err = cursors_reserve_open(cursors, cursor);
	if (err != 0)
		return err;
	cursors_open(cursors, cursor, record->sequence);
	return sink->opened == NULL ? 0 : sink->opened(sink->context, cursor);
}

/* What the checkpoint has is only counted. */
static int
take_kind(struct store_scan *scan, struct segment *segment,
    const struct segment_record *record)
{
	if (record->sequence > scan->checkpoint)
		scan->store->behind_bytes += record->bytes;
	if (record->kind == STORE_MESSAGE)
		return take_message(scan, segment, record);
	if (record->sequence <= scan->checkpoint)
		return 0;
	if (record->kind == STORE_DONE)
		return take_done(scan, record);
	if (record->kind == STORE_OPEN || record->kind == STORE_CLOSE)
		return take_cursor(scan, record);
	if (record->kind < STORE_START)
		return -ENOTSUP;
	if (scan->sink->state == NULL)
		return 0;
	return scan->sink->state(
	    scan->sink->context, record->kind, record->sequence, record->body);
}

/* What was committed before it may have been synced since. */
static void
note_batch(struct store_scan *scan, const struct segment_record *record)
{
	struct store_batch_body body;

	if (record->body.len != sizeof(body))
		return;
	memcpy(&body, record->body.data, sizeof(body));
	if (le64toh(body.durable) >= scan->last)
		scan->unsure = record->offset;
}

/*
 * Before `offset` something is missing.  What is over of what was there must
 * not be counted, so the index is made of what is left (store_cursors.c).
 */
static void
note_hole(struct store_scan *scan, struct segment *segment, uint64_t offset)
{
	if (segment->is_holey)
		return;
	segment->is_holey = true;
	store_index_make(scan->store, segment, offset);
}

/* A body that is intact, and still says nothing to us, costs only itself. */
static int
take(struct store_scan *scan, struct segment *segment,
    const struct segment_record *record, const struct store_bounds *bounds)
{
	int err;

	if (record->kind == STORE_BATCH)
		note_batch(scan, record);
	if (record->kind == STORE_FILL)
		note_hole(scan, segment, record->offset);
	if (record->kind == STORE_BATCH || record->kind == STORE_FILL)
		return 0;
	scan->last = record->sequence;
	err = take_kind(scan, segment, record);
	if (err != -EBADMSG && err != -ENOTSUP)
		return err;
	note_hole(scan, segment, record->offset);
	tell_damage(scan, bounds,
	    &(struct store_damage){ .offset = record->offset,
		.bytes = record->bytes,
		.first_sequence = record->sequence,
		.last_sequence = record->sequence,
		.what = err == -ENOTSUP ? "a record of a newer version"
					: "a record that is not understood" });
	return 0;
}

/* ---- where there is no record ---------------------------------------------
 */

/* What the records from `offset` on say was safe; and the last of them. */
static int
look_ahead(struct store_scan *scan, uint64_t offset, uint64_t *inout_durable,
    uint64_t *out_end)
{
	struct segment_record record;
	struct store_batch_body body;
	int found;

	*out_end = offset;
	for (;;) {
		found =
		    segment_view_next(&scan->view, offset, scan->last, &record);
		if (found != SEGMENT_RECORD)
			return found < 0 ? found : 0;
		offset = record.offset + record.bytes;
		*out_end = offset;
		if (record.sequence > scan->seen)
			scan->seen = record.sequence;
		if (record.kind != STORE_BATCH ||
		    record.body.len != sizeof(body))
			continue;
		memcpy(&body, record.body.data, sizeof(body));
		if (le64toh(body.durable) > *inout_durable &&
		    le64toh(body.durable) < record.sequence)
			*inout_durable = le64toh(body.durable);
	}
}

/* How far what is not zero reaches, about. */
static int
end_of_garbage(struct store_scan *scan, uint64_t offset, uint64_t *out_end)
{
	struct segment_record record;
	int found = SEGMENT_BROKEN;

	while (offset + STORE_TERMINATOR <= scan->view.end) {
		found = segment_view_at(&scan->view, offset, &record);
		if (found == SEGMENT_ZEROS || found < 0)
			break;
		offset += STORE_ALIGN;
	}
	*out_end = found == SEGMENT_BROKEN ? scan->view.end : offset;
	return found < 0 ? found : 0;
}

/* The last segment ends at `offset`, torn or not. */
static int
tell_tail(struct store_scan *scan, const struct store_bounds *bounds,
    uint64_t offset, uint64_t tail, int found)
{
	int err;

	if (tail == offset && found == SEGMENT_ZEROS)
		return 0;
	if (tail == offset) {
		err = end_of_garbage(scan, offset, &tail);
		if (err != 0)
			return err;
	}
	tell_damage(scan, bounds,
	    &(struct store_damage){ .offset = offset,
		.bytes = tail - offset,
		.first_sequence = scan->last + 1,
		.last_sequence =
		    scan->seen > scan->last ? scan->seen : scan->last,
		.is_torn_tail = true,
		.what = "a commit that was not finished" });
	return 0;
}

/*
 * Up to `next` or, without, the end of the segment, there was something.  Of
 * a file whose sync failed any part may be missing that was in doubt.  1 with
 * `next`, 0 without.
 */
static int
tell_gap(struct store_scan *scan, const struct store_bounds *bounds,
    uint64_t offset, const struct segment_record *next)
{
	uint64_t end = next != NULL ? next->offset : bounds->end;
	struct store_damage damage = {
		.offset = offset,
		.bytes = end - offset,
		.first_sequence = scan->last + 1,
		.last_sequence =
		    bounds->is_last ? bounds->durable : bounds->last,
		.what = "damaged records",
	};

	if (next != NULL)
		damage.last_sequence = next->sequence - 1;
	if (!bounds->is_last && scan->last >= bounds->durable) {
		damage.is_torn_tail = true;
		damage.what = "records whose sync had failed";
	}
	store_scan_tell(scan, bounds, &damage);

	/* The end of the last one is cut by the header of the next. */
	if (scan->kept_as[0] != '\0' && end <= bounds->size &&
	    (next != NULL || !bounds->is_last))
		store_fill_gap(scan->store, bounds->name, offset, end - offset,
		    damage.last_sequence + 1);
	if (damage.last_sequence > scan->last)
		scan->last = damage.last_sequence;
	return next != NULL ? 1 : 0;
}

/*
 * At `*inout_offset` there is no record.  1: go on there; 0: the segment ends
 * there; -errno.
 */
static int
pass_gap(struct store_scan *scan, struct store_bounds *bounds,
    uint64_t *inout_offset, int found)
{
	uint64_t offset = *inout_offset, tail;
	struct segment_record next;
	int err, later;

	if (bounds->is_last && bounds->durable <= scan->last) {
		err = look_ahead(scan, offset, &bounds->durable, &tail);
		if (err != 0)
			return err;
		if (bounds->durable <= scan->last)
			return tell_tail(scan, bounds, offset, tail, found);
	}
	later = segment_view_next(&scan->view, offset, scan->last, &next);
	if (later < 0)
		return later;
	if (later == SEGMENT_RECORD && next.sequence <= bounds->last) {
		*inout_offset = next.offset;
		return tell_gap(scan, bounds, offset, &next);
	}
	if (found == SEGMENT_ZEROS && bounds->is_open_ended)
		return 0;
	return tell_gap(scan, bounds, offset, NULL);
}

int
store_scan_segment(struct store_scan *scan, struct segment *segment, int file,
    const struct store_bounds *known)
{
	struct store_bounds bounds = *known;
	struct segment_record record;
	uint64_t offset = STORE_PAGE;
	int found, result = 0;

	segment_view_set(&scan->view, file, scan->store->tag,
	    bounds.end < bounds.size ? bounds.end : bounds.size);
	if (segment->first_sequence > scan->last)
		scan->last = segment->first_sequence - 1;
	segment->is_holey = segment->merged_last != 0;
	while (offset < bounds.end) {
		found = segment_view_at(&scan->view, offset, &record);
		if (found < 0)
			return found;
		if (found == SEGMENT_RECORD && record.sequence > scan->last) {
			result = take(scan, segment, &record, &bounds);
			offset += record.bytes;
			store_progress_add(scan->progress, record.bytes);
		} else {
			result = pass_gap(scan, &bounds, &offset, found);
			if (result == 0)
				break;
			note_hole(scan, segment, offset);
			if (result == 1)
				result = 0;
		}
		if (result != 0)
			return result;
	}
	segment->end = offset;
	segment->last_sequence = scan->last;
	segment->is_damaged =
	    scan->has_tried_to_keep && scan->kept_as[0] == '\0';
	if (scan->last > scan->seen)
		scan->seen = scan->last;
	return 0;
}
