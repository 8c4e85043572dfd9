/* SPDX-License-Identifier: Apache-2.0 */

/* What the remote tells a bridge, and when to try it again. */

#include "bridged/bridge_private.h"

#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/log.h"

static uint64_t
dice(void)
{
	uint64_t value;

	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(value))
		value = clock_now_ns() * UINT64_C(0x9e3779b97f4a7c15);
	return value;
}

void
bridge_connect(struct bridge *bridge)
{
	if (bridge->is_disabled) {
		bridge_enter(bridge, BRIDGE_DISABLED);
		return;
	}
	bridge_enter(bridge, BRIDGE_CONNECTING);
	bridge->kind->open(bridge->remote, bridge->self);
}

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
	bridge_enter(bridge, BRIDGE_UP);
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
	bridge_enter(bridge, BRIDGE_WAITING);
	report_retry(&bridge->report, loop_now_ns(bridge->loop) + wait_ns);
	log_info("bridge_retry", "bridge=%s in_ms=%llu", bridge->conf->name,
	    (unsigned long long)(wait_ns / CLOCK_MS_NS));
	loop_timer_start(&bridge->retry, wait_ns);
}

void
bridge_forget_remote(struct bridge *bridge)
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
	bridge_forget_remote(bridge);
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

const struct remote_callbacks bridge_remote_callbacks = {
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
