/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pending - messages between the client's request and the broker's receipt.
 *
 *	            put: room and credit
 *	  SEND ---------------------------> COMMITTED ---receipt--> ANSWERED
 *	   |                                ^   |  receipt_timeout
 *	   | no room or credit      turn()  |   +-----------------> UNKNOWN
 *	   v                                |          (504; its place in the
 *	  HELD (first in, first out, a lane)+           receipts lane is kept)
 *	   |  stall_timeout
 *	   +---------------------> NO_CREDIT (429)
 *
 * Every message ends in exactly one call of ops.settled().  Entries are
 * allocated once.  Three budgets, all shared so that a lane that stands still
 * leaves room to the others: a lane may take as much as is still free, so
 * one stalled lane ends with half of it, two with a third each.  A lane holds
 * messages of max_stalled owners (requests) at most.
 *
 *	entries        max_pending: messages held and committed
 *	bytes          max_held_bytes: of messages held
 *	receipts       what the broker's receipts lane can hold: committed
 *
 * No ring and no clock in here: ops.put() knows the first, the caller passes
 * the second.  One thread.
 */

#ifndef WEIR_HTTPD_PENDING_H
#define WEIR_HTTPD_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg/record.h"
#include "httpd/pool_use.h"

#define PENDING_LANES 32u
#define PENDING_MAX (1u << 20) /* most entries: 20 bits of the correlation */

enum pending_result {
	PENDING_ANSWERED,         /* `answer` is the broker's */
	PENDING_NO_CREDIT,        /* stall_timeout passed without room */
	PENDING_NO_PLACE,         /* max_pending wait already */
	PENDING_NO_STALLED_PLACE, /* max_stalled are held in this lane */
	PENDING_NO_STALLED_BYTES, /* max_held_bytes are held */
	PENDING_NO_MEMORY,        /* it cannot be held for want of memory */
	PENDING_AWAY,             /* the broker is away; not committed */
	PENDING_UNKNOWN,          /* committed, and no receipt came */
	PENDING_TOO_LARGE,        /* more than this lane can ever take */
	PENDING_ABANDONED,        /* the client left before the commit */
	PENDING_RESULTS
};

struct pending_outcome {
	enum pending_result result;
	uint32_t lane;               /* slot */
	struct record_answer answer; /* of PENDING_ANSWERED */
};

struct pending_ops {
	/*
	 * Put a message, which was read at `read_ns`, into a lane,
	 * uncommitted.  0; -EAGAIN: not now; -EMSGSIZE: never; -ENOTCONN:
	 * there is no broker.
	 */
	int (*put)(void *context, uint32_t lane,
	    const struct record_message *message, uint64_t identity,
	    uint64_t correlation, uint64_t read_ns);
	/* A message came for a lane; it is settled later, perhaps at once. */
	void (*offered)(void *context, uint32_t lane);
	/* One that is held goes by another lane, after the filters changed. */
	void (*rerouted)(void *context, uint32_t from, uint32_t to);
	/* Would put() of a body of `length` bytes succeed?  No side effect. */
	bool (*has_room)(void *context, uint32_t lane, size_t length);
	/* Nobody waits for this lane any more. */
	void (*unstalled)(void *context, uint32_t lane);
	/* The lane of a topic, after the filters changed. */
	uint32_t (*lane_of)(void *context, struct slice topic);
	/* The end of one message.  May call pending_send(). */
	void (*settled)(void *context, void *owner, uint32_t index,
	    const struct pending_outcome *outcome);
};

struct pending_config {
	uint32_t max_pending;
	uint32_t max_stalled; /* owners with messages held, in each lane */
	uint64_t max_held_bytes;
	uint64_t stall_timeout_ns;
	uint64_t receipt_timeout_ns;
};

struct pending;

/* NULL without memory. */
struct pending *pending_new(const struct pending_config *config,
    const struct pending_ops *ops, void *context);

/* Settles nothing.  Accepts NULL. */
void pending_free(struct pending *pending);

/*
 * The link is up: records from now on carry `epoch`, and at most
 * `receipts` may be committed at a time.  `is_same`: the broker still has
 * the memory of the link before, so its receipts may come; else messages
 * committed to it are settled as unknown.
 */
void pending_attach(
    struct pending *pending, uint64_t epoch, uint32_t receipts, bool is_same);

/* The link is gone: what was not committed is settled as away. */
void pending_detach(struct pending *pending);

/*
 * Publish one message; settled at once or later.  The message's bytes are
 * only read during the call.
 */
void pending_send(struct pending *pending, uint32_t lane,
    const struct record_message *message, uint64_t identity, void *owner,
    uint32_t index, uint64_t now_ns);

/* The owner does not want messages sent that were not committed yet. */
void pending_abandon(struct pending *pending, const void *owner);

/* A receipt.  False: it answers nothing that waits here. */
bool pending_receipt(struct pending *pending, uint64_t correlation,
    const struct record_answer *answer);

/* Put what can be put of what is held. */
void pending_turn(struct pending *pending, uint64_t now_ns);

/* All that was put is visible to the broker. */
void pending_committed(struct pending *pending);

/* Would pending_turn() move anything?  For the recheck before sleep. */
bool pending_is_movable(struct pending *pending);

/* Settle what waited too long. */
void pending_expire(struct pending *pending, uint64_t now_ns);

/* When pending_expire() will have something to do; UINT64_MAX: never. */
uint64_t pending_next_deadline(const struct pending *pending);

/* The filters changed: find each held message's lane anew, in order. */
void pending_reroute(struct pending *pending);

/* Messages held and committed, of max_pending. */
struct pool_use pending_use(const struct pending *pending);

uint32_t pending_held(const struct pending *pending);
uint32_t pending_outstanding(const struct pending *pending);
uint32_t pending_lane_held(const struct pending *pending, uint32_t lane);

/* Bytes that are held in a lane; messages that ever were. */
uint64_t pending_lane_held_bytes(const struct pending *pending, uint32_t lane);
uint64_t pending_lane_held_total(const struct pending *pending, uint32_t lane);

/*
 * Whose messages wait for a lane: calls `each` with the owner of each message
 * that is held, then of each that is committed and has no receipt.  It looks
 * at no more than `most` of both.
 */
void pending_each_waiting(const struct pending *pending, uint32_t lane,
    uint32_t most, void (*each)(void *context, const void *owner),
    void *context);

/* Messages of a lane that are committed and have no receipt. */
uint32_t pending_lane_outstanding(const struct pending *pending, uint32_t lane);

/* Messages ever held. */
uint64_t pending_held_total(const struct pending *pending);

#endif
