/* SPDX-License-Identifier: Apache-2.0 */

/*
 * uri - what a request target says, percent-encoding undone.
 *
 *	uri_segment(pattern, path, "clientid", &segment)
 *	uri_decode(segment, false, out, sizeof(out), &length)
 *
 *	while (uri_query_next(&query, &name, &value))
 *		...
 *
 * A pattern is a path some of whose segments are names in braces, as OpenAPI
 * has them: "/api/v4/clients/{clientid}".  Each stands for one segment that
 * is not empty; a slash inside a value is written %2F.
 *
 * Pure functions; any thread.
 */

#ifndef WEIR_HTTPD_URI_H
#define WEIR_HTTPD_URI_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

/* Does the path fit?  One slash at its end more does no harm. */
bool uri_matches(const char *pattern, const char *path);

/*
 * The segment that stands where the pattern has {name}, still encoded.
 * False: there is none, or the path does not fit.
 */
bool uri_segment(const char *pattern, const char *path, const char *name,
    struct slice *out_segment);

/*
 * Undo percent-encoding into out[size], with a NUL behind it that is not
 * counted; in a query '+' is a blank.  Returns 0; -EBADMSG when a '%' is not
 * followed by two hexadecimal digits, or when the text then is not UTF-8 or
 * holds U+0000; -EMSGSIZE when it does not fit.
 */
int uri_decode(struct slice text, bool is_query, char *out, size_t size,
    size_t *out_length);

/*
 * Take the next NAME=VALUE off a query, still encoded; VALUE is empty where
 * there is no '='.  False at its end.
 */
bool uri_query_next(
    struct slice *query, struct slice *out_name, struct slice *out_value);

#endif
