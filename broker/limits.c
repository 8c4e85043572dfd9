/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/limits.h"

#include <stdlib.h>

#include "broker/client.h"
#include "broker/throttle.h"
#include "broker/worker.h"
#include "common/base/bug.h"
#include "common/base/log.h"
#include "common/msg/topic.h"

/* How often it is looked whether an episode is over. */
#define LOOK_NS CLOCK_SECOND_NS

#define NAMED(key) key, "above the server's " key

static const struct row {
	const char *name; /* the key, as it is told */
	const char *text; /* for the client */
	enum counter counter;
	enum mqtt_reason reason;
	const char *help;
} rows[LIMITS] = {
	[LIMIT_CONNECTIONS] = { NAMED("max_connections"),
	    COUNT_connections_refused, MQTT_QUOTA_EXCEEDED,
	    "raise max_connections" },
	[LIMIT_LISTENER_CONNECTIONS] = { NAMED("listeners.max_connections"),
	    COUNT_connections_refused, MQTT_QUOTA_EXCEEDED,
	    "raise max_connections of that listener" },
	[LIMIT_ADDRESS_CONNECTIONS] = { NAMED("max_connections_per_address"),
	    COUNT_connections_refused_address, MQTT_QUOTA_EXCEEDED,
	    "raise max_connections_per_address" },
	[LIMIT_CONNECT_RATE] = { NAMED("connect_rate"),
	    COUNT_connects_refused_rate, MQTT_CONNECTION_RATE_EXCEEDED,
	    "raise connect_rate.per_second or connect_rate.burst" },
	[LIMIT_ADDRESS_CONNECT_RATE] = { NAMED("connect_rate_per_address"),
	    COUNT_connects_refused_rate, MQTT_CONNECTION_RATE_EXCEEDED,
	    "raise connect_rate_per_address.per_second or its burst" },
	[LIMIT_FAILED_LOGINS] = { NAMED("failed_logins"), COUNT_logins_refused,
	    MQTT_CONNECTION_RATE_EXCEEDED,
	    "credentials from that address were wrong too often; see "
	    "failed_logins" },
	[LIMIT_CONNECT_SIZE] = { NAMED("max_connect_size"),
	    COUNT_connects_too_large, MQTT_PACKET_TOO_LARGE,
	    "raise max_connect_size" },
	[LIMIT_PACKET_SIZE] = { NAMED("max_packet_size"),
	    COUNT_packets_too_large, MQTT_PACKET_TOO_LARGE,
	    "raise max_packet_size, or send less at a time" },
	[LIMIT_TOPIC_LENGTH] = { NAMED("max_topic_length"),
	    COUNT_topics_refused, MQTT_TOPIC_NAME_INVALID,
	    "raise max_topic_length, or use shorter topics" },
	[LIMIT_TOPIC_LEVELS] = { NAMED("max_topic_levels"),
	    COUNT_topics_refused, MQTT_TOPIC_NAME_INVALID,
	    "raise max_topic_levels, or use topics of fewer levels" },
	[LIMIT_SUBSCRIPTIONS] = { NAMED("max_subscriptions"),
	    COUNT_subscriptions_refused, MQTT_QUOTA_EXCEEDED,
	    "raise max_subscriptions, or subscribe by wildcards" },
	[LIMIT_USER_PROPERTIES] = { NAMED("max_user_properties"),
	    COUNT_properties_refused, MQTT_QUOTA_EXCEEDED,
	    "raise max_user_properties" },
	[LIMIT_PUBLISH_RATE] = { NAMED("publish_rate"),
	    COUNT_publishes_throttled, MQTT_MESSAGE_RATE_TOO_HIGH,
	    "raise publish_rate, or publish more slowly" },
	[LIMIT_QUEUED_MESSAGES] = { NAMED("max_queued_messages_total"),
	    COUNT_queues_full, MQTT_QUOTA_EXCEEDED,
	    "raise max_queued_messages_total, or see weirctl clients for who "
	    "does not read" },
	[LIMIT_QUEUED_BYTES] = { NAMED("max_queued_bytes_total"),
	    COUNT_queues_full, MQTT_QUOTA_EXCEEDED,
	    "raise max_queued_bytes_total, or see weirctl clients for who "
	    "does not read" },
};

/* ---- episodes ----------------------------------------------------------- */

static void
sum_up(const struct worker *worker, enum limit limit)
{
	const struct limit_episode *episode = &worker->limits.episodes[limit];

	log_warning("limit_summed_up",
	    "limit=%s worker=%u count=%llu duration_ms=%llu", rows[limit].name,
	    worker->index, (unsigned long long)episode->count,
	    (unsigned long long)((episode->last_ns - episode->since_ns) /
		CLOCK_MS_NS));
}

static void
on_timer(void *arg)
{
	struct worker *worker = arg;
	const uint64_t now = worker_now_ns(worker);
	struct limit_episode *episode;
	bool goes_on = false;

	for (unsigned i = 0; i < LIMITS; i++) {
		episode = &worker->limits.episodes[i];
		if (episode->count == 0)
			continue;
		if (now - episode->last_ns < LIMIT_QUIET_NS) {
			goes_on = true;
			continue;
		}
		sum_up(worker, i);
		*episode = (struct limit_episode){ 0 };
	}
	if (goes_on)
		loop_timer_start(&worker->limits.timer, LOOK_NS);
}

/* One more of them.  True: say so. */
static bool
begins(struct worker *worker, enum limit limit)
{
	struct limit_episode *episode = &worker->limits.episodes[limit];

	BUG_ON(limit == LIMIT_NONE);
	worker_count(worker, rows[limit].counter);
	episode->last_ns = worker_now_ns(worker);
	if (episode->count++ != 0)
		return false;
	episode->since_ns = episode->last_ns;
	if (!loop_timer_is_running(&worker->limits.timer))
		loop_timer_start(&worker->limits.timer, LOOK_NS);
	return true;
}

static void
say(const struct worker *worker, enum limit limit, struct slice id,
    const char *address)
{
	log_warning("limit_reached",
	    "limit=%s worker=%u client=%s address=%s help=\"%s; how often it "
	    "was is summed up at the end\"",
	    rows[limit].name, worker->index, log_quote_n(id.data, id.len),
	    address, rows[limit].help);
}

void
limit_reached(
    struct worker *worker, enum limit limit, const struct client *client)
{
	char address[LISTENER_ADDRESS_SIZE] = "none";
	struct slice id = { 0 };

	if (!begins(worker, limit))
		return;
	if (client != NULL)
		client_address(client, address);
	if (client != NULL && client->session != NULL)
		id = session_id(client->session);
	say(worker, limit, id, address);
}

void
limit_reached_by(struct worker *worker, enum limit limit, const char *peer)
{
	if (begins(worker, limit))
		say(worker, limit, (struct slice){ 0 }, peer);
}

enum mqtt_reason
limit_reason(enum limit limit)
{
	return rows[limit].reason;
}

const char *
limit_text(enum limit limit)
{
	return rows[limit].text;
}

/* ---- the limits --------------------------------------------------------- */

void
limits_take(struct limits_set *set, const struct conf *conf)
{
	uint32_t quick = UINT32_MAX;

	*set = (struct limits_set){
		.max_topic_length = conf->max_topic_length,
		.max_topic_levels = conf->max_topic_levels,
		.max_subscriptions = conf->max_subscriptions,
		.max_user_properties = conf->max_user_properties,
		.slow_subscriber = conf->slow_subscriber,
		.publish_rate = conf->publish_rate,
		.max_queued_messages = conf->max_queued_messages_total,
		.max_queued_bytes = conf->max_queued_bytes_total,
	};
	if (set->max_topic_length != 0)
		quick = set->max_topic_length;
	/* So many levels have one slash less, at least. */
	if (set->max_topic_levels != 0 && set->max_topic_levels - 1 < quick)
		quick = set->max_topic_levels - 1;
	set->quick_topic = quick;
}

static void
use(struct worker *worker, const struct limits_set *set)
{
	struct client *client;

	worker->limits.set = *set;
	atomic_store_explicit(&worker->sessions.slow_subscriber,
	    (uint8_t)set->slow_subscriber, memory_order_relaxed);
	for (client = worker->clients.first; client != NULL;
	     client = client->next)
		if (client->state == CLIENT_CONNECTED &&
		    throttle_set(client, &set->publish_rate) != 0)
			log_error("reload_failed",
			    "reason=\"out of memory: the publish rate of a "
			    "client stays as it was\"");
}

void
limits_init(struct worker *worker)
{
	struct limits_set set;

	loop_timer_init(&worker->limits.timer, worker->loop, on_timer, worker);
	limits_take(&set, worker->broker->conf);
	use(worker, &set);
}

void
limits_fini(struct worker *worker)
{
	loop_timer_stop(&worker->limits.timer);
	for (unsigned i = 0; i < LIMITS; i++)
		if (worker->limits.episodes[i].count != 0)
			sum_up(worker, i);
}

/* What one worker is to take. */
struct reload_mail {
	struct mail mail;
	struct limits_set set;
};

static void
on_mail(struct mail *mail, void *owner)
{
	struct reload_mail *reload =
	    CONTAINER_OF(mail, struct reload_mail, mail);
	use(owner, &reload->set);
	free(reload);
}

void
limits_reload(struct broker *broker, const struct conf *conf)
{
	struct reload_mail *reload;

	for (unsigned i = 0; i < broker->worker_count; i++) {
		if (broker->workers[i] == NULL)
			continue;
		reload = calloc(1, sizeof(*reload));
		if (reload == NULL) {
			log_error("reload_failed",
			    "reason=\"out of memory: limits of worker %u stay "
			    "as they were\"",
			    i);
			continue;
		}
		limits_take(&reload->set, conf);
		reload->mail.open = on_mail;
		mailbox_put(broker->workers[i]->mailbox, &reload->mail);
		mailbox_wake(broker->workers[i]->mailbox);
	}
}

/* ---- all queues --------------------------------------------------------- */

static enum limit
limit_of_queues(const struct worker *worker)
{
	const struct limits_set *set = &worker->limits.set;
	const struct stats *stats = worker->broker->stats;

	if (set->max_queued_messages != 0 &&
	    stats_read(stats, COUNT_queued) >= set->max_queued_messages)
		return LIMIT_QUEUED_MESSAGES;
	if (set->max_queued_bytes != 0 &&
	    stats_read(stats, COUNT_queued_bytes) >= set->max_queued_bytes)
		return LIMIT_QUEUED_BYTES;
	return LIMIT_NONE;
}

void
limits_look(struct worker *worker)
{
	struct sessions *sessions = &worker->sessions;
	const enum limit limit = limit_of_queues(worker);
	const bool was_full =
	    atomic_load_explicit(&sessions->are_full, memory_order_relaxed);

	stats_set(worker->counters, COUNT_queued_bytes, sessions->queued_bytes);
	if (limit != LIMIT_NONE && !was_full)
		limit_reached(worker, limit, NULL);
	if ((limit != LIMIT_NONE) != was_full)
		atomic_store_explicit(&sessions->are_full, limit != LIMIT_NONE,
		    memory_order_relaxed);
}

/* ---- topics ------------------------------------------------------------- */

static bool
is_deeper(struct slice topic, uint32_t levels)
{
	struct topic_levels walk = topic_levels(topic);
	struct slice level;

	while (topic_levels_next(&walk, &level))
		if (levels-- == 0)
			return true;
	return false;
}

enum limit
limits_topic_slowly(const struct limits_set *set, struct slice topic)
{
	if (set->max_topic_length != 0 && topic.len > set->max_topic_length)
		return LIMIT_TOPIC_LENGTH;
	return set->max_topic_levels != 0 &&
		is_deeper(topic, set->max_topic_levels)
	    ? LIMIT_TOPIC_LEVELS
	    : LIMIT_NONE;
}
