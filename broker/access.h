/* SPDX-License-Identifier: Apache-2.0 */

/*
 * access - where a client may publish, and what it may subscribe to.
 *
 * An account has rules: topic filters in which %u stands for the user name
 * and %c for the client identifier.  A connection has the access that follows
 * from them, with the names put in:
 *
 *	err = access_new(&account->rules, client_id, &client->access);
 *	...
 *	if (client->access != NULL && !access_may_publish(client->access,
 *topic)) refuse
 *
 * NULL is the access of who may everything, so what most clients pay is that
 * comparison.  A name that has '/', '+' or '#' in it, begins with '$', or is
 * empty, never widens a filter: the filters it belongs into are left out.
 *
 * A subscription must be covered by one filter as a whole, for then nothing
 * has to be looked at when messages come: "a/#" is not covered by "a/+".
 *
 * "#" alone is everything, topics that begin with '$' too; any other filter
 * that begins with a wildcard covers none of those [MQTT-4.7.2-1].
 *
 * Pure but for memory; any thread.
 */

#ifndef WEIR_BROKER_ACCESS_H
#define WEIR_BROKER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

struct access;
struct conf_strings;

/* Of an account: %u is put in, %c is not.  Embed it by value, zeroed. */
struct access_rules {
	char **publish;
	size_t publish_count;
	char **subscribe;
	size_t subscribe_count;
};

/* 0 or -ENOMEM; fini takes what is there. */
int access_rules_init(struct access_rules *rules, const char *user,
    const struct conf_strings *publish, const struct conf_strings *subscribe);
void access_rules_fini(struct access_rules *rules);

/* Is there a subscription that they do not allow? */
bool access_rules_limit_subscriptions(const struct access_rules *rules);

/*
 * May the account publish there without a client identifier, as by HTTP?
 * Here "#" does not cover what begins with '$'.
 */
bool access_rules_may_publish(
    const struct access_rules *rules, struct slice topic);

/* *out_access is NULL for everything.  0 or -ENOMEM. */
int access_new(const struct access_rules *rules, struct slice client_id,
    struct access **out_access);
void access_free(struct access *access);

/* Not NULL; a valid topic name, and a valid filter, shared or not. */
bool access_may_publish(const struct access *access, struct slice topic);
bool access_may_subscribe(const struct access *access, struct slice filter);

#endif
