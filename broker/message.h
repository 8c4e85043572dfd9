/* SPDX-License-Identifier: Apache-2.0 */

/*
 * message - one published message inside the broker.
 *
 * A message is written once, by the thread that made it, and is immutable
 * from then on; any thread may hold it.  It is counted: message_take() for
 * each further holder, message_put() by each.  Memory comes from the pools
 * of the thread that made it and goes back to them from any thread.
 */

#ifndef WEIR_BROKER_MESSAGE_H
#define WEIR_BROKER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define MESSAGE_FROM_MQTT UINT32_MAX /* `link` of messages of MQTT clients */

/* ... and the `lane` of those that the broker makes for $SYS. */
#define MESSAGE_OWN_LANE UINT32_MAX

struct message {
	/* [const] after message_new(). */
	uint8_t qos;
	bool retain;
	uint16_t topic_length;
	uint32_t properties_length;
	uint32_t payload_length;
	uint32_t link;        /* a name, see sources.h; MESSAGE_FROM_MQTT */
	uint32_t lane;        /* of that link */
	uint64_t sequence;    /* in that lane: the source identity */
	uint64_t identity;    /* of its publisher, as auth.h gives them */
	uint64_t created_ns;  /* CLOCK_MONOTONIC */
	uint64_t expires_ns;  /* UINT64_MAX: never */
	const uint8_t *bytes; /* topic, properties, payload */

	/* Private to message.c. */
	int references;
	struct message_pools *home;
	uint32_t size_class;
	struct message *next;
};

/* What a new message is made of; everything is copied. */
struct message_parts {
	struct slice topic;
	struct slice properties; /* wire form; see common/msg/record.h */
	struct slice payload;
	uint8_t qos;
	bool retain;
	uint32_t link, lane;
	uint64_t sequence, identity, created_ns, expires_ns;
};

struct message_pools;
struct pool_level;
struct pool_trimmer;

/* One for each thread that makes messages. */
struct message_pools *message_pools_new(void);

/* The calling thread is the one that makes messages from now on. */
void message_pools_adopt(struct message_pools *pools);

/* Have their memory given back after bursts, by that thread's trimmer. */
void message_pools_trim_with(
    struct message_pools *pools, struct pool_trimmer *trimmer);

/*
 * The same without a loop: once a second, while it is of use (pool.h).
 */
void message_pools_trim(struct message_pools *pools);
bool message_pools_may_trim(const struct message_pools *pools);

/* Added to *level, by the thread that makes the messages. */
void message_pools_level(
    const struct message_pools *pools, struct pool_level *level);

/* All messages must have been put. */
void message_pools_free(struct message_pools *pools);

/* One reference, the caller's.  NULL: no memory, treat it as back-pressure. */
struct message *message_new(
    struct message_pools *pools, const struct message_parts *parts);
struct message *message_take(struct message *message);
void message_put(struct message *message);

static inline struct slice
message_topic(const struct message *message)
{
	return slice_of(message->bytes, message->topic_length);
}

static inline struct slice
message_properties(const struct message *message)
{
	return slice_of(
	    message->bytes + message->topic_length, message->properties_length);
}

static inline struct slice
message_payload(const struct message *message)
{
	return slice_of(
	    message->bytes + message->topic_length + message->properties_length,
	    message->payload_length);
}

/* One of $SYS: not in the journal, and beside the limits. */
static inline bool
message_is_own(const struct message *message)
{
	return message->link == MESSAGE_FROM_MQTT &&
	    message->lane == MESSAGE_OWN_LANE;
}

/* Of an empty one. */
#define MESSAGE_LEAST_WEIGHT 128u

/* Bytes that a message of these lengths is counted with. */
static inline size_t
message_weight_of(size_t topic, size_t properties, size_t payload)
{
	return MESSAGE_LEAST_WEIGHT + topic + properties + payload;
}

/* Bytes it is counted with in windows and queues. */
static inline size_t
message_weight(const struct message *message)
{
	return message_weight_of(message->topic_length,
	    message->properties_length, message->payload_length);
}

#endif
