/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subscription_tree - who wants a topic.
 *
 * A tree of topic levels, shared by all threads.  Publishers read it without
 * a lock, inside rcu_enter()/rcu_leave(); SUBSCRIBE and UNSUBSCRIBE change it
 * under one mutex.  All children of all nodes live in one hash table by
 * (parent, level), so a node with a million children costs no more to pass
 * than one with two, and an entry is found by (node, subscriber), so a client
 * with a million subscriptions adds the next one as fast as the first.
 *
 *	rcu_enter();
 *	subscription_tree_match(tree, topic, &matches);
 *	... use matches.list[0 .. matches.count - 1] ...
 *	rcu_leave();
 *
 * A subscriber may be freed one grace period after
 * subscription_tree_remove_all(), and not before.
 *
 * Of a shared subscription, a `share`, one member gets a message.  Whose turn
 * it is says the strategy; but one that is away gets nothing while another is
 * there, and one whose queue is full nothing while another's is not.
 */

#ifndef WEIR_BROKER_SUBSCRIPTION_TREE_H
#define WEIR_BROKER_SUBSCRIPTION_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

/*
 * Deeper filters are refused: each level is a node, and one packet of 64 KiB
 * could ask for 65,000 of them.
 */
#define SUBSCRIPTION_MAX_LEVELS 200

struct subscription;
struct subscription_tree;

/* subscriber.backlog of one that does not read, and of one that is full. */
#define SUBSCRIBER_STUCK (UINT32_MAX - 1)
#define SUBSCRIBER_FULL UINT32_MAX

/* What has subscriptions; embed it by value, zeroed but for `worker`. */
struct subscriber {
	struct subscription *first; /* private, under the tree's mutex */
	uint32_t count;             /* private, under the tree's mutex */
	unsigned worker;            /* [const] whose mail it gets */
	atomic_bool online;         /* shares prefer it */
	/* It has or had several: two of them may match one topic. */
	atomic_bool may_overlap;
	bool is_member; /* has or had shares; of who calls _add() */
	/*
	 * Of a member: how many messages one more would wait behind, or
	 * SUBSCRIBER_STUCK or _FULL.  Its owner says so; relaxed, advice.
	 */
	_Atomic uint32_t backlog;
};

/* Whose turn it is in a share. */
enum subscription_strategy {
	SUBSCRIPTION_ROUND_ROBIN, /* the next, but the least laden if it waits
				   */
	SUBSCRIPTION_RANDOM,      /* any, likewise */
	SUBSCRIPTION_STICKY,      /* the same as before */
	SUBSCRIPTION_HASH,        /* the same for the same publisher */
	SUBSCRIPTION_HASH_TOPIC   /* the same for the same topic */
};

/* The strategy of the share of that name and filter; under the tree's mutex. */
typedef enum subscription_strategy (*subscription_strategy_of)(
    const void *context, struct slice name, struct slice filter);

struct subscription_options {
	uint8_t qos;
	bool no_local;
	bool retain_as_published;
	uint32_t identifier; /* 0: none */
};

struct subscription_match {
	struct subscriber *subscriber;
	struct subscription_options options;
	/* A share's number: a message of its own, not merged with others; or 0
	 */
	uint32_t share;
};

/* One a thread, kept between calls; zeroed at first. */
struct subscription_matches {
	struct slice publisher; /* set by the caller: its client id, or empty */
	struct subscription_match *list;
	size_t count;
	size_t size;
};

/* NULL without memory. */
struct subscription_tree *subscription_tree_new(void);

/* For the shares to come; without it all take turns.  `context` outlives it. */
void subscription_tree_use_strategies(struct subscription_tree *tree,
    subscription_strategy_of strategy_of, const void *context);

/* All subscribers must be gone.  Waits for a grace period; accepts NULL. */
void subscription_tree_free(struct subscription_tree *tree);

/*
 * Subscribe, or change the options of a subscription there is [MQTT-3.8.4-3].
 * The filter is valid; "$share/NAME/FILTER" is understood.
 * Returns 0; -E2BIG for too many levels; -ENOMEM.
 */
int subscription_tree_add(struct subscription_tree *tree, struct slice filter,
    struct subscriber *subscriber, const struct subscription_options *options,
    bool *out_existed);

/* Returns 0 or -ENOENT. */
int subscription_tree_remove(struct subscription_tree *tree,
    struct slice filter, struct subscriber *subscriber);

/*
 * The thread that changes the subscriber's subscriptions: how many there are,
 * and whether this is one of them.
 */
uint32_t subscriber_count(const struct subscriber *subscriber);
bool subscription_tree_has(struct subscription_tree *tree, struct slice filter,
    const struct subscriber *subscriber);

/*
 * Room for so many levels of filters, at once, when a recovery is going to
 * add all that there is.  Outside of rcu_enter().
 */
void subscription_tree_make_room(struct subscription_tree *tree, size_t levels);

/*
 * Fit the tree's room to what is in it, if that has changed much.  Each thread
 * that changes the tree calls it now and then, outside of rcu_enter(): without
 * it the tree finds what it has, and takes longer to.
 */
void subscription_tree_tend(struct subscription_tree *tree);

void subscription_tree_remove_all(
    struct subscription_tree *tree, struct subscriber *subscriber);

/*
 * Append to matches->list every subscription that wants the topic, and one
 * member of every shared subscription that does.  A subscriber may come
 * several times.  Within rcu_enter().
 * Returns 0 or -ENOMEM (what was found so far is in the list).
 */
int subscription_tree_match(struct subscription_tree *tree, struct slice topic,
    struct subscription_matches *matches);

/*
 * As subscription_tree_match(), but only the share of that number: a match for
 * a member that is in it now, or none.  The number is made of its name and
 * filter: it is the same in the broker's next life.  (Of two that happen to
 * have the same one there are two matches.)
 */
int subscription_tree_match_share(struct subscription_tree *tree,
    struct slice topic, uint32_t share, struct subscription_matches *matches);

void subscription_matches_fini(struct subscription_matches *matches);

typedef int (*subscription_each)(
    void *arg, struct slice filter, const struct subscription_options *options);

/*
 * At most `max` subscriptions of `subscriber` to `each`, from the newest on,
 * or (`after` not empty) those behind the one with that filter.  The tree is
 * locked meanwhile; the filter is lent until `each` returns.
 * Returns how many; less than `max`: that was all; -ENOENT: `after` is not
 * there any more; -ENOMEM; or what `each` returned if that is not 0.
 */
int subscription_tree_list(struct subscription_tree *tree,
    struct subscriber *subscriber, struct slice after, size_t max,
    subscription_each each, void *arg);

/* Subscriptions there are; any thread. */
size_t subscription_tree_count(const struct subscription_tree *tree);
size_t subscription_tree_shared_count(const struct subscription_tree *tree);

/*
 * So much waits for a grace period that who changes the tree should call
 * urcu_memb_barrier(), outside of rcu_enter(), before it goes on.
 */
bool subscription_tree_is_backlogged(const struct subscription_tree *tree);

#endif
