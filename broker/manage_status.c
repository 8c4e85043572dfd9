/* SPDX-License-Identifier: Apache-2.0 */

/* What the links thread knows by itself: the broker, its numbers, bridges. */

#include <errno.h>
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

/* What is asked for, and what was found. */
struct listing {
	struct slice name; /* no data: all */
	json_t *bridges;
};

static bool
is_wanted(const struct listing *listing, const char *name)
{
	return listing->name.data == NULL ||
	    slice_equal_string(listing->name, name);
}

static void
list_running(const struct links *links, struct listing *listing)
{
	const struct conf *conf = broker_configured(links->broker);
	const struct links_endpoint *endpoint;
	json_t *object;

	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (endpoint == NULL ||
		    !is_wanted(listing, endpoint->identity.name))
			continue;
		object = links_status_bridge(endpoint);
		json_object_set_new(object, "configured",
		    json_boolean(
			conf_bridge(conf, endpoint->identity.name) != NULL));
		json_array_append_new(listing->bridges, object);
	}
}

/* Those that a reload found, and that begin with the next start. */
static void
list_coming(const struct links *links, struct listing *listing)
{
	const struct conf *conf = broker_configured(links->broker);
	const struct conf_bridge *bridge;

	for (size_t i = 0; i < conf->bridge_count; i++) {
		bridge = &conf->bridges[i];
		if (bridge_table_find(links->broker->bridges,
			slice_of_string(bridge->name)) == -1 &&
		    is_wanted(listing, bridge->name))
			json_array_append_new(listing->bridges,
			    json_pack("{s:s, s:s, s:s, s:b, s:b, s:b}", "name",
				bridge->name, "state", "needs_restart", "url",
				bridge->url, "enabled", 1, "connected", 0,
				"configured", 1));
	}
}

void
manage_bridges(struct manage_ask *ask, const json_t *question)
{
	struct listing listing = { .bridges = NULL };
	size_t count;

	if (manage_string(ask, question, "name", &listing.name) == -EINVAL)
		return;
	listing.bridges = json_array();
	list_running(ask->links, &listing);
	list_coming(ask->links, &listing);
	count = json_array_size(listing.bridges);
	if (listing.name.data != NULL && count == 0) {
		json_decref(listing.bridges);
		manage_refuse(ask, 404, "there is no bridge of this name");
		return;
	}
	manage_answer(ask,
	    json_pack("{s:I, s:o}", "count", (json_int_t)count, "bridges",
		listing.bridges));
}
