/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load - put a load on an MQTT broker, and say what it cost and whether it
 * was right.
 *
 *	bench/load -p PORT [--pattern NAME] [OPTIONS]
 *
 * --help names the patterns and options; bench/README.md says how to read what
 * is printed: one line of key=value.  The exit status is 1 when not everything
 * arrived in time, or something was doubled or out of order.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/load.h"
#include "bench/load_crowd.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/options.h"

#define UNSET UINT64_MAX
#define PACED_SECONDS 4

static const struct load_pattern patterns[] = {
	{ "p2p", "50 publishers, each with a subscriber of its own", LOAD_EXACT,
	    50, 50, 50, 100, 10000, 0, load_traffic_run },
	{ "fan-out", "5 publishers, 500 subscribers, one topic", LOAD_EXACT, 5,
	    500, 1, 100, 60, 0, load_traffic_run },
	{ "fan-in", "500 publishers, 2 subscribers, two topics", LOAD_EXACT,
	    500, 2, 2, 100, 300, 0, load_traffic_run },
	{ "shared", "500 publishers, 5 members of one shared subscription",
	    LOAD_SHARED, 500, 5, 1, 100, 300, 0, load_traffic_run },
	{ "wildcard", "1,000 filters with wildcards, of which 10 match",
	    LOAD_WILDCARD, 100, 1000, 100, 100, 100, 0, load_traffic_run },
	{ "open-loop", "50 pairs, 5,000 messages a second whatever happens",
	    LOAD_EXACT, 50, 50, 50, 100, UNSET, 5000, load_traffic_run },
	{ "ping-pong", "one pair, one message after the other", LOAD_EXACT, 1,
	    1, 1, 1, 20000, 0, load_traffic_run },
	{ "retained", "20 subscribers come 5 times for 1,000 topics",
	    LOAD_EXACT, 1, 20, 1000, 1, 5, 0, load_retained_run },
	{ "connect", "10,000 connections made and ended, 16 at a time",
	    LOAD_EXACT, 1, 0, 1, 16, 10000, 0, load_connect_run },
};

/* ---- what the other files use ------------------------------------------- */

enum mqtt_version
load_version(const struct load_options *options)
{
	return options->is_mqtt5 ? MQTT_5 : MQTT_3_1_1;
}

uint64_t
load_cpu_ns(const struct load_options *options)
{
	uint64_t used_ns = 0;

	if (cpu_time_read(&options->broker, &used_ns) != 0)
		load_die_of("a process of -c has ended");
	return used_ns;
}

void
load_client_id(char *text, size_t size, const char *role, unsigned number)
{
	snprintf(text, size, "load-%d-%s-%u", (int)getpid(), role, number);
}

void
load_topic(char name[LOAD_TOPIC_SIZE], uint64_t number)
{
	snprintf(name, LOAD_TOPIC_SIZE, LOAD_TOPIC "%" PRIu64, number);
}

void
load_join(const struct load_options *options, struct load_client *client,
    const char *role, unsigned number, bool is_clean)
{
	struct mqtt_connect connect = {
		.version = (uint8_t)load_version(options),
		.clean_start = is_clean,
	};
	struct mqtt_frame frame;
	char id[48];

	if (options->is_mqtt5 && !is_clean) {
		mqtt_properties_set(
		    &connect.properties, MQTT_SESSION_EXPIRY_INTERVAL);
		connect.properties.session_expiry_interval_s = 3600;
	}
	load_client_id(id, sizeof(id), role, number);
	connect.client_id = slice_of_string(id);
	load_client_open(client, (uint16_t)options->port);
	load_client_connect(client, &connect);
	load_client_await(client, MQTT_CONNACK, &frame);
}

void
load_publish_and_wait(struct load_client *client, const char *topic,
    struct slice payload, uint8_t qos, bool is_retained)
{
	const struct mqtt_publish_out out = {
		.qos = qos,
		.retain = is_retained,
		.packet_id = load_client_packet_id(client),
		.topic = slice_of_string(topic),
		.payload = payload,
	};
	size_t size = mqtt_publish_size(&out, client->version);
	uint8_t *packet = malloc(size);
	struct mqtt_frame frame;

	BUG_ON(packet == NULL || qos > 1);
	mqtt_encode_publish(packet, size, &out, client->version, NULL);
	load_client_send(client, packet, size);
	free(packet);
	if (qos == 1)
		load_client_await(client, MQTT_PUBACK, &frame);
}

/* ---- the command line --------------------------------------------------- */

static const char *
read_pattern(void *target, const char *value)
{
	struct load_options *options = target;

	for (size_t i = 0; i < ARRAY_LENGTH(patterns); i++)
		if (strcmp(patterns[i].name, value) == 0) {
			options->pattern = &patterns[i];
			return NULL;
		}
	return "one of p2p, fan-out, fan-in, shared, wildcard, open-loop, "
	       "ping-pong, retained, connect";
}

static const char *
read_processes(void *target, const char *value)
{
	struct load_options *options = target;

	return cpu_time_parse(value, &options->broker) == 0
	    ? NULL
	    : "a list of living processes, as in 4711,4712";
}

#define U64(field) OPTION_U64, offsetof(struct load_options, field), NULL
#define FLAG(field) OPTION_FLAG, offsetof(struct load_options, field), NULL

static const struct option_row rows[] = {
	{ 'p', "port", "PORT", "the broker's, on the loopback address",
	    U64(port) },
	{ 'm', "pattern", "NAME", "one of those below, which sets the rest",
	    OPTION_CALL, 0, read_pattern },
	{ 'P', "publishers", "N", "clients that publish", U64(publishers) },
	{ 'S', "subscribers", "N", "clients that subscribe", U64(subscribers) },
	{ 'T', "topics", "N", "client I uses topic I modulo N", U64(topics) },
	{ 'q', "qos", "QOS", "0, 1 or 2", U64(qos) },
	{ 's', "payload", "BYTES", "16 or more: order and loss are checked",
	    U64(payload) },
	{ 'n', "messages", "N", "of each publisher", U64(messages) },
	{ 'w', "window", "N", "messages that each publisher has under way",
	    U64(window) },
	{ 'r', "rate", "N", "messages a second of all, instead of a window",
	    U64(rate) },
	{ 't', "seconds", "N", "time that is given to arrive", U64(seconds) },
	{ 'c', "cpu", "PID,...", "measure the processor time of these",
	    OPTION_CALL, 0, read_processes },
	{ '5', "mqtt5", NULL, "speak MQTT 5.0 instead of 3.1.1",
	    FLAG(is_mqtt5) },
	{ 'k', "kept", NULL, "sessions are kept", FLAG(is_kept) },
	{ 'o', "offline", NULL, "subscribers are away; count acknowledgements",
	    FLAG(is_offline) },
	{ 0, "idle", "N", "beside it: clients that do nothing", U64(idle) },
	{ 0, "unrelated", "N", "beside it: subscriptions that do not match",
	    U64(unrelated) },
	{ 0, "other-retained", "N", "beside it: retained messages",
	    U64(retained) },
	{ 0, "queued", "N", "beside it: messages for a session that is away",
	    U64(queued) },
	{ 0, "stalled", "N", "beside it: subscribers that do not read",
	    U64(stalled) },
	{ 0, "unread", "N", "messages that wait for each of those already",
	    U64(unread) },
	{ 0, "half-open", "N", "beside it: connections without a CONNECT",
	    U64(half_open) },
	{ 0, "hold", NULL, "no pattern; say ready=N, and leave with stdin",
	    FLAG(is_held) },
};

static const struct {
	const char *name;
	size_t offset;
	uint64_t least, most;
} ranges[] = {
	{ "--port", offsetof(struct load_options, port), 1, 65535 },
	{ "--publishers", offsetof(struct load_options, publishers), 1, 60000 },
	{ "--subscribers", offsetof(struct load_options, subscribers), 0,
	    60000 },
	{ "--topics", offsetof(struct load_options, topics), 1, 1000000 },
	{ "--qos", offsetof(struct load_options, qos), 0, 2 },
	{ "--payload", offsetof(struct load_options, payload), 0, 32768 },
	{ "--messages", offsetof(struct load_options, messages), 1, 100000000 },
	{ "--window", offsetof(struct load_options, window), 1, 60000 },
	{ "--rate", offsetof(struct load_options, rate), 0, 10000000 },
	{ "--seconds", offsetof(struct load_options, seconds), 1, 3600 },
	{ "--idle", offsetof(struct load_options, idle), 0, 1000000 },
	{ "--unrelated", offsetof(struct load_options, unrelated), 0,
	    10000000 },
	{ "--other-retained", offsetof(struct load_options, retained), 0,
	    10000000 },
	{ "--queued", offsetof(struct load_options, queued), 0, 10000000 },
	{ "--stalled", offsetof(struct load_options, stalled), 0, 60000 },
	{ "--unread", offsetof(struct load_options, unread), 0, 1000000 },
	{ "--half-open", offsetof(struct load_options, half_open), 0, 60000 },
};

static const char *
list_patterns(char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "\nPatterns:\n");

	for (size_t i = 0; i < ARRAY_LENGTH(patterns) && used < size; i++)
		used += (size_t)snprintf(text + used, size - used,
		    "  %-10s  %s\n", patterns[i].name, patterns[i].summary);
	return text;
}

static void
fill_in(uint64_t *value, uint64_t otherwise)
{
	if (*value == UNSET)
		*value = otherwise;
}

/* What was not given, the pattern says. */
static void
complete(struct load_options *options)
{
	const struct load_pattern *pattern = options->pattern;

	fill_in(&options->publishers, pattern->publishers);
	fill_in(&options->subscribers, pattern->subscribers);
	fill_in(&options->topics, pattern->topics);
	fill_in(&options->window, pattern->window);
	fill_in(&options->rate, pattern->rate);
	fill_in(&options->messages, pattern->messages);
	if (options->publishers != 0)
		fill_in(&options->messages,
		    options->rate * PACED_SECONDS / options->publishers + 1);
}

static int
check_ranges(const struct options *table, const struct load_options *options)
{
	uint64_t value;

	for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++) {
		memcpy(&value, (const char *)options + ranges[i].offset,
		    sizeof(value));
		if (value < ranges[i].least || value > ranges[i].most)
			return options_usage_error(table,
			    "%s takes a number from %" PRIu64 " to %" PRIu64,
			    ranges[i].name, ranges[i].least, ranges[i].most);
	}
	return OPTIONS_GO;
}

static int
read_options(struct load_options *options, int argc, char **argv)
{
	char text[1024];
	const struct options table = {
		.program = "load",
		.synopsis = "-p PORT [--pattern NAME] [OPTIONS]",
		.summary = "Put a load on an MQTT broker; say what it cost.",
		.epilogue = list_patterns(text, sizeof(text)),
		.rows = rows,
		.count = ARRAY_LENGTH(rows),
	};
	int code;

	code = options_parse(&table, options, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc != 1)
		return options_usage_error(
		    &table, "\"%s\" is no option", argv[1]);
	if (options->port == 0)
		return options_usage_error(&table, "-p PORT is missing");
	options->is_kept = options->is_kept || options->is_offline;
	complete(options);
	if (options->is_offline && options->qos == 0)
		return options_usage_error(
		    &table, "--offline counts acknowledgements: give --qos");
	return check_ranges(&table, options);
}

/* ---- the end ------------------------------------------------------------ */

static double
us(const struct load_result *result, double percent)
{
	return (double)histogram_percentile(&result->latency, percent) / 1e3;
}

static double
share_us(uint64_t cpu_ns, uint64_t count)
{
	return count == 0 ? 0 : (double)cpu_ns / 1e3 / (double)count;
}

static void
print_result(const struct load_result *result)
{
	printf("%s=%" PRIu64 " expected=%" PRIu64
	       " per_second=%.0f cpu_us=%.3f",
	    result->unit, result->count, result->expected,
	    (double)result->count * 1e9 / (double)result->elapsed_ns,
	    share_us(result->cpu_ns, result->count));
	if (result->sent != 0)
		printf(" sent=%" PRIu64 " cpu_publish_us=%.3f", result->sent,
		    share_us(result->cpu_ns, result->sent));
	if (result->is_checked)
		printf(" lost=%" PRIu64 " doubled=%" PRIu64
		       " disordered=%" PRIu64,
		    result->lost, result->doubled, result->disordered);
	if (result->latency.count != 0)
		printf(" p50_us=%.1f p90_us=%.1f p99_us=%.1f p999_us=%.1f "
		       "max_us=%.1f",
		    us(result, 50), us(result, 90), us(result, 99),
		    us(result, 99.9), us(result, 100));
	printf("\n");
}

int
main(int argc, char **argv)
{
	struct load_options options = {
		.pattern = &patterns[0],
		.publishers = UNSET,
		.subscribers = UNSET,
		.topics = UNSET,
		.window = UNSET,
		.rate = UNSET,
		.messages = UNSET,
		.payload = 16,
		.seconds = 60,
	};
	static struct load_result result;
	struct load_crowd crowd;
	struct rlimit files;
	int code;

	code = read_options(&options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);

	load_crowd_init(&crowd, &options);
	if (options.is_held)
		load_crowd_hold(&crowd);
	else {
		options.pattern->run(&options, &result);
		print_result(&result);
		fflush(stdout);
	}
	load_crowd_fini(&crowd);
	if (options.is_held)
		return EXIT_OK;
	return result.is_whole && result.lost == 0 && result.doubled == 0 &&
		result.disordered == 0
	    ? EXIT_OK
	    : EXIT_FAILED;
}
