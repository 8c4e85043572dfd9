/* SPDX-License-Identifier: Apache-2.0 */

/* The broker as a node: what it is, what it counts, how it does. */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/stats/stats.h"
#include "httpd/api.h"
#include "httpd/api_routes.h"
#include "httpd/connection.h"
#include "httpd/endpoints.h"
#include "httpd/httpd.h"

static json_int_t
number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static json_t *
resident(const json_t *broker)
{
	return json_object_get(json_object_get(broker, "memory"), "resident");
}

/* ---- what there is -------------------------------------------------------
 */

void
api_list_run(struct httpd *httpd, struct request *request, struct slice body)
{
	const struct endpoint *row;
	json_t *data = json_array();

	(void)httpd;
	(void)body;
	for (size_t i = 0; (row = endpoints_at(i)) != NULL; i++)
		json_array_append_new(data,
		    json_pack("{s:s, s:s, s:s, s:s, s:s}", "path", row->path,
			"name", row->name, "method",
			endpoints_method(row->method), "descr", row->summary,
			"scope", endpoints_right(row->right)));
	api_answer_data(request, data);
}

void
api_status_run(struct httpd *httpd, struct request *request, struct slice body)
{
	const bool is_up = link_is_up(httpd->link);
	struct response response = { .status = is_up ? 200 : 503,
		.content_type = RESPONSE_TEXT,
		.retry_after_s = is_up ? 0 : 1 };

	(void)body;
	response.body = slice_of_string(is_up ? "Node " API_NODE " is started\n"
						"weir is running\n"
					      : "Node " API_NODE " is started\n"
						"weir is not running\n");
	request_answer(request, &response);
}

/* "1 days, 2 hours, 3 minutes, 4 seconds" */
static void
uptime_text(json_int_t seconds, char *out, size_t size)
{
	snprintf(out, size, "%lld days, %lld hours, %lld minutes, %lld seconds",
	    (long long)(seconds / 86400), (long long)(seconds / 3600 % 24),
	    (long long)(seconds / 60 % 60), (long long)(seconds % 60));
}

static void
answer_brokers(struct api_call *call)
{
	time_t now = (time_t)(clock_wall_ns() / CLOCK_SECOND_NS);
	char uptime[96], date[32] = "";
	struct tm parts;

	uptime_text(number(call->answer, "uptime_s"), uptime, sizeof(uptime));
	if (gmtime_r(&now, &parts) != NULL)
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &parts);
	api_answer_data(call->request,
	    json_pack("[{s:s, s:s, s:s, s:O?, s:s, s:s}]", "node", API_NODE,
		"node_status", "Running", "sysdescr", "Weir", "version",
		json_object_get(call->answer, "version"), "uptime", uptime,
		"datetime", date));
}

void
api_brokers_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "broker", answer_brokers);
}

static void
answer_nodes(struct api_call *call)
{
	const json_t *broker = call->answer;
	const bool is_v5 = api_is_v5(call->request);
	json_int_t uptime_s = number(broker, "uptime_s");
	char uptime[96];

	uptime_text(uptime_s, uptime, sizeof(uptime));
	api_answer_data(call->request,
	    json_pack("[{s:s, s:s, s:O?, s:o, s:I, s:I, s:I, s:I, s:O?}]",
		"node", API_NODE, "node_status", is_v5 ? "running" : "Running",
		"version", json_object_get(broker, "version"), "uptime",
		is_v5 ? json_integer(uptime_s * 1000) : json_string(uptime),
		"connections", number(broker, "sessions"), "live_connections",
		number(broker, "clients"), "workers",
		number(broker, "worker_count"), "pid", number(broker, "pid"),
		"memory_used", resident(broker)));
}

void
api_nodes_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "broker", answer_nodes);
}

/* ---- numbers -------------------------------------------------------------
 */

/* Names of other brokers for what is counted here. */
static const struct {
	const char *name, *counter;
} aliases[] = {
	{ "client.connected", "connects_accepted" },
	{ "messages.received", "messages_accepted" },
	{ "messages.sent", "messages_out" },
	{ "packets.received", "packets_in" },
	{ "packets.publish.received", "publishes_in" },
	{ "packets.publish.sent", "messages_out" },
	{ "session.expired", "sessions_expired" },
	{ "session.takenover", "takeovers" },
};

/* The broker's, then weir-httpd's as "http.NAME". */
static json_t *
all_metrics(struct httpd *httpd, json_t *broker)
{
	json_t *metrics = json_copy(broker), *value;
	char name[128];

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		value = json_object_get(broker, aliases[i].counter);
		if (value != NULL)
			json_object_set(metrics, aliases[i].name, value);
	}
	for (uint32_t i = 0; i < stats_count(httpd->stats); i++) {
		snprintf(name, sizeof(name), "http.%s",
		    stats_row(httpd->stats, i).name);
		json_object_set_new(metrics, name,
		    json_integer((json_int_t)stats_read(httpd->stats, i)));
	}
	return metrics;
}

static void
answer_metrics(struct api_call *call)
{
	json_t *metrics;

	httpd_set_gauges(call->httpd);
	metrics =
	    all_metrics(call->httpd, json_object_get(call->answer, "metrics"));
	if (metrics != NULL && api_is_v5(call->request)) {
		json_object_set_new(metrics, "node", json_string(API_NODE));
		metrics = json_pack("[o]", metrics);
	} else if (metrics != NULL) {
		metrics = json_pack(
		    "[{s:s, s:o}]", "node", API_NODE, "metrics", metrics);
	}
	api_answer_data(call->request, metrics);
}

void
api_metrics_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "metrics", answer_metrics);
}

static void
answer_stats(struct api_call *call)
{
	const json_t *broker = call->answer;

	api_answer_data(call->request,
	    json_pack("[{s:s, s:I, s:I, s:I, s:I, s:I}]", "node", API_NODE,
		"connections.count", number(broker, "sessions"),
		"live_connections.count", number(broker, "clients"),
		"sessions.count", number(broker, "sessions"),
		"subscriptions.count", number(broker, "subscriptions"),
		"bridges.count",
		(json_int_t)json_array_size(
		    json_object_get(broker, "bridges"))));
}

void
api_stats_run(struct httpd *httpd, struct request *request, struct slice body)
{
	(void)body;
	api_ask_for(httpd, request, "broker", answer_stats);
}
