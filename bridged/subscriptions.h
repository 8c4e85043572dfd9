/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subscriptions - what is subscribed to at a remote, and what should be.
 *
 * The receive rules say what should be; this list follows them, also when
 * they change while connected, and tells which filters the next SUBSCRIBE
 * or UNSUBSCRIBE is to name.  One request is under way at a time.
 *
 *	          asked            granted
 *	WANTED --------> ASKED --------------> MADE
 *	   ^               | refused            | no rule any more
 *	   |               v                    v
 *	   +-- connected - REFUSED          UNWANTED --> LEAVING --> forgotten
 *
 * It knows no packets and no network.  One thread.
 */

#ifndef WEIR_BRIDGED_SUBSCRIPTIONS_H
#define WEIR_BRIDGED_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridged/mapping.h"

enum subscription_state {
	SUBSCRIPTION_WANTED,
	SUBSCRIPTION_ASKED,
	SUBSCRIPTION_MADE,
	SUBSCRIPTION_REFUSED,
	SUBSCRIPTION_UNWANTED,
	SUBSCRIPTION_LEAVING
};

struct subscription {
	char *filter;
	uint8_t qos;
	bool no_local;
	bool retain_as_published;
	bool is_wanted; /* a rule has it */
	enum conf_retain_handling retain_handling;
	enum subscription_state state;
	size_t asked; /* its place in the request under way, from 1; 0: none */
};

/* Embed it by value, zeroed. */
struct subscriptions {
	struct subscription *list;
	size_t count;
	size_t size;
};

void subscriptions_fini(struct subscriptions *subscriptions);

/*
 * Follow the rules.  Of rules with the same filter the first one counts, as
 * for messages.  Returns 0 or -ENOMEM; then some are missing, and the next
 * call adds them.
 */
int subscriptions_follow(
    struct subscriptions *subscriptions, const struct mapping *rules);

/*
 * A connection is there.  In a new session nothing is subscribed to; in one
 * that goes on all is asked for again, but, if `keeps_new` (the remote has no
 * Retain Handling), what was made and wants retained messages once.  No
 * request is under way then.
 */
void subscriptions_connected(
    struct subscriptions *subscriptions, bool session_present, bool keeps_new);

/* The first in that state at or behind `from`; NULL: none. */
struct subscription *subscriptions_next(struct subscriptions *subscriptions,
    enum subscription_state state, size_t from);

/* Its index, for the next call's `from`. */
size_t subscriptions_index(const struct subscriptions *subscriptions,
    const struct subscription *subscription);

/*
 * The answer to the n-th filter (from 1) of the SUBSCRIBE under way: the
 * subscription it is for, which is then MADE or REFUSED, or else, when its
 * rule has changed meanwhile, still to be asked for.  NULL: none has it.
 */
struct subscription *subscriptions_answer(
    struct subscriptions *subscriptions, size_t n, bool is_granted);

/* UNSUBACK: those LEAVING are forgotten, or asked for if wanted again. */
void subscriptions_left(struct subscriptions *subscriptions);

#endif
