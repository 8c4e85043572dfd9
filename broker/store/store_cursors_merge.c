/* SPDX-License-Identifier: Apache-2.0 */

/* Segments were merged: what cursors have in them moves (store_merge.c). */

#include <stdlib.h>

#include "broker/store/store_cursors.h"

static bool
is_among(struct segment *const *list, size_t count, const struct segment *one)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == one)
			return true;
	return false;
}

/* Take `next` into `entry`, which is of the same segment now. */
static void
join(struct cursor_entry *entry, struct cursor_entry *next)
{
	/* Marks count from the first delivery: those of `next` do not fit. */
	free(next->marks);
	entry->last = next->last;
	entry->total += next->total;
	entry->below += next->below;
	entry->over += next->over;
	entry->bytes += next->bytes;
}

static void
merge_cursor(struct cursor *cursor, struct segment *const *from,
    size_t from_count, struct segment *into)
{
	struct cursor_entry *entry;
	size_t kept = 0;

	for (size_t i = 0; i < cursor->entry_count; i++) {
		entry = &cursor->entries[i];
		if (is_among(from, from_count, entry->segment)) {
			entry->segment->live -= cursor_entry_live(entry);
			into->live += cursor_entry_live(entry);
			entry->segment = into;
		}
		if (kept > 0 && cursor->entries[kept - 1].segment == into &&
		    entry->segment == into)
			join(&cursor->entries[kept - 1], entry);
		else
			cursor->entries[kept++] = *entry;
	}
	cursor->entry_count = kept;
}

void
cursors_merge(struct store_cursors *cursors, uint64_t number,
    struct segment *const *from, size_t from_count, struct segment *into)
{
	struct cursor *cursor = cursors_find(cursors, number);

	if (cursor != NULL)
		merge_cursor(cursor, from, from_count, into);
}
