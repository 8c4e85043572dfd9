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

struct subscription_group *
subscription_group_obtain(
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
	for (uint32_t i = 0; i < old->count; i++)
		if (old->list[i] != subscription)
			members->list[count++] = old->list[i];
	members->count = count;
	replace_members(group, members);
}

struct subscription *
subscription_group_choose(struct subscription_group *group)
{
	const struct subscription_members *members;
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
