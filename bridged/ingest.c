/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/ingest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridged/counters.h"
#include "bridged/ingest_private.h"
#include "common/mqtt/trail.h"
#include "common/msg/record.h"
#include "common/msg/topic.h"

/* Bytes of received messages that wait for the broker, roughly. */
#define WINDOW_BYTES (4u << 20)
#define WINDOW_LEAST 8
#define WINDOW_MOST 256

_Static_assert(WINDOW_MOST <= NOTES_SLOTS, "all of them can be noted");

/* The order of the levels in a record's body puts the topic first. */
#define TOPIC_OFFSET sizeof(struct record_message_header)

static bool
match(
    const void *filter, size_t filter_len, const void *topic, size_t topic_len)
{
	return topic_matches(
	    slice_of(filter, filter_len), slice_of(topic, topic_len));
}

size_t
ingest_window(size_t max_packet)
{
	size_t count = WINDOW_BYTES / max_packet;

	if (count < WINDOW_LEAST)
		return WINDOW_LEAST;
	return count > WINDOW_MOST ? WINDOW_MOST : count;
}

int
ingest_init(struct ingest *ingest, const char *name,
    const struct mapping *rules, const struct remote_kind *kind,
    struct remote *remote, struct notes *notes, struct stats_block *counters,
    void (*open_lane)(void *arg, const char *set), void *arg)
{
	*ingest = (struct ingest){
		.rules = rules,
		.kind = kind,
		.remote = remote,
		.notes = notes,
		.counters = counters,
		.open_lane = open_lane,
		.arg = arg,
	};
	ingest->last = &ingest->first;
	ingest->lanes = lane_table_new(match, name);
	ingest->topic = malloc(TOPIC_MAX_BYTES);
	if (ingest->lanes == NULL || ingest->topic == NULL) {
		ingest_fini(ingest);
		return -ENOMEM;
	}
	return 0;
}

void
ingest_drop_item(struct ingest *ingest, struct ingest_item **at)
{
	struct ingest_item *item = *at;

	if (item->state == ITEM_WAITS) {
		ingest->waiting--;
		if (item->qos == 0)
			ingest->qos0_bytes -= item->body_len;
	}
	ingest->given -= item->state == ITEM_GIVEN;
	*at = item->next;
	if (item->next == NULL)
		ingest->last = at;
	free(item);
}

void
ingest_fini(struct ingest *ingest)
{
	while (ingest->first != NULL)
		ingest_drop_item(ingest, &ingest->first);
	lane_table_free(ingest->lanes);
	free(ingest->topic);
	*ingest = (struct ingest){ 0 };
}

void
ingest_attach(struct ingest *ingest, struct ring_link *link, const char *self)
{
	ingest->link = link;
	ingest->fault = NULL;
	snprintf(ingest->self, sizeof(ingest->self), "%s", self);
}

void
ingest_detach(struct ingest *ingest)
{
	ingest->link = NULL;
	lane_table_reset(ingest->lanes);
	ingest_take_released(ingest);
}

bool
ingest_up(struct ingest *ingest, const struct remote_limits *limits)
{
	uint16_t id = 0;

	snprintf(ingest->origin, sizeof(ingest->origin), "%s", limits->weir_id);
	ingest->drops_retained = limits->marks_retained;
	if (notes_connected(ingest->notes, limits->session_present))
		return true;
	while ((id = notes_next_taken(ingest->notes, id)) != 0)
		ingest->kind->remind(ingest->remote, id);
	return false;
}

bool
ingest_forgotten(struct ingest *ingest, uint16_t id)
{
	return notes_release(ingest->notes, id);
}

void
ingest_down(struct ingest *ingest)
{
	struct ingest_item **at = &ingest->first;

	while (*at != NULL)
		if ((*at)->qos != 0)
			ingest_drop_item(ingest, at);
		else
			at = &(*at)->next;
}

static void
append(struct ingest *ingest, struct ingest_item *item)
{
	item->next = NULL;
	*ingest->last = item;
	ingest->last = &item->next;
	if (item->state == ITEM_WAITS) {
		ingest->waiting++;
		if (item->qos == 0)
			ingest->qos0_bytes += item->body_len;
	}
}

/* An item without a body: only the acknowledgement is left to be done. */
static void
settle_at_once(struct ingest *ingest, const struct remote_message *message,
    enum item_state state)
{
	struct ingest_item *item;

	if (message->qos == 0)
		return;
	item = calloc(1, sizeof(*item));
	/* Without an answer the remote sends it again; nothing is lost. */
	if (item == NULL)
		return;
	item->state = state;
	item->id = message->id;
	item->qos = message->qos;
	append(ingest, item);
}

/* What the broker is to get; false when there is nothing to be given. */
static bool
translate(struct ingest *ingest, const struct mapping_rule *rule,
    const struct remote_message *message, struct record_message *out)
{
	*out = (struct record_message){
		.qos = message->qos,
		.retain = message->retain,
		.expiry_s = message->expiry_s == REMOTE_NEVER_EXPIRES
		    ? RECORD_NEVER_EXPIRES
		    : message->expiry_s,
		.properties = message->properties,
		.payload = message->payload,
	};
	if (rule == NULL)
		return false;
	out->retain = mapping_retain(rule, message->retain);
	return mapping_topic(rule, message->topic, ingest->topic,
		   TOPIC_MAX_BYTES, &out->topic) == 0;
}

/*
 * The properties with the remote in their trail, on the heap: to be freed.
 * NULL without memory; *out_properties is then untouched.
 */
static uint8_t *
add_origin(const struct ingest *ingest, struct slice properties,
    struct slice *out_properties)
{
	uint8_t *bytes;

	bytes = malloc(properties.len + TRAIL_SIZE(strlen(ingest->origin)));
	if (bytes == NULL)
		return NULL;
	*out_properties =
	    slice_of(bytes, trail_add(properties, ingest->origin, bytes));
	return bytes;
}

static bool
queue(struct ingest *ingest, const struct remote_message *message,
    const struct record_message *record, uint64_t now_ns)
{
	size_t size = record_message_size(record);
	struct ingest_item *item;

	if (message->qos == 0 &&
	    ingest->qos0_bytes + size > INGEST_QOS0_BYTES) {
		stats_increment(ingest->counters, BRIDGED_received_dropped);
		return false;
	}
	item = malloc(sizeof(*item) + size);
	if (item == NULL) {
		stats_increment(ingest->counters, BRIDGED_received_dropped);
		return false;
	}
	*item = (struct ingest_item){
		.state = ITEM_WAITS,
		.id = message->id,
		.qos = message->qos,
		.received_ns = now_ns,
		.topic_len = record->topic.len,
		.body_len = size,
	};
	record_message_write(record, item->body);
	append(ingest, item);
	return true;
}

bool
ingest_tell(struct ingest *ingest, const struct record_message *message,
    uint64_t now_ns)
{
	/* Nobody waits for an acknowledgement: as of QoS 0. */
	static const struct remote_message ours = { .qos = 0 };

	if (ingest->qos0_bytes + record_message_size(message) >
	    INGEST_QOS0_BYTES)
		return false;
	return queue(ingest, &ours, message, now_ns);
}

static void
queue_with_origin(struct ingest *ingest, const struct remote_message *message,
    struct record_message *record, uint64_t now_ns)
{
	uint8_t *properties;

	if (ingest->origin[0] == '\0' ||
	    trail_contains(record->properties, ingest->origin)) {
		(void)queue(ingest, message, record, now_ns);
		return;
	}
	properties =
	    add_origin(ingest, record->properties, &record->properties);
	/* Without an answer the remote sends it again. */
	if (properties == NULL) {
		stats_increment(ingest->counters, BRIDGED_received_dropped);
		return;
	}
	(void)queue(ingest, message, record, now_ns);
	free(properties);
}

static bool
is_retained_unwanted(const struct ingest *ingest,
    const struct mapping_rule *rule, const struct remote_message *message)
{
	return ingest->drops_retained && message->retain && rule != NULL &&
	    rule->retain_handling == CONF_RETAIN_HANDLING_NEVER;
}

void
ingest_received(struct ingest *ingest, const struct remote_message *message,
    uint64_t now_ns)
{
	const struct mapping_rule *rule;
	struct record_message record;

	rule = mapping_find(ingest->rules, message->topic);
	stats_increment(ingest->counters, BRIDGED_received);
	if (message->qos == 2 && notes_is_taken(ingest->notes, message->id)) {
		stats_increment(ingest->counters, BRIDGED_received_copies);
		settle_at_once(ingest, message, ITEM_ACCEPTED);
	} else if (trail_contains(message->properties, ingest->self)) {
		stats_increment(ingest->counters, BRIDGED_loops);
		settle_at_once(ingest, message, ITEM_ACCEPTED);
	} else if (ingest->max_hops != 0 &&
	    trail_length(message->properties) > ingest->max_hops) {
		stats_increment(ingest->counters, BRIDGED_hops_exceeded);
		settle_at_once(ingest, message, ITEM_ACCEPTED);
	} else if (is_retained_unwanted(ingest, rule, message)) {
		stats_increment(ingest->counters, BRIDGED_received_retained);
		settle_at_once(ingest, message, ITEM_ACCEPTED);
	} else if (!translate(ingest, rule, message, &record)) {
		stats_increment(ingest->counters, BRIDGED_received_refused);
		settle_at_once(ingest, message, ITEM_REFUSED);
	} else {
		queue_with_origin(ingest, message, &record, now_ns);
	}
}

/* The lane's producer when it is open; asks for it when it is not. */
static struct ring_producer *
lane_of(
    struct ingest *ingest, const struct ingest_item *item, uint32_t *out_lane)
{
	struct lane_choice choice;

	lane_table_choose(
	    ingest->lanes, item->body + TOPIC_OFFSET, item->topic_len, &choice);
	if (choice.state == LANE_IS_WANTED)
		ingest->open_lane(ingest->arg, choice.set);
	if (choice.state != LANE_IS_OPEN)
		return NULL;
	*out_lane = choice.lane;
	return ring_link_producer(ingest->link, choice.lane);
}

static void
change_state(
    struct ingest *ingest, struct ingest_item *item, enum item_state state)
{
	if (item->state == ITEM_WAITS) {
		ingest->waiting--;
		if (item->qos == 0)
			ingest->qos0_bytes -= item->body_len;
	}
	item->state = state;
}

/* The item is written next, and is one to be traced from here on. */
static void
begin_trace(struct ingest *ingest, const struct ring_producer *producer,
    uint32_t lane, const struct ingest_item *item, struct ring_record *record)
{
	struct ring_trace_id id;

	record->flags |= RING_TRACED;
	record->source_link = ring_link_identity(ingest->link)->link;
	record->source_lane = (uint16_t)lane;
	record->source_sequence = ring_producer_sequence(producer) + 1;
	id = ring_trace_id_of(record);
	ring_trace_note(ring_link_trace(ingest->link), &id, RING_TRACE_READ,
	    item->received_ns);
}

/*
 * Finish the record.  A QoS 2 message is noted before the commit that makes
 * the note true.
 */
static void
put_item(struct ingest *ingest, struct ring_producer *producer, uint32_t lane,
    struct ingest_item *item)
{
	struct ring_record record = {
		.length = (uint32_t)item->body_len,
		.kind = RECORD_MESSAGE,
		.time_ns = item->received_ns,
	};

	if (ring_trace_is_due(ring_link_trace(ingest->link)))
		begin_trace(ingest, producer, lane, item, &record);
	ring_put(producer, &record);
	ring_trace_note_record(
	    ring_link_trace(ingest->link), &record, RING_TRACE_PUT);
	item->lane = lane;
	item->position = RING_POSITION(ring_producer_next_head(producer));
	if (item->qos == 2)
		item->note = notes_take(ingest->notes, item->id, lane,
		    ring_producer_sequence(producer));
	change_state(ingest, item, ITEM_WRITTEN);
}

/* Returns false when the lane has no room for it now. */
static bool
write_item(struct ingest *ingest, struct ring_producer *producer, uint32_t lane,
    struct ingest_item *item)
{
	void *place;

	if (item->qos == 2 && !notes_has_room(ingest->notes))
		return false;
	switch (ring_claim(producer, item->body_len, &place)) {
	case 0:
		memcpy(place, item->body, item->body_len);
		put_item(ingest, producer, lane, item);
		return true;
	case -EMSGSIZE:
		stats_increment(ingest->counters, BRIDGED_received_refused);
		change_state(ingest, item, ITEM_REFUSED);
		return true;
	case -EPROTO:
		ingest->fault = ring_producer_fault(producer);
		return false;
	default:
		return false;
	}
}

/* A lane that is full keeps the order of what is behind it. */
struct full_lanes {
	const struct ring_producer *lanes[RING_LANES];
	size_t count;
};

static bool
is_full(const struct full_lanes *full, const struct ring_producer *lane)
{
	for (size_t i = 0; i < full->count; i++)
		if (full->lanes[i] == lane)
			return true;
	return false;
}

static void
write_all(struct ingest *ingest)
{
	struct full_lanes full = { .count = 0 };
	struct ring_producer *producer;
	uint32_t lane;

	for (struct ingest_item *item = ingest->first;
	     item != NULL && ingest->waiting != 0; item = item->next) {
		if (item->state != ITEM_WAITS)
			continue;
		producer = lane_of(ingest, item, &lane);
		if (producer == NULL || is_full(&full, producer))
			continue;
		if (!write_item(ingest, producer, lane, item))
			full.lanes[full.count++] = producer;
	}
}

/*
 * Commit all lanes.  Without a fault nothing that was put is left uncommitted
 * then; what a poisoned lane did not take stays as it is, the link is at its
 * end.  Returns true when there was something to commit.
 */
static bool
commit_all(struct ingest *ingest, uint64_t now_ns)
{
	struct ring_producer *producer;
	uint32_t sound = 0;
	bool any = false;

	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		producer = ring_link_producer(ingest->link, lane);
		if (producer == NULL)
			continue;
		if (ring_commit(producer, now_ns))
			any = true;
		if (!ring_producer_is_poisoned(producer))
			sound |= UINT32_C(1) << lane;
	}
	for (struct ingest_item *item = ingest->first; item != NULL;
	     item = item->next)
		if (item->state == ITEM_WRITTEN && (sound >> item->lane & 1))
			ingest_item_committed(ingest, item);
	return any;
}

bool
ingest_work(struct ingest *ingest, uint64_t now_ns)
{
	bool any = false;

	if (ingest->first == NULL)
		return false;
	if (ingest->link != NULL) {
		write_all(ingest);
		any = commit_all(ingest, now_ns);
	}
	ingest_take_released(ingest);
	if (ingest_acknowledge(ingest))
		any = true;
	stats_set(ingest->counters, BRIDGED_received_waiting, ingest->waiting);
	return any;
}

static bool
has_room(const struct ingest *ingest, struct ring_producer *producer,
    const struct ingest_item *item)
{
	return (item->qos != 2 || notes_has_room(ingest->notes)) &&
	    ring_producer_has_room(producer, item->body_len);
}

void
ingest_unshare(struct ingest *ingest)
{
	const struct ring_lane_geometry *geometry;

	if (ingest->link == NULL || ingest->waiting != 0)
		return;
	for (uint32_t i = 0; i < RING_LANES; i++) {
		geometry = ring_link_producer_lane(ingest->link, i);
		if (geometry != NULL &&
		    strcmp(geometry->name, LANE_SHARED) == 0 &&
		    !ring_producer_is_drained(
			ring_link_producer(ingest->link, i)))
			return;
	}
	(void)lane_table_unshare(ingest->lanes);
}

bool
ingest_is_movable(struct ingest *ingest)
{
	struct full_lanes full = { .count = 0 };
	struct ring_producer *producer;
	uint32_t lane;

	if (ingest->link == NULL)
		return false;
	if (ingest_is_released(ingest))
		return true;
	if (ingest->waiting == 0)
		return false;
	for (struct ingest_item *item = ingest->first; item != NULL;
	     item = item->next) {
		if (item->state != ITEM_WAITS)
			continue;
		producer = lane_of(ingest, item, &lane);
		if (producer == NULL || is_full(&full, producer))
			continue;
		if (has_room(ingest, producer, item))
			return true;
		full.lanes[full.count++] = producer;
	}
	return false;
}
