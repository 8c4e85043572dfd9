/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_io - the disk and the clocks as the store sees them.
 *
 * The store does nothing to the world but through this table, so that tests
 * can lose, reorder and refuse any write, and run days in a second.  Names
 * are plain file names in the store's one directory.  All functions return a
 * negative errno on failure; none is interrupted (EINTR is dealt with here).
 *
 * Threads: read() and the clocks may be called by several threads at once;
 * the others by one thread at a time for one file.
 */

#ifndef WEIR_BROKER_STORE_STORE_IO_H
#define WEIR_BROKER_STORE_STORE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_open {
	STORE_OPEN_READ,   /* it must exist */
	STORE_OPEN_WRITE,  /* it must exist; read and write */
	STORE_OPEN_CREATE, /* it must not exist; mode 0600 */
};

struct store_io {
	void *context;

	/* A handle, >= 0. */
	int (*open)(void *context, const char *name, enum store_open how);
	void (*close)(void *context, int file);

	/* All of `length` or an error; read: bytes read, short at the end. */
	int64_t (*read)(void *context, int file, void *bytes, size_t length,
	    uint64_t offset);
	int (*write)(void *context, int file, const void *bytes, size_t length,
	    uint64_t offset);

	/* What was written before is on the disk when this returns 0. */
	int (*sync)(void *context, int file);

	/*
	 * Make the file `size` bytes of zeros whose blocks are written, so
	 * that writing into it neither lacks space nor touches metadata.
	 */
	int (*allocate)(void *context, int file, uint64_t size);
	int (*truncate)(void *context, int file, uint64_t size);
	int64_t (*size)(void *context, int file);

	/* Names are durable only after sync_directory(). */
	int (*rename)(void *context, const char *from, const char *to);
	int (*remove)(void *context, const char *name);
	int (*sync_directory)(void *context);

	/* Each name once, in any order; a result other than 0 ends it. */
	int (*list)(
	    void *context, int (*each)(void *arg, const char *name), void *arg);

	/* Bytes that this user may still write; UINT64_MAX: not known. */
	uint64_t (*free_bytes)(void *context);

	uint64_t (*now_ns)(void *context);  /* CLOCK_MONOTONIC */
	uint64_t (*wall_ns)(void *context); /* CLOCK_REALTIME */
};

/*
 * The real one, on a directory, which is made (0700) if it is not there and
 * locked against a second broker.  0; -EBUSY: another process has it; or
 * -errno.  `is_read_only` takes no lock and makes nothing.
 */
int store_io_posix_open(
    const char *directory, bool is_read_only, struct store_io *out_io);
void store_io_posix_close(struct store_io *io);

#endif
