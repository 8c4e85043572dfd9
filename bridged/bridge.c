/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/bridge.h"

#include <errno.h>
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
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/stream.h"
#include "common/ring/ring_layout.h"

/* A connection that lasted this long was a good one. */
#define STABLE_NS (10 * CLOCK_SECOND_NS)

/* Bytes of received messages that wait for the broker, roughly. */
#define RECEIVE_BYTES (4u << 20)
#define RECEIVE_LEAST 8
#define RECEIVE_MOST 256

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
	struct backoff backoff;
	struct loop_timer retry; /* of the remote */
	struct loop_timer later; /* the remote asked to wait */
	struct stats *stats;
	struct stats_block *counters;
	char self[REMOTE_WEIR_ID_SIZE];
	uint8_t instance[16]; /* of the last broker; for ids_are_new */
	bool ids_are_new;
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
	bridge->kind->open(bridge->remote, bridge->self, bridge->ids_are_new);
	bridge->ids_are_new = false;
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
on_up(void *arg, const struct remote_limits *limits)
{
	struct bridge *bridge = arg;

	backoff_connected(&bridge->backoff, loop_now_ns(bridge->loop));
	stats_increment(bridge->counters, BRIDGED_connects);
	forward_up(&bridge->forward, limits);
	ingest_up(&bridge->ingest, limits->weir_id);
	enter(bridge, BRIDGE_UP);
	log_info("bridge_connected",
	    "bridge=%s url=%s session_present=%d window=%zu weir=%s",
	    bridge->conf->name, log_quote(bridge->conf->url),
	    limits->session_present, limits->window,
	    limits->weir_id[0] == '\0' ? "no" : log_quote(limits->weir_id));
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
	.up = on_up,
	.down = on_down,
	.settled = on_settled,
	.received = on_received,
	.writable = on_writable,
};

/* ---- the broker ----------------------------------------------------- */

static void
write_hex(const uint8_t *bytes, size_t count, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * count] = '\0';
}

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
	struct ring_consumer *consumer = the_consumer(ring_link);
	bool is_resumed = ring_link_epoch(ring_link) > 1;

	identity = ring_link_identity(ring_link);
	write_hex(identity->instance, sizeof(identity->instance), bridge->self);
	/* Identifiers follow the ring's sequences: a new ring, new ones. */
	if (!is_resumed)
		bridge->ids_are_new = true;
	log_info("broker_attached", "bridge=%s link=%u epoch=%llu",
	    bridge->conf->name, (unsigned)identity->link,
	    (unsigned long long)ring_link_epoch(ring_link));
	ring_trace_set_every(ring_link_trace(ring_link),
	    service_conf(bridge->service)->trace_every);
	forward_attach(&bridge->forward, consumer, bridge->self, is_resumed);
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
	if (bridge->state == BRIDGE_DRAINING)
		service_stop(bridge->service, EXIT_OK);
	else
		enter(bridge, BRIDGE_DETACHED);
}

static void
on_lane_opened(void *arg, const char *set, uint32_t lane)
{
	struct bridge *bridge = arg;

	log_debug("lane_opened", "bridge=%s lane=%u set=%s", bridge->conf->name,
	    (unsigned)lane, log_quote(set));
	lane_table_opened(bridge->ingest.lanes, set, lane);
}

static void
on_lane_refused(void *arg, const char *set, const char *text)
{
	struct bridge *bridge = arg;

	log_warning("lane_refused", "bridge=%s set=%s reason=%s",
	    bridge->conf->name, log_quote(set), log_quote(text));
	lane_table_refused(bridge->ingest.lanes, set);
}

static void
on_filters_begin(void *arg)
{
	struct bridge *bridge = arg;

	lane_table_begin(bridge->ingest.lanes);
}

static void
on_filter(void *arg, const char *name, const char *filter, size_t filter_length)
{
	struct bridge *bridge = arg;

	/* What is wrong with it is reported at the end of the list. */
	(void)lane_table_add(bridge->ingest.lanes, name, filter, filter_length);
}

static void
on_filters_end(void *arg)
{
	struct bridge *bridge = arg;
	int err;

	err = lane_table_end(bridge->ingest.lanes);
	if (err != 0)
		log_error("filters_refused", "bridge=%s error=%s",
		    bridge->conf->name, log_quote(strerror(-err)));
}

static void
tell(struct bridge *bridge)
{
	struct ring_link *ring_link = link_ring(bridge->link);

	report_up(&bridge->report, bridge->forward.is_up,
	    loop_now_ns(bridge->loop));
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
work(void *arg, struct link_turn *turn)
{
	struct bridge *bridge = arg;
	struct forward *forward = &bridge->forward;
	uint64_t now_ns = loop_now_ns(bridge->loop);
	const char *fault = NULL;

	turn->is_news = ingest_work(&bridge->ingest, now_ns);
	switch (forward_work(forward, now_ns, &fault)) {
	case FORWARD_AGAIN:
		turn->again = true;
		break;
	case FORWARD_WAITS:
		loop_timer_start(
		    &bridge->later, forward_wait_ns(forward, now_ns));
		break;
	case FORWARD_POISONED:
		log_error("link_poisoned", "bridge=%s reason=%s",
		    bridge->conf->name, log_quote(fault));
		link_poison(bridge->link, fault);
		return;
	case FORWARD_DONE:
		break;
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
	.lane_opened = on_lane_opened,
	.lane_refused = on_lane_refused,
	.filters_begin = on_filters_begin,
	.filter = on_filter,
	.filters_end = on_filters_end,
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

static int
rules_init(struct bridge *bridge)
{
	const struct conf_bridge *conf = bridge->conf;
	const struct conf_rule *rules = conf->forward;
	size_t bad = 0;
	int err;

	err = mapping_init(&bridge->forward_rules, rules, conf->forward_count,
	    MAPPING_FORWARD, &bad);
	if (err == 0) {
		rules = conf->receive;
		err = mapping_init(&bridge->receive_rules, rules,
		    conf->receive_count, MAPPING_RECEIVE, &bad);
	}
	if (err == -EINVAL)
		log_error("bridge_rule_invalid",
		    "bridge=%s line=%u filter=%s note=\"with its prefix it is "
		    "no topic filter\"",
		    conf->name, rules[bad].line, log_quote(rules[bad].filter));
	return err;
}

static const struct remote_kind *
find_kind(const char *type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i]->type, type) == 0)
			return kinds[i];
	return NULL;
}

/* How many received messages we let wait for acknowledgement. */
static size_t
receive_maximum(size_t max_packet)
{
	size_t count = RECEIVE_BYTES / max_packet;

	if (count < RECEIVE_LEAST)
		return RECEIVE_LEAST;
	return count > RECEIVE_MOST ? RECEIVE_MOST : count;
}

static int
remote_init(struct bridge *bridge, size_t max_packet)
{
	struct remote_spec spec = {
		.conf = bridge->conf,
		.receive = &bridge->receive_rules,
		.loop = bridge->loop,
		.max_packet = max_packet,
		.max_pending = receive_maximum(max_packet),
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
	err = rules_init(bridge);
	if (err != 0)
		return err;

	/* The link before the hub: see link.h. */
	bridge->link =
	    link_new(bridge->loop, service_conf(bridge->service)->run_dir,
		conf->name, &link_callbacks, bridge);
	if (bridge->link == NULL)
		return -ENOMEM;
	err = remote_init(bridge, max_record + PACKET_EXTRA);
	if (err == 0)
		err = forward_init(&bridge->forward, conf,
		    &bridge->forward_rules, bridge->kind, bridge->remote,
		    bridge->counters, max_record, now_ns);
	if (err == 0)
		err = ingest_init(&bridge->ingest, conf->name,
		    &bridge->receive_rules, bridge->kind, bridge->remote,
		    bridge->counters, open_lane, bridge);
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
