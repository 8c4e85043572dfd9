/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_feed.h"

#include <stdlib.h>

#include "broker/commit.h"
#include "broker/links_egress.h"
#include "broker/links_feed_private.h"
#include "broker/links_ingress.h"
#include "broker/message.h"

/* A read is begun while the window holds no more, and brings no more. */
#define LOW_BYTES (LINKS_FEED_WINDOW / 2)
#define READ_MESSAGES 1024u

/* Bytes that a bridge may be late when it is asked to skip some. */
#define DROP_PATIENCE (256u << 10)

/* ---- the window ----------------------------------------------------------
 */

static void
append(struct links_feed *feed, struct links_feed_item *item)
{
	item->next = NULL;
	*feed->tail = item;
	feed->tail = &item->next;
	feed->count++;
	feed->bytes += message_weight(item->message);
	feed->queued = item->sequence;
}

void
links_feed_remove_head(struct links_feed *feed)
{
	struct links_feed_item *item = feed->head;

	feed->head = item->next;
	if (feed->head == NULL)
		feed->tail = &feed->head;
	feed->count--;
	feed->bytes -= message_weight(item->message);
	message_put(item->message);
	free(item);
}

/* It is in the ring, or never will be. */
static void
pass_head(struct links_endpoint *endpoint)
{
	struct links_feed *feed = endpoint->feed;

	backlog_passed(links_feed_backlogs(endpoint),
	    links_feed_bridge(endpoint), feed->head->counted);
	feed->put = feed->head->sequence;
	links_feed_remove_head(feed);
}

static struct links_feed_item *
new_item(struct message *message, uint64_t sequence, size_t counted)
{
	struct links_feed_item *item = malloc(sizeof(*item));

	if (item != NULL)
		*item = (struct links_feed_item){
			.message = message_take(message),
			.sequence = sequence,
			.counted = counted,
		};
	return item;
}

static void
free_item(struct links_feed_item *item)
{
	if (item != NULL)
		message_put(item->message);
	free(item);
}

/* ---- what comes -----------------------------------------------------------
 */

/*
 * Did the broker count its offer?  A lane stays while anything of it is not
 * settled, and it is settled after this; memory that is gone was httpd's to
 * count with.
 */
static bool
is_offered_here(
    const struct links_endpoint *endpoint, const struct message *message)
{
	const uint64_t bit = UINT64_C(1) << endpoint->bridge_number;
	const struct links_endpoint *source;

	if (message->link == MESSAGE_FROM_MQTT)
		return true;
	source = endpoint->links->endpoints[sources_link(message->link)];
	if (source == NULL || source->source != message->link ||
	    message->lane >= RING_LANES ||
	    source->lanes[message->lane].consumer == NULL)
		return sources_link(message->link) != 0;
	return links_ingress_offered(
		   source, &source->lanes[message->lane], bit) != 0;
}

void
links_feed_arrived(
    struct links_endpoint *endpoint, struct message *message, uint64_t sequence)
{
	struct links_feed *feed = endpoint->feed;
	const size_t weight = message_weight(message);
	struct links_feed_item *item = NULL;
	bool has_room =
	    feed->bytes + weight <= LINKS_FEED_WINDOW || feed->count == 0;

	feed->accepted_upto = sequence;
	links_output_accept(
	    &endpoint->output, is_offered_here(endpoint, message));
	if (has_room && !feed->feed.is_lagging)
		item = new_item(message, sequence, weight);
	if (feed_arrives(&feed->feed, sequence, item != NULL) == FEED_KEEP) {
		append(feed, item);
		return;
	}
	free_item(item);
	if (sequence <= feed->queued) {
		feed->early -=
		    links_feed_at_most(1, feed->early); /* it was faster */
	} else {
		feed->later++;
		feed->later_bytes += weight;
	}
}

void
links_feed_loaded(
    struct links_endpoint *endpoint, struct message *message, uint64_t sequence)
{
	struct links_feed *feed = endpoint->feed;
	const bool is_early = sequence > feed->feed.arrived;
	size_t counted = message_weight(message);
	struct links_feed_item *item;

	if (feed->is_stale || sequence <= feed->queued)
		return;
	if (!is_early)
		counted = links_feed_at_most(counted, feed->later_bytes);
	item = new_item(message, sequence, counted);
	if (item == NULL) {
		feed->is_stale = true;
		feed->waits = true;
		return;
	}
	append(feed, item);
	if (is_early) {
		feed->early++;
		return;
	}
	feed->later -= links_feed_at_most(1, feed->later);
	feed->later_bytes -= counted;
}

void
links_feed_catch_up(struct links_endpoint *endpoint)
{
	struct links_feed *feed = endpoint->feed;

	if (feed->feed.is_lagging)
		return;
	backlog_passed(links_feed_backlogs(endpoint),
	    links_feed_bridge(endpoint), feed->later_bytes);
	endpoint->output.accepted -=
	    links_feed_at_most(feed->later, endpoint->output.accepted);
	feed->later = feed->later_bytes = 0;
}

void
links_feed_loaded_upto(struct links_endpoint *endpoint, uint64_t upto, int err)
{
	struct links_feed *feed = endpoint->feed;

	if (feed->is_stale || err != 0) {
		feed->is_stale = false;
		feed_read_failed(&feed->feed);
		feed->waits |= err != 0;
		return;
	}
	feed_loaded(&feed->feed, upto);
	links_feed_catch_up(endpoint);
}

static void
begin_read(struct links_endpoint *endpoint)
{
	struct links_feed *feed = endpoint->feed;
	struct commit_port *port = endpoint->links->journal.port;

	if (feed->waits ||
	    !feed_begins_read(&feed->feed, feed->bytes <= LOW_BYTES))
		return;
	if (commit_read(port, feed->cursor, feed->feed.next, READ_MESSAGES,
		LOW_BYTES) == 0)
		return;
	feed_read_failed(&feed->feed);
	feed->waits = true;
}

/* ---- into the ring --------------------------------------------------------
 */

static struct ring_record
record_for(const struct links_feed_item *item)
{
	const struct message *message = item->message;
	struct ring_record record = {
		.kind = RECORD_MESSAGE,
		.correlation = item->sequence,
		.source_link = MESSAGE_FROM_MQTT,
		.source_lane = LINKS_FEED_LANE,
		.source_sequence = item->sequence,
		.identity = message->identity,
		.time_ns = message->created_ns,
	};

	if (message->link == MESSAGE_FROM_MQTT)
		return record;
	record.source_link = sources_link(message->link);
	record.source_lane = (uint16_t)message->lane;
	record.source_sequence = message->sequence;
	return record;
}

static void
put_head(struct links_endpoint *endpoint)
{
	struct links_output *output = &endpoint->output;
	const struct links_feed_item *item = endpoint->feed->head;
	struct ring_record record = record_for(item);

	if (links_journal_was_traced(endpoint->links, item->message))
		record.flags |= RING_TRACED;
	links_egress_put(endpoint->links, links_feed_bridge(endpoint),
	    item->message, &record);
	ring_forward_note(
	    output->forward, endpoint->id, LINKS_FEED_FORWARD, item->sequence);
	pass_head(endpoint);
}

static void
drop_head(struct links_endpoint *endpoint)
{
	links_egress_drop(endpoint->links, links_feed_bridge(endpoint));
	pass_head(endpoint);
}

static bool
may_put(const struct links_endpoint *endpoint)
{
	return endpoint->feed->head != NULL && endpoint->link != NULL &&
	    !endpoint->links->is_draining;
}

/* False: it stays where it is. */
static bool
move_head(struct links_endpoint *endpoint)
{
	struct links_output *output = &endpoint->output;
	const uint64_t bit = UINT64_C(1) << endpoint->bridge_number;
	const size_t length =
	    links_egress_body_size(endpoint->feed->head->message);

	if (links_egress_fitting(endpoint->links, bit, length) == 0) {
		drop_head(endpoint);
		return true;
	}
	if (!links_output_has_room(output, length, NULL)) {
		if (output->producer != NULL)
			ring_producer_stall(
			    output->producer, endpoint->links->now_ns);
		return false;
	}
	put_head(endpoint);
	return true;
}

/*
 * overflow = "drop_oldest": before the backlog is full the bridge is asked to
 * skip what is oldest in its ring.  One that hangs does not: when the backlog
 * is full by some more, what is oldest here goes.
 */
static bool
make_way(struct links_endpoint *endpoint)
{
	struct backlogs *backlogs = links_feed_backlogs(endpoint);
	const unsigned bridge = links_feed_bridge(endpoint);
	const uint64_t limit = backlog_limit(backlogs, bridge);
	bool moved = false;

	if (endpoint->overflow != CONF_OVERFLOW_DROP_OLDEST)
		return false;
	if (backlog_bytes(backlogs, bridge) > limit - limit / 8)
		links_egress_ask_to_drop(endpoint->links, bridge);
	while (endpoint->feed->head != NULL &&
	    backlog_bytes(backlogs, bridge) > limit + DROP_PATIENCE) {
		drop_head(endpoint);
		moved = true;
	}
	return moved;
}

static bool
serve(struct links_endpoint *endpoint)
{
	size_t bytes = 0, before;
	bool moved = make_way(endpoint);

	for (unsigned i = 0; i < LINKS_TURN_RECORDS && bytes < LINKS_TURN_BYTES;
	     i++) {
		if (!may_put(endpoint))
			break;
		before = endpoint->feed->bytes;
		if (!move_head(endpoint))
			break;
		bytes += before - endpoint->feed->bytes;
		moved = true;
	}
	begin_read(endpoint);
	return moved;
}

bool
links_feed_round(struct links *links)
{
	bool moved = false;

	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		if (links->endpoints[i]->feed != NULL)
			moved |= serve(links->endpoints[i]);
	}
	return moved;
}

static bool
can_move(struct links_endpoint *endpoint)
{
	struct links_output *output = &endpoint->output;
	struct links_feed *feed = endpoint->feed;

	if (feed->head_count > 0 && output->producer != NULL &&
	    RING_POSITION(ring_producer_tail(output->producer)) >=
		feed->heads[feed->first_head].position)
		return true;
	return may_put(endpoint) &&
	    links_output_has_room(
		output, links_egress_body_size(feed->head->message), NULL);
}

bool
links_feed_can_move(struct links *links)
{
	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		if (links->endpoints[i]->feed != NULL &&
		    can_move(links->endpoints[i]))
			return true;
	}
	return false;
}

bool
links_feed_is_behind(const struct links_endpoint *endpoint)
{
	const struct links_feed *feed = endpoint->feed;

	return feed != NULL && (feed->head != NULL || feed->feed.is_lagging);
}

uint64_t
links_feed_waiting(const struct links_endpoint *endpoint)
{
	const struct links_feed *feed = endpoint->feed;
	uint64_t all;

	if (feed == NULL)
		return 0;
	all = feed->later + feed->count;
	return all - links_feed_at_most(feed->early, all);
}
