/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bridge_table - which bridges want a topic.
 *
 * Any thread that is registered with RCU may ask.  Which bridges there are
 * never changes while threads run; what they do when they have no room, and the
 * filters, as a whole, may be replaced by the links thread.  Bridges are
 * numbered 0..62 by their place in the configuration; a set of bridges is a
 * u64 of bits.
 *
 * What a forward rule matches is its filter behind its local_prefix.
 */

#ifndef WEIR_BROKER_BRIDGE_TABLE_H
#define WEIR_BROKER_BRIDGE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/conf/conf.h"

struct bridge_table;
struct conf;

/* For each bridge of a set, in `bridge`; the set is looked at once. */
#define BRIDGE_TABLE_EACH(bridge, set)                                         \
	for (uint64_t set_left_ = (set); set_left_ != 0 &&                     \
	     ((bridge) = (unsigned)__builtin_ctzll(set_left_), true);          \
	     set_left_ &= set_left_ - 1)

/* One bridge into a set, or out of it; what looks at sets orders nothing. */
static inline void
bridge_table_put(_Atomic uint64_t *set, unsigned bridge, bool is_in)
{
	const uint64_t bit = UINT64_C(1) << bridge;

	if (is_in)
		atomic_fetch_or_explicit(set, bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(set, ~bit, memory_order_relaxed);
}

/* `conf` is not needed afterwards.  NULL with errno ENOMEM. */
struct bridge_table *bridge_table_new(const struct conf *conf);
void bridge_table_free(struct bridge_table *table);

/*
 * Take the filters of another configuration, for the bridges that are in the
 * table; those that it does not name keep theirs.  What is matched from now
 * on is matched by these.  The links thread.  Returns 0 or -ENOMEM.
 */
int bridge_table_replace(struct bridge_table *table, const struct conf *conf);

/* The bridges with a forward filter that matches; 0 at once without any. */
uint64_t bridge_table_match(
    const struct bridge_table *table, struct slice topic);

/*
 * The Weir that a bridge's remote is, 0 0 for none.  The links thread; what
 * is asked from now on goes by it.
 */
void bridge_table_set_remote(
    struct bridge_table *table, unsigned bridge, const uint64_t id[2]);

/* Those of `bridges` whose remote a message with these properties has not
 * passed: see common/mqtt/trail.h. */
uint64_t bridge_table_unseen(const struct bridge_table *table, uint64_t bridges,
    struct slice properties);

unsigned bridge_table_count(const struct bridge_table *table);

/* Those of `bridges` whose overflow policy is stall or reject. */
uint64_t bridge_table_reliable(
    const struct bridge_table *table, uint64_t bridges);

/* Those of `bridges` whose overflow policy is reject. */
uint64_t bridge_table_rejecting(
    const struct bridge_table *table, uint64_t bridges);

/* All of those, as they are at any time. */
const _Atomic uint64_t *bridge_table_rejecting_set(
    const struct bridge_table *table);

/* The links thread: from now on. */
void bridge_table_set_overflow(
    struct bridge_table *table, unsigned bridge, enum conf_overflow overflow);

/*
 * The cursor in the journal that a bridge is; 0 without a journal.  Set before
 * threads run.
 */
uint64_t bridge_table_cursor(const struct bridge_table *table, unsigned bridge);
void bridge_table_set_cursor(
    struct bridge_table *table, unsigned bridge, uint64_t cursor);

/* The bridge of that name, or -1. */
int bridge_table_find(const struct bridge_table *table, struct slice name);

/* [const] */
const char *bridge_table_name(
    const struct bridge_table *table, unsigned bridge);

/*
 * The links thread walks all filters: index 0, 1, ... until -1 is returned
 * instead of the number of the filter's bridge.
 */
int bridge_table_filter(
    const struct bridge_table *table, size_t index, struct slice *out_filter);

#endif
