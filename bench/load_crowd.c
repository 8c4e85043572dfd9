/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/load_crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/bug.h"

#define FILTERS_A_CLIENT 1000u
#define FILTERS_A_PACKET 100u
#define STALLED_BUFFER 4096
#define WINDOW 32u
#define OTHER_TOPIC "bench/other/"
#define QUEUE_TOPIC "bench/queue/"
#define QUEUE_FILTER QUEUE_TOPIC "#"
#define FILTER_SIZE 40
#define SETTLE_LOOKS 100u
#define SETTLE_LOOK_NS 100000000
#define SETTLED_PERCENT 1

static struct load_client *
add(struct load_crowd *crowd)
{
	BUG_ON(crowd->count == crowd->room);
	return &crowd->members[crowd->count++];
}

static void
subscribe(struct load_client *client, const char *filter, uint8_t qos)
{
	const struct mqtt_subscription one = {
		.qos = qos,
		.filter = slice_of_string(filter),
	};
	struct mqtt_frame frame;

	load_client_subscribe(client, &one, 1);
	load_client_await(client, MQTT_SUBACK, &frame);
}

/* What a member of the crowd does not need is memory for what comes. */
static void
give_input_back(struct load_client *client)
{
	free(client->input);
	client->input = NULL;
}

static void
add_idle(struct load_crowd *crowd)
{
	struct load_client *client;
	char filter[FILTER_SIZE];

	for (unsigned i = 0; i < crowd->options->idle; i++) {
		client = add(crowd);
		load_join(crowd->options, client, "i", i, true);
		snprintf(filter, sizeof(filter), "bench/idle/%u", i);
		subscribe(client, filter, 0);
		give_input_back(client);
	}
}

static void
subscribe_to_nothing(struct load_client *client, unsigned first, unsigned count)
{
	struct mqtt_subscription list[FILTERS_A_PACKET];
	char filters[FILTERS_A_PACKET][FILTER_SIZE];
	struct mqtt_frame frame;

	for (unsigned i = 0; i < count; i++) {
		snprintf(filters[i], FILTER_SIZE,
		    (first + i) % 2 == 0 ? "bench/nothing/%u"
					 : "bench/+/nothing/%u",
		    first + i);
		list[i] = (struct mqtt_subscription){
			.filter = slice_of_string(filters[i]),
		};
	}
	load_client_subscribe(client, list, count);
	load_client_await(client, MQTT_SUBACK, &frame);
}

static void
add_unrelated(struct load_crowd *crowd)
{
	const unsigned all = (unsigned)crowd->options->unrelated;
	struct load_client *client = NULL;
	unsigned count;

	for (unsigned i = 0; i < all; i += count) {
		if (i % FILTERS_A_CLIENT == 0) {
			client = add(crowd);
			load_join(crowd->options, client, "u", i, true);
		}
		count = all - i < FILTERS_A_PACKET ? all - i : FILTERS_A_PACKET;
		subscribe_to_nothing(client, i, count);
	}
}

/* Publish with QoS 1, WINDOW at a time. */
static void
publish_many(const struct load_options *options, const char *prefix,
    unsigned count, struct slice payload, bool is_retained)
{
	struct mqtt_publish_out out = {
		.qos = 1,
		.retain = is_retained,
		.payload = payload,
	};
	struct load_client client = { 0 };
	uint8_t packet[256];
	char topic[FILTER_SIZE];
	struct mqtt_frame frame;

	load_join(options, &client, "r", 0, true);
	for (unsigned i = 0; i < count + WINDOW; i++) {
		if (i >= WINDOW && i - WINDOW < count)
			load_client_await(&client, MQTT_PUBACK, &frame);
		if (i >= count)
			continue;
		snprintf(topic, sizeof(topic), "%s%u", prefix, i);
		out.topic = slice_of_string(topic);
		out.packet_id = load_client_packet_id(&client);
		load_client_send(&client, packet,
		    mqtt_encode_publish(packet, sizeof(packet), &out,
			load_version(options), NULL));
	}
	load_client_fini(&client);
}

static void
leave(struct load_client *client)
{
	static const uint8_t disconnect[] = { MQTT_DISCONNECT << 4, 0 };

	load_client_send(client, disconnect, sizeof(disconnect));
	load_client_fini(client);
}

static void
add_queued(const struct load_options *options)
{
	struct load_client client = { 0 };

	if (options->queued == 0)
		return;
	load_join(options, &client, "q", 0, false);
	subscribe(&client, QUEUE_FILTER, 1);
	leave(&client);
	publish_many(options, QUEUE_TOPIC, (unsigned)options->queued,
	    slice_of_string("sixteen bytes.."), false);
}

static void
add_stalled(struct load_crowd *crowd)
{
	const int little = STALLED_BUFFER;
	struct load_client *client;
	char name[LOAD_TOPIC_SIZE];

	for (unsigned i = 0; i < crowd->options->stalled; i++) {
		client = add(crowd);
		load_join(crowd->options, client, "x", i, true);
		setsockopt(
		    client->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
		load_topic(name, i % crowd->options->topics);
		subscribe(client, name, (uint8_t)crowd->options->qos);
		give_input_back(client);
	}
	for (uint64_t i = 0; i < crowd->options->unread; i++)
		publish_many(crowd->options, LOAD_TOPIC,
		    (unsigned)crowd->options->topics,
		    slice_of_string("sixteen bytes.."), false);
}

/*
 * What their coming has left to be done, by the broker and by the kernel on
 * its account, belongs to no delivery.
 */
static void
settle(const struct load_options *options)
{
	const struct timespec look = { .tv_nsec = SETTLE_LOOK_NS };
	uint64_t before_ns;

	for (unsigned i = 0; i < SETTLE_LOOKS; i++) {
		before_ns = load_cpu_ns(options);
		nanosleep(&look, NULL);
		if (load_cpu_ns(options) - before_ns <
		    SETTLE_LOOK_NS * SETTLED_PERCENT / 100)
			return;
	}
}

void
load_crowd_init(struct load_crowd *crowd, const struct load_options *options)
{
	*crowd = (struct load_crowd){
		.options = options,
		.room = options->idle + options->stalled + options->half_open +
		    options->unrelated / FILTERS_A_CLIENT + 1,
	};
	crowd->members = calloc(crowd->room, sizeof(*crowd->members));
	BUG_ON(crowd->members == NULL);
	add_idle(crowd);
	add_unrelated(crowd);
	if (options->retained != 0)
		publish_many(options, OTHER_TOPIC, (unsigned)options->retained,
		    slice_of_string("sixteen bytes.."), true);
	add_queued(options);
	add_stalled(crowd);
	for (uint64_t i = 0; i < options->half_open; i++)
		load_client_open(add(crowd), (uint16_t)options->port);
	if (crowd->count + options->retained + options->queued != 0)
		settle(options);
}

void
load_crowd_hold(const struct load_crowd *crowd)
{
	char byte;

	printf("ready=%zu\n", crowd->count);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

void
load_crowd_fini(struct load_crowd *crowd)
{
	const struct load_options *options = crowd->options;
	struct load_client client = { 0 };

	for (size_t i = 0; i < crowd->count; i++)
		load_client_fini(&crowd->members[i]);
	free(crowd->members);
	if (options->retained != 0)
		publish_many(options, OTHER_TOPIC, (unsigned)options->retained,
		    slice_of(NULL, 0), true);
	if (options->queued != 0) {
		load_join(options, &client, "q", 0, true);
		leave(&client);
	}
}
