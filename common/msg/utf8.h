/* SPDX-License-Identifier: Apache-2.0 */

/*
 * utf8 - is this text that MQTT allows?
 *
 * Pure functions; any thread may call them.
 */

#ifndef WEIR_COMMON_MSG_UTF8_H
#define WEIR_COMMON_MSG_UTF8_H

#include <stdbool.h>

#include "common/base/slice.h"

/*
 * True for well-formed UTF-8 of Unicode code points: no overlong forms, no
 * surrogates [MQTT-1.5.4-1], no U+0000 [MQTT-1.5.4-2], nothing above
 * U+10FFFF.  The empty text is valid.  ASCII is checked 8 bytes at a time.
 */
bool utf8_is_valid(struct slice text);

#endif
