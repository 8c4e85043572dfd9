/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/subscription_tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/rculfhash.h>

#include "broker/mailbox.h"
#include "broker/rcu.h"
#include "common/base/bug.h"
#include "common/msg/topic.h"

/* Removed objects that may wait for their grace period. */
#define MAX_BACKLOG 50000

#define FIRST_MATCHES 64
#define FIRST_INDEX 64

char rcu_grace_period;

/* Where a filter ends: at "a/b" itself, or at "a/b/#". */
enum place {
	EXACT,
	BELOW,
	PLACES
};

/*
 * A node is [rcu]; its lists are changed under the mutex.  It lives while it
 * has children or subscriptions.
 */
struct node {
	struct cds_lfht_node hash_node; /* in tree->nodes, but for '+' */
	struct node *parent;            /* [const] */
	_Atomic(struct node *) plus;    /* the child '+' */
	_Atomic(struct subscription *) subscriptions[PLACES];
	_Atomic(struct group *) groups; /* shared subscriptions, both places */
	atomic_uint children;           /* in the hash table */
	uint32_t users;                 /* under the mutex */
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
	struct subscriber *subscriber; /* [const] */

	/* The rest is used under the mutex. */
	struct subscription *previous;
	struct subscription *next_own; /* of the same subscriber */
	struct subscription *previous_own;
	struct subscription *next_indexed;
	struct node *node;
	struct group *group; /* NULL: not shared */
	struct subscription_tree *tree;
	struct rcu_head rcu;
	uint8_t place;
};

/* Members are replaced as a whole, so a reader picks one by its number. */
struct members {
	struct rcu_head rcu;
	uint32_t count;
	struct subscription *list[];
};

/* The subscriptions "$share/NAME/..." of one node. */
struct group {
	_Atomic(struct group *) next; /* [rcu] */
	_Atomic(struct members *) members;
	atomic_uint turn; /* whose it is */
	struct rcu_head rcu;
	uint8_t place;
	uint16_t name_length;
	uint8_t name[];
};

struct subscription_tree {
	pthread_mutex_t mutex; /* who changes anything */
	struct cds_lfht *nodes;
	struct node *root;
	uint64_t seed;

	/* (node, group, place, subscriber) -> subscription, under the mutex */
	struct subscription **index;
	size_t index_size;

	atomic_size_t count;
	atomic_size_t shared_count;
	atomic_size_t backlog;
};

/* What a filter says, taken apart. */
struct target {
	struct slice levels; /* without share and "/#" */
	struct slice share;  /* empty: not shared */
	enum place place;
	bool is_root; /* the filter was "#" alone */
};

struct level_key {
	const struct node *parent;
	struct slice level;
};

/* ---- nodes ----------------------------------------------------------- */

static unsigned long
key_hash(const struct subscription_tree *tree, const struct level_key *key)
{
	return (unsigned long)slice_hash(
	    key->level, tree->seed ^ ((uintptr_t)key->parent >> 4));
}

static int
key_matches(struct cds_lfht_node *hash_node, const void *opaque)
{
	const struct level_key *key = opaque;
	const struct node *node;

	node = CONTAINER_OF(hash_node, struct node, hash_node);
	RCU_RECEIVE(hash_node);
	return node->parent == key->parent &&
	    slice_equal(slice_of(node->level, node->level_length), key->level);
}

static struct node *
find_child(
    struct subscription_tree *tree, struct node *parent, struct slice level)
{
	const struct level_key key = { .parent = parent, .level = level };
	struct cds_lfht_node *hash_node;
	struct cds_lfht_iter iter;

	if (atomic_load_explicit(&parent->children, memory_order_relaxed) == 0)
		return NULL;
	cds_lfht_lookup(
	    tree->nodes, key_hash(tree, &key), key_matches, &key, &iter);
	hash_node = cds_lfht_iter_get_node(&iter);
	if (hash_node == NULL)
		return NULL;
	return CONTAINER_OF(hash_node, struct node, hash_node);
}

static struct node *
new_node(struct node *parent, struct slice level)
{
	struct node *node;

	node = calloc(1, sizeof(*node) + level.len);
	if (node == NULL)
		return NULL;
	node->parent = parent;
	node->level_length = (uint16_t)level.len;
	if (level.len != 0)
		memcpy(node->level, level.data, level.len);
	return node;
}

/* The child, made if need be.  Under the mutex; NULL without memory. */
static struct node *
obtain_child(
    struct subscription_tree *tree, struct node *parent, struct slice level)
{
	const struct level_key key = { .parent = parent, .level = level };
	const bool is_plus = slice_equal_string(level, "+");
	struct node *child;

	child = is_plus
	    ? atomic_load_explicit(&parent->plus, memory_order_relaxed)
	    : find_child(tree, parent, level);
	if (child != NULL)
		return child;
	child = new_node(parent, level);
	if (child == NULL)
		return NULL;
	parent->users++;
	child->is_plus = is_plus;
	if (is_plus) {
		/* Release: pairs with the acquire in walk(). */
		atomic_store_explicit(
		    &parent->plus, child, memory_order_release);
		return child;
	}
	cds_lfht_node_init(&child->hash_node);
	RCU_PUBLISH(&child->hash_node);
	cds_lfht_add(tree->nodes, key_hash(tree, &key), &child->hash_node);
	atomic_fetch_add_explicit(&parent->children, 1, memory_order_relaxed);
	return child;
}

static void
free_node(struct rcu_head *rcu)
{
	rcu_called(rcu);
	free(CONTAINER_OF(rcu, struct node, rcu));
}

/* Unlink the node and its parents as far as nobody uses them. */
static void
drop_unused(struct subscription_tree *tree, struct node *node)
{
	struct node *parent;

	while (node->users == 0 && node->parent != NULL) {
		parent = node->parent;
		if (node->is_plus) {
			atomic_store_explicit(
			    &parent->plus, NULL, memory_order_relaxed);
		} else {
			cds_lfht_del(tree->nodes, &node->hash_node);
			atomic_fetch_sub_explicit(
			    &parent->children, 1, memory_order_relaxed);
		}
		rcu_call(&node->rcu, free_node);
		parent->users--;
		node = parent;
	}
}

/* ---- filters --------------------------------------------------------- */

static int
understand(struct slice filter, struct target *out_target)
{
	struct target target = { .levels = filter };
	struct topic_share share;
	struct slice level = { 0 };
	struct topic_levels levels;
	unsigned count = 0;

	if (topic_share_split(filter, &share)) {
		target.share = share.name;
		target.levels = share.filter;
	}
	for (levels = topic_levels(target.levels);
	     topic_levels_next(&levels, &level);)
		if (++count > SUBSCRIPTION_MAX_LEVELS)
			return -E2BIG;
	if (slice_equal_string(target.levels, "#")) {
		target.is_root = true;
		target.place = BELOW;
	} else if (slice_equal_string(level, "#")) {
		target.levels.len -= 2;
		target.place = BELOW;
	}
	*out_target = target;
	return 0;
}

static struct node *
find_node(struct subscription_tree *tree, const struct target *target)
{
	struct topic_levels levels = topic_levels(target->levels);
	struct node *node = tree->root;
	struct slice level;

	if (target->is_root)
		return node;
	while (node != NULL && topic_levels_next(&levels, &level)) {
		if (slice_equal_string(level, "+"))
			node = atomic_load_explicit(
			    &node->plus, memory_order_relaxed);
		else
			node = find_child(tree, node, level);
	}
	return node;
}

static struct node *
obtain_node(struct subscription_tree *tree, const struct target *target)
{
	struct topic_levels levels = topic_levels(target->levels);
	struct node *node = tree->root, *child;
	struct slice level;

	if (target->is_root)
		return node;
	while (topic_levels_next(&levels, &level)) {
		child = obtain_child(tree, node, level);
		if (child == NULL) {
			drop_unused(tree, node);
			return NULL;
		}
		node = child;
	}
	return node;
}

/* ---- shared subscriptions -------------------------------------------- */

static struct group *
find_group(struct node *node, const struct target *target)
{
	struct group *group;

	group = atomic_load_explicit(&node->groups, memory_order_relaxed);
	while (group != NULL &&
	    (group->place != target->place ||
		!slice_equal(
		    slice_of(group->name, group->name_length), target->share)))
		group =
		    atomic_load_explicit(&group->next, memory_order_relaxed);
	return group;
}

static struct group *
obtain_group(struct node *node, const struct target *target)
{
	struct group *group = find_group(node, target);

	if (group != NULL)
		return group;
	group = calloc(1, sizeof(*group) + target->share.len);
	if (group == NULL)
		return NULL;
	group->place = (uint8_t)target->place;
	group->name_length = (uint16_t)target->share.len;
	memcpy(group->name, target->share.data, target->share.len);
	atomic_store_explicit(&group->next,
	    atomic_load_explicit(&node->groups, memory_order_relaxed),
	    memory_order_relaxed);
	/* Release: pairs with the acquire in collect_groups(). */
	atomic_store_explicit(&node->groups, group, memory_order_release);
	node->users++;
	return group;
}

static void
free_group(struct rcu_head *rcu)
{
	rcu_called(rcu);
	free(CONTAINER_OF(rcu, struct group, rcu));
}

static void
drop_group(struct node *node, struct group *group)
{
	_Atomic(struct group *) *link = &node->groups;

	while (atomic_load_explicit(link, memory_order_relaxed) != group)
		link = &atomic_load_explicit(link, memory_order_relaxed)->next;
	atomic_store_explicit(link,
	    atomic_load_explicit(&group->next, memory_order_relaxed),
	    memory_order_release);
	rcu_call(&group->rcu, free_group);
	node->users--;
}

static void
free_members(struct rcu_head *rcu)
{
	rcu_called(rcu);
	free(CONTAINER_OF(rcu, struct members, rcu));
}

/* Publish `members` (NULL: none) in place of what there was. */
static void
replace_members(struct group *group, struct members *members)
{
	struct members *old;

	old = atomic_load_explicit(&group->members, memory_order_relaxed);
	atomic_store_explicit(&group->members, members, memory_order_release);
	if (old != NULL)
		rcu_call(&old->rcu, free_members);
}

static int
group_add(struct group *group, struct subscription *subscription)
{
	struct members *old, *members;
	uint32_t count;

	old = atomic_load_explicit(&group->members, memory_order_relaxed);
	count = old == NULL ? 0 : old->count;
	members =
	    malloc(sizeof(*members) + (count + 1) * sizeof(members->list[0]));
	if (members == NULL)
		return -ENOMEM;
	if (count != 0)
		memcpy(
		    members->list, old->list, count * sizeof(members->list[0]));
	members->list[count] = subscription;
	members->count = count + 1;
	replace_members(group, members);
	return 0;
}

static void
group_remove(struct group *group, const struct subscription *subscription)
{
	struct members *old, *members;
	uint32_t count = 0;

	old = atomic_load_explicit(&group->members, memory_order_relaxed);
	if (old->count == 1) {
		replace_members(group, NULL);
		return;
	}
	members = malloc(
	    sizeof(*members) + (old->count - 1) * sizeof(members->list[0]));
	BUG_ON(members == NULL);
	for (uint32_t i = 0; i < old->count; i++)
		if (old->list[i] != subscription)
			members->list[count++] = old->list[i];
	members->count = count;
	replace_members(group, members);
}

/* ---- the index ------------------------------------------------------- */

static size_t
index_slot(const struct subscription_tree *tree, const struct node *node,
    const struct group *group, unsigned place,
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
index_find(const struct subscription_tree *tree, const struct node *node,
    const struct group *group, unsigned place,
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

static struct subscription_options
unpack(uint32_t word)
{
	return (struct subscription_options){
		.qos = word & 3,
		.no_local = (word >> 2 & 1) != 0,
		.retain_as_published = (word >> 3 & 1) != 0,
		.identifier = word >> 4,
	};
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
	struct node *node = s->node;

	index_remove(tree, s);
	unlink_from_subscriber(s);
	if (s->group == NULL) {
		unlink_from_node(s);
	} else {
		atomic_fetch_sub_explicit(
		    &tree->shared_count, 1, memory_order_relaxed);
		group_remove(s->group, s);
		if (atomic_load_explicit(
			&s->group->members, memory_order_relaxed) == NULL)
			drop_group(node, s->group);
	}
	node->users--;
	atomic_fetch_sub_explicit(&tree->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&tree->backlog, 1, memory_order_relaxed);
	rcu_call(&s->rcu, free_subscription);
	drop_unused(tree, node);
}

static int
add_to_group(struct subscription *s, const struct target *target)
{
	struct group *group;
	int err;

	group = obtain_group(s->node, target);
	if (group == NULL)
		return -ENOMEM;
	s->group = group;
	err = group_add(group, s);
	if (err != 0 &&
	    atomic_load_explicit(&group->members, memory_order_relaxed) == NULL)
		drop_group(s->node, group);
	return err;
}

static int
add_new(struct subscription_tree *tree, struct node *node,
    const struct target *target, struct subscriber *subscriber,
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
	s->tree = tree;
	atomic_init(&s->options, pack(options));
	if (target->share.len != 0) {
		err = add_to_group(s, target);
		if (err != 0) {
			free(s);
			return err;
		}
		atomic_fetch_add_explicit(
		    &tree->shared_count, 1, memory_order_relaxed);
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
add_locked(struct subscription_tree *tree, const struct target *target,
    struct subscriber *subscriber, const struct subscription_options *options,
    bool *out_existed)
{
	struct subscription *s = NULL;
	struct group *group = NULL;
	struct node *node;
	int err;

	node = obtain_node(tree, target);
	if (node == NULL)
		return -ENOMEM;
	if (target->share.len != 0)
		group = find_group(node, target);
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
		drop_unused(tree, node);
	else
		*out_existed = false;
	return err;
}

/* ---- matching -------------------------------------------------------- */

static int
make_room(struct subscription_matches *matches)
{
	struct subscription_match *list;
	size_t size;

	size = matches->size == 0 ? FIRST_MATCHES : matches->size * 2;
	list = realloc(matches->list, size * sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	matches->list = list;
	matches->size = size;
	return 0;
}

static int
append(struct subscription_matches *matches, struct subscription *s)
{
	int err;

	if (matches->count == matches->size) {
		err = make_room(matches);
		if (err != 0)
			return err;
	}
	matches->list[matches->count++] = (struct subscription_match){
		.subscriber = s->subscriber,
		.options = unpack(
		    atomic_load_explicit(&s->options, memory_order_relaxed)),
		.shared = s->group != NULL,
	};
	return 0;
}

/* Members take turns; one that is connected goes before one that is not. */
static struct subscription *
choose_member(struct group *group)
{
	const struct members *members;
	struct subscription *s;
	uint32_t turn;

	members = atomic_load_explicit(&group->members, memory_order_acquire);
	if (members == NULL)
		return NULL;
	turn = atomic_fetch_add_explicit(&group->turn, 1, memory_order_relaxed);
	for (uint32_t i = 0; i < members->count; i++) {
		s = members->list[(turn + i) % members->count];
		if (atomic_load_explicit(
			&s->subscriber->online, memory_order_relaxed))
			return s;
	}
	return members->list[turn % members->count];
}

static int
collect(
    struct node *node, enum place place, struct subscription_matches *matches)
{
	struct subscription *s;
	struct group *group;
	int err = 0;

	s = atomic_load_explicit(
	    &node->subscriptions[place], memory_order_acquire);
	for (; s != NULL && err == 0;
	     s = atomic_load_explicit(&s->next, memory_order_acquire))
		err = append(matches, s);

	group = atomic_load_explicit(&node->groups, memory_order_acquire);
	for (; group != NULL && err == 0;
	     group = atomic_load_explicit(&group->next, memory_order_acquire)) {
		s = group->place == place ? choose_member(group) : NULL;
		if (s != NULL)
			err = append(matches, s);
	}
	return err;
}

/* A node that is still to be visited, and the topic's rest below it. */
struct step {
	struct node *node;
	struct topic_levels rest;
};

/*
 * Each step taken adds at most two, one level deeper, so the stack is never
 * higher than the tree is deep, whatever the topic.
 */
static int
walk(struct subscription_tree *tree, struct slice topic,
    struct subscription_matches *matches)
{
	struct step stack[SUBSCRIPTION_MAX_LEVELS + 2], step;
	/* [MQTT-4.7.2-1] */
	bool wildcards = topic.len == 0 || topic.data[0] != '$';
	struct slice level;
	struct node *child;
	size_t height = 0;
	int err = 0;

	stack[height++] = (struct step){ tree->root, topic_levels(topic) };
	while (height != 0 && err == 0) {
		step = stack[--height];
		if (wildcards || step.node != tree->root)
			err = collect(step.node, BELOW, matches);
		if (!topic_levels_next(&step.rest, &level)) {
			if (err == 0)
				err = collect(step.node, EXACT, matches);
			continue;
		}
		BUG_ON(height + 2 > SUBSCRIPTION_MAX_LEVELS + 2);
		child = find_child(tree, step.node, level);
		if (child != NULL)
			stack[height++] = (struct step){ child, step.rest };
		child = atomic_load_explicit(
		    &step.node->plus, memory_order_acquire);
		if (child != NULL && (wildcards || step.node != tree->root))
			stack[height++] = (struct step){ child, step.rest };
	}
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
	tree->root = new_node(NULL, slice_of(NULL, 0));
	tree->nodes = cds_lfht_new_flavor(64, 64, 0,
	    CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, &urcu_memb_flavor,
	    NULL);
	if (tree->index == NULL || tree->root == NULL || tree->nodes == NULL) {
		subscription_tree_free(tree);
		return NULL;
	}
	return tree;
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
	struct target target;
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

int
subscription_tree_remove(struct subscription_tree *tree, struct slice filter,
    struct subscriber *subscriber)
{
	struct subscription *s = NULL;
	struct group *group = NULL;
	struct target target;
	struct node *node;

	if (understand(filter, &target) != 0)
		return -ENOENT;
	pthread_mutex_lock(&tree->mutex);
	rcu_enter();
	node = find_node(tree, &target);
	if (node != NULL && target.share.len != 0)
		group = find_group(node, &target);
	if (node != NULL && (group != NULL || target.share.len == 0))
		s = index_find(tree, node, group, target.place, subscriber);
	if (s != NULL)
		remove_subscription(tree, s);
	rcu_leave();
	pthread_mutex_unlock(&tree->mutex);
	return s == NULL ? -ENOENT : 0;
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

int
subscription_tree_match(struct subscription_tree *tree, struct slice topic,
    struct subscription_matches *matches)
{
	return walk(tree, topic, matches);
}

void
subscription_matches_fini(struct subscription_matches *matches)
{
	free(matches->list);
	*matches = (struct subscription_matches){ 0 };
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
