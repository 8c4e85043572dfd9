/* SPDX-License-Identifier: Apache-2.0 */

/*
 * utf8 - well-formed text, as strict as MQTT is: no overlong forms, no
 * surrogates, nothing above U+10FFFF, and no U+0000.
 *
 * Pure functions; any thread may call them.
 */

#ifndef WEIR_COMMON_BASE_UTF8_H
#define WEIR_COMMON_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

/*
 * Length of the character that `text` begins with; 0 if it is not well formed
 * or `text` is empty.
 */
size_t utf8_sequence(struct slice text);

/*
 * Is all of it well formed?  The empty text is.  ASCII is checked 8 bytes at
 * a time.
 */
bool utf8_is_valid(struct slice text);

#endif
