/* SPDX-License-Identifier: Apache-2.0 */

/*
 * base64 - RFC 4648, section 4; decoding is strict.  Pure; any thread.
 */

#ifndef WEIR_COMMON_BASE_BASE64_H
#define WEIR_COMMON_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

/*
 * Decode all of `text`.  Padding must be there, bits that encode nothing
 * must be zero, and there is no white space.
 * Returns 0, -EINVAL when it is not base64, -ENOSPC when `out` is too small.
 */
int base64_decode(
    struct slice text, uint8_t *out, size_t size, size_t *out_length);

/* Bytes that the text of `length` bytes has, without a NUL. */
#define BASE64_LENGTH(length) (((length) + 2) / 3 * 4)

/*
 * Write BASE64_LENGTH(bytes.len) characters and a NUL to `out`, and return
 * it.
 */
char *base64_encode(struct slice bytes, char *out);

#endif
