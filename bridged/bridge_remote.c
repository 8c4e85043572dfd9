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
	loop_timer_stop(&bridge->retry);
	/* Another remote, or another name there: the notes are not its. */
	if (session_key(&bridge->session) != bridge->session.remote_key) {
		session_detached(&bridge->session);
		session_attached(&bridge->session, link_ring(bridge->link));
	}
	bridge_enter(bridge, BRIDGE_CONNECTING);
	report_remote(&bridge->report, bridge->kind->where(bridge->remote));
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
	    bridge->conf->name,
	    log_quote(bridge->kind->where(bridge->remote)->url),
	    limits->session_present, limits->window,
	    limits->weir_id[0] == '\0' ? "no" : log_quote(limits->weir_id));
	bridge->active_ns = loop_now_ns(bridge->loop);
	session_up(&bridge->session, limits);
	bridge_notify(bridge, true);
}

static void
start_retry(struct bridge *bridge, uint64_t wait_ns)
{
	bridge->retry_ns = loop_now_ns(bridge->loop) + wait_ns;
	report_retry(&bridge->report, bridge->retry_ns);
	loop_timer_start(&bridge->retry, wait_ns);
}

static void
schedule_retry(struct bridge *bridge, enum remote_trouble trouble)
{
	uint64_t wait_ns;

	bridge->is_denied = trouble == REMOTE_DENIED;
	if (bridge->is_denied)
		wait_ns = backoff_slow(&bridge->backoff, dice());
	else if (forward_has_waiting(&bridge->forward))
		wait_ns = backoff_soon(
		    &bridge->backoff, bridge->conf->retry_waiting_ns, dice());
	else
		wait_ns = backoff_next(&bridge->backoff, dice());
	bridge_enter(bridge, BRIDGE_WAITING);
	start_retry(bridge, wait_ns);
	log_info("bridge_retry", "bridge=%s in_ms=%llu", bridge->conf->name,
	    (unsigned long long)(wait_ns / CLOCK_MS_NS));
}

void
bridge_forget_remote(struct bridge *bridge)
{
	session_down(&bridge->session);
	forward_down(&bridge->forward);
	ingest_down(&bridge->ingest);
	bridge_notify(bridge, false);
	loop_timer_stop(&bridge->idle);
	backoff_lost(&bridge->backoff, loop_now_ns(bridge->loop));
}

static void
try_again(struct bridge *bridge, enum remote_trouble trouble)
{
	if (bridge->conf->start == CONF_START_ONCE &&
	    bridge->state == BRIDGE_UP) {
		bridge_enter(bridge, BRIDGE_ENDED);
		log_warning("bridge_ended",
		    "bridge=%s note=\"start is once: it does not connect again "
		    "until it is restarted, or start is changed\"",
		    bridge->conf->name);
	} else if (bridge->conf->start == CONF_START_LAZY &&
	    !forward_has_waiting(&bridge->forward)) {
		bridge_enter(bridge, BRIDGE_IDLE);
	} else {
		schedule_retry(bridge, trouble);
	}
}

static void
on_down(void *arg, enum remote_trouble trouble, const char *why)
{
	struct bridge *bridge = arg;

	stats_increment(bridge->counters, BRIDGED_disconnects);
	log_at(trouble == REMOTE_DENIED ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
	    "bridge_disconnected", "bridge=%s url=%s remote=%s reason=%s",
	    bridge->conf->name, log_quote(bridge->conf->url),
	    log_quote(bridge->report.remote), log_quote(why));
	report_error(&bridge->report, why, loop_now_ns(bridge->loop));
	bridge_forget_remote(bridge);
	if (bridge->state == BRIDGE_DRAINING)
		service_stop(bridge->service, EXIT_OK);
	else
		try_again(bridge, trouble);
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

	bridge->active_ns = loop_now_ns(bridge->loop);
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

/* ---- when to connect ------------------------------------------------- */

/* What is older than lazy_wait, or more than lazy_threshold. */
bool
bridge_is_due(struct bridge *bridge)
{
	const struct conf_bridge *conf = bridge->conf;
	struct forward *forward = &bridge->forward;
	uint64_t since_ns, now_ns = loop_now_ns(bridge->loop);

	if (conf->start != CONF_START_LAZY || forward->inflight.count != 0)
		return true;
	since_ns = forward_unread_since_ns(forward);
	if (since_ns == 0)
		return false;
	return forward_unread_bytes(forward) > conf->lazy_threshold ||
	    now_ns >= since_ns + conf->lazy_wait_ns;
}

void
bridge_begin(struct bridge *bridge)
{
	if (bridge->is_disabled || bridge_is_due(bridge))
		bridge_connect(bridge);
	else
		bridge_enter(bridge, BRIDGE_IDLE);
}

/* An idle one: connect, or look again when the oldest has waited enough. */
static void
mind_idle(struct bridge *bridge)
{
	uint64_t since_ns, due_ns, now_ns = loop_now_ns(bridge->loop);

	if (bridge_is_due(bridge)) {
		loop_timer_stop(&bridge->idle);
		bridge_connect(bridge);
		return;
	}
	since_ns = forward_unread_since_ns(&bridge->forward);
	if (since_ns == 0 || loop_timer_is_running(&bridge->idle))
		return;
	due_ns = since_ns + bridge->conf->lazy_wait_ns;
	loop_timer_start(&bridge->idle, due_ns > now_ns ? due_ns - now_ns : 1);
}

/* A lazy one that is connected: for idle_timeout after the last message. */
static void
mind_up(struct bridge *bridge)
{
	uint64_t now_ns = loop_now_ns(bridge->loop);
	uint64_t until_ns = bridge->active_ns + bridge->conf->idle_timeout_ns;

	if (forward_has_waiting(&bridge->forward) ||
	    bridge->ingest.first != NULL)
		return;
	if (now_ns < until_ns) {
		if (!loop_timer_is_running(&bridge->idle))
			loop_timer_start(&bridge->idle, until_ns - now_ns);
		return;
	}
	log_info("bridge_idle", "bridge=%s", bridge->conf->name);
	bridge->kind->close(bridge->remote);
	bridge_forget_remote(bridge);
	bridge_enter(bridge, BRIDGE_IDLE);
}

/* Messages came while it waits for long: retry_waiting counts from now. */
static void
mind_waiting(struct bridge *bridge)
{
	uint64_t now_ns = loop_now_ns(bridge->loop);
	uint64_t most_ns = bridge->conf->retry_waiting_ns;

	if (bridge->is_denied || bridge->retry_ns <= now_ns + most_ns ||
	    !forward_has_waiting(&bridge->forward))
		return;
	start_retry(bridge, backoff_soon(&bridge->backoff, most_ns, dice()));
}

void
bridge_mind_start(struct bridge *bridge, bool is_active)
{
	if (is_active)
		bridge->active_ns = loop_now_ns(bridge->loop);
	if (bridge->state != BRIDGE_DRAINING)
		bridge_notify(bridge, bridge->forward.is_up);
	if (bridge->wants_reconnect)
		bridge_reconnect(bridge);
	else if (bridge->state == BRIDGE_IDLE)
		mind_idle(bridge);
	else if (bridge->state == BRIDGE_WAITING)
		mind_waiting(bridge);
	else if (bridge->state == BRIDGE_UP &&
	    bridge->conf->start == CONF_START_LAZY)
		mind_up(bridge);
}
