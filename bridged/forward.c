/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridged/counters.h"
#include "bridged/trail.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/msg/record.h"
#include "common/msg/topic.h"

/* Records of one turn; then the loop looks at its sockets again. */
#define TURN_RECORDS 64

/* After "quota exceeded". */
#define RETRY_NS CLOCK_SECOND_NS

/* Log lines of dead letters: a second, and at once. */
#define DEAD_RATE 5
#define DEAD_BURST 20

/* What is to be done with a record. */
enum plan {
	PLAN_SEND,
	PLAN_DROP,
	PLAN_BURY,
	PLAN_POISON
};

int
forward_init(struct forward *forward, const struct conf_bridge *conf,
    const struct mapping *rules, const struct remote_kind *kind,
    struct remote *remote, struct stats_block *counters, size_t max_record,
    uint64_t now_ns)
{
	size_t window = conf->max_inflight;
	int err;

	*forward = (struct forward){
		.conf = conf,
		.rules = rules,
		.kind = kind,
		.remote = remote,
		.counters = counters,
		.body_size = max_record,
	};
	err = inflight_init(
	    &forward->inflight, window < INFLIGHT_MAX ? window : INFLIGHT_MAX);
	if (err != 0)
		return err;
	token_bucket_init(&forward->dead_lines, DEAD_RATE, DEAD_BURST, now_ns);
	forward->body = malloc(max_record + 1);
	forward->properties =
	    malloc(max_record + TRAIL_SIZE(REMOTE_WEIR_ID_SIZE) + 4);
	forward->topic = malloc(TOPIC_MAX_BYTES);
	if (forward->body == NULL || forward->properties == NULL ||
	    forward->topic == NULL) {
		forward_fini(forward);
		return -ENOMEM;
	}
	return 0;
}

void
forward_fini(struct forward *forward)
{
	inflight_fini(&forward->inflight);
	free(forward->body);
	free(forward->properties);
	free(forward->topic);
	*forward = (struct forward){ 0 };
}

void
forward_attach(struct forward *forward, struct ring_consumer *ring,
    const char *self, bool is_resumed)
{
	inflight_clear(&forward->inflight);
	forward->ring = ring;
	forward->maybe_sent = is_resumed ? forward->inflight.size / 2 : 0;
	snprintf(forward->self, sizeof(forward->self), "%s", self);
}

void
forward_detach(struct forward *forward)
{
	inflight_clear(&forward->inflight);
	forward->ring = NULL;
	forward->trace = NULL;
}

void
forward_set_trace(struct forward *forward, struct ring_trace *trace)
{
	forward->trace = trace;
}

void
forward_up(struct forward *forward, const struct remote_limits *limits)
{
	forward->limits = *limits;
	forward->is_up = true;
	forward->socket_is_full = false;
	forward->not_before_ns = 0;
	if (!limits->session_present) {
		/* A new session: nothing of ours was ever sent in it. */
		inflight_forget_sent(&forward->inflight);
		forward->maybe_sent = 0;
	}
}

void
forward_down(struct forward *forward)
{
	forward->is_up = false;
	inflight_resend_all(&forward->inflight);
}

void
forward_writable(struct forward *forward)
{
	forward->socket_is_full = false;
}

void
forward_drain(struct forward *forward)
{
	forward->is_draining = true;
}

size_t
forward_in_flight(const struct forward *forward)
{
	return forward->inflight.unsettled - forward->inflight.unsent;
}

/* Take the body out of the ring, once, then look at the copy alone. */
static bool
copy_body(struct forward *forward, const struct ring_record *record,
    const void *payload, struct record_message *out_message)
{
	if (record->kind != RECORD_MESSAGE ||
	    record->length > forward->body_size)
		return false;
	memcpy(forward->body, payload, record->length);
	return record_message_parse(
		   forward->body, record->length, out_message) == 0;
}

static void
bury(struct forward *forward, struct slice topic, const char *why,
    uint64_t now_ns)
{
	stats_increment(forward->counters, BRIDGED_dead);
	if (token_bucket_take(&forward->dead_lines, 1, now_ns) == 0)
		log_warning("bridge_message_dead",
		    "bridge=%s topic=%s reason=%s", forward->conf->name,
		    log_quote_n(topic.data, topic.len), log_quote(why));
}

/* Seconds left of the message's life, 0 when it is over. */
static uint32_t
expiry_left(const struct record_message *message,
    const struct ring_record *record, uint64_t now_ns)
{
	uint64_t age_s;

	if (message->expiry_s == RECORD_NEVER_EXPIRES)
		return REMOTE_NEVER_EXPIRES;
	age_s = now_ns <= record->time_ns
	    ? 0
	    : (now_ns - record->time_ns) / CLOCK_SECOND_NS;
	return age_s >= message->expiry_s ? 0
					  : message->expiry_s - (uint32_t)age_s;
}

/* Whether it may go at all; what was sent before has passed this already. */
static enum plan
examine(struct forward *forward, const struct record_message *message,
    uint32_t expiry_s)
{
	if (expiry_s == 0) {
		stats_increment(forward->counters, BRIDGED_expired);
		return PLAN_DROP;
	}
	if (trail_contains(message->properties, forward->limits.weir_id)) {
		stats_increment(forward->counters, BRIDGED_loops);
		return PLAN_DROP;
	}
	return PLAN_SEND;
}

/*
 * Make of a record what the remote is to get.  The slices lie in the
 * forward's own buffers, until the next record.
 */
static enum plan
translate(struct forward *forward, const struct inflight_entry *entry,
    uint64_t now_ns, struct remote_message *out)
{
	const struct mapping_rule *rule;
	struct record_message message;
	size_t len;
	enum plan plan;

	if (!copy_body(forward, &entry->record, entry->payload, &message))
		return PLAN_POISON;
	if (!topic_name_is_valid(message.topic) ||
	    !trail_is_sound(message.properties, forward->properties)) {
		bury(forward, message.topic, "malformed", now_ns);
		return PLAN_BURY;
	}
	rule = mapping_find(forward->rules, message.topic);
	if (rule == NULL) {
		stats_increment(forward->counters, BRIDGED_unmatched);
		return PLAN_DROP;
	}
	*out = (struct remote_message){
		.id = inflight_id(entry->sequence),
		.qos = rule->qos,
		.retain = message.retain,
		.dup = entry->maybe_sent,
		.expiry_s = expiry_left(&message, &entry->record, now_ns),
		.payload = message.payload,
	};
	plan = entry->maybe_sent ? PLAN_SEND
				 : examine(forward, &message, out->expiry_s);
	if (plan != PLAN_SEND)
		return plan;
	if (mapping_topic(rule, message.topic, forward->topic, TOPIC_MAX_BYTES,
		&out->topic) != 0) {
		bury(forward, message.topic, "topic too long", now_ns);
		return PLAN_BURY;
	}
	len = trail_add(message.properties, forward->self, forward->properties);
	out->properties = slice_of(forward->properties, len);
	return PLAN_SEND;
}

static void
count_sent(struct forward *forward, const struct inflight_entry *entry)
{
	stats_increment(forward->counters, BRIDGED_sent);
	if (entry->maybe_sent)
		stats_increment(forward->counters, BRIDGED_resent);
}

/* Returns false when nothing more can be sent now. */
static bool
send_entry(struct forward *forward, struct inflight_entry *entry,
    const struct remote_message *message, uint64_t now_ns)
{
	uint8_t qos;
	int err;

	err = forward->kind->send(forward->remote, message, &qos);
	switch (err) {
	case 0:
		count_sent(forward, entry);
		ring_trace_note_record(
		    forward->trace, &entry->record, RING_TRACE_SENT);
		inflight_sent(&forward->inflight, entry);
		/* [MQTT-4.3.1-1] QoS 0 is not acknowledged: written is done */
		if (qos == 0)
			inflight_settle(
			    &forward->inflight, entry, INFLIGHT_DELIVERED);
		return true;
	case -EMSGSIZE:
		bury(forward, message->topic,
		    "larger than the remote's Maximum Packet Size", now_ns);
		inflight_settle(&forward->inflight, entry, INFLIGHT_DEAD);
		return true;
	case -EAGAIN:
		forward->socket_is_full = true;
		return false;
	default:
		return false;
	}
}

/* Returns -EAGAIN when nothing more can be sent now, -EPROTO for poison. */
static int
process(struct forward *forward, struct inflight_entry *entry, uint64_t now_ns)
{
	struct remote_message message;

	switch (translate(forward, entry, now_ns, &message)) {
	case PLAN_DROP:
		inflight_settle(&forward->inflight, entry, INFLIGHT_DROPPED);
		return 0;
	case PLAN_BURY:
		inflight_settle(&forward->inflight, entry, INFLIGHT_DEAD);
		return 0;
	case PLAN_SEND:
		return send_entry(forward, entry, &message, now_ns) ? 0
								    : -EAGAIN;
	case PLAN_POISON:
		break;
	}
	return -EPROTO;
}

static bool
may_send(const struct forward *forward, uint64_t now_ns)
{
	return forward->is_up && !forward->socket_is_full &&
	    now_ns >= forward->not_before_ns;
}

/*
 * Step over what the producer wants dropped; it may come between others, so
 * it joins the queue as settled.  Returns 0 or -EPROTO.
 */
static int
skip_dropped(struct forward *forward)
{
	struct ring_record record;
	const void *payload;
	int found;

	for (int i = 0; i < TURN_RECORDS; i++) {
		found = ring_peek(forward->ring, &record, &payload);
		if (found != 1)
			return found;
		if (!ring_consumer_should_drop(forward->ring))
			return 0;
		stats_increment(forward->counters, BRIDGED_dropped_oldest);
		inflight_skip(&forward->inflight, record.sequence,
		    ring_next(forward->ring), INFLIGHT_DROPPED);
	}
	return 0;
}

/* The next record that is to be sent; NULL and *out_err when there is none. */
static struct inflight_entry *
next_entry(struct forward *forward, int *out_err)
{
	struct inflight_entry *entry;
	struct ring_record record;
	const void *payload;
	int found;

	*out_err = 0;
	entry = inflight_next(&forward->inflight);
	if (entry != NULL)
		return entry;
	if (forward->is_draining)
		return NULL;
	found = ring_peek(forward->ring, &record, &payload);
	if (found != 1) {
		*out_err = found;
		return NULL;
	}
	if (ring_consumer_should_drop(forward->ring) ||
	    !inflight_has_room(
		&forward->inflight, forward->limits.window, record.sequence))
		return NULL;
	entry = inflight_push(
	    &forward->inflight, &record, payload, ring_next(forward->ring));
	if (forward->maybe_sent != 0) {
		forward->maybe_sent--;
		entry->maybe_sent = true;
	}
	return entry;
}

/* Send what can be sent.  Returns the records handled, or -EPROTO. */
static int
send_some(struct forward *forward, uint64_t now_ns)
{
	struct inflight_entry *entry;
	int err, handled = 0;

	while (handled < TURN_RECORDS && may_send(forward, now_ns)) {
		entry = next_entry(forward, &err);
		if (entry == NULL)
			return err < 0 ? err : handled;
		err = process(forward, entry, now_ns);
		if (err == -EPROTO)
			return err;
		if (err != 0)
			return handled;
		handled++;
	}
	return handled;
}

static void
release(struct forward *forward, uint64_t now_ns)
{
	struct ring_outcome outcome;
	uint64_t word;

	if (inflight_pop(&forward->inflight, &word, &outcome) &&
	    ring_release(forward->ring, word, &outcome, now_ns))
		forward->has_moved = true;

	/* A SWITCH alone: the producer wants to shrink. */
	if (ring_consumer_has_padding(forward->ring) &&
	    ring_release(forward->ring, ring_consumer_cursor(forward->ring),
		NULL, now_ns))
		forward->has_moved = true;

	/* This policy may lose what is in flight when we die, and says so. */
	if (forward->conf->overflow == CONF_OVERFLOW_DROP_OLDEST &&
	    inflight_copy_out(&forward->inflight, &word) == 0 && word != 0 &&
	    ring_release(forward->ring, word, NULL, now_ns))
		forward->has_moved = true;

	/* The ring's own size is the bound on what we hold. */
	if (ring_grant(forward->ring,
		RING_POSITION(ring_consumer_cursor(forward->ring)) +
		    ring_consumer_capacity(forward->ring)))
		forward->has_moved = true;
}

static void
publish_gauges(struct forward *forward)
{
	size_t in_flight = forward_in_flight(forward);
	size_t window = forward->limits.window;

	ring_consumer_set_remote(
	    forward->ring, in_flight, window, forward->is_up);
	stats_set(forward->counters, BRIDGED_in_flight, in_flight);
	stats_set(forward->counters, BRIDGED_window, window);
	stats_set(forward->counters, BRIDGED_remote_up, forward->is_up);
}

enum forward_result
forward_work(struct forward *forward, uint64_t now_ns, const char **out_fault)
{
	uint64_t before;
	int err, handled;

	forward->has_read = false;
	forward->has_moved = false;
	if (forward->ring == NULL)
		return FORWARD_DONE;
	before = ring_consumer_cursor(forward->ring);
	err = skip_dropped(forward);
	handled = err < 0 ? err : send_some(forward, now_ns);
	if (handled < 0) {
		*out_fault = ring_consumer_fault(forward->ring);
		if (*out_fault == NULL)
			*out_fault = "a record is not a message";
		return FORWARD_POISONED;
	}
	forward->has_read = ring_consumer_cursor(forward->ring) != before;
	release(forward, now_ns);
	publish_gauges(forward);
	if (handled == TURN_RECORDS)
		return FORWARD_AGAIN;
	if (now_ns < forward->not_before_ns)
		return FORWARD_WAITS;
	return FORWARD_DONE;
}

bool
forward_is_movable(struct forward *forward, uint64_t now_ns)
{
	struct ring_record record;
	const void *payload;
	int found;

	if (forward->ring == NULL)
		return false;
	if (may_send(forward, now_ns) && forward->inflight.unsent != 0)
		return true;
	found = ring_peek(forward->ring, &record, &payload);
	if (found != 1)
		return found < 0 || ring_consumer_has_padding(forward->ring);
	if (ring_consumer_should_drop(forward->ring))
		return true;
	return may_send(forward, now_ns) && !forward->is_draining &&
	    inflight_has_room(
		&forward->inflight, forward->limits.window, record.sequence);
}

uint64_t
forward_wait_ns(const struct forward *forward, uint64_t now_ns)
{
	return now_ns >= forward->not_before_ns
	    ? 0
	    : forward->not_before_ns - now_ns;
}

/* The topic, for the log; the ring still has the record. */
static struct slice
topic_of(struct forward *forward, const struct inflight_entry *entry)
{
	struct record_message message;

	if (!copy_body(forward, &entry->record, entry->payload, &message))
		return slice_of(NULL, 0);
	return message.topic;
}

void
forward_settled(struct forward *forward, uint16_t id,
    enum remote_verdict verdict, const char *why, uint64_t now_ns)
{
	struct inflight_entry *entry = inflight_find(&forward->inflight, id);

	if (entry == NULL)
		return;
	switch (verdict) {
	case REMOTE_TOOK:
		ring_trace_note_record(
		    forward->trace, &entry->record, RING_TRACE_ACKED);
		inflight_settle(&forward->inflight, entry, INFLIGHT_DELIVERED);
		break;
	case REMOTE_REFUSED:
		bury(forward, topic_of(forward, entry), why, now_ns);
		inflight_settle(&forward->inflight, entry, INFLIGHT_DEAD);
		break;
	case REMOTE_LATER:
		/* It has ended this exchange: what follows is a new one. */
		stats_increment(forward->counters, BRIDGED_retried);
		inflight_resend(&forward->inflight, entry);
		entry->maybe_sent = false;
		forward->not_before_ns = now_ns + RETRY_NS;
		break;
	}
}
