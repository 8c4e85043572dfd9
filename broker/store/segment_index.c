/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/segment_index.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/store/crc32c.h"
#include "broker/store/store_bytes.h"
#include "common/base/bug.h"

#define MAGIC UINT64_C(0x3158444952494557) /* "WEIRIDX1" */
#define INDEX_VERSION 1u
#define HEAD_BYTES 48u
#define CRC_AT 12u
#define LIST_BYTES 16u
#define ENTRY_BYTES 8u
#define FIRST_SLOTS 16u
#define FIRST_ENTRIES 4u

/* Of a file: what a segment of 4 GiB could have is less. */
#define FILE_MAX (UINT64_C(1) << 32)

/* The entries of one cursor. */
struct list {
	uint64_t cursor; /* 0: the slot is free */
	struct segment_index_entry *entries;
	uint32_t count;
	uint32_t room; /* 0: they are part of `block` */
};

struct segment_index {
	struct list *slots; /* open addressing, a power of two */
	size_t slot_count;
	size_t list_count;
	size_t entry_count;
	size_t entry_room; /* of all lists that have their own */
	struct segment_index_entry *block; /* what was read from a file */
};

struct segment_index *
segment_index_new(void)
{
	struct segment_index *index = calloc(1, sizeof(*index));

	if (index == NULL)
		return NULL;
	index->slots = calloc(FIRST_SLOTS, sizeof(*index->slots));
	if (index->slots == NULL) {
		free(index);
		return NULL;
	}
	index->slot_count = FIRST_SLOTS;
	return index;
}

void
segment_index_free(struct segment_index *index)
{
	if (index == NULL)
		return;
	for (size_t i = 0; i < index->slot_count; i++)
		if (index->slots[i].room != 0)
			free(index->slots[i].entries);
	free(index->slots);
	free(index->block);
	free(index);
}

size_t
segment_index_bytes(const struct segment_index *index)
{
	size_t entries = index->entry_room;

	if (index->block != NULL)
		entries += index->entry_count;
	return sizeof(*index) + index->slot_count * sizeof(*index->slots) +
	    entries * sizeof(struct segment_index_entry);
}

/* The cursor's list, or the free slot where it would be. */
static struct list *
slot_of(const struct segment_index *index, uint64_t cursor)
{
	size_t slot = (size_t)(cursor * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	slot &= index->slot_count - 1;
	while (index->slots[slot].cursor != 0 &&
	    index->slots[slot].cursor != cursor)
		slot = (slot + 1) & (index->slot_count - 1);
	return &index->slots[slot];
}

/* At most half full, so that a search ends soon. */
static int
grow_slots(struct segment_index *index, size_t lists)
{
	struct segment_index grown = *index;

	while (lists * 2 > grown.slot_count)
		grown.slot_count *= 2;
	if (grown.slot_count == index->slot_count)
		return 0;
	grown.slots = calloc(grown.slot_count, sizeof(*grown.slots));
	if (grown.slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < index->slot_count; i++)
		if (index->slots[i].cursor != 0)
			*slot_of(&grown, index->slots[i].cursor) =
			    index->slots[i];
	free(index->slots);
	*index = grown;
	return 0;
}

static int
grow_list(struct segment_index *index, struct list *list)
{
	uint32_t room = list->room == 0 ? FIRST_ENTRIES : list->room * 2;
	struct segment_index_entry *grown;

	if (list->count < list->room)
		return 0;
	grown = realloc(list->entries, room * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	index->entry_room += room - list->room;
	list->entries = grown;
	list->room = room;
	return 0;
}

int
segment_index_add(struct segment_index *index, uint64_t cursor,
    struct segment_index_entry entry)
{
	struct list *list;
	int err;

	BUG_ON(cursor == 0);
	BUG_ON(index->block != NULL);

	err = grow_slots(index, index->list_count + 1);
	if (err != 0)
		return err;
	list = slot_of(index, cursor);
	err = grow_list(index, list);
	if (err != 0)
		return err;
	if (list->cursor == 0) {
		list->cursor = cursor;
		index->list_count++;
	}
	list->entries[list->count++] = entry;
	index->entry_count++;
	return 0;
}

size_t
segment_index_find(const struct segment_index *index, uint64_t cursor,
    uint32_t from, struct segment_index_entry *out, size_t room)
{
	const struct list *list = slot_of(index, cursor);
	size_t low = 0, high, middle, count;

	if (cursor == 0 || list->cursor == 0)
		return 0;
	high = list->count;
	while (low < high) {
		middle = low + (high - low) / 2;
		if (list->entries[middle].delta < from)
			low = middle + 1;
		else
			high = middle;
	}
	count = list->count - low;
	if (count > room)
		count = room;
	if (count != 0)
		memcpy(out, list->entries + low, count * sizeof(*out));
	return count;
}

/* ---- files --------------------------------------------------------------- */

/* All but the CRC. */
static void
put_head(uint8_t *at, const struct segment_index *index,
    const struct segment_index_head *head)
{
	at = store_bytes_put_u64(at, MAGIC);
	at = store_bytes_put_u32(at, INDEX_VERSION);
	at = store_bytes_put_u32(at, 0);
	at = store_bytes_put_u64(at, head->first_sequence);
	at = store_bytes_put_u64(at, head->tag);
	at = store_bytes_put_u64(at, head->end);
	at = store_bytes_put_u32(at, (uint32_t)index->list_count);
	store_bytes_put_u32(at, (uint32_t)index->entry_count);
}

static void
put_lists(uint8_t *at, const struct segment_index *index)
{
	const struct list *list;

	for (size_t i = 0; i < index->slot_count; i++) {
		list = &index->slots[i];
		if (list->cursor == 0)
			continue;
		at = store_bytes_put_u64(at, list->cursor);
		at = store_bytes_put_u32(at, list->count);
		at = store_bytes_put_u32(at, 0);
	}
	for (size_t i = 0; i < index->slot_count; i++) {
		list = &index->slots[i];
		for (uint32_t k = 0; k < list->count; k++) {
			at = store_bytes_put_u32(at, list->entries[k].delta);
			at = store_bytes_put_u32(at, list->entries[k].place);
		}
	}
}

static uint64_t
file_size(uint64_t lists, uint64_t entries)
{
	return HEAD_BYTES + lists * LIST_BYTES + entries * ENTRY_BYTES;
}

static int
write_file(const struct store_io *io, const char *name, struct slice bytes)
{
	int err, file;

	file = io->open(io->context, name, STORE_OPEN_CREATE);
	if (file < 0)
		return file;
	err = io->write(io->context, file, bytes.data, bytes.len, 0);
	io->close(io->context, file);
	if (err != 0)
		(void)io->remove(io->context, name);
	return err;
}

int
segment_index_write(const struct segment_index *index,
    const struct store_io *io, const char *name,
    const struct segment_index_head *head, uint64_t *out_bytes)
{
	size_t size = (size_t)file_size(index->list_count, index->entry_count);
	uint8_t *bytes = malloc(size);
	int err;

	if (bytes == NULL)
		return -ENOMEM;
	put_head(bytes, index, head);
	put_lists(bytes + HEAD_BYTES, index);
	store_bytes_put_u32(bytes + CRC_AT, crc32c_around(bytes, size, CRC_AT));
	err = write_file(io, name, slice_of(bytes, size));
	free(bytes);
	if (err == 0)
		*out_bytes = size;
	return err;
}

/* On the heap; -EBADMSG for a size that no index has. */
static int
read_file(const struct store_io *io, const char *name, uint8_t **out_bytes,
    size_t *out_size)
{
	uint8_t *bytes = NULL;
	int64_t size, got;
	int err = 0, file;

	file = io->open(io->context, name, STORE_OPEN_READ);
	if (file < 0)
		return file;
	size = io->size(io->context, file);
	if (size < 0)
		err = (int)size;
	else if (size < (int64_t)HEAD_BYTES || (uint64_t)size > FILE_MAX)
		err = -EBADMSG;
	if (err == 0) {
		bytes = malloc((size_t)size);
		if (bytes == NULL)
			err = -ENOMEM;
	}
	if (err == 0) {
		got = io->read(io->context, file, bytes, (size_t)size, 0);
		err = got < 0 ? (int)got : got == size ? 0 : -EBADMSG;
	}
	io->close(io->context, file);
	if (err != 0) {
		free(bytes);
		return err;
	}
	*out_bytes = bytes;
	*out_size = (size_t)size;
	return 0;
}

/* Is it whole, and of this segment?  Then how much is in it. */
static bool
check_head(const uint8_t *bytes, size_t size,
    const struct segment_index_head *head, uint32_t *out_lists,
    uint32_t *out_entries)
{
	struct store_bytes in = store_bytes_of(slice_of(bytes, size));
	bool is_right;

	is_right = store_bytes_u64(&in) == MAGIC;
	is_right = store_bytes_u32(&in) == INDEX_VERSION && is_right;
	is_right = store_bytes_u32(&in) == crc32c_around(bytes, size, CRC_AT) &&
	    is_right;
	is_right = store_bytes_u64(&in) == head->first_sequence && is_right;
	is_right = store_bytes_u64(&in) == head->tag && is_right;
	is_right = store_bytes_u64(&in) == head->end && is_right;
	*out_lists = store_bytes_u32(&in);
	*out_entries = store_bytes_u32(&in);
	return is_right && file_size(*out_lists, *out_entries) == size;
}

/* The lists point into the block, one behind the other. */
static bool
take_lists(struct segment_index *index, struct store_bytes *in, uint32_t lists)
{
	size_t entries = 0;
	struct list *list;
	uint64_t cursor;
	uint32_t count;

	for (uint32_t i = 0; i < lists; i++) {
		cursor = store_bytes_u64(in);
		count = store_bytes_u32(in);
		(void)store_bytes_u32(in);
		if (cursor == 0 || count > index->entry_count - entries)
			return false;
		list = slot_of(index, cursor);
		if (list->cursor != 0)
			return false;
		*list = (struct list){ .cursor = cursor,
			.entries = index->block + entries,
			.count = count };
		entries += count;
	}
	index->list_count = lists;
	return entries == index->entry_count;
}

static int
take(struct segment_index *index, struct slice body, uint32_t lists,
    uint32_t entries)
{
	struct store_bytes in = store_bytes_of(body);

	if (grow_slots(index, lists) != 0)
		return -ENOMEM;
	index->block = malloc((entries + (size_t)1) * sizeof(*index->block));
	if (index->block == NULL)
		return -ENOMEM;
	index->entry_count = entries;
	if (!take_lists(index, &in, lists))
		return -EBADMSG;
	for (uint32_t i = 0; i < entries; i++) {
		index->block[i].delta = store_bytes_u32(&in);
		index->block[i].place = store_bytes_u32(&in);
	}
	return 0;
}

int
segment_index_read(const struct store_io *io, const char *name,
    const struct segment_index_head *head, struct segment_index **out_index)
{
	struct segment_index *index;
	uint32_t lists, entries;
	uint8_t *bytes;
	size_t size;
	int err;

	err = read_file(io, name, &bytes, &size);
	if (err != 0)
		return err;
	index = segment_index_new();
	if (index == NULL)
		err = -ENOMEM;
	else if (!check_head(bytes, size, head, &lists, &entries))
		err = -EBADMSG;
	else
		err =
		    take(index, slice_of(bytes + HEAD_BYTES, size - HEAD_BYTES),
			lists, entries);
	free(bytes);
	if (err != 0) {
		segment_index_free(index);
		return err;
	}
	*out_index = index;
	return 0;
}
