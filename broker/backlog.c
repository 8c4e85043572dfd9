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
	uint64_t limit;                    /* [const] */
	uint64_t relief; /* [const] at so many bytes there is room again */
};

struct backlogs {
	unsigned count;     /* [const] */
	uint64_t rejecting; /* [const] bridges with overflow = "reject" */
	uint64_t droppable; /* [const] with overflow = "drop_newest" */
	uint64_t sliding;   /* [const] with overflow = "drop_oldest" */

	/* [const] once threads run */
	void (*on_relief)(void *context);
	void *context;

	_Atomic uint64_t asked; /* bridges that were full when asked */

	struct backlog list[];
};

static void
add_bridge(struct backlogs *backlogs, unsigned number,
    const struct conf_bridge *bridge, uint64_t least)
{
	struct backlog *backlog = &backlogs->list[number];
	uint64_t bit = UINT64_C(1) << number, reserve;

	backlog->limit = bridge->backlog == 0 ? least : bridge->backlog;
	reserve = backlog->limit / 8;
	if (reserve > RELIEF_BYTES)
		reserve = RELIEF_BYTES;
	backlog->relief = backlog->limit - reserve;
	if (bridge->overflow == CONF_OVERFLOW_REJECT)
		backlogs->rejecting |= bit;
	else if (bridge->overflow == CONF_OVERFLOW_DROP_OLDEST)
		backlogs->sliding |= bit;
	else if (bridge->overflow == CONF_OVERFLOW_DROP_NEWEST)
		backlogs->droppable |= bit;
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
	for (unsigned i = 0; i < backlogs->count; i++)
		add_bridge(backlogs, i, &conf->bridges[i], conf->worker_window);
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
	    used > backlogs->list[bridge].relief;
}

static bool
has_room(const struct backlogs *backlogs, unsigned bridge, uint64_t used,
    size_t weight)
{
	const uint64_t limit = backlogs->list[bridge].limit;

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
		    backlogs->list[bridge].relief)
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
take_droppable(struct backlogs *backlogs, uint64_t bridges, size_t weight)
{
	uint64_t taken = bridges & backlogs->sliding;
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, taken)
	backlog_return(backlogs, bridge, weight);
	BRIDGE_TABLE_EACH(bridge, bridges & backlogs->droppable)
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
	uint64_t rejecting = bridges & backlogs->rejecting;
	uint64_t droppable =
	    bridges & (backlogs->droppable | backlogs->sliding);
	uint64_t stalling = bridges & ~(rejecting | droppable), full;

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
	*out_taken =
	    rejecting | stalling | take_droppable(backlogs, droppable, weight);
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
	return backlogs->list[bridge].limit;
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
