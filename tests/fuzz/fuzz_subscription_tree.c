/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_subscription_tree - subscribe, unsubscribe, leave and publish in any
 * order: the tree finds whom a list with a naive matcher finds, and of each
 * share one member that may have it, by whatever strategy.
 *
 * The input is a program: a byte for what to do, one for who does it, and the
 * letters of a topic up to a byte with its highest bit.
 */

#include <errno.h>
#include <string.h>

#include "broker/rcu.h"
#include "broker/subscription_tree.h"
#include "tests/fuzz/fuzz_topic.h"

#define CLIENTS 5
#define ENTRIES 48
#define TOPIC_SIZE 40
#define MAX_IDENTIFIER 268435455 /* of a Subscription Identifier */

static const char *const words[] = { "/", "a", "b", "+", "#", "$s", "/+", "/#",
	"$share/", "g/", "h/", "/a", "//", "$share/g/a", "+/+", "\xc3\xa9" };

struct text {
	char bytes[TOPIC_SIZE];
	size_t len;
};

/* One subscription there is. */
struct entry {
	unsigned client;
	struct text filter;
	struct subscription_options options;
	bool matched;
};

static struct subscription_tree *tree;
static struct subscription_matches matches, again;
static struct subscriber clients[CLIENTS];
static struct entry entries[ENTRIES];
static size_t entry_count;
static uint32_t identifiers; /* so that each match tells which it is of */

static struct slice
slice(const struct text *text)
{
	return slice_of(text->bytes, text->len);
}

static void
take_text(const uint8_t **at, const uint8_t *end, struct text *text)
{
	const char *word;
	size_t len;
	uint8_t byte = 0;

	text->len = 0;
	while (*at < end && byte < 0x80) {
		byte = *(*at)++;
		word = words[byte % (sizeof(words) / sizeof(words[0]))];
		len = strlen(word);
		if (text->len + len > TOPIC_SIZE)
			continue;
		memcpy(text->bytes + text->len, word, len);
		text->len += len;
	}
}

static struct entry *
find(unsigned client, const struct text *filter)
{
	for (size_t i = 0; i < entry_count; i++)
		if (entries[i].client == client &&
		    slice_equal(slice(&entries[i].filter), slice(filter)))
			return &entries[i];
	return NULL;
}

static void
add(unsigned client, const struct text *filter, uint8_t dice)
{
	struct entry *entry = find(client, filter);
	struct subscription_options options = { .qos = dice % 3,
		.no_local = (dice & 8) != 0,
		.retain_as_published = (dice & 16) != 0 };
	bool existed;

	identifiers = identifiers % MAX_IDENTIFIER + 1;
	options.identifier = identifiers;
	if (entry == NULL && entry_count == ENTRIES)
		return;
	require(subscription_tree_add(tree, slice(filter), &clients[client],
		    &options, &existed) == 0);
	require(existed == (entry != NULL));
	if (entry == NULL)
		entry = &entries[entry_count++];
	*entry = (struct entry){ client, *filter, options, false };
}

static void
take(unsigned client, const struct text *filter)
{
	struct entry *entry = find(client, filter);

	require(subscription_tree_remove(tree, slice(filter),
		    &clients[client]) == (entry == NULL ? -ENOENT : 0));
	if (entry != NULL)
		*entry = entries[--entry_count];
}

static void
take_all(unsigned client)
{
	subscription_tree_remove_all(tree, &clients[client]);
	for (size_t i = entry_count; i-- > 0;)
		if (entries[i].client == client)
			entries[i] = entries[--entry_count];
}

static bool
same_options(
    const struct subscription_options *a, const struct subscription_options *b)
{
	return a->qos == b->qos && a->no_local == b->no_local &&
	    a->retain_as_published == b->retain_as_published &&
	    a->identifier == b->identifier;
}

/* What a subscription's filter is matched with; of which group it is. */
static struct slice
plain(const struct text *filter, struct slice *group)
{
	struct slice name, rest = slice(filter);

	*group = slice_of(NULL, 0);
	if (naive_is_shared(rest)) {
		require(naive_shared(rest, &name, &rest));
		*group = slice(filter);
	}
	return rest;
}

static bool
has_room(const struct subscriber *subscriber)
{
	return subscriber->backlog != SUBSCRIBER_FULL;
}

/*
 * One member stands for the whole group.  It is there and has room if anybody
 * is and has; else it has room if anybody has.
 */
static void
check_choice(const struct subscription_match *match, struct slice group,
    struct slice topic)
{
	bool is_open = false, is_roomy = false;
	const struct subscriber *member;

	for (size_t i = 0; i < entry_count; i++) {
		if (!slice_equal(slice(&entries[i].filter), group))
			continue;
		entries[i].matched = true;
		member = &clients[entries[i].client];
		is_roomy = is_roomy || has_room(member);
		is_open = is_open || (member->online && has_room(member));
	}
	require(!is_roomy || has_room(match->subscriber));
	require(!is_open || match->subscriber->online);
	again.count = 0;
	rcu_enter();
	require(subscription_tree_match_share(
		    tree, topic, match->share, &again) == 0);
	rcu_leave();
	require(again.count == 1 && again.list[0].share == match->share);
}

/* Take one match away from those that the model expects. */
static void
account_for(const struct subscription_match *match, struct slice topic)
{
	struct slice group, filter;

	for (size_t i = 0; i < entry_count; i++) {
		filter = plain(&entries[i].filter, &group);
		if (entries[i].matched ||
		    match->subscriber != &clients[entries[i].client] ||
		    (match->share != 0) != (group.len != 0) ||
		    !same_options(&match->options, &entries[i].options) ||
		    !naive_match(filter, topic))
			continue;
		entries[i].matched = true;
		if (group.len != 0)
			check_choice(match, group, topic);
		return;
	}
	abort();
}

static void
publish(const struct text *text)
{
	struct slice topic = slice(text), group;

	if (!naive_name(topic))
		return;
	for (size_t i = 0; i < entry_count; i++)
		entries[i].matched = false;
	matches.count = 0;
	matches.publisher = slice(text);
	rcu_enter();
	require(subscription_tree_match(tree, topic, &matches) == 0);
	rcu_leave();
	for (size_t i = 0; i < matches.count; i++)
		account_for(&matches.list[i], topic);
	for (size_t i = 0; i < entry_count; i++)
		require(entries[i].matched ==
		    naive_match(plain(&entries[i].filter, &group), topic));
}

static void
be(struct subscriber *subscriber, uint8_t dice)
{
	static const uint32_t backlogs[] = { 0, 1, SUBSCRIBER_STUCK,
		SUBSCRIBER_FULL };

	subscriber->online = (dice & 0x80) != 0;
	subscriber->backlog = backlogs[dice >> 4 & 3];
}

/* By the name's first letter: those that the words have give all five. */
static enum subscription_strategy
strategy_of(const void *context, struct slice name, struct slice filter)
{
	(void)context;
	(void)filter;
	return (enum subscription_strategy)((name.data[0] + 2u) % 5);
}

static void
step(const uint8_t **at, const uint8_t *end)
{
	uint8_t what = *(*at)++, dice = *at < end ? *(*at)++ : 0;
	unsigned client = dice % CLIENTS;
	struct text text;

	take_text(at, end, &text);
	if (what % 8 == 0)
		take_all(client);
	else if (what % 8 < 4)
		publish(&text);
	else if (what % 8 == 4)
		be(&clients[client], dice);
	else if (!naive_filter(slice(&text)))
		return;
	else if (what % 8 == 5)
		take(client, &text);
	else
		add(client, &text, dice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *at = data, *end = data + size;

	if (tree == NULL) {
		rcu_thread_start();
		tree = subscription_tree_new();
		require(tree != NULL);
		subscription_tree_use_strategies(tree, strategy_of, NULL);
	}
	while (at < end)
		step(&at, end);
	for (unsigned i = 0; i < CLIENTS; i++) {
		take_all(i);
		be(&clients[i], 0);
	}
	require(entry_count == 0 && subscription_tree_count(tree) == 0);
	require(subscription_tree_shared_count(tree) == 0);
	if (subscription_tree_is_backlogged(tree))
		urcu_memb_barrier();
	return 0;
}
