/* SPDX-License-Identifier: Apache-2.0 */

/*
 * publish - from the body of a request to messages, and from their outcomes
 * to the answer.
 *
 * A publication is the messages of one request.  Each has one outcome; when
 * all are in, the request is answered, or, if its client left, only counted:
 *
 *	offered = accepted + refused + unknown
 */

#ifndef WEIR_HTTPD_PUBLISH_H
#define WEIR_HTTPD_PUBLISH_H

#include <stdint.h>

#include "common/base/slice.h"
#include "httpd/pending.h"
#include "httpd/pool_use.h"
#include "httpd/publish_json.h"

struct lanes;
struct limits;
struct loop;
struct publisher;
struct request;
struct stats_block;

struct publisher_ports {
	struct loop *loop;
	struct lanes *lanes;
	struct limits *limits;
	struct pending *pending;
	struct stats_block *counters;
	uint64_t life; /* random: ids of messages begin with it */
	/* An identity that the broker does not know any more. */
	void (*drop_identity)(void *context, uint64_t identity);
	/* When to come back to a lane that has no room. */
	uint32_t (*retry_after_s)(void *context, uint32_t lane);
	/* Why the broker is away. */
	const char *(*away_reason)(void *context);
	void *context;
};

/* What an outcome is to a client. */
struct publish_status {
	unsigned status; /* HTTP */
	unsigned code;   /* in the body */
	uint32_t retry_after_s;
	const char *message; /* NULL for success */
};

/* NULL without memory. */
struct publisher *publisher_new(const struct publisher_ports *ports);
void publisher_free(struct publisher *publisher);

/* `request` is to be answered, at once or later. */
void publisher_run(struct publisher *publisher, struct request *request,
    struct slice body, enum publish_shape shape);

/* The client left: request->owner is a publication of ours. */
void publisher_gone(struct publisher *publisher, struct request *request);

/* pending's settled(): `owner` is a publication. */
void publisher_settled(struct publisher *publisher, void *owner, uint32_t index,
    const struct pending_outcome *outcome);

/* Who sent what `owner` (a publication) publishes: a word, for weirctl. */
const char *publisher_client(const void *owner);

/* Publications that are not answered. */
uint32_t publisher_under_way(const struct publisher *publisher);
struct pool_use publisher_use(const struct publisher *publisher);

/* The broker's refusal, an MQTT reason code >= 0x80, in HTTP's words. */
struct publish_status publish_status_of_reason(uint8_t code);

#endif
