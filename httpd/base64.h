/* SPDX-License-Identifier: Apache-2.0 */

/*
 * base64 - RFC 4648, section 4: decoding, strictly.  Pure; any thread.
 */

#ifndef WEIR_HTTPD_BASE64_H
#define WEIR_HTTPD_BASE64_H

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

#endif
