/* SPDX-License-Identifier: Apache-2.0 */

/*
 * escape - bytes from anybody, for a terminal.
 *
 * What is printable stays as it is; all else, a backslash too, becomes \xNN or
 * \\: no control of a terminal, no invisible character and none that turns the
 * direction of writing gets through.
 */

#ifndef WEIR_CTL_ESCAPE_H
#define WEIR_CTL_ESCAPE_H

#include <stddef.h>

#include "common/base/slice.h"

/* Room for what is written of so many bytes, an ellipsis and the NUL. */
#define ESCAPE_SIZE(bytes) (4 * (bytes) + 4)

/*
 * Write the first `most` bytes, with an ellipsis if there are more; `out` has
 * ESCAPE_SIZE(most) bytes and is returned.
 */
char *escape_bytes(struct slice bytes, size_t most, char *out);

#endif
