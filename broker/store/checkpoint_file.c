/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/checkpoint_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/store/crc32c.h"
#include "broker/store/store_bytes.h"
#include "common/base/bug.h"

#define MAGIC UINT64_C(0x54504b4352494557) /* "WEIRCKPT" */
#define HEAD_BYTES 64u
#define HEAD_CRC_AT 12u
#define RECORD_BYTES 16u
#define RECORD_CRC_AT 4u
#define END_BODY_BYTES 20u
#define SUFFIX ".checkpoint"

/* Both ways: what is gathered for a write, or read at once. */
#define BLOCK_BYTES ((size_t)256 << 10)

/* Of a record, of any version; a larger one is a length gone wrong. */
#define RECORD_MAX (UINT32_C(1) << 30)

struct checkpoint_writer {
	const struct store_io *io;
	int file; /* -1: closed */
	bool is_ended;
	struct checkpoint_head head;
	uint64_t offset; /* of the file, where `buffer` goes */
	uint64_t count;
	uint32_t sum; /* CRC over the records' CRCs */
	size_t used;
	uint8_t buffer[BLOCK_BYTES];
};

/* A file that is read from front to back, in blocks. */
struct input {
	const struct store_io *io;
	int file;
	uint64_t size;
	uint64_t at; /* offset of what is taken next */
	uint8_t *buffer;
	size_t capacity;
	size_t begin, end; /* of what is in the buffer and not taken */
	const struct checkpoint_each *each;
	struct checkpoint_flaw *flaw;
};

/* A record as it was read. */
struct found {
	uint8_t kind;
	uint32_t crc;
	struct slice body;
};

void
checkpoint_file_name(uint64_t generation, char *out_name)
{
	snprintf(out_name, STORE_NAME_MAX, "%016" PRIx64 SUFFIX, generation);
}

bool
checkpoint_file_name_parse(const char *name, uint64_t *out_generation)
{
	char again[STORE_NAME_MAX];
	uint64_t generation;

	if (sscanf(name, "%16" SCNx64, &generation) != 1)
		return false;
	checkpoint_file_name(generation, again);
	if (strcmp(name, again) != 0)
		return false;
	*out_generation = generation;
	return true;
}

/* ---- writing ------------------------------------------------------------- */

static void
write_head(const struct checkpoint_head *head, uint8_t *out)
{
	uint8_t *at = out;

	at = store_bytes_put_u64(at, MAGIC);
	at = store_bytes_put_u32(at, CHECKPOINT_FILE_VERSION);
	at = store_bytes_put_u32(at, 0);
	at = store_bytes_put_u64(at, head->generation);
	at = store_bytes_put_u64(at, head->sequence);
	at = store_bytes_put_u64(at, head->tag);
	at = store_bytes_put_u64(at, head->next_cursor);
	at = store_bytes_put_u64(at, head->wall_ns);
	store_bytes_put_u64(at, 0);
	store_bytes_put_u32(out + HEAD_CRC_AT, crc32c(0, out, HEAD_BYTES));
}

static int
flush(struct checkpoint_writer *writer)
{
	const struct store_io *io = writer->io;
	int err;

	err = io->write(io->context, writer->file, writer->buffer, writer->used,
	    writer->offset);
	if (err != 0)
		return err;
	writer->offset += writer->used;
	writer->used = 0;
	return 0;
}

/* A body larger than the buffer goes through it in pieces. */
static int
append(struct checkpoint_writer *writer, struct slice bytes)
{
	size_t part;
	int err;

	while (bytes.len != 0) {
		if (writer->used == sizeof(writer->buffer)) {
			err = flush(writer);
			if (err != 0)
				return err;
		}
		part = sizeof(writer->buffer) - writer->used;
		if (part > bytes.len)
			part = bytes.len;
		memcpy(writer->buffer + writer->used, bytes.data, part);
		writer->used += part;
		bytes = slice_from(bytes, part);
	}
	return 0;
}

static int
create(const struct store_io *io)
{
	int file;

	file =
	    io->open(io->context, CHECKPOINT_FILE_TEMPORARY, STORE_OPEN_CREATE);
	if (file != -EEXIST)
		return file;
	(void)io->remove(io->context, CHECKPOINT_FILE_TEMPORARY);
	return io->open(
	    io->context, CHECKPOINT_FILE_TEMPORARY, STORE_OPEN_CREATE);
}

int
checkpoint_writer_new(const struct store_io *io,
    const struct checkpoint_head *head, struct checkpoint_writer **out_writer)
{
	struct checkpoint_writer *writer;
	int file;

	writer = malloc(sizeof(*writer));
	if (writer == NULL)
		return -ENOMEM;
	file = create(io);
	if (file < 0) {
		free(writer);
		return file;
	}
	writer->io = io;
	writer->file = file;
	writer->is_ended = false;
	writer->head = *head;
	writer->offset = 0;
	writer->count = 0;
	writer->sum = 0;
	writer->used = HEAD_BYTES;
	write_head(head, writer->buffer);
	*out_writer = writer;
	return 0;
}

static int
put(struct checkpoint_writer *writer, uint8_t kind, struct slice body)
{
	uint8_t head[RECORD_BYTES] = { 0 };
	uint8_t sum[4];
	uint8_t *at = head;
	uint32_t crc;
	int err;

	if (body.len > RECORD_MAX)
		return -EMSGSIZE;
	at = store_bytes_put_u32(at, (uint32_t)body.len);
	at = store_bytes_put_u32(at, 0);
	at = store_bytes_put_u32(at, (uint32_t)writer->count);
	store_bytes_put_u8(at, kind);
	crc = crc32c(crc32c(0, head, sizeof(head)), body.data, body.len);
	store_bytes_put_u32(head + RECORD_CRC_AT, crc);
	store_bytes_put_u32(sum, crc);
	writer->sum = crc32c(writer->sum, sum, sizeof(sum));
	writer->count++;
	err = append(writer, slice_of(head, sizeof(head)));
	return err != 0 ? err : append(writer, body);
}

int
checkpoint_writer_put(
    struct checkpoint_writer *writer, uint8_t kind, struct slice body)
{
	BUG_ON(kind == CHECKPOINT_FILE_END);

	return put(writer, kind, body);
}

static int
put_end(struct checkpoint_writer *writer)
{
	uint8_t body[END_BODY_BYTES];
	uint8_t *at = body;

	at = store_bytes_put_u64(at, writer->count);
	at = store_bytes_put_u64(at, writer->offset + writer->used);
	store_bytes_put_u32(at, writer->sum);
	return put(writer, CHECKPOINT_FILE_END, slice_of(body, sizeof(body)));
}

int
checkpoint_writer_end(struct checkpoint_writer *writer, uint64_t *out_bytes)
{
	const struct store_io *io = writer->io;
	char name[STORE_NAME_MAX];
	int err;

	err = put_end(writer);
	if (err == 0)
		err = flush(writer);
	if (err == 0)
		err = io->sync(io->context, writer->file);
	if (err != 0)
		return err;
	io->close(io->context, writer->file);
	writer->file = -1;
	checkpoint_file_name(writer->head.generation, name);
	err = io->rename(io->context, CHECKPOINT_FILE_TEMPORARY, name);
	if (err != 0)
		return err;
	writer->is_ended = true;
	err = io->sync_directory(io->context);
	if (err != 0)
		return err;
	*out_bytes = writer->offset;
	return 0;
}

void
checkpoint_writer_free(struct checkpoint_writer *writer)
{
	const struct store_io *io;

	if (writer == NULL)
		return;
	io = writer->io;
	if (writer->file >= 0)
		io->close(io->context, writer->file);
	if (!writer->is_ended)
		(void)io->remove(io->context, CHECKPOINT_FILE_TEMPORARY);
	free(writer);
}

/* ---- reading ------------------------------------------------------------- */

static int
flawed(struct input *in, uint64_t offset, const char *what)
{
	*in->flaw = (struct checkpoint_flaw){
		.offset = offset, .size = in->size, .what = what
	};
	return -EBADMSG;
}

static int
unreadable(struct input *in, uint64_t offset, const char *what, int err)
{
	int result = flawed(in, offset, what);

	in->flaw->err = err;
	return result;
}

/* Make room for `length` bytes from in->begin on. */
static int
make_room(struct input *in, size_t length)
{
	uint8_t *larger;

	if (in->begin != 0) {
		memmove(
		    in->buffer, in->buffer + in->begin, in->end - in->begin);
		in->end -= in->begin;
		in->begin = 0;
	}
	if (length <= in->capacity)
		return 0;
	larger = realloc(in->buffer, length);
	if (larger == NULL)
		return -ENOMEM;
	in->buffer = larger;
	in->capacity = length;
	return 0;
}

/*
 * The next `length` bytes, valid until the next take.  0, -ENOMEM, or
 * -EBADMSG if the file has no more or does not give them.
 */
static int
take(struct input *in, size_t length, const uint8_t **out_bytes)
{
	uint64_t offset = in->at + (in->end - in->begin);
	int64_t got;
	int err;

	if (length > in->size - in->at)
		return flawed(in, in->at, "it ends too early");
	if (in->end - in->begin < length) {
		err = make_room(in, length);
		if (err != 0)
			return err;
		got = in->io->read(in->io->context, in->file,
		    in->buffer + in->end, in->capacity - in->end, offset);
		if (got < 0)
			return unreadable(
			    in, offset, "it cannot be read", (int)got);
		if (in->end + (size_t)got < length)
			return flawed(in, offset, "it cannot be read");
		in->end += (size_t)got;
	}
	*out_bytes = in->buffer + in->begin;
	in->begin += length;
	in->at += length;
	return 0;
}

/* 0, -EBADMSG, -ENOTSUP, -ENOMEM. */
static int
read_head(struct input *in, struct checkpoint_head *out_head)
{
	const uint8_t *bytes;
	struct store_bytes at;
	uint32_t version, crc;
	int err;

	err = take(in, HEAD_BYTES, &bytes);
	if (err != 0)
		return err;
	at = store_bytes_of(slice_of(bytes, HEAD_BYTES));
	if (store_bytes_u64(&at) != MAGIC)
		return flawed(in, 0, "its header is not one");
	version = store_bytes_u32(&at);
	crc = store_bytes_u32(&at);
	if (crc != crc32c_around(bytes, HEAD_BYTES, HEAD_CRC_AT) ||
	    version == 0)
		return flawed(in, 0, "its header is damaged");
	if (version > CHECKPOINT_FILE_VERSION)
		return -ENOTSUP;
	out_head->generation = store_bytes_u64(&at);
	out_head->sequence = store_bytes_u64(&at);
	out_head->tag = store_bytes_u64(&at);
	out_head->next_cursor = store_bytes_u64(&at);
	out_head->wall_ns = store_bytes_u64(&at);
	return 0;
}

static int
read_record(struct input *in, uint64_t number, struct found *out_found)
{
	uint32_t length, crc, head_crc;
	uint64_t offset = in->at;
	struct store_bytes at;
	const uint8_t *bytes;
	uint8_t kind;
	int err;

	err = take(in, RECORD_BYTES, &bytes);
	if (err != 0)
		return err;
	head_crc = crc32c_around(bytes, RECORD_BYTES, RECORD_CRC_AT);
	at = store_bytes_of(slice_of(bytes, RECORD_BYTES));
	length = store_bytes_u32(&at);
	crc = store_bytes_u32(&at);
	if (length > RECORD_MAX || store_bytes_u32(&at) != (uint32_t)number)
		return flawed(in, offset, "a record is damaged");
	kind = store_bytes_u8(&at);
	err = take(in, length, &bytes);
	in->flaw->offset = offset;
	if (err != 0)
		return err;
	if (crc32c(head_crc, bytes, length) != crc)
		return flawed(in, offset, "a record is damaged");
	*out_found = (struct found){
		.kind = kind, .crc = crc, .body = slice_of(bytes, length)
	};
	return 0;
}

/* Is this the end of just what was read? */
static int
check_end(struct input *in, const struct found *found, uint64_t count,
    uint64_t offset, uint32_t sum)
{
	struct store_bytes at = store_bytes_of(found->body);
	bool is_right;

	is_right = store_bytes_u64(&at) == count;
	is_right = store_bytes_u64(&at) == offset && is_right;
	is_right = store_bytes_u32(&at) == sum && is_right;
	if (!is_right || !store_bytes_ended(&at))
		return flawed(in, offset, "its end does not match");
	if (in->at != in->size)
		return flawed(in, in->at, "something is behind its end");
	return 0;
}

static int
read_records(struct input *in)
{
	struct found found;
	uint64_t offset;
	uint32_t sum = 0;
	uint8_t crc[4];
	int err;

	for (uint64_t count = 0;; count++) {
		offset = in->at;
		err = read_record(in, count, &found);
		if (err != 0)
			return err;
		if (found.kind == CHECKPOINT_FILE_END)
			return check_end(in, &found, count, offset, sum);
		store_bytes_put_u32(crc, found.crc);
		sum = crc32c(sum, crc, sizeof(crc));
		if (in->each->record != NULL)
			err = in->each->record(
			    in->each->context, found.kind, found.body);
		if (err == -EBADMSG)
			return flawed(in, offset, "a record makes no sense");
		if (err != 0)
			return err;
		if (in->each->progress != NULL)
			in->each->progress(in->each->context, in->at - offset);
	}
}

static int
read_all(struct input *in, struct checkpoint_head *out_head)
{
	int64_t size;
	int err;

	size = in->io->size(in->io->context, in->file);
	if (size < 0)
		return unreadable(in, 0, "it cannot be read", (int)size);
	in->size = (uint64_t)size;
	in->capacity = BLOCK_BYTES;
	in->buffer = malloc(in->capacity);
	if (in->buffer == NULL)
		return -ENOMEM;
	err = read_head(in, out_head);
	return err != 0 ? err : read_records(in);
}

int
checkpoint_file_read(const struct store_io *io, const char *name,
    const struct checkpoint_each *each, struct checkpoint_head *out_head,
    uint64_t *out_bytes, struct checkpoint_flaw *out_flaw)
{
	struct checkpoint_flaw flaw = { 0 };
	struct input in = { .io = io, .each = each, .flaw = &flaw };
	struct checkpoint_head head = { 0 };
	int err;

	in.file = io->open(io->context, name, STORE_OPEN_READ);
	if (in.file == -ENOMEM)
		return -ENOMEM;
	if (in.file < 0)
		err = unreadable(&in, 0, "it cannot be opened", in.file);
	else
		err = read_all(&in, &head);
	if (in.file >= 0)
		io->close(io->context, in.file);
	free(in.buffer);
	if (err == -EBADMSG)
		*out_flaw = flaw;
	if (err != 0)
		return err;
	*out_head = head;
	*out_bytes = in.size;
	return 0;
}
