/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/endpoints.h"

#include <stdio.h>
#include <string.h>

#include "httpd/api.h"
#include "httpd/api_routes.h"
#include "httpd/connection.h"
#include "httpd/httpd.h"
#include "httpd/metrics.h"
#include "httpd/openapi.h"
#include "httpd/publish.h"
#include "httpd/uri.h"

static const struct {
	enum request_method method;
	const char *name;
} methods[] = {
	{ REQUEST_GET, "GET" },
	{ REQUEST_HEAD, "HEAD" },
	{ REQUEST_POST, "POST" },
	{ REQUEST_PUT, "PUT" },
	{ REQUEST_DELETE, "DELETE" },
};

static void
run_publish(struct httpd *httpd, struct request *request, struct slice body)
{
	publisher_run(httpd->publisher, request, body, PUBLISH_ONE);
}

static void
run_publish_batch(
    struct httpd *httpd, struct request *request, struct slice body)
{
	publisher_run(httpd->publisher, request, body, PUBLISH_BATCH);
}

static void
run_publish_v5(struct httpd *httpd, struct request *request, struct slice body)
{
	publisher_run(httpd->publisher, request, body, PUBLISH_ONE_V5);
}

static void
run_publish_bulk(
    struct httpd *httpd, struct request *request, struct slice body)
{
	publisher_run(httpd->publisher, request, body, PUBLISH_BULK_V5);
}

static void
run_healthz(struct httpd *httpd, struct request *request, struct slice body)
{
	struct response response = { .status = 200,
		.content_type = RESPONSE_TEXT,
		.body = slice_of("ok\n", 3) };
	char reason[192];

	(void)body;
	if (!link_is_up(httpd->link)) {
		response.status = 503;
		response.retry_after_s = 1;
		response.body = slice_of(reason,
		    (size_t)snprintf(reason, sizeof(reason), "%s\n",
			link_reason(httpd->link)));
	}
	request_answer(request, &response);
}

#define ROUTE(method_, path_, access_, right_, body_, reply_, query_, name_,   \
    run_, summary_)                                                            \
	{ REQUEST_##method_, path_, ENDPOINT_##access_, ENDPOINT_##right_,     \
		body_, reply_, query_, #name_, run_, summary_ },

static const struct endpoint endpoints[] = {
#include "httpd/endpoints.def"
};
#undef ROUTE

#define ENDPOINTS (sizeof(endpoints) / sizeof(endpoints[0]))

const struct endpoint *
endpoints_find(
    const char *path, enum request_method method, unsigned *out_methods)
{
	const enum request_method wanted =
	    method == REQUEST_HEAD ? REQUEST_GET : method;
	const char *pattern = NULL;

	*out_methods = 0;
	for (size_t i = 0; i < ENDPOINTS; i++) {
		if (pattern != NULL ? strcmp(endpoints[i].path, pattern) != 0
				    : !uri_matches(endpoints[i].path, path))
			continue;
		pattern = endpoints[i].path;
		*out_methods |= endpoints[i].method;
		if (endpoints[i].method == REQUEST_GET)
			*out_methods |= REQUEST_HEAD;
		if (endpoints[i].method == wanted)
			return &endpoints[i];
	}
	return NULL;
}

const struct endpoint *
endpoints_at(size_t index)
{
	return index < ENDPOINTS ? &endpoints[index] : NULL;
}

const char *
endpoints_method(enum request_method method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i].method == method)
			return methods[i].name;
	return "?";
}

const char *
endpoints_right(enum endpoint_right right)
{
	static const char *const names[] = {
		[ENDPOINT_NONE] = "",
		[ENDPOINT_PUBLISH] = "publish",
		[ENDPOINT_READ] = "read",
		[ENDPOINT_MANAGE] = "manage",
	};

	return names[right];
}

void
endpoints_allow(unsigned allowed, char *out, size_t size)
{
	size_t length = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if ((allowed & methods[i].method) != 0 && length < size)
			length += (size_t)snprintf(out + length, size - length,
			    "%s%s", length == 0 ? "" : ", ", methods[i].name);
}

void
endpoints_gone(struct httpd *httpd, struct request *request)
{
	const struct endpoint *endpoint = request->endpoint;

	if (endpoint != NULL && endpoint->right == ENDPOINT_PUBLISH)
		publisher_gone(httpd->publisher, request);
	else
		api_gone(request);
}
