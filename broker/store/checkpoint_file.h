/* SPDX-License-Identifier: Apache-2.0 */

/*
 * checkpoint_file - one checkpoint on the disk.
 *
 *	"%016llx.checkpoint", named by its generation
 *	+-----------------+ 0
 *	| header          | 64 bytes, under a CRC
 *	+-----------------+
 *	| record ...      | state (store_record.h) and cursors, as they come
 *	+-----------------+
 *	| END record      | how many, and a CRC over the records' CRCs
 *	+-----------------+ the end of the file
 *
 * Header:
 *
 *	 0 magic u64          32 tag u64
 *	 8 version u32        40 next_cursor u64
 *	12 crc32c u32         48 wall_ns u64
 *	16 generation u64     56 zeros
 *	24 sequence u64
 *
 * A header keeps its size, and what is at 0, 8 and 12, in all versions.
 *
 * Record: a header of 16 bytes {length u32, crc32c u32, number u32, kind u8,
 * three zeros}, then the body; the CRC is over both, with 0 for itself.
 * There is no byte that no CRC covers.  All numbers are little-endian.
 *
 * It is written under a temporary name, synced, and renamed: a file with the
 * name of a checkpoint was complete once.  The keeper's thread, and whoever
 * opens the store.
 */

#ifndef WEIR_BROKER_STORE_CHECKPOINT_FILE_H
#define WEIR_BROKER_STORE_CHECKPOINT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/store/store.h"
#include "broker/store/store_format.h"
#include "broker/store/store_io.h"

#define CHECKPOINT_FILE_VERSION 1u
#define CHECKPOINT_FILE_TEMPORARY "checkpoint.tmp"

/* A record of the file's own, beside those of enum store_kind. */
#define CHECKPOINT_FILE_END 1u

struct checkpoint_head {
	uint64_t generation; /* grows by 1 */
	uint64_t sequence;   /* that it covers */
	uint64_t tag;        /* of the store */
	uint64_t next_cursor;
	uint64_t wall_ns;
};

/* To `out_name`, which has STORE_NAME_MAX bytes. */
void checkpoint_file_name(uint64_t generation, char *out_name);
bool checkpoint_file_name_parse(const char *name, uint64_t *out_generation);

/* ---- writing ------------------------------------------------------------- */

struct checkpoint_writer;

/* What is left of one that was not ended is overwritten.  0 or -errno. */
int checkpoint_writer_new(const struct store_io *io,
    const struct checkpoint_head *head, struct checkpoint_writer **out_writer);

/* 0 or -errno; after that only free. */
int checkpoint_writer_put(
    struct checkpoint_writer *writer, uint8_t kind, struct slice body);

/* Make it durable under its name.  0 with its size, or -errno. */
int checkpoint_writer_end(
    struct checkpoint_writer *writer, uint64_t *out_bytes);

/* Removes the file if it was not ended.  Accepts NULL. */
void checkpoint_writer_free(struct checkpoint_writer *writer);

/* ---- reading ------------------------------------------------------------- */

/* What is wrong with a file. */
struct checkpoint_flaw {
	uint64_t offset;
	uint64_t size; /* of the file, as far as it is known */
	const char *what;
	int err; /* the disk did not give it: it may the next time; or 0 */
};

struct checkpoint_each {
	void *context;

	/*
	 * A result other than 0 ends it; -EBADMSG: this one makes no sense.
	 * May be NULL: only check.
	 */
	int (*record)(void *context, uint8_t kind, struct slice body);
	void (*progress)(void *context, uint64_t bytes); /* read since */
};

/*
 * Give each record but the last, and check everything.  Who must not act on a
 * damaged file checks it first with `record` NULL.
 *
 * 0 with its head and size; -EBADMSG with *out_flaw, also if the disk cannot
 * read it; -ENOTSUP: intact, of a newer version; -ENOMEM; what `record` said.
 */
int checkpoint_file_read(const struct store_io *io, const char *name,
    const struct checkpoint_each *each, struct checkpoint_head *out_head,
    uint64_t *out_bytes, struct checkpoint_flaw *out_flaw);

#endif
