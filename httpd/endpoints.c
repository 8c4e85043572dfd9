/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/endpoints.h"

#include <stdio.h>
#include <string.h>

#include "httpd/connection.h"
#include "httpd/httpd.h"
#include "httpd/metrics.h"
#include "httpd/publish.h"

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

static const struct endpoint endpoints[] = {
	{ "/api/v4/mqtt/publish", REQUEST_POST, ENDPOINT_ACCOUNT, true,
	    run_publish },
	{ "/api/v4/mqtt/publish_batch", REQUEST_POST, ENDPOINT_ACCOUNT, true,
	    run_publish_batch },
	{ "/healthz", REQUEST_GET | REQUEST_HEAD, ENDPOINT_OPEN, false,
	    run_healthz },
	{ "/metrics", REQUEST_GET | REQUEST_HEAD, ENDPOINT_LOOPBACK, false,
	    metrics_run },
};

const struct endpoint *
endpoints_find(const char *path)
{
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
		if (strcmp(endpoints[i].path, path) == 0)
			return &endpoints[i];
	return NULL;
}

void
endpoints_allow(const struct endpoint *endpoint, char *out, size_t size)
{
	static const struct {
		enum request_method method;
		const char *name;
	} names[] = {
		{ REQUEST_GET, "GET" },
		{ REQUEST_HEAD, "HEAD" },
		{ REQUEST_POST, "POST" },
	};
	size_t length = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((endpoint->methods & names[i].method) != 0 && length < size)
			length += (size_t)snprintf(out + length, size - length,
			    "%s%s", length == 0 ? "" : ", ", names[i].name);
}
