/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/retain.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg/topic.h"

/*
 * The order: byte by byte, but '/' comes before every other byte.  Then all
 * topics below "a/b" follow "a/b" at once, and "a/b" followed by AFTER_LEVEL
 * comes behind them and before "a/ba".  Neither byte can be in a topic as
 * itself: U+0000 is not allowed there.
 */
#define AFTER_LEVEL 0x01

/* A treap: a search tree by topic that is a heap by `priority`. */
struct entry {
	struct entry *left;
	struct entry *right;
	struct message *message;
	uint64_t serial;
	uint32_t priority;
};

struct retained {
	pthread_mutex_t mutex;
	struct entry *root;
	size_t count;
	size_t max_count;
	uint64_t bytes;
	uint64_t max_bytes;
	uint64_t serial; /* of the last store */
	uint32_t dice;
};

/* ---- the order ------------------------------------------------------- */

static int
rank(uint8_t byte)
{
	return byte == '/' ? 0 : byte;
}

static int
compare(struct slice a, struct slice b)
{
	const size_t len = a.len < b.len ? a.len : b.len;
	size_t i = 0;

	while (i + 8 <= len && memcmp(a.data + i, b.data + i, 8) == 0)
		i += 8;
	while (i < len && a.data[i] == b.data[i])
		i++;
	if (i < len)
		return rank(a.data[i]) - rank(b.data[i]);
	return a.len < b.len ? -1 : a.len > b.len;
}

/* ---- the treap ------------------------------------------------------- */

static uint32_t
roll(struct retained *retained)
{
	retained->dice ^= retained->dice << 13;
	retained->dice ^= retained->dice >> 17;
	retained->dice ^= retained->dice << 5;
	return retained->dice;
}

static struct slice
topic_of(const struct entry *entry)
{
	return message_topic(entry->message);
}

static struct entry *
find_exact(const struct retained *retained, struct slice topic)
{
	struct entry *entry = retained->root;
	int order;

	while (entry != NULL) {
		order = compare(topic, topic_of(entry));
		if (order == 0)
			break;
		entry = order < 0 ? entry->left : entry->right;
	}
	return entry;
}

/* The first entry at `key` (or, with `beyond`, after it). */
static struct entry *
find_from(const struct retained *retained, struct slice key, bool beyond)
{
	struct entry *entry = retained->root, *best = NULL;
	int order;

	while (entry != NULL) {
		order = compare(key, topic_of(entry));
		if (order < 0 || (order == 0 && !beyond)) {
			best = entry;
			entry = entry->left;
		} else {
			entry = entry->right;
		}
	}
	return best;
}

/* Cut the tree into what is before `key` and what is not. */
static void
split(struct entry *tree, struct slice key, struct entry **before,
    struct entry **rest)
{
	while (tree != NULL) {
		if (compare(topic_of(tree), key) < 0) {
			*before = tree;
			before = &tree->right;
			tree = tree->right;
		} else {
			*rest = tree;
			rest = &tree->left;
			tree = tree->left;
		}
	}
	*before = NULL;
	*rest = NULL;
}

/* One tree of two, all of `a` being before all of `b`. */
static struct entry *
merge(struct entry *a, struct entry *b)
{
	struct entry *tree = NULL, **link = &tree;

	while (a != NULL && b != NULL) {
		if (a->priority > b->priority) {
			*link = a;
			link = &a->right;
			a = a->right;
		} else {
			*link = b;
			link = &b->left;
			b = b->left;
		}
	}
	*link = a != NULL ? a : b;
	return tree;
}

static void
insert(struct retained *retained, struct entry *entry)
{
	struct entry **link = &retained->root;
	const struct slice topic = topic_of(entry);

	while (*link != NULL && (*link)->priority > entry->priority)
		link = compare(topic, topic_of(*link)) < 0 ? &(*link)->left
							   : &(*link)->right;
	split(*link, topic, &entry->left, &entry->right);
	*link = entry;
}

static void
forget(struct retained *retained, struct entry *entry)
{
	struct entry **link = &retained->root;

	while (*link != entry)
		link = compare(topic_of(entry), topic_of(*link)) < 0
		    ? &(*link)->left
		    : &(*link)->right;
	*link = merge(entry->left, entry->right);
	if (!message_is_own(entry->message)) {
		retained->count--;
		retained->bytes -= message_weight(entry->message);
	}
	message_put(entry->message);
	free(entry);
}

/* ---- matching by jumps ----------------------------------------------- */

/* What matching one topic says about where to look next. */
enum jump {
	MATCHES,
	TO_KEY,    /* the first topic at jump_key or after it */
	TO_NEXT,   /* the next topic */
	TO_NOWHERE /* nothing further can match */
};

/* Room for the longest key: a topic, and a level of the filter behind. */
struct jump_key {
	size_t length;
	uint8_t bytes[];
};

static void
key_put(struct jump_key *key, struct slice bytes)
{
	if (bytes.len != 0)
		memcpy(key->bytes + key->length, bytes.data, bytes.len);
	key->length += bytes.len;
}

/* Behind everything that starts with these levels. */
static enum jump
skip_below(struct jump_key *key, struct slice levels)
{
	static const uint8_t after = AFTER_LEVEL;

	key->length = 0;
	key_put(key, levels);
	key_put(key, slice_of(&after, 1));
	return TO_KEY;
}

/* The part of `topic` up to the end of `level`, which lies in it. */
static struct slice
up_to(struct slice topic, struct slice level)
{
	return slice_of(
	    topic.data, (size_t)(level.data - topic.data) + level.len);
}

static enum jump
look(struct slice filter, struct slice topic, struct jump_key *key)
{
	struct topic_levels wanted = topic_levels(filter);
	struct topic_levels given = topic_levels(topic);
	struct slice want, have, plus = { 0 }, last = { 0 };

	while (topic_levels_next(&wanted, &want)) {
		if (slice_equal_string(want, "#"))
			return MATCHES;
		if (!topic_levels_next(&given, &have))
			/* "a/b" for "a/b/c": deeper ones follow. */
			return TO_NEXT;
		last = have;
		if (slice_equal_string(want, "+")) {
			plus = have;
			continue;
		}
		if (slice_equal(want, have))
			continue;
		if (compare(have, want) < 0) {
			key->length = 0;
			key_put(key,
			    slice_of(
				topic.data, (size_t)(have.data - topic.data)));
			key_put(key, want);
			return TO_KEY;
		}
		/* Past it: on with the next value of the last '+'. */
		if (plus.data == NULL)
			return TO_NOWHERE;
		return skip_below(key, up_to(topic, plus));
	}
	if (given.p == NULL)
		return MATCHES;
	return skip_below(key, up_to(topic, last));
}

/* A filter of "a/#" has "a" too, and that comes before "a/...". */
static enum jump
look_with_dollar(struct slice filter, struct slice topic, struct jump_key *key)
{
	if (topic.data[0] == '$' &&
	    (filter.data[0] == '#' || filter.data[0] == '+')) {
		/* [MQTT-4.7.2-1]; '%' is the byte after '$'. */
		key->length = 0;
		key_put(key, slice_of("%", 1));
		return TO_KEY;
	}
	if (slice_equal(
		slice_of(filter.data, filter.len < 2 ? 0 : filter.len - 2),
		topic) &&
	    filter.len > 2 && filter.data[filter.len - 1] == '#')
		return MATCHES;
	return look(filter, topic, key);
}

/* ---- public ---------------------------------------------------------- */

struct retained *
retained_new(uint32_t max_messages, uint64_t max_bytes)
{
	struct retained *retained;

	retained = calloc(1, sizeof(*retained));
	if (retained == NULL)
		return NULL;
	pthread_mutex_init(&retained->mutex, NULL);
	retained->max_count = max_messages;
	retained->max_bytes = max_bytes;
	retained->dice = 2463534242;
	return retained;
}

void
retained_free(struct retained *retained)
{
	if (retained == NULL)
		return;
	while (retained->root != NULL)
		forget(retained, retained->root);
	pthread_mutex_destroy(&retained->mutex);
	free(retained);
}

static bool
is_cleared(const struct message *message)
{
	return message->payload_length == 0;
}

/* A topic that has nothing gets `message`. */
static int
add(struct retained *retained, struct message *message, uint64_t serial)
{
	struct entry *entry;

	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return -ENOMEM;
	entry->message = message_take(message);
	entry->priority = roll(retained);
	entry->serial = serial;
	insert(retained, entry);
	if (!message_is_own(message)) {
		retained->count++;
		retained->bytes += message_weight(message);
	}
	return 0;
}

static bool
has_room(const struct retained *retained, const struct message *message)
{
	if (message_is_own(message))
		return true;
	return retained->count < retained->max_count &&
	    retained->bytes + message_weight(message) <= retained->max_bytes;
}

static int
store(struct retained *retained, struct message *message)
{
	struct entry *entry;

	retained->serial++;
	entry = find_exact(retained, message_topic(message));
	if (entry != NULL)
		forget(retained, entry);
	if (is_cleared(message))
		return 0;
	if (!has_room(retained, message))
		return -ENOSPC;
	return add(retained, message, retained->serial);
}

int
retained_store(
    struct retained *retained, struct message *message, uint64_t *out_serial)
{
	int err;

	pthread_mutex_lock(&retained->mutex);
	err = store(retained, message);
	if (out_serial != NULL)
		*out_serial = retained->serial;
	pthread_mutex_unlock(&retained->mutex);
	return err;
}

/* The next match after `from` in order, from `entry` on; NULL: none. */
static struct entry *
next_match(struct retained *retained, struct slice filter, struct entry *entry,
    struct jump_key *key, uint64_t now_ns, uint64_t serial)
{
	struct entry *next;

	while (entry != NULL) {
		switch (look_with_dollar(filter, topic_of(entry), key)) {
		case MATCHES:
			if (entry->message->expires_ns > now_ns &&
			    entry->serial <= serial)
				return entry;
			next = find_from(retained, topic_of(entry), true);
			if (entry->message->expires_ns <= now_ns)
				forget(retained, entry);
			entry = next;
			break;
		case TO_NEXT:
			entry = find_from(retained, topic_of(entry), true);
			break;
		case TO_KEY:
			entry = find_from(
			    retained, slice_of(key->bytes, key->length), false);
			break;
		case TO_NOWHERE:
			return NULL;
		}
	}
	return NULL;
}

/* Where to begin: the levels before the first wildcard. */
static struct entry *
first_candidate(struct retained *retained, struct slice filter)
{
	struct slice prefix = filter;

	for (size_t i = 0; i < filter.len; i++) {
		if (filter.data[i] != '+' && filter.data[i] != '#')
			continue;
		prefix.len = i == 0 ? 0 : i - 1;
		break;
	}
	return find_from(retained, prefix, false);
}

static int
move_cursor(struct retained_cursor *cursor, const struct message *message)
{
	uint8_t *topic;

	if (cursor->length < message->topic_length) {
		topic = realloc(cursor->topic, message->topic_length);
		if (topic == NULL)
			return -ENOMEM;
		cursor->topic = topic;
	}
	memcpy(cursor->topic, message->bytes, message->topic_length);
	cursor->length = message->topic_length;
	return 0;
}

static size_t
find(struct retained *retained, struct slice filter,
    struct retained_cursor *cursor, struct message **list, size_t max,
    uint64_t now_ns, struct jump_key *key)
{
	struct entry *entry;
	size_t found = 0;

	if (cursor->length == 0) {
		cursor->serial = retained->serial;
		entry = first_candidate(retained, filter);
	} else {
		entry = find_from(
		    retained, slice_of(cursor->topic, cursor->length), true);
	}
	while (found < max) {
		entry = next_match(
		    retained, filter, entry, key, now_ns, cursor->serial);
		if (entry == NULL)
			break;
		list[found++] = message_take(entry->message);
		entry = find_from(retained, topic_of(entry), true);
	}
	if (found != 0 && move_cursor(cursor, list[found - 1]) != 0)
		while (found != 0)
			message_put(list[--found]);
	return found;
}

size_t
retained_find(struct retained *retained, struct slice filter,
    struct retained_cursor *cursor, struct message **list, size_t max,
    uint64_t now_ns)
{
	struct jump_key *key;
	size_t found;

	key = malloc(sizeof(*key) + TOPIC_MAX_BYTES + filter.len + 1);
	if (key == NULL)
		return 0;
	key->length = 0;
	pthread_mutex_lock(&retained->mutex);
	found = find(retained, filter, cursor, list, max, now_ns, key);
	pthread_mutex_unlock(&retained->mutex);
	free(key);
	return found;
}

void
retained_cursor_fini(struct retained_cursor *cursor)
{
	free(cursor->topic);
	*cursor = (struct retained_cursor){ 0 };
}

size_t
retained_slice(struct retained *retained, struct retained_cursor *cursor,
    struct message **list, uint64_t *serials, size_t max, uint64_t now_ns)
{
	struct entry *entry;
	size_t found = 0;

	pthread_mutex_lock(&retained->mutex);
	entry = find_from(retained, slice_of(cursor->topic, cursor->length),
	    cursor->length != 0);
	for (; entry != NULL && found < max;
	     entry = find_from(retained, topic_of(entry), true)) {
		if (entry->message->expires_ns <= now_ns ||
		    message_is_own(entry->message))
			continue;
		serials[found] = entry->serial;
		list[found++] = message_take(entry->message);
	}
	if (found != 0 && move_cursor(cursor, list[found - 1]) != 0)
		while (found != 0)
			message_put(list[--found]);
	pthread_mutex_unlock(&retained->mutex);
	return found;
}

/*
 * What was cleared is kept for now, to be known as newer than what may still
 * come.  Limits are for what is new: these were accepted.
 */
int
retained_restore(
    struct retained *retained, struct message *message, uint64_t serial)
{
	struct entry *entry;

	if (serial > retained->serial)
		retained->serial = serial;
	entry = find_exact(retained, message_topic(message));
	if (entry != NULL && entry->serial > serial)
		return 0;
	if (entry != NULL)
		forget(retained, entry);
	return add(retained, message, serial);
}

void
retained_restored(struct retained *retained, uint64_t serial)
{
	struct entry *entry, *next;

	if (serial > retained->serial)
		retained->serial = serial;
	entry = find_from(retained, slice_of(NULL, 0), false);
	for (; entry != NULL; entry = next) {
		next = find_from(retained, topic_of(entry), true);
		if (is_cleared(entry->message))
			forget(retained, entry);
	}
}

uint64_t
retained_serial(struct retained *retained)
{
	uint64_t serial;

	pthread_mutex_lock(&retained->mutex);
	serial = retained->serial;
	pthread_mutex_unlock(&retained->mutex);
	return serial;
}

size_t
retained_count(struct retained *retained)
{
	size_t count;

	pthread_mutex_lock(&retained->mutex);
	count = retained->count;
	pthread_mutex_unlock(&retained->mutex);
	return count;
}

uint64_t
retained_bytes(struct retained *retained)
{
	uint64_t bytes;

	pthread_mutex_lock(&retained->mutex);
	bytes = retained->bytes;
	pthread_mutex_unlock(&retained->mutex);
	return bytes;
}
