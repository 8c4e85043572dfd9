/* SPDX-License-Identifier: Apache-2.0 */

/*
 * memfd - sealed shared memory that cannot change size under a reader.
 *
 * Every piece of memory that two Weir processes share is a memfd with one
 * writer.  It is created once at its full (sparse) length, given mode 0600
 * and the seals SHRINK, GROW and SEAL, so a peer can never truncate it and
 * turn a read into SIGBUS.  The writer gets the descriptor itself, readers a
 * read-only reopen of it.
 */

#ifndef WEIR_COMMON_SHM_MEMFD_H
#define WEIR_COMMON_SHM_MEMFD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Create a sealed memfd of `length` bytes, all holes.  `name` is shown as
 * /memfd:NAME in /proc/PID/fd and must be shorter than 200 bytes.
 * Returns the descriptor (close-on-exec) or -errno.
 */
int memfd_create_sealed(const char *name, size_t length);

/*
 * Open the memfd behind `fd` again, read-only, through /proc/self/fd.
 * Returns the new descriptor (close-on-exec) or -errno.
 */
int memfd_reopen_read_only(int fd);

/*
 * The other way: open it again read-write, which takes its owner (or root).
 * Returns the new descriptor (close-on-exec) or -errno (-EACCES).
 */
int memfd_reopen_writable(int fd);

/*
 * Check what a peer handed over before it is mapped: a regular file on a
 * memory file system, exactly `length` bytes, sealed against resizing.
 * Returns 0, -EBADMSG when it is something else, or -errno.
 */
int memfd_check(int fd, size_t length);

/*
 * Map all `length` bytes, read-only or read-write.
 * Returns 0 and *out_map, or -errno.  Unmap with munmap().
 */
int memfd_map(int fd, size_t length, bool writable, void **out_map);

/*
 * Allocate [offset, offset + length) so that writing it later cannot fail.
 * Returns 0 or -errno (-ENOSPC, -ENOMEM, -EINTR is retried).
 */
int memfd_allocate(int fd, size_t offset, size_t length);

/* Give the memory of [offset, offset + length) back; it reads as zero. */
int memfd_punch(int fd, size_t offset, size_t length);

#endif
