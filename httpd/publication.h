/* SPDX-License-Identifier: Apache-2.0 */

/*
 * publication - the messages of one request and what became of them; what
 * publish.c and publication.c share, private to the two.
 */

#ifndef WEIR_HTTPD_PUBLICATION_H
#define WEIR_HTTPD_PUBLICATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/pool.h"
#include "httpd/counters.h"
#include "httpd/limits.h"
#include "httpd/pending.h"
#include "httpd/publish.h"
#include "httpd/publish_json.h"

/* A limit that is not a lane's. */
#define PUBLICATION_NO_LANE UINT32_MAX

/* The outcome of one message. */
struct result {
	struct publish_status status; /* without its message */
	uint32_t receivers;
	char *message;      /* of a failure; NULL also without memory */
	struct slice topic; /* in the publication's labels */
};

struct publication {
	struct request *request; /* NULL: the client left */
	uint64_t identity;
	uint32_t total;
	uint32_t settled;
	uint32_t accepted;
	uint64_t receivers;
	uint64_t first_serial; /* of message 0; the next ones follow */
	enum publish_shape shape;
	bool is_open; /* messages are still being added */
	bool is_cut;  /* memory ran out: later messages were not looked at */
	struct publish_status first_failure;
	char detail[224]; /* the text of the last failure, if made here */
	char limit[LIMITS_NAME_SIZE]; /* that the first failure met, or "" */
	uint32_t lane;          /* that lacks room by that limit, or _NO_LANE */
	uint64_t limits_asked;  /* see limits_take_message() */
	struct result *results; /* if there may be more than one */
	uint32_t results_room;
	char *labels; /* all topics are shorter than the body they were in */
	size_t labels_length, labels_size;
	size_t messages_length; /* of all results' texts */
};

struct publisher {
	struct publisher_ports ports;
	struct publish_scratch scratch;
	struct publish_entry entry; /* of the request that is being read */
	struct publish_error error;
	struct pool publications;
	struct pool_use use; /* of publications */
	uint64_t life;       /* a random number of this publisher's */
	uint64_t serial;     /* of the message that comes next */
};

static inline void
publisher_count(struct publisher *publisher, enum counter counter)
{
	stats_increment(publisher->ports.counters, counter);
}

/*
 * An outcome as the client is told it; it is counted.  *out_receivers is 0
 * unless it is a success.
 */
struct publish_status publication_status(struct publisher *publisher,
    struct publication *publication, const struct pending_outcome *outcome,
    uint32_t *out_receivers);

/* Was it turned away for want of room, so that one more time may help? */
bool publication_is_lack(enum pending_result result);

/* publication_status() of those. */
struct publish_status publication_lack(struct publisher *publisher,
    struct publication *publication, const struct pending_outcome *outcome);

/* The broker refused it for want of room: by policy, or in stall_timeout. */
struct publish_status publication_overflow(struct publisher *publisher,
    struct publication *publication, uint32_t lane);

/* If this is the first failure: by which limit, and of which lane. */
void publication_names_limit(
    struct publication *publication, const char *limit, uint32_t lane);

/* Answer a request whose first failure named a limit. */
void publication_answer_limit(
    struct publisher *publisher, struct publication *publication);

/* Answer the request: all outcomes are in. */
void publication_answer(
    struct publisher *publisher, struct publication *publication);

#endif
