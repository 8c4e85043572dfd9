/* SPDX-License-Identifier: Apache-2.0 */

/*
 * endpoints - the table of methods and paths, and who may use them.
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

struct endpoint {
	const char *path;
	unsigned methods; /* enum request_method, or-ed */
	enum endpoint_access access;
	bool takes_json;
	void (*run)(
	    struct httpd *httpd, struct request *request, struct slice body);
};

/* The row of a path, or NULL. */
const struct endpoint *endpoints_find(const char *path);

/* "GET, HEAD": the value of an Allow line. */
void endpoints_allow(const struct endpoint *endpoint, char *out, size_t size);

#endif
