/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/crc32c.h"
#include "broker/store/store_record.h"

void
segment_name(uint64_t first_sequence, uint64_t merged_last, char *out_name)
{
	if (merged_last != 0) {
		snprintf(out_name, STORE_NAME_MAX,
		    "%016" PRIx64 "-%016" PRIx64 ".seg", first_sequence,
		    merged_last);
		return;
	}
	snprintf(
	    out_name, STORE_NAME_MAX, "%016" PRIx64 ".seg", first_sequence);
}

/* 16 digits; false if there are not just those. */
static bool
parse_number(const char *digits, uint64_t *out_number)
{
	if (strspn(digits, "0123456789abcdef") != 16)
		return false;
	*out_number = strtoull(digits, NULL, 16);
	return true;
}

bool
segment_name_parse(
    const char *name, uint64_t *out_first_sequence, uint64_t *out_merged_last)
{
	uint64_t first, last = 0;
	const char *rest;

	if (!parse_number(name, &first) || first == 0)
		return false;
	rest = name + 16;
	if (*rest == '-') {
		if (!parse_number(rest + 1, &last) || last < first)
			return false;
		rest += 17;
	}
	if (strcmp(rest, ".seg") != 0)
		return false;
	*out_first_sequence = first;
	*out_merged_last = last;
	return true;
}

static uint32_t
page_crc(const struct store_segment_header *header)
{
	return crc32c_around(header, sizeof(*header),
	    offsetof(struct store_segment_header, crc));
}

/* Between memory and disk, in either direction. */
static void
swap_header(struct store_segment_header *header)
{
	header->magic = htole64(header->magic);
	header->version = htole32(header->version);
	header->crc = htole32(header->crc);
	header->first_sequence = htole64(header->first_sequence);
	header->tag = htole64(header->tag);
	header->segment_bytes = htole64(header->segment_bytes);
	header->before_first = htole64(header->before_first);
	header->before_end = htole64(header->before_end);
	header->before_last = htole64(header->before_last);
	header->before_durable = htole64(header->before_durable);
	header->merged_last = htole64(header->merged_last);
	header->created_ns = htole64(header->created_ns);
}

void
segment_header_seal(struct store_segment_header *header)
{
	header->magic = STORE_MAGIC;
	header->version = STORE_VERSION;
	swap_header(header);
	header->crc = htole32(page_crc(header));
}

int
segment_header_read(const struct store_io *io, int file,
    struct store_segment_header *out_header)
{
	struct store_segment_header header;
	uint32_t crc;
	int64_t n;

	n = io->read(io->context, file, &header, sizeof(header), 0);
	if (n < 0 && n != -EIO)
		return (int)n;
	if (n != (int64_t)sizeof(header))
		return -EBADMSG;
	crc = page_crc(&header);
	swap_header(&header);
	if (header.magic != STORE_MAGIC || header.crc != crc)
		return -EBADMSG;
	if (header.version != STORE_VERSION)
		return -ENOTSUP;
	*out_header = header;
	return 0;
}

uint64_t
segment_live_bytes(const struct segment *segment)
{
	/* Each delivery that is left may be one of another message. */
	if (segment->live >= segment->messages)
		return segment->live == 0 ? 0 : segment->message_bytes;
	return segment->message_bytes / segment->messages * segment->live;
}

/* ---- records ------------------------------------------------------------- */

void
segment_record_seal(void *at, const struct segment_record *record)
{
	struct store_record_header header = {
		.length = htole32((uint32_t)record->body.len),
		.sequence = htole64(record->sequence),
		.tag = htole64(record->tag),
		.kind = record->kind,
		.flags = record->flags,
	};
	uint64_t bytes = store_record_bytes(record->body.len);
	uint8_t *out = at;

	memset(out + sizeof(header) + record->body.len, 0,
	    bytes - sizeof(header) - record->body.len);
	memcpy(out, &header, sizeof(header));
	header.crc = htole32(crc32c(0, out, bytes));
	memcpy(out, &header, sizeof(header));
}

int
segment_view_init(
    struct segment_view *view, const struct store_io *io, size_t block_bytes)
{
	*view = (struct segment_view){ .io = io, .file = -1 };
	view->buffer = malloc(block_bytes);
	if (view->buffer == NULL)
		return -ENOMEM;
	view->capacity = block_bytes;
	return 0;
}

void
segment_view_fini(struct segment_view *view)
{
	free(view->buffer);
	view->buffer = NULL;
}

void
segment_view_set(
    struct segment_view *view, int file, uint64_t tag, uint64_t end)
{
	view->file = file;
	view->tag = tag;
	view->end = end;
	view->base = 0;
	view->filled = 0;
}

/*
 * The disk refuses to read: page by page then, and what it does not give is
 * filled with what no record begins with.  -EIO if it gives nothing at all:
 * that is no damage, that is a disk that is not there.
 */
static int64_t
read_pages(struct segment_view *view, uint64_t offset, uint64_t length)
{
	uint64_t done = 0, part;
	bool has_any = false;
	int64_t n;

	while (done < length) {
		part = STORE_PAGE - (offset + done) % STORE_PAGE;
		if (part > length - done)
			part = length - done;
		n = view->io->read(view->io->context, view->file,
		    view->buffer + done, part, offset + done);
		if (n < 0 && n != -EIO)
			return n;
		has_any = has_any || n >= 0;
		if (n == -EIO) {
			memset(view->buffer + done, 0xff, part);
			n = (int64_t)part;
		}
		done += (uint64_t)n;
		if ((uint64_t)n < part)
			break;
	}
	return has_any ? (int64_t)done : -EIO;
}

/* Have [offset, offset + length) in the buffer; 1: the file has less. */
static int
load(struct segment_view *view, uint64_t offset, uint64_t length)
{
	uint64_t want;
	uint8_t *grown;
	int64_t n;

	if (offset >= view->base &&
	    offset + length <= view->base + view->filled)
		return 0;
	if (offset > view->end || length > view->end - offset)
		return 1;
	if (length > view->capacity) {
		grown = realloc(view->buffer, length);
		if (grown == NULL)
			return -ENOMEM;
		view->buffer = grown;
		view->capacity = length;
	}

	want = view->end - offset;
	if (want > view->capacity)
		want = view->capacity;
	view->filled = 0;
	n = view->io->read(
	    view->io->context, view->file, view->buffer, (size_t)want, offset);
	if (n == -EIO)
		n = read_pages(view, offset, want);
	if (n < 0)
		return (int)n;
	view->base = offset;
	view->filled = (size_t)n;
	return length <= view->filled ? 0 : 1;
}

static bool
header_is_plausible(
    const struct segment_view *view, const struct store_record_header *header)
{
	return header->kind != 0 && header->zero16 == 0 &&
	    header->zero32 == 0 && header->sequence != 0 &&
	    (view->tag == 0 || le64toh(header->tag) == view->tag);
}

static uint32_t
record_crc(const uint8_t *at, uint64_t bytes)
{
	return crc32c_around(
	    at, bytes, offsetof(struct store_record_header, crc));
}

static bool
is_zero(const void *bytes, size_t length)
{
	static const uint8_t zeros[STORE_TERMINATOR];

	return memcmp(bytes, zeros, length) == 0;
}

int
segment_view_at(struct segment_view *view, uint64_t offset,
    struct segment_record *out_record)
{
	struct store_record_header header;
	uint64_t bytes;
	uint8_t *at;
	int err;

	err = load(view, offset, sizeof(header));
	if (err != 0)
		return err < 0 ? err : SEGMENT_BROKEN;
	memcpy(&header, view->buffer + (offset - view->base), sizeof(header));
	if (is_zero(&header, sizeof(header)))
		return SEGMENT_ZEROS;
	if (!header_is_plausible(view, &header))
		return SEGMENT_BROKEN;

	bytes = store_record_bytes(le32toh(header.length));
	err = load(view, offset, bytes);
	if (err != 0)
		return err < 0 ? err : SEGMENT_BROKEN;
	at = view->buffer + (offset - view->base);
	if (le32toh(header.crc) != record_crc(at, bytes))
		return SEGMENT_BROKEN;

	*out_record = (struct segment_record){
		.offset = offset,
		.bytes = bytes,
		.sequence = le64toh(header.sequence),
		.tag = le64toh(header.tag),
		.kind = header.kind,
		.flags = header.flags,
		.body = slice_of(at + sizeof(header), le32toh(header.length)),
	};
	return SEGMENT_RECORD;
}

int
segment_view_next(struct segment_view *view, uint64_t offset, uint64_t after,
    struct segment_record *out_record)
{
	int found;

	for (; offset + sizeof(struct store_record_header) <= view->end;
	     offset += STORE_ALIGN) {
		found = segment_view_at(view, offset, out_record);
		if (found < 0)
			return found;
		if (found == SEGMENT_RECORD && out_record->sequence > after)
			return SEGMENT_RECORD;
	}
	return SEGMENT_ZEROS;
}

int
segment_view_next_record(struct segment_view *view, uint64_t offset,
    uint64_t after, struct segment_record *out_record, uint64_t *inout_lost)
{
	uint64_t next;
	int found;

	while (offset < view->end) {
		found = segment_view_at(view, offset, out_record);
		if (found == SEGMENT_ZEROS || found == SEGMENT_BROKEN) {
			found =
			    segment_view_next(view, offset, after, out_record);
			next = found == SEGMENT_RECORD ? out_record->offset
						       : view->end;
			*inout_lost += next - offset;
		}
		if (found != SEGMENT_RECORD)
			return found < 0 ? found : 0;
		if (out_record->kind != STORE_BATCH &&
		    out_record->kind != STORE_FILL &&
		    out_record->sequence > after)
			return 1;
		offset = out_record->offset + out_record->bytes;
	}
	return 0;
}
