/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/limits_table.h"

/* A level as a fraction, for comparisons. */
#define FULL (UINT64_C(1) << 16)

void
limits_buckets_change(struct limits_buckets *buckets,
    const struct limits_rates *rates, uint64_t now_ns)
{
	const struct limits_rate *rate;

	for (int unit = 0; unit < LIMITS_UNITS; unit++) {
		rate = &rates->unit[unit];
		if (rate->per_second == 0)
			buckets->unit[unit] = (struct token_bucket){ 0 };
		else
			token_bucket_change(&buckets->unit[unit],
			    rate->per_second, rate->burst, now_ns);
	}
}

void
limits_table_change(struct limits_table *table,
    const struct limits_rates *rates, uint64_t now_ns)
{
	table->rates = *rates;
	for (unsigned i = 0; i < LIMITS_SETS * LIMITS_WAYS; i++)
		if (table->entry[i].is_used)
			limits_buckets_change(
			    &table->entry[i].buckets, rates, now_ns);
}

/* How full the emptiest of its buckets is by now; FULL: nothing is missing. */
static uint64_t
fullness(const struct limits_entry *entry, uint64_t now_ns)
{
	uint64_t least = FULL, part;
	struct token_bucket bucket;

	for (int unit = 0; unit < LIMITS_UNITS; unit++) {
		bucket = entry->buckets.unit[unit];
		if (bucket.rate == 0)
			continue;
		token_bucket_wait(&bucket, 0, now_ns);
		part = bucket.level == bucket.capacity
		    ? FULL
		    : bucket.level / (bucket.capacity / FULL);
		if (part < least)
			least = part;
	}
	return least;
}

/* splitmix64's finish: every bit of the key reaches every other. */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static struct limits_entry *
take_place(struct limits_table *table, struct limits_entry *set, uint64_t key,
    uint64_t now_ns)
{
	struct limits_entry *best = NULL;
	uint64_t best_part = 0, part;

	for (unsigned i = 0; i < LIMITS_WAYS; i++) {
		if (!set[i].is_used) {
			best = &set[i];
			limits_buckets_change(
			    &best->buckets, &table->rates, now_ns);
			break;
		}
		part = fullness(&set[i], now_ns);
		if (best == NULL || part > best_part) {
			best = &set[i];
			best_part = part;
		}
	}
	best->is_used = true;
	best->key = key;
	return best;
}

struct limits_buckets *
limits_table_find(struct limits_table *table, uint64_t key, uint64_t now_ns)
{
	struct limits_entry *set;
	uint64_t place = mix(key ^ table->seed) % LIMITS_SETS;

	set = &table->entry[place * LIMITS_WAYS];
	for (unsigned i = 0; i < LIMITS_WAYS; i++)
		if (set[i].is_used && set[i].key == key)
			return &set[i].buckets;
	return &take_place(table, set, key, now_ns)->buckets;
}
