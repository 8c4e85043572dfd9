/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subscription_private - how the tree of subscriptions is built.
 *
 * For subscription_tree.c (who changes it), subscription_match.c (who reads
 * it), subscription_node.c and subscription_group.c alone.  What is called
 * "under the mutex" is tree->mutex, and within rcu_enter().
 */

#ifndef WEIR_BROKER_SUBSCRIPTION_PRIVATE_H
#define WEIR_BROKER_SUBSCRIPTION_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/rculfhash.h>

#include "broker/rcu.h"
#include "broker/subscription_tree.h"
#include "common/base/slice.h"

/* Where a filter ends: at "a/b" itself, or at "a/b/#". */
enum subscription_place {
	PLACE_EXACT,
	PLACE_BELOW,
	PLACE_COUNT
};

/*
 * A node is [rcu]; its lists are changed under the mutex.  It lives while it
 * has children or subscriptions.
 */
struct subscription_node {
	struct cds_lfht_node hash_node;   /* in tree->nodes, but for '+' */
	struct subscription_node *parent; /* [const] */
	_Atomic(struct subscription_node *) plus; /* the child '+' */
	_Atomic(struct subscription *) subscriptions[PLACE_COUNT];
	_Atomic(struct subscription_group *)
	    groups;           /* shared subscriptions, both places */
	atomic_uint children; /* in the hash table */
	uint32_t users;       /* under the mutex */
	struct rcu_head rcu;
	bool is_plus;
	uint16_t level_length;
	uint8_t level[];
};

/*
 * Options are one word, so a reader sees all of the old or all of the new:
 * bits 0-1 QoS, 2 No Local, 3 Retain As Published, 4-31 identifier.
 */
struct subscription {
	_Atomic(struct subscription *) next; /* [rcu] on the node */
	_Atomic uint32_t options;
	uint8_t place;
	struct subscriber *subscriber; /* [const] */

	/* The rest is used under the mutex. */
	struct subscription *previous;
	struct subscription *next_indexed;
	struct subscription_group *group; /* NULL: not shared */
	union {
		struct { /* while it is in the tree */
			struct subscription_node *node;
			struct subscription *next_own; /* same subscriber */
			struct subscription *previous_own;
		};
		struct { /* once it was removed */
			struct subscription_tree *tree;
			struct rcu_head rcu;
		};
	};
};

/* Members are replaced as a whole, so a reader picks one by its number. */
struct subscription_members {
	struct rcu_head rcu;
	uint32_t count;
	struct subscription *list[];
};

/* The subscriptions "$share/NAME/..." of one node. */
struct subscription_group {
	_Atomic(struct subscription_group *) next; /* [rcu] */
	_Atomic(struct subscription_members *) members;
	atomic_uint turn; /* whose it is; STICKY: who has it */
	uint32_t number;  /* [const] not 0 */
	struct rcu_head rcu;
	uint8_t strategy; /* [const] enum subscription_strategy */
	uint8_t place;
	uint16_t name_length;
	uint8_t name[];
};

struct subscription_tree {
	pthread_mutex_t mutex; /* who changes anything */
	struct cds_lfht *nodes;
	atomic_size_t node_count; /* in it */
	atomic_size_t room;       /* its buckets */
	atomic_bool is_resized;   /* somebody is at it */
	struct subscription_node *root;
	uint64_t seed;

	/* (node, group, place, subscriber) -> subscription, under the mutex */
	struct subscription **index;
	size_t index_size;

	subscription_strategy_of strategy_of; /* NULL: all take turns */
	const void *strategy_context;

	atomic_size_t count;
	atomic_size_t shared_count;
	atomic_size_t backlog;
};

/* What a filter says, taken apart. */
struct subscription_target {
	struct slice filter; /* without share */
	struct slice levels; /* without share and "/#" */
	struct slice share;  /* empty: not shared */
	enum subscription_place place;
	bool is_root; /* the filter was "#" alone */
};

/* ---- subscription_tree.c ------------------------------------------------ */

/* Under the mutex.  NULL: there is none. */
struct subscription *subscription_find(struct subscription_tree *tree,
    struct slice filter, const struct subscriber *subscriber);

/* ---- subscription_match.c ----------------------------------------------- */

/* Any thread within rcu_enter(). */
struct subscription_options subscription_options_of(
    const struct subscription *subscription);

/* ---- subscription_node.c ------------------------------------------------ */

/* Not yet in the tree, but for the root.  NULL without memory. */
struct subscription_node *subscription_node_new(
    struct subscription_node *parent, struct slice level);

/* The child of that level, '+' apart; within rcu_enter().  NULL: none. */
struct subscription_node *subscription_node_find(struct subscription_tree *tree,
    struct subscription_node *parent, struct slice level);

/* The child, made if need be.  Under the mutex; NULL without memory. */
struct subscription_node *subscription_node_obtain(
    struct subscription_tree *tree, struct subscription_node *parent,
    struct slice level);

/*
 * Unlink the node and its parents as far as nobody uses them.  Under the
 * mutex.
 */
void subscription_node_drop_unused(
    struct subscription_tree *tree, struct subscription_node *node);

/* ---- subscription_group.c ----------------------------------------------- */

/* The group that the target names; under the mutex.  NULL: none. */
struct subscription_group *subscription_group_find(
    struct subscription_node *node, const struct subscription_target *target);

/* As subscription_group_find(), made if need be.  NULL without memory. */
struct subscription_group *subscription_group_obtain(
    const struct subscription_tree *tree, struct subscription_node *node,
    const struct subscription_target *target);

/* Unlink a group that has no members.  Under the mutex. */
void subscription_group_drop(
    struct subscription_node *node, struct subscription_group *group);

/* Under the mutex.  0 or -ENOMEM. */
int subscription_group_add(
    struct subscription_group *group, struct subscription *subscription);
void subscription_group_remove(
    struct subscription_group *group, const struct subscription *subscription);

/* ---- subscription_choose.c ---------------------------------------------- */

/*
 * Who gets a message of `topic` from `publisher`.  Any thread within
 * rcu_enter(), without a lock.  NULL: it has no members.
 */
struct subscription *subscription_group_choose(struct subscription_group *group,
    struct slice topic, struct slice publisher);

#endif
