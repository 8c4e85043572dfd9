/* SPDX-License-Identifier: Apache-2.0 */

/* weir_bridge_*: a family a number, a sample a bridge. */

#include <stdlib.h>
#include <string.h>

#include "common/stats/stats.h"
#include "httpd/metrics.h"

struct bridge_row {
	const char *name;
	enum stats_kind kind;
	const char *group; /* within which the number is, or NULL */
	const char *key;
	const char *help;
};

static const struct bridge_row rows[] = {
	{ "weir_bridge_up", STATS_GAUGE, NULL, "connected",
	    "1 while the bridge is connected to its remote." },
	{ "weir_bridge_offered_messages_total", STATS_COUNTER, "producers",
	    "offered", "Messages that producers offered to the bridge." },
	{ "weir_bridge_answered_messages_total", STATS_COUNTER, "producers",
	    "accepted", "Of those, messages whose producer was told success." },
	{ "weir_bridge_refused_messages_total", STATS_COUNTER, "producers",
	    "refused", "Of those, messages that were refused." },
	{ "weir_bridge_unknown_messages_total", STATS_COUNTER, "producers",
	    "unknown", "Of those, messages whose outcome nobody learnt." },
	{ "weir_bridge_accepted_messages_total", STATS_COUNTER, NULL,
	    "accepted", "Messages that the bridge was given." },
	{ "weir_bridge_delivered_messages_total", STATS_COUNTER, NULL,
	    "delivered", "Of those, messages that the remote has." },
	{ "weir_bridge_dropped_messages_total", STATS_COUNTER, NULL, "dropped",
	    "Of those, messages dropped by policy or expiry." },
	{ "weir_bridge_dead_messages_total", STATS_COUNTER, NULL, "dead",
	    "Of those, messages that the remote never takes." },
	{ "weir_bridge_queued_messages", STATS_GAUGE, NULL, "queued",
	    "Of those, messages that wait or are under way." },
	{ "weir_bridge_too_large_messages_total", STATS_COUNTER, NULL,
	    "too_large", "Messages that the bridge's ring can never hold." },
	{ "weir_bridge_stalled", STATS_GAUGE, NULL, "stalled",
	    "1 while the bridge has no room." },
	{ "weir_bridge_ring_used_bytes", STATS_GAUGE, NULL, "used",
	    "Bytes in the ring to the bridge." },
	{ "weir_bridge_ring_capacity_bytes", STATS_GAUGE, NULL, "capacity",
	    "Bytes of that ring as it is configured to start." },
	{ "weir_bridge_backlog_bytes", STATS_GAUGE, NULL, "backlog_bytes",
	    "Bytes of the journal that wait for the bridge." },
	{ "weir_bridge_backlog_limit_bytes", STATS_GAUGE, NULL, "backlog",
	    "Bytes of the journal that may wait for it." },
	{ "weir_bridge_backlog_messages", STATS_GAUGE, NULL, "backlog_messages",
	    "Messages of the journal that wait for it." },
	{ "weir_bridge_backlog_full", STATS_GAUGE, NULL, "backlog_full",
	    "1 while its backlog is full." },
	{ "weir_bridge_dead_letters", STATS_GAUGE, NULL, "dead_letters",
	    "Dead letters that are kept." },
	{ "weir_bridge_dead_letter_bytes", STATS_GAUGE, NULL, "dead_bytes",
	    "Bytes that they take." },
	{ "weir_bridge_dead_letters_kept_total", STATS_COUNTER, NULL,
	    "dead_kept", "Dead letters that were kept, ever." },
	{ "weir_bridge_dead_letters_dropped_total", STATS_COUNTER, NULL,
	    "dead_dropped", "Of those, the oldest dropped for want of room." },
	{ "weir_bridge_dead_letters_retried_total", STATS_COUNTER, NULL,
	    "dead_retried", "Of those, sent again by order." },
	{ "weir_bridge_enabled", STATS_GAUGE, NULL, "enabled",
	    "0 while it is disabled by order." },
	{ "weir_bridge_attaches_total", STATS_COUNTER, NULL, "attaches",
	    "Times that the bridge's process attached." },
	{ "weir_bridge_ring_faults_total", STATS_COUNTER, NULL, "poisoned",
	    "Times that its link was closed for damage." },
};

static const json_t *
value_of(const struct bridge_row *row, const json_t *bridge)
{
	if (row->group != NULL)
		bridge = json_object_get(bridge, row->group);
	return json_object_get(bridge, row->key);
}

static void
write_sample(FILE *out, const struct bridge_row *row, const json_t *bridge)
{
	const char *name = json_string_value(json_object_get(bridge, "name"));
	const json_t *value = value_of(row, bridge);
	uint64_t number;
	char *label;

	if (name == NULL || value == NULL)
		return;
	number = json_is_boolean(value) ? json_is_true(value)
					: (uint64_t)json_integer_value(value);
	label = metrics_label("bridge", name);
	if (label != NULL)
		stats_prometheus_sample(out, row->name, label, number);
	free(label);
}

void
metrics_write_bridges(FILE *out, const json_t *bridges)
{
	const json_t *bridge;
	size_t k;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		stats_prometheus_family(
		    out, rows[i].name, rows[i].help, rows[i].kind);
		json_array_foreach(bridges, k, bridge)
		    write_sample(out, &rows[i], bridge);
	}
}
