/* SPDX-License-Identifier: Apache-2.0 */

/*
 * redispatch - what a session leaves of its shares goes to other members.
 *
 * A message of a shared subscription was meant for one member.  If that one's
 * session ends before it has acknowledged it, another member gets it, with
 * the QoS that is granted there.  But QoS 2 whose delivery has begun is given
 * up [MQTT-4.8.2-5], and what no member is left for.
 *
 *	redispatch_session(), redispatch_message()	it is left: kept here
 *	   |
 *	   v  redispatch_run(), once a turn
 *	another member is chosen; with a journal, by the commit line
 *	   |
 *	   v  redispatch_settled()
 *	forgotten, or tried again if it could not be committed
 *
 * What is left of one session goes on in its order.  The worker's thread only.
 */

#ifndef WEIR_BROKER_REDISPATCH_H
#define WEIR_BROKER_REDISPATCH_H

#include <stdbool.h>
#include <stdint.h>

struct commit_letter;
struct estate;
struct leftover;
struct message;
struct session;
struct worker;

struct leftover_list {
	struct leftover *first;
	struct leftover *last;
};

/* Embed it in a worker, zeroed. */
struct redispatch {
	struct leftover_list ready;     /* for somebody, in order */
	struct leftover_list under_way; /* in the commit line */
	bool is_due;                    /* what is ready was not tried yet */
};

/*
 * The session, not durable, ends and is out of the tree: take what it leaves
 * of its shares out of its outbox.
 */
void redispatch_session(struct worker *worker, struct session *session);

/*
 * A message of the share found its receiver gone.  Takes a reference.
 */
void redispatch_message(
    struct worker *worker, struct message *message, uint32_t share);

/*
 * One that an estate (estates.h) has read, `sequence` in the journal; it hears
 * by estate_given().  False: no memory.
 */
bool redispatch_of_estate(struct worker *worker, struct message *message,
    uint32_t share, struct estate *estate, uint64_t sequence);

/* Before route_flush() and commit_flush(): as far as there is room. */
void redispatch_run(struct worker *worker);

/* Is there something to run that does not wait for room? */
bool redispatch_is_due(const struct worker *worker);

/* From the worker as a member of the commit: these tickets are settled. */
void redispatch_settled(
    struct worker *worker, const struct commit_letter *letter);

/* The worker ends: nobody is left. */
void redispatch_fini(struct worker *worker);

#endif
