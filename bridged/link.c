/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

/* Between attempts to reach the broker: doubled from the first to the last. */
#define RETRY_FIRST_NS (50 * CLOCK_MS_NS)
#define RETRY_LAST_NS (500 * CLOCK_MS_NS)

/* The protocol asks for one each second at least. */
#define BEAT_NS (500 * CLOCK_MS_NS)

struct link {
	struct loop *loop;
	const struct link_callbacks *callbacks;
	void *arg;
	const char *name;
	char *run_dir;
	struct lane_table *lanes;
	struct ring_endpoint *endpoint;
	struct ring_link *ring; /* NULL: not attached */
	struct loop_fd control;
	struct loop_fd bell;
	struct loop_timer retry;
	struct loop_timer beat;
	struct loop_timer tend;
	struct loop_hook hook;
	uint64_t retry_ns;
	uint64_t lane_idle_ns; /* 0: none is closed */
	bool is_armed;
	bool was_woken;    /* by the bell, since the last work() */
	bool said_waiting; /* logged that there is no broker */
};

static void
retry_later(struct link *link)
{
	loop_timer_start(&link->retry, link->retry_ns);
	link->retry_ns *= 2;
	if (link->retry_ns > RETRY_LAST_NS)
		link->retry_ns = RETRY_LAST_NS;
}

static void
on_bell(void *arg, int fd, unsigned ready)
{
	struct link *link = arg;

	(void)fd;
	(void)ready;
	link->was_woken = true;
	/* At its end the control socket says the same, with the reason. */
	if (link->ring != NULL && !ring_link_drain_bell(link->ring))
		loop_fd_stop(&link->bell);
}

static void
log_changes(struct link *link)
{
	struct ring_change change;
	const char *lane;

	while (ring_link_next_change(link->ring, &lane, &change)) {
		if (change.error != 0)
			log_warning("ring_not_grown",
			    "lane=%s capacity=%llu error=%s", log_quote(lane),
			    (unsigned long long)change.from_bytes,
			    log_quote(strerror(-change.error)));
		else
			log_info("ring_resized",
			    "lane=%s capacity=%llu former=%llu",
			    log_quote(lane),
			    (unsigned long long)change.to_bytes,
			    (unsigned long long)change.from_bytes);
	}
}

/* While a lane is larger than its smallest, and no longer. */
static void
tend_later(struct link *link)
{
	if (link->ring != NULL && !loop_timer_is_running(&link->tend) &&
	    ring_link_needs_tending(link->ring))
		loop_timer_start(&link->tend, RING_TEND_NS);
}

static void
on_tend(void *arg)
{
	struct link *link = arg;

	if (link->ring == NULL)
		return;
	if (ring_link_tend(link->ring, loop_now_ns(link->loop)))
		loop_again(link->loop);
	log_changes(link);
	tend_later(link);
}

static void
on_beat(void *arg)
{
	struct link *link = arg;

	if (link->ring != NULL) {
		ring_link_beat(link->ring, loop_now_ns(link->loop));
		/* A link that lived to see a beat is not one that flaps. */
		link->retry_ns = RETRY_FIRST_NS;
		if (link->lane_idle_ns != 0)
			ring_endpoint_close_idle(link->endpoint,
			    loop_now_ns(link->loop), link->lane_idle_ns);
		tend_later(link);
	}
	loop_timer_start(&link->beat, BEAT_NS);
}

static void
tell_lane(struct link *link, const struct ring_lane_geometry *geometry)
{
	log_debug("lane_opened", "bridge=%s lane=%u set=%s", link->name,
	    (unsigned)geometry->lane, log_quote(geometry->name));
	lane_table_opened(link->lanes, geometry->name, geometry->lane);
}

/* Lanes of a former life, and those that are opened with the link. */
static void
tell_lanes(struct link *link)
{
	const struct ring_lane_geometry *geometry;

	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		geometry = ring_link_producer_lane(link->ring, lane);
		if (geometry != NULL)
			tell_lane(link, geometry);
	}
}

static void
on_attached(void *context, struct ring_link *ring)
{
	struct link *link = context;
	int err;

	link->ring = ring;
	link->is_armed = false;
	link->said_waiting = false;
	err = loop_fd_start(&link->bell, link->loop, ring_link_bell_fd(ring),
	    LOOP_READ, on_bell, link);
	if (err != 0)
		log_error("link_failed", "error=%s", log_quote(strerror(-err)));
	ring_link_beat(ring, loop_now_ns(link->loop));
	link->callbacks->attached(link->arg, ring);
	tell_lanes(link);
	loop_again(link->loop);
}

static void
on_order(void *context, const char *word)
{
	struct link *link = context;

	link->callbacks->order(link->arg, word);
}

static void
on_lane_opened(void *context, enum ring_direction direction,
    const struct ring_lane_geometry *geometry)
{
	struct link *link = context;

	if (direction == RING_TO_BROKER)
		tell_lane(link, geometry);
}

static void
on_lane_refused(void *context, const char *set, const char *text)
{
	struct link *link = context;

	log_warning("lane_refused", "bridge=%s set=%s reason=%s", link->name,
	    log_quote(set), log_quote(text));
	lane_table_refused(link->lanes, set);
}

static void
on_lane_closing(void *context, const char *set, uint32_t lane)
{
	struct link *link = context;

	(void)lane;
	lane_table_closing(link->lanes, set);
}

static void
on_lane_closed(void *context, const char *set, uint32_t lane)
{
	struct link *link = context;

	log_debug("lane_closed", "bridge=%s lane=%u set=%s", link->name,
	    (unsigned)lane, log_quote(set));
	lane_table_closed(link->lanes, set);
	loop_again(link->loop);
}

static void
on_filters_begin(void *context)
{
	struct link *link = context;

	lane_table_begin(link->lanes);
}

static void
on_filter(
    void *context, const char *bridge, const char *filter, size_t filter_length)
{
	struct link *link = context;

	/* What is wrong with it is reported at the end of the list. */
	(void)lane_table_add(link->lanes, bridge, filter, filter_length);
}

static void
on_filters_end(void *context, uint64_t version)
{
	struct link *link = context;
	int err;

	(void)version;
	err = lane_table_end(link->lanes);
	if (err != 0)
		log_error("filters_refused", "bridge=%s error=%s", link->name,
		    log_quote(strerror(-err)));
}

static void
on_lost(void *context, const char *reason)
{
	struct link *link = context;

	loop_fd_stop(&link->bell);
	loop_fd_stop(&link->control);
	if (link->ring != NULL)
		link->callbacks->lost(link->arg, reason);
	else if (reason != NULL)
		log_error("link_refused", "reason=%s", log_quote(reason));
	link->ring = NULL;
	link->is_armed = false;
	retry_later(link);
}

static const struct ring_endpoint_callbacks endpoint_callbacks = {
	.attached = on_attached,
	.lane_opened = on_lane_opened,
	.lane_refused = on_lane_refused,
	.lane_closing = on_lane_closing,
	.lane_closed = on_lane_closed,
	.filters_begin = on_filters_begin,
	.filter = on_filter,
	.filters_end = on_filters_end,
	.order = on_order,
	.lost = on_lost,
};

static void
on_control(void *arg, int fd, unsigned ready)
{
	struct link *link = arg;

	(void)fd;
	(void)ready;
	/* A failure has called on_lost() already. */
	(void)ring_endpoint_process(link->endpoint);
}

/* One line for a whole wait, not one an attempt. */
static void
say_waiting(struct link *link, int err)
{
	if (link->said_waiting)
		return;
	link->said_waiting = true;
	log_warning("broker_unreachable",
	    "run_dir=%s error=%s note=\"trying until it is there\"",
	    log_quote(link->run_dir), log_quote(strerror(-err)));
}

static void
on_retry(void *arg)
{
	struct link *link = arg;
	int err;

	err = ring_endpoint_connect(link->endpoint);
	if (err == 0)
		err = loop_fd_start(&link->control, link->loop,
		    ring_endpoint_fd(link->endpoint), LOOP_READ, on_control,
		    link);
	if (err != 0) {
		say_waiting(link, err);
		retry_later(link);
	}
}

/*
 * The recheck between arming and sleep: what the broker did before it saw us
 * armed is seen now, what it does later rings the bell.
 */
static void
sleep_or_go_on(struct link *link)
{
	tend_later(link);
	ring_link_arm(link->ring);
	link->is_armed = true;
	ring_fence();
	if (link->callbacks->is_movable(link->arg)) {
		ring_link_disarm(link->ring);
		link->is_armed = false;
		loop_again(link->loop);
	}
}

static void
turn(void *arg)
{
	struct link *link = arg;
	struct link_turn done = { false };

	if (link->is_armed) {
		ring_link_disarm(link->ring);
		link->is_armed = false;
	}
	link->callbacks->work(link->arg, &done);
	if (link->ring == NULL)
		return;
	if (link->was_woken && !done.found_work)
		ring_link_count_empty_wake(link->ring);
	link->was_woken = false;
	/* A bell without news would be taken for an attack. */
	if (done.is_news)
		ring_link_wake(link->ring);
	if (done.again)
		loop_again(link->loop);
	else
		sleep_or_go_on(link);
}

struct link *
link_new(struct loop *loop, const char *run_dir, const char *name,
    const struct link_callbacks *callbacks, void *arg)
{
	struct link *link;

	link = calloc(1, sizeof(*link));
	if (link == NULL)
		return NULL;
	link->loop = loop;
	link->callbacks = callbacks;
	link->arg = arg;
	link->name = name;
	link->retry_ns = RETRY_FIRST_NS;
	link->run_dir = strdup(run_dir);
	link->endpoint = ring_endpoint_new(
	    run_dir, RING_ROLE_BRIDGE, name, &endpoint_callbacks, link);
	if (link->run_dir == NULL || link->endpoint == NULL) {
		ring_endpoint_free(link->endpoint);
		free(link->run_dir);
		free(link);
		return NULL;
	}
	loop_timer_init(&link->retry, loop, on_retry, link);
	loop_timer_init(&link->beat, loop, on_beat, link);
	loop_timer_init(&link->tend, loop, on_tend, link);
	link->hook = (struct loop_hook){ .run = turn, .arg = link };
	loop_add_hook(loop, &link->hook);
	loop_timer_start(&link->retry, 0);
	loop_timer_start(&link->beat, BEAT_NS);
	return link;
}

void
link_set_lane_idle(struct link *link, uint64_t idle_ns)
{
	link->lane_idle_ns = idle_ns;
}

void
link_free(struct link *link)
{
	if (link == NULL)
		return;
	loop_remove_hook(link->loop, &link->hook);
	loop_fd_stop(&link->bell);
	loop_fd_stop(&link->control);
	loop_timer_stop(&link->retry);
	loop_timer_stop(&link->beat);
	loop_timer_stop(&link->tend);
	ring_endpoint_free(link->endpoint);
	free(link->run_dir);
	free(link);
}

void
link_set_lanes(struct link *link, struct lane_table *lanes)
{
	link->lanes = lanes;
}

struct ring_link *
link_ring(struct link *link)
{
	return link->ring;
}

void
link_open_lane(struct link *link, const char *set)
{
	int err;

	err = ring_endpoint_open_lane(link->endpoint, set);
	if (err != 0)
		log_error("lane_request_failed", "set=%s error=%s",
		    log_quote(set), log_quote(strerror(-err)));
}

void
link_poison(struct link *link, const char *reason)
{
	ring_endpoint_poison(link->endpoint, reason);
}
