/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load_retained - a storm of subscribers upon retained messages.
 *
 * One publisher leaves a retained message on each topic; then all subscribers
 * subscribe at once to all of them, `messages` times one after the other.  What
 * is counted are retained messages that came, and how long each SUBSCRIBE took
 * until the last of its messages.  At the end the topics are cleared.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

#define FILTER LOAD_TOPIC "#"

struct visitor {
	struct load_client client;
	uint64_t visits;   /* begun */
	uint64_t left;     /* messages of this one that have not come */
	uint64_t begin_ns; /* when it asked */
	uint32_t *seen;    /* of each topic, the last visit that brought it */
	bool is_acknowledged;
};

struct storm {
	const struct load_options *options;
	struct load_result *result;
	struct load_loop loop;
	struct visitor *visitors;
	uint64_t unfinished;
};

static void
visit(struct storm *storm, struct visitor *visitor)
{
	const struct mqtt_subscription one = {
		.qos = (uint8_t)storm->options->qos,
		.filter = slice_of_string(FILTER),
	};
	const enum mqtt_version version = visitor->client.version;
	size_t size = mqtt_subscribe_size(&one, 1, NULL, version);

	visitor->visits++;
	visitor->left = storm->options->topics;
	visitor->is_acknowledged = false;
	visitor->begin_ns = clock_now_ns();
	mqtt_encode_subscribe(load_client_reserve(&visitor->client, size), size,
	    load_client_packet_id(&visitor->client), &one, 1, NULL, version);
}

static void
end_visit_if_whole(struct storm *storm, struct visitor *visitor, uint64_t now)
{
	if (visitor->left != 0 || !visitor->is_acknowledged)
		return;
	histogram_record(&storm->result->latency, now - visitor->begin_ns);
	if (visitor->visits < storm->options->messages)
		visit(storm, visitor);
	else
		storm->unfinished--;
}

static void
on_publish(struct storm *storm, struct visitor *visitor,
    const struct mqtt_frame *frame, uint64_t now_ns)
{
	const size_t prefix = strlen(LOAD_TOPIC);
	struct mqtt_publish publish;
	char number[16] = "";
	uint64_t topic;

	if (mqtt_decode_publish(frame, visitor->client.version, MQTT_CLIENT,
		&publish) != MQTT_SUCCESS)
		load_die_of("a PUBLISH that cannot be read");
	if (publish.topic.len <= prefix ||
	    publish.topic.len - prefix >= sizeof(number))
		load_die_of("a message of another topic");
	memcpy(number, publish.topic.data + prefix, publish.topic.len - prefix);
	topic = strtoul(number, NULL, 10);
	if (topic >= storm->options->topics || !publish.retain)
		load_die_of("a message that was not retained here");
	if (publish.qos != 0)
		mqtt_encode_ack_success(
		    load_client_reserve(&visitor->client, 4),
		    publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
		    publish.packet_id);
	storm->result->count++;
	if (visitor->seen[topic] == visitor->visits) {
		storm->result->doubled++;
		return;
	}
	visitor->seen[topic] = (uint32_t)visitor->visits;
	visitor->left--;
	end_visit_if_whole(storm, visitor, now_ns);
}

static void
on_packet(void *context, struct load_client *client,
    const struct mqtt_frame *frame, uint64_t now_ns)
{
	struct storm *storm = context;
	struct visitor *visitor = (struct visitor *)client;
	struct mqtt_ack ack = { 0 };

	switch (frame->type) {
	case MQTT_PUBLISH:
		on_publish(storm, visitor, frame, now_ns);
		return;
	case MQTT_SUBACK:
		visitor->is_acknowledged = true;
		end_visit_if_whole(storm, visitor, now_ns);
		return;
	case MQTT_PUBREL:
		if (mqtt_decode_ack(frame, client->version, &ack) !=
		    MQTT_SUCCESS)
			load_die_of("a PUBREL that cannot be read");
		mqtt_encode_ack_success(load_client_reserve(client, 4),
		    MQTT_PUBCOMP, ack.packet_id);
		return;
	default:
		load_die_of("a %s that was not expected",
		    mqtt_packet_name(frame->type));
	}
}

/* An empty payload clears a topic. */
static void
retain(const struct load_options *options, struct load_client *publisher,
    bool is_clearing)
{
	char payload[LOAD_INPUT_BYTES / 2], name[LOAD_TOPIC_SIZE];
	struct slice what = slice_of(payload, options->payload);

	memset(payload, 'x', sizeof(payload));
	if (is_clearing)
		what = slice_of(NULL, 0);
	for (uint64_t i = 0; i < options->topics; i++) {
		load_topic(name, i);
		load_publish_and_wait(publisher, name, what, 1, true);
	}
}

static void
storm_in(struct storm *storm, uint64_t deadline_ns)
{
	for (uint64_t i = 0; i < storm->options->subscribers; i++)
		visit(storm, &storm->visitors[i]);
	while (storm->unfinished != 0 && clock_now_ns() < deadline_ns) {
		load_loop_flush(&storm->loop);
		load_loop_wait(
		    &storm->loop, 100 * CLOCK_MS_NS, on_packet, storm);
	}
	storm->result->is_whole = storm->unfinished == 0;
}

static void
set_up(struct storm *storm)
{
	const struct load_options *options = storm->options;
	struct visitor *visitor;

	load_loop_init(&storm->loop);
	storm->unfinished = options->subscribers;
	storm->visitors =
	    calloc(options->subscribers + 1, sizeof(*storm->visitors));
	BUG_ON(storm->visitors == NULL);
	for (uint64_t i = 0; i < options->subscribers; i++) {
		visitor = &storm->visitors[i];
		visitor->seen = calloc(options->topics, sizeof(*visitor->seen));
		BUG_ON(visitor->seen == NULL);
		load_join(options, &visitor->client, "s", (unsigned)i, true);
		load_loop_watch(&storm->loop, &visitor->client);
	}
}

void
load_retained_run(
    const struct load_options *options, struct load_result *result)
{
	struct storm storm = { .options = options, .result = result };
	struct load_client publisher = { 0 };
	uint64_t begin_ns, cpu_ns;

	result->unit = "retained";
	result->is_checked = true;
	load_join(options, &publisher, "p", 0, true);
	retain(options, &publisher, false);
	set_up(&storm);
	result->expected =
	    options->subscribers * options->messages * options->topics;

	cpu_ns = load_cpu_ns(options);
	begin_ns = clock_now_ns();
	storm_in(&storm, begin_ns + options->seconds * CLOCK_SECOND_NS);
	result->elapsed_ns = clock_now_ns() - begin_ns;
	result->cpu_ns = load_cpu_ns(options) - cpu_ns;
	if (result->expected > result->count - result->doubled)
		result->lost =
		    result->expected - (result->count - result->doubled);
	retain(options, &publisher, true);
	load_client_fini(&publisher);
}
