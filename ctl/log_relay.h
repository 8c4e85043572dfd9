/* SPDX-License-Identifier: Apache-2.0 */

/*
 * log_relay - read what a child writes on stderr and log it as our own line.
 *
 * A child's line `<6>event=ready a=1` becomes `event=ready process=NAME a=1`
 * at the same level; anything else (an assertion, a sanitizer's report) is
 * passed on as event=output.  Reading never waits, and writing goes through
 * log.h, which never waits either: a stuck terminal holds up nobody.
 */

#ifndef WEIR_CTL_LOG_RELAY_H
#define WEIR_CTL_LOG_RELAY_H

#include <stddef.h>

#include "common/base/log.h"

struct log_relay {
	const char *name; /* of the child */
	size_t used;
	char line[2 * LOG_LINE_MAX];
};

/*
 * Read `fd` (non-blocking) until it is empty and pass whole lines on.
 * Returns 1 while the child may write more, 0 at the end of the stream.
 */
int log_relay_read(struct log_relay *relay, int fd);

#endif
