/* SPDX-License-Identifier: Apache-2.0 */

/*
 * "segments": which segments there were when one was last taken away.
 *
 * Each header names the segment before, so a missing file is noticed, but for
 * one that was taken away because nothing in it was needed.  Therefore the
 * list without it is written first.  What is newer than all in the list is
 * known by the headers.
 *
 * It also says where each ends: else that is said by the header of the next,
 * which may be one that was taken away.  What a failed commit has left behind
 * the end would be found again.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/crc32c.h"
#include "broker/store/store_private.h"

#define MANIFEST_TEMPORARY "segments.tmp"
#define MANIFEST_MAGIC UINT64_C(0x3154534c52495357) /* "WSIRLST1" */

/* On disk, little-endian; then `count` times the entry. */
struct manifest_header {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* of all, with 0 here */
	uint64_t count;
	uint64_t sequence_floor; /* of the store that wrote it */
};

_Static_assert(sizeof(struct manifest_header) == 32, "packed");
_Static_assert(sizeof(struct store_manifest_entry) == 32, "packed");

static uint32_t
crc_of(const uint8_t *bytes, size_t length)
{
	return crc32c_around(
	    bytes, length, offsetof(struct manifest_header, crc));
}

/* As on disk. */
static struct store_manifest_entry
entry_of(const struct segment *segment)
{
	struct store_manifest_entry entry = {
		.first = htole64(segment->first_sequence),
	};

	if (segment->is_active)
		return entry;
	entry.end = htole64(segment->end);
	entry.last = htole64(segment->last_sequence);
	entry.durable = htole64(segment->durable);
	return entry;
}

/* The whole file, on the heap. */
static uint8_t *
encode(struct store *store, const struct segment *without, size_t *out_length)
{
	struct manifest_header header = { .magic = htole64(MANIFEST_MAGIC),
		.version = htole32(STORE_VERSION) };
	struct store_manifest_entry entry;
	uint64_t count = 0;
	uint8_t *bytes;
	size_t length;

	pthread_mutex_lock(&store->lock);
	bytes = malloc(sizeof(header) + store->segment_count * sizeof(entry));
	for (size_t i = 0; i < store->segment_count && bytes != NULL; i++) {
		if (store->segments[i] == without)
			continue;
		entry = entry_of(store->segments[i]);
		memcpy(bytes + sizeof(header) + count++ * sizeof(entry), &entry,
		    sizeof(entry));
	}
	pthread_mutex_unlock(&store->lock);
	if (bytes == NULL)
		return NULL;

	length = sizeof(header) + count * sizeof(entry);
	header.count = htole64(count);
	header.sequence_floor = htole64(store->sequence_floor);
	memcpy(bytes, &header, sizeof(header));
	header.crc = htole32(crc_of(bytes, length));
	memcpy(bytes, &header, sizeof(header));
	*out_length = length;
	return bytes;
}

int
store_manifest_write(struct store *store, const struct segment *without)
{
	const struct store_io *io = store->io;
	uint8_t *bytes;
	size_t length;
	int err, file;

	io->remove(io->context, MANIFEST_TEMPORARY);
	file = io->open(io->context, MANIFEST_TEMPORARY, STORE_OPEN_CREATE);
	if (file < 0)
		return file;
	bytes = encode(store, without, &length);
	err = bytes == NULL ? -ENOMEM
			    : io->write(io->context, file, bytes, length, 0);
	free(bytes);
	if (err == 0)
		err = io->sync(io->context, file);
	io->close(io->context, file);
	if (err == 0)
		err = io->rename(
		    io->context, MANIFEST_TEMPORARY, STORE_MANIFEST_NAME);
	if (err == 0)
		err = io->sync_directory(io->context);
	return err;
}

/* 0, -EBADMSG, -ENOTSUP, -ENOMEM. */
static int
decode(const uint8_t *bytes, size_t length, struct store_manifest *out)
{
	struct store_manifest_entry *entries;
	struct manifest_header header;

	if (length < sizeof(header))
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	if (le64toh(header.magic) != MANIFEST_MAGIC ||
	    le32toh(header.crc) != crc_of(bytes, length))
		return -EBADMSG;
	if (le32toh(header.version) != STORE_VERSION)
		return -ENOTSUP;
	if (le64toh(header.count) !=
	    (length - sizeof(header)) / sizeof(*entries))
		return -EBADMSG;

	entries = malloc(length);
	if (entries == NULL)
		return -ENOMEM;
	out->count = le64toh(header.count);
	memcpy(entries, bytes + sizeof(header), out->count * sizeof(*entries));
	for (size_t i = 0; i < out->count; i++) {
		entries[i].first = le64toh(entries[i].first);
		entries[i].end = le64toh(entries[i].end);
		entries[i].last = le64toh(entries[i].last);
		entries[i].durable = le64toh(entries[i].durable);
	}
	out->entries = entries;
	out->sequence_floor = le64toh(header.sequence_floor);
	return 0;
}

static int
read_file(const struct store_io *io, int file, struct store_manifest *out)
{
	int64_t size = io->size(io->context, file), n;
	uint8_t *bytes;
	int err;

	if (size < 0)
		return (int)size;
	bytes = malloc((size_t)size + 1);
	if (bytes == NULL)
		return -ENOMEM;
	n = io->read(io->context, file, bytes, (size_t)size, 0);
	/* A part of the disk that is bad is damage, as anywhere else. */
	if (n == -EIO)
		n = 0;
	err = n < 0 ? (int)n : decode(bytes, (size_t)n, out);
	free(bytes);
	return err;
}

int
store_manifest_read(struct store *store, struct store_manifest *out_manifest)
{
	const struct store_io *io = store->io;
	int err, file;

	*out_manifest = (struct store_manifest){ 0 };
	file = io->open(io->context, STORE_MANIFEST_NAME, STORE_OPEN_READ);
	if (file < 0)
		return file;
	err = read_file(io, file, out_manifest);
	io->close(io->context, file);
	return err;
}
