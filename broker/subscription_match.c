/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subscription_match - readers: who wants a topic, without a lock.
 */

#include <errno.h>
#include <stdlib.h>

#include "broker/subscription_private.h"
#include "common/base/bug.h"
#include "common/msg/topic.h"

#define FIRST_MATCHES 64

struct subscription_options
subscription_options_of(const struct subscription *subscription)
{
	const uint32_t word =
	    atomic_load_explicit(&subscription->options, memory_order_relaxed);

	return (struct subscription_options){
		.qos = word & 3,
		.no_local = (word >> 2 & 1) != 0,
		.retain_as_published = (word >> 3 & 1) != 0,
		.identifier = word >> 4,
	};
}

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
		.options = subscription_options_of(s),
		.share = s->group == NULL ? 0 : s->group->number,
	};
	return 0;
}

/* What is looked for, and where it goes. */
struct search {
	struct subscription_matches *matches;
	struct slice topic;
	uint32_t share; /* this one only; 0: all */
};

/* One member of each share. */
static int
collect_shared(struct subscription_group *group, enum subscription_place place,
    const struct search *search)
{
	struct subscription *s;
	int err = 0;

	for (; group != NULL && err == 0;
	     group = atomic_load_explicit(&group->next, memory_order_acquire)) {
		if (group->place != place ||
		    (search->share != 0 && search->share != group->number))
			continue;
		s = subscription_group_choose(
		    group, search->topic, search->matches->publisher);
		if (s != NULL)
			err = append(search->matches, s);
	}
	return err;
}

static int
collect(struct subscription_node *node, enum subscription_place place,
    const struct search *search)
{
	struct subscription_group *group;
	struct subscription *s = NULL;
	int err = 0;

	if (search->share == 0)
		s = atomic_load_explicit(
		    &node->subscriptions[place], memory_order_acquire);
	for (; s != NULL && err == 0;
	     s = atomic_load_explicit(&s->next, memory_order_acquire))
		err = append(search->matches, s);
	group = atomic_load_explicit(&node->groups, memory_order_acquire);
	if (group != NULL && err == 0)
		err = collect_shared(group, place, search);
	return err;
}

/* A node that is still to be visited, and the topic's rest below it. */
struct step {
	struct subscription_node *node;
	struct topic_levels rest;
};

/*
 * Each step taken adds at most two, one level deeper, so the stack is never
 * higher than the tree is deep, whatever the topic.
 */
static int
find(struct subscription_tree *tree, const struct search *search)
{
	struct step stack[SUBSCRIPTION_MAX_LEVELS + 2], step;
	const struct slice topic = search->topic;
	/* [MQTT-4.7.2-1] */
	bool wildcards = topic.len == 0 || topic.data[0] != '$';
	struct slice level;
	struct subscription_node *child;
	size_t height = 0;
	int err = 0;

	stack[height++] = (struct step){ tree->root, topic_levels(topic) };
	while (height != 0 && err == 0) {
		step = stack[--height];
		if (wildcards || step.node != tree->root)
			err = collect(step.node, PLACE_BELOW, search);
		if (!topic_levels_next(&step.rest, &level)) {
			if (err == 0)
				err = collect(step.node, PLACE_EXACT, search);
			continue;
		}
		BUG_ON(height + 2 > SUBSCRIPTION_MAX_LEVELS + 2);
		child = subscription_node_find(tree, step.node, level);
		if (child != NULL)
			stack[height++] = (struct step){ child, step.rest };
		child = atomic_load_explicit(
		    &step.node->plus, memory_order_acquire);
		if (child != NULL && (wildcards || step.node != tree->root))
			stack[height++] = (struct step){ child, step.rest };
	}
	return err;
}

int
subscription_tree_match(struct subscription_tree *tree, struct slice topic,
    struct subscription_matches *matches)
{
	const struct search search = { matches, topic, 0 };

	return find(tree, &search);
}

int
subscription_tree_match_share(struct subscription_tree *tree,
    struct slice topic, uint32_t share, struct subscription_matches *matches)
{
	const struct search search = { matches, topic, share };

	return find(tree, &search);
}

void
subscription_matches_fini(struct subscription_matches *matches)
{
	free(matches->list);
	*matches = (struct subscription_matches){ 0 };
}
