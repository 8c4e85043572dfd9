/* SPDX-License-Identifier: Apache-2.0 */

/* Bridges and their dead letters. */

#include "httpd/api.h"
#include "httpd/api_routes.h"
#include "httpd/connection.h"
#include "httpd/publish_json.h"

/* ---- bridges -------------------------------------------------------------
 */

static void
answer_bridges(struct api_call *call)
{
	api_answer_data(call->request,
	    json_incref(json_object_get(call->answer, "bridges")));
}

/* All, or that of the path: the broker answers 404 for an unknown name. */
void
api_bridges_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "bridges", answer_bridges);
}

/* The question with the body in it, or NULL after it was answered. */
static json_t *
order(struct request *request, const char *what, const char *key,
    struct slice body)
{
	json_t *question = api_question(request, what), *object;

	if (question == NULL)
		return NULL;
	object = api_body(request, body);
	if (object != NULL && json_object_set_new(question, key, object) == 0)
		return question;
	json_decref(question);
	return NULL;
}

void
api_bridge_put_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	json_t *question = order(request, "bridge_put", "bridge", body);

	if (question != NULL)
		api_ask(httpd, request, question, api_answer_order);
}

/* What there is is not changed by who thinks that it is new. */
void
api_bridge_create_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	json_t *question = order(request, "bridge_put", "bridge", body);

	if (question == NULL)
		return;
	json_object_set_new(question, "create", json_true());
	api_ask(httpd, request, question, api_answer_created);
}

void
api_bridge_delete_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "bridge_delete", api_answer_order);
}

void
api_bridge_switch_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	json_t *object = api_body(request, body), *enable, *question;

	if (object == NULL)
		return;
	enable = json_incref(json_object_get(object, "enable"));
	json_decref(object);
	if (!json_is_boolean(enable)) {
		json_decref(enable);
		request_answer_error(request, 400, PUBLISH_CODE_BAD_FIELD, 0,
		    NULL, "\"enable\" must be true or false");
		return;
	}
	question = api_question(request, "bridge_enable");
	if (question == NULL) {
		json_decref(enable);
		return;
	}
	json_object_set_new(question, "enable", enable);
	api_ask(httpd, request, question, api_answer_order);
}

/* ---- dead letters --------------------------------------------------------
 */

static void
answer_dead(struct api_call *call)
{
	api_answer_list(
	    call, json_incref(json_object_get(call->answer, "dead")));
}

void
api_dead_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "dead", answer_dead);
}

static void
answer_dead_one(struct api_call *call)
{
	json_object_del(call->answer, "status");
	api_answer_data(call->request, json_incref(call->answer));
}

void
api_dead_one_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "dead_show", answer_dead_one);
}

/* One of them if the path says which, else all. */
static void
order_dead(struct httpd *httpd, struct request *request, const char *what)
{
	json_t *question = api_question(request, what);

	if (question == NULL)
		return;
	if (json_object_get(question, "id") == NULL)
		json_object_set_new(question, "all", json_true());
	api_ask(httpd, request, question, api_answer_order);
}

void
api_dead_retry_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	order_dead(httpd, request, "dead_retry");
}

void
api_dead_drop_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	order_dead(httpd, request, "dead_drop");
}
