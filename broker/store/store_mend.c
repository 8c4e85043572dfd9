/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Damage is kept aside before anything is changed: the whole file as it was
 * found, as "NAME.damaged-N".  Then the hole becomes a record that says
 * nothing, so that the next start need not tell of it again.  Where the copy
 * cannot be had, the file stays as it is.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/crc32c.h"
#include "broker/store/store_private.h"

#define COPY_BYTES (UINT64_C(1) << 20)

/* Copies of one file, at most: a disk that flips bits must not be filled. */
#define COPIES 8u

/* Bytes that the file has there, or -errno; -ENODATA: it cannot be read. */
static int64_t
copy_block(const struct store_io *io, int from, int to, void *block,
    uint64_t offset, uint64_t bytes)
{
	int64_t n;
	int err;

	n = io->read(io->context, from, block, bytes, offset);
	if (n <= 0)
		return n == -EIO ? -ENODATA : n;
	err = io->write(io->context, to, block, (size_t)n, offset);
	return err != 0 ? err : n;
}

/* What cannot be read is left as it is. */
static int64_t
copy_pages(const struct store_io *io, int from, int to, void *block,
    uint64_t offset, uint64_t bytes)
{
	uint64_t done = 0, part;
	int64_t n;

	while (done < bytes) {
		part = STORE_PAGE - (offset + done) % STORE_PAGE;
		if (part > bytes - done)
			part = bytes - done;
		n = copy_block(io, from, to, block, offset + done, part);
		if (n == 0)
			break;
		if (n < 0 && n != -ENODATA)
			return n;
		done += part;
	}
	return (int64_t)done;
}

/* From a file into another, or the same, at the same place; and sync. */
static int
copy_bytes(const struct store_io *io, int from, int to, uint64_t offset,
    uint64_t bytes)
{
	void *block = malloc(COPY_BYTES);
	uint64_t part;
	int64_t n = 1;

	if (block == NULL)
		return -ENOMEM;
	while (bytes > 0 && n > 0) {
		part = bytes < COPY_BYTES ? bytes : COPY_BYTES;
		n = copy_block(io, from, to, block, offset, part);
		if (n == -ENODATA)
			n = copy_pages(io, from, to, block, offset, part);
		if (n > 0) {
			offset += (uint64_t)n;
			bytes -= (uint64_t)n;
		}
	}
	free(block);
	return n < 0 ? (int)n : io->sync(io->context, to);
}

/* A new file whose name says what it is a copy of; or -errno. */
static int
create_copy(const struct store_io *io, const char *name, char *out_name)
{
	int file = -EEXIST;

	for (unsigned n = 1; n <= COPIES && file == -EEXIST; n++) {
		snprintf(out_name, STORE_NAME_MAX, "%.37s.damaged-%u", name, n);
		file = io->open(io->context, out_name, STORE_OPEN_CREATE);
	}
	return file;
}

bool
store_keep_aside(
    struct store *store, const char *name, uint64_t size, char *out_name)
{
	const struct store_io *io = store->io;
	int from, to, err;

	if (store->spec.is_read_only ||
	    io->free_bytes(io->context) < size + STORE_FREE_ALWAYS)
		return false;
	from = io->open(io->context, name, STORE_OPEN_READ);
	if (from < 0)
		return false;
	to = create_copy(io, name, out_name);
	err = to < 0 ? to : copy_bytes(io, from, to, 0, size);
	io->close(io->context, from);
	if (to >= 0)
		io->close(io->context, to);
	if (err == 0)
		err = io->sync_directory(io->context);
	if (err != 0 && to >= 0)
		io->remove(io->context, out_name);
	return err == 0;
}

int
store_write_again(
    struct store *store, const char *name, uint64_t offset, uint64_t bytes)
{
	const struct store_io *io = store->io;
	int err, file;

	file = io->open(io->context, name, STORE_OPEN_WRITE);
	if (file < 0)
		return file;
	err = copy_bytes(io, file, file, offset, bytes);
	io->close(io->context, file);
	return err;
}

/* Zeros into the file, and the CRC of them behind `crc`. */
static int
write_zeros(const struct store_io *io, int file, uint64_t offset,
    uint64_t bytes, uint32_t *inout_crc)
{
	void *zeros = calloc(1, COPY_BYTES);
	uint64_t part;
	int err = 0;

	if (zeros == NULL)
		return -ENOMEM;
	for (; bytes > 0 && err == 0; offset += part, bytes -= part) {
		part = bytes < COPY_BYTES ? bytes : COPY_BYTES;
		*inout_crc = crc32c(*inout_crc, zeros, part);
		err = io->write(io->context, file, zeros, part, offset);
	}
	free(zeros);
	return err;
}

static int
fill(struct store *store, int file, uint64_t offset, uint64_t bytes,
    uint64_t sequence)
{
	struct store_record_header header = {
		.length = htole32((uint32_t)(bytes - sizeof(header))),
		.sequence = htole64(sequence),
		.tag = htole64(store->tag),
		.kind = STORE_FILL,
	};
	const struct store_io *io = store->io;
	uint32_t crc;
	int err;

	crc = crc32c(0, &header, sizeof(header));
	err = write_zeros(
	    io, file, offset + sizeof(header), bytes - sizeof(header), &crc);
	if (err != 0)
		return err;
	header.crc = htole32(crc);
	return io->write(io->context, file, &header, sizeof(header), offset);
}

int
store_fill_gap(struct store *store, const char *name, uint64_t offset,
    uint64_t bytes, uint64_t sequence)
{
	const struct store_io *io = store->io;
	int file, err;

	if (bytes < sizeof(struct store_record_header) ||
	    bytes % STORE_ALIGN != 0 || bytes > UINT32_MAX)
		return -EINVAL;
	file = io->open(io->context, name, STORE_OPEN_WRITE);
	if (file < 0)
		return file;
	err = fill(store, file, offset, bytes, sequence);
	if (err == 0)
		err = io->sync(io->context, file);
	io->close(io->context, file);
	return err;
}

int
store_write_header(struct store *store, const char *name,
    const struct store_segment_header *header)
{
	const struct store_io *io = store->io;
	struct store_segment_header sealed = *header;
	int file, err;

	segment_header_seal(&sealed);
	file = io->open(io->context, name, STORE_OPEN_WRITE);
	if (file < 0)
		return file;
	err = io->write(io->context, file, &sealed, sizeof(sealed), 0);
	if (err == 0)
		err = io->sync(io->context, file);
	io->close(io->context, file);
	return err;
}
