/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/store_cursors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/segment_index.h"
#include "common/base/bug.h"

#define FIRST_ROOM 64u

/* ---- the table ----------------------------------------------------------- */

static size_t
home_of(const struct store_cursors *cursors, uint64_t number)
{
	/* Numbers are handed out in turn: spread them. */
	return (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 20) &
	    (cursors->room - 1);
}

static size_t
slot_of(const struct store_cursors *cursors, uint64_t number)
{
	size_t slot = home_of(cursors, number);

	while (cursors->slots[slot] != NULL &&
	    cursors->slots[slot]->number != number)
		slot = (slot + 1) & (cursors->room - 1);
	return slot;
}

struct cursor *
cursors_find(const struct store_cursors *cursors, uint64_t number)
{
	if (cursors->room == 0)
		return NULL;
	return cursors->slots[slot_of(cursors, number)];
}

/* At most half full, so that a search ends soon. */
static int
grow_table(struct store_cursors *cursors)
{
	struct store_cursors grown = *cursors;
	struct cursor *cursor;

	if (cursors->count * 2 < cursors->room)
		return 0;
	grown.room = cursors->room == 0 ? FIRST_ROOM : cursors->room * 2;
	grown.slots = calloc(grown.room, sizeof(*grown.slots));
	if (grown.slots == NULL)
		return -ENOMEM;
	for (size_t slot = 0; slot < cursors->room; slot++) {
		cursor = cursors->slots[slot];
		if (cursor != NULL)
			grown.slots[slot_of(&grown, cursor->number)] = cursor;
	}
	free(cursors->slots);
	*cursors = grown;
	return 0;
}

/* Empty the slot, and move up what had been pushed on by it. */
static void
take_out(struct store_cursors *cursors, size_t slot)
{
	size_t mask = cursors->room - 1, hole = slot, home;

	for (slot = (slot + 1) & mask; cursors->slots[slot] != NULL;
	     slot = (slot + 1) & mask) {
		home = home_of(cursors, cursors->slots[slot]->number);
		/* It may go to the hole if that is not before its home. */
		if (((slot - home) & mask) >= ((slot - hole) & mask)) {
			cursors->slots[hole] = cursors->slots[slot];
			hole = slot;
		}
	}
	cursors->slots[hole] = NULL;
	cursors->count--;
}

static void
free_cursor(struct cursor *cursor)
{
	for (size_t i = 0; i < cursor->entry_count; i++)
		free(cursor->entries[i].marks);
	free(cursor->entries);
	free(cursor->over);
	free(cursor);
}

void
cursors_fini(struct store_cursors *cursors)
{
	for (size_t slot = 0; slot < cursors->room; slot++)
		if (cursors->slots[slot] != NULL)
			free_cursor(cursors->slots[slot]);
	free(cursors->slots);
	*cursors = (struct store_cursors){ 0 };
}

/* ---- entries ------------------------------------------------------------- */

/* Count the change of an entry's live deliveries since it had `before`. */
static void
note_live(struct store_cursors *cursors, const struct cursor_entry *entry,
    uint64_t before)
{
	uint64_t live = cursor_entry_live(entry);

	BUG_ON(entry->segment->live + live < before);
	entry->segment->live += live - before;
	cursors->queued += live - before;
}

/* An entry without anything left is not kept: its segment may go. */
static void
remove_entry(struct store_cursors *cursors, struct cursor *cursor, size_t i)
{
	struct cursor_entry *entry = &cursor->entries[i];
	uint64_t before = cursor_entry_live(entry);

	entry->below = entry->total - entry->over;
	note_live(cursors, entry, before);
	free(entry->marks);
	cursor->entry_count--;
	memmove(entry, entry + 1, (cursor->entry_count - i) * sizeof(*entry));
}

const struct cursor_entry *
cursor_entry_from(const struct cursor *cursor, uint64_t from)
{
	size_t low = 0, high = cursor->entry_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (cursor->entries[middle].last < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low == cursor->entry_count ? NULL : &cursor->entries[low];
}

/* The entry that has this sequence in it; entry_count: none. */
static size_t
entry_of(const struct cursor *cursor, uint64_t sequence)
{
	const struct cursor_entry *entry = cursor_entry_from(cursor, sequence);

	if (entry == NULL || entry->first > sequence)
		return cursor->entry_count;
	return (size_t)(entry - cursor->entries);
}

/* Without memory the count of a floor within is less exact: no harm. */
static void
add_mark(struct cursor_entry *entry, uint64_t sequence)
{
	uint64_t *grown;
	size_t room;

	if (entry->mark_count == entry->mark_room) {
		room = entry->mark_room == 0 ? 4 : entry->mark_room * 2;
		grown = realloc(entry->marks, room * sizeof(*grown));
		if (grown == NULL)
			return;
		entry->marks = grown;
		entry->mark_room = room;
	}
	entry->marks[entry->mark_count++] = sequence;
}

/* How many numbers of a sorted list are <= `limit`. */
static size_t
count_upto(const uint64_t *sorted, size_t count, uint64_t limit)
{
	size_t low = 0, high = count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (sorted[middle] <= limit)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- reserving ----------------------------------------------------------- */

static int
reserve(void *list, size_t *room, size_t need, size_t size)
{
	void **at = list, *grown;
	size_t wanted;

	if (need <= *room)
		return 0;
	wanted = *room == 0 ? 2 : *room * 2;
	if (wanted < need)
		wanted = need;
	grown = realloc(*at, wanted * size);
	if (grown == NULL)
		return -ENOMEM;
	*at = grown;
	*room = wanted;
	return 0;
}

int
cursors_reserve_open(struct store_cursors *cursors, uint64_t number)
{
	struct cursor *cursor;
	int err;

	if (cursors_find(cursors, number) != NULL)
		return 0;
	err = grow_table(cursors);
	if (err != 0)
		return err;
	cursor = calloc(1, sizeof(*cursor));
	if (cursor == NULL)
		return -ENOMEM;
	cursor->number = number;
	cursor->is_pending = true;
	cursors->slots[slot_of(cursors, number)] = cursor;
	cursors->count++;
	if (number >= cursors->next)
		cursors->next = number + 1;
	return 0;
}

int
cursors_reserve_delivery(struct store_cursors *cursors, uint64_t number)
{
	struct cursor *cursor = cursors_find(cursors, number);

	if (cursor == NULL)
		return 0;
	return reserve(&cursor->entries, &cursor->entry_room,
	    cursor->entry_count + 1, sizeof(*cursor->entries));
}

int
cursors_reserve_done(struct store_cursors *cursors, uint64_t number)
{
	struct cursor *cursor = cursors_find(cursors, number);
	int err;

	if (cursor == NULL)
		return 0;
	err = reserve(&cursor->over, &cursor->over_room,
	    cursor->over_count + cursor->over_reserved + 1,
	    sizeof(*cursor->over));
	if (err == 0)
		cursor->over_reserved++;
	return err;
}

void
cursors_unreserve(struct store_cursors *cursors, uint64_t number)
{
	struct cursor *cursor = cursors_find(cursors, number);

	if (cursor == NULL)
		return;
	cursor->over_reserved = 0;
	if (cursor->is_pending) {
		take_out(cursors, slot_of(cursors, number));
		free_cursor(cursor);
	}
}

/* ---- what is committed --------------------------------------------------- */

void
cursors_open(struct store_cursors *cursors, uint64_t number, uint64_t sequence)
{
	struct cursor *cursor = cursors_find(cursors, number);

	BUG_ON(cursor == NULL);
	if (!cursor->is_pending)
		return;
	cursor->is_pending = false;
	cursor->floor = sequence;
	cursors->open++;
}

void
cursors_close(struct store_cursors *cursors, uint64_t number)
{
	struct cursor *cursor = cursors_find(cursors, number);

	if (cursor == NULL || cursor->is_pending)
		return;
	while (cursor->entry_count > 0)
		remove_entry(cursors, cursor, cursor->entry_count - 1);
	take_out(cursors, slot_of(cursors, number));
	cursors->open--;
	free_cursor(cursor);
}

static bool
is_over(const struct cursor *cursor, uint64_t sequence)
{
	size_t count;

	if (sequence <= cursor->floor)
		return true;
	count = count_upto(cursor->over, cursor->over_count, sequence);
	return count > 0 && cursor->over[count - 1] == sequence;
}

bool
cursors_is_over(
    const struct store_cursors *cursors, uint64_t number, uint64_t sequence)
{
	const struct cursor *cursor = cursors_find(cursors, number);

	return cursor == NULL || is_over(cursor, sequence);
}

void
cursors_deliver(struct store_cursors *cursors, uint64_t number,
    struct segment *segment, uint64_t sequence, uint64_t bytes)
{
	struct cursor *cursor = cursors_find(cursors, number);
	struct cursor_entry *entry;
	bool is_done;

	if (number >= cursors->next)
		cursors->next = number + 1;
	if (cursor == NULL || cursor->is_pending || sequence <= cursor->floor)
		return;

	is_done = is_over(cursor, sequence);
	entry = &cursor->entries[cursor->entry_count];
	if (cursor->entry_count > 0 && entry[-1].segment == segment)
		entry--;
	else if (is_done)
		return;
	else {
		BUG_ON(cursor->entry_count == cursor->entry_room);
		*entry = (struct cursor_entry){ .segment = segment,
			.first = sequence };
		cursor->entry_count++;
	}
	entry->last = sequence;
	entry->total++;
	entry->bytes += bytes;
	if (entry->total % STORE_MARK_EVERY == 0)
		add_mark(entry, sequence);
	/* Of a checkpoint: it is in the over set, within what is counted. */
	if (is_done) {
		entry->over++;
		return;
	}
	segment->live++;
	cursors->queued++;
}

enum presence {
	PRESENT,
	ABSENT,
	UNCERTAIN
};

/*
 * Of a merged segment, or one with damage, not each delivery in an entry's
 * range is one that was counted.  Its index knows, if it is in memory.
 */
static enum presence
presence_of(const struct cursor *cursor, const struct segment *segment,
    uint64_t sequence)
{
	const uint64_t delta = sequence - segment->first_sequence;
	struct segment_index_entry found;

	if (!segment->is_holey)
		return PRESENT;
	if (segment->index == NULL)
		return UNCERTAIN;
	if (segment_index_find(segment->index, cursor->number, (uint32_t)delta,
		&found, 1) == 0 ||
	    found.delta != delta)
		return ABSENT;
	return PRESENT;
}

static void
insert_over(struct cursor *cursor, uint64_t sequence)
{
	size_t at = count_upto(cursor->over, cursor->over_count, sequence);

	BUG_ON(cursor->over_count == cursor->over_room);
	memmove(&cursor->over[at + 1], &cursor->over[at],
	    (cursor->over_count - at) * sizeof(*cursor->over));
	cursor->over[at] = sequence;
	cursor->over_count++;
}

/*
 * One that is counted twice would have its segment used again too early; one
 * that is not counted only keeps it, until the floor has passed.
 */
static void
add_over(
    struct store_cursors *cursors, struct cursor *cursor, uint64_t sequence)
{
	size_t i = entry_of(cursor, sequence);
	enum presence presence;
	uint64_t before;

	/* Not a delivery that is left: lost with what was damaged, say. */
	if (i == cursor->entry_count || is_over(cursor, sequence))
		return;
	presence = presence_of(cursor, cursor->entries[i].segment, sequence);
	if (presence == ABSENT)
		return;
	insert_over(cursor, sequence);
	if (presence == UNCERTAIN)
		return;
	before = cursor_entry_live(&cursor->entries[i]);
	cursor->entries[i].over++;
	note_live(cursors, &cursor->entries[i], before);
	if (before == 1)
		remove_entry(cursors, cursor, i);
}

/* The floor moves into the middle of what the entry has. */
static void
pass_part(struct store_cursors *cursors, struct cursor *cursor, uint64_t floor)
{
	struct cursor_entry *entry = &cursor->entries[0];
	uint64_t before = cursor_entry_live(entry), below, over;

	over = count_upto(cursor->over, cursor->over_count, floor) -
	    count_upto(cursor->over, cursor->over_count, entry->first - 1);
	/* Some of them may never have been counted, see add_over(). */
	if (over > entry->over)
		over = entry->over;
	entry->over -= over;
	entry->below += over;
	below = STORE_MARK_EVERY *
	    (uint64_t)count_upto(entry->marks, entry->mark_count, floor);
	if (below > entry->below)
		entry->below = below;
	note_live(cursors, entry, before);
	if (cursor_entry_live(entry) == 0)
		remove_entry(cursors, cursor, 0);
}

static void
raise_floor(
    struct store_cursors *cursors, struct cursor *cursor, uint64_t floor)
{
	size_t passed;

	if (floor <= cursor->floor)
		return;
	while (cursor->entry_count > 0 && cursor->entries[0].last <= floor)
		remove_entry(cursors, cursor, 0);
	if (cursor->entry_count > 0 && cursor->entries[0].first <= floor)
		pass_part(cursors, cursor, floor);

	passed = count_upto(cursor->over, cursor->over_count, floor);
	cursor->over_count -= passed;
	memmove(cursor->over, cursor->over + passed,
	    cursor->over_count * sizeof(*cursor->over));
	cursor->floor = floor;
}

void
cursors_done(struct store_cursors *cursors, const struct store_done *done,
    uint64_t applied)
{
	struct cursor *cursor = cursors_find(cursors, done->cursor);

	if (cursor == NULL || cursor->is_pending)
		return;
	if (done->sequence != 0)
		add_over(cursors, cursor, done->sequence);
	raise_floor(
	    cursors, cursor, done->floor < applied ? done->floor : applied);

	/* Before the first that is left there is nothing. */
	raise_floor(cursors, cursor,
	    cursor->entry_count == 0 ? applied : cursor->entries[0].first - 1);
}

int
cursors_restore(struct store_cursors *cursors, uint64_t number, uint64_t floor,
    const uint64_t *over, size_t over_count)
{
	struct cursor *cursor;
	size_t passed;
	int err;

	if (floor > cursors->highest)
		cursors->highest = floor;
	if (over_count > 0 && over[over_count - 1] > cursors->highest)
		cursors->highest = over[over_count - 1];
	if (number == 0)
		return 0;
	err = cursors_reserve_open(cursors, number);
	if (err != 0)
		return err;
	cursors_open(cursors, number, floor);
	cursor = cursors_find(cursors, number);
	passed = count_upto(over, over_count, floor);
	err = reserve(&cursor->over, &cursor->over_room, over_count - passed,
	    sizeof(*over));
	if (err != 0)
		return err;
	cursor->over_count = over_count - passed;
	if (cursor->over_count > 0)
		memcpy(cursor->over, over + passed,
		    cursor->over_count * sizeof(*over));
	return 0;
}

uint64_t
cursor_queued(const struct cursor *cursor, uint64_t *out_bytes)
{
	const struct cursor_entry *entry;
	uint64_t live, queued = 0, bytes = 0;

	for (size_t i = 0; i < cursor->entry_count; i++) {
		entry = &cursor->entries[i];
		live = cursor_entry_live(entry);
		queued += live;
		bytes += entry->bytes / entry->total * live +
		    entry->bytes % entry->total * live / entry->total;
	}
	*out_bytes = bytes;
	return queued;
}
