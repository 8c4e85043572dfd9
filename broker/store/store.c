/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/segment_index.h"
#include "broker/store/store_private.h"
#include "common/base/bug.h"

/* ---- segments ------------------------------------------------------------ */

/* Where a segment with this first sequence is, or would be. */
static size_t
place_of(const struct store *store, uint64_t first_sequence)
{
	size_t low = 0, high = store->segment_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (store->segments[middle]->first_sequence < first_sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct segment *
store_segment_of(const struct store *store, uint64_t sequence)
{
	size_t place = place_of(store, sequence + 1);

	return place == 0 ? NULL : store->segments[place - 1];
}

int
store_reserve_segment(struct store *store)
{
	struct segment **grown;
	size_t room;

	if (store->segment_count < store->segment_room)
		return 0;
	room = store->segment_room == 0 ? 16 : store->segment_room * 2;
	grown = realloc(store->segments, room * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	store->segments = grown;
	store->segment_room = room;
	return 0;
}

void
store_insert_segment(struct store *store, struct segment *segment)
{
	size_t place = place_of(store, segment->first_sequence);

	BUG_ON(store->segment_count == store->segment_room);
	memmove(&store->segments[place + 1], &store->segments[place],
	    (store->segment_count - place) * sizeof(*store->segments));
	store->segments[place] = segment;
	store->segment_count++;
}

void
store_remove_segment(struct store *store, struct segment *segment)
{
	size_t place = place_of(store, segment->first_sequence);

	BUG_ON(
	    place == store->segment_count || store->segments[place] != segment);
	store->segment_count--;
	memmove(&store->segments[place], &store->segments[place + 1],
	    (store->segment_count - place) * sizeof(*store->segments));
}

void
store_free_segment(struct segment *segment)
{
	segment_index_free(segment->index);
	free(segment);
}

/* ---- open and close ------------------------------------------------------ */

static bool
spec_is_right(const struct store_spec *spec)
{
	return spec->segment_bytes >= STORE_MIN_SEGMENT &&
	    spec->segment_bytes % STORE_PAGE == 0 &&
	    spec->segment_bytes <= UINT32_MAX &&
	    spec->max_bytes / spec->segment_bytes >= STORE_SPARES + 1;
}

int
store_open(const struct store_spec *spec, const struct store_sink *sink,
    struct store **out_store)
{
	struct store *store;
	int result;

	if (!spec_is_right(spec))
		return -EINVAL;
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return -ENOMEM;
	store->spec = *spec;
	store->io = spec->io;
	store->active_file = -1;
	store->next_sequence = 1;
	store->cursors.next = 1;
	store->index_memory = STORE_INDEX_MEMORY;
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->made, NULL);

	result = store_recover(store, sink);
	if (result != 0) {
		store_close(store);
		return result;
	}
	store_ask_free(store);
	*out_store = store;
	return 0;
}

void
store_close(struct store *store)
{
	struct segment *leaving;

	if (store == NULL)
		return;
	store_drop_batch(store);
	store_mark_end(store);
	free(store->batch.buffer);
	free(store->batch.effects);
	if (store->active_file != -1)
		store->io->close(store->io->context, store->active_file);
	for (unsigned i = 0; i < store->spare_count; i++)
		store->io->close(store->io->context, store->spares[i].file);
	for (size_t i = 0; i < store->segment_count; i++)
		store_free_segment(store->segments[i]);
	while ((leaving = store->leaving) != NULL) {
		store->leaving = leaving->next;
		store_free_segment(leaving);
	}
	free(store->segments);
	cursors_fini(&store->cursors);
	pthread_cond_destroy(&store->made);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

/* ---- what is there ------------------------------------------------------- */

uint64_t *
store_list_cursors(struct store *store, size_t *out_count)
{
	const struct cursor *cursor;
	uint64_t *numbers;
	size_t count = 0;

	pthread_mutex_lock(&store->lock);
	numbers = malloc((store->cursors.open + 1) * sizeof(*numbers));
	for (size_t i = 0; i < store->cursors.room && numbers != NULL; i++) {
		cursor = store->cursors.slots[i];
		if (cursor != NULL && !cursor->is_pending)
			numbers[count++] = cursor->number;
	}
	pthread_mutex_unlock(&store->lock);
	*out_count = count;
	return numbers;
}

/* 1: it is there; 0: it is not; -ENOMEM.  The over set is on the heap. */
static int
copy_cursor(struct store *store, uint64_t number, struct store_cursor *out,
    uint64_t **out_over)
{
	const struct cursor *cursor;
	int result = 0;

	pthread_mutex_lock(&store->lock);
	cursor = cursors_find(&store->cursors, number);
	if (cursor != NULL && !cursor->is_pending) {
		result = 1;
		*out_over =
		    malloc((cursor->over_count + 1) * sizeof(**out_over));
		if (*out_over == NULL)
			result = -ENOMEM;
		else {
			if (cursor->over_count > 0)
				memcpy(*out_over, cursor->over,
				    cursor->over_count * sizeof(**out_over));
			out->cursor = number;
			out->floor = cursor->floor;
			out->over = *out_over;
			out->over_count = cursor->over_count;
			out->queued = cursor_queued(cursor, &out->queued_bytes);
		}
	}
	pthread_mutex_unlock(&store->lock);
	return result;
}

int
store_each_cursor(struct store *store,
    int (*each)(void *arg, const struct store_cursor *cursor), void *arg)
{
	struct store_cursor cursor;
	uint64_t *numbers, *over;
	size_t count;
	int result = 0;

	numbers = store_list_cursors(store, &count);
	if (numbers == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count && result == 0; i++) {
		result = copy_cursor(store, numbers[i], &cursor, &over);
		if (result <= 0)
			continue;
		result = each(arg, &cursor);
		free(over);
	}
	free(numbers);
	return result;
}

uint64_t
store_next_cursor(const struct store *store)
{
	return store->cursors.next;
}

int
store_state(const struct store *store)
{
	/* Says nothing about other memory: relaxed. */
	return atomic_load_explicit(&store->state, memory_order_relaxed);
}

uint64_t
store_committed(const struct store *store)
{
	/* Pairs with the release in store_commit.c. */
	return atomic_load_explicit(&store->committed, memory_order_acquire);
}

void
store_stat(struct store *store, struct store_stat *out_stat)
{
	struct store_stat stat = { 0 };

	pthread_mutex_lock(&store->lock);
	stat.committed = store_committed(store);
	stat.last_sequence = stat.committed;
	if (store->segment_count > 0)
		stat.first_sequence = store->segments[0]->first_sequence;
	stat.checkpoint_sequence = store->checkpoint_sequence;
	stat.checkpoint_bytes = store->checkpoint_bytes;
	stat.segments = store->segment_count;
	stat.bytes = store_total_bytes(store);
	for (size_t i = 0; i < store->segment_count; i++)
		stat.live_bytes += segment_live_bytes(store->segments[i]);
	stat.max_bytes = store->spec.max_bytes;
	stat.commits = store->commits;
	stat.syncs = store->syncs;
	stat.appended_bytes = store->appended_bytes;
	stat.merged_bytes = store->merged_bytes;
	stat.cursors = store->cursors.open;
	stat.queued = store->cursors.queued;
	stat.sync_ns_total = store->sync_ns_total;
	stat.sync_ns_max = store->sync_ns_max;
	stat.error = store->error;
	pthread_mutex_unlock(&store->lock);
	*out_stat = stat;
}
