/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/backlog.h"
#include "broker/commit.h"
#include "broker/links_feed.h"
#include "broker/links_policy.h"
#include "broker/links_private.h"
#include "broker/links_terms.h"
#include "broker/listener_tls.h"
#include "broker/store/store.h"
#include "broker/subscription_tree.h"
#include "common/base/clock.h"

static json_t *
number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static void
set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

/* ---- the process -----------------------------------------------------------
 */

static uint64_t
resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file == NULL)
		return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static json_t *
memory(const struct conf *conf)
{
	struct conf_memory bound;
	json_t *object = json_object();

	conf_memory_bound(conf, &bound);
	set(object, "rings", number(bound.rings));
	set(object, "windows", number(bound.windows));
	set(object, "journal", number(bound.journal));
	set(object, "connections", number(bound.connections));
	set(object, "per_connection", number(bound.per_connection));
	set(object, "sessions", number(bound.sessions));
	set(object, "per_session", number(bound.per_session));
	set(object, "retained", number(bound.retained));
	set(object, "http", number(bound.http));
	set(object, "bridges", number(bound.bridges));
	set(object, "programs", number(bound.programs));
	set(object, "bound", number(bound.total));
	set(object, "limit", number(conf->memory_limit));
	set(object, "resident", number(resident_bytes()));
	return object;
}

static json_t *
instance(const uint8_t *bytes)
{
	char text[33];

	for (unsigned i = 0; i < 16; i++)
		snprintf(text + (size_t)2 * i, 3, "%02x", bytes[i]);
	return json_string(text);
}

static uint64_t
read_counter(struct stats *stats, unsigned block, enum counter counter)
{
	/* Relaxed: a recent number will do. */
	return atomic_load_explicit(
	    &stats_block(stats, block)->values[counter], memory_order_relaxed);
}

static json_t *
sum(const struct broker *broker, enum counter counter)
{
	return number(
	    broker->stats == NULL ? 0 : stats_read(broker->stats, counter));
}

static json_t *
worker(struct stats *stats, unsigned index)
{
	json_t *object = json_object();

	set(object, "index", json_integer(index));
	set(object, "connections",
	    number(read_counter(stats, index, COUNT_connections)));
	set(object, "clients",
	    number(read_counter(stats, index, COUNT_clients)));
	set(object, "sessions",
	    number(read_counter(stats, index, COUNT_sessions)));
	set(object, "queued", number(read_counter(stats, index, COUNT_queued)));
	set(object, "parked_bytes",
	    number(read_counter(stats, index, COUNT_parked_bytes)));
	return object;
}

static json_t *
workers(const struct broker *broker)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < broker->worker_count; i++)
		json_array_append_new(array,
		    broker->stats == NULL ? json_object()
					  : worker(broker->stats, i));
	return array;
}

/* ---- listeners --------------------------------------------------------------
 */

static json_t *
listener(const struct broker *broker, size_t index)
{
	struct listener_tls_days days;
	json_t *object = json_object();
	bool has_tls = listener_tls_days(broker->tls, index, &days);

	set(object, "bind", json_string(broker->conf->listeners[index].bind));
	/* Relaxed: a recent number will do. */
	set(object, "connections",
	    number(atomic_load_explicit(
		&broker->listener_connections[index], memory_order_relaxed)));
	set(object, "tls", json_boolean(has_tls));
	if (has_tls && days.has_certificate)
		set(object, "certificate_days_left",
		    json_integer((json_int_t)days.certificate));
	if (has_tls && days.has_crl)
		set(object, "crl_days_left",
		    json_integer((json_int_t)days.crl));
	return object;
}

static json_t *
listeners(const struct broker *broker)
{
	json_t *array = json_array();

	for (size_t i = 0; i < broker->conf->listener_count; i++)
		json_array_append_new(array, listener(broker, i));
	return array;
}

/* ---- links ------------------------------------------------------------------
 */

static const char *
state_name(enum links_state state)
{
	switch (state) {
	case LINKS_ATTACHED:
		return "attached";
	case LINKS_POISONED:
		return "poisoned";
	case LINKS_ABSENT:
	default:
		return "absent";
	}
}

static json_t *
link_object(const struct links_endpoint *endpoint)
{
	json_t *object = json_object();

	set(object, "name", json_string(endpoint->identity.name));
	set(object, "state",
	    json_string(endpoint->is_disabled ? "disabled"
					      : state_name(endpoint->state)));
	set(object, "pid",
	    json_integer(
		endpoint->state == LINKS_ATTACHED ? endpoint->pid : 0));
	set(object, "attaches", number(endpoint->attaches));
	set(object, "poisoned", number(endpoint->poisoned));
	set(object, "lanes", json_integer(links_endpoint_lanes(endpoint)));
	return object;
}

static json_t *
producers(const struct links_offers *offers)
{
	const uint64_t answered =
	    offers->accepted + offers->declined + offers->unknown;
	const uint64_t open =
	    offers->offered > answered ? offers->offered - answered : 0;
	json_t *object = json_object();

	set(object, "offered", number(offers->offered));
	set(object, "accepted", number(offers->accepted));
	set(object, "refused", number(offers->declined));
	set(object, "unknown", number(offers->unknown));
	set(object, "under_way", number(open));
	set(object, "off_by",
	    json_integer((json_int_t)(offers->offered - answered - open)));
	return object;
}

/* The books of a bridge: links_terms.h. */
static void
set_terms(json_t *object, const struct links_terms *terms)
{
	const uint64_t all =
	    terms->delivered + terms->queued + terms->dropped + terms->dead;

	set(object, "producers", producers(&terms->producers));

	set(object, "accepted", number(terms->given));
	set(object, "delivered", number(terms->delivered));
	set(object, "queued", number(terms->queued));
	set(object, "dropped", number(terms->dropped));
	set(object, "dead", number(terms->dead));
	set(object, "off_by", json_integer((json_int_t)(terms->given - all)));
}

/* What waits in the journal, of all that is queued. */
static void
set_backlog(json_t *object, const struct links_endpoint *endpoint)
{
	const struct backlogs *backlogs = endpoint->links->broker->backlogs;
	const unsigned bridge = (unsigned)endpoint->bridge_number;

	set(object, "backlog", number(backlog_limit(backlogs, bridge)));
	set(object, "backlog_bytes", number(backlog_bytes(backlogs, bridge)));
	set(object, "backlog_messages", number(links_feed_waiting(endpoint)));
	set(object, "backlog_full",
	    json_boolean(backlog_full(backlogs) >> bridge & 1));
}

json_t *
links_status_bridge(const struct links_endpoint *endpoint)
{
	const struct links_output *output = &endpoint->output;
	json_t *object = link_object(endpoint);
	struct links_terms terms;
	struct offers http;
	uint64_t used = 0;

	if (output->producer != NULL)
		used = ring_producer_used_bytes(output->producer);

	set(object, "enabled", json_boolean(!endpoint->is_disabled));
	set(object, "connected",
	    json_boolean(links_endpoint_remote_is_up(endpoint)));
	set(object, "url", json_string(endpoint->bridge->url));
	set(object, "overflow",
	    json_string(links_policy_name(endpoint->overflow)));
	set(object, "capacity", number(endpoint->bridge->ring.capacity));
	set(object, "used", number(used));
	set(object, "stalled", json_boolean(output->episode_ns != 0));

	links_terms_read_http(endpoint->links, &http);
	links_terms_of(endpoint, &http, &terms);
	set_terms(object, &terms);
	set(object, "refused", number(output->refused));
	set(object, "too_large", number(output->too_large));
	set(object, "stalled_messages", number(links_terms_stalled(endpoint)));
	set(object, "dead_letters", number(endpoint->dead.count));
	set(object, "dead_bytes", number(endpoint->dead.bytes));
	set(object, "dead_kept", number(endpoint->dead.kept));
	set(object, "dead_dropped", number(endpoint->dead.dropped));
	set(object, "dead_retried", number(endpoint->dead.retried));
	if (endpoint->feed != NULL)
		set_backlog(object, endpoint);
	return object;
}

static json_t *
bridges(const struct links *links)
{
	json_t *array = json_array();

	for (uint32_t i = 1; i < links->endpoint_count; i++)
		json_array_append_new(
		    array, links_status_bridge(links->endpoints[i]));
	return array;
}

json_t *
links_status_broker(const struct links *links)
{
	const struct broker *broker = links->broker;
	json_t *object = json_object();

	set(object, "version", json_string(PACKAGE_VERSION));
	set(object, "uptime_s",
	    number((clock_now_ns() - broker->started_ns) / CLOCK_SECOND_NS));
	set(object, "instance", instance(broker->instance));
	set(object, "pid", json_integer(getpid()));
	set(object, "run_dir", json_string(broker->conf->run_dir));
	set(object, "worker_count", json_integer(broker->worker_count));
	set(object, "connections", sum(broker, COUNT_connections));
	set(object, "clients", sum(broker, COUNT_clients));
	set(object, "sessions", sum(broker, COUNT_sessions));
	set(object, "subscriptions",
	    number(broker->subscriptions == NULL
		    ? 0
		    : subscription_tree_count(broker->subscriptions)));
	set(object, "listeners", listeners(broker));
	set(object, "workers", workers(broker));
	set(object, "http",
	    links->endpoints[0] == NULL ? json_null()
					: link_object(links->endpoints[0]));
	set(object, "bridges", bridges(links));
	set(object, "memory", memory(broker->conf));
	return object;
}

/* ---- the journal ------------------------------------------------------------
 */

static json_t *
no_journal(void)
{
	return json_pack("{s:s}", "error", "this broker has no journal");
}

static json_t *
journal(struct broker *broker)
{
	struct store_stat stat;
	json_t *object;

	if (broker->store == NULL)
		return no_journal();
	store_stat(broker->store, &stat);
	object = json_object();
	set(object, "committed", number(stat.committed));
	set(object, "commits", number(stat.commits));
	set(object, "syncs", number(stat.syncs));
	set(object, "sync_ns_total", number(stat.sync_ns_total));
	set(object, "sync_ns_max", number(stat.sync_ns_max));
	set(object, "appended_bytes", number(stat.appended_bytes));
	set(object, "merged_bytes", number(stat.merged_bytes));
	set(object, "bytes", number(stat.bytes));
	set(object, "live_bytes", number(stat.live_bytes));
	set(object, "max_bytes", number(stat.max_bytes));
	set(object, "checkpoint_sequence", number(stat.checkpoint_sequence));
	/* An errno; `error` would say that the question failed. */
	set(object, "failed",
	    json_integer(stat.error < 0 ? -stat.error : stat.error));
	return object;
}

static json_t *
compact(struct broker *broker)
{
	if (broker->commit == NULL)
		return no_journal();
	commit_ask_checkpoint(broker->commit);
	return json_pack("{s:b}", "asked", 1);
}

char *
links_status_answer(struct links *links, struct slice question)
{
	json_t *object;
	char *text;

	if (slice_equal_string(question, "status"))
		object = links_status_broker(links);
	else if (slice_equal_string(question, "store"))
		object = journal(links->broker);
	else if (slice_equal_string(question, "store compact"))
		object = compact(links->broker);
	else
		object = json_pack("{s:s}", "error",
		    "unknown question; known are: status, store, store "
		    "compact");
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}
