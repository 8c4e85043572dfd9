/* SPDX-License-Identifier: Apache-2.0 */

/*
 * asks - questions to the broker that are under way, and their answers.
 *
 * What is asked and answered is in common/msg/ask.h.  The broker's answer
 * comes in pieces (RECORD_ASK_RESULT); here they are put together:
 *
 *	asks_put(asks, &question);
 *	... question.done(owner, status, text), perhaps at once
 *
 * Each question is answered exactly once, by the broker or, when that cannot
 * be, in the same shape from here: 503 while there is no broker or too much
 * is under way, 504 at the deadline (an order may have been carried out), 413
 * for a question or an answer that is too long.  An owner that goes away says
 * asks_forget() and is not answered.
 *
 * Bounded: ASKS_MAX questions, ASKS_BYTES_MAX bytes of answers that are not
 * complete.  One thread.
 */

#ifndef WEIR_HTTPD_ASKS_H
#define WEIR_HTTPD_ASKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/slice.h"
#include "common/msg/ask.h"

/* Questions under way; the broker takes as many from one httpd. */
#define ASKS_MAX 16u

/* Answers that are being received, together. */
#define ASKS_BYTES_MAX (2 * (uint64_t)ASK_ANSWER_MAX)

/* Patience with the broker. */
#define ASKS_TIMEOUT_NS (10 * CLOCK_SECOND_NS)

struct asks;
struct stats_block;

struct asks_ops {
	/* Send it.  0; -EAGAIN: no room now; -EMSGSIZE; -ENOTCONN. */
	int (*ask)(void *context, struct slice question, uint64_t identity,
	    uint64_t id);

	/* Why there is no broker: a sentence. */
	const char *(*away_reason)(void *context);
};

/*
 * `status` is that of the answer, a status code of HTTP; `answer` is an object
 * as JSON text (see ask.h), lent until this returns.
 */
typedef void (*asks_done)(void *owner, unsigned status, struct slice answer);

struct asks_question {
	struct slice text; /* the question, an object as JSON text */
	uint64_t identity; /* in whose name: the broker checks its rights */
	uint64_t now_ns;
	uint64_t timeout_ns; /* 0: ASKS_TIMEOUT_NS */
	void *owner;         /* for done() and asks_forget() */
	asks_done done;
};

/* NULL without memory.  `counters` are httpd's. */
struct asks *asks_new(
    const struct asks_ops *ops, void *context, struct stats_block *counters);

/* Who still waits is not answered.  Accepts NULL. */
void asks_free(struct asks *asks);

void asks_put(struct asks *asks, const struct asks_question *question);

/* The owner does not wait any more. */
void asks_forget(struct asks *asks, const void *owner);

/*
 * A piece of the answer to question `id`; `bytes` may be shared memory and are
 * copied.  Returns false if nobody waits for it, or it does not go on where
 * the last one ended: then the question is answered 502.
 */
bool asks_result(struct asks *asks, uint64_t id,
    const struct ask_result_header *header, struct slice bytes);

/* Give up on questions that took too long; at least twice a second. */
void asks_expire(struct asks *asks, uint64_t now_ns);

/* The broker is gone or new: all are answered 503. */
void asks_flush(struct asks *asks);

/* Under way. */
unsigned asks_count(const struct asks *asks);

#endif
