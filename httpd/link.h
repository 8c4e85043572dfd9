/* SPDX-License-Identifier: Apache-2.0 */

/*
 * link - the rings to weir-broker: attach, come back, put, read receipts.
 *
 * A turn of httpd's loop, and who does what:
 *
 *	events		clients' requests are parsed; link_put_*() writes
 *			records that nobody sees yet
 *	link_read()	no longer asleep; receipts are given to events
 *	link_commit()	heads, tails, credit; the broker is woken if it sleeps
 *	(answers are written to the clients)
 *	link_sleep()	arm, fence; false: there is something to do after all
 *
 * While there is no broker it is looked for again after 50 ms, then less and
 * less often up to once a second, with jitter.  One thread.
 */

#ifndef WEIR_HTTPD_LINK_H
#define WEIR_HTTPD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/msg/ask.h"
#include "common/msg/record.h"

struct board;
struct link;
struct loop;
struct stats_block;

struct link_events {
	/*
	 * Attached.  `receipts`: how many messages may be committed and not
	 * answered; `is_same`: to the memory it was attached to before.
	 */
	void (*up)(
	    void *context, uint64_t epoch, uint32_t receipts, bool is_same);
	void (*down)(void *context);
	void (*lane_opened)(void *context, const char *set, uint32_t ring_lane);
	void (*lane_refused)(void *context, const char *set);
	/* As in ring_control.h: an idle lane is closed. */
	bool (*lane_is_wanted)(void *context, const char *set);
	void (*lane_closing)(void *context, const char *set);
	void (*lane_closed)(void *context, const char *set);
	void (*filters_begin)(void *context);
	void (*filter)(void *context, const char *bridge, struct slice filter);
	void (*filters_end)(void *context);
	void (*receipt)(void *context, uint64_t correlation,
	    const struct record_answer *answer);
	void (*auth_result)(void *context, uint64_t correlation,
	    const struct record_auth_result *result);
	/* The configuration is to be read again. */
	void (*reload)(void *context);
	/* A piece of an answer (ask.h); `bytes` are shared memory: copy them.
	 */
	void (*ask_result)(void *context, uint64_t correlation,
	    const struct ask_result_header *header, struct slice bytes);
};

/* NULL without memory.  `seed` is random. */
struct link *link_new(const char *run_dir, struct loop *loop,
    const struct link_events *events, void *context,
    struct stats_block *counters, uint64_t seed);
void link_free(struct link *link);

/* Begin to look for the broker; the first attempt is made at once. */
void link_start(struct link *link);

bool link_is_up(const struct link *link);

/* Why there is no broker: a sentence. */
const char *link_reason(const struct link *link);

/* The broker's counters, or -1. */
int link_broker_stats_fd(const struct link *link);

uint64_t link_epoch(const struct link *link);

/* What outlives this process: while the link is up; see tally.h. */
void *link_notes(struct link *link);

/* Ask for a set's lane; answered by an event. */
void link_open_lane(struct link *link, const char *set);

/* Trace one message in `every`, from the next attach on; 0: none. */
void link_set_trace_every(struct link *link, uint64_t every);

/* Lanes unused for so long are closed; 0, as at first: none is. */
void link_set_lane_idle(struct link *link, uint64_t idle_ns);

/*
 * A message that was read from its socket at `read_ns`.
 * 0; -EAGAIN: no room or credit; -EMSGSIZE; -ENOTCONN.
 */
int link_put_message(struct link *link, uint32_t ring_lane,
    const struct record_message *message, uint64_t identity,
    uint64_t correlation, uint64_t read_ns);

/* As above; -EAGAIN also when too many questions are under way. */
int link_put_auth(struct link *link, uint32_t ring_lane,
    const struct record_auth *auth, uint64_t correlation);

/* As link_put_message(): a question as ask.h has it, in somebody's name. */
int link_put_ask(struct link *link, uint32_t ring_lane, struct slice question,
    uint64_t identity, uint64_t correlation);

bool link_has_room(struct link *link, uint32_t ring_lane, size_t length);

/* For weirctl and the lane's counters: nobody waits for it; one more left. */
void link_unstall(struct link *link, uint32_t ring_lane);
void link_count_refused(struct link *link, uint32_t ring_lane);

/* Bytes in a lane that the broker has not released. */
uint64_t link_used_bytes(struct link *link, uint32_t ring_lane);

/* Bytes of a lane that the broker has released since it is there. */
uint64_t link_released_bytes(struct link *link, uint32_t ring_lane);

void link_read(struct link *link);
void link_commit(struct link *link);
bool link_sleep(struct link *link);

/* Our side's board, see common/base/board.h; NULL without a broker. */
struct board *link_board(struct link *link);

/* At least once a second. */
void link_beat(struct link *link);

/*
 * How many receipts a ring with classes from 1 << min_shift bytes surely
 * holds, one pad allowed for, beside pieces of answers (ASK_SHARE); *out_asks
 * of them are kept for AUTH_RESULTs.
 */
uint32_t link_receipt_room(uint32_t min_shift, uint32_t *out_asks);

/* The delay before attempt `n` (from 0) to reach the broker. */
uint64_t link_backoff_ns(uint32_t attempt, uint64_t random);

#endif
