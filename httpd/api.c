/* SPDX-License-Identifier: Apache-2.0 */

/* Questions of requests, and what becomes of their answers. */

#include "httpd/api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"
#include "httpd/asks.h"
#include "httpd/challenge.h"
#include "httpd/connection.h"
#include "httpd/counters.h"
#include "httpd/endpoints.h"
#include "httpd/httpd.h"
#include "httpd/parameters.h"
#include "httpd/uri.h"

/* A value in a path or query; targets are shorter. */
#define VALUE_SIZE (REQUEST_TARGET_MAX + 1)

/* What a request waits for; request->owner. */
struct waiting {
	struct api_call call;
	api_done done;
	bool takes_failures;
};

/* ---- answers -------------------------------------------------------------
 */

static const struct endpoint *
row_of(const struct request *request)
{
	return request->endpoint;
}

bool
api_is_v5(const struct request *request)
{
	return strncmp(row_of(request)->path, "/api/v5", 7) == 0;
}

static void
answer_no_memory(struct request *request)
{
	request_answer_error(
	    request, 503, 503, 1, NULL, "weir-httpd has no memory left");
}

void
api_answer(struct request *request, unsigned status, json_t *body)
{
	struct response response = { .status = status };
	char *text;

	text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (text == NULL) {
		answer_no_memory(request);
		return;
	}
	response.body = slice_of_string(text);
	request_answer(request, &response);
	free(text);
}

void
api_answer_data(struct request *request, json_t *data)
{
	api_answer(request, 200,
	    data == NULL || api_is_v5(request)
		? data
		: json_pack("{s:i, s:o}", "code", 0, "data", data));
}

static json_int_t
number_of(const json_t *object, const char *name, json_int_t fallback)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : fallback;
}

void
api_answer_list(struct api_call *call, json_t *data)
{
	json_int_t limit = number_of(call->question, "limit", PARAMETER_LIMIT);
	json_int_t page = number_of(call->question, "page", 1);
	json_int_t count =
	    number_of(call->answer, "count", (json_int_t)json_array_size(data));
	json_t *meta;

	meta = json_pack("{s:I, s:I, s:I, s:b}", "page", page, "limit", limit,
	    "count", count, "hasnext", page * limit < count);
	if (data == NULL || meta == NULL) {
		json_decref(data);
		json_decref(meta);
		answer_no_memory(call->request);
		return;
	}
	api_answer(call->request, 200,
	    api_is_v5(call->request)
		? json_pack("{s:o, s:o}", "data", data, "meta", meta)
		: json_pack("{s:i, s:o, s:o}", "code", 0, "data", data, "meta",
		      meta));
}

void
api_answer_done(struct request *request)
{
	struct response nothing = { .status = 204 };

	if (api_is_v5(request))
		request_answer(request, &nothing);
	else
		api_answer(request, 200, json_pack("{s:i}", "code", 0));
}

static void
answer_order(struct api_call *call, unsigned status)
{
	json_object_del(call->answer, "status");
	json_object_set_new(call->answer, "code", json_integer(0));
	api_answer(call->request, status, json_incref(call->answer));
}

void
api_answer_order(struct api_call *call)
{
	answer_order(call, 200);
}

void
api_answer_created(struct api_call *call)
{
	answer_order(call, 201);
}

/* ---- parameters ----------------------------------------------------------
 */

static void
refuse_value(struct request *request, const struct parameter *parameter)
{
	char text[160];

	if (parameter->most == 0)
		snprintf(text, sizeof(text),
		    "\"%s\" must be UTF-8 text without U+0000, "
		    "percent-encoded: %%2F is a slash",
		    parameter->name);
	else
		snprintf(text, sizeof(text),
		    "\"%s\" must be a whole number from 1 to %" PRIu64,
		    parameter->name, parameter->most);
	request_answer_error(
	    request, 400, PUBLISH_CODE_BAD_FIELD, 0, NULL, text);
}

/* Put one value into the question.  False: it was answered. */
static bool
put_value(struct request *request, const struct parameter *parameter,
    struct slice encoded, bool is_query, json_t *question)
{
	char value[VALUE_SIZE];
	uint64_t number;
	size_t length;
	json_t *json;

	if (uri_decode(encoded, is_query, value, sizeof(value), &length) != 0 ||
	    (parameter->most != 0 &&
		(parse_u64(value, &number) != 0 || number < 1 ||
		    number > parameter->most))) {
		refuse_value(request, parameter);
		return false;
	}
	json = parameter->most == 0 ? json_stringn(value, length)
				    : json_integer((json_int_t)number);
	if (json_object_set_new(question, parameter->ask, json) == 0)
		return true;
	answer_no_memory(request);
	return false;
}

/* {name} for {name} of the route's pattern. */
static bool
put_path(struct request *request, json_t *question)
{
	const struct endpoint *row = row_of(request);
	const struct parameter *parameter;
	const char *at = row->path;
	struct slice value;

	while ((at = strchr(at, '{')) != NULL) {
		parameter =
		    parameter_find(slice_of(at + 1, strcspn(at, "}") - 1));
		value = slice_of(NULL, 0);
		uri_segment(row->path, request->path, parameter->name, &value);
		if (!put_value(request, parameter, value, false, question))
			return false;
		at++;
	}
	return true;
}

/* Is `name` one of the words in `list`? */
static bool
is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	while (*list != '\0') {
		if (strcspn(list, " ") == length &&
		    strncmp(list, name, length) == 0)
			return true;
		list += strcspn(list, " ");
		list += strspn(list, " ");
	}
	return false;
}

static bool
put_query(struct request *request, json_t *question)
{
	struct slice query = slice_of_string(request->query), name, value;
	const struct endpoint *row = row_of(request);
	const struct parameter *parameter;
	char text[192];

	while (uri_query_next(&query, &name, &value)) {
		parameter = parameter_find(name);
		if (parameter != NULL &&
		    is_listed(row->query, parameter->name)) {
			if (!put_value(
				request, parameter, value, true, question))
				return false;
			continue;
		}
		/* A filter that is ignored would show too much. */
		snprintf(text, sizeof(text),
		    row->query[0] == '\0'
			? "this route takes no parameters"
			: "unknown parameter; this route takes: %s",
		    row->query);
		request_answer_error(
		    request, 400, PUBLISH_CODE_BAD_FIELD, 0, NULL, text);
		return false;
	}
	return true;
}

json_t *
api_question(struct request *request, const char *ask)
{
	json_t *question = json_pack("{s:s}", "ask", ask);

	if (question == NULL) {
		answer_no_memory(request);
		return NULL;
	}
	if (put_path(request, question) && put_query(request, question))
		return question;
	json_decref(question);
	return NULL;
}

json_t *
api_body(struct request *request, struct slice body)
{
	json_error_t at;
	char text[256];
	json_t *json;

	json = json_loadb(
	    (const char *)body.data, body.len, JSON_REJECT_DUPLICATES, &at);
	if (json != NULL && json_is_object(json))
		return json;
	if (json != NULL)
		snprintf(text, sizeof(text), "the body must be a JSON object");
	else
		snprintf(text, sizeof(text), "line %d column %d: %s", at.line,
		    at.column, at.text);
	json_decref(json);
	request_answer_error(
	    request, 400, PUBLISH_CODE_BAD_JSON, 0, NULL, text);
	return NULL;
}

/* ---- asking --------------------------------------------------------------
 */

static void
waiting_free(struct waiting *waiting)
{
	if (waiting == NULL)
		return;
	json_decref(waiting->call.answer);
	json_decref(waiting->call.question);
	json_decref(waiting->call.context);
	free(waiting);
}

void
api_gone(struct request *request)
{
	waiting_free(request->owner);
	request->owner = NULL;
}

/* The handle is not known any more: next time the broker is asked anew. */
static const char *
forget_identity(struct api_call *call)
{
	identity_drop(call->httpd->identity, call->request->identity);
	return CHALLENGE_BASIC;
}

void
api_answer_failure(struct api_call *call)
{
	const char *message =
	    json_string_value(json_object_get(call->answer, "message"));
	unsigned status = call->status, code;
	const char *extra = NULL;

	if (status < 400 || status > 599 || message == NULL) {
		status = 502;
		message = "the broker's answer makes no sense";
	}
	code = status;
	if (status == 401) {
		code = PUBLISH_CODE_BAD_CREDENTIALS;
		extra = forget_identity(call);
	}
	if (status == 404 && strstr(row_of(call->request)->path, "{clientid}"))
		code = API_CODE_NO_SUCH_CLIENT;
	request_answer_error(
	    call->request, status, code, status == 503, extra, message);
}

/* The broker's answer; asks_done of asks.h. */
static void
on_answer(void *owner, unsigned status, struct slice text)
{
	struct request *request = owner;
	struct waiting *waiting = request->owner;
	struct api_call *call = &waiting->call;

	request->owner = NULL;
	call->answer =
	    json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, NULL);
	call->status = json_is_object(call->answer) ? status : 502;
	if (call->status == 200 || waiting->takes_failures)
		waiting->done(call);
	else
		api_answer_failure(call);
	waiting_free(waiting);
}

static bool
is_busy(const struct httpd *httpd)
{
	return connections_unsent_bytes(httpd->connections) > API_UNSENT_MAX;
}

static void
refuse_to_ask(struct httpd *httpd, struct request *request, bool busy)
{
	if (!busy) {
		answer_no_memory(request);
		return;
	}
	stats_increment(httpd->counters, COUNT_answers_busy);
	request_answer_error(request, 503, 503, 1, NULL,
	    "too many answers wait for clients to read them");
}

void
api_ask_as(
    struct httpd *httpd, struct request *request, const struct api_plan *plan)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct asks_question ask = { .identity = request->identity,
		.now_ns = loop_now_ns(httpd->loop),
		.timeout_ns = plan->timeout_ns,
		.owner = request,
		.done = on_answer };
	char *text = NULL;

	if (plan->question != NULL)
		text = json_dumps(plan->question, JSON_COMPACT);
	if (waiting == NULL || text == NULL || is_busy(httpd)) {
		refuse_to_ask(httpd, request, text != NULL && waiting != NULL);
		free(waiting);
		free(text);
		json_decref(plan->question);
		json_decref(plan->context);
		return;
	}
	*waiting = (struct waiting){ .call = { .httpd = httpd,
					 .request = request,
					 .question = plan->question,
					 .context = plan->context },
		.done = plan->done,
		.takes_failures = plan->takes_failures };
	request->owner = waiting;
	ask.text = slice_of_string(text);
	asks_put(httpd->asks, &ask);
	free(text);
}

void
api_ask(struct httpd *httpd, struct request *request, json_t *question,
    api_done done)
{
	const struct api_plan plan = { .question = question, .done = done };

	api_ask_as(httpd, request, &plan);
}

void
api_ask_for(struct httpd *httpd, struct request *request, const char *ask,
    api_done done)
{
	json_t *question = api_question(request, ask);

	if (question != NULL)
		api_ask(httpd, request, question, done);
}
