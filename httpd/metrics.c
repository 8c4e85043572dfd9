/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/stats/stats.h"
#include "httpd/api.h"
#include "httpd/connection.h"
#include "httpd/httpd.h"
#include "httpd/lanes.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum lane_number {
	LANE_MESSAGES,
	LANE_REFUSED,
	LANE_WAITING,
	LANE_USED_BYTES,
	LANE_NUMBERS
};

static const struct stats_row lane_rows[LANE_NUMBERS] = {
	[LANE_MESSAGES] = { STATS_COUNTER, "weir_httpd_lane_messages_total",
	    "Messages put into the lane." },
	[LANE_REFUSED] = { STATS_COUNTER, "weir_httpd_lane_refused_total",
	    "Messages refused for want of credit in the lane." },
	[LANE_WAITING] = { STATS_GAUGE, "weir_httpd_lane_waiting_messages",
	    "Messages that wait for credit in the lane." },
	[LANE_USED_BYTES] = { STATS_GAUGE, "weir_httpd_lane_used_bytes",
	    "Bytes in the lane that the broker has not released." },
};

static uint64_t
lane_value(struct httpd *httpd, uint32_t slot, enum lane_number number)
{
	const struct lanes_slot *lane = lanes_get(httpd->lanes, slot);

	switch (number) {
	case LANE_MESSAGES:
		return lane->messages;
	case LANE_REFUSED:
		return lane->refused;
	case LANE_WAITING:
		return pending_lane_held(httpd->pending, slot);
	case LANE_USED_BYTES:
		return lane->state == LANES_OPEN
		    ? link_used_bytes(httpd->link, lane->ring_lane)
		    : 0;
	case LANE_NUMBERS:
		break;
	}
	return 0;
}

char *
metrics_label(const char *name, const char *value)
{
	char *text = NULL;
	size_t length;
	FILE *out;

	out = open_memstream(&text, &length);
	if (out == NULL)
		return NULL;
	stats_prometheus_label(out, name, value);
	fclose(out);
	return text;
}

static void
write_lanes(struct httpd *httpd, FILE *out)
{
	const struct stats_row *row;
	char *label;

	for (int number = 0; number < LANE_NUMBERS; number++) {
		row = &lane_rows[number];
		stats_prometheus_family(out, row->name, row->help, row->kind);
		for (uint32_t i = 0; i < lanes_count(httpd->lanes); i++) {
			label = metrics_label(
			    "lane", lanes_get(httpd->lanes, i)->set);
			stats_prometheus_sample(out, row->name, label,
			    lane_value(httpd, i, (enum lane_number)number));
			free(label);
		}
	}
}

static void
write_limit(void *context, const char *limit, uint64_t refused)
{
	char *label = metrics_label("limit", limit);

	stats_prometheus_sample(
	    context, "weir_httpd_limit_refused_total", label, refused);
	free(label);
}

static void
write_limits(struct httpd *httpd, FILE *out)
{
	stats_prometheus_family(out, "weir_httpd_limit_refused_total",
	    "Requests and messages that this limit refused.", STATS_COUNTER);
	limits_each(httpd->limits, write_limit, out);
}

/* The broker's own counters lie in memory that it shares with us. */
static void
write_broker(struct httpd *httpd, FILE *out)
{
	struct stats *stats;
	int fd;

	fd = link_broker_stats_fd(httpd->link);
	if (fd == -1 || stats_open(fd, &stats) != 0)
		return;
	stats_prometheus_all(out, "weir_broker", stats);
	stats_free(stats);
}

static void
write_build(FILE *out)
{
	char *label = metrics_label("version", PACKAGE_VERSION);

	stats_prometheus_family(out, "weir_build_info",
	    "1, with the version that runs.", STATS_GAUGE);
	stats_prometheus_sample(out, "weir_build_info", label, 1);
	free(label);
}

/* `bridges` may be NULL: nothing is known of them. */
static void
answer(struct httpd *httpd, struct request *request, const json_t *bridges)
{
	struct response response = { .status = 200,
		.content_type = METRICS_TYPE };
	char *text = NULL;
	size_t length = 0;
	FILE *out;

	httpd_set_gauges(httpd);
	out = open_memstream(&text, &length);
	if (out != NULL) {
		write_build(out);
		stats_prometheus_all(out, "weir_httpd", httpd->stats);
		write_lanes(httpd, out);
		write_limits(httpd, out);
		write_broker(httpd, out);
		metrics_write_bridges(out, bridges);
	}
	if (out == NULL || fclose(out) != 0) {
		free(text);
		request_answer_error(
		    request, 503, 503, 1, NULL, "no memory for the metrics");
		return;
	}
	response.body = slice_of(text, length);
	request_answer(request, &response);
	free(text);
}

/* Who may not read is told so; a broker that is away hides nothing else. */
static void
on_bridges(struct api_call *call)
{
	if (call->status == 401 || call->status == 403)
		api_answer_failure(call);
	else
		answer(call->httpd, call->request,
		    json_object_get(call->answer, "bridges"));
}

void
metrics_run(struct httpd *httpd, struct request *request, struct slice body)
{
	/* Clients of this host need no account, and none has been proved. */
	const bool is_open = request->identity == 0;
	struct api_plan plan = { .done = on_bridges,
		.takes_failures = true,
		.timeout_ns = METRICS_TIMEOUT_NS };

	(void)body;
	plan.question =
	    api_question(request, is_open ? "bridge_numbers" : "bridges");
	if (plan.question != NULL)
		api_ask_as(httpd, request, &plan);
}
