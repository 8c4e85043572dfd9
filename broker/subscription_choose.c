/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subscription_choose - which member of a share gets a message.
 *
 * Readers of a list of members that is replaced as a whole; nothing is locked.
 * What is known of a member (is it there, what waits for it) is its owner's
 * word of a moment ago: a choice may be poor, and is never wrong.
 */

#include "broker/subscription_private.h"

/* Members that are there and keep others waiting: so many are compared. */
#define MAX_COMPARED 8u

static bool
is_online(const struct subscription *s)
{
	return atomic_load_explicit(
	    &s->subscriber->online, memory_order_relaxed);
}

static uint32_t
backlog_of(const struct subscription *s)
{
	return atomic_load_explicit(
	    &s->subscriber->backlog, memory_order_relaxed);
}

static uint32_t
next_of(const struct subscription_members *members, uint32_t i)
{
	return i + 1 == members->count ? 0 : i + 1;
}

/*
 * Nobody who is there has room: from `first` on, one that is away and has;
 * else one that is there; else `first`, whoever that is.
 */
static uint32_t
any_of(const struct subscription_members *members, uint32_t first)
{
	uint32_t at = first, online = members->count;

	for (uint32_t i = 0; i < members->count; i++) {
		if (backlog_of(members->list[at]) != SUBSCRIBER_FULL)
			return at;
		if (online == members->count && is_online(members->list[at]))
			online = at;
		at = next_of(members, at);
	}
	return online != members->count ? online : first;
}

/* From `first` on, the next that is there and is not full. */
static uint32_t
next_open(const struct subscription_members *members, uint32_t first)
{
	uint32_t at = first;

	for (uint32_t i = 0; i < members->count; i++) {
		if (is_online(members->list[at]) &&
		    backlog_of(members->list[at]) != SUBSCRIBER_FULL)
			return at;
		at = next_of(members, at);
	}
	return any_of(members, first);
}

/* Likewise, but of those who keep it waiting the one with the least. */
static uint32_t
least_laden(const struct subscription_members *members, uint32_t first)
{
	uint32_t at = first, best = first, least = SUBSCRIBER_FULL, backlog;
	unsigned compared = 0;

	for (uint32_t i = 0; i < members->count; i++) {
		backlog = is_online(members->list[at])
		    ? backlog_of(members->list[at])
		    : SUBSCRIBER_FULL;
		if (backlog == 0)
			return at;
		if (backlog < least) {
			best = at;
			least = backlog;
		}
		if (backlog != SUBSCRIBER_FULL && ++compared == MAX_COMPARED)
			break;
		at = next_of(members, at);
	}
	return least == SUBSCRIBER_FULL ? any_of(members, first) : best;
}

static uint32_t
take_turn(struct subscription_group *group)
{
	return atomic_fetch_add_explicit(&group->turn, 1, memory_order_relaxed);
}

/* Bits of a number that look as if they were thrown. */
static uint32_t
scatter(uint32_t number)
{
	const uint64_t bits =
	    (number + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

	return (
	    uint32_t)((bits ^ bits >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 32);
}

/* Who has it keeps it, until it goes or is full. */
static uint32_t
stick(struct subscription_group *group,
    const struct subscription_members *members)
{
	uint32_t turn, first, at;

	turn = atomic_load_explicit(&group->turn, memory_order_relaxed);
	first = turn < members->count ? turn : 0;
	at = next_open(members, first);
	if (at != turn)
		atomic_store_explicit(&group->turn, at, memory_order_relaxed);
	return at;
}

static uint32_t
by_hash(const struct subscription_members *members, struct slice key)
{
	return next_open(
	    members, (uint32_t)(slice_hash(key, 0) >> 32) % members->count);
}

static uint32_t
choose(struct subscription_group *group,
    const struct subscription_members *members, struct slice topic,
    struct slice publisher)
{
	switch ((enum subscription_strategy)group->strategy) {
	case SUBSCRIPTION_STICKY:
		return stick(group, members);
	case SUBSCRIPTION_HASH:
		return by_hash(members, publisher);
	case SUBSCRIPTION_HASH_TOPIC:
		return by_hash(members, topic);
	case SUBSCRIPTION_RANDOM:
		return least_laden(
		    members, scatter(take_turn(group)) % members->count);
	case SUBSCRIPTION_ROUND_ROBIN:
		break;
	}
	return least_laden(members, take_turn(group) % members->count);
}

struct subscription *
subscription_group_choose(struct subscription_group *group, struct slice topic,
    struct slice publisher)
{
	const struct subscription_members *members;

	/* Acquire: pairs with the release in replace_members(). */
	members = atomic_load_explicit(&group->members, memory_order_acquire);
	if (members == NULL)
		return NULL;
	return members->list[choose(group, members, topic, publisher)];
}
