/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load_traffic - publishers, subscribers, and what becomes of each message.
 *
 * Publisher I and subscriber I use topic I modulo the topics.  Unpaced, a
 * publisher has up to `window` messages under way, acknowledged and arrived
 * at all subscribers or not: QoS 0 as well, so that nothing need be dropped.
 * At a rate, message K of all is due K/rate after the beginning, and its
 * delay counts from then on, whether or not it could be sent in time: a
 * broker that stands still is not forgiven what was not offered meanwhile.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"
#include "bench/sequence.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

/* How long after the last message a doubled one is still waited for. */
#define AFTERMATH_NS (20 * CLOCK_MS_NS)

struct topic {
	uint8_t *packet; /* its PUBLISH, but for packet identifier and stamp */
	struct mqtt_publish_layout layout;
	uint64_t publishers, subscribers;
	uint64_t copies; /* of each message */
	uint64_t sent, received;
	struct topic *next_touched;
	bool is_touched;
	struct sequence *group; /* of each publisher, for a shared one */
};

/* A publisher or a subscriber. */
struct member {
	struct load_client client;
	struct topic *topic;
	uint32_t number;
	uint64_t left; /* to publish */
	uint64_t unacknowledged;
	uint32_t next;            /* number of its next message */
	struct sequence *streams; /* of each publisher of its topic */
};

struct traffic {
	const struct load_options *options;
	struct load_result *result;
	struct load_loop loop;
	struct topic *topics, *touched;
	struct member *publishers, *subscribers;
	uint64_t unfinished; /* publishers with something left or under way */
	uint64_t begin_ns;
	bool is_stamped, is_shared;
};

struct stamp {
	uint32_t publisher, number;
	uint64_t due_ns;
};
_Static_assert(sizeof(struct stamp) == LOAD_STAMP_BYTES, "no padding");

static void
touch(struct traffic *traffic, struct topic *topic)
{
	if (topic->is_touched)
		return;
	topic->is_touched = true;
	topic->next_touched = traffic->touched;
	traffic->touched = topic;
}

/* ---- what comes --------------------------------------------------------- */

static void
count(struct load_result *result, enum sequence_verdict verdict)
{
	if (verdict == SEQUENCE_DOUBLED)
		result->doubled++;
	if (verdict == SEQUENCE_LATE)
		result->disordered++;
}

/*
 * Who shares a subscription sees gaps, but nothing out of order; the group as
 * a whole sees everything, once.
 */
static void
check(struct traffic *traffic, struct member *member, struct slice payload,
    uint64_t now_ns)
{
	const uint64_t topics = traffic->options->topics;
	struct topic *topic = member->topic;
	struct stamp stamp;
	uint64_t index;

	if (payload.len != traffic->options->payload)
		load_die_of("a payload of %zu bytes", payload.len);
	memcpy(&stamp, payload.data, sizeof(stamp));
	index = stamp.publisher / topics;
	if (stamp.publisher >= traffic->options->publishers ||
	    &traffic->topics[stamp.publisher % topics] != topic)
		load_die_of("a message that was not published to this topic");
	histogram_record(&traffic->result->latency,
	    now_ns > stamp.due_ns ? now_ns - stamp.due_ns : 0);
	if (!traffic->is_shared) {
		count(traffic->result,
		    sequence_note(&member->streams[index], stamp.number));
		return;
	}
	if (sequence_note(&topic->group[index], stamp.number) ==
	    SEQUENCE_DOUBLED)
		traffic->result->doubled++;
	else if (sequence_note(&member->streams[index], stamp.number) ==
	    SEQUENCE_LATE)
		traffic->result->disordered++;
}

static void
acknowledge(
    struct load_client *client, enum mqtt_packet_type type, uint16_t packet_id)
{
	mqtt_encode_ack_success(
	    load_client_reserve(client, 4), type, packet_id);
}

static void
on_publish(struct traffic *traffic, struct member *member,
    const struct mqtt_frame *frame, uint64_t now_ns)
{
	struct mqtt_publish publish;

	if (mqtt_decode_publish(frame, member->client.version, MQTT_CLIENT,
		&publish) != MQTT_SUCCESS)
		load_die_of("a PUBLISH that cannot be read");
	if (traffic->is_stamped)
		check(traffic, member, publish.payload, now_ns);
	member->topic->received++;
	touch(traffic, member->topic);
	traffic->result->count++;
	if (publish.qos != 0)
		acknowledge(&member->client,
		    publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC,
		    publish.packet_id);
}

static void
note_if_finished(struct traffic *traffic, const struct member *member)
{
	if (member->left == 0 && member->unacknowledged == 0)
		traffic->unfinished--;
}

static void
on_last_ack(struct traffic *traffic, struct member *member)
{
	if (member->unacknowledged == 0)
		load_die_of("more acknowledgements than messages");
	member->unacknowledged--;
	if (traffic->options->is_offline)
		traffic->result->count++;
	touch(traffic, member->topic);
	note_if_finished(traffic, member);
}

static void
on_packet(void *context, struct load_client *client,
    const struct mqtt_frame *frame, uint64_t now_ns)
{
	struct traffic *traffic = context;
	struct member *member = (struct member *)client;
	struct mqtt_ack ack = { 0 };

	if (frame->type == MQTT_PUBLISH) {
		on_publish(traffic, member, frame, now_ns);
		return;
	}
	if (mqtt_decode_ack(frame, client->version, &ack) != MQTT_SUCCESS)
		load_die_of("a %s that is not expected or cannot be read",
		    mqtt_packet_name(frame->type));
	if (mqtt_reason_is_error(ack.reason))
		load_die_of("%s says: %s", mqtt_packet_name(frame->type),
		    mqtt_reason_name(ack.reason));
	if (frame->type == MQTT_PUBREC)
		acknowledge(client, MQTT_PUBREL, ack.packet_id);
	else if (frame->type == MQTT_PUBREL)
		acknowledge(client, MQTT_PUBCOMP, ack.packet_id);
	else
		on_last_ack(traffic, member);
}

/* ---- what goes ---------------------------------------------------------- */

static void
publish(struct traffic *traffic, struct member *member, uint64_t due_ns)
{
	struct topic *topic = member->topic;
	const struct mqtt_publish_layout *layout = &topic->layout;
	const struct stamp stamp = { member->number, member->next++, due_ns };
	uint8_t *packet;

	packet = load_client_reserve(&member->client, layout->size);
	memcpy(packet, topic->packet, layout->size);
	if (traffic->is_stamped)
		memcpy(packet + layout->payload_offset, &stamp, sizeof(stamp));
	topic->sent++;
	traffic->result->sent++;
	member->left--;
	if (traffic->options->qos == 0) {
		note_if_finished(traffic, member);
		return;
	}
	mqtt_patch_packet_id(
	    packet, layout, load_client_packet_id(&member->client));
	member->unacknowledged++;
}

static bool
may_send(const struct traffic *traffic, const struct member *member)
{
	return member->left != 0 &&
	    member->unacknowledged < member->client.receive_maximum &&
	    (member->unacknowledged < traffic->options->window ||
		traffic->options->rate != 0);
}

/* Unpaced: what the window leaves room for. */
static void
publish_window(struct traffic *traffic, struct topic *topic, uint64_t now_ns)
{
	const uint64_t window = traffic->options->window;
	const uint64_t all = window * topic->publishers * topic->copies;
	struct member *member;

	for (uint64_t i = (uint64_t)(topic - traffic->topics);
	     i < traffic->options->publishers; i += traffic->options->topics) {
		member = &traffic->publishers[i];
		while (may_send(traffic, member) &&
		    (topic->copies == 0 ||
			topic->sent * topic->copies - topic->received < all))
			publish(traffic, member, now_ns);
	}
}

static uint64_t
due_ns(const struct traffic *traffic, uint64_t number)
{
	return traffic->begin_ns +
	    number * CLOCK_SECOND_NS / traffic->options->rate;
}

/* Paced: what is due by now, of one publisher after the other. */
static void
publish_due(struct traffic *traffic, uint64_t now_ns)
{
	const uint64_t publishers = traffic->options->publishers;
	struct member *member;
	uint64_t at;

	for (;;) {
		at = due_ns(traffic, traffic->result->sent);
		member =
		    &traffic->publishers[traffic->result->sent % publishers];
		if (at > now_ns || !may_send(traffic, member))
			return;
		publish(traffic, member, at);
	}
}

static void
publish_some(struct traffic *traffic, uint64_t now_ns)
{
	struct topic *topic = traffic->touched, *next;

	traffic->touched = NULL;
	for (; topic != NULL; topic = next) {
		next = topic->next_touched;
		topic->is_touched = false;
		if (traffic->options->rate == 0)
			publish_window(traffic, topic, now_ns);
	}
	if (traffic->options->rate != 0)
		publish_due(traffic, now_ns);
}

/* At a rate: until the next message is due, if it may be sent then. */
static uint64_t
timeout_ns(const struct traffic *traffic, uint64_t now_ns)
{
	const uint64_t longest = 100 * CLOCK_MS_NS;
	const uint64_t number = traffic->result->sent;
	uint64_t at;

	if (traffic->options->rate == 0 ||
	    !may_send(traffic,
		&traffic->publishers[number % traffic->options->publishers]))
		return longest;
	at = due_ns(traffic, number);
	if (at <= now_ns)
		return 0;
	return at - now_ns < longest ? at - now_ns : longest;
}

static bool
is_done(const struct traffic *traffic)
{
	return traffic->unfinished == 0 &&
	    traffic->result->count >= traffic->result->expected;
}

/* False: not all arrived in time. */
static bool
exchange(struct traffic *traffic, uint64_t deadline_ns)
{
	uint64_t now_ns;

	for (;;) {
		now_ns = clock_now_ns();
		publish_some(traffic, now_ns);
		load_loop_flush(&traffic->loop);
		if (is_done(traffic))
			return true;
		now_ns = clock_now_ns();
		if (now_ns >= deadline_ns)
			return false;
		load_loop_wait(&traffic->loop, timeout_ns(traffic, now_ns),
		    on_packet, traffic);
	}
}

/* ---- setting up --------------------------------------------------------- */

static void
prepare_topic(struct traffic *traffic, uint64_t number)
{
	const struct load_options *options = traffic->options;
	struct topic *topic = &traffic->topics[number];
	struct mqtt_publish_out publish = {
		.qos = (uint8_t)options->qos,
		.packet_id = 1,
	};
	uint8_t *payload = malloc(options->payload + 1);
	char name[LOAD_TOPIC_SIZE];
	size_t size;

	BUG_ON(payload == NULL);
	memset(payload, 'x', options->payload);
	load_topic(name, number);
	publish.topic = slice_of_string(name);
	publish.payload = slice_of(payload, options->payload);
	size = mqtt_publish_size(&publish, load_version(options));
	topic->packet = malloc(size);
	BUG_ON(topic->packet == NULL);
	mqtt_encode_publish(topic->packet, size, &publish,
	    load_version(options), &topic->layout);
	free(payload);
}

/* Wildcards take turns: below, above, and behind. */
static void
wild_filter(char *filter, size_t size, unsigned topic, uint64_t turn)
{
	if (turn % 3 == 0)
		snprintf(filter, size, "bench/+/%u", topic);
	else if (turn % 3 == 1)
		snprintf(filter, size, "+/load/%u", topic);
	else
		snprintf(filter, size, "bench/load/%u/#", topic);
}

static void
subscribe(struct traffic *traffic, struct member *member, uint64_t number)
{
	const uint64_t topics = traffic->options->topics;
	const unsigned topic = (unsigned)(number % topics);
	struct mqtt_subscription one = {
		.qos = (uint8_t)traffic->options->qos,
	};
	struct mqtt_frame frame;
	char name[64];

	if (traffic->options->pattern->filter == LOAD_SHARED)
		snprintf(
		    name, sizeof(name), "$share/load/" LOAD_TOPIC "%u", topic);
	else if (traffic->options->pattern->filter == LOAD_WILDCARD)
		wild_filter(name, sizeof(name), topic, number / topics);
	else
		load_topic(name, topic);
	one.filter = slice_of_string(name);
	load_client_subscribe(&member->client, &one, 1);
	load_client_await(&member->client, MQTT_SUBACK, &frame);
}

static struct sequence *
new_streams(uint64_t count)
{
	struct sequence *streams = calloc(count + 1, sizeof(*streams));

	BUG_ON(streams == NULL);
	return streams;
}

static void
add_publisher(struct traffic *traffic, uint64_t number)
{
	struct member *member = &traffic->publishers[number];

	member->topic = &traffic->topics[number % traffic->options->topics];
	member->number = (uint32_t)number;
	member->left = traffic->options->messages;
	member->topic->publishers++;
	load_join(traffic->options, &member->client, "p", (unsigned)number,
	    !traffic->options->is_kept);
}

static void
add_subscriber(struct traffic *traffic, uint64_t number)
{
	static const uint8_t disconnect[] = { MQTT_DISCONNECT << 4, 0 };
	struct member *member = &traffic->subscribers[number];

	member->topic = &traffic->topics[number % traffic->options->topics];
	member->number = (uint32_t)number;
	load_join(traffic->options, &member->client, "s", (unsigned)number,
	    !traffic->options->is_kept);
	subscribe(traffic, member, number);
	if (traffic->options->is_offline) {
		load_client_send(
		    &member->client, disconnect, sizeof(disconnect));
		load_client_fini(&member->client);
		return;
	}
	member->topic->subscribers++;
	member->streams = new_streams(member->topic->publishers);
}

/* Once it is known who is there: what each topic's messages come to. */
static void
settle_topic(struct traffic *traffic, struct topic *topic)
{
	const uint64_t messages = traffic->options->messages;

	topic->copies = topic->subscribers;
	if (traffic->is_shared && topic->copies > 1)
		topic->copies = 1;
	topic->group = new_streams(topic->publishers);
	traffic->result->expected +=
	    topic->publishers * messages * topic->copies;
	if (traffic->options->is_offline)
		traffic->result->expected += topic->publishers * messages;
	touch(traffic, topic);
}

static void
set_up(struct traffic *traffic)
{
	const struct load_options *options = traffic->options;

	traffic->topics = calloc(options->topics, sizeof(*traffic->topics));
	traffic->publishers =
	    calloc(options->publishers, sizeof(*traffic->publishers));
	traffic->subscribers =
	    calloc(options->subscribers + 1, sizeof(*traffic->subscribers));
	BUG_ON(traffic->topics == NULL || traffic->publishers == NULL ||
	    traffic->subscribers == NULL);
	for (uint64_t i = 0; i < options->topics; i++)
		prepare_topic(traffic, i);
	for (uint64_t i = 0; i < options->publishers; i++)
		add_publisher(traffic, i);
	for (uint64_t i = 0; i < options->subscribers; i++)
		add_subscriber(traffic, i);
	for (uint64_t i = 0; i < options->topics; i++)
		settle_topic(traffic, &traffic->topics[i]);
	traffic->unfinished = options->publishers;
	for (uint64_t i = 0; i < options->publishers; i++)
		load_loop_watch(&traffic->loop, &traffic->publishers[i].client);
	for (uint64_t i = 0; i < options->subscribers && !options->is_offline;
	     i++)
		load_loop_watch(
		    &traffic->loop, &traffic->subscribers[i].client);
}

/* ---- the end ------------------------------------------------------------ */

static uint64_t
missing(const struct traffic *traffic, const struct sequence *streams,
    const struct topic *topic)
{
	const uint64_t topics = traffic->options->topics;
	const uint64_t first = (uint64_t)(topic - traffic->topics);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < topic->publishers; i++)
		sum += sequence_missing(
		    &streams[i], traffic->publishers[first + i * topics].next);
	return sum;
}

static void
count_losses(struct traffic *traffic)
{
	const struct load_options *options = traffic->options;
	struct load_result *result = traffic->result;
	const struct member *member;

	if (!traffic->is_stamped || options->is_offline)
		return;
	result->is_checked = true;
	for (uint64_t i = 0; !traffic->is_shared && i < options->subscribers;
	     i++) {
		member = &traffic->subscribers[i];
		result->lost +=
		    missing(traffic, member->streams, member->topic);
	}
	for (uint64_t i = 0; traffic->is_shared && i < options->topics; i++)
		if (traffic->topics[i].copies != 0)
			result->lost += missing(traffic,
			    traffic->topics[i].group, &traffic->topics[i]);
}

static void
wait_for_more(struct traffic *traffic)
{
	const uint64_t end_ns = clock_now_ns() + AFTERMATH_NS;
	uint64_t now_ns;

	while ((now_ns = clock_now_ns()) < end_ns) {
		load_loop_wait(
		    &traffic->loop, end_ns - now_ns, on_packet, traffic);
		load_loop_flush(&traffic->loop);
	}
}

void
load_traffic_run(const struct load_options *options, struct load_result *result)
{
	struct traffic traffic = {
		.options = options,
		.result = result,
		.is_stamped = options->payload >= LOAD_STAMP_BYTES,
		.is_shared = options->pattern->filter == LOAD_SHARED,
	};
	uint64_t cpu_ns;

	result->unit = "deliveries";
	load_loop_init(&traffic.loop);
	set_up(&traffic);

	cpu_ns = load_cpu_ns(options);
	traffic.begin_ns = clock_now_ns();
	result->is_whole = exchange(
	    &traffic, traffic.begin_ns + options->seconds * CLOCK_SECOND_NS);
	result->elapsed_ns = clock_now_ns() - traffic.begin_ns;
	result->cpu_ns = load_cpu_ns(options) - cpu_ns;
	wait_for_more(&traffic);
	count_losses(&traffic);
}
