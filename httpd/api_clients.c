/* SPDX-License-Identifier: Apache-2.0 */

/* Clients and what they subscribe to. */

#include "httpd/api.h"
#include "httpd/api_routes.h"
#include "httpd/asks.h"
#include "httpd/connection.h"

#define BOTH (API_V4 | API_V5)

static const struct api_field client_fields[] = {
	{ "client_id", "client_id", API_AS_IS, API_V4 },
	{ "clientid", "client_id", API_AS_IS, BOTH },
	{ "username", "username", API_AS_IS, BOTH },
	{ "connected", "connected", API_AS_IS, BOTH },
	{ "conn_state", "connected", API_CONNECTED, API_V4 },
	{ "connected_at", "connected_at", API_TIME, BOTH },
	{ "ip_address", "address", API_ADDRESS, BOTH },
	{ "port", "address", API_PORT, BOTH },
	{ "listener", "listener", API_AS_IS, BOTH },
	{ "proto_name", "protocol", API_PROTOCOL, BOTH },
	{ "proto_ver", "protocol", API_AS_IS, BOTH },
	{ "keepalive", "keepalive_s", API_AS_IS, BOTH },
	{ "clean_start", "clean_start", API_AS_IS, BOTH },
	{ "expiry_interval", "session_expiry_s", API_AS_IS, BOTH },
	{ "durable", "durable", API_AS_IS, BOTH },
	{ "will", "will", API_AS_IS, BOTH },
	{ "subscriptions_cnt", "subscriptions", API_AS_IS, BOTH },
	{ "inflight", "in_flight", API_AS_IS, API_V4 },
	{ "inflight_cnt", "in_flight", API_AS_IS, API_V5 },
	{ "mqueue_len", "queued", API_AS_IS, BOTH },
	{ "recv_msg", "messages_in", API_AS_IS, BOTH },
	{ "send_msg", "messages_out", API_AS_IS, BOTH },
	{ "recv_oct", "bytes_in", API_AS_IS, BOTH },
	{ "send_oct", "bytes_out", API_AS_IS, BOTH },
};

static const struct api_field subscription_fields[] = {
	{ "clientid", "client_id", API_AS_IS, BOTH },
	{ "topic", "filter", API_AS_IS, BOTH },
	{ "qos", "qos", API_AS_IS, BOTH },
	{ "nl", "no_local", API_NUMBER, BOTH },
	{ "rap", "retain_as_published", API_NUMBER, BOTH },
	{ "subscription_id", "subscription_id", API_AS_IS, BOTH },
};

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

static json_t *
clients_of(const struct api_call *call)
{
	return api_map(call->request, json_object_get(call->answer, "clients"),
	    client_fields, COUNT(client_fields));
}

static void
answer_clients(struct api_call *call)
{
	api_answer_list(call, clients_of(call));
}

void
api_clients_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "clients", answer_clients);
}

/* One of them: a list of one in v4, itself in v5. */
static void
answer_client(struct api_call *call)
{
	json_t *clients = clients_of(call);

	if (clients != NULL && json_array_size(clients) == 0) {
		json_decref(clients);
		request_answer_error(call->request, 404,
		    API_CODE_NO_SUCH_CLIENT, 0, NULL,
		    "no client has this identifier, and no session");
		return;
	}
	if (clients == NULL || !api_is_v5(call->request)) {
		api_answer_data(call->request, clients);
		return;
	}
	api_answer_data(call->request, json_incref(json_array_get(clients, 0)));
	json_decref(clients);
}

void
api_client_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "clients", answer_client);
}

static void
answer_done(struct api_call *call)
{
	api_answer_done(call->request);
}

void
api_kick_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "kick", answer_done);
}

static void
answer_subscriptions(struct api_call *call)
{
	json_t *list = json_object_get(call->answer, "subscriptions");

	api_answer_list(call,
	    api_map(call->request, list, subscription_fields,
		COUNT(subscription_fields)));
}

void
api_subscriptions_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "subscriptions", answer_subscriptions);
}

/* A bare array, as v5 has it, so of all or not at all. */
static void
answer_client_subscriptions(struct api_call *call)
{
	json_t *list = json_object_get(call->answer, "subscriptions");
	const json_t *count = json_object_get(call->answer, "count");

	if (json_integer_value(count) > (json_int_t)json_array_size(list)) {
		request_answer_error(call->request, 413, 413, 0, NULL,
		    "too many subscriptions for one answer; "
		    "/api/v5/subscriptions?clientid=ID&page=1 has pages");
		return;
	}
	api_answer_data(call->request,
	    api_map(call->request, list, subscription_fields,
		COUNT(subscription_fields)));
}

void
api_client_subscriptions_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	json_t *question = api_question(request, "subscriptions");

	(void)body;
	if (question == NULL)
		return;
	json_object_set_new(question, "limit", json_integer(ASK_LIMIT_MAX));
	api_ask(httpd, request, question, answer_client_subscriptions);
}

/* ---- the topic tree ------------------------------------------------------
 */

/* The levels below a node, or NULL. */
static json_t *
below(json_t *node)
{
	return json_object_get(node, "levels");
}

/* The entries of one depth, and the nodes that they are of. */
static void
add_entries(json_t *levels, json_t *entries, json_t *nodes)
{
	const char *name;
	json_t *node;

	json_object_foreach(levels, name, node)
	{
		json_array_append_new(entries,
		    json_pack("{s:s, s:I, s:O?}", "topic", name, "cld_cnt",
			(json_int_t)json_object_size(below(node)),
			"subscriptions",
			json_object_get(node, "subscriptions")));
		json_array_append(nodes, node);
	}
}

/* An array a depth; depth by depth, so that no depth is too deep. */
static json_t *
by_depth(json_t *tree)
{
	json_t *depths = json_array(), *nodes = json_array(), *next, *entries;
	json_t *node;
	size_t i;

	entries = json_array();
	add_entries(tree, entries, nodes);
	while (json_array_size(entries) > 0) {
		json_array_append_new(depths, entries);
		entries = json_array();
		next = json_array();
		json_array_foreach(nodes, i, node)
		    add_entries(below(node), entries, next);
		json_decref(nodes);
		nodes = next;
	}
	json_decref(entries);
	json_decref(nodes);
	return depths;
}

static void
answer_topic_tree(struct api_call *call)
{
	json_t *truncated = json_object_get(call->answer, "truncated");

	api_answer(call->request, 200,
	    json_pack("{s:i, s:o, s:b}", "code", 0, "data",
		by_depth(json_object_get(call->answer, "tree")), "truncated",
		json_is_true(truncated)));
}

void
api_topic_tree_run(
    struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "topic_tree", answer_topic_tree);
}
