/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load - what the files of the load program share: its options, and what a
 * pattern has to say at the end.
 */

#ifndef WEIR_BENCH_LOAD_H
#define WEIR_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/cpu_time.h"
#include "bench/load_client.h"
#include "common/base/histogram.h"

/* At the beginning of a payload that has room for it: whose it is, and when. */
#define LOAD_STAMP_BYTES 16

#define LOAD_TOPIC "bench/load/"
#define LOAD_TOPIC_SIZE 32

/* How a subscriber names its topic. */
enum load_filter {
	LOAD_EXACT,
	LOAD_SHARED,   /* one group for all subscribers of a topic */
	LOAD_WILDCARD, /* in turns: + below, + above, # behind */
};

/* While they are read, UINT64_MAX is a number that was not given. */
struct load_options {
	const struct load_pattern *pattern;
	struct cpu_time broker;
	uint64_t port;
	uint64_t publishers, subscribers, topics;
	uint64_t qos;
	uint64_t payload;  /* bytes */
	uint64_t messages; /* of each publisher; else see the patterns */
	uint64_t window;
	uint64_t seconds; /* at most */
	uint64_t rate;    /* messages a second of all publishers; 0: unpaced */
	bool is_mqtt5;
	bool is_kept;
	bool is_offline;

	/* What else is there: see load_crowd.h. */
	uint64_t idle, unrelated, retained, queued, stalled, unread, half_open;
	bool is_held;
};

/* What a run comes to.  Zeroed is nothing at all. */
struct load_result {
	const char *unit; /* what is counted: "deliveries", "connections" */
	uint64_t count, expected;
	uint64_t sent; /* PUBLISH packets, in a pattern that publishes */
	uint64_t lost, doubled, disordered;
	bool is_checked; /* the three above were looked for */
	bool is_whole;   /* all that was expected came in time */
	uint64_t elapsed_ns, cpu_ns;
	struct histogram latency; /* nanoseconds */
};

struct load_pattern {
	const char *name;
	const char *summary;
	enum load_filter filter;
	uint64_t publishers, subscribers, topics, window, messages, rate;
	void (*run)(
	    const struct load_options *options, struct load_result *result);
};

/* PUBLISH from publishers to subscribers; every pattern but two. */
void load_traffic_run(
    const struct load_options *options, struct load_result *result);

/* Subscribers that come for retained messages, and come again. */
void load_retained_run(
    const struct load_options *options, struct load_result *result);

/* Connections that are made and given up. */
void load_connect_run(
    const struct load_options *options, struct load_result *result);

/* Processor time that the broker has used so far; ends if it has gone. */
uint64_t load_cpu_ns(const struct load_options *options);

/* A client that has been through CONNACK, as "load-PID-ROLE-NUMBER". */
void load_join(const struct load_options *options, struct load_client *client,
    const char *role, unsigned number, bool is_clean);

/* Its client id, and the version in which it speaks. */
void load_client_id(char *text, size_t size, const char *role, unsigned number);
enum mqtt_version load_version(const struct load_options *options);

void load_topic(char name[LOAD_TOPIC_SIZE], uint64_t number);

/* Publish one message and wait for what acknowledges it, if anything does. */
void load_publish_and_wait(struct load_client *client, const char *topic,
    struct slice payload, uint8_t qos, bool is_retained);

#endif
