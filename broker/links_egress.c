/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_egress.h"

#include <string.h>

#include "broker/backlog.h"
#include "broker/bridge_port_links.h"
#include "broker/bridge_table.h"
#include "broker/links_feed.h"
#include "broker/links_private.h"
#include "broker/links_salvage.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/base/log.h"

static uint64_t
capacity_of(const struct links_output *output)
{
	return ring_class_size(
	    output->geometry.min_shift, output->geometry.classes - 1);
}

static enum conf_overflow
policy_of(const struct links *links, unsigned bridge)
{
	return links->endpoints[bridge + 1]->overflow;
}

static bool
drops(enum conf_overflow policy)
{
	return policy == CONF_OVERFLOW_DROP_OLDEST ||
	    policy == CONF_OVERFLOW_DROP_NEWEST;
}

/* ---- policies -------------------------------------------------------------
 */

static void
count_too_large(struct links *links, unsigned bridge, size_t length)
{
	struct links_output *output = links_bridge_output(links, bridge);

	links_count(links, COUNT_bridge_too_large, 1);
	if (output->too_large++ != 0)
		return;
	log_warning("message_too_large",
	    "bridge=%s bytes=%zu most=%llu hint=\"raise ring.max_capacity of "
	    "the bridge, or lower max_packet_size; later ones are only "
	    "counted\"",
	    log_quote(bridge_table_name(links->broker->bridges, bridge)),
	    length, (unsigned long long)(capacity_of(output) / 4));
}

static bool
can_ever_hold(const struct links_output *output, size_t length)
{
	return output->producer == NULL ||
	    length <= ring_producer_max_payload(output->producer);
}

uint64_t
links_egress_fitting(struct links *links, uint64_t bridges, size_t length)
{
	uint64_t fitting = bridges;
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		if (can_ever_hold(links_bridge_output(links, bridge), length))
			continue;
		count_too_large(links, bridge, length);
		fitting &= ~(UINT64_C(1) << bridge);
	}
	return fitting;
}

static void
count_dropped(struct links *links, struct links_output *output)
{
	output->dropped++;
	links_count(links, COUNT_bridge_dropped, 1);
	if (output->producer != NULL)
		ring_producer_count_dropped(output->producer);
}

void
links_egress_drop(struct links *links, unsigned bridge)
{
	count_dropped(links, links_bridge_output(links, bridge));
}

/* Ask early: it takes effect when the consumer has run. */
void
links_egress_ask_to_drop(struct links *links, unsigned bridge)
{
	struct links_output *output = links_bridge_output(links, bridge);

	if (output->producer == NULL ||
	    !ring_producer_drop_oldest(
		output->producer, capacity_of(output) / 4))
		return;
	output->drop_requests++;
	links->endpoints[bridge + 1]->is_touched = true;
}

bool
links_egress_make_room(
    struct links *links, unsigned bridge, size_t length, bool is_offered)
{
	struct links_output *output = links_bridge_output(links, bridge);

	if (!can_ever_hold(output, length)) {
		count_too_large(links, bridge, length);
		output->offers.declined += is_offered;
		return false;
	}
	if (policy_of(links, bridge) == CONF_OVERFLOW_DROP_OLDEST)
		links_egress_ask_to_drop(links, bridge);
	if (links_output_has_room(output, length, NULL))
		return true;
	links_output_lacks(output, links->now_ns, NULL);
	links_output_accept(output, is_offered);
	count_dropped(links, output);
	return false;
}

void
links_egress_refused(struct links *links, uint64_t bridges)
{
	struct links_output *output;
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		output = links_bridge_output(links, bridge);
		output->refused++;
		links_count(links, COUNT_bridge_refused, 1);
		links_output_lacks(output, links->now_ns, NULL);
		if (output->producer != NULL)
			ring_producer_count_refused(output->producer);
	}
}

/* ---- from the ports -------------------------------------------------------
 */

static struct record_message
record_of(const struct message *message)
{
	uint64_t left_ns, left_s;
	struct record_message record = {
		.qos = message->qos,
		.retain = message->retain,
		.expiry_s = RECORD_NEVER_EXPIRES,
		.topic = message_topic(message),
		.properties = message_properties(message),
		.payload = message_payload(message),
	};

	if (message->expires_ns == UINT64_MAX)
		return record;
	left_ns = message->expires_ns > message->created_ns
	    ? message->expires_ns - message->created_ns
	    : 0;
	left_s = (left_ns + CLOCK_SECOND_NS - 1) / CLOCK_SECOND_NS;
	record.expiry_s = left_s < RECORD_NEVER_EXPIRES
	    ? (uint32_t)left_s
	    : RECORD_NEVER_EXPIRES - 1;
	return record;
}

size_t
links_egress_body_size(const struct message *message)
{
	const struct record_message body = record_of(message);

	return record_message_size(&body);
}

size_t
links_egress_weight(size_t body_size)
{
	return body_size - sizeof(struct record_message_header) +
	    MESSAGE_LEAST_WEIGHT;
}

/* When its worker had it, which is the first that is known of it. */
static void
begin_trace(struct ring_trace *trace, struct ring_record *record)
{
	const struct ring_trace_id id = ring_trace_id_of(record);

	record->flags |= RING_TRACED;
	ring_trace_note(trace, &id, RING_TRACE_READ, record->time_ns);
}

void
links_egress_put(struct links *links, unsigned bridge,
    const struct message *message, const struct ring_record *record)
{
	struct links_output *output = links_bridge_output(links, bridge);
	struct ring_trace *trace = links_bridge_trace(links, bridge);
	const struct record_message body = record_of(message);
	struct ring_record sampled = *record;

	record_message_write(
	    &body, links_output_claim(output, record_message_size(&body)));
	if (record->source_link == MESSAGE_FROM_MQTT &&
	    ring_trace_is_due(trace))
		begin_trace(trace, &sampled);
	links_output_put(output, &sampled);
	ring_trace_note_record(trace, &sampled, RING_TRACE_ROUTED);
}

static void
put_item(struct links *links, const struct bridge_port_item *item,
    unsigned port, unsigned bridge)
{
	const struct ring_record record = {
		.kind = RECORD_MESSAGE,
		.source_link = MESSAGE_FROM_MQTT,
		.source_lane = (uint16_t)port,
		.source_sequence = item->ticket,
		.identity = item->message->identity,
		.time_ns = item->message->created_ns,
	};

	links_output_accept(links_bridge_output(links, bridge), true);
	links_egress_put(links, bridge, item->message, &record);
}

/* QoS 0 does not overtake what waits in the journal, nor wait itself. */
static bool
is_lost_behind_feed(struct links *links, unsigned bridge)
{
	if (!links_feed_is_behind(links->endpoints[bridge + 1]))
		return false;
	if (policy_of(links, bridge) == CONF_OVERFLOW_REJECT) {
		links_egress_refused(links, UINT64_C(1) << bridge);
		links_bridge_output(links, bridge)->offers.declined++;
		return true;
	}
	links_output_accept(links_bridge_output(links, bridge), true);
	links_egress_drop(links, bridge);
	return true;
}

/*
 * Returns false if the item has to wait.  It may get in line for the room
 * only if `may_queue`: who was served just now lets the others go first.
 */
static bool
take_item(struct links *links, unsigned port, unsigned bridge,
    const struct bridge_port_item *item, bool may_queue)
{
	struct links_output *output = links_bridge_output(links, bridge);
	const void *who = links->ports[port];
	size_t length = links_egress_body_size(item->message);

	if (is_lost_behind_feed(links, bridge))
		return true;
	if (drops(policy_of(links, bridge))) {
		if (links_egress_make_room(links, bridge, length, true))
			put_item(links, item, port, bridge);
		return true;
	}
	if (!can_ever_hold(output, length)) {
		count_too_large(links, bridge, length);
		output->offers.declined++;
		return true;
	}
	if (!links_output_has_room(output, length, who)) {
		links_output_lacks(
		    output, links->now_ns, may_queue ? who : NULL);
		return false;
	}
	put_item(links, item, port, bridge);
	return true;
}

static bool
serve(struct links *links, unsigned port, unsigned bridge)
{
	struct bridge_port_item *item;
	size_t bytes = 0;
	unsigned taken = 0;

	while (taken < LINKS_TURN_RECORDS && bytes < LINKS_TURN_BYTES) {
		item = bridge_port_head(links->ports[port], bridge);
		if (item == NULL ||
		    !take_item(links, port, bridge, item, taken == 0))
			break;
		bytes += item->weight;
		taken++;
		bridge_port_advance(links->ports[port], bridge);
	}
	return taken > 0;
}

bool
links_egress_round(struct links *links)
{
	unsigned bridge, port;
	bool moved = false;

	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		if (links->endpoints[i]->salvage != NULL)
			moved |= links_salvage_round(links->endpoints[i]);
	}
	for (unsigned i = 0; i < links->port_count; i++) {
		port = (unsigned)((links->turns + i) % links->port_count);
		if (links->ports[port] == NULL)
			continue;
		BRIDGE_TABLE_EACH(
		    bridge, bridge_port_waiting(links->ports[port]))
		moved |= serve(links, port, bridge);
	}
	return moved;
}

void
links_egress_publish(struct links *links)
{
	for (unsigned i = 0; i < links->port_count; i++) {
		if (links->ports[i] != NULL)
			bridge_port_publish(links->ports[i]);
	}
}

bool
links_egress_is_empty(struct links *links)
{
	for (unsigned i = 0; i < links->port_count; i++) {
		if (links->ports[i] == NULL)
			continue;
		bridge_port_collect(links->ports[i]);
		if (bridge_port_waiting(links->ports[i]) != 0)
			return false;
	}
	return true;
}

/* ---- is a ring full? ------------------------------------------------------
 */

/*
 * A bridge that rejects begins while the largest record still fits: what
 * workers let through meanwhile is then put into the ring, not held.
 */
static bool
is_short(struct links *links, unsigned bridge)
{
	struct links_output *output = links_bridge_output(links, bridge);
	const uint64_t largest = capacity_of(output) / 4;

	/* The backlog is in front of the ring. */
	if (links->endpoints[bridge + 1]->feed != NULL)
		return (backlog_full(links->broker->backlogs) >> bridge & 1) !=
		    0 ||
		    backlog_is_short(links->broker->backlogs, bridge);
	return policy_of(links, bridge) == CONF_OVERFLOW_REJECT &&
	    output->producer != NULL &&
	    ring_producer_free_bytes(output->producer, largest) < largest;
}

/* Nobody waits in line, and there is room to speak of again. */
static bool
has_recovered(struct links *links, unsigned bridge)
{
	struct links_output *output = links_bridge_output(links, bridge);

	if (links->endpoints[bridge + 1]->feed != NULL)
		return !is_short(links, bridge);
	return output->waiter == NULL && output->producer != NULL &&
	    !is_short(links, bridge) &&
	    ring_producer_free_bytes(output->producer, 0) >=
	    capacity_of(output) / 8;
}

/* Said by the bridge once it is connected, and kept when it is not. */
static void
note_remote(struct links *links, unsigned bridge)
{
	struct links_output *output = links_bridge_output(links, bridge);
	uint64_t id[2];

	if (output->producer == NULL)
		return;
	ring_producer_remote_id(output->producer, id);
	if (id[0] == output->remote_id[0] && id[1] == output->remote_id[1])
		return;
	memcpy(output->remote_id, id, sizeof(id));
	bridge_table_set_remote(links->broker->bridges, bridge, id);
}

void
links_egress_note_full(struct links *links)
{
	struct links_output *output;
	uint64_t full = 0;

	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		note_remote(links, i - 1);
		output = &links->endpoints[i]->output;
		if (output->lacking_since_ns == 0 && is_short(links, i - 1))
			links_output_lacks(output, links->now_ns, NULL);
		if (output->lacking_since_ns == 0)
			continue;
		if (has_recovered(links, i - 1)) {
			output->lacking_since_ns = 0;
			if (output->producer != NULL)
				ring_producer_unstall(
				    output->producer, links->now_ns);
		} else {
			full |= UINT64_C(1) << (i - 1);
		}
	}
	/* Relaxed: advice; see bridge_port_offer(). */
	atomic_store_explicit(&links->full, full, memory_order_relaxed);
}

static bool
port_can_move(struct links *links, struct bridge_port *port)
{
	struct bridge_port_item *item;
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridge_port_waiting(port))
	{
		item = bridge_port_head(port, bridge);
		if (drops(policy_of(links, bridge)) ||
		    links_feed_is_behind(links->endpoints[bridge + 1]) ||
		    links_output_has_room(links_bridge_output(links, bridge),
			links_egress_body_size(item->message), port))
			return true;
	}
	return false;
}

bool
links_egress_can_move(struct links *links)
{
	struct links_output *output;

	for (unsigned i = 0; i < links->port_count; i++) {
		if (links->ports[i] != NULL &&
		    port_can_move(links, links->ports[i]))
			return true;
	}
	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		output = &links->endpoints[i]->output;
		if (output->lacking_since_ns != 0 &&
		    has_recovered(links, i - 1))
			return true;
		if (links_salvage_can_move(links->endpoints[i]))
			return true;
	}
	return false;
}
