/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/outgoing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridged/counters.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mqtt/trail.h"
#include "common/msg/record.h"
#include "common/msg/topic.h"

/* Log lines of dead letters: a second, and at once. */
#define DEAD_RATE 5
#define DEAD_BURST 20

int
outgoing_init(struct outgoing *outgoing, const struct conf_bridge *conf,
    const struct mapping *rules, struct stats_block *counters,
    size_t max_record, uint64_t now_ns)
{
	*outgoing = (struct outgoing){
		.conf = conf,
		.rules = rules,
		.counters = counters,
		.body_size = max_record,
	};
	token_bucket_init(&outgoing->dead_lines, DEAD_RATE, DEAD_BURST, now_ns);
	outgoing->body = malloc(max_record + 1);
	outgoing->properties =
	    malloc(max_record + TRAIL_SIZE(REMOTE_WEIR_ID_SIZE) + 4);
	outgoing->topic = malloc(TOPIC_MAX_BYTES);
	if (outgoing->body == NULL || outgoing->properties == NULL ||
	    outgoing->topic == NULL) {
		outgoing_fini(outgoing);
		return -ENOMEM;
	}
	return 0;
}

void
outgoing_fini(struct outgoing *outgoing)
{
	free(outgoing->body);
	free(outgoing->properties);
	free(outgoing->topic);
	*outgoing = (struct outgoing){ 0 };
}

/* Take the body out of the ring, once, then look at the copy alone. */
static bool
copy_body(struct outgoing *outgoing, const struct ring_record *record,
    const void *payload, struct record_message *out_message)
{
	if (record->kind != RECORD_MESSAGE ||
	    record->length > outgoing->body_size)
		return false;
	memcpy(outgoing->body, payload, record->length);
	return record_message_parse(
		   outgoing->body, record->length, out_message) == 0;
}

void
outgoing_bury(struct outgoing *outgoing, struct slice topic, const char *why,
    uint64_t now_ns)
{
	outgoing->why = why;
	stats_increment(outgoing->counters, BRIDGED_dead);
	if (token_bucket_take(&outgoing->dead_lines, 1, now_ns) == 0)
		log_warning("bridge_message_dead",
		    "bridge=%s topic=%s reason=%s", outgoing->conf->name,
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
static enum outgoing_plan
examine(struct outgoing *outgoing, const struct record_message *message,
    uint32_t expiry_s)
{
	if (expiry_s == 0) {
		stats_increment(outgoing->counters, BRIDGED_expired);
		return OUTGOING_DROP;
	}
	if (trail_contains(message->properties, outgoing->limits->weir_id)) {
		stats_increment(outgoing->counters, BRIDGED_loops);
		return OUTGOING_DROP;
	}
	/* What is full is not passed on; the remote would be one more. */
	if (outgoing->conf->max_hops != 0 &&
	    trail_length(message->properties) >= outgoing->conf->max_hops) {
		stats_increment(outgoing->counters, BRIDGED_hops_exceeded);
		return OUTGOING_DROP;
	}
	return OUTGOING_SEND;
}

/* The broker may have taken a configuration that we have not seen yet. */
static const struct mapping_rule *
find_rule(struct outgoing *outgoing, struct slice topic)
{
	const struct mapping_rule *rule;

	rule = mapping_find(outgoing->rules, topic);
	if (rule != NULL || outgoing->refresh == NULL)
		return rule;
	outgoing->refresh(outgoing->refresh_arg);
	return mapping_find(outgoing->rules, topic);
}

enum outgoing_plan
outgoing_translate(struct outgoing *outgoing,
    const struct inflight_entry *entry, uint64_t now_ns,
    struct remote_message *out)
{
	const struct mapping_rule *rule;
	struct record_message message;
	size_t len;
	enum outgoing_plan plan;
	int err;

	if (!copy_body(outgoing, &entry->record, entry->payload, &message))
		return OUTGOING_POISON;
	if (!topic_name_is_valid(message.topic) ||
	    !trail_is_sound(message.properties, outgoing->properties)) {
		outgoing_bury(outgoing, message.topic, "malformed", now_ns);
		return OUTGOING_BURY;
	}
	rule = find_rule(outgoing, message.topic);
	if (rule == NULL) {
		stats_increment(outgoing->counters, BRIDGED_unmatched);
		return OUTGOING_DROP;
	}
	*out = (struct remote_message){
		.id = inflight_id(entry->sequence),
		/* [MQTT-3.2.2-11] no QoS above the remote's Maximum QoS */
		.qos = rule->qos < outgoing->limits->max_qos
		    ? rule->qos
		    : outgoing->limits->max_qos,
		.retain = mapping_retain(rule, message.retain),
		.dup = entry->maybe_sent,
		.expiry_s = expiry_left(&message, &entry->record, now_ns),
		.payload = message.payload,
	};
	plan = entry->maybe_sent ? OUTGOING_SEND
				 : examine(outgoing, &message, out->expiry_s);
	if (plan != OUTGOING_SEND)
		return plan;
	err = mapping_topic(
	    rule, message.topic, outgoing->topic, TOPIC_MAX_BYTES, &out->topic);
	if (err != 0) {
		outgoing_bury(outgoing, message.topic,
		    err == -EINVAL ? "its rule leaves no topic"
				   : "topic too long",
		    now_ns);
		return OUTGOING_BURY;
	}
	len =
	    trail_add(message.properties, outgoing->self, outgoing->properties);
	out->properties = slice_of(outgoing->properties, len);
	return OUTGOING_SEND;
}

struct slice
outgoing_topic(struct outgoing *outgoing, const struct inflight_entry *entry)
{
	struct record_message message;

	if (!copy_body(outgoing, &entry->record, entry->payload, &message))
		return slice_of(NULL, 0);
	return message.topic;
}
