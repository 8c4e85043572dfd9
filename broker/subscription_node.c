/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <string.h>

#include "broker/mailbox.h"
#include "broker/subscription_private.h"
#include "common/base/bug.h"

struct level_key {
	const struct subscription_node *parent;
	struct slice level;
};

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
	const struct subscription_node *node;

	node = CONTAINER_OF(hash_node, struct subscription_node, hash_node);
	RCU_RECEIVE(hash_node);
	return node->parent == key->parent &&
	    slice_equal(slice_of(node->level, node->level_length), key->level);
}

struct subscription_node *
subscription_node_find(struct subscription_tree *tree,
    struct subscription_node *parent, struct slice level)
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
	return CONTAINER_OF(hash_node, struct subscription_node, hash_node);
}

struct subscription_node *
subscription_node_new(struct subscription_node *parent, struct slice level)
{
	struct subscription_node *node;

	node = calloc(1, sizeof(*node) + level.len);
	if (node == NULL)
		return NULL;
	node->parent = parent;
	node->level_length = (uint16_t)level.len;
	if (level.len != 0)
		memcpy(node->level, level.data, level.len);
	return node;
}

struct subscription_node *
subscription_node_obtain(struct subscription_tree *tree,
    struct subscription_node *parent, struct slice level)
{
	const struct level_key key = { .parent = parent, .level = level };
	const bool is_plus = slice_equal_string(level, "+");
	struct subscription_node *child;

	child = is_plus
	    ? atomic_load_explicit(&parent->plus, memory_order_relaxed)
	    : subscription_node_find(tree, parent, level);
	if (child != NULL)
		return child;
	child = subscription_node_new(parent, level);
	if (child == NULL)
		return NULL;
	parent->users++;
	child->is_plus = is_plus;
	if (is_plus) {
		/* Release: pairs with the acquire in subscription_tree_match().
		 */
		atomic_store_explicit(
		    &parent->plus, child, memory_order_release);
		return child;
	}
	cds_lfht_node_init(&child->hash_node);
	RCU_PUBLISH(&child->hash_node);
	cds_lfht_add(tree->nodes, key_hash(tree, &key), &child->hash_node);
	atomic_fetch_add_explicit(&tree->node_count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&parent->children, 1, memory_order_relaxed);
	return child;
}

static void
free_node(struct rcu_head *rcu)
{
	rcu_called(rcu);
	free(CONTAINER_OF(rcu, struct subscription_node, rcu));
}

void
subscription_node_drop_unused(
    struct subscription_tree *tree, struct subscription_node *node)
{
	struct subscription_node *parent;

	while (node->users == 0 && node->parent != NULL) {
		parent = node->parent;
		if (node->is_plus) {
			atomic_store_explicit(
			    &parent->plus, NULL, memory_order_relaxed);
		} else {
			cds_lfht_del(tree->nodes, &node->hash_node);
			atomic_fetch_sub_explicit(
			    &tree->node_count, 1, memory_order_relaxed);
			atomic_fetch_sub_explicit(
			    &parent->children, 1, memory_order_relaxed);
		}
		rcu_call(&node->rcu, free_node);
		parent->users--;
		node = parent;
	}
}
