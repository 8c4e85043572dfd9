/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subscription_tree - writers: what subscribes, changes and goes.
 */

#include "broker/subscription_tree.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/mailbox.h"
#include "broker/subscription_private.h"
#include "common/base/bug.h"
#include "common/msg/topic.h"

/* Removed objects that may wait for their grace period. */
#define MAX_BACKLOG 50000

/* Buckets of the table of nodes. */
#define MIN_ROOM 64

#define FIRST_INDEX 64

char rcu_grace_period;

/* ---- filters ------------------------------ */

static int
understand(struct slice filter, struct subscription_target *out_target)
{
	struct subscription_target target = { .levels = filter };
	struct topic_share share;
	struct slice level = { 0 };
	struct topic_levels levels;
	unsigned count = 0;

	if (topic_share_split(filter, &share)) {
		target.share = share.name;
		target.levels = share.filter;
	}
	target.filter = target.levels;
	for (levels = topic_levels(target.levels);
	     topic_levels_next(&levels, &level);)
		if (++count > SUBSCRIPTION_MAX_LEVELS)
			return -E2BIG;
	if (slice_equal_string(target.levels, "#")) {
		target.is_root = true;
		target.place = PLACE_BELOW;
	} else if (slice_equal_string(level, "#")) {
		target.levels.len -= 2;
		target.place = PLACE_BELOW;
	}
	*out_target = target;
	return 0;
}

static struct subscription_node *
find_node(
    struct subscription_tree *tree, const struct subscription_target *target)
{
	struct topic_levels levels = topic_levels(target->levels);
	struct subscription_node *node = tree->root;
	struct slice level;

	if (target->is_root)
		return node;
	while (node != NULL && topic_levels_next(&levels, &level)) {
		if (slice_equal_string(level, "+"))
			node = atomic_load_explicit(
			    &node->plus, memory_order_relaxed);
		else
			node = subscription_node_find(tree, node, level);
	}
	return node;
}

static struct subscription_node *
obtain_node(
    struct subscription_tree *tree, const struct subscription_target *target)
{
	struct topic_levels levels = topic_levels(target->levels);
	struct subscription_node *node = tree->root, *child;
	struct slice level;

	if (target->is_root)
		return node;
	while (topic_levels_next(&levels, &level)) {
		child = subscription_node_obtain(tree, node, level);
		if (child == NULL) {
			subscription_node_drop_unused(tree, node);
			return NULL;
		}
		node = child;
	}
	return node;
}

/* ---- the index ------------------------------------------------------- */

static size_t
index_slot(const struct subscription_tree *tree,
    const struct subscription_node *node,
    const struct subscription_group *group, unsigned place,
    const struct subscriber *subscriber)
{
	const uint64_t key[] = { (uintptr_t)node, (uintptr_t)group, place,
		(uintptr_t)subscriber };

	return (size_t)slice_hash(slice_of(key, sizeof(key)), tree->seed) &
	    (tree->index_size - 1);
}

static size_t
slot_of(const struct subscription_tree *tree, const struct subscription *s)
{
	return index_slot(tree, s->node, s->group, s->place, s->subscriber);
}

static struct subscription *
index_find(const struct subscription_tree *tree,
    const struct subscription_node *node,
    const struct subscription_group *group, unsigned place,
    const struct subscriber *subscriber)
{
	struct subscription *s;

	s = tree->index[index_slot(tree, node, group, place, subscriber)];
	while (s != NULL &&
	    (s->node != node || s->group != group || s->place != place ||
		s->subscriber != subscriber))
		s = s->next_indexed;
	return s;
}

/* A larger table is only faster: without memory the old one goes on. */
static void
index_grow(struct subscription_tree *tree)
{
	const size_t old_size = tree->index_size;
	struct subscription **old = tree->index, **index, *s, *next;

	index = calloc(old_size * 2, sizeof(struct subscription *));
	if (index == NULL)
		return;
	tree->index = index;
	tree->index_size = old_size * 2;
	for (size_t i = 0; i < old_size; i++) {
		for (s = old[i]; s != NULL; s = next) {
			next = s->next_indexed;
			s->next_indexed = tree->index[slot_of(tree, s)];
			tree->index[slot_of(tree, s)] = s;
		}
	}
	free(old);
}

static void
index_add(struct subscription_tree *tree, struct subscription *s)
{
	const size_t slot = slot_of(tree, s);

	s->next_indexed = tree->index[slot];
	tree->index[slot] = s;
	if (atomic_load_explicit(&tree->count, memory_order_relaxed) >
	    tree->index_size)
		index_grow(tree);
}

static void
index_remove(struct subscription_tree *tree, struct subscription *s)
{
	struct subscription **link = &tree->index[slot_of(tree, s)];

	while (*link != s)
		link = &(*link)->next_indexed;
	*link = s->next_indexed;
}

/* ---- subscriptions --------------------------------------------------- */

static uint32_t
pack(const struct subscription_options *options)
{
	return options->qos | (uint32_t)options->no_local << 2 |
	    (uint32_t)options->retain_as_published << 3 |
	    options->identifier << 4;
}

static void
link_to_node(struct subscription *s)
{
	_Atomic(struct subscription *) *head =
	    &s->node->subscriptions[s->place];
	struct subscription *first;

	first = atomic_load_explicit(head, memory_order_relaxed);
	atomic_store_explicit(&s->next, first, memory_order_relaxed);
	if (first != NULL)
		first->previous = s;
	/* Release: pairs with the acquire in collect(). */
	atomic_store_explicit(head, s, memory_order_release);
}

static void
unlink_from_node(struct subscription *s)
{
	struct subscription *next;

	next = atomic_load_explicit(&s->next, memory_order_relaxed);
	if (next != NULL)
		next->previous = s->previous;
	atomic_store_explicit(s->previous != NULL
		? &s->previous->next
		: &s->node->subscriptions[s->place],
	    next, memory_order_release);
}

static void
link_to_subscriber(struct subscription *s)
{
	struct subscriber *subscriber = s->subscriber;

	s->next_own = subscriber->first;
	if (s->next_own != NULL)
		s->next_own->previous_own = s;
	subscriber->first = s;
	/* Before the second one can be seen: see link_to_node(). */
	if (subscriber->count++ != 0)
		atomic_store_explicit(
		    &subscriber->may_overlap, true, memory_order_relaxed);
}

static void
unlink_from_subscriber(struct subscription *s)
{
	if (s->next_own != NULL)
		s->next_own->previous_own = s->previous_own;
	if (s->previous_own != NULL)
		s->previous_own->next_own = s->next_own;
	else
		s->subscriber->first = s->next_own;
	s->subscriber->count--;
}

static void
free_subscription(struct rcu_head *rcu)
{
	struct subscription *s;

	rcu_called(rcu);
	s = CONTAINER_OF(rcu, struct subscription, rcu);
	/* Release: pairs with the acquire in subscription_tree_free(). */
	atomic_fetch_sub_explicit(&s->tree->backlog, 1, memory_order_release);
	free(s);
}

static void
remove_subscription(struct subscription_tree *tree, struct subscription *s)
{
	struct subscription_node *node = s->node;

	index_remove(tree, s);
	unlink_from_subscriber(s);
	if (s->group == NULL) {
		unlink_from_node(s);
	} else {
		atomic_fetch_sub_explicit(
		    &tree->shared_count, 1, memory_order_relaxed);
		subscription_group_remove(s->group, s);
		if (atomic_load_explicit(
			&s->group->members, memory_order_relaxed) == NULL)
			subscription_group_drop(node, s->group);
	}
	node->users--;
	atomic_fetch_sub_explicit(&tree->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&tree->backlog, 1, memory_order_relaxed);
	s->tree = tree;
	rcu_call(&s->rcu, free_subscription);
	subscription_node_drop_unused(tree, node);
}

static int
add_to_group(struct subscription_tree *tree, struct subscription *s,
    const struct subscription_target *target)
{
	struct subscription_group *group;
	int err;

	group = subscription_group_obtain(tree, s->node, target);
	if (group == NULL)
		return -ENOMEM;
	s->group = group;
	err = subscription_group_add(group, s);
	if (err != 0 &&
	    atomic_load_explicit(&group->members, memory_order_relaxed) == NULL)
		subscription_group_drop(s->node, group);
	return err;
}

static int
add_new(struct subscription_tree *tree, struct subscription_node *node,
    const struct subscription_target *target, struct subscriber *subscriber,
    const struct subscription_options *options)
{
	struct subscription *s;
	int err;

	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->subscriber = subscriber;
	s->node = node;
	s->place = (uint8_t)target->place;
	atomic_init(&s->options, pack(options));
	if (target->share.len != 0) {
		err = add_to_group(tree, s, target);
		if (err != 0) {
			free(s);
			return err;
		}
		atomic_fetch_add_explicit(
		    &tree->shared_count, 1, memory_order_relaxed);
		subscriber->is_member = true;
		link_to_subscriber(s);
	} else {
		link_to_subscriber(s);
		link_to_node(s);
	}
	node->users++;
	atomic_fetch_add_explicit(&tree->count, 1, memory_order_relaxed);
	index_add(tree, s);
	return 0;
}

static int
add_locked(struct subscription_tree *tree,
    const struct subscription_target *target, struct subscriber *subscriber,
    const struct subscription_options *options, bool *out_existed)
{
	struct subscription *s = NULL;
	struct subscription_group *group = NULL;
	struct subscription_node *node;
	int err;

	node = obtain_node(tree, target);
	if (node == NULL)
		return -ENOMEM;
	if (target->share.len != 0)
		group = subscription_group_find(node, target);
	if (group != NULL || target->share.len == 0)
		s = index_find(tree, node, group, target->place, subscriber);
	if (s != NULL) {
		atomic_store_explicit(
		    &s->options, pack(options), memory_order_relaxed);
		*out_existed = true;
		return 0;
	}
	err = add_new(tree, node, target, subscriber, options);
	if (err != 0)
		subscription_node_drop_unused(tree, node);
	else
		*out_existed = false;
	return err;
}

/* ---- public ---------------------------------------------------------- */

struct subscription_tree *
subscription_tree_new(void)
{
	struct subscription_tree *tree;

	tree = calloc(1, sizeof(*tree));
	if (tree == NULL)
		return NULL;
	pthread_mutex_init(&tree->mutex, NULL);
	tree->seed = (uintptr_t)tree * UINT64_C(0x9e3779b97f4a7c15);
	tree->index_size = FIRST_INDEX;
	tree->index = calloc(FIRST_INDEX, sizeof(struct subscription *));
	tree->root = subscription_node_new(NULL, slice_of(NULL, 0));
	/*
	 * It does not grow by itself: liburcu would do so when a chain is
	 * long, on a thread of its own, and may leave it at that.
	 */
	atomic_init(&tree->room, MIN_ROOM);
	tree->nodes = cds_lfht_new_flavor(
	    MIN_ROOM, MIN_ROOM, 0, 0, &urcu_memb_flavor, NULL);
	if (tree->index == NULL || tree->root == NULL || tree->nodes == NULL) {
		subscription_tree_free(tree);
		return NULL;
	}
	return tree;
}

void
subscription_tree_use_strategies(struct subscription_tree *tree,
    subscription_strategy_of strategy_of, const void *context)
{
	tree->strategy_of = strategy_of;
	tree->strategy_context = context;
}

void
subscription_tree_free(struct subscription_tree *tree)
{
	if (tree == NULL)
		return;
	BUG_ON(atomic_load(&tree->count) != 0);
	urcu_memb_barrier();
	BUG_ON(atomic_load_explicit(&tree->backlog, memory_order_acquire) != 0);
	if (tree->nodes != NULL)
		cds_lfht_destroy(tree->nodes, NULL);
	pthread_mutex_destroy(&tree->mutex);
	free(tree->root);
	free(tree->index);
	free(tree);
}

int
subscription_tree_add(struct subscription_tree *tree, struct slice filter,
    struct subscriber *subscriber, const struct subscription_options *options,
    bool *out_existed)
{
	struct subscription_target target;
	int err;

	err = understand(filter, &target);
	if (err != 0)
		return err;
	pthread_mutex_lock(&tree->mutex);
	rcu_enter();
	err = add_locked(tree, &target, subscriber, options, out_existed);
	rcu_leave();
	pthread_mutex_unlock(&tree->mutex);
	return err;
}

struct subscription *
subscription_find(struct subscription_tree *tree, struct slice filter,
    const struct subscriber *subscriber)
{
	struct subscription_group *group = NULL;
	struct subscription_target target;
	struct subscription_node *node;

	if (understand(filter, &target) != 0)
		return NULL;
	node = find_node(tree, &target);
	if (node == NULL)
		return NULL;
	if (target.share.len != 0) {
		group = subscription_group_find(node, &target);
		if (group == NULL)
			return NULL;
	}
	return index_find(tree, node, group, target.place, subscriber);
}

int
subscription_tree_remove(struct subscription_tree *tree, struct slice filter,
    struct subscriber *subscriber)
{
	struct subscription *s;

	pthread_mutex_lock(&tree->mutex);
	rcu_enter();
	s = subscription_find(tree, filter, subscriber);
	if (s != NULL)
		remove_subscription(tree, s);
	rcu_leave();
	pthread_mutex_unlock(&tree->mutex);
	return s == NULL ? -ENOENT : 0;
}

uint32_t
subscriber_count(const struct subscriber *subscriber)
{
	return subscriber->count;
}

bool
subscription_tree_has(struct subscription_tree *tree, struct slice filter,
    const struct subscriber *subscriber)
{
	bool has_it;

	pthread_mutex_lock(&tree->mutex);
	rcu_enter();
	has_it = subscription_find(tree, filter, subscriber) != NULL;
	rcu_leave();
	pthread_mutex_unlock(&tree->mutex);
	return has_it;
}

static void
resize(struct subscription_tree *tree, size_t nodes)
{
	size_t room = MIN_ROOM;

	while (room < nodes)
		room *= 2;
	if (atomic_exchange(&tree->is_resized, true))
		return;
	if (room != atomic_load(&tree->room)) {
		cds_lfht_resize(tree->nodes, room);
		atomic_store(&tree->room, room);
	}
	atomic_store(&tree->is_resized, false);
}

void
subscription_tree_make_room(struct subscription_tree *tree, size_t levels)
{
	resize(tree, levels);
}

void
subscription_tree_tend(struct subscription_tree *tree)
{
	const size_t nodes =
	    atomic_load_explicit(&tree->node_count, memory_order_relaxed);
	const size_t room =
	    atomic_load_explicit(&tree->room, memory_order_relaxed);

	if (nodes > room || (room > MIN_ROOM && nodes < room / 8))
		resize(tree, nodes + nodes / 2);
}

void
subscription_tree_remove_all(
    struct subscription_tree *tree, struct subscriber *subscriber)
{
	pthread_mutex_lock(&tree->mutex);
	rcu_enter();
	while (subscriber->first != NULL)
		remove_subscription(tree, subscriber->first);
	rcu_leave();
	pthread_mutex_unlock(&tree->mutex);
}

size_t
subscription_tree_count(const struct subscription_tree *tree)
{
	return atomic_load_explicit(&tree->count, memory_order_relaxed);
}

size_t
subscription_tree_shared_count(const struct subscription_tree *tree)
{
	return atomic_load_explicit(&tree->shared_count, memory_order_relaxed);
}

bool
subscription_tree_is_backlogged(const struct subscription_tree *tree)
{
	return atomic_load_explicit(&tree->backlog, memory_order_relaxed) >
	    MAX_BACKLOG;
}
