/* SPDX-License-Identifier: Apache-2.0 */

/*
 * small_file - a small file of state_dir is replaced, whole or not at all.
 *
 * What is new is written beside it, to PATH.new, synced, and takes its place:
 * a crash leaves the one or the other.  When these return 0 it is so for good.
 *
 * They wait for the disk: once the broker runs, see manage_file.h.
 */

#ifndef WEIR_BROKER_SMALL_FILE_H
#define WEIR_BROKER_SMALL_FILE_H

#include <sys/types.h>

#include "common/base/slice.h"

/* The folder of `path`, 0750, if it is not there.  0 or -errno, as all. */
int small_file_make_folder(const char *path);

int small_file_replace(const char *path, struct slice bytes, mode_t mode);
int small_file_remove(const char *path);

#endif
