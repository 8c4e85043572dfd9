/* SPDX-License-Identifier: Apache-2.0 */

/*
 * limits_table - token buckets by key, in memory of a fixed size; private to
 * limits.c.
 *
 * The table has sets of LIMITS_WAYS entries.  A new key takes the place of the
 * fullest entry of its set, and goes on with what is left in that: a full
 * entry holds no memory of its owner, so nothing is lost where places
 * suffice, and where they do not, whoever comes with ever new keys gets no new
 * burst by it.  A set never lets pass more than LIMITS_WAYS keys would.
 *
 * Where keys fall is mixed with a random seed, so nobody can choose to meet a
 * certain other key in its set.  One thread.
 */

#ifndef WEIR_HTTPD_LIMITS_TABLE_H
#define WEIR_HTTPD_LIMITS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/token_bucket.h"
#include "httpd/limits.h"

#define LIMITS_WAYS 8u
#define LIMITS_SETS 512u /* a power of two */

/* The buckets of one key; those of units without a limit are zeroed. */
struct limits_buckets {
	struct token_bucket unit[LIMITS_UNITS];
};

struct limits_entry {
	uint64_t key;
	bool is_used;
	struct limits_buckets buckets;
};

struct limits_table {
	struct limits_rates rates;
	uint64_t seed;
	struct limits_entry entry[LIMITS_SETS * LIMITS_WAYS];
};

/* The rates from now on; what is in the buckets stays. */
void limits_table_change(struct limits_table *table,
    const struct limits_rates *rates, uint64_t now_ns);

/* The buckets of a key, for the moment. */
struct limits_buckets *limits_table_find(
    struct limits_table *table, uint64_t key, uint64_t now_ns);

/* Other rates for one set of buckets; what is in them stays. */
void limits_buckets_change(struct limits_buckets *buckets,
    const struct limits_rates *rates, uint64_t now_ns);

#endif
