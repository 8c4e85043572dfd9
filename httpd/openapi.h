/* SPDX-License-Identifier: Apache-2.0 */

/*
 * openapi - GET /api/openapi.json: the routes in OpenAPI 3.0, made from the
 * table of endpoints and from the schemas in openapi_schemas.c.
 *
 * What cannot be said in a list of routes stands with each of them: who may
 * use it, and which statuses it answers.  One thread.
 */

#ifndef WEIR_HTTPD_OPENAPI_H
#define WEIR_HTTPD_OPENAPI_H

#include <jansson.h>
#include <stddef.h>

#include "common/base/slice.h"

struct httpd;
struct request;

struct openapi_schema {
	const char *name;
	/* "200 202": of successes, if it is an answer. */
	const char *statuses;
	const char *text; /* JSON */
};

/* Row `index`, or NULL behind the last one. */
const struct openapi_schema *openapi_schema_at(size_t index);

/* The row, or NULL. */
const struct openapi_schema *openapi_schema_find(const char *name);

/* The whole document, or NULL without memory. */
json_t *openapi_document(void);

void openapi_run(
    struct httpd *httpd, struct request *request, struct slice body);

#endif
