/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which checkpoint a store starts from, and what is in it.
 *
 * All that are there are checked before any is used.  One that is damaged is
 * put aside under another name and told; the store starts from the newest
 * that is not.  Without any, all that is known is in the segments.
 *
 * One that the disk does not give may be whole, and stays.  If there is no
 * other, the store does not start: it would start without what is in it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/store/checkpoint_file.h"
#include "broker/store/store_bytes.h"
#include "broker/store/store_private.h"

/* Names put aside are numbered; a store with so many keeps the last. */
#define MAX_ASIDE 1000u

/* Checkpoints that are sound, the newest first; more are of no use. */
#define KEPT 2u

/* A file with the name of a checkpoint. */
struct found_checkpoint {
	uint64_t generation;
	uint64_t bytes;
	struct checkpoint_head head;
	struct checkpoint_flaw flaw; /* what is NULL: it is sound */
};

struct load {
	struct store *store;
	const struct store_sink *sink;
	struct found_checkpoint *found; /* the newest first */
	size_t count, room;
	size_t checked;       /* of them; the rest is of no use */
	unsigned sound_count; /* of these */
	struct store_progress *progress;
	uint64_t *over; /* scratch */
	size_t over_room;
};

/* ---- which files there are ----------------------------------------------- */

static int
note_name(void *arg, const char *name)
{
	struct load *load = arg;
	struct found_checkpoint *grown;
	uint64_t generation;
	size_t room;

	if (!checkpoint_file_name_parse(name, &generation))
		return 0;
	if (load->count == load->room) {
		room = load->room == 0 ? 8 : load->room * 2;
		grown = realloc(load->found, room * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		load->found = grown;
		load->room = room;
	}
	load->found[load->count++] =
	    (struct found_checkpoint){ .generation = generation };
	return 0;
}

static int
newest_first(const void *a, const void *b)
{
	const struct found_checkpoint *one = a, *other = b;

	return one->generation < other->generation ? 1
	    : one->generation > other->generation  ? -1
						   : 0;
}

static int
find_files(struct load *load)
{
	const struct store_io *io = load->store->io;
	int err;

	err = io->list(io->context, note_name, load);
	if (err == 0 && load->count > 1)
		qsort(load->found, load->count, sizeof(*load->found),
		    newest_first);
	return err;
}

/* For the progress; 0 if it cannot be told. */
static uint64_t
size_of(const struct load *load, const char *name)
{
	const struct store_io *io = load->store->io;
	int64_t size;
	int file;

	file = io->open(io->context, name, STORE_OPEN_READ);
	if (file < 0)
		return 0;
	size = io->size(io->context, file);
	io->close(io->context, file);
	return size < 0 ? 0 : (uint64_t)size;
}

/* ---- damage -------------------------------------------------------------- */

/* Out of the way, under a name that nobody has.  False: it stays. */
static bool
put_aside(struct store *store, const char *name, char *out_name)
{
	const struct store_io *io = store->io;
	int file;

	if (store->spec.is_read_only)
		return false;
	for (unsigned n = 1; n <= MAX_ASIDE; n++) {
		snprintf(out_name, STORE_NAME_MAX, "%.27s.damaged-%u", name, n);
		file = io->open(io->context, out_name, STORE_OPEN_READ);
		if (file < 0)
			break;
		io->close(io->context, file);
	}
	return io->rename(io->context, name, out_name) == 0;
}

static void
tell_damage(struct load *load, const struct found_checkpoint *found)
{
	char name[STORE_NAME_MAX], aside[STORE_NAME_MAX];
	struct store_damage damage = {
		.file = name,
		.offset = found->flaw.offset,
		.bytes = found->flaw.size - found->flaw.offset,
		.what = found->flaw.what,
	};

	checkpoint_file_name(found->generation, name);
	if (found->flaw.err == 0 && put_aside(load->store, name, aside))
		damage.kept_as = aside;
	store_tell_sink(load->sink, &damage);
}

/* ---- checking ------------------------------------------------------------ */

/* A cursor's body; the over set stays in *out_over. */
static int
read_cursor(struct slice body, uint64_t *out_number, uint64_t *out_floor,
    struct store_bytes *out_over)
{
	struct store_bytes in = store_bytes_of(body);
	uint8_t version = store_bytes_u8(&in);

	if (version > STORE_CHECKPOINT_CURSOR_VERSION)
		return -ENOTSUP;
	*out_number = store_bytes_u64(&in);
	*out_floor = store_bytes_u64(&in);
	if (version == 0 || in.is_short || in.left % sizeof(uint64_t) != 0)
		return -EBADMSG;
	*out_over = in;
	return 0;
}

static int
check_record(void *context, uint8_t kind, struct slice body)
{
	struct store_bytes over;
	uint64_t number, floor;

	(void)context;
	if (kind == STORE_CHECKPOINT_CURSOR)
		return read_cursor(body, &number, &floor, &over);
	return kind >= STORE_START ? 0 : -EBADMSG;
}

static void
note_progress(void *context, uint64_t bytes)
{
	struct load *load = context;

	store_progress_add(load->progress, bytes);
}

/* 0 too if it is damaged. */
static int
check(struct load *load, struct found_checkpoint *found, bool any_tag)
{
	const struct checkpoint_each each = { .context = load,
		.record = check_record,
		.progress = note_progress };
	char name[STORE_NAME_MAX];
	int err;

	checkpoint_file_name(found->generation, name);
	load->progress->total += size_of(load, name);
	err = checkpoint_file_read(load->store->io, name, &each, &found->head,
	    &found->bytes, &found->flaw);
	if (err == 0 &&
	    (found->head.generation != found->generation ||
		(!any_tag && found->head.tag != load->store->tag))) {
		found->flaw = (struct checkpoint_flaw){ .size = found->bytes,
			.what = "it is of another journal" };
		err = -EBADMSG;
	}
	if (err == 0)
		load->sound_count++;
	return err == -EBADMSG ? 0 : err;
}

static int
check_all(struct load *load, bool any_tag)
{
	struct found_checkpoint *found;
	int err = 0, unread = 0;

	for (; err == 0 && load->checked < load->count &&
	     load->sound_count < KEPT;
	     load->checked++) {
		found = &load->found[load->checked];
		err = check(load, found, any_tag);
		if (found->flaw.err != 0)
			unread = found->flaw.err;
	}
	return err == 0 && load->sound_count == 0 ? unread : err;
}

/* Now that no file is known to be of a newer version. */
static void
tidy(struct load *load)
{
	struct store *store = load->store;
	char name[STORE_NAME_MAX];

	for (size_t i = 0; i < load->checked; i++)
		if (load->found[i].flaw.what != NULL)
			tell_damage(load, &load->found[i]);
	for (size_t i = load->checked; i < load->count; i++) {
		/* Its removal did not come through. */
		checkpoint_file_name(load->found[i].generation, name);
		if (!store->spec.is_read_only)
			(void)store->io->remove(store->io->context, name);
	}
}

/* ---- taking it ----------------------------------------------------------- */

static int
restore_cursor(struct load *load, struct slice body)
{
	struct store_bytes in;
	uint64_t number, floor, *grown;
	size_t count;
	int err;

	err = read_cursor(body, &number, &floor, &in);
	if (err != 0)
		return err;
	count = in.left / sizeof(uint64_t);
	if (count > load->over_room) {
		grown = realloc(load->over, count * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		load->over = grown;
		load->over_room = count;
	}
	for (size_t i = 0; i < count; i++)
		load->over[i] = store_bytes_u64(&in);
	return cursors_restore(
	    &load->store->cursors, number, floor, load->over, count);
}

static int
take_record(void *context, uint8_t kind, struct slice body)
{
	struct load *load = context;

	if (kind == STORE_CHECKPOINT_CURSOR)
		return restore_cursor(load, body);
	if (load->sink->state == NULL)
		return 0;
	return load->sink->state(load->sink->context, kind, 0, body);
}

/* The `nth` that is sound, from 0; NULL: there are not so many. */
static const struct found_checkpoint *
sound(const struct load *load, unsigned nth)
{
	for (size_t i = 0; i < load->checked; i++)
		if (load->found[i].flaw.what == NULL && nth-- == 0)
			return &load->found[i];
	return NULL;
}

static void
note_sound(const struct load *load)
{
	const struct found_checkpoint *newest = sound(load, 0);
	const struct found_checkpoint *older = sound(load, 1);
	struct store *store = load->store;

	if (load->count > 0)
		store->checkpoint_generation = load->found[0].generation;
	if (newest == NULL)
		return;
	store->tag = newest->head.tag;
	store->checkpoint_newest = newest->generation;
	store->checkpoint_sequence = newest->head.sequence;
	store->checkpoint_bytes = newest->bytes;
	store->checkpoint_files_bytes = newest->bytes;
	if (newest->head.next_cursor > store->cursors.next)
		store->cursors.next = newest->head.next_cursor;
	if (older == NULL)
		return;
	store->covered = older->head.sequence;
	store->checkpoint_older = older->generation;
	store->checkpoint_files_bytes += older->bytes;
}

static int
take_newest(struct load *load)
{
	const struct checkpoint_each each = { .context = load,
		.record = take_record };
	const struct found_checkpoint *newest = sound(load, 0);
	struct checkpoint_flaw flaw;
	struct checkpoint_head head;
	char name[STORE_NAME_MAX];
	uint64_t bytes;
	int err;

	if (newest == NULL)
		return 0;
	checkpoint_file_name(newest->generation, name);
	err = checkpoint_file_read(
	    load->store->io, name, &each, &head, &bytes, &flaw);
	/* It was whole a moment ago, and half of it has been told. */
	return err == -EBADMSG ? -EIO : err;
}

int
store_checkpoint_load(
    struct store *store, bool has_journal, struct store_progress *progress)
{
	struct load load = {
		.store = store, .sink = progress->sink, .progress = progress
	};
	int err;

	err = find_files(&load);
	if (err == 0)
		err = check_all(&load, !has_journal);
	if (err == 0) {
		tidy(&load);
		err = take_newest(&load);
	}
	if (err == 0)
		note_sound(&load);
	free(load.found);
	free(load.over);
	return err;
}
