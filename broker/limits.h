/* SPDX-License-Identifier: Apache-2.0 */

/*
 * limits - what a worker refuses, and how it tells of it.
 *
 * Each worker has its own copy of the limits that a reload may change, so
 * that asking one costs no atomic load.  What a limit turns away is counted
 * (counters.def), and the log has one line when that begins and one that sums
 * up when it has not happened for LIMIT_QUIET_NS; each names the setting.
 *
 *	limit = limits_topic(&worker->limits.set, topic);
 *	if (limit != LIMIT_NONE)
 *		limit_reached(worker, limit, client);
 *
 * The worker's thread only, but for limits_reload().
 */

#ifndef WEIR_BROKER_LIMITS_H
#define WEIR_BROKER_LIMITS_H

#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/slice.h"
#include "common/conf/conf.h"
#include "common/mqtt/reason.h"
#include "common/net/loop.h"

#define LIMIT_QUIET_NS (5 * CLOCK_SECOND_NS)

struct broker;
struct client;
struct worker;

enum limit {
	LIMIT_NONE,
	LIMIT_CONNECTIONS,
	LIMIT_LISTENER_CONNECTIONS,
	LIMIT_ADDRESS_CONNECTIONS,
	LIMIT_CONNECT_RATE,
	LIMIT_ADDRESS_CONNECT_RATE,
	LIMIT_FAILED_LOGINS,
	LIMIT_CONNECT_SIZE,
	LIMIT_PACKET_SIZE,
	LIMIT_TOPIC_LENGTH,
	LIMIT_TOPIC_LEVELS,
	LIMIT_SUBSCRIPTIONS,
	LIMIT_USER_PROPERTIES,
	LIMIT_PUBLISH_RATE,
	LIMIT_QUEUED_MESSAGES,
	LIMIT_QUEUED_BYTES,
	LIMITS
};

/* Since when a limit turns away what it does; zeroed: it does not. */
struct limit_episode {
	uint64_t since_ns;
	uint64_t last_ns;
	uint64_t count;
};

/* What a reload may change.  0 is no limit, of each. */
struct limits_set {
	uint32_t max_topic_length; /* bytes */
	uint32_t max_topic_levels;
	uint32_t quick_topic; /* up to so many bytes no topic is over them */
	uint32_t max_subscriptions;
	uint32_t max_user_properties;
	enum conf_slow_subscriber slow_subscriber;
	struct conf_rate publish_rate;
	uint64_t max_queued_messages; /* of all sessions together */
	uint64_t max_queued_bytes;
};

/* In the worker. */
struct limits {
	struct limits_set set;
	struct limit_episode episodes[LIMITS];
	struct loop_timer timer; /* while there is an episode */
};

/* From worker->broker->conf; worker->loop is there. */
void limits_init(struct worker *worker);

/* Sum up what is not yet told. */
void limits_fini(struct worker *worker);

/* From a configuration; pure. */
void limits_take(struct limits_set *set, const struct conf *conf);

/* Main thread: all workers take them soon. */
void limits_reload(struct broker *broker, const struct conf *conf);

/*
 * Something was turned away: counted and told.  `client` says whose it was;
 * NULL: nobody's yet.
 */
void limit_reached(
    struct worker *worker, enum limit limit, const struct client *client);

/* As limit_reached(), of a connection that is not taken: `peer` is its
 * address. */
void limit_reached_by(
    struct worker *worker, enum limit limit, const char *peer);

/*
 * Once a turn: is what waits for all sessions of all workers within its
 * limits?  Deliveries of the turn go by that, so it may be passed by what one
 * turn of each worker brings.
 */
void limits_look(struct worker *worker);

/* What the client is told: a reason, and a sentence for MQTT 5.0. */
enum mqtt_reason limit_reason(enum limit limit);
const char *limit_text(enum limit limit);

/* Is a topic or filter too long or too deep?  Else LIMIT_NONE. */
enum limit limits_topic_slowly(
    const struct limits_set *set, struct slice topic);

static inline enum limit
limits_topic(const struct limits_set *set, struct slice topic)
{
	if (__builtin_expect(topic.len <= set->quick_topic, 1))
		return LIMIT_NONE;
	return limits_topic_slowly(set, topic);
}

static inline enum limit
limits_user_properties(const struct limits_set *set, uint32_t count)
{
	return set->max_user_properties != 0 && count > set->max_user_properties
	    ? LIMIT_USER_PROPERTIES
	    : LIMIT_NONE;
}

#endif
