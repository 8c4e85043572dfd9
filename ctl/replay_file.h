/* SPDX-License-Identifier: Apache-2.0 */

/*
 * replay_file - messages as `weirctl dump --json --payload` printed them.
 *
 * One JSON object a line.  Lines that hold no message (receipts, credentials,
 * the diagnosis at the end of a lane) are passed over and counted; a line that
 * should be a message and is not is a mistake, told with its number.  All of
 * it is read before anything is done with it.
 */

#ifndef WEIR_CTL_REPLAY_FILE_H
#define WEIR_CTL_REPLAY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/slice.h"

struct replay_message {
	uint64_t line;
	char id[48]; /* as in the dump; "" when it has none */
	struct slice topic;
	struct slice properties; /* wire form, sound */
	struct slice payload;
	uint32_t expiry_s;
	bool has_expiry;
	bool retain;
	bool was_released;
	char *bytes; /* what the slices lie in */
};

struct replay_file {
	struct replay_message *message;
	size_t count;
	uint64_t passed_over; /* lines without a message */
	uint64_t released;    /* of the messages: their consumer had them */
	uint64_t bytes;       /* of all payloads */
};

/*
 * Read all of `in`; each mistake is written to `errors` as
 * `NAME:LINE: what is wrong`.
 * Returns 0, -EINVAL when there was a mistake, or -errno.
 */
int replay_file_read(
    FILE *in, const char *name, FILE *errors, struct replay_file *out_file);
void replay_file_free(struct replay_file *file);

#endif
