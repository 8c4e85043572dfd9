/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/token_bucket.h"
#include "common/msg/topic.h"
#include "httpd/limits_table.h"

/* Three scopes of messages and bytes, all units of each filter. */
#define CHARGES (6 + LIMITS_FILTERS * LIMITS_UNITS)

/* Of a name: what is left beside ".requests_per_second". */
#define SCOPE_NAME_MAX (LIMITS_NAME_SIZE - 21)

/* What is known of one limit beside its buckets. */
struct limit {
	char name[LIMITS_NAME_SIZE];
	uint64_t refused;
	bool is_set;
};

/* Who or what is limited. */
struct scope {
	struct limit unit[LIMITS_UNITS];
};

struct filter {
	struct scope scope;
	char *name, *filter;
	struct limits_buckets buckets;
};

struct limits {
	struct scope global, account, client;
	struct limits_buckets all;
	struct limits_table accounts, clients;
	struct filter *filters;
	size_t filter_count;
};

/* One bucket that is to be taken from. */
struct charge {
	struct token_bucket *bucket;
	struct limit *limit;
	uint32_t tokens;
};

/* All of one call. */
struct bill {
	unsigned count;
	struct charge charge[CHARGES];
};

/* conf_memory.c counts them so; it cannot look here. */
_Static_assert(2 * sizeof(struct limits_table) <= 1u << 20, "tables grew");

static void
name_scope(
    struct scope *scope, const char *name, const struct limits_rates *rates)
{
	static const char *const units[LIMITS_UNITS] = {
		[LIMITS_REQUESTS] = "requests_per_second",
		[LIMITS_MESSAGES] = "per_second",
		[LIMITS_BYTES] = "bytes_per_second",
	};

	for (int unit = 0; unit < LIMITS_UNITS; unit++) {
		snprintf(scope->unit[unit].name, LIMITS_NAME_SIZE, "%.*s.%s",
		    SCOPE_NAME_MAX, name, units[unit]);
		scope->unit[unit].is_set = rates->unit[unit].per_second != 0;
	}
}

static void
free_filters(struct filter *filters, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(filters[i].name);
		free(filters[i].filter);
	}
	free(filters);
}

static const struct filter *
find_filter(const struct limits *limits, const char *name)
{
	for (size_t i = 0; i < limits->filter_count; i++)
		if (strcmp(limits->filters[i].name, name) == 0)
			return &limits->filters[i];
	return NULL;
}

/* The new list, with what the old one of that name holds. */
static int
make_filters(const struct limits *limits, const struct limits_config *config,
    uint64_t now_ns, struct filter **out)
{
	const struct limits_filter *from;
	const struct filter *old;
	struct filter *filters, *to;
	char name[LIMITS_NAME_SIZE];

	*out = NULL;
	if (config->filter_count == 0)
		return 0;
	filters = calloc(config->filter_count, sizeof(*filters));
	if (filters == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < config->filter_count; i++) {
		from = &config->filters[i];
		to = &filters[i];
		old = find_filter(limits, from->name);
		if (old != NULL)
			*to = *old;
		to->name = strdup(from->name);
		to->filter = strdup(from->filter);
		if (to->name == NULL || to->filter == NULL) {
			free_filters(filters, i + 1);
			return -ENOMEM;
		}
		snprintf(
		    name, sizeof(name), "http.rate_per_filter.%s", from->name);
		name_scope(&to->scope, name, &from->rates);
		limits_buckets_change(&to->buckets, &from->rates, now_ns);
	}
	*out = filters;
	return 0;
}

int
limits_change(
    struct limits *limits, const struct limits_config *config, uint64_t now_ns)
{
	struct filter *filters;
	int err;

	BUG_ON(config->filter_count > LIMITS_FILTERS);
	err = make_filters(limits, config, now_ns, &filters);
	if (err != 0)
		return err;
	free_filters(limits->filters, limits->filter_count);
	limits->filters = filters;
	limits->filter_count = config->filter_count;

	name_scope(&limits->global, "http.rate", &config->global);
	name_scope(
	    &limits->account, "http.rate_per_account", &config->per_account);
	name_scope(
	    &limits->client, "http.rate_per_client", &config->per_client);
	limits_buckets_change(&limits->all, &config->global, now_ns);
	limits_table_change(&limits->accounts, &config->per_account, now_ns);
	limits_table_change(&limits->clients, &config->per_client, now_ns);
	return 0;
}

struct limits *
limits_new(const struct limits_config *config, uint64_t seed, uint64_t now_ns)
{
	struct limits *limits;

	limits = calloc(1, sizeof(*limits));
	if (limits == NULL)
		return NULL;
	limits->accounts.seed = limits->clients.seed = seed;
	if (limits_change(limits, config, now_ns) != 0) {
		free(limits);
		return NULL;
	}
	return limits;
}

void
limits_free(struct limits *limits)
{
	if (limits == NULL)
		return;
	free_filters(limits->filters, limits->filter_count);
	free(limits);
}

static void
add(struct bill *bill, struct scope *scope, struct limits_buckets *buckets,
    enum limits_unit unit, uint32_t tokens)
{
	if (scope->unit[unit].is_set)
		bill->charge[bill->count++] =
		    (struct charge){ .bucket = &buckets->unit[unit],
			    .limit = &scope->unit[unit],
			    .tokens = tokens };
}

static bool
is_limited(const struct scope *scope)
{
	return scope->unit[LIMITS_MESSAGES].is_set ||
	    scope->unit[LIMITS_BYTES].is_set;
}

/* Take all of it, or nothing: the longest wait names the limit. */
static bool
pay(struct bill *bill, uint64_t now_ns, struct limits_refusal *out)
{
	struct limit *blocking = NULL;
	uint64_t longest_ns = 0, wait_ns;
	struct charge *charge;

	for (unsigned i = 0; i < bill->count; i++) {
		charge = &bill->charge[i];
		wait_ns =
		    token_bucket_wait(charge->bucket, charge->tokens, now_ns);
		if (wait_ns <= longest_ns)
			continue;
		longest_ns = wait_ns;
		blocking = charge->limit;
	}
	if (blocking != NULL) {
		blocking->refused++;
		*out = (struct limits_refusal){ .limit = blocking->name,
			.wait_ns = longest_ns };
		return false;
	}
	for (unsigned i = 0; i < bill->count; i++) {
		charge = &bill->charge[i];
		token_bucket_take(charge->bucket, charge->tokens, now_ns);
	}
	return true;
}

static void
add_request(
    struct limits *limits, struct bill *bill, uint64_t client, uint64_t now_ns)
{
	if (limits->client.unit[LIMITS_REQUESTS].is_set)
		add(bill, &limits->client,
		    limits_table_find(&limits->clients, client, now_ns),
		    LIMITS_REQUESTS, 1);
	add(bill, &limits->global, &limits->all, LIMITS_REQUESTS, 1);
}

bool
limits_take_request(struct limits *limits, uint64_t client, uint64_t now_ns,
    struct limits_refusal *out)
{
	struct bill bill;

	bill.count = 0;
	add_request(limits, &bill, client, now_ns);
	return pay(&bill, now_ns, out);
}

bool
limits_take_account_request(struct limits *limits, const struct limits_who *who,
    uint64_t now_ns, struct limits_refusal *out)
{
	struct bill bill;

	if (!limits->account.unit[LIMITS_REQUESTS].is_set)
		return true;
	bill.count = 0;
	add(&bill, &limits->account,
	    limits_table_find(&limits->accounts, who->account, now_ns),
	    LIMITS_REQUESTS, 1);
	if (pay(&bill, now_ns, out))
		return true;

	bill.count = 0;
	add_request(limits, &bill, who->client, now_ns);
	for (unsigned i = 0; i < bill.count; i++)
		token_bucket_give(bill.charge[i].bucket, 1);
	return false;
}

static void
add_message(struct bill *bill, struct scope *scope,
    struct limits_buckets *buckets, uint32_t bytes)
{
	add(bill, scope, buckets, LIMITS_MESSAGES, 1);
	add(bill, scope, buckets, LIMITS_BYTES, bytes);
}

/* Returns the filters whose request is in the bill. */
static uint64_t
add_filters(struct limits *limits, struct bill *bill, struct slice topic,
    uint32_t bytes, uint64_t requested)
{
	struct filter *filter;
	uint64_t asked = 0, bit;

	for (size_t i = 0; i < limits->filter_count; i++) {
		filter = &limits->filters[i];
		bit = UINT64_C(1) << i;
		if (!topic_matches(slice_of_string(filter->filter), topic))
			continue;
		add_message(bill, &filter->scope, &filter->buckets, bytes);
		if ((requested & bit) != 0)
			continue;
		add(bill, &filter->scope, &filter->buckets, LIMITS_REQUESTS, 1);
		asked |= bit;
	}
	return asked;
}

bool
limits_take_message(struct limits *limits, const struct limits_who *who,
    struct slice topic, uint32_t bytes, uint64_t *requested, uint64_t now_ns,
    struct limits_refusal *out)
{
	struct bill bill;
	uint64_t asked;

	bill.count = 0;
	if (is_limited(&limits->client))
		add_message(&bill, &limits->client,
		    limits_table_find(&limits->clients, who->client, now_ns),
		    bytes);
	if (is_limited(&limits->account))
		add_message(&bill, &limits->account,
		    limits_table_find(&limits->accounts, who->account, now_ns),
		    bytes);
	add_message(&bill, &limits->global, &limits->all, bytes);
	asked = add_filters(limits, &bill, topic, bytes, *requested);
	if (!pay(&bill, now_ns, out))
		return false;
	*requested |= asked;
	return true;
}

uint32_t
limits_retry_after_s(const struct limits_refusal *refusal)
{
	uint64_t wait_ns = refusal->wait_ns;

	return (uint32_t)(wait_ns / CLOCK_SECOND_NS +
	    (wait_ns % CLOCK_SECOND_NS != 0));
}

static void
each_of(const struct scope *scope,
    void (*each)(void *context, const char *limit, uint64_t refused),
    void *context)
{
	for (int unit = 0; unit < LIMITS_UNITS; unit++)
		if (scope->unit[unit].is_set)
			each(context, scope->unit[unit].name,
			    scope->unit[unit].refused);
}

void
limits_each(const struct limits *limits,
    void (*each)(void *context, const char *limit, uint64_t refused),
    void *context)
{
	each_of(&limits->global, each, context);
	each_of(&limits->account, each, context);
	each_of(&limits->client, each, context);
	for (size_t i = 0; i < limits->filter_count; i++)
		each_of(&limits->filters[i].scope, each, context);
}
