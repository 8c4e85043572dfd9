/* SPDX-License-Identifier: Apache-2.0 */

/*
 * convert - another broker's configuration, as a weir.conf.
 *
 * mosquitto.conf, and nanomq.conf in its present form (HOCON) and the former
 * flat one.  What cannot be carried over is never dropped in silence: each is
 * told to `errors` as `FILE:LINE: what it is: why not, what to do`, and once
 * more in a comment on top of what is written.  A key that this version of
 * weir.conf has not is such a thing too.
 *
 * One thread.
 */

#ifndef WEIR_CTL_CONVERT_H
#define WEIR_CTL_CONVERT_H

#include <stdio.h>

enum convert_format {
	CONVERT_GUESS, /* by what is in it */
	CONVERT_MOSQUITTO,
	CONVERT_NANOMQ
};

/* Larger files, and deeper includes, are refused: -EFBIG and -ELOOP. */
#define CONVERT_FILE_MAX (1u << 20)
#define CONVERT_INCLUDES_MAX 16u

/*
 * Read `path` with all that it includes, and write the configuration to `out`.
 * *out_left is how many things were not carried over.
 * Returns 0; -EINVAL after a mistake in the file was told, and -errno when it
 * cannot be read: then nothing was written.
 */
int convert_file(const char *path, enum convert_format format, FILE *out,
    FILE *errors, unsigned *out_left);

#endif
