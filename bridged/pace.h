/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pace - the rate of a bridge: messages and bytes a second, or no limit.
 *
 *	if (!pace_take(&pace, bytes, now_ns))
 *		wait until pace.until_ns
 *	if (it was not sent after all)
 *		pace_give(&pace, bytes);
 *
 * Time is passed in.  One thread.
 */

#ifndef WEIR_BRIDGED_PACE_H
#define WEIR_BRIDGED_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/token_bucket.h"
#include "common/conf/conf.h"

/* Embed it by value, zeroed. */
struct pace {
	struct token_bucket messages;
	struct token_bucket bytes;
	bool limits_messages;
	bool limits_bytes;
	uint32_t bytes_burst; /* a larger message counts as so many */
	uint64_t until_ns;    /* nothing goes before; 0: something may */
};

/* These limits from now on; what was used stays used. */
void pace_change(
    struct pace *pace, const struct conf_rate *rate, uint64_t now_ns);

/* Take what one message of `bytes` costs; false: not before until_ns. */
bool pace_take(struct pace *pace, size_t bytes, uint64_t now_ns);

/* Put that back. */
void pace_give(struct pace *pace, size_t bytes);

#endif
