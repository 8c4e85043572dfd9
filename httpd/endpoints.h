/* SPDX-License-Identifier: Apache-2.0 */

/*
 * endpoints - the table of methods and paths (endpoints.def): who may use
 * them, what runs them, and what GET /api/openapi.json and weir-httpd(8) say
 * of them.
 *
 * HEAD is served wherever GET is.  One slash at the end of a path more does
 * no harm.  All is constant; any thread.
 */

#ifndef WEIR_HTTPD_ENDPOINTS_H
#define WEIR_HTTPD_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"
#include "httpd/request.h"

struct httpd;

enum endpoint_access {
	ENDPOINT_OPEN,     /* anybody */
	ENDPOINT_LOOPBACK, /* clients on this host, others with an account */
	ENDPOINT_ACCOUNT   /* an account */
};

/* What the account must be allowed; the broker proves it. */
enum endpoint_right {
	ENDPOINT_NONE,
	ENDPOINT_PUBLISH,
	ENDPOINT_READ,
	ENDPOINT_MANAGE
};

struct endpoint {
	enum request_method method; /* one */
	const char *path;           /* a pattern of uri.h */
	enum endpoint_access access;
	enum endpoint_right right;
	const char *body;  /* schema of the JSON it takes, or "" */
	const char *reply; /* schema of what it answers; "": plain text */
	const char *query; /* names of parameters, blanks between */
	const char *name;  /* operationId: "list_clients" */
	void (*run)(
	    struct httpd *httpd, struct request *request, struct slice body);
	const char *summary;
};

/*
 * The row of a path and method, or NULL; *out_methods are those that the
 * path has, 0 for one that is unknown.
 */
const struct endpoint *endpoints_find(
    const char *path, enum request_method method, unsigned *out_methods);

/* "GET, HEAD": the value of an Allow line. */
void endpoints_allow(unsigned methods, char *out, size_t size);

/* "GET" */
const char *endpoints_method(enum request_method method);

/* "read", or "" for ENDPOINT_NONE. */
const char *endpoints_right(enum endpoint_right right);

/* Row `index`, or NULL behind the last one. */
const struct endpoint *endpoints_at(size_t index);

/* The client of an unanswered request left. */
void endpoints_gone(struct httpd *httpd, struct request *request);

#endif
