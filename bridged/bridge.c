/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridged/bridge_private.h"
#include "common/base/bug.h"
#include "common/base/log.h"

/* Beside the record's own body: fixed header, identifier, trail. */
#define PACKET_EXTRA 256

static const struct stats_row counter_rows[] = {
#define STAT(kind, name, help) STATS_ROW(kind, name, help)
#include "bridged/counters.def"
#undef STAT
};

static const struct remote_kind *const kinds[] = { &remote_mqtt };

void
bridge_enter(struct bridge *bridge, enum bridge_state state)
{
	static const char *const names[] = {
		[BRIDGE_DETACHED] = "waiting for weir-broker",
		[BRIDGE_IDLE] = "waiting for messages",
		[BRIDGE_CONNECTING] = "connecting",
		[BRIDGE_UP] = "connected",
		[BRIDGE_WAITING] = "waiting to connect again",
		[BRIDGE_DISABLED] = "disabled",
		[BRIDGE_ENDED] = "ended",
		[BRIDGE_DRAINING] = "draining",
	};

	log_debug("bridge_state", "bridge=%s from=\"%s\" to=\"%s\"",
	    bridge->conf->name, names[bridge->state], names[state]);
	bridge->state = state;
	report_state(&bridge->report, names[state], loop_now_ns(bridge->loop));
	service_status(
	    bridge->service, "%s: %s", bridge->conf->url, names[state]);
}

static void
on_retry(void *arg)
{
	bridge_connect(arg);
}

/* The loop's turn does the rest: link.c runs the work after the events. */
static void
on_later(void *arg)
{
	struct bridge *bridge = arg;

	loop_again(bridge->loop);
}

static void
open_lane(void *arg, const char *set)
{
	struct bridge *bridge = arg;

	link_open_lane(bridge->link, set);
}

static const struct remote_kind *
find_kind(const char *type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i]->type, type) == 0)
			return kinds[i];
	return NULL;
}

static int
remote_init(struct bridge *bridge, size_t max_packet)
{
	struct remote_spec spec = {
		.conf = bridge->conf,
		.receive = &bridge->receive_rules,
		.loop = bridge->loop,
		.max_packet = max_packet,
		.max_pending = ingest_window(max_packet),
		.callbacks = &bridge_remote_callbacks,
		.arg = bridge,
	};

	/* Room for one packet and as much again on its way. */
	bridge->hub = stream_hub_new(
	    bridge->loop, (uint32_t)(2 * max_packet / STREAM_CHUNK_SIZE) + 512);
	if (bridge->hub == NULL)
		return -ENOMEM;
	spec.hub = bridge->hub;
	bridge->remote = bridge->kind->new (&spec);
	return bridge->remote == NULL ? -ENOMEM : 0;
}

static void
refresh_rules(void *arg)
{
	struct bridge *bridge = arg;

	service_refresh(bridge->service);
}

static int
parts_init(struct bridge *bridge)
{
	const struct conf_bridge *conf = bridge->conf;
	size_t max_record = (size_t)conf->ring.max_capacity / 4;
	size_t max_packet = max_record + PACKET_EXTRA;
	uint64_t now_ns = loop_now_ns(bridge->loop);
	int err;

	err = stats_create(
	    "weir-bridged", counter_rows, BRIDGED_COUNTERS, 1, &bridge->stats);
	if (err != 0)
		return err;
	bridge->counters = stats_block(bridge->stats, 0);
	err = mapping_of(&bridge->forward_rules, conf, MAPPING_FORWARD);
	if (err == 0)
		err = mapping_of(&bridge->receive_rules, conf, MAPPING_RECEIVE);
	if (err != 0)
		return err;

	/* The link before the hub: see link.h. */
	bridge->link =
	    link_new(bridge->loop, service_conf(bridge->service)->run_dir,
		conf->name, &bridge_link_callbacks, bridge);
	if (bridge->link == NULL)
		return -ENOMEM;
	link_set_lane_idle(
	    bridge->link, service_conf(bridge->service)->lane_idle_ns);
	if (conf->max_packet_size != 0 && conf->max_packet_size < max_packet)
		max_packet = (size_t)conf->max_packet_size;
	err = remote_init(bridge, max_packet);
	if (err != 0)
		return err;
	session_init(&bridge->session, conf, bridge->kind, bridge->remote,
	    &bridge->ingest, bridge->loop);
	err = forward_init(&bridge->forward, conf, &bridge->forward_rules,
	    bridge->kind, bridge->remote, &bridge->session.notes,
	    bridge->counters, max_record, now_ns);
	forward_set_refresh(&bridge->forward, refresh_rules, bridge);
	bridge->grave.loop = bridge->loop;
	forward_set_grave(&bridge->forward, grave_of(&bridge->grave));
	if (err == 0)
		err = ingest_init(&bridge->ingest, conf->name,
		    &bridge->receive_rules, bridge->kind, bridge->remote,
		    &bridge->session.notes, bridge->counters, open_lane,
		    bridge);
	bridge->ingest.awaits_journal =
	    conf_has_journal(service_conf(bridge->service));
	bridge->ingest.max_hops = conf->max_hops;
	if (err == 0)
		link_set_lanes(bridge->link, bridge->ingest.lanes);
	return err;
}

struct bridge *
bridge_new(struct service *service, const struct conf_bridge *conf)
{
	struct bridge *bridge;
	int err = -ENOMEM;

	bridge = calloc(1, sizeof(*bridge));
	if (bridge == NULL)
		goto fail;
	bridge->service = service;
	bridge->loop = service_loop(service);
	bridge->live = *conf;
	bridge->conf = &bridge->live;
	bridge->state = BRIDGE_DETACHED;
	bridge->kind = find_kind(conf->type);
	BUG_ON(bridge->kind == NULL);
	report_init(&bridge->report, bridge->conf);
	backoff_init(&bridge->backoff, conf->retry_min_ns, conf->retry_max_ns,
	    conf->retry_stable_ns);
	loop_timer_init(&bridge->retry, bridge->loop, on_retry, bridge);
	loop_timer_init(&bridge->later, bridge->loop, on_later, bridge);
	loop_timer_init(&bridge->idle, bridge->loop, on_later, bridge);
	err = parts_init(bridge);
	if (err != 0)
		goto fail;
	return bridge;

fail:
	log_error("bridge_failed", "bridge=%s error=%s", conf->name,
	    log_quote(strerror(-err)));
	bridge_free(bridge);
	return NULL;
}

void
bridge_free(struct bridge *bridge)
{
	if (bridge == NULL)
		return;
	loop_timer_stop(&bridge->retry);
	loop_timer_stop(&bridge->later);
	loop_timer_stop(&bridge->idle);
	if (bridge->remote != NULL)
		bridge->kind->close(bridge->remote);
	session_fini(&bridge->session);
	forward_fini(&bridge->forward);
	ingest_fini(&bridge->ingest);
	link_free(bridge->link);
	if (bridge->remote != NULL)
		bridge->kind->free(bridge->remote);
	stream_hub_free(bridge->hub);
	mapping_fini(&bridge->forward_rules);
	mapping_fini(&bridge->receive_rules);
	stats_free(bridge->stats);
	free(bridge);
}

void
bridge_drain(struct bridge *bridge)
{
	loop_timer_stop(&bridge->retry);
	if (bridge->state != BRIDGE_UP) {
		service_stop(bridge->service, EXIT_OK);
		return;
	}
	bridge_enter(bridge, BRIDGE_DRAINING);
	bridge_notify(bridge, false);
	forward_drain(&bridge->forward);
	/* What is acknowledged already ends it at the end of this turn. */
	loop_again(bridge->loop);
}
