/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_feed_ring - where a feed stands: what its ring has, and had.
 */

#include <errno.h>
#include <stdlib.h>

#include "broker/bridge_table.h"
#include "broker/commit.h"
#include "broker/links_dead.h"
#include "broker/links_feed_private.h"
#include "broker/links_terms.h"
#include "broker/message.h"
#include "broker/recover.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/*
 * The floor is told when it moved so far, when all is out of the ring, and
 * once a second.  What it lags behind may be sent again after a power cut.
 */
#define FLOOR_STEP 64u

/* So long behind: the log says so. */
#define BEHIND_NS CLOCK_SECOND_NS

/* ---- the floor ------------------------------------------------------------
 */

void
links_feed_note_head(
    struct links_endpoint *endpoint, uint64_t position, uint64_t sequence)
{
	struct links_feed *feed = endpoint->feed;
	unsigned last =
	    (feed->first_head + feed->head_count) % LINKS_FEED_HEADS;

	if (feed->head_count == LINKS_FEED_HEADS)
		last = (last + LINKS_FEED_HEADS - 1) % LINKS_FEED_HEADS;
	else
		feed->head_count++;
	feed->heads[last].position = position;
	feed->heads[last].sequence = sequence;
}

/* What was put last that a head stands for. */
static uint64_t
noted(const struct links_feed *feed)
{
	if (feed->head_count == 0)
		return feed->floor;
	return feed
	    ->heads[(feed->first_head + feed->head_count - 1) %
		LINKS_FEED_HEADS]
	    .sequence;
}

/* All up to what is it out of the ring? */
static void
move_floor(struct links_endpoint *endpoint)
{
	struct links_feed *feed = endpoint->feed;
	uint64_t tail;

	if (feed->head_count == 0)
		return;
	tail = RING_POSITION(ring_producer_tail(endpoint->output.producer));
	while (feed->head_count > 0 &&
	    feed->heads[feed->first_head].position <= tail) {
		feed->floor = feed->heads[feed->first_head].sequence;
		feed->first_head = (feed->first_head + 1) % LINKS_FEED_HEADS;
		feed->head_count--;
	}
}

static void
tell_floor(struct links_endpoint *endpoint)
{
	struct links_feed *feed = endpoint->feed;
	const struct store_done done = {
		.cursor = feed->cursor,
		.floor = feed->floor,
	};

	if (feed->floor == feed->told || endpoint->links->journal.port == NULL)
		return;
	commit_done(endpoint->links->journal.port, &done);
	feed->told = feed->floor;
}

void
links_feed_committed(struct links_endpoint *endpoint)
{
	struct links_feed *feed = endpoint->feed;
	struct ring_producer *producer = endpoint->output.producer;

	if (feed == NULL || producer == NULL)
		return;
	if (feed->put > noted(feed))
		links_feed_note_head(endpoint,
		    RING_POSITION(ring_producer_next_head(producer)),
		    feed->put);
	move_floor(endpoint);
	if (feed->head_count == 0 || feed->floor - feed->told >= FLOOR_STEP ||
	    endpoint->links->is_draining)
		tell_floor(endpoint);
}

/* ---- another ring ---------------------------------------------------------
 */

/* What is in the window is read again. */
static void
empty_window(struct links_feed *feed)
{
	while (feed->head != NULL) {
		feed->later++;
		feed->later_bytes += feed->head->counted;
		links_feed_remove_head(feed);
	}
}

/* Go on behind `put`. */
static void
resume(struct links_feed *feed, uint64_t put)
{
	const bool is_reading = feed->feed.is_reading;

	feed_init(&feed->feed, put, feed->feed.arrived);
	feed->feed.is_reading = is_reading;
	feed->is_stale = is_reading;
	feed->queued = feed->put = put;
	feed->early = 0;
}

void
links_feed_ring_found(
    struct links_endpoint *endpoint, const struct links_feed_ring *ring)
{
	struct links_feed *feed = endpoint->feed;
	struct links_output *output = &endpoint->output;
	const uint64_t bytes =
	    links_feed_at_most(ring->bytes, feed->later_bytes);
	uint64_t put;

	put = ring_forward_sequence(
	    output->forward, endpoint->id, LINKS_FEED_FORWARD);
	if (feed->is_new || put > feed->feed.arrived) {
		/* It speaks of another journal than there is. */
		ring_forward_forget_lane(
		    output->forward, endpoint->id, LINKS_FEED_FORWARD);
		feed->head_count = 0;
		return;
	}
	if (put < feed->floor)
		put = feed->floor;
	empty_window(feed);
	output->accepted -= links_feed_at_most(ring->count, output->accepted);
	feed->later -= links_feed_at_most(ring->count, feed->later);
	feed->later_bytes -= bytes;
	backlog_passed(
	    links_feed_backlogs(endpoint), links_feed_bridge(endpoint), bytes);
	if (put > noted(feed))
		links_feed_note_head(endpoint,
		    RING_POSITION(ring_producer_next_head(output->producer)),
		    put);
	resume(feed, put);
	/* The floor may be behind what it has released. */
	links_feed_catch_up(endpoint);
}

struct links_feed_ring
links_feed_ring_unknown(const struct links_endpoint *endpoint)
{
	return (struct links_feed_ring){
		.first = endpoint->feed == NULL ? 0 : endpoint->feed->floor + 1,
	};
}

void
links_feed_ring_lost(
    struct links_endpoint *endpoint, const struct links_feed_ring *ring)
{
	struct links_feed *feed = endpoint->feed;
	uint64_t floor;

	if (feed == NULL)
		return;
	floor = ring->first == 0 ? feed->put : ring->first - 1;
	empty_window(feed);
	feed->later += ring->count;
	feed->later_bytes += ring->bytes;
	backlog_return(links_feed_backlogs(endpoint),
	    links_feed_bridge(endpoint), ring->bytes);
	if (floor > feed->floor)
		feed->floor = floor;
	feed->head_count = 0;
	resume(feed, feed->floor);
}

/* ---- once a second -------------------------------------------------------
 */

static void
log_behind(struct links_endpoint *endpoint, uint64_t now_ns)
{
	struct links_feed *feed = endpoint->feed;

	if (feed->behind_since_ns == 0)
		feed->behind_since_ns = now_ns;
	if (feed->behind_is_logged ||
	    now_ns - feed->behind_since_ns < BEHIND_NS)
		return;
	feed->behind_is_logged = true;
	log_info("bridge_behind",
	    "bridge=%s messages=%llu bytes=%llu backlog=%llu "
	    "reason=\"its ring is full: what comes waits in the journal\"",
	    log_quote(endpoint->identity.name),
	    (unsigned long long)links_feed_waiting(endpoint),
	    (unsigned long long)backlog_bytes(
		links_feed_backlogs(endpoint), links_feed_bridge(endpoint)),
	    (unsigned long long)backlog_limit(
		links_feed_backlogs(endpoint), links_feed_bridge(endpoint)));
}

static void
log_caught_up(struct links_endpoint *endpoint, uint64_t now_ns)
{
	struct links_feed *feed = endpoint->feed;

	if (feed->behind_is_logged)
		log_info("bridge_caught_up", "bridge=%s duration_ms=%llu",
		    log_quote(endpoint->identity.name),
		    (unsigned long long)((now_ns - feed->behind_since_ns) /
			CLOCK_MS_NS));
	feed->behind_since_ns = 0;
	feed->behind_is_logged = false;
}

void
links_feed_beat(struct links *links)
{
	struct links_endpoint *endpoint;

	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (endpoint->feed == NULL)
			continue;
		endpoint->feed->waits = false;
		tell_floor(endpoint);
		if (links_feed_is_behind(endpoint))
			log_behind(endpoint, links->now_ns);
		else
			log_caught_up(endpoint, links->now_ns);
	}
	loop_again(links->loop);
}

/* ---- life -----------------------------------------------------------------
 */

/* A bridge that the journal has not seen begins here. */
static int
open_cursor(struct links_endpoint *endpoint)
{
	struct broker *broker = endpoint->links->broker;
	struct store_bridge bridge = {
		.cursor = broker_new_cursor(broker),
		.name = slice_of_string(endpoint->identity.name),
	};
	uint8_t body[STORE_SMALL_MAX];
	uint64_t sequence;
	int err;

	endpoint->feed->cursor = bridge.cursor;
	endpoint->feed->is_new = true;
	store_bridge_write(&bridge, body);
	err = store_append_open(broker->store, bridge.cursor);
	if (err == 0)
		err = store_append(broker->store, STORE_BRIDGE,
		    slice_of(body, store_bridge_size(&bridge)), &sequence);
	if (err == 0)
		err = store_commit(broker->store, true);
	if (err == -ENOSPC)
		log_error("journal_full",
		    "bridge=%s reason=\"a new bridge needs a record, and the "
		    "journal has no room left\" help=\"raise journal.max_size, "
		    "or start without this bridge until what waits is gone\"",
		    log_quote(endpoint->identity.name));
	return err;
}

static void
take_recovered(
    struct links_endpoint *endpoint, const struct recovered_bridge *recovered)
{
	struct links_feed *feed = endpoint->feed;

	feed->cursor = recovered->cursor;
	feed->floor = feed->told = recovered->floor;
	feed->later = recovered->queued;
	feed->later_bytes = recovered->queued_bytes;
	feed_init(&feed->feed, recovered->floor, recovered->last);
	feed->queued = feed->put = recovered->floor;
	feed->terms = recovered->terms;
	links_dead_recover(endpoint);
	feed->accepted_upto = endpoint->links->broker->recovered->committed;
	links_terms_recover(endpoint, recovered);
	backlog_set(links_feed_backlogs(endpoint), links_feed_bridge(endpoint),
	    recovered->queued_bytes);
}

int
links_feed_new(struct links_endpoint *endpoint)
{
	struct broker *broker = endpoint->links->broker;
	const struct recovered_bridge *recovered =
	    &broker->recovered->bridges[endpoint->bridge_number];
	struct links_feed *feed;
	int err = 0;

	feed = calloc(1, sizeof(*feed));
	if (feed == NULL)
		return -ENOMEM;
	feed->tail = &feed->head;
	endpoint->feed = feed;
	if (recovered->cursor != 0)
		take_recovered(endpoint, recovered);
	else
		err = open_cursor(endpoint);
	if (err != 0)
		return err;
	bridge_table_set_cursor(
	    broker->bridges, links_feed_bridge(endpoint), feed->cursor);
	return 0;
}

void
links_feed_free(struct links_endpoint *endpoint)
{
	struct links_feed *feed = endpoint->feed;

	if (feed == NULL)
		return;
	while (feed->head != NULL)
		links_feed_remove_head(feed);
	free(feed);
	endpoint->feed = NULL;
}
