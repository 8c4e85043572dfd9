/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/sys_topics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bridge_table.h"
#include "broker/retain.h"
#include "broker/route.h"
#include "broker/subscription_tree.h"
#include "broker/tally.h"
#include "broker/worker.h"
#include "common/base/clock.h"

#define PREFIX "$SYS/broker/"
#define TOPIC_SIZE 64 /* of the longest topic, its NUL included */
#define TEXT_SIZE 64

/* A row of sys_topics.def. */
struct row {
	const char *topic;
	enum counter counter; /* without a function */
	uint64_t (*value)(const struct sys_topics *topics);
};

static uint64_t sessions_offline(const struct sys_topics *topics);
static uint64_t clients_maximum(const struct sys_topics *topics);
static uint64_t packets_out(const struct sys_topics *topics);
static uint64_t stored(const struct sys_topics *topics);
static uint64_t stored_bytes(const struct sys_topics *topics);
static uint64_t dropped(const struct sys_topics *topics);
static uint64_t retained_messages(const struct sys_topics *topics);
static uint64_t subscriptions(const struct sys_topics *topics);
static uint64_t shared_subscriptions(const struct sys_topics *topics);

static const struct row numbers[] = {
#define SYS_COUNTER(topic, counter) { topic, COUNT_##counter, NULL },
#define SYS_VALUE(topic, function) { topic, COUNT_ROWS, function },
#define SYS_LOAD(topic, counter)
#define SYS_LOAD_VALUE(topic, function)
#include "broker/sys_topics.def"
};

static const struct row loads[] = {
#define SYS_COUNTER(topic, counter)
#define SYS_VALUE(topic, function)
#define SYS_LOAD(topic, counter) { topic, COUNT_##counter, NULL },
#define SYS_LOAD_VALUE(topic, function) { topic, COUNT_ROWS, function },
#include "broker/sys_topics.def"
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))
#define LOADS (sizeof(loads) / sizeof(loads[0]))

static const char *const window_names[3] = { "1min", "5min", "15min" };
static const double window_seconds[3] = { 60, 300, 900 };

/* What was published last. */
struct told {
	char text[TEXT_SIZE];
};

struct sys_topics {
	struct worker *worker;
	struct loop_timer timer;
	uint64_t interval_ns;
	uint64_t load_at_ns; /* when the loads were taken last */
	uint64_t most_clients;
	struct sys_load loads[LOADS];
	struct told told_version;
	struct told told_uptime;
	struct told told_numbers[NUMBERS];
	struct told told_loads[LOADS][3];
};

/* ---- the numbers --------------------------------------------------------- */

static uint64_t
count(const struct sys_topics *topics, enum counter counter)
{
	return stats_read(topics->worker->broker->stats, counter);
}

/* Of numbers that are not read at one moment. */
static uint64_t
minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t
sessions_offline(const struct sys_topics *topics)
{
	return minus(
	    count(topics, COUNT_sessions), count(topics, COUNT_clients));
}

static uint64_t
clients_maximum(const struct sys_topics *topics)
{
	return topics->most_clients;
}

static uint64_t
packets_out(const struct sys_topics *topics)
{
	return count(topics, COUNT_messages_out) +
	    count(topics, COUNT_answers_out);
}

static uint64_t
stored(const struct sys_topics *topics)
{
	return retained_messages(topics) + count(topics, COUNT_queued) +
	    count(topics, COUNT_in_flight);
}

/* Of what is retained or waits; what is in flight is not added up. */
static uint64_t
stored_bytes(const struct sys_topics *topics)
{
	return retained_bytes(topics->worker->broker->retained) +
	    count(topics, COUNT_queued_bytes);
}

static uint64_t
dropped(const struct sys_topics *topics)
{
	return count(topics, COUNT_dropped_slow) +
	    count(topics, COUNT_dropped_offline) +
	    count(topics, COUNT_dropped_queue_full) +
	    count(topics, COUNT_dropped_expired) +
	    count(topics, COUNT_dropped_too_large) +
	    count(topics, COUNT_dropped_memory) +
	    count(topics, COUNT_dropped_session_end) +
	    count(topics, COUNT_dropped_qos0_bridge);
}

static uint64_t
retained_messages(const struct sys_topics *topics)
{
	return retained_count(topics->worker->broker->retained);
}

static uint64_t
subscriptions(const struct sys_topics *topics)
{
	return subscription_tree_count(topics->worker->broker->subscriptions);
}

static uint64_t
shared_subscriptions(const struct sys_topics *topics)
{
	return subscription_tree_shared_count(
	    topics->worker->broker->subscriptions);
}

static uint64_t
value_of(const struct sys_topics *topics, const struct row *row)
{
	return row->value != NULL ? row->value(topics)
				  : count(topics, row->counter);
}

void
sys_load_add(struct sys_load *load, uint64_t now, uint64_t elapsed_ns)
{
	const double seconds = (double)elapsed_ns / (double)CLOCK_SECOND_NS;
	double rate, kept;

	if (elapsed_ns != 0) {
		rate = (double)(now < load->before ? now : now - load->before) *
		    60 / seconds;
		for (int i = 0; i < 3; i++) {
			kept = exp(-seconds / window_seconds[i]);
			load->minutes[i] =
			    rate + kept * (load->minutes[i] - rate);
		}
	}
	load->before = now;
}

/* ---- publishing -----------------------------------------------------------
 */

/* Each bridge by itself: one without room is not the others' loss. */
static void
send_to_bridges(struct worker *worker, struct message *message)
{
	const size_t weight = message_weight(message);
	uint64_t bridges, one;
	unsigned bridge;

	bridges =
	    bridge_table_match(worker->broker->bridges, message_topic(message));
	tally_offered(worker->tally, bridges);
	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		one = UINT64_C(1) << bridge;
		if (bridge_port_offer(worker->port, one, weight) ==
		    BRIDGE_PORT_TAKES) {
			bridge_port_send(worker->port, one, message);
			continue;
		}
		worker_count(worker, COUNT_dropped_qos0_bridge);
		tally_declined(worker->tally, one);
	}
}

/* False: no memory. */
static bool
publish(struct sys_topics *topics, const char *topic, const char *text)
{
	struct worker *worker = topics->worker;
	const struct message_parts parts = {
		.topic = slice_of_string(topic),
		.payload = slice_of_string(text),
		.retain = true,
		.link = MESSAGE_FROM_MQTT,
		.lane = MESSAGE_OWN_LANE,
		.created_ns = worker_now_ns(worker),
		.expires_ns = UINT64_MAX,
	};
	struct message *message;

	message = message_new(worker->messages, &parts);
	if (message == NULL)
		return false;
	send_to_bridges(worker, message);
	route_local(worker->broker, worker, message, NULL);
	message_put(message);
	return true;
}

static void
tell(struct sys_topics *topics, const char *topic, struct told *told,
    const char *text)
{
	char whole[TOPIC_SIZE];

	if (strcmp(told->text, text) == 0)
		return;
	snprintf(whole, sizeof(whole), PREFIX "%s", topic);
	if (publish(topics, whole, text))
		snprintf(told->text, sizeof(told->text), "%s", text);
}

static void
tell_start(struct sys_topics *topics)
{
	const uint64_t up_ns =
	    worker_now_ns(topics->worker) - topics->worker->broker->started_ns;
	char text[TEXT_SIZE];

	snprintf(text, sizeof(text), "weir version %s", PACKAGE_VERSION);
	tell(topics, "version", &topics->told_version, text);
	snprintf(
	    text, sizeof(text), "%" PRIu64 " seconds", up_ns / CLOCK_SECOND_NS);
	tell(topics, "uptime", &topics->told_uptime, text);
}

static void
tell_numbers(struct sys_topics *topics)
{
	const uint64_t clients = count(topics, COUNT_clients);
	char text[TEXT_SIZE];

	if (clients > topics->most_clients)
		topics->most_clients = clients;
	for (size_t i = 0; i < NUMBERS; i++) {
		snprintf(text, sizeof(text), "%" PRIu64,
		    value_of(topics, &numbers[i]));
		tell(topics, numbers[i].topic, &topics->told_numbers[i], text);
	}
}

static void
tell_load(struct sys_topics *topics, size_t which)
{
	char topic[TOPIC_SIZE], text[TEXT_SIZE];

	for (int i = 0; i < 3; i++) {
		snprintf(topic, sizeof(topic), "%s/%s", loads[which].topic,
		    window_names[i]);
		snprintf(text, sizeof(text), "%.2f",
		    topics->loads[which].minutes[i]);
		tell(topics, topic, &topics->told_loads[which][i], text);
	}
}

static void
tell_loads(struct sys_topics *topics)
{
	const uint64_t now_ns = worker_now_ns(topics->worker);
	const uint64_t elapsed_ns =
	    topics->load_at_ns == 0 ? 0 : now_ns - topics->load_at_ns;

	topics->load_at_ns = now_ns;
	for (size_t i = 0; i < LOADS; i++) {
		sys_load_add(
		    &topics->loads[i], value_of(topics, &loads[i]), elapsed_ns);
		tell_load(topics, i);
	}
}

static void
on_timer(void *arg)
{
	struct sys_topics *topics = arg;

	if (topics->worker->draining)
		return;
	tell_start(topics);
	tell_numbers(topics);
	tell_loads(topics);
	loop_timer_start(&topics->timer, topics->interval_ns);
}

struct sys_topics *
sys_topics_new(struct worker *worker, uint64_t interval_ns)
{
	struct sys_topics *topics = calloc(1, sizeof(*topics));

	if (topics == NULL)
		return NULL;
	topics->worker = worker;
	topics->interval_ns = interval_ns;
	loop_timer_init(&topics->timer, worker->loop, on_timer, topics);
	loop_timer_start(&topics->timer, 0);
	return topics;
}

void
sys_topics_free(struct sys_topics *topics)
{
	if (topics == NULL)
		return;
	loop_timer_stop(&topics->timer);
	free(topics);
}
