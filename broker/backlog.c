/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/backlog.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bridge_table.h"
#include "common/base/bug.h"
#include "common/conf/conf.h"

/*
 * Who waits is told when there is room again, but not for each message that
 * leaves: when an eighth of the limit is free, or so many bytes.
 */
#define RELIEF_BYTES (UINT64_C(64) << 10)

/* Counted by all threads: a cache line for each bridge. */
struct backlog {
	_Alignas(64) _Atomic uint64_t bytes;
	_Atomic uint64_t dropped, refused; /* not yet asked for */

	/* By the links thread, relaxed: a change takes effect soon. */
	_Atomic uint64_t limit;
	_Atomic uint64_t relief; /* at so many bytes there is room again */
};

struct backlogs {
	unsigned count; /* [const] */
	uint64_t least; /* [const] the limit of a backlog of "0" */

	/* By the links thread, relaxed: as the limits. */
	_Atomic uint64_t rejecting; /* bridges with overflow = "reject" */
	_Atomic uint64_t droppable; /* with overflow = "drop_newest" */
	_Atomic uint64_t sliding;   /* with overflow = "drop_oldest" */

	/* [const] once threads run */
	void (*on_relief)(void *context);
	void *context;

	_Atomic uint64_t asked; /* bridges that were full when asked */

	struct backlog list[];
};

static uint64_t
look(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

void
backlog_configure(struct backlogs *backlogs, unsigned bridge, uint64_t bytes,
    enum conf_overflow overflow)
{
	struct backlog *backlog = &backlogs->list[bridge];
	const uint64_t limit = bytes == 0 ? backlogs->least : bytes;
	uint64_t reserve = limit / 8;

	BUG_ON(bridge >= backlogs->count);
	if (reserve > RELIEF_BYTES)
		reserve = RELIEF_BYTES;
	atomic_store_explicit(&backlog->limit, limit, memory_order_relaxed);
	atomic_store_explicit(
	    &backlog->relief, limit - reserve, memory_order_relaxed);
	bridge_table_put(
	    &backlogs->rejecting, bridge, overflow == CONF_OVERFLOW_REJECT);
	bridge_table_put(
	    &backlogs->sliding, bridge, overflow == CONF_OVERFLOW_DROP_OLDEST);
	bridge_table_put(&backlogs->droppable, bridge,
	    overflow == CONF_OVERFLOW_DROP_NEWEST);
	/* Who waits asks again. */
	bridge_table_put(&backlogs->asked, bridge, false);
}

struct backlogs *
backlogs_new(const struct conf *conf)
{
	struct backlogs *backlogs;
	size_t size;

	BUG_ON(conf->bridge_count > CONF_MAX_BRIDGES);
	size =
	    sizeof(*backlogs) + conf->bridge_count * sizeof(backlogs->list[0]);
	backlogs = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (backlogs == NULL)
		return NULL;
	memset(backlogs, 0, size);
	backlogs->count = (unsigned)conf->bridge_count;
	backlogs->least = conf->worker_window;
	for (unsigned i = 0; i < backlogs->count; i++)
		backlog_configure(backlogs, i, conf->bridges[i].backlog,
		    conf->bridges[i].overflow);
	return backlogs;
}

void
backlogs_free(struct backlogs *backlogs)
{
	free(backlogs);
}

void
backlogs_on_relief(
    struct backlogs *backlogs, void (*relief)(void *context), void *context)
{
	backlogs->on_relief = relief;
	backlogs->context = context;
}

/*
 * Where somebody waits for room, there is none before there is enough: a large
 * message would starve among small ones, which always find a gap.
 */
static bool
is_kept_for_others(
    const struct backlogs *backlogs, unsigned bridge, uint64_t used)
{
	return (atomic_load(&backlogs->asked) >> bridge & 1) != 0 &&
	    used > look(&backlogs->list[bridge].relief);
}

static bool
has_room(const struct backlogs *backlogs, unsigned bridge, uint64_t used,
    size_t weight)
{
	const uint64_t limit = look(&backlogs->list[bridge].limit);

	return used == 0 ||
	    (weight <= limit && used <= limit - weight &&
		!is_kept_for_others(backlogs, bridge, used));
}

/*
 * All of this is seq_cst.  Who finds no room and `waits` for it says so in
 * `asked` and looks once more; who makes room does so before it looks at
 * `asked`.  So one of them sees the other.
 */
static bool
reserve(struct backlogs *backlogs, unsigned bridge, size_t weight, bool waits)
{
	struct backlog *backlog = &backlogs->list[bridge];
	uint64_t used = atomic_load(&backlog->bytes);

	for (;;) {
		if (has_room(backlogs, bridge, used, weight)) {
			if (atomic_compare_exchange_weak(
				&backlog->bytes, &used, used + weight))
				return true;
		} else if (!waits) {
			return false;
		} else {
			waits = false;
			atomic_fetch_or(
			    &backlogs->asked, UINT64_C(1) << bridge);
			used = atomic_load(&backlog->bytes);
		}
	}
}

static void
subtract(struct backlog *backlog, size_t weight)
{
	uint64_t used = atomic_load(&backlog->bytes), left;

	do
		left = used > weight ? used - weight : 0;
	while (!atomic_compare_exchange_weak(&backlog->bytes, &used, left));
}

/* Those of `bridges` that have room for somebody who asked. */
static uint64_t
relieved(const struct backlogs *backlogs, uint64_t bridges)
{
	uint64_t has_room = 0;
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		if (atomic_load(&backlogs->list[bridge].bytes) <=
		    look(&backlogs->list[bridge].relief))
			has_room |= UINT64_C(1) << bridge;
	}
	return has_room;
}

/* The bit of the one that was full; 0: all have taken. */
static uint64_t
reserve_all(struct backlogs *backlogs, uint64_t bridges, size_t weight)
{
	uint64_t taken = 0, bit;
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		bit = UINT64_C(1) << bridge;
		if (!reserve(backlogs, bridge, weight, true)) {
			backlog_withdraw(backlogs, taken, weight);
			return bit;
		}
		taken |= bit;
	}
	return 0;
}

static void
count(_Atomic uint64_t *counter)
{
	/* relaxed: a counter */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Those that take what is newest, whatever becomes of it. */
static uint64_t
take_droppable(struct backlogs *backlogs, uint64_t sliding, uint64_t bridges,
    size_t weight)
{
	uint64_t taken = sliding;
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, sliding)
	backlog_return(backlogs, bridge, weight);
	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		if (reserve(backlogs, bridge, weight, false))
			taken |= UINT64_C(1) << bridge;
		else
			count(&backlogs->list[bridge].dropped);
	}
	return taken;
}

enum backlog_answer
backlog_offer(struct backlogs *backlogs, uint64_t bridges, size_t weight,
    uint64_t *out_taken)
{
	/* One look at each, and each bridge once: they may be changing. */
	const uint64_t rejecting = bridges & look(&backlogs->rejecting);
	const uint64_t sliding =
	    bridges & look(&backlogs->sliding) & ~rejecting;
	const uint64_t droppable =
	    bridges & look(&backlogs->droppable) & ~(rejecting | sliding);
	const uint64_t stalling = bridges & ~(rejecting | sliding | droppable);
	uint64_t full;

	BUG_ON(backlogs->count < 64 && bridges >> backlogs->count != 0);
	full = reserve_all(backlogs, rejecting, weight);
	if (full != 0) {
		count(&backlogs->list[__builtin_ctzll(full)].refused);
		return BACKLOG_REJECTS;
	}
	if (reserve_all(backlogs, stalling, weight) != 0) {
		backlog_withdraw(backlogs, rejecting, weight);
		return BACKLOG_STALLS;
	}
	*out_taken = rejecting | stalling |
	    take_droppable(backlogs, sliding, droppable, weight);
	return BACKLOG_TAKES;
}

/*
 * For a moment it looked fuller than it is.  Who asked then waits for the
 * links thread, which may have no reason to look, so it is given one.
 */
void
backlog_withdraw(struct backlogs *backlogs, uint64_t bridges, size_t weight)
{
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridges)
	subtract(&backlogs->list[bridge], weight);

	bridges &= atomic_load(&backlogs->asked);
	if (relieved(backlogs, bridges) != 0 && backlogs->on_relief != NULL)
		backlogs->on_relief(backlogs->context);
}

void
backlog_passed(struct backlogs *backlogs, unsigned bridge, size_t weight)
{
	BUG_ON(bridge >= backlogs->count);
	subtract(&backlogs->list[bridge], weight);
}

void
backlog_return(struct backlogs *backlogs, unsigned bridge, size_t weight)
{
	BUG_ON(bridge >= backlogs->count);
	atomic_fetch_add(&backlogs->list[bridge].bytes, weight);
}

static uint64_t
take_count(_Atomic uint64_t *counter)
{
	/* relaxed: as count() */
	return atomic_exchange_explicit(counter, 0, memory_order_relaxed);
}

struct backlog_losses
backlog_losses(struct backlogs *backlogs, unsigned bridge)
{
	struct backlog *backlog = &backlogs->list[bridge];

	BUG_ON(bridge >= backlogs->count);
	return (struct backlog_losses){
		.dropped = take_count(&backlog->dropped),
		.refused = take_count(&backlog->refused),
	};
}

uint64_t
backlog_dropped(const struct backlogs *backlogs, unsigned bridge)
{
	BUG_ON(bridge >= backlogs->count);
	return look(&backlogs->list[bridge].dropped);
}

void
backlog_set(struct backlogs *backlogs, unsigned bridge, uint64_t bytes)
{
	BUG_ON(bridge >= backlogs->count);
	atomic_store(&backlogs->list[bridge].bytes, bytes);
}

uint64_t
backlog_bytes(const struct backlogs *backlogs, unsigned bridge)
{
	BUG_ON(bridge >= backlogs->count);
	/* relaxed: a recent number */
	return atomic_load_explicit(
	    &backlogs->list[bridge].bytes, memory_order_relaxed);
}

bool
backlog_has_room(
    const struct backlogs *backlogs, unsigned bridge, size_t weight)
{
	return has_room(
	    backlogs, bridge, backlog_bytes(backlogs, bridge), weight);
}

uint64_t
backlog_limit(const struct backlogs *backlogs, unsigned bridge)
{
	BUG_ON(bridge >= backlogs->count);
	return look(&backlogs->list[bridge].limit);
}

bool
backlog_is_short(const struct backlogs *backlogs, unsigned bridge)
{
	return backlog_bytes(backlogs, bridge) >
	    look(&backlogs->list[bridge].relief);
}

uint64_t
backlog_full(const struct backlogs *backlogs)
{
	return atomic_load(&backlogs->asked);
}

uint64_t
backlog_relieved(struct backlogs *backlogs)
{
	uint64_t bridges;

	bridges = relieved(backlogs, atomic_load(&backlogs->asked));
	if (bridges != 0)
		atomic_fetch_and(&backlogs->asked, ~bridges);
	return bridges;
}
