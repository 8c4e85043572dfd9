/* SPDX-License-Identifier: Apache-2.0 */

/* Life: attached to the broker, lost, tried again; lanes and filters. */

#include "httpd/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/ring/ring_control.h"
#include "httpd/counters.h"
#include "httpd/identity.h"
#include "httpd/link_state.h"

#define RETRY_FIRST_NS (50 * CLOCK_MS_NS)
#define RETRY_LAST_NS CLOCK_SECOND_NS

uint64_t
link_backoff_ns(uint32_t attempt, uint64_t random)
{
	uint64_t delay = RETRY_FIRST_NS;

	while (attempt-- > 0 && delay < RETRY_LAST_NS)
		delay *= 2;
	if (delay > RETRY_LAST_NS)
		delay = RETRY_LAST_NS;
	/* Between a half and the whole: restarts do not come in step. */
	return delay / 2 + random % (delay / 2 + 1);
}

uint32_t
link_receipt_room(uint32_t min_shift, uint32_t *out_asks)
{
	uint64_t size, room;

	/* A receipt and an AUTH_RESULT take the same room. */
	size = ring_record_size(sizeof(struct record_auth_result));
	/* One record may not fit before the end, and a SWITCH is kept free. */
	room = ring_class_size(min_shift, 0);
	room = (room - room / ASK_SHARE) / size - 2;
	*out_asks = room / 4 < IDENTITY_ASKED_MAX ? (uint32_t)(room / 4)
						  : IDENTITY_ASKED_MAX;
	room -= *out_asks;
	return room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;
}

static uint64_t
next_random(struct link *link)
{
	link->random ^= link->random << 13;
	link->random ^= link->random >> 7;
	link->random ^= link->random << 17;
	return link->random;
}

static void
retry_later(struct link *link)
{
	loop_timer_start(
	    &link->retry, link_backoff_ns(link->attempt, next_random(link)));
	if (link->attempt < 16)
		link->attempt++;
}

/* Said once, however often the same is found again. */
static void
set_reason(struct link *link, const char *text)
{
	if (strcmp(link->reason, text) == 0)
		return;
	snprintf(link->reason, sizeof(link->reason), "%s", text);
	log_warning("broker_away", "reason=%s", log_quote(link->reason));
}

static void
on_socket(void *arg, int fd, unsigned ready)
{
	struct link *link = arg;

	(void)fd;
	(void)ready;
	/* What goes wrong is told by on_lost(). */
	(void)ring_endpoint_process(link->endpoint);
}

static void
on_bell(void *arg, int fd, unsigned ready)
{
	struct link *link = arg;

	(void)fd;
	(void)ready;
	/* The socket's end follows and does the rest. */
	if (link->ring != NULL && !ring_link_drain_bell(link->ring))
		loop_fd_stop(&link->bell_watch);
}

static void
connect_now(void *arg)
{
	struct link *link = arg;
	char text[160];
	int err;

	err = ring_endpoint_connect(link->endpoint);
	if (err == 0) {
		err = loop_fd_start(&link->socket_watch, link->loop,
		    ring_endpoint_fd(link->endpoint), LOOP_READ, on_socket,
		    link);
		if (err != 0)
			ring_endpoint_poison(
			    link->endpoint, "the socket cannot be watched");
		return;
	}
	snprintf(text, sizeof(text),
	    "the broker cannot be reached: %s; is weir-broker running with "
	    "the same run_dir?",
	    strerror(-err));
	set_reason(link, text);
	retry_later(link);
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

void
link_tend_later(struct link *link)
{
	if (link->ring != NULL && !loop_timer_is_running(&link->tend) &&
	    ring_link_needs_tending(link->ring))
		loop_timer_start(&link->tend, RING_TEND_NS);
}

static void
tend(void *arg)
{
	struct link *link = arg;

	if (link->ring == NULL)
		return;
	if (ring_link_tend(link->ring, loop_now_ns(link->loop)))
		loop_again(link->loop);
	log_changes(link);
	link_tend_later(link);
}

/* Lanes that were open in a former life are open again. */
static void
tell_lanes(struct link *link)
{
	const struct ring_lane_geometry *geometry;

	for (uint32_t i = 0; i < RING_LANES; i++) {
		geometry = ring_link_producer_lane(link->ring, i);
		if (geometry != NULL)
			link->events->lane_opened(
			    link->context, geometry->name, i);
	}
}

static uint32_t
find_receipts(struct link *link)
{
	const struct ring_lane_geometry *geometry = NULL;

	link->receipts = NULL;
	for (uint32_t i = 0; i < RING_LANES && geometry == NULL; i++) {
		geometry = ring_link_consumer_lane(link->ring, i);
		link->receipts = ring_link_consumer(link->ring, i);
	}
	if (geometry == NULL || link->receipts == NULL)
		return 0;
	return link_receipt_room(geometry->min_shift, &link->asks_max);
}

static void
on_attached(void *arg, struct ring_link *ring)
{
	struct link *link = arg;
	const struct ring_link_identity *identity = ring_link_identity(ring);
	uint32_t receipts;
	bool is_same;

	is_same = link->has_instance &&
	    memcmp(link->instance, identity->instance, 16) == 0;
	link->has_instance = true;
	memcpy(link->instance, identity->instance, 16);
	link->ring = ring;
	ring_trace_set_every(ring_link_trace(ring), link->trace_every);
	link->dirty = 0;
	link->read_count = 0;
	link->asks = 0;
	link->fault = NULL;
	receipts = find_receipts(link);
	if (receipts == 0) {
		link->fault = "the broker gave no lane for receipts";
		loop_again(link->loop);
		return;
	}
	link->read_word = ring_consumer_cursor(link->receipts);
	link_grant(link);
	if (loop_fd_start(&link->bell_watch, link->loop,
		ring_link_bell_fd(ring), LOOP_READ, on_bell, link) != 0)
		link->fault = "the bell cannot be watched";

	link->attempt = 0;
	link->reason[0] = '\0';
	stats_set(link->counters, COUNT_broker_up, 1);
	stats_increment(link->counters, COUNT_attaches);
	log_info("broker_attached", "epoch=%llu pid=%llu receipts=%u same=%d",
	    (unsigned long long)ring_link_epoch(ring),
	    (unsigned long long)ring_link_peer_pid(ring), receipts, is_same);
	link->events->up(
	    link->context, ring_link_epoch(ring), receipts, is_same);
	tell_lanes(link);
	loop_again(link->loop);
}

static void
on_lost(void *arg, const char *reason)
{
	struct link *link = arg;
	bool was_up = link->ring != NULL;

	loop_fd_stop(&link->socket_watch);
	loop_fd_stop(&link->bell_watch);
	link->ring = NULL;
	link->receipts = NULL;
	link->fault = NULL;
	set_reason(link, reason != NULL ? reason : "the broker went away");
	stats_set(link->counters, COUNT_broker_up, 0);
	if (was_up)
		link->events->down(link->context);
	retry_later(link);
}

static void
on_lane_opened(void *arg, enum ring_direction direction,
    const struct ring_lane_geometry *geometry)
{
	struct link *link = arg;

	if (direction != RING_TO_BROKER)
		return;
	log_info("lane_opened", "set=%s lane=%u", log_quote(geometry->name),
	    geometry->lane);
	link->events->lane_opened(
	    link->context, geometry->name, geometry->lane);
}

static void
on_lane_refused(void *arg, const char *set, const char *text)
{
	struct link *link = arg;

	log_warning("lane_refused", "set=%s reason=%s", log_quote(set),
	    log_quote(text));
	link->events->lane_refused(link->context, set);
}

static bool
lane_is_wanted(void *arg, const char *set)
{
	struct link *link = arg;

	return link->events->lane_is_wanted(link->context, set);
}

static void
on_lane_closing(void *arg, const char *set, uint32_t lane)
{
	struct link *link = arg;

	(void)lane;
	link->events->lane_closing(link->context, set);
}

static void
on_lane_closed(void *arg, const char *set, uint32_t lane)
{
	struct link *link = arg;

	log_info("lane_closed", "set=%s lane=%u", log_quote(set), lane);
	link->events->lane_closed(link->context, set);
}

static void
on_order(void *arg, const char *word)
{
	struct link *link = arg;

	if (strcmp(word, RING_ORDER_RELOAD) == 0)
		link->events->reload(link->context);
}

static void
on_filters_begin(void *arg)
{
	struct link *link = arg;

	link->events->filters_begin(link->context);
}

static void
on_filter(void *arg, const char *bridge, const char *filter, size_t length)
{
	struct link *link = arg;

	link->events->filter(link->context, bridge, slice_of(filter, length));
}

static void
on_filters_end(void *arg, uint64_t version)
{
	struct link *link = arg;

	log_debug("filters_taken", "version=%llu", (unsigned long long)version);
	link->events->filters_end(link->context);
}

struct link *
link_new(const char *run_dir, struct loop *loop,
    const struct link_events *events, void *context,
    struct stats_block *counters, uint64_t seed)
{
	static const struct ring_endpoint_callbacks callbacks = {
		.attached = on_attached,
		.lane_opened = on_lane_opened,
		.lane_refused = on_lane_refused,
		.lane_is_wanted = lane_is_wanted,
		.lane_closing = on_lane_closing,
		.lane_closed = on_lane_closed,
		.filters_begin = on_filters_begin,
		.filter = on_filter,
		.filters_end = on_filters_end,
		.order = on_order,
		.lost = on_lost,
	};
	struct link *link;

	link = calloc(1, sizeof(*link));
	if (link == NULL)
		return NULL;
	link->loop = loop;
	link->events = events;
	link->context = context;
	link->counters = counters;
	link->random = seed | 1;
	snprintf(link->reason, sizeof(link->reason),
	    "the broker has not answered yet");
	loop_timer_init(&link->retry, loop, connect_now, link);
	loop_timer_init(&link->tend, loop, tend, link);
	link->endpoint = ring_endpoint_new(
	    run_dir, RING_ROLE_HTTPD, "httpd", &callbacks, link);
	if (link->endpoint == NULL) {
		free(link);
		return NULL;
	}
	return link;
}

void
link_free(struct link *link)
{
	if (link == NULL)
		return;
	loop_timer_stop(&link->retry);
	loop_timer_stop(&link->tend);
	loop_fd_stop(&link->socket_watch);
	loop_fd_stop(&link->bell_watch);
	ring_endpoint_free(link->endpoint);
	free(link);
}

void
link_start(struct link *link)
{
	connect_now(link);
}

void
link_set_trace_every(struct link *link, uint64_t every)
{
	link->trace_every = every;
}

void
link_set_lane_idle(struct link *link, uint64_t idle_ns)
{
	link->lane_idle_ns = idle_ns;
}

bool
link_is_up(const struct link *link)
{
	return link->ring != NULL;
}

const char *
link_reason(const struct link *link)
{
	return link->reason;
}

int
link_broker_stats_fd(const struct link *link)
{
	return link->ring == NULL ? -1 : ring_endpoint_stats_fd(link->endpoint);
}

uint64_t
link_epoch(const struct link *link)
{
	return link->ring == NULL ? 0 : ring_link_epoch(link->ring);
}

void *
link_notes(struct link *link)
{
	return ring_link_notes(link->ring);
}

void
link_open_lane(struct link *link, const char *set)
{
	int err;

	err = ring_endpoint_open_lane(link->endpoint, set);
	if (err != 0 && link->ring != NULL)
		link->fault = "the broker does not read its control socket";
}

void
link_beat(struct link *link)
{
	uint64_t now_ns = clock_now_ns();

	if (link->ring != NULL)
		ring_link_beat(link->ring, now_ns);
	if (link->lane_idle_ns != 0)
		ring_endpoint_close_idle(
		    link->endpoint, now_ns, link->lane_idle_ns);
	link_tend_later(link);
}

struct board *
link_board(struct link *link)
{
	return link->ring == NULL ? NULL : ring_link_board(link->ring);
}
