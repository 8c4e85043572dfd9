/* SPDX-License-Identifier: Apache-2.0 */

/*
 * response - the text of an HTTP/1.1 response.  Pure; any thread.
 */

#ifndef WEIR_HTTPD_RESPONSE_H
#define WEIR_HTTPD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

/* A head with any of our own header lines fits. */
#define RESPONSE_HEAD_MAX 1024

/* "Sun, 06 Nov 1994 08:49:37 GMT" with its NUL. */
#define RESPONSE_DATE_SIZE 32

#define RESPONSE_JSON "application/json"
#define RESPONSE_TEXT "text/plain; charset=utf-8"

struct response {
	unsigned status;
	const char *content_type; /* NULL: RESPONSE_JSON */
	struct slice body;
	uint32_t retry_after_s; /* 0: no Retry-After line */
	const char *extra;      /* more header lines, each with CRLF; or NULL */
};

/* "Too Many Requests". */
const char *response_phrase(unsigned status);

/*
 * Write the status line and the header lines with the empty one at the end.
 * `close` says that no other response follows on this connection.
 * Returns the bytes written; BUG if `size` is below RESPONSE_HEAD_MAX.
 */
size_t response_head(const struct response *response, bool close,
    const char *date, char *out, size_t size);

/* The Date line's value of a wall clock's second. */
void response_date(uint64_t wall_s, char date[RESPONSE_DATE_SIZE]);

/*
 * {"code":N,"message":"..."} with the message escaped, cut to fit.
 * Returns the bytes written, without a NUL.
 */
size_t response_error_body(
    unsigned code, const char *message, char *out, size_t size);

/*
 * Append `text` as the inside of a JSON string: quotes, backslashes, control
 * bytes and what is not UTF-8 are escaped or replaced; what does not fit is
 * left out whole.  Returns the new length.
 */
size_t response_escape(
    struct slice text, char *out, size_t length, size_t size);

#endif
