/* SPDX-License-Identifier: Apache-2.0 */

/*
 * manage_file - a small file of state_dir is replaced or removed, for good.
 *
 * A disk takes its time to do that, and the links thread waits for none: a
 * thread of its own does it (small_file.h); then `done` is called, by mail.
 * One at a time.
 *
 * Links thread.
 */

#ifndef WEIR_BROKER_MANAGE_FILE_H
#define WEIR_BROKER_MANAGE_FILE_H

#include <stddef.h>
#include <sys/types.h>

struct links;

/* 0 or -errno. */
typedef void (*manage_file_done)(void *context, int err);

/*
 * Write `text` (copied) to `path`, with that mode; NULL: remove it.  Its folder
 * is made (0750) if need be.
 * Returns 0, then `done` comes; -EBUSY: another one is under way; -ENOMEM.
 */
int manage_file_write(struct links *links, const char *path, const char *text,
    mode_t mode, manage_file_done done, void *context);

/* At the end: wait until what is under way is; its mail is then there. */
void manage_file_finish(struct links *links);

#endif
