/* SPDX-License-Identifier: Apache-2.0 */

/* What the links thread knows by itself: the broker, its numbers, bridges. */

#include <string.h>

#include "broker/links_private.h"
#include "broker/links_status.h"
#include "broker/manage.h"

void
manage_broker(struct manage_ask *ask, const json_t *question)
{
	(void)question;
	manage_answer(ask, links_status_broker(ask->links));
}

/* ---- counters ----------------------------------------------------------- */

void
manage_metrics(struct manage_ask *ask, const json_t *question)
{
	struct stats *stats = ask->links->broker->stats;
	json_t *counters = json_object();
	struct stats_row row;
	uint64_t value;

	(void)question;
	for (uint32_t i = 0; stats != NULL && i < stats_count(stats); i++) {
		row = stats_row(stats, i);
		value = stats_read(stats, i);
		json_object_set_new(counters, row.name,
		    json_integer(
			value > INT64_MAX ? INT64_MAX : (json_int_t)value));
	}
	manage_answer(ask, json_pack("{s:o}", "metrics", counters));
}

/* ---- bridges ------------------------------------------------------------ */

void
manage_bridges(struct manage_ask *ask, const json_t *question)
{
	const struct links *links = ask->links;
	const struct links_endpoint *endpoint;
	struct slice name = slice_of(NULL, 0);
	json_t *bridges;
	int err;

	err = manage_string(ask, question, "name", &name);
	if (err == -EINVAL)
		return;
	bridges = json_array();
	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (endpoint != NULL &&
		    (err != 0 ||
			slice_equal_string(name, endpoint->identity.name)))
			json_array_append_new(
			    bridges, links_status_bridge(endpoint));
	}
	if (err == 0 && json_array_size(bridges) == 0) {
		json_decref(bridges);
		manage_refuse(ask, 404, "there is no bridge of this name");
		return;
	}
	manage_answer(ask,
	    json_pack("{s:I, s:o}", "count",
		(json_int_t)json_array_size(bridges), "bridges", bridges));
}
