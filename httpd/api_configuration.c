/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration that is in force, and its reload. */

#include <stdio.h>
#include <stdlib.h>

#include "common/conf/conf.h"
#include "common/service/service.h"
#include "httpd/api.h"
#include "httpd/api_routes.h"
#include "httpd/connection.h"
#include "httpd/httpd.h"

/* The section that was asked for; NULL: all. */
static const char *
section_of(const struct api_call *call)
{
	return json_string_value(json_object_get(call->context, "section"));
}

/* What was printed, as JSON; NULL: no memory, or text that is not UTF-8. */
static json_t *
printed(const struct api_call *call, bool reloadable, bool *out_known)
{
	json_t *json = NULL;
	char *text = NULL;
	size_t length = 0;
	FILE *out;

	*out_known = true;
	out = open_memstream(&text, &length);
	if (out == NULL)
		return NULL;
	if (reloadable)
		conf_print_reloadable(out);
	else
		*out_known = conf_print_json(
		    service_conf(call->httpd->service), section_of(call), out);
	if (fclose(out) == 0 && *out_known)
		json = json_loadb(text, length, 0, NULL);
	free(text);
	return json;
}

static void
answer_printed(struct api_call *call, bool reloadable)
{
	bool is_known;
	json_t *json = printed(call, reloadable, &is_known);

	if (!is_known)
		request_answer_error(call->request, 404, 404, 0, NULL,
		    "no such section; there are basic, journal, accounts, "
		    "listeners, http, bridges");
	else if (json == NULL)
		request_answer_error(call->request, 500, 500, 0, NULL,
		    "the configuration cannot be shown: no memory, or it "
		    "holds what is not UTF-8");
	else
		api_answer_data(call->request, json);
}

static void
answer_configuration(struct api_call *call)
{
	answer_printed(call, false);
}

static void
answer_reloadable(struct api_call *call)
{
	answer_printed(call, true);
}

/* The broker proves that the account may read, by a small question. */
static void
prove(struct httpd *httpd, struct request *request, api_done done)
{
	json_t *context = api_question(request, "configuration");
	struct api_plan plan = { .context = context, .done = done };

	if (context == NULL)
		return;
	plan.question = json_pack("{s:s}", "ask", "broker");
	api_ask_as(httpd, request, &plan);
}

void
api_configuration_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	prove(httpd, request, answer_configuration);
}

void
api_reloadable_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	prove(httpd, request, answer_reloadable);
}

/* The file is right, so weir-httpd reads it, too. */
static void
answer_reloaded(struct api_call *call)
{
	service_refresh(call->httpd->service);
	api_answer_order(call);
}

void
api_reload_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "reload", answer_reloaded);
}
