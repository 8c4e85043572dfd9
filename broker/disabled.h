/* SPDX-License-Identifier: Apache-2.0 */

/*
 * disabled - the bridges that are disabled by order, over restarts.
 *
 * state_dir/disabled-bridges has their names, one a line; what begins with '#'
 * is a comment.  Without the file there are none.  It is written by
 * manage_file.h, whole.
 */

#ifndef WEIR_BROKER_DISABLED_H
#define WEIR_BROKER_DISABLED_H

#include <stdbool.h>

#define DISABLED_FILE "disabled-bridges"

/*
 * The file's text, to be freed; NULL if there is none, or it cannot be read
 * (which is logged: then all are enabled).
 */
char *disabled_read(const char *state_dir);

/* Does it name this one?  `text` may be NULL. */
bool disabled_has(const char *text, const char *name);

#endif
