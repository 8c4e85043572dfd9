/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "tests/unit/store_sim_private.h"
#include "tests/unit/unit_memory.h"

/* A kernel writes what it has kept for long without being asked. */
#define MAX_CHANGES 4096u

/* How a power cut treats the changes of one file. */
enum manner {
	KEEPS_A_SUBSET,   /* whole calls, any of them */
	KEEPS_SECTORS,    /* each sector as it was at any time */
	KEEPS_A_PREFIX,   /* the last one torn between two sectors */
	KEEPS_SOME_BYTES, /* or anywhere */
	MANNERS
};

uint64_t
store_sim_dice(uint64_t *state, uint64_t bound)
{
	uint64_t z;

	*state += UINT64_C(0x9e3779b97f4a7c15);
	z = *state;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % bound;
}

/* ---- content ------------------------------------------------------------- */

static void
resize(struct sim_content *content, uint64_t size)
{
	if (size > content->room) {
		content->room = size + size / 4;
		content->bytes = unit_resize(content->bytes, content->room);
	}
	if (size > content->size)
		memset(content->bytes + content->size, 0, size - content->size);
	content->size = size;
}

/* The part of a change from its byte `from` on, `length` bytes of it. */
static void
apply_part(struct sim_content *content, const struct sim_change *change,
    uint64_t from, uint64_t length)
{
	uint64_t offset = change->offset + from;

	if (length == 0)
		return;
	if (offset + length > content->size)
		resize(content, offset + length);
	if (change->bytes == NULL)
		memset(content->bytes + offset, 0, length);
	else
		memcpy(content->bytes + offset, change->bytes + from, length);
}

static void
apply(struct sim_content *content, const struct sim_change *change)
{
	if (change->is_size)
		resize(content, change->offset);
	else
		apply_part(content, change, 0, change->length);
}

static void
copy_content(struct sim_content *to, const struct sim_content *from)
{
	resize(to, from->size);
	if (from->size != 0)
		memcpy(to->bytes, from->bytes, from->size);
}

/* ---- files --------------------------------------------------------------- */

static void
forget_changes(struct sim_file *file)
{
	for (size_t i = 0; i < file->change_count; i++)
		free(file->changes[i].bytes);
	file->change_count = 0;
}

static void
change_file(struct sim_file *file, struct sim_change change)
{
	apply(&file->cached, &change);
	if (file->change_count == MAX_CHANGES)
		sim_file_sync(file);
	file->changes = unit_grow(file->changes, file->change_count,
	    &file->change_room, sizeof(*file->changes));
	file->changes[file->change_count++] = change;
}

void
sim_file_write(
    struct sim_file *file, const void *bytes, uint64_t offset, uint64_t length)
{
	struct sim_change change = { .offset = offset, .length = length };

	if (length == 0)
		return;
	if (bytes != NULL) {
		change.bytes = unit_new(length);
		memcpy(change.bytes, bytes, length);
	}
	change_file(file, change);
}

void
sim_file_resize(struct sim_file *file, uint64_t size)
{
	change_file(
	    file, (struct sim_change){ .offset = size, .is_size = true });
}

void
sim_file_sync(struct sim_file *file)
{
	for (size_t i = 0; i < file->change_count; i++)
		apply(&file->durable, &file->changes[i]);
	forget_changes(file);
}

static void
keep_subset(struct sim_file *file, uint64_t *dice)
{
	uint64_t odds = 1 + store_sim_dice(dice, 7);

	for (size_t i = 0; i < file->change_count; i++)
		if (store_sim_dice(dice, 8) < odds)
			apply(&file->durable, &file->changes[i]);
}

/*
 * Each sector is as it was behind some change, another one for each: a page
 * may go to the disk at any time, but never an older state after a newer.
 * The size is one that the file has had.
 */
static void
keep_sectors(struct sim_file *file, uint64_t *dice)
{
	uint64_t seed = store_sim_dice(dice, UINT64_MAX), sector_seed, at, end;
	uint64_t sized_by = store_sim_dice(dice, file->change_count + 1);
	size_t size = file->durable.size;
	const struct sim_change *change;

	for (size_t i = 0; i < file->change_count; i++) {
		change = &file->changes[i];
		end = change->offset + change->length;
		if (i < sized_by && (change->is_size || end > size))
			size = end;
		for (at = change->offset; at < end;
		     at += SIM_SECTOR - at % SIM_SECTOR) {
			uint64_t part = SIM_SECTOR - at % SIM_SECTOR;

			if (part > end - at)
				part = end - at;
			sector_seed = seed ^ (at / SIM_SECTOR);
			if (i < store_sim_dice(
				    &sector_seed, file->change_count + 1))
				apply_part(&file->durable, change,
				    at - change->offset, part);
		}
	}
	resize(&file->durable, size);
}

static void
keep_prefix(struct sim_file *file, bool at_any_byte, uint64_t *dice)
{
	uint64_t kept = store_sim_dice(dice, file->change_count + 1), length;
	const struct sim_change *torn;

	for (size_t i = 0; i < kept; i++)
		apply(&file->durable, &file->changes[i]);
	if (kept == file->change_count || file->changes[kept].is_size)
		return;
	torn = &file->changes[kept];
	length = store_sim_dice(dice, torn->length + 1);
	if (!at_any_byte) {
		length += torn->offset;
		length -= length % SIM_SECTOR;
		length = length > torn->offset ? length - torn->offset : 0;
	}
	apply_part(&file->durable, torn, 0, length);
}

static void
keep_some(struct sim_file *file, uint64_t *dice)
{
	enum manner manner = (enum manner)store_sim_dice(dice, MANNERS);

	if (manner == KEEPS_A_SUBSET)
		keep_subset(file, dice);
	else if (manner == KEEPS_SECTORS)
		keep_sectors(file, dice);
	else
		keep_prefix(file, manner == KEEPS_SOME_BYTES, dice);
	forget_changes(file);
}

void
sim_file_lose(struct sim_file *file, enum store_sim_loss loss, uint64_t *dice)
{
	if (loss == STORE_SIM_LOSE_NONE)
		sim_file_sync(file);
	else if (loss == STORE_SIM_LOSE_SOME && file->change_count != 0)
		keep_some(file, dice);
	forget_changes(file);
	copy_content(&file->cached, &file->durable);
}

void
sim_file_fail(struct sim_file *file, uint64_t *dice)
{
	if (file->change_count != 0)
		keep_some(file, dice);
	resize(&file->durable, file->cached.size);
	if (store_sim_dice(dice, 2) == 0)
		copy_content(&file->cached, &file->durable);
}

static void
free_file(struct sim_file *file)
{
	forget_changes(file);
	free(file->changes);
	free(file->cached.bytes);
	free(file->durable.bytes);
	free(file);
}

/* ---- names --------------------------------------------------------------- */

static struct sim_name *
find_name(const struct sim_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->list[i].name, name) == 0)
			return &names->list[i];
	return NULL;
}

static void
drop_name(struct sim_names *names, const char *name)
{
	struct sim_name *found = find_name(names, name);
	size_t index;

	if (found == NULL)
		return;
	index = (size_t)(found - names->list);
	names->count--;
	memmove(found, found + 1, (names->count - index) * sizeof(*found));
}

static void
copy_name(char *to, const char *name)
{
	BUG_ON(strlen(name) >= SIM_NAME_MAX);
	memset(to, 0, SIM_NAME_MAX);
	memcpy(to, name, strlen(name));
}

static void
set_name(struct sim_names *names, const char *name, struct sim_file *file)
{
	struct sim_name *found = find_name(names, name);

	if (found == NULL) {
		names->list = unit_grow(names->list, names->count, &names->room,
		    sizeof(*names->list));
		found = &names->list[names->count++];
		copy_name(found->name, name);
	}
	found->file = file;
}

/* The old name is gone only if it is still this file's. */
static void
apply_move(struct sim_names *names, const struct sim_move *move)
{
	struct sim_name *from = find_name(names, move->from);

	if (from != NULL && from->file == move->file)
		drop_name(names, move->from);
	if (move->to[0] != '\0')
		set_name(names, move->to, move->file);
}

static void
change_names(struct sim_disk *disk, const char *from, const char *to,
    struct sim_file *file)
{
	struct sim_move *move;

	disk->moves = unit_grow(disk->moves, disk->move_count, &disk->move_room,
	    sizeof(*disk->moves));
	move = &disk->moves[disk->move_count++];
	copy_name(move->from, from);
	copy_name(move->to, to);
	move->file = file;
	apply_move(&disk->cached, move);
}

struct sim_file *
sim_disk_find(const struct sim_disk *disk, const char *name)
{
	const struct sim_name *found = find_name(&disk->cached, name);

	return found == NULL ? NULL : found->file;
}

static struct sim_file *
new_file(struct sim_disk *disk)
{
	struct sim_file *file = unit_new(sizeof(*file));

	disk->files = unit_grow(disk->files, disk->file_count, &disk->file_room,
	    sizeof(struct sim_file *));
	disk->files[disk->file_count++] = file;
	return file;
}

struct sim_file *
sim_disk_make(struct sim_disk *disk, const char *name)
{
	struct sim_file *file = new_file(disk);

	change_names(disk, "", name, file);
	return file;
}

void
sim_disk_move(struct sim_disk *disk, const char *from, const char *to)
{
	change_names(disk, from, to, sim_disk_find(disk, from));
}

void
sim_disk_remove(struct sim_disk *disk, const char *name)
{
	change_names(disk, name, "", sim_disk_find(disk, name));
}

static void
copy_names(struct sim_names *to, const struct sim_names *from)
{
	to->count = 0;
	for (size_t i = 0; i < from->count; i++)
		set_name(to, from->list[i].name, from->list[i].file);
}

void
sim_disk_sync(struct sim_disk *disk)
{
	for (size_t i = 0; i < disk->move_count; i++)
		apply_move(&disk->durable, &disk->moves[i]);
	disk->move_count = 0;
	sim_disk_collect(disk);
}

/* Half the time in order, as a journalling file system; else any subset. */
static void
lose_names(struct sim_disk *disk, enum store_sim_loss loss, uint64_t *dice)
{
	uint64_t kept = store_sim_dice(dice, disk->move_count + 1);
	bool in_order = store_sim_dice(dice, 2) == 0, survives;

	for (size_t i = 0; i < disk->move_count; i++) {
		survives = in_order ? i < kept : store_sim_dice(dice, 2) == 0;
		if (loss == STORE_SIM_LOSE_NONE ||
		    (loss == STORE_SIM_LOSE_SOME && survives))
			apply_move(&disk->durable, &disk->moves[i]);
	}
	disk->move_count = 0;
	copy_names(&disk->cached, &disk->durable);
}

void
sim_disk_lose(struct sim_disk *disk, enum store_sim_loss loss, uint64_t *dice)
{
	lose_names(disk, loss, dice);
	for (size_t i = 0; i < disk->file_count; i++)
		sim_file_lose(disk->files[i], loss, dice);
	sim_disk_collect(disk);
}

static bool
names_have(const struct sim_names *names, const struct sim_file *file)
{
	for (size_t i = 0; i < names->count; i++)
		if (names->list[i].file == file)
			return true;
	return false;
}

static bool
is_needed(const struct sim_disk *disk, const struct sim_file *file)
{
	for (size_t i = 0; i < disk->move_count; i++)
		if (disk->moves[i].file == file)
			return true;
	return file->opened != 0 || names_have(&disk->cached, file) ||
	    names_have(&disk->durable, file);
}

void
sim_disk_collect(struct sim_disk *disk)
{
	size_t kept = 0;

	for (size_t i = 0; i < disk->file_count; i++)
		if (is_needed(disk, disk->files[i]))
			disk->files[kept++] = disk->files[i];
		else
			free_file(disk->files[i]);
	disk->file_count = kept;
}

/* A clone is what is there now, all of it durable. */
void
sim_disk_clone(struct sim_disk *disk, const struct sim_disk *from)
{
	struct sim_file *file;

	for (size_t i = 0; i < from->cached.count; i++) {
		file = new_file(disk);
		copy_content(&file->cached, &from->cached.list[i].file->cached);
		copy_content(&file->durable, &file->cached);
		set_name(&disk->cached, from->cached.list[i].name, file);
	}
	copy_names(&disk->durable, &disk->cached);
}

void
sim_disk_fini(struct sim_disk *disk)
{
	for (size_t i = 0; i < disk->file_count; i++)
		free_file(disk->files[i]);
	free(disk->files);
	free(disk->moves);
	free(disk->cached.list);
	free(disk->durable.list);
}
