/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"

struct lane_filter {
	size_t bridge; /* index into names */
	size_t len;
	char *bytes;
};

/* One list of filters, and whose they are. */
struct lane_filters {
	char names[LANE_MAX_BRIDGES][RING_NAME_MAX]; /* in byte order */
	size_t name_count;
	struct lane_filter *filters;
	size_t count;
	size_t size;
};

struct lane_slot {
	char set[RING_NAME_MAX];
	enum lane_state state;
	uint32_t lane;
};

struct lane_table {
	lane_match_fn *match;
	char self[RING_NAME_MAX];
	struct lane_filters now;
	struct lane_filters next;
	int error; /* of the list being collected */
	struct lane_slot slots[RING_LANES];
	size_t slot_count;
	bool is_shared;           /* sets without a slot have used "*" */
	char text[RING_NAME_MAX]; /* the set chosen last */
};

static void
filters_clear(struct lane_filters *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->filters[i].bytes);
	free(list->filters);
	memset(list, 0, sizeof(*list));
}

struct lane_table *
lane_table_new(lane_match_fn *match, const char *self)
{
	struct lane_table *table;

	table = calloc(1, sizeof(*table));
	if (table == NULL)
		return NULL;
	table->match = match;
	if (self != NULL)
		strncpy(table->self, self, sizeof(table->self) - 1);
	return table;
}

void
lane_table_free(struct lane_table *table)
{
	if (table == NULL)
		return;
	filters_clear(&table->now);
	filters_clear(&table->next);
	free(table);
}

void
lane_table_reset(struct lane_table *table)
{
	table->slot_count = 0;
	table->is_shared = false;
}

void
lane_table_begin(struct lane_table *table)
{
	filters_clear(&table->next);
	table->error = 0;
}

/* The place of a name in the sorted list, adding it; -ENOSPC when full. */
static int
name_index(struct lane_filters *list, const char *name)
{
	size_t at = 0;

	while (at < list->name_count && strcmp(list->names[at], name) < 0)
		at++;
	if (at < list->name_count && strcmp(list->names[at], name) == 0)
		return (int)at;
	if (list->name_count == LANE_MAX_BRIDGES)
		return -ENOSPC;

	memmove(list->names[at + 1], list->names[at],
	    (list->name_count - at) * sizeof(list->names[0]));
	strcpy(list->names[at], name);
	list->name_count++;
	for (size_t i = 0; i < list->count; i++)
		if (list->filters[i].bridge >= at)
			list->filters[i].bridge++;
	return (int)at;
}

static int
filters_grow(struct lane_filters *list)
{
	struct lane_filter *grown;
	size_t size;

	if (list->count < list->size)
		return 0;
	size = list->size == 0 ? 16 : 2 * list->size;
	grown = reallocarray(list->filters, size, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	list->filters = grown;
	list->size = size;
	return 0;
}

static int
filters_add(struct lane_filters *list, const char *bridge, const char *filter,
    size_t filter_len)
{
	char *bytes;
	int err, index;

	if (bridge[0] == '\0' || strlen(bridge) >= RING_NAME_MAX)
		return -EINVAL;
	err = filters_grow(list);
	if (err != 0)
		return err;
	index = name_index(list, bridge);
	if (index < 0)
		return index;
	bytes = malloc(filter_len + 1);
	if (bytes == NULL)
		return -ENOMEM;
	memcpy(bytes, filter, filter_len);
	list->filters[list->count++] = (struct lane_filter){
		.bridge = (size_t)index, .len = filter_len, .bytes = bytes
	};
	return 0;
}

int
lane_table_add(struct lane_table *table, const char *bridge, const char *filter,
    size_t filter_len)
{
	int err;

	if (strcmp(bridge, table->self) == 0 && bridge[0] != '\0')
		return 0;
	err = filters_add(&table->next, bridge, filter, filter_len);
	if (err != 0)
		table->error = err;
	return err;
}

int
lane_table_end(struct lane_table *table)
{
	if (table->error != 0) {
		filters_clear(&table->next);
		return table->error;
	}
	filters_clear(&table->now);
	table->now = table->next;
	memset(&table->next, 0, sizeof(table->next));
	return 0;
}

static struct lane_slot *
slot_find(struct lane_table *table, const char *set)
{
	for (size_t i = 0; i < table->slot_count; i++)
		if (strcmp(table->slots[i].set, set) == 0)
			return &table->slots[i];
	return NULL;
}

/* A slot for a set that has none; the last one is kept for the shared lane. */
static struct lane_slot *
slot_add(struct lane_table *table, const char *set)
{
	struct lane_slot *slot;
	bool is_shared = strcmp(set, LANE_SHARED) == 0;
	size_t limit = RING_LANES - 1;

	if (is_shared || slot_find(table, LANE_SHARED) != NULL)
		limit = RING_LANES;
	if (table->is_shared && !is_shared)
		return NULL;
	if (strlen(set) >= RING_NAME_MAX || table->slot_count >= limit)
		return NULL;
	slot = &table->slots[table->slot_count++];
	memset(slot, 0, sizeof(*slot));
	strcpy(slot->set, set);
	slot->state = LANE_IS_WANTED;
	return slot;
}

void
lane_table_opened(struct lane_table *table, const char *set, uint32_t lane)
{
	struct lane_slot *slot = slot_find(table, set);
	bool is_shared = table->is_shared;

	/* It is open, so its topics go there, whatever others share. */
	table->is_shared = false;
	if (slot == NULL)
		slot = slot_add(table, set);
	table->is_shared = is_shared;
	if (slot == NULL)
		return;
	slot->state = LANE_IS_OPEN;
	slot->lane = lane;
}

void
lane_table_refused(struct lane_table *table, const char *set)
{
	struct lane_slot *slot = slot_find(table, set);

	if (slot == NULL)
		slot = slot_add(table, set);
	if (slot != NULL)
		slot->state = LANE_IS_CLOSED;
}

static uint64_t
matching_bridges(
    const struct lane_table *table, const void *topic, size_t topic_len)
{
	const struct lane_filters *list = &table->now;
	uint64_t bridges = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct lane_filter *filter = &list->filters[i];

		if ((bridges >> filter->bridge & 1) == 0 &&
		    table->match(filter->bytes, filter->len, topic, topic_len))
			bridges |= UINT64_C(1) << filter->bridge;
	}
	return bridges;
}

/* Write the set's name into table->text; "*" when it is too long. */
static void
name_set(struct lane_table *table, uint64_t bridges)
{
	size_t used = 0, len;

	table->text[0] = '\0';
	for (size_t i = 0; i < table->now.name_count; i++) {
		if ((bridges >> i & 1) == 0)
			continue;
		len = strlen(table->now.names[i]);
		if (used + (used != 0) + len >= sizeof(table->text)) {
			strcpy(table->text, LANE_SHARED);
			return;
		}
		if (used != 0)
			table->text[used++] = '+';
		memcpy(table->text + used, table->now.names[i], len + 1);
		used += len;
	}
}

void
lane_table_closing(struct lane_table *table, const char *set)
{
	struct lane_slot *slot = slot_find(table, set);

	if (slot != NULL)
		slot->state = LANE_IS_ASKED;
}

static void
slot_remove(struct lane_table *table, struct lane_slot *slot)
{
	*slot = table->slots[--table->slot_count];
}

void
lane_table_closed(struct lane_table *table, const char *set)
{
	struct lane_slot *slot = slot_find(table, set);

	if (slot != NULL)
		slot_remove(table, slot);
	if (strcmp(set, LANE_SHARED) != 0)
		return;
	table->is_shared = false;
	for (size_t i = table->slot_count; i-- > 0;)
		if (table->slots[i].state == LANE_IS_CLOSED)
			slot_remove(table, &table->slots[i]);
}

bool
lane_table_unshare(struct lane_table *table)
{
	bool was_shared = table->is_shared;

	table->is_shared = false;
	return was_shared;
}

/* The slot of "*", for a set that has none of its own. */
static struct lane_slot *
slot_shared(struct lane_table *table)
{
	struct lane_slot *slot = slot_find(table, LANE_SHARED);

	return slot != NULL ? slot : slot_add(table, LANE_SHARED);
}

void
lane_table_choose(struct lane_table *table, const void *topic, size_t topic_len,
    struct lane_choice *out_choice)
{
	struct lane_slot *slot;

	name_set(table, matching_bridges(table, topic, topic_len));
	slot = slot_find(table, table->text);
	if (slot == NULL)
		slot = slot_add(table, table->text);
	if (slot == NULL)
		table->is_shared = true;
	if (slot == NULL || slot->state == LANE_IS_CLOSED)
		slot = slot_shared(table);

	/* Every shortage leaves a slot for the shared lane. */
	BUG_ON(slot == NULL);
	*out_choice = (struct lane_choice){
		.state = slot->state, .lane = slot->lane, .set = slot->set
	};
	if (slot->state == LANE_IS_WANTED)
		slot->state = LANE_IS_ASKED;
}
