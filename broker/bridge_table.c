/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/bridge_table.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/bug.h"
#include "common/conf/conf.h"
#include "common/msg/topic.h"

struct filter {
	char *text; /* local_prefix and filter */
	struct slice slice;
	unsigned bridge;
};

struct bridge_table {
	char *names[CONF_MAX_BRIDGES];
	unsigned count;
	uint64_t reliable;
	uint64_t rejecting;
	struct filter *filters;
	size_t filter_count;
};

static int
add_filter(
    struct bridge_table *table, unsigned bridge, const struct conf_rule *rule)
{
	struct filter *filter = &table->filters[table->filter_count];
	size_t prefix, length;

	prefix = rule->local_prefix == NULL ? 0 : strlen(rule->local_prefix);
	length = strlen(rule->filter);
	filter->text = malloc(prefix + length + 1);
	if (filter->text == NULL)
		return -ENOMEM;
	if (prefix != 0)
		memcpy(filter->text, rule->local_prefix, prefix);
	memcpy(filter->text + prefix, rule->filter, length + 1);
	filter->slice = slice_of(filter->text, prefix + length);
	filter->bridge = bridge;
	table->filter_count++;
	return 0;
}

static int
add_bridge(struct bridge_table *table, const struct conf_bridge *bridge)
{
	unsigned number = table->count;
	uint64_t bit = UINT64_C(1) << number;
	int err;

	table->names[number] = strdup(bridge->name);
	if (table->names[number] == NULL)
		return -ENOMEM;
	table->count++;

	if (bridge->overflow == CONF_OVERFLOW_STALL ||
	    bridge->overflow == CONF_OVERFLOW_REJECT)
		table->reliable |= bit;
	if (bridge->overflow == CONF_OVERFLOW_REJECT)
		table->rejecting |= bit;

	for (size_t i = 0; i < bridge->forward_count; i++) {
		err = add_filter(table, number, &bridge->forward[i]);
		if (err != 0)
			return err;
	}
	return 0;
}

struct bridge_table *
bridge_table_new(const struct conf *conf)
{
	struct bridge_table *table;
	size_t filters = 0;

	BUG_ON(conf->bridge_count > CONF_MAX_BRIDGES);
	for (size_t i = 0; i < conf->bridge_count; i++)
		filters += conf->bridges[i].forward_count;

	table = calloc(1, sizeof(*table));
	if (table == NULL)
		return NULL;
	table->filters = calloc(filters + 1, sizeof(*table->filters));
	if (table->filters == NULL)
		goto fail;
	for (size_t i = 0; i < conf->bridge_count; i++) {
		if (add_bridge(table, &conf->bridges[i]) != 0)
			goto fail;
	}
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
	for (size_t i = 0; i < table->filter_count; i++)
		free(table->filters[i].text);
	for (unsigned i = 0; i < table->count; i++)
		free(table->names[i]);
	free(table->filters);
	free(table);
}

uint64_t
bridge_table_match(const struct bridge_table *table, struct slice topic)
{
	uint64_t bit, bridges = 0;

	for (size_t i = 0; i < table->filter_count; i++) {
		bit = UINT64_C(1) << table->filters[i].bridge;
		if ((bridges & bit) == 0 &&
		    topic_matches(table->filters[i].slice, topic))
			bridges |= bit;
	}
	return bridges;
}

unsigned
bridge_table_count(const struct bridge_table *table)
{
	return table->count;
}

uint64_t
bridge_table_reliable(const struct bridge_table *table, uint64_t bridges)
{
	return bridges & table->reliable;
}

uint64_t
bridge_table_rejecting(const struct bridge_table *table, uint64_t bridges)
{
	return bridges & table->rejecting;
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
	if (index >= table->filter_count)
		return -1;
	*out_filter = table->filters[index].slice;
	return (int)table->filters[index].bridge;
}
