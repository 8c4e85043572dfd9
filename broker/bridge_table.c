/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/bridge_table.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/mailbox.h"
#include "broker/rcu.h"
#include "common/base/bug.h"
#include "common/conf/conf.h"
#include "common/mqtt/trail.h"
#include "common/msg/topic.h"

struct filter {
	char *text; /* local_prefix and filter */
	struct slice slice;
	unsigned bridge;
};

/* Replaced as a whole; readers keep the old ones until they leave RCU. */
struct filters {
	struct rcu_head rcu;
	size_t count;
	struct filter list[];
};

struct bridge_table {
	char *names[CONF_MAX_BRIDGES];
	unsigned count;
	_Atomic uint64_t reliable;          /* by the links thread */
	_Atomic uint64_t rejecting;         /* likewise */
	uint64_t cursors[CONF_MAX_BRIDGES]; /* [const] while threads run */
	_Atomic(struct filters *) filters;  /* [rcu], written by one thread */
	_Atomic uint64_t remotes[CONF_MAX_BRIDGES][2]; /* by the links thread */
};

static void
filters_free(struct filters *filters)
{
	if (filters == NULL)
		return;
	for (size_t i = 0; i < filters->count; i++)
		free(filters->list[i].text);
	free(filters);
}

static void
filters_done(struct rcu_head *head)
{
	rcu_called(head);
	filters_free(CONTAINER_OF(head, struct filters, rcu));
}

/* The writer's own look. */
static struct filters *
filters_of(const struct bridge_table *table)
{
	/* relaxed: this thread stored it */
	return atomic_load_explicit(&table->filters, memory_order_relaxed);
}

/* `prefix` and `text` together, as one filter of the bridge. */
static int
add_filter(struct filters *filters, unsigned bridge, const char *prefix,
    const char *text)
{
	struct filter *filter = &filters->list[filters->count];
	size_t before, length;

	before = prefix == NULL ? 0 : strlen(prefix);
	length = strlen(text);
	filter->text = malloc(before + length + 1);
	if (filter->text == NULL)
		return -ENOMEM;
	if (before != 0)
		memcpy(filter->text, prefix, before);
	memcpy(filter->text + before, text, length + 1);
	filter->slice = slice_of(filter->text, before + length);
	filter->bridge = bridge;
	filters->count++;
	return 0;
}

static int
add_rules(
    struct filters *filters, unsigned bridge, const struct conf_bridge *conf)
{
	int err = 0;

	for (size_t i = 0; i < conf->forward_count && err == 0; i++)
		err = add_filter(filters, bridge, conf->forward[i].local_prefix,
		    conf->forward[i].filter);
	return err;
}

/* A bridge that the configuration has no more goes on as it was. */
static int
add_old(struct filters *filters, const struct bridge_table *table,
    const struct conf *conf)
{
	const struct filters *old = filters_of(table);
	int err = 0;

	for (size_t i = 0; old != NULL && i < old->count && err == 0; i++) {
		if (conf_bridge(conf, table->names[old->list[i].bridge]) ==
		    NULL)
			err = add_filter(filters, old->list[i].bridge, NULL,
			    old->list[i].text);
	}
	return err;
}

/* NULL without memory. */
static struct filters *
make_filters(const struct bridge_table *table, const struct conf *conf)
{
	const struct filters *old = filters_of(table);
	size_t most = old == NULL ? 0 : old->count;
	struct filters *filters;
	int bridge, err = 0;

	for (size_t i = 0; i < conf->bridge_count; i++)
		most += conf->bridges[i].forward_count;
	filters = calloc(1, sizeof(*filters) + most * sizeof(struct filter));
	if (filters == NULL)
		return NULL;
	for (size_t i = 0; i < conf->bridge_count && err == 0; i++) {
		bridge = bridge_table_find(
		    table, slice_of_string(conf->bridges[i].name));
		if (bridge != -1)
			err = add_rules(
			    filters, (unsigned)bridge, &conf->bridges[i]);
	}
	if (err == 0)
		err = add_old(filters, table, conf);
	if (err == 0)
		return filters;
	filters_free(filters);
	return NULL;
}

void
bridge_table_set_overflow(
    struct bridge_table *table, unsigned bridge, enum conf_overflow overflow)
{
	BUG_ON(bridge >= table->count);
	bridge_table_put(&table->reliable, bridge,
	    overflow == CONF_OVERFLOW_STALL ||
		overflow == CONF_OVERFLOW_REJECT);
	bridge_table_put(
	    &table->rejecting, bridge, overflow == CONF_OVERFLOW_REJECT);
}

static int
add_bridge(struct bridge_table *table, const struct conf_bridge *bridge)
{
	unsigned number = table->count;

	table->names[number] = strdup(bridge->name);
	if (table->names[number] == NULL)
		return -ENOMEM;
	table->count++;
	bridge_table_set_overflow(table, number, bridge->overflow);
	return 0;
}

int
bridge_table_replace(struct bridge_table *table, const struct conf *conf)
{
	struct filters *old = filters_of(table), *fresh;

	fresh = make_filters(table, conf);
	if (fresh == NULL)
		return -ENOMEM;
	/* release: pairs with the load in bridge_table_match() */
	atomic_store_explicit(&table->filters, fresh, memory_order_release);
	if (old != NULL)
		rcu_call(&old->rcu, filters_done);
	return 0;
}

struct bridge_table *
bridge_table_new(const struct conf *conf)
{
	struct bridge_table *table;

	BUG_ON(conf->bridge_count > CONF_MAX_BRIDGES);
	table = calloc(1, sizeof(*table));
	if (table == NULL)
		return NULL;
	for (size_t i = 0; i < conf->bridge_count; i++) {
		if (add_bridge(table, &conf->bridges[i]) != 0)
			goto fail;
	}
	if (bridge_table_replace(table, conf) != 0)
		goto fail;
	return table;

fail:
	bridge_table_free(table);
	errno = ENOMEM;
	return NULL;
}

void
bridge_table_free(struct bridge_table *table)
{
	if (table == NULL)
		return;
	filters_free(filters_of(table));
	for (unsigned i = 0; i < table->count; i++)
		free(table->names[i]);
	free(table);
}

static uint64_t
match(const struct filters *filters, struct slice topic)
{
	uint64_t bit, bridges = 0;

	for (size_t i = 0; i < filters->count; i++) {
		bit = UINT64_C(1) << filters->list[i].bridge;
		if ((bridges & bit) == 0 &&
		    topic_matches(filters->list[i].slice, topic))
			bridges |= bit;
	}
	return bridges;
}

uint64_t
bridge_table_match(const struct bridge_table *table, struct slice topic)
{
	uint64_t bridges;

	rcu_enter();
	/* acquire: pairs with the store in bridge_table_replace() */
	bridges = match(
	    atomic_load_explicit(&table->filters, memory_order_acquire), topic);
	rcu_leave();
	return bridges;
}

void
bridge_table_set_remote(
    struct bridge_table *table, unsigned bridge, const uint64_t id[2])
{
	/* relaxed: half of an old and half of a new one is nobody's */
	for (unsigned i = 0; i < 2; i++)
		atomic_store_explicit(
		    &table->remotes[bridge][i], id[i], memory_order_relaxed);
}

uint64_t
bridge_table_unseen(
    const struct bridge_table *table, uint64_t bridges, struct slice properties)
{
	uint64_t id[2], unseen = bridges;
	unsigned bridge;

	if (properties.len == 0)
		return bridges;
	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		/* relaxed: as in bridge_table_set_remote() */
		for (unsigned i = 0; i < 2; i++)
			id[i] = atomic_load_explicit(
			    &table->remotes[bridge][i], memory_order_relaxed);
		if (trail_has(properties, id))
			unseen &= ~(UINT64_C(1) << bridge);
	}
	return unseen;
}

unsigned
bridge_table_count(const struct bridge_table *table)
{
	return table->count;
}

uint64_t
bridge_table_reliable(const struct bridge_table *table, uint64_t bridges)
{
	return bridges &
	    atomic_load_explicit(&table->reliable, memory_order_relaxed);
}

uint64_t
bridge_table_rejecting(const struct bridge_table *table, uint64_t bridges)
{
	return bridges &
	    atomic_load_explicit(&table->rejecting, memory_order_relaxed);
}

const _Atomic uint64_t *
bridge_table_rejecting_set(const struct bridge_table *table)
{
	return &table->rejecting;
}

uint64_t
bridge_table_cursor(const struct bridge_table *table, unsigned bridge)
{
	BUG_ON(bridge >= table->count);
	return table->cursors[bridge];
}

void
bridge_table_set_cursor(
    struct bridge_table *table, unsigned bridge, uint64_t cursor)
{
	BUG_ON(bridge >= table->count);
	table->cursors[bridge] = cursor;
}

int
bridge_table_find(const struct bridge_table *table, struct slice name)
{
	for (unsigned i = 0; i < table->count; i++) {
		if (slice_equal_string(name, table->names[i]))
			return (int)i;
	}
	return -1;
}

const char *
bridge_table_name(const struct bridge_table *table, unsigned bridge)
{
	BUG_ON(bridge >= table->count);
	return table->names[bridge];
}

int
bridge_table_filter(
    const struct bridge_table *table, size_t index, struct slice *out_filter)
{
	const struct filters *filters = filters_of(table);

	if (index >= filters->count)
		return -1;
	*out_filter = filters->list[index].slice;
	return (int)filters->list[index].bridge;
}
