/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subscription_group - shared subscriptions: one of many gets a message.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/mailbox.h"
#include "broker/subscription_private.h"
#include "common/base/bug.h"

struct subscription_group *
subscription_group_find(
    struct subscription_node *node, const struct subscription_target *target)
{
	struct subscription_group *group;

	group = atomic_load_explicit(&node->groups, memory_order_relaxed);
	while (group != NULL &&
	    (group->place != target->place ||
		!slice_equal(
		    slice_of(group->name, group->name_length), target->share)))
		group =
		    atomic_load_explicit(&group->next, memory_order_relaxed);
	return group;
}

/* Of name and filter, the same in every life; not 0. */
static uint32_t
number_of(const struct subscription_target *target)
{
	const uint64_t hash =
	    slice_hash(target->filter, slice_hash(target->share, 0));
	const uint32_t number = (uint32_t)(hash ^ hash >> 32);

	return number == 0 ? 1 : number;
}

struct subscription_group *
subscription_group_obtain(const struct subscription_tree *tree,
    struct subscription_node *node, const struct subscription_target *target)
{
	struct subscription_group *group =
	    subscription_group_find(node, target);

	if (group != NULL)
		return group;
	group = calloc(1, sizeof(*group) + target->share.len);
	if (group == NULL)
		return NULL;
	group->place = (uint8_t)target->place;
	group->number = number_of(target);
	if (tree->strategy_of != NULL)
		group->strategy = (uint8_t)tree->strategy_of(
		    tree->strategy_context, target->share, target->filter);
	group->name_length = (uint16_t)target->share.len;
	memcpy(group->name, target->share.data, target->share.len);
	atomic_store_explicit(&group->next,
	    atomic_load_explicit(&node->groups, memory_order_relaxed),
	    memory_order_relaxed);
	/* Release: pairs with the acquire in collect(). */
	atomic_store_explicit(&node->groups, group, memory_order_release);
	node->users++;
	return group;
}

static void
free_group(struct rcu_head *rcu)
{
	rcu_called(rcu);
	free(CONTAINER_OF(rcu, struct subscription_group, rcu));
}

void
subscription_group_drop(
    struct subscription_node *node, struct subscription_group *group)
{
	_Atomic(struct subscription_group *) *link = &node->groups;

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
	free(CONTAINER_OF(rcu, struct subscription_members, rcu));
}

/* Publish `members` (NULL: none) in place of what there was. */
static void
replace_members(
    struct subscription_group *group, struct subscription_members *members)
{
	struct subscription_members *old;

	old = atomic_load_explicit(&group->members, memory_order_relaxed);
	atomic_store_explicit(&group->members, members, memory_order_release);
	if (old != NULL)
		rcu_call(&old->rcu, free_members);
}

int
subscription_group_add(
    struct subscription_group *group, struct subscription *subscription)
{
	struct subscription_members *old, *members;
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

/* Member `i` goes, and those behind it move up. */
static void
stick_to_same(struct subscription_group *group, uint32_t i)
{
	uint32_t turn;

	/* Relaxed: a reader in between sticks to a neighbour for a moment. */
	turn = atomic_load_explicit(&group->turn, memory_order_relaxed);
	if (turn > i)
		atomic_store_explicit(
		    &group->turn, turn - 1, memory_order_relaxed);
}

void
subscription_group_remove(
    struct subscription_group *group, const struct subscription *subscription)
{
	struct subscription_members *old, *members;
	uint32_t count = 0;

	old = atomic_load_explicit(&group->members, memory_order_relaxed);
	if (old->count == 1) {
		replace_members(group, NULL);
		return;
	}
	members = malloc(
	    sizeof(*members) + (old->count - 1) * sizeof(members->list[0]));
	BUG_ON(members == NULL);
	for (uint32_t i = 0; i < old->count; i++) {
		if (old->list[i] != subscription)
			members->list[count++] = old->list[i];
		else if (group->strategy == SUBSCRIPTION_STICKY)
			stick_to_same(group, i);
	}
	members->count = count;
	replace_members(group, members);
}
