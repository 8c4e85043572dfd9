/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/ingest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridged/counters.h"
#include "bridged/trail.h"
#include "common/msg/record.h"
#include "common/msg/topic.h"

enum item_state {
	ITEM_WAITS,    /* for its lane, or for room in it */
	ITEM_WRITTEN,  /* in the lane, not yet committed */
	ITEM_ACCEPTED, /* safe: to be acknowledged */
	ITEM_REFUSED   /* can never be given on: the same, with an error */
};

struct ingest_item {
	struct ingest_item *next;
	enum item_state state;
	uint16_t id;
	uint8_t qos;
	uint64_t received_ns;
	size_t topic_len;
	size_t body_len;
	uint8_t body[]; /* of the record; the topic is in it */
};

/* The order of the levels in a record's body puts the topic first. */
#define TOPIC_OFFSET sizeof(struct record_message_header)

static bool
match(
    const void *filter, size_t filter_len, const void *topic, size_t topic_len)
{
	return topic_matches(
	    slice_of(filter, filter_len), slice_of(topic, topic_len));
}

int
ingest_init(struct ingest *ingest, const char *name,
    const struct mapping *rules, const struct remote_kind *kind,
    struct remote *remote, struct stats_block *counters,
    void (*open_lane)(void *arg, const char *set), void *arg)
{
	*ingest = (struct ingest){
		.rules = rules,
		.kind = kind,
		.remote = remote,
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

/* Unlink and free *at; its successor takes the place. */
static void
drop_item(struct ingest *ingest, struct ingest_item **at)
{
	struct ingest_item *item = *at;

	if (item->state == ITEM_WAITS) {
		ingest->waiting--;
		if (item->qos == 0)
			ingest->qos0_bytes -= item->body_len;
	}
	*at = item->next;
	if (item->next == NULL)
		ingest->last = at;
	free(item);
}

void
ingest_fini(struct ingest *ingest)
{
	while (ingest->first != NULL)
		drop_item(ingest, &ingest->first);
	lane_table_free(ingest->lanes);
	free(ingest->topic);
	*ingest = (struct ingest){ 0 };
}

void
ingest_attach(struct ingest *ingest, struct ring_link *link, const char *self)
{
	ingest->link = link;
	snprintf(ingest->self, sizeof(ingest->self), "%s", self);
}

void
ingest_detach(struct ingest *ingest)
{
	ingest->link = NULL;
	lane_table_reset(ingest->lanes);
}

void
ingest_up(struct ingest *ingest, const char *weir_id)
{
	snprintf(ingest->origin, sizeof(ingest->origin), "%s", weir_id);
}

void
ingest_down(struct ingest *ingest)
{
	struct ingest_item **at = &ingest->first;

	while (*at != NULL)
		if ((*at)->qos != 0)
			drop_item(ingest, at);
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
translate(struct ingest *ingest, const struct remote_message *message,
    struct record_message *out)
{
	const struct mapping_rule *rule;

	*out = (struct record_message){
		.qos = message->qos,
		.retain = message->retain,
		.expiry_s = message->expiry_s == REMOTE_NEVER_EXPIRES
		    ? RECORD_NEVER_EXPIRES
		    : message->expiry_s,
		.properties = message->properties,
		.payload = message->payload,
	};
	rule = mapping_find(ingest->rules, message->topic);
	return rule != NULL &&
	    mapping_topic(rule, message->topic, ingest->topic, TOPIC_MAX_BYTES,
		&out->topic) == 0;
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

static void
queue(struct ingest *ingest, const struct remote_message *message,
    const struct record_message *record, uint64_t now_ns)
{
	size_t size = record_message_size(record);
	struct ingest_item *item;

	if (message->qos == 0 &&
	    ingest->qos0_bytes + size > INGEST_QOS0_BYTES) {
		stats_increment(ingest->counters, BRIDGED_received_dropped);
		return;
	}
	item = malloc(sizeof(*item) + size);
	if (item == NULL) {
		stats_increment(ingest->counters, BRIDGED_received_dropped);
		return;
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
}

static void
queue_with_origin(struct ingest *ingest, const struct remote_message *message,
    struct record_message *record, uint64_t now_ns)
{
	uint8_t *properties;

	if (ingest->origin[0] == '\0' ||
	    trail_contains(record->properties, ingest->origin)) {
		queue(ingest, message, record, now_ns);
		return;
	}
	properties =
	    add_origin(ingest, record->properties, &record->properties);
	/* Without an answer the remote sends it again. */
	if (properties == NULL) {
		stats_increment(ingest->counters, BRIDGED_received_dropped);
		return;
	}
	queue(ingest, message, record, now_ns);
	free(properties);
}

void
ingest_received(struct ingest *ingest, const struct remote_message *message,
    uint64_t now_ns)
{
	struct record_message record;

	stats_increment(ingest->counters, BRIDGED_received);
	if (trail_contains(message->properties, ingest->self)) {
		stats_increment(ingest->counters, BRIDGED_loops);
		settle_at_once(ingest, message, ITEM_ACCEPTED);
	} else if (!translate(ingest, message, &record)) {
		stats_increment(ingest->counters, BRIDGED_received_refused);
		settle_at_once(ingest, message, ITEM_REFUSED);
	} else {
		queue_with_origin(ingest, message, &record, now_ns);
	}
}

/* The lane's producer when it is open; asks for it when it is not. */
static struct ring_producer *
lane_of(struct ingest *ingest, const struct ingest_item *item)
{
	struct lane_choice choice;

	lane_table_choose(
	    ingest->lanes, item->body + TOPIC_OFFSET, item->topic_len, &choice);
	if (choice.state == LANE_IS_WANTED)
		ingest->open_lane(ingest->arg, choice.set);
	if (choice.state != LANE_IS_OPEN)
		return NULL;
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
begin_trace(struct ingest *ingest, const struct ring_producer *lane,
    const struct ingest_item *item, struct ring_record *record)
{
	struct lane_choice choice;
	struct ring_trace_id id;

	lane_table_choose(
	    ingest->lanes, item->body + TOPIC_OFFSET, item->topic_len, &choice);
	record->flags |= RING_TRACED;
	record->source_link = ring_link_identity(ingest->link)->link;
	record->source_lane = (uint16_t)choice.lane;
	record->source_sequence = ring_producer_sequence(lane) + 1;
	id = ring_trace_id_of(record);
	ring_trace_note(ring_link_trace(ingest->link), &id, RING_TRACE_READ,
	    item->received_ns);
}

/* Returns false when the lane has no room for it now. */
static bool
write_item(
    struct ingest *ingest, struct ring_producer *lane, struct ingest_item *item)
{
	struct ring_record record = {
		.length = (uint32_t)item->body_len,
		.kind = RECORD_MESSAGE,
		.time_ns = item->received_ns,
	};
	void *place;

	switch (ring_claim(lane, item->body_len, &place)) {
	case 0:
		memcpy(place, item->body, item->body_len);
		if (ring_trace_is_due(ring_link_trace(ingest->link)))
			begin_trace(ingest, lane, item, &record);
		ring_put(lane, &record);
		ring_trace_note_record(
		    ring_link_trace(ingest->link), &record, RING_TRACE_PUT);
		change_state(ingest, item, ITEM_WRITTEN);
		return true;
	case -EMSGSIZE:
		stats_increment(ingest->counters, BRIDGED_received_refused);
		change_state(ingest, item, ITEM_REFUSED);
		return true;
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
	struct ring_producer *lane;

	for (struct ingest_item *item = ingest->first;
	     item != NULL && ingest->waiting != 0; item = item->next) {
		if (item->state != ITEM_WAITS)
			continue;
		lane = lane_of(ingest, item);
		if (lane == NULL || is_full(&full, lane))
			continue;
		if (!write_item(ingest, lane, item))
			full.lanes[full.count++] = lane;
	}
}

static bool
commit_all(struct ingest *ingest, uint64_t now_ns)
{
	struct ring_producer *lane;
	bool any = false;

	for (uint32_t i = 0; i < RING_LANES; i++) {
		lane = ring_link_producer(ingest->link, i);
		if (lane != NULL && ring_commit(lane, now_ns))
			any = true;
	}
	for (struct ingest_item *item = ingest->first; any && item != NULL;
	     item = item->next)
		if (item->state == ITEM_WRITTEN) {
			stats_increment(
			    ingest->counters, BRIDGED_received_committed);
			item->state = ITEM_ACCEPTED;
		}
	return any;
}

/*
 * Acknowledge the longest prefix of QoS 1 and 2 [MQTT-4.6.0-2]; what came at
 * QoS 0 owes nothing and is taken out wherever it stands.
 */
static bool
acknowledge_all(struct ingest *ingest)
{
	struct ingest_item **at = &ingest->first, *item;
	bool in_order = true, any = false;

	while ((item = *at) != NULL) {
		bool is_safe =
		    item->state == ITEM_ACCEPTED || item->state == ITEM_REFUSED;

		if (!is_safe && item->qos != 0)
			in_order = false;
		if (!is_safe || (item->qos != 0 && !in_order)) {
			at = &item->next;
			continue;
		}
		if (item->qos != 0)
			ingest->kind->acknowledge(ingest->remote, item->id,
			    item->qos, item->state == ITEM_ACCEPTED);
		drop_item(ingest, at);
		any = true;
	}
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
	if (acknowledge_all(ingest))
		any = true;
	stats_set(ingest->counters, BRIDGED_received_waiting, ingest->waiting);
	return any;
}

bool
ingest_is_movable(struct ingest *ingest)
{
	struct ring_producer *lane;

	if (ingest->link == NULL || ingest->waiting == 0)
		return false;
	for (struct ingest_item *item = ingest->first; item != NULL;
	     item = item->next) {
		if (item->state != ITEM_WAITS)
			continue;
		lane = lane_of(ingest, item);
		if (lane != NULL &&
		    ring_producer_has_room(lane, item->body_len))
			return true;
	}
	return false;
}
