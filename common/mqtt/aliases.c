/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/aliases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"

struct alias_out {
	uint16_t next;  /* in the chain of its hash */
	uint16_t newer; /* by use */
	uint16_t older;
	uint16_t len;
	uint8_t topic[ALIASES_LONGEST];
};

static struct alias_out *
at(const struct aliases_out *aliases, uint16_t alias)
{
	return &aliases->list[alias - 1];
}

static uint16_t *
head_of(const struct aliases_out *aliases, struct slice topic)
{
	return &aliases
		    ->heads[slice_hash(topic, 0) & (aliases->head_count - 1)];
}

int
aliases_out_init(struct aliases_out *aliases, uint16_t size)
{
	uint32_t heads = 1;

	*aliases = (struct aliases_out){ .size = size };
	if (size == 0)
		return 0;
	while (heads < 2u * size)
		heads *= 2;
	aliases->head_count = heads;
	aliases->list = calloc(size, sizeof(*aliases->list));
	aliases->heads = calloc(heads, sizeof(*aliases->heads));
	if (aliases->list == NULL || aliases->heads == NULL) {
		aliases_out_fini(aliases);
		return -ENOMEM;
	}
	return 0;
}

void
aliases_out_fini(struct aliases_out *aliases)
{
	free(aliases->list);
	free(aliases->heads);
	*aliases = (struct aliases_out){ 0 };
}

void
aliases_out_reset(struct aliases_out *aliases, uint16_t most)
{
	aliases->most = most < aliases->size ? most : aliases->size;
	aliases->count = 0;
	aliases->newest = 0;
	aliases->oldest = 0;
	if (aliases->head_count != 0)
		memset(aliases->heads, 0,
		    aliases->head_count * sizeof(*aliases->heads));
}

uint16_t
aliases_find(const struct aliases_out *aliases, struct slice topic)
{
	uint16_t alias;

	if (aliases->count == 0)
		return 0;
	for (alias = *head_of(aliases, topic); alias != 0;
	     alias = at(aliases, alias)->next)
		if (slice_equal(topic,
			slice_of(at(aliases, alias)->topic,
			    at(aliases, alias)->len)))
			break;
	return alias;
}

uint16_t
aliases_next(const struct aliases_out *aliases, struct slice topic)
{
	if (topic.len < ALIASES_SHORTEST || topic.len > ALIASES_LONGEST)
		return 0;
	return aliases->count < aliases->most ? aliases->count + 1
					      : aliases->oldest;
}

/* Out of the order of use. */
static void
unlink_use(struct aliases_out *aliases, uint16_t alias)
{
	struct alias_out *entry = at(aliases, alias);

	if (entry->newer != 0)
		at(aliases, entry->newer)->older = entry->older;
	else
		aliases->newest = entry->older;
	if (entry->older != 0)
		at(aliases, entry->older)->newer = entry->newer;
	else
		aliases->oldest = entry->newer;
}

static void
link_newest(struct aliases_out *aliases, uint16_t alias)
{
	struct alias_out *entry = at(aliases, alias);

	entry->newer = 0;
	entry->older = aliases->newest;
	if (aliases->newest != 0)
		at(aliases, aliases->newest)->newer = alias;
	else
		aliases->oldest = alias;
	aliases->newest = alias;
}

/* Out of the chain of what it stood for. */
static void
unlink_topic(struct aliases_out *aliases, uint16_t alias)
{
	struct alias_out *entry = at(aliases, alias);
	uint16_t *link = head_of(aliases, slice_of(entry->topic, entry->len));

	while (*link != alias)
		link = &at(aliases, *link)->next;
	*link = entry->next;
}

static void
link_topic(struct aliases_out *aliases, uint16_t alias, struct slice topic)
{
	struct alias_out *entry = at(aliases, alias);
	uint16_t *head = head_of(aliases, topic);

	memcpy(entry->topic, topic.data, topic.len);
	entry->len = (uint16_t)topic.len;
	entry->next = *head;
	*head = alias;
}

void
aliases_used(struct aliases_out *aliases, uint16_t alias, struct slice topic)
{
	BUG_ON(alias == 0 || alias > aliases->most ||
	    topic.len > ALIASES_LONGEST || alias > aliases->count + 1);
	if (alias > aliases->count) {
		aliases->count++;
		link_topic(aliases, alias, topic);
		link_newest(aliases, alias);
		return;
	}
	if (!slice_equal(topic,
		slice_of(at(aliases, alias)->topic, at(aliases, alias)->len))) {
		unlink_topic(aliases, alias);
		link_topic(aliases, alias, topic);
	}
	if (aliases->newest != alias) {
		unlink_use(aliases, alias);
		link_newest(aliases, alias);
	}
}

int
aliases_in_init(struct aliases_in *aliases, uint16_t size)
{
	*aliases = (struct aliases_in){ .size = size };
	if (size == 0)
		return 0;
	aliases->list = calloc(size, sizeof(*aliases->list));
	return aliases->list == NULL ? -ENOMEM : 0;
}

void
aliases_in_fini(struct aliases_in *aliases)
{
	for (size_t i = 0; aliases->list != NULL && i < aliases->size; i++)
		free(aliases->list[i].topic);
	free(aliases->list);
	*aliases = (struct aliases_in){ 0 };
}

void
aliases_in_reset(struct aliases_in *aliases)
{
	for (size_t i = 0; i < aliases->size; i++)
		aliases->list[i].len = 0;
}

int
aliases_keep(struct aliases_in *aliases, uint16_t alias, struct slice topic)
{
	struct alias_in *entry;
	uint8_t *longer;

	if (alias == 0 || alias > aliases->size)
		return -ERANGE;
	entry = &aliases->list[alias - 1];
	if (topic.len > entry->size) {
		longer = realloc(entry->topic, topic.len);
		if (longer == NULL)
			return -ENOMEM;
		entry->topic = longer;
		entry->size = topic.len;
	}
	if (topic.len != 0)
		memcpy(entry->topic, topic.data, topic.len);
	entry->len = topic.len;
	return 0;
}

struct slice
aliases_topic(const struct aliases_in *aliases, uint16_t alias)
{
	if (alias == 0 || alias > aliases->size)
		return slice_of(NULL, 0);
	return slice_of(
	    aliases->list[alias - 1].topic, aliases->list[alias - 1].len);
}
