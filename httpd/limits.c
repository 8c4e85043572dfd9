/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/limits.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/base/token_bucket.h"

#define WAYS 8u
#define SETS 512u

struct keyed_bucket {
	uint64_t key;
	bool used;
	struct token_bucket bucket;
};

struct table {
	struct limits_rate rate;
	struct keyed_bucket bucket[SETS * WAYS];
};

struct limits {
	struct limits_rate rate;
	struct token_bucket global;
	struct table accounts;
	struct table clients;
};

static void
configure_table(struct table *table, struct limits_rate rate)
{
	table->rate = rate;
	for (unsigned i = 0; i < SETS * WAYS; i++)
		table->bucket[i].used = false;
}

static void
configure(
    struct limits *limits, const struct limits_config *config, uint64_t now_ns)
{
	limits->rate = config->global;
	if (config->global.per_second != 0)
		token_bucket_init(&limits->global, config->global.per_second,
		    config->global.burst, now_ns);
	configure_table(&limits->accounts, config->per_account);
	configure_table(&limits->clients, config->per_client);
}

struct limits *
limits_new(const struct limits_config *config, uint64_t now_ns)
{
	struct limits *limits;

	limits = calloc(1, sizeof(*limits));
	if (limits != NULL)
		configure(limits, config, now_ns);
	return limits;
}

void
limits_free(struct limits *limits)
{
	free(limits);
}

/* How full a bucket is by now, without touching it. */
static uint64_t
level_now(const struct keyed_bucket *entry, uint64_t now_ns)
{
	struct token_bucket copy = entry->bucket;

	token_bucket_take(&copy, 0, now_ns);
	return copy.level;
}

static struct token_bucket *
find(struct table *table, uint64_t key, uint64_t now_ns)
{
	struct keyed_bucket *set, *victim = NULL;

	set = &table->bucket[(key % SETS) * WAYS];
	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].used && set[i].key == key)
			return &set[i].bucket;

	for (unsigned i = 0; i < WAYS; i++) {
		if (!set[i].used) {
			victim = &set[i];
			break;
		}
		if (victim == NULL ||
		    level_now(&set[i], now_ns) > level_now(victim, now_ns))
			victim = &set[i];
	}
	victim->used = true;
	victim->key = key;
	token_bucket_init(
	    &victim->bucket, table->rate.per_second, table->rate.burst, now_ns);
	return &victim->bucket;
}

/* Take from one bucket, if it limits at all; remembers how to undo it. */
static uint64_t
take(struct token_bucket *bucket, struct token_bucket *saved, uint32_t messages,
    uint64_t now_ns)
{
	if (bucket == NULL)
		return 0;
	*saved = *bucket;
	return token_bucket_take(bucket, messages, now_ns);
}

static void
undo(struct token_bucket *bucket, const struct token_bucket *saved)
{
	if (bucket != NULL)
		*bucket = *saved;
}

static struct token_bucket *
find_if_limited(struct table *table, uint64_t key, uint64_t now_ns)
{
	if (table->rate.per_second == 0)
		return NULL;
	return find(table, key, now_ns);
}

enum limits_verdict
limits_take(struct limits *limits, uint64_t account, uint64_t client,
    uint32_t messages, uint64_t now_ns, uint64_t *out_wait_ns)
{
	struct token_bucket *buckets[3], saved[3];
	static const enum limits_verdict names[3] = { LIMITS_CLIENT,
		LIMITS_ACCOUNT, LIMITS_GLOBAL };
	uint64_t wait_ns;

	buckets[0] = find_if_limited(&limits->clients, client, now_ns);
	buckets[1] = find_if_limited(&limits->accounts, account, now_ns);
	buckets[2] = limits->rate.per_second == 0 ? NULL : &limits->global;

	for (int i = 0; i < 3; i++) {
		wait_ns = take(buckets[i], &saved[i], messages, now_ns);
		if (wait_ns == 0)
			continue;
		for (int taken = 0; taken < i; taken++)
			undo(buckets[taken], &saved[taken]);
		*out_wait_ns = wait_ns;
		return names[i];
	}
	return LIMITS_PASS;
}

const char *
limits_name(enum limits_verdict verdict)
{
	switch (verdict) {
	case LIMITS_PASS:
		return "none";
	case LIMITS_GLOBAL:
		return "http.rate";
	case LIMITS_ACCOUNT:
		return "http.rate_per_account";
	case LIMITS_CLIENT:
		return "http.rate_per_client";
	}
	return "none";
}
