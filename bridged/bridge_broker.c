/* SPDX-License-Identifier: Apache-2.0 */

/* What the broker's link tells a bridge, and the work of a turn. */

#include "bridged/bridge_private.h"

#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/ring/ring_control.h"
#include "common/ring/ring_layout.h"

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
	bridge->grave.link = ring_link;
	forward_attach(&bridge->forward, the_consumer(ring_link), bridge->self);
	forward_set_trace(&bridge->forward, ring_link_trace(ring_link));
	ingest_attach(&bridge->ingest, ring_link, bridge->self);
	bridge->has_notified = false;
	bridge_notify(bridge, false);
	if (bridge->state == BRIDGE_DETACHED)
		bridge_begin(bridge);
}

static void
leave_remote(struct bridge *bridge)
{
	loop_timer_stop(&bridge->retry);
	loop_timer_stop(&bridge->later);
	loop_timer_stop(&bridge->idle);
	bridge->kind->close(bridge->remote);
	bridge_forget_remote(bridge);
}

static void
set_disabled(struct bridge *bridge, bool is_disabled)
{
	if (bridge->is_disabled == is_disabled)
		return;
	bridge->is_disabled = is_disabled;
	log_info(is_disabled ? "bridge_disabled" : "bridge_enabled",
	    "bridge=%s", bridge->conf->name);
	if (bridge->state == BRIDGE_DETACHED ||
	    bridge->state == BRIDGE_DRAINING)
		return;
	if (is_disabled)
		leave_remote(bridge);
	bridge_begin(bridge);
}

static void
on_order(void *arg, const char *word)
{
	struct bridge *bridge = arg;

	if (strcmp(word, RING_ORDER_RELOAD) == 0)
		service_refresh(bridge->service);
	else if (strcmp(word, RING_ORDER_DISABLE) == 0)
		set_disabled(bridge, true);
	else if (strcmp(word, RING_ORDER_ENABLE) == 0)
		set_disabled(bridge, false);
}

static void
on_lost(void *arg, const char *reason)
{
	struct bridge *bridge = arg;

	log_warning("broker_lost", "bridge=%s reason=%s", bridge->conf->name,
	    log_quote(reason == NULL ? "the broker is gone" : reason));
	leave_remote(bridge);
	bridge->wants_reconnect = false;
	bridge->is_disabled = false; /* it is told again */
	bridge->grave.link = NULL;
	forward_detach(&bridge->forward);
	ingest_detach(&bridge->ingest);
	session_detached(&bridge->session);
	if (bridge->state == BRIDGE_DRAINING)
		service_stop(bridge->service, EXIT_OK);
	else
		bridge_enter(bridge, BRIDGE_DETACHED);
}

static void
tell(struct bridge *bridge)
{
	struct ring_link *ring_link = link_ring(bridge->link);

	report_up(
	    &bridge->report, bridge->forward.is_up, loop_now_ns(bridge->loop));
	report_flow(&bridge->report, bridge->forward.socket_is_full,
	    bridge->forward.not_before_ns, bridge->forward.pace.until_ns);
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
	bridge_mind_start(bridge, turn->found_work);
	tell(bridge);
	if (bridge->state == BRIDGE_DRAINING)
		finish_drain(bridge);
}

static bool
is_movable(void *arg)
{
	struct bridge *bridge = arg;

	if (bridge->state == BRIDGE_IDLE && bridge_is_due(bridge))
		return true;
	return forward_is_movable(
		   &bridge->forward, loop_now_ns(bridge->loop)) ||
	    ingest_is_movable(&bridge->ingest);
}

const struct link_callbacks bridge_link_callbacks = {
	.attached = on_attached,
	.order = on_order,
	.lost = on_lost,
	.work = work,
	.is_movable = is_movable,
};
