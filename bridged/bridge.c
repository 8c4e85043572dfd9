/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/bridge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bridged/backoff.h"
#include "bridged/counters.h"
#include "bridged/forward.h"
#include "bridged/ingest.h"
#include "bridged/link.h"
#include "bridged/mapping.h"
#include "bridged/remote.h"
#include "bridged/report.h"
#include "bridged/session.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/stream.h"
#include "common/ring/ring_layout.h"

/* A connection that lasted this long was a good one. */
#define STABLE_NS (10 * CLOCK_SECOND_NS)

/* Beside the record's own body: fixed header, identifier, trail. */
#define PACKET_EXTRA 256

enum bridge_state {
	BRIDGE_DETACHED,
	BRIDGE_CONNECTING,
	BRIDGE_UP,
	BRIDGE_WAITING,
	BRIDGE_DRAINING
};

struct bridge {
	struct service *service;
	struct loop *loop;
	const struct conf_bridge *conf;
	enum bridge_state state;
	struct link *link;
	struct stream_hub *hub;
	const struct remote_kind *kind;
	struct remote *remote;
	struct mapping forward_rules;
	struct mapping receive_rules;
	struct forward forward;
	struct ingest ingest;
	struct report report; /* for weirctl */
	struct session session;
	struct backoff backoff;
	struct loop_timer retry; /* of the remote */
	struct loop_timer later; /* the remote asked to wait */
	struct stats *stats;
	struct stats_block *counters;
	char self[REMOTE_WEIR_ID_SIZE];
};

static const struct stats_row counter_rows[] = {
#define STAT(kind, name, help) STATS_ROW(kind, name, help)
#include "bridged/counters.def"
#undef STAT
};

static const struct remote_kind *const kinds[] = { &remote_mqtt };

static void
enter(struct bridge *bridge, enum bridge_state state)
{
	static const char *const names[] = {
		[BRIDGE_DETACHED] = "waiting for weir-broker",
		[BRIDGE_CONNECTING] = "connecting",
		[BRIDGE_UP] = "connected",
		[BRIDGE_WAITING] = "waiting to connect again",
		[BRIDGE_DRAINING] = "draining",
	};

	log_debug("bridge_state", "bridge=%s from=\"%s\" to=\"%s\"",
	    bridge->conf->name, names[bridge->state], names[state]);
	bridge->state = state;
	report_state(&bridge->report, names[state], loop_now_ns(bridge->loop));
	service_status(
	    bridge->service, "%s: %s", bridge->conf->url, names[state]);
}

static uint64_t
dice(void)
{
	uint64_t value;

	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(value))
		value = clock_now_ns() * UINT64_C(0x9e3779b97f4a7c15);
	return value;
}

static void
connect_remote(struct bridge *bridge)
{
	enter(bridge, BRIDGE_CONNECTING);
	bridge->kind->open(bridge->remote, bridge->self);
}

static void
on_retry(void *arg)
{
	connect_remote(arg);
}

/* The loop's turn does the rest: link.c runs the work after the events. */
static void
on_later(void *arg)
{
	struct bridge *bridge = arg;

	loop_again(bridge->loop);
}

/* ---- the remote ----------------------------------------------------- */

static void
on_connecting(void *arg)
{
	struct bridge *bridge = arg;

	session_connecting(&bridge->session);
}

static void
on_up(void *arg, const struct remote_limits *limits)
{
	struct bridge *bridge = arg;

	backoff_connected(&bridge->backoff, loop_now_ns(bridge->loop));
	stats_increment(bridge->counters, BRIDGED_connects);
	forward_up(&bridge->forward, limits);
	enter(bridge, BRIDGE_UP);
	log_info("bridge_connected",
	    "bridge=%s url=%s session_present=%d window=%zu weir=%s",
	    bridge->conf->name, log_quote(bridge->conf->url),
	    limits->session_present, limits->window,
	    limits->weir_id[0] == '\0' ? "no" : log_quote(limits->weir_id));
	session_up(&bridge->session, limits);
}

static void
schedule_retry(struct bridge *bridge, enum remote_trouble trouble)
{
	uint64_t wait_ns;

	wait_ns = trouble == REMOTE_DENIED
	    ? backoff_slow(&bridge->backoff, dice())
	    : backoff_next(&bridge->backoff, dice());
	enter(bridge, BRIDGE_WAITING);
	report_retry(&bridge->report, loop_now_ns(bridge->loop) + wait_ns);
	log_info("bridge_retry", "bridge=%s in_ms=%llu", bridge->conf->name,
	    (unsigned long long)(wait_ns / CLOCK_MS_NS));
	loop_timer_start(&bridge->retry, wait_ns);
}

static void
forget_remote(struct bridge *bridge)
{
	session_down(&bridge->session);
	forward_down(&bridge->forward);
	ingest_down(&bridge->ingest);
	backoff_lost(&bridge->backoff, loop_now_ns(bridge->loop));
}

static void
on_down(void *arg, enum remote_trouble trouble, const char *why)
{
	struct bridge *bridge = arg;

	stats_increment(bridge->counters, BRIDGED_disconnects);
	log_at(trouble == REMOTE_DENIED ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
	    "bridge_disconnected", "bridge=%s url=%s reason=%s",
	    bridge->conf->name, log_quote(bridge->conf->url), log_quote(why));
	report_error(&bridge->report, why, loop_now_ns(bridge->loop));
	forget_remote(bridge);
	if (bridge->state == BRIDGE_DRAINING)
		service_stop(bridge->service, EXIT_OK);
	else
		schedule_retry(bridge, trouble);
}

static void
on_settled(void *arg, uint16_t id, enum remote_verdict verdict, const char *why)
{
	struct bridge *bridge = arg;
	uint64_t now_ns = loop_now_ns(bridge->loop);

	forward_settled(&bridge->forward, id, verdict, why, now_ns);
}

static bool
on_kept(void *arg, uint16_t id)
{
	struct bridge *bridge = arg;

	return forward_kept(&bridge->forward, id);
}

static void
on_ended(void *arg, uint16_t id)
{
	struct bridge *bridge = arg;

	(void)id;
	forward_ended(&bridge->forward);
}

static bool
on_forgotten(void *arg, uint16_t id)
{
	struct bridge *bridge = arg;

	return session_forgotten(&bridge->session, id);
}

static void
on_received(void *arg, const struct remote_message *message)
{
	struct bridge *bridge = arg;

	ingest_received(&bridge->ingest, message, loop_now_ns(bridge->loop));
}

static void
on_writable(void *arg)
{
	struct bridge *bridge = arg;

	forward_writable(&bridge->forward);
}

static const struct remote_callbacks remote_callbacks = {
	.connecting = on_connecting,
	.up = on_up,
	.down = on_down,
	.settled = on_settled,
	.kept = on_kept,
	.ended = on_ended,
	.received = on_received,
	.forgotten = on_forgotten,
	.writable = on_writable,
};

/* ---- the broker ----------------------------------------------------- */

static struct ring_consumer *
the_consumer(struct ring_link *ring_link)
{
	struct ring_consumer *consumer;

	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		consumer = ring_link_consumer(ring_link, lane);
		if (consumer != NULL)
			return consumer;
	}
	return NULL;
}

static void
on_attached(void *arg, struct ring_link *ring_link)
{
	struct bridge *bridge = arg;
	const struct ring_link_identity *identity;

	identity = ring_link_identity(ring_link);
	for (size_t i = 0; i < sizeof(identity->instance); i++)
		snprintf(
		    bridge->self + 2 * i, 3, "%02x", identity->instance[i]);
	log_info("broker_attached", "bridge=%s link=%u epoch=%llu",
	    bridge->conf->name, (unsigned)identity->link,
	    (unsigned long long)ring_link_epoch(ring_link));
	ring_trace_set_every(ring_link_trace(ring_link),
	    service_conf(bridge->service)->trace_every);
	session_attached(&bridge->session, ring_link);
	forward_attach(&bridge->forward, the_consumer(ring_link), bridge->self);
	forward_set_trace(&bridge->forward, ring_link_trace(ring_link));
	ingest_attach(&bridge->ingest, ring_link, bridge->self);
	if (bridge->state == BRIDGE_DETACHED)
		connect_remote(bridge);
}

static void
on_lost(void *arg, const char *reason)
{
	struct bridge *bridge = arg;

	log_warning("broker_lost", "bridge=%s reason=%s", bridge->conf->name,
	    log_quote(reason == NULL ? "the broker is gone" : reason));
	loop_timer_stop(&bridge->retry);
	loop_timer_stop(&bridge->later);
	bridge->kind->close(bridge->remote);
	forget_remote(bridge);
	forward_detach(&bridge->forward);
	ingest_detach(&bridge->ingest);
	session_detached(&bridge->session);
	if (bridge->state == BRIDGE_DRAINING)
		service_stop(bridge->service, EXIT_OK);
	else
		enter(bridge, BRIDGE_DETACHED);
}

static void
tell(struct bridge *bridge)
{
	struct ring_link *ring_link = link_ring(bridge->link);

	report_up(
	    &bridge->report, bridge->forward.is_up, loop_now_ns(bridge->loop));
	report_flow(&bridge->report, bridge->forward.socket_is_full,
	    bridge->forward.not_before_ns);
	report_post(&bridge->report,
	    ring_link == NULL ? NULL : ring_link_board(ring_link));
}

static void
finish_drain(struct bridge *bridge)
{
	if (forward_in_flight(&bridge->forward) != 0)
		return;
	bridge->kind->close(bridge->remote);
	log_info("bridge_drained", "bridge=%s", bridge->conf->name);
	service_stop(bridge->service, EXIT_OK);
}

static void
poison(struct bridge *bridge, const char *fault)
{
	log_error("link_poisoned", "bridge=%s reason=%s", bridge->conf->name,
	    log_quote(fault));
	link_poison(bridge->link, fault);
}

static void
work(void *arg, struct link_turn *turn)
{
	struct bridge *bridge = arg;
	struct forward *forward = &bridge->forward;
	uint64_t now_ns = loop_now_ns(bridge->loop);
	const char *fault;

	turn->is_news = ingest_work(&bridge->ingest, now_ns);
	fault = bridge->ingest.fault;
	ingest_unshare(&bridge->ingest);
	switch (forward_work(forward, now_ns, &fault)) {
	case FORWARD_AGAIN:
		turn->again = true;
		break;
	case FORWARD_WAITS:
		loop_timer_start(
		    &bridge->later, forward_wait_ns(forward, now_ns));
		break;
	case FORWARD_POISONED:
	case FORWARD_DONE:
		break;
	}
	if (fault != NULL) {
		poison(bridge, fault);
		return;
	}
	if (forward->has_moved)
		turn->is_news = true;
	turn->found_work = turn->is_news || forward->has_read;
	tell(bridge);
	if (bridge->state == BRIDGE_DRAINING)
		finish_drain(bridge);
}

static bool
is_movable(void *arg)
{
	struct bridge *bridge = arg;

	return forward_is_movable(
		   &bridge->forward, loop_now_ns(bridge->loop)) ||
	    ingest_is_movable(&bridge->ingest);
}

static const struct link_callbacks link_callbacks = {
	.attached = on_attached,
	.lost = on_lost,
	.work = work,
	.is_movable = is_movable,
};

/* ---- start and end -------------------------------------------------- */

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
		.callbacks = &remote_callbacks,
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
		conf->name, &link_callbacks, bridge);
	if (bridge->link == NULL)
		return -ENOMEM;
	link_set_lane_idle(
	    bridge->link, service_conf(bridge->service)->lane_idle_ns);
	err = remote_init(bridge, max_record + PACKET_EXTRA);
	if (err != 0)
		return err;
	session_init(&bridge->session, conf, bridge->kind, bridge->remote,
	    &bridge->ingest, bridge->loop);
	err = forward_init(&bridge->forward, conf, &bridge->forward_rules,
	    bridge->kind, bridge->remote, &bridge->session.notes,
	    bridge->counters, max_record, now_ns);
	forward_set_refresh(&bridge->forward, refresh_rules, bridge);
	if (err == 0)
		err = ingest_init(&bridge->ingest, conf->name,
		    &bridge->receive_rules, bridge->kind, bridge->remote,
		    &bridge->session.notes, bridge->counters, open_lane,
		    bridge);
	bridge->ingest.awaits_journal =
	    conf_has_journal(service_conf(bridge->service));
	if (err == 0)
		link_set_lanes(bridge->link, bridge->ingest.lanes);
	return err;
}

static void
say_restart(const struct bridge *bridge, const char *what)
{
	log_warning("reload_incomplete",
	    "bridge=%s reason=\"%s: this takes effect when weir-bridged is "
	    "restarted\"",
	    log_quote(bridge->conf->name), what);
}

/* In their place: whoever looks rules up has the address. */
static void
take_forward_rules(struct bridge *bridge, struct mapping *fresh)
{
	struct mapping old = bridge->forward_rules;

	bridge->forward_rules = *fresh;
	forward_rules_changed(&bridge->forward);
	if (!mapping_is_same(&old, fresh))
		log_info("bridge_rules_changed", "bridge=%s forward=%zu",
		    log_quote(bridge->conf->name), fresh->count);
	mapping_fini(&old);
}

void
bridge_reload(struct bridge *bridge, const struct conf *conf)
{
	const struct conf_bridge *ours = conf_bridge(conf, bridge->conf->name);
	struct mapping forward, receive;

	if (ours == NULL) {
		say_restart(bridge, "it was removed");
		return;
	}
	if (mapping_of(&forward, ours, MAPPING_FORWARD) != 0)
		return;
	if (mapping_of(&receive, ours, MAPPING_RECEIVE) == 0) {
		if (!mapping_is_same(&receive, &bridge->receive_rules))
			say_restart(bridge, "its receive rules have changed");
		mapping_fini(&receive);
	}
	take_forward_rules(bridge, &forward);
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
	bridge->conf = conf;
	bridge->state = BRIDGE_DETACHED;
	bridge->kind = find_kind(conf->type);
	BUG_ON(bridge->kind == NULL);
	report_init(&bridge->report, conf);
	backoff_init(&bridge->backoff, conf->retry_min_ns, conf->retry_max_ns,
	    STABLE_NS);
	loop_timer_init(&bridge->retry, bridge->loop, on_retry, bridge);
	loop_timer_init(&bridge->later, bridge->loop, on_later, bridge);
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
	enter(bridge, BRIDGE_DRAINING);
	forward_drain(&bridge->forward);
	/* What is acknowledged already ends it at the end of this turn. */
	loop_again(bridge->loop);
}
