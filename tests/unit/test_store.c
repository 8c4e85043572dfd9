/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store/crc32c.h"
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

static int
tell_state(void *context, uint8_t kind, uint64_t sequence, struct slice body)
{
	(void)context;
	(void)body;
	ck_assert_uint_gt(sequence, 0);
	told.state_count++;
	told.last_state_kind = kind;
	return 0;
}

static int
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

static int
tell_done(void *context, const struct store_done *done)
{
	(void)context;
	(void)done;
	told.done_count++;
	return 0;
}

static int
tell_opened(void *context, uint64_t cursor)
{
	(void)context;
	(void)cursor;
	told.opened_count++;
	return 0;
}

static int
tell_closed(void *context, uint64_t cursor)
{
	(void)context;
	(void)cursor;
	told.closed_count++;
	return 0;
}

static void
tell_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	ck_assert_uint_le(done, total);
}

static void
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

static int
try_open(uint64_t max_bytes, bool is_synced)
{
	struct store_spec spec = { .io = &io,
		.segment_bytes = SEGMENT,
		.max_bytes = max_bytes,
		.is_synced = is_synced };

	memset(&told, 0, sizeof(told));
	return store_open(&spec, &sink, &store);
}

static void
open_store(void)
{
	ck_assert_int_eq(try_open(64 * SEGMENT, true), 0);
}

/* As if the process had died: nothing is said at the end. */
static void
kill_store(void)
{
	store->is_broken = true;
	store_close(store);
	store = NULL;
}

static void
reopen(void)
{
	store_close(store);
	store = NULL;
	open_store();
}

static void
setup(void)
{
	strcpy(directory, "/tmp/weir-store.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(store_io_posix_open(directory, false, &io), 0);
	open_store();
}

static void
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

static void
remove_file(const char *name)
{
	io.remove(io.context, name);
}

static void
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

static int
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

static uint64_t
append(uint64_t cursor, const char *payload)
{
	uint64_t sequence = 0;

	ck_assert_int_eq(
	    try_message(cursor, payload, strlen(payload), &sequence), 0);
	return sequence;
}

static void
commit(void)
{
	ck_assert_int_eq(store_commit(store, true), 0);
}

static uint64_t
put(uint64_t cursor, const char *payload)
{
	uint64_t sequence = append(cursor, payload);

	commit();
	return sequence;
}

static void
open_cursor(uint64_t cursor)
{
	ck_assert_int_eq(store_append_open(store, cursor), 0);
	commit();
}

static void
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

static int
look_at(void *arg, const struct store_cursor *cursor)
{
	struct look *look = arg;

	if (cursor->cursor != look->cursor)
		return 0;
	look->found = *cursor;
	look->is_there = true;
	return 1;
}

static struct look
look(uint64_t cursor)
{
	struct look at = { .cursor = cursor };

	ck_assert_int_ge(store_each_cursor(store, look_at, &at), 0);
	return at;
}

static uint64_t
queued(uint64_t cursor)
{
	return look(cursor).found.queued;
}

static int newest_file;
static uint64_t newest;
static char newest_name[STORE_NAME_MAX];

static void
note_newest(const char *name)
{
	uint64_t first, merged;

	if (segment_name_parse(name, &first, &merged) && first >= newest) {
		newest = first;
		segment_name(first, merged, newest_name);
	}
}

/* The last segment, to be tampered with. */
static void
open_newest(void)
{
	newest = 0;
	each_file(note_newest);
	newest_file = io.open(io.context, newest_name, STORE_OPEN_WRITE);
	ck_assert_int_ge(newest_file, 0);
}

/* Where in the newest segment this text is. */
static uint64_t
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

static void
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

static void
count_file(const char *name)
{
	(void)name;
	file_count++;
}

static size_t
files(void)
{
	file_count = 0;
	each_file(count_file);
	return file_count;
}

/* ---- tests ------------------------------------------------------------------
 */

START_TEST(gives_back_what_was_committed_in_its_order)
{
	open_cursor(1);
	for (int i = 0; i < 100; i++) {
		char payload[24];

		snprintf(payload, sizeof(payload), "message %d", i);
		append(1, payload);
		if (i % 7 == 0)
			commit();
	}
	commit();
	reopen();
	ck_assert_uint_eq(told.message_count, 100);
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(told.opened_count, 1);
	for (size_t i = 0; i < 100; i++) {
		char payload[24];

		snprintf(payload, sizeof(payload), "message %zu", i);
		ck_assert_str_eq(told.payloads[i], payload);
		ck_assert_uint_eq(told.messages[i], 2 + i);
	}
	ck_assert_uint_eq(queued(1), 100);
}
END_TEST

START_TEST(forgets_what_was_not_committed)
{
	open_cursor(1);
	put(1, "kept");
	append(1, "not kept");
	reopen();
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_uint_eq(told.damage_count, 0);
}
END_TEST

START_TEST(never_uses_a_sequence_twice)
{
	uint64_t last = 0, sequence;

	open_cursor(1);
	for (int life = 0; life < 5; life++) {
		for (int i = 0; i < 3; i++) {
			sequence = put(1, "x");
			ck_assert_uint_gt(sequence, last);
			last = sequence;
		}
		append(1, "void");
		reopen();
		ck_assert_uint_eq(store_committed(store), last);
	}
	ck_assert_uint_eq(told.message_count, 15);
}
END_TEST

START_TEST(goes_on_in_the_next_segment_when_one_is_full)
{
	char payload[1000];
	uint64_t sequence;
	struct store_stat stat;

	memset(payload, 'p', sizeof(payload));
	open_cursor(9);
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(
		    try_message(9, payload, sizeof(payload), &sequence), 0);
		commit();
	}
	store_stat(store, &stat);
	ck_assert_uint_ge(stat.segments, 5);
	ck_assert_uint_eq(stat.queued, 300);
	reopen();
	ck_assert_uint_eq(told.message_count, 300);
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(queued(9), 300);
}
END_TEST

START_TEST(refuses_a_record_or_a_batch_that_is_too_large)
{
	static char payload[SEGMENT / 4 - 200];
	uint64_t sequence;
	int err, count = 0;

	open_cursor(1);
	ck_assert_int_eq(
	    try_message(1, payload, sizeof(payload), &sequence), 0);
	ck_assert_int_eq(store_append(store, STORE_SESSION,
			     slice_of(payload, sizeof(payload)), &sequence),
	    0);
	do
		err = try_message(1, payload, sizeof(payload), &sequence);
	while (err == 0 && ++count < 8);
	ck_assert_int_eq(err, -EAGAIN);
	commit();
	ck_assert_int_eq(
	    try_message(1, payload, sizeof(payload), &sequence), 0);
	commit();
	{
		static char large[SEGMENT / 4 + 1];

		ck_assert_int_eq(
		    try_message(1, large, sizeof(large), &sequence), -EMSGSIZE);
	}
}
END_TEST

START_TEST(refuses_what_it_cannot_be)
{
	struct store_spec spec = { .io = &io,
		.segment_bytes = SEGMENT / 2,
		.max_bytes = 64 * SEGMENT };
	struct store *other = NULL;

	ck_assert_int_eq(store_open(&spec, &sink, &other), -EINVAL);
	spec.segment_bytes = SEGMENT + 1;
	ck_assert_int_eq(store_open(&spec, &sink, &other), -EINVAL);
	spec.segment_bytes = SEGMENT;
	spec.max_bytes = 3 * SEGMENT - 1;
	ck_assert_int_eq(store_open(&spec, &sink, &other), -EINVAL);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(lets_only_one_process_have_the_directory)
{
	struct store_io second;

	ck_assert_int_eq(
	    store_io_posix_open(directory, false, &second), -EBUSY);
	ck_assert_int_eq(store_io_posix_open(directory, true, &second), 0);
	store_io_posix_close(&second);
}
END_TEST

START_TEST(counts_for_a_cursor_only_what_comes_after_its_open)
{
	put(5, "before");
	open_cursor(5);
	put(5, "after");
	ck_assert_uint_eq(queued(5), 1);
	ck_assert_uint_eq(store_next_cursor(store), 6);
	reopen();
	ck_assert_uint_eq(queued(5), 1);
	ck_assert_uint_eq(store_next_cursor(store), 6);
}
END_TEST

START_TEST(takes_done_in_any_order_and_twice)
{
	uint64_t first, second, third;
	struct look at;

	open_cursor(1);
	first = put(1, "one");
	second = put(1, "two");
	third = put(1, "three");
	done(1, second, 0);
	done(1, second, 0);
	done(77, second, 0);
	at = look(1);
	ck_assert_uint_eq(at.found.queued, 2);
	ck_assert_uint_eq(at.found.over_count, 1);
	ck_assert_uint_eq(at.found.floor, first - 1);
	done(1, first, second);
	at = look(1);
	ck_assert_uint_eq(at.found.queued, 1);
	ck_assert_uint_eq(at.found.over_count, 0);
	ck_assert_uint_eq(at.found.floor, second);
	reopen();
	at = look(1);
	ck_assert_uint_eq(at.found.queued, 1);
	ck_assert_uint_eq(at.found.floor, second);
	done(1, third, 0);
	at = look(1);
	ck_assert_uint_eq(at.found.queued, 0);
	ck_assert_uint_eq(at.found.queued_bytes, 0);
	ck_assert_uint_eq(at.found.floor, store_committed(store));
}
END_TEST

START_TEST(forgets_a_cursor_that_was_closed)
{
	open_cursor(1);
	open_cursor(2);
	put(1, "one");
	put(2, "two");
	ck_assert_int_eq(store_append_close(store, 1), 0);
	commit();
	ck_assert(!look(1).is_there);
	put(1, "late");
	reopen();
	ck_assert(!look(1).is_there);
	ck_assert_uint_eq(queued(2), 1);
	ck_assert_uint_eq(told.closed_count, 1);
}
END_TEST

START_TEST(opens_and_closes_within_one_batch)
{
	ck_assert_int_eq(store_append_open(store, 3), 0);
	append(3, "x");
	append(3, "y");
	ck_assert_int_eq(store_append_close(store, 3), 0);
	ck_assert_int_eq(store_append_open(store, 4), 0);
	append(4, "z");
	commit();
	ck_assert(!look(3).is_there);
	ck_assert_uint_eq(queued(4), 1);
}
END_TEST

START_TEST(cuts_a_torn_tail_and_says_so)
{
	open_cursor(1);
	put(1, "the first");
	put(1, "the last");
	kill_store();
	flip(find_text("the last"));
	open_store();
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_uint_eq(told.damage_count, 1);
	ck_assert(told.damages[0].is_torn_tail);
	ck_assert_ptr_null(told.damages[0].kept_as);
	ck_assert_uint_eq(told.damages[0].first_sequence, 3);

	/* It does not come back with what is written later. */
	put(1, "another");
	reopen();
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(told.message_count, 2);
	ck_assert_str_eq(told.payloads[1], "another");
}
END_TEST

START_TEST(knows_that_the_last_commit_was_safe_after_an_orderly_end)
{
	open_cursor(1);
	put(1, "the first");
	put(1, "the last");
	store_close(store);
	store = NULL;
	flip(find_text("the last"));
	open_store();
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_uint_eq(told.damage_count, 1);
	ck_assert(!told.damages[0].is_torn_tail);
	ck_assert_uint_eq(told.damages[0].last_sequence, 3);
}
END_TEST

/* Told once: what was damaged is in the copy then. */
START_TEST(tells_damage_in_the_middle_and_goes_on_behind_it)
{
	uint64_t offset;

	open_cursor(1);
	put(1, "the first");
	put(1, "the second");
	put(1, "the third");
	put(1, "the fourth");
	kill_store();
	offset = find_text("the second");
	flip(offset);
	for (int life = 0; life < 2; life++) {
		open_store();
		ck_assert_uint_eq(told.message_count, 3);
		ck_assert_str_eq(told.payloads[1], "the third");
		if (life == 1)
			break;
		ck_assert_uint_eq(told.damage_count, 1);
		ck_assert(!told.damages[0].is_torn_tail);
		ck_assert_uint_eq(told.damages[0].first_sequence, 3);
		ck_assert_uint_eq(told.damages[0].last_sequence, 3);
		ck_assert_uint_le(told.damages[0].offset, offset);
		ck_assert_uint_gt(
		    told.damages[0].offset + told.damages[0].bytes, offset);
		ck_assert_str_eq(told.damaged_file, newest_name);
		ck_assert_str_eq(
		    told.kept_as, "0000000000000001.seg.damaged-1");
		kill_store();
	}
	ck_assert_uint_eq(told.damage_count, 0);
}
END_TEST

START_TEST(reads_the_records_under_a_damaged_header)
{
	open_cursor(1);
	put(1, "the first");
	put(1, "the second");
	kill_store();
	flip(20);
	open_store();
	ck_assert_uint_eq(told.damage_count, 1);
	ck_assert_uint_eq(told.message_count, 2);
	put(1, "the third");
	reopen();
	ck_assert_uint_eq(told.message_count, 3);
	ck_assert_uint_eq(told.damage_count, 0);
}
END_TEST

static void
write_segments(int count)
{
	char payload[4000];
	uint64_t sequence;

	memset(payload, 'p', sizeof(payload));
	open_cursor(1);
	for (int i = 0; i < count * 15; i++) {
		ck_assert_int_eq(
		    try_message(1, payload, sizeof(payload), &sequence), 0);
		commit();
	}
}

static void
truncate_file(const char *name, uint64_t size)
{
	int file = io.open(io.context, name, STORE_OPEN_WRITE);

	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(io.truncate(io.context, file, size), 0);
	io.close(io.context, file);
}

START_TEST(tells_a_segment_that_is_missing)
{
	char name[STORE_NAME_MAX];
	size_t before;

	write_segments(4);
	kill_store();
	open_store();
	before = told.message_count;
	ck_assert_uint_ge(store->segment_count, 4);
	segment_name(store->segments[_i]->first_sequence, 0, name);
	store_tend(store);
	kill_store();
	remove_file(name);
	open_store();
	ck_assert_uint_eq(told.damage_count, 1);
	ck_assert_str_eq(told.damaged_file, name);
	ck_assert_uint_lt(told.message_count, before);
	ck_assert_uint_eq(
	    told.damages[0].last_sequence - told.damages[0].first_sequence + 1,
	    before - told.message_count + (_i == 0 ? 1 : 0));
	reopen();
	ck_assert_uint_eq(told.damage_count, 0);
}
END_TEST

START_TEST(tells_a_segment_without_content_and_one_that_was_cut)
{
	char name[STORE_NAME_MAX];
	size_t before;

	write_segments(4);
	kill_store();
	open_store();
	before = told.message_count;
	segment_name(store->segments[_i]->first_sequence, 0, name);
	kill_store();
	truncate_file(name, 0);
	open_store();
	ck_assert_uint_ge(told.damage_count, 1);
	ck_assert_str_eq(told.damaged_file, name);
	ck_assert_uint_lt(told.message_count, before);
	put(1, "and it goes on");
	kill_store();

	open_newest();
	io.close(io.context, newest_file);
	segment_name(newest, 0, name);
	truncate_file(name, SEGMENT / 2);
	open_store();
	ck_assert_uint_ge(told.damage_count, 1);
	ck_assert_str_eq(
	    told.payloads[told.message_count - 1], "and it goes on");
}
END_TEST

START_TEST(minds_no_file_that_it_does_not_know)
{
	int file;

	put(0, "x");
	file = io.open(io.context, "notes.txt", STORE_OPEN_CREATE);
	io.close(io.context, file);
	file = io.open(io.context, "0000000000000000.seg", STORE_OPEN_CREATE);
	io.close(io.context, file);
	file = io.open(io.context, "half.tmp", STORE_OPEN_CREATE);
	io.close(io.context, file);
	reopen();
	ck_assert_uint_eq(told.damage_count, 0);
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_int_eq(
	    io.open(io.context, "half.tmp", STORE_OPEN_READ), -ENOENT);
	remove_file("notes.txt");
}
END_TEST

START_TEST(refuses_a_newer_version_and_changes_nothing)
{
	struct store_segment_header header;
	size_t before;

	put(0, "x");
	store_close(store);
	store = NULL;
	open_newest();
	ck_assert_int_eq(segment_header_read(&io, newest_file, &header), 0);
	header.crc = 0;
	segment_header_seal(&header);
	header.version = htole32(STORE_VERSION + 1);
	header.crc = 0;
	header.crc = htole32(crc32c(0, &header, sizeof(header)));
	io.write(io.context, newest_file, &header, sizeof(header), 0);
	io.close(io.context, newest_file);
	before = files();
	ck_assert_int_eq(try_open(64 * SEGMENT, true), -ENOTSUP);
	ck_assert_ptr_null(store);
	ck_assert_uint_eq(files(), before);
}
END_TEST

/* A payload that looks like a record, wherever it comes to lie. */
START_TEST(takes_no_record_from_inside_a_payload)
{
	uint8_t forged[72] __attribute__((aligned(8)));
	uint64_t sequence;

	memset(forged, 0, sizeof(forged));
	memcpy(forged + 32, "forged", 6);
	segment_record_seal(forged,
	    &(struct segment_record){ .sequence = 1000,
		.tag = store->tag + 1,
		.kind = STORE_RELEASED,
		.body = slice_of(forged + 32, 6) });
	memmove(forged + _i, forged, 64);
	open_cursor(1);
	ck_assert_int_eq(
	    try_message(1, (char *)forged, sizeof(forged), &sequence), 0);
	commit();
	put(1, "behind");
	kill_store();
	flip(find_text("a/b"));
	open_store();
	ck_assert_uint_eq(told.state_count, 0);
	ck_assert_uint_eq(told.message_count, 1);
	ck_assert_uint_eq(told.damage_count, 1);
}
END_TEST

/* Where the last commit ends lies what the file held in its life before. */
START_TEST(takes_no_record_of_a_life_before)
{
	const size_t bytes = 256;
	uint8_t old[256];
	uint64_t end;

	open_cursor(1);
	put(1, "the first");
	put(1, "the second");
	end = store->active->end;
	kill_store();
	open_newest();
	ck_assert_int_eq(
	    io.read(io.context, newest_file, old, bytes, STORE_PAGE),
	    (int64_t)bytes);
	ck_assert_int_eq(io.write(io.context, newest_file, old, bytes, end), 0);
	io.close(io.context, newest_file);
	open_store();
	ck_assert_uint_eq(told.message_count, 2);
	ck_assert_uint_eq(told.opened_count, 1);
	ck_assert_uint_eq(store_committed(store), 3);
}
END_TEST

/* Fill segments, and end all that waits in them. */
static void
fill_and_end(int segments)
{
	char payload[1000];
	uint64_t sequence = 0;

	memset(payload, 'p', sizeof(payload));
	for (int i = 0; i < segments * 60; i++) {
		ck_assert_int_eq(
		    try_message(1, payload, sizeof(payload), &sequence), 0);
		commit();
		store_tend(store);
		if (i % 30 == 29) {
			done(1, sequence, sequence);
			store->covered = store_committed(store);
		}
	}
}

START_TEST(uses_segments_again_when_nothing_in_them_is_needed)
{
	struct store_stat stat;

	/* Of no use to wait for the disk so often. */
	store_close(store);
	store = NULL;
	ck_assert_int_eq(try_open(64 * SEGMENT, false), 0);
	open_cursor(1);
	fill_and_end(100);
	store_stat(store, &stat);
	ck_assert_uint_le(stat.bytes, 6 * SEGMENT);
	ck_assert_uint_le(files(), 8);
}
END_TEST

START_TEST(keeps_segments_that_no_checkpoint_covers)
{
	struct store_stat stat;
	char payload[1000];
	uint64_t sequence;

	memset(payload, 'p', sizeof(payload));
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(
		    try_message(0, payload, sizeof(payload), &sequence), 0);
		commit();
		store_tend(store);
	}
	store_stat(store, &stat);
	ck_assert_uint_ge(stat.segments, 5);
}
END_TEST

static uint64_t given[200];
static size_t given_count;

static int
take_given(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	(void)message;
	ck_assert_uint_eq(delivery->cursor, *(uint64_t *)arg);
	given[given_count++] = sequence;
	return 0;
}

/* In pieces, over several segments, another cursor's in between. */
START_TEST(reads_what_is_for_a_cursor_in_its_order)
{
	struct store_reader *reader;
	uint64_t cursor = 1, wanted[100], from = 1, upto;
	char payload[3000] = "";

	memset(payload, 'p', sizeof(payload) - 1);
	open_cursor(1);
	open_cursor(2);
	for (int i = 0; i < 100; i++) {
		wanted[i] = put(1, payload);
		put(2, payload);
	}
	reader = store_reader_new(store);
	given_count = 0;
	while (from <= store_committed(store)) {
		ck_assert_int_eq(store_read(reader, cursor, from, 7, 1 << 20,
				     take_given, &cursor, &upto),
		    0);
		ck_assert_uint_ge(upto, from);
		from = upto + 1;
	}
	ck_assert_uint_eq(given_count, 100);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(given[i], wanted[i]);
	given_count = 0;
	ck_assert_int_eq(store_read(reader, cursor, wanted[50], 100, 1,
			     take_given, &cursor, &upto),
	    0);
	ck_assert_uint_eq(given_count, 1);
	ck_assert_uint_eq(given[0], wanted[50]);
	store_reader_free(reader);
}
END_TEST

/* At the limit: messages are refused, what makes room is not. */
START_TEST(keeps_room_for_what_makes_room)
{
	static char payload[SEGMENT / 5];
	uint64_t sequence, last = 0;
	int err, tries = 0;

	store_close(store);
	store = NULL;
	ck_assert_int_eq(try_open(4 * SEGMENT, true), 0);
	open_cursor(1);
	do {
		err = try_message(1, payload, sizeof(payload), &sequence);
		if (err == 0) {
			commit();
			last = sequence;
		}
		store_tend(store);
	} while (err == 0 && ++tries < 1000);
	ck_assert_int_eq(err, -ENOSPC);
	ck_assert_int_ge(tries, 8);

	/* A whole segment of it. */
	for (uint64_t i = 1; i < 500; i++)
		done(1, i, 0);
	done(1, last, last);
	store->covered = store_committed(store);
	while (store_tend(store) == 0)
		;
	ck_assert_int_eq(store_state(store), 0);
	ck_assert_int_eq(
	    try_message(1, payload, sizeof(payload), &sequence), 0);
	commit();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, gives_back_what_was_committed_in_its_order);
	tcase_add_test(tc, forgets_what_was_not_committed);
	tcase_add_test(tc, never_uses_a_sequence_twice);
	tcase_add_test(tc, goes_on_in_the_next_segment_when_one_is_full);
	tcase_add_test(tc, refuses_a_record_or_a_batch_that_is_too_large);
	tcase_add_test(tc, refuses_what_it_cannot_be);
	tcase_add_test(tc, lets_only_one_process_have_the_directory);
	tcase_add_test(tc, counts_for_a_cursor_only_what_comes_after_its_open);
	tcase_add_test(tc, takes_done_in_any_order_and_twice);
	tcase_add_test(tc, forgets_a_cursor_that_was_closed);
	tcase_add_test(tc, opens_and_closes_within_one_batch);
	tcase_add_test(tc, cuts_a_torn_tail_and_says_so);
	tcase_add_test(tc, tells_damage_in_the_middle_and_goes_on_behind_it);
	tcase_add_test(
	    tc, knows_that_the_last_commit_was_safe_after_an_orderly_end);
	tcase_add_test(tc, reads_the_records_under_a_damaged_header);
	tcase_add_loop_test(tc, tells_a_segment_that_is_missing, 0, 4);
	tcase_add_loop_test(
	    tc, tells_a_segment_without_content_and_one_that_was_cut, 0, 4);
	tcase_add_test(tc, minds_no_file_that_it_does_not_know);
	tcase_add_test(tc, refuses_a_newer_version_and_changes_nothing);
	tcase_add_loop_test(tc, takes_no_record_from_inside_a_payload, 0, 8);
	tcase_add_test(tc, takes_no_record_of_a_life_before);
	tcase_add_test(tc, uses_segments_again_when_nothing_in_them_is_needed);
	tcase_add_test(tc, keeps_segments_that_no_checkpoint_covers);
	tcase_add_test(tc, reads_what_is_for_a_cursor_in_its_order);
	tcase_add_test(tc, keeps_room_for_what_makes_room);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
