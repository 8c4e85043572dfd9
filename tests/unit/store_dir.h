/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_dir - a store in a directory of its own, what its recovery told, and
 * hands that tamper with its files.
 *
 *	tcase_add_checked_fixture(tc, setup, teardown)
 *	put(1, "x")		committed at once
 *	kill_store()		as if the process had died; open_store()
 */

#ifndef WEIR_TESTS_UNIT_STORE_DIR_H
#define WEIR_TESTS_UNIT_STORE_DIR_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store/store_private.h"
#include "tests/unit/unit.h"

#define SEGMENT STORE_MIN_SEGMENT

/* ---- a store in a directory of its own ------------------------------------
 */

static char directory[64];
static struct store_io io;
static struct store *store;

/* What recovery told. */
#define TOLD_MAX 4096
static struct {
	uint64_t messages[TOLD_MAX];
	char payloads[TOLD_MAX][24];
	size_t message_count, done_count, opened_count, closed_count;
	size_t state_count;
	uint8_t last_state_kind;
	struct store_damage damages[16];
	char damaged_file[STORE_NAME_MAX];
	char kept_as[STORE_NAME_MAX];
	size_t damage_count;
} told;

static inline int
tell_state(void *context, uint8_t kind, uint64_t sequence, struct slice body)
{
	(void)context;
	(void)body;
	ck_assert_uint_gt(sequence, 0);
	told.state_count++;
	told.last_state_kind = kind;
	return 0;
}

static inline int
tell_message(
    void *context, uint64_t sequence, const struct store_message *message)
{
	(void)context;
	ck_assert_uint_lt(told.message_count, TOLD_MAX);
	told.messages[told.message_count] = sequence;
	snprintf(told.payloads[told.message_count], 24, "%.*s",
	    (int)(message->payload.len < 20 ? message->payload.len : 20),
	    (const char *)message->payload.data);
	told.message_count++;
	return 0;
}

static inline int
tell_done(void *context, const struct store_done *done)
{
	(void)context;
	(void)done;
	told.done_count++;
	return 0;
}

static inline int
tell_opened(void *context, uint64_t cursor)
{
	(void)context;
	(void)cursor;
	told.opened_count++;
	return 0;
}

static inline int
tell_closed(void *context, uint64_t cursor)
{
	(void)context;
	(void)cursor;
	told.closed_count++;
	return 0;
}

static inline void
tell_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	ck_assert_uint_le(done, total);
}

static inline void
tell_damaged(void *context, const struct store_damage *damage)
{
	(void)context;
	ck_assert_uint_lt(told.damage_count, 16);
	snprintf(
	    told.damaged_file, sizeof(told.damaged_file), "%s", damage->file);
	if (damage->kept_as != NULL)
		snprintf(
		    told.kept_as, sizeof(told.kept_as), "%s", damage->kept_as);
	told.damages[told.damage_count++] = *damage;
}

static const struct store_sink sink = {
	.state = tell_state,
	.message = tell_message,
	.done = tell_done,
	.opened = tell_opened,
	.closed = tell_closed,
	.progress = tell_progress,
	.damaged = tell_damaged,
};

static inline int
try_open(uint64_t max_bytes, bool is_synced)
{
	struct store_spec spec = { .io = &io,
		.segment_bytes = SEGMENT,
		.max_bytes = max_bytes,
		.is_synced = is_synced };

	memset(&told, 0, sizeof(told));
	return store_open(&spec, &sink, &store);
}

static inline void
open_store(void)
{
	ck_assert_int_eq(try_open(64 * SEGMENT, true), 0);
}

/* As if the process had died: nothing is said at the end. */
static inline void
kill_store(void)
{
	store->is_broken = true;
	store_close(store);
	store = NULL;
}

static inline void
reopen(void)
{
	store_close(store);
	store = NULL;
	open_store();
}

static inline void
setup(void)
{
	strcpy(directory, "/tmp/weir-store.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(store_io_posix_open(directory, false, &io), 0);
	open_store();
}

static inline void
each_file(void (*each)(const char *name))
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			each(entry->d_name);
	closedir(dir);
}

static inline void
remove_file(const char *name)
{
	io.remove(io.context, name);
}

static inline void
teardown(void)
{
	store_close(store);
	store = NULL;
	each_file(remove_file);
	store_io_posix_close(&io);
	rmdir(directory);
}

/* ---- doing things ----------------------------------------------------------
 */

static inline int
try_message(
    uint64_t cursor, const char *payload, size_t length, uint64_t *out_sequence)
{
	struct store_delivery delivery = { .cursor = cursor, .qos = 1 };
	struct store_message message = {
		.qos = 1,
		.source = { .link = UINT32_MAX },
		.expires_ns = UINT64_MAX,
		.topic = slice_of_string("a/b"),
		.payload = slice_of(payload, length),
		.deliveries = &delivery,
		.delivery_count = cursor == 0 ? 0 : 1,
	};

	return store_append_message(store, &message, out_sequence);
}

static inline uint64_t
append(uint64_t cursor, const char *payload)
{
	uint64_t sequence = 0;

	ck_assert_int_eq(
	    try_message(cursor, payload, strlen(payload), &sequence), 0);
	return sequence;
}

static inline void
commit(void)
{
	ck_assert_int_eq(store_commit(store, true), 0);
}

static inline uint64_t
put(uint64_t cursor, const char *payload)
{
	uint64_t sequence = append(cursor, payload);

	commit();
	return sequence;
}

static inline void
open_cursor(uint64_t cursor)
{
	ck_assert_int_eq(store_append_open(store, cursor), 0);
	commit();
}

static inline void
done(uint64_t cursor, uint64_t sequence, uint64_t floor)
{
	struct store_done one = {
		.cursor = cursor, .sequence = sequence, .floor = floor
	};

	ck_assert_int_eq(store_append_done(store, &one, 1), 0);
	commit();
}

struct look {
	uint64_t cursor;
	struct store_cursor found;
	bool is_there;
};

static inline int
look_at(void *arg, const struct store_cursor *cursor)
{
	struct look *look = arg;

	if (cursor->cursor != look->cursor)
		return 0;
	look->found = *cursor;
	look->is_there = true;
	return 1;
}

static inline struct look
look(uint64_t cursor)
{
	struct look at = { .cursor = cursor };

	ck_assert_int_ge(store_each_cursor(store, look_at, &at), 0);
	return at;
}

static inline uint64_t
queued(uint64_t cursor)
{
	return look(cursor).found.queued;
}

static int newest_file;
static uint64_t newest;
static char newest_name[STORE_NAME_MAX];

static inline void
note_newest(const char *name)
{
	uint64_t first, merged;

	if (segment_name_parse(name, &first, &merged) && first >= newest) {
		newest = first;
		segment_name(first, merged, newest_name);
	}
}

/* The last segment, to be tampered with. */
static inline void
open_newest(void)
{
	newest = 0;
	each_file(note_newest);
	newest_file = io.open(io.context, newest_name, STORE_OPEN_WRITE);
	ck_assert_int_ge(newest_file, 0);
}

/* Where in the newest segment this text is. */
static inline uint64_t
find_text(const char *text)
{
	static uint8_t bytes[SEGMENT];
	const uint8_t *hit;
	int64_t n;

	open_newest();
	n = io.read(io.context, newest_file, bytes, sizeof(bytes), 0);
	ck_assert_int_gt(n, 0);
	hit = memmem(bytes, (size_t)n, text, strlen(text));
	ck_assert_ptr_nonnull(hit);
	io.close(io.context, newest_file);
	return (uint64_t)(hit - bytes);
}

static inline void
flip(uint64_t offset)
{
	uint8_t byte;

	open_newest();
	ck_assert_int_eq(io.read(io.context, newest_file, &byte, 1, offset), 1);
	byte ^= 0x10;
	ck_assert_int_eq(
	    io.write(io.context, newest_file, &byte, 1, offset), 0);
	io.close(io.context, newest_file);
}

static size_t file_count;

static inline void
count_file(const char *name)
{
	(void)name;
	file_count++;
}

static inline size_t
files(void)
{
	file_count = 0;
	each_file(count_file);
	return file_count;
}

#endif
