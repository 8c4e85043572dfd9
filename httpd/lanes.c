/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/lanes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/msg/topic.h"
#include "common/ring/lane.h"

/* Topics seen lately: a direct-mapped cache of their slots. */
#define CACHE_SIZE 512u
#define CACHE_TOPIC_MAX 88u

struct cached {
	uint32_t slot;
	uint32_t length; /* 0: empty */
	char topic[CACHE_TOPIC_MAX];
};

struct lanes {
	uint64_t seed;
	struct lane_table *table;
	int error; /* of the list that is being read */
	struct lanes_slot slot[LANES_MAX];
	uint32_t count;
	lanes_is_used_fn *is_used;
	void *context; /* its argument */
	struct cached cache[CACHE_SIZE];
};

static bool
match(
    const void *filter, size_t filter_len, const void *topic, size_t topic_len)
{
	return topic_matches(
	    slice_of(filter, filter_len), slice_of(topic, topic_len));
}

struct lanes *
lanes_new(uint64_t seed)
{
	struct lanes *lanes;

	lanes = calloc(1, sizeof(*lanes));
	if (lanes == NULL)
		return NULL;
	lanes->table = lane_table_new(match, NULL);
	if (lanes->table == NULL) {
		free(lanes);
		return NULL;
	}
	lanes->seed = seed;
	lanes->count = 2;
	snprintf(lanes->slot[LANES_SHARED].set, RING_NAME_MAX, LANE_SHARED);
	return lanes;
}

void
lanes_free(struct lanes *lanes)
{
	if (lanes == NULL)
		return;
	lane_table_free(lanes->table);
	free(lanes);
}

static void
forget_topics(struct lanes *lanes)
{
	memset(lanes->cache, 0, sizeof(lanes->cache));
}

void
lanes_filters_begin(struct lanes *lanes)
{
	lanes->error = 0;
	lane_table_begin(lanes->table);
}

void
lanes_filters_add(struct lanes *lanes, const char *bridge, struct slice filter)
{
	int err = -EINVAL;

	if (topic_filter_is_valid(filter))
		err = lane_table_add(lanes->table, bridge,
		    (const char *)filter.data, filter.len);
	if (err != 0 && lanes->error == 0)
		lanes->error = err;
}

int
lanes_filters_end(struct lanes *lanes)
{
	int err;

	err = lane_table_end(lanes->table);
	forget_topics(lanes);
	return err != 0 ? err : lanes->error;
}

int
lanes_slot_of(const struct lanes *lanes, const char *set)
{
	for (uint32_t i = 0; i < lanes->count; i++)
		if (strcmp(lanes->slot[i].set, set) == 0)
			return (int)i;
	return -ENOENT;
}

/* One more, or one that no lane and no message is left of. */
static int
slot_free(struct lanes *lanes)
{
	if (lanes->count < LANES_MAX)
		return (int)lanes->count++;
	for (uint32_t i = LANES_SHARED + 1; i < LANES_MAX; i++) {
		if (lanes->slot[i].state != LANES_CLOSED ||
		    lanes->is_used == NULL || lanes->is_used(lanes->context, i))
			continue;
		lanes->slot[i] = (struct lanes_slot){ .state = LANES_CLOSED };
		forget_topics(lanes);
		return (int)i;
	}
	return -ENOSPC;
}

static int
slot_make(struct lanes *lanes, const char *set)
{
	int slot;

	slot = lanes_slot_of(lanes, set);
	if (slot >= 0)
		return slot;
	if (strlen(set) >= RING_NAME_MAX)
		return -ENOSPC;
	slot = slot_free(lanes);
	if (slot >= 0)
		snprintf(lanes->slot[slot].set, RING_NAME_MAX, "%s", set);
	return slot;
}

static uint32_t
choose(struct lanes *lanes, struct slice topic)
{
	struct lane_choice choice;
	int slot;

	lane_table_choose(lanes->table, topic.data, topic.len, &choice);
	slot = slot_make(lanes, choice.set);
	return slot < 0 ? LANES_SHARED : (uint32_t)slot;
}

uint32_t
lanes_find(struct lanes *lanes, struct slice topic)
{
	struct cached *cached;

	if (topic.len > CACHE_TOPIC_MAX)
		return choose(lanes, topic);

	cached = &lanes->cache[slice_hash(topic, lanes->seed) % CACHE_SIZE];
	if (!slice_equal(slice_of(cached->topic, cached->length), topic)) {
		cached->slot = choose(lanes, topic);
		cached->length = (uint32_t)topic.len;
		memcpy(cached->topic, topic.data, topic.len);
	}
	return cached->slot;
}

struct lanes_slot *
lanes_get(struct lanes *lanes, uint32_t slot)
{
	return slot < lanes->count ? &lanes->slot[slot] : NULL;
}

uint32_t
lanes_count(const struct lanes *lanes)
{
	return lanes->count;
}

int
lanes_opened(struct lanes *lanes, const char *set, uint32_t ring_lane)
{
	int slot;

	/* It may be a lane of a former life that nobody asked for yet. */
	slot = slot_make(lanes, set);
	if (slot < 0)
		return slot;
	lane_table_opened(lanes->table, set, ring_lane);
	lanes->slot[slot].state = LANES_OPEN;
	lanes->slot[slot].ring_lane = ring_lane;
	return slot;
}

int
lanes_refused(struct lanes *lanes, const char *set)
{
	int slot;

	slot = lanes_slot_of(lanes, set);
	if (slot < 0)
		return slot;
	lane_table_refused(lanes->table, set);
	lanes->slot[slot].state = LANES_CLOSED;
	forget_topics(lanes);
	return slot;
}

void
lanes_closing(struct lanes *lanes, const char *set)
{
	int slot = lanes_slot_of(lanes, set);

	if (slot >= 0)
		lanes->slot[slot].state = LANES_ASKED;
	lane_table_closing(lanes->table, set);
}

void
lanes_closed(struct lanes *lanes, const char *set)
{
	int slot = lanes_slot_of(lanes, set);

	if (slot >= 0)
		lanes->slot[slot].state = LANES_CLOSED;
	lane_table_closed(lanes->table, set);
	forget_topics(lanes);
}

void
lanes_unshare(struct lanes *lanes)
{
	if (lane_table_unshare(lanes->table))
		forget_topics(lanes);
}

void
lanes_set_is_used(struct lanes *lanes, lanes_is_used_fn *is_used, void *context)
{
	lanes->is_used = is_used;
	lanes->context = context;
}

void
lanes_detached(struct lanes *lanes)
{
	for (uint32_t i = 0; i < lanes->count; i++)
		lanes->slot[i].state = LANES_CLOSED;
	lane_table_reset(lanes->table);
	forget_topics(lanes);
}

void
lanes_holder(const struct lanes_slot *lane, char *out, size_t size)
{
	size_t length;

	if (lane->set[0] == '\0') {
		snprintf(out, size, "weir-broker");
		return;
	}
	if (strcmp(lane->set, "*") == 0) {
		snprintf(out, size, "one of the bridges");
		return;
	}
	length = (size_t)snprintf(
	    out, size, "bridge%s ", strchr(lane->set, '+') == NULL ? "" : "s");
	for (const char *p = lane->set; *p != '\0'; p++) {
		if (length + 3 > size)
			break;
		if (*p == '+')
			out[length++] = ',';
		out[length++] = *p == '+' ? ' ' : *p;
	}
	out[length] = '\0';
}
