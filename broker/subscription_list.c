/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subscription_list - what one subscriber has, as filters again.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/subscription_private.h"
#include "common/msg/topic.h"

#define SHARE_PREFIX "$share/"

/* A filter is written from its end to its beginning, up to `from`. */
struct filter_text {
	uint8_t *from;
	uint8_t bytes[TOPIC_MAX_BYTES];
};

static void
put_before(struct filter_text *text, const void *bytes, size_t length)
{
	text->from -= length;
	if (length != 0)
		memcpy(text->from, bytes, length);
}

/* It fits: it is what was subscribed to. */
static struct slice
write_filter(struct filter_text *text, const struct subscription *s)
{
	const struct subscription_node *node = s->node;

	text->from = text->bytes + sizeof(text->bytes);
	if (s->place == PLACE_BELOW)
		put_before(text, "#", 1);
	for (; node->parent != NULL; node = node->parent) {
		if (node != s->node || s->place == PLACE_BELOW)
			put_before(text, "/", 1);
		put_before(text, node->level, node->level_length);
	}
	if (s->group != NULL) {
		put_before(text, "/", 1);
		put_before(text, s->group->name, s->group->name_length);
		put_before(text, SHARE_PREFIX, sizeof(SHARE_PREFIX) - 1);
	}
	return slice_of(text->from,
	    (size_t)(text->bytes + sizeof(text->bytes) - text->from));
}

static int
list_from(const struct subscription *s, size_t max, struct filter_text *text,
    subscription_each each, void *arg)
{
	struct subscription_options options;
	size_t count = 0;
	int err;

	for (; s != NULL && count < max; s = s->next_own, count++) {
		options = subscription_options_of(s);
		err = each(arg, write_filter(text, s), &options);
		if (err != 0)
			return err;
	}
	return (int)count;
}

int
subscription_tree_list(struct subscription_tree *tree,
    struct subscriber *subscriber, struct slice after, size_t max,
    subscription_each each, void *arg)
{
	struct filter_text *text;
	struct subscription *s;
	int result;

	text = malloc(sizeof(*text));
	if (text == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&tree->mutex);
	rcu_enter();
	s = after.len == 0 ? NULL : subscription_find(tree, after, subscriber);
	if (after.len != 0 && s == NULL)
		result = -ENOENT;
	else
		result = list_from(s == NULL ? subscriber->first : s->next_own,
		    max, text, each, arg);
	rcu_leave();
	pthread_mutex_unlock(&tree->mutex);
	free(text);
	return result;
}
