/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/tally.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bridge_table.h"
#include "common/base/bug.h"

struct row {
	_Atomic uint64_t offered, accepted, declined, stalled;
};

/* Written for each message: no cache line is another worker's too. */
struct tally {
	_Alignas(64) unsigned bridges; /* [const] */
	struct row rows[];
};

struct tally *
tally_new(unsigned bridges)
{
	const size_t size = sizeof(struct tally) + bridges * sizeof(struct row);
	struct tally *tally = aligned_alloc(64, (size + 63) & ~(size_t)63);

	if (tally == NULL)
		return NULL;
	memset(tally, 0, size);
	tally->bridges = bridges;
	return tally;
}

void
tally_free(struct tally *tally)
{
	free(tally);
}

/* Relaxed, as all here: counters with one writer. */
static void
add(_Atomic uint64_t *term, uint64_t n)
{
	atomic_store_explicit(term,
	    atomic_load_explicit(term, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

/* The term that lies there in a row, of each bridge of the set. */
static void
count(struct tally *tally, uint64_t bridges, size_t term, uint64_t n)
{
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridges)
	add((_Atomic uint64_t *)(void *)((char *)&tally->rows[bridge] + term),
	    n);
}

void
tally_offered(struct tally *tally, uint64_t bridges)
{
	count(tally, bridges, offsetof(struct row, offered), 1);
}

void
tally_accepted(struct tally *tally, uint64_t bridges)
{
	count(tally, bridges, offsetof(struct row, accepted), 1);
}

void
tally_declined(struct tally *tally, uint64_t bridges)
{
	count(tally, bridges, offsetof(struct row, declined), 1);
}

void
tally_stalled(struct tally *tally, uint64_t bridges)
{
	count(tally, bridges, offsetof(struct row, stalled), 1);
}

void
tally_moved(struct tally *tally, uint64_t from, uint64_t to)
{
	/* One less. */
	count(tally, from & ~to, offsetof(struct row, offered), UINT64_MAX);
	tally_offered(tally, to & ~from);
}

void
tally_add(const struct tally *tally, unsigned bridge, struct tally_terms *sum)
{
	const struct row *row = &tally->rows[bridge];

	BUG_ON(bridge >= tally->bridges);
	sum->stalled +=
	    atomic_load_explicit(&row->stalled, memory_order_relaxed);
	/* Offered last: no message is answered before it is offered. */
	sum->accepted +=
	    atomic_load_explicit(&row->accepted, memory_order_relaxed);
	sum->declined +=
	    atomic_load_explicit(&row->declined, memory_order_relaxed);
	sum->offered +=
	    atomic_load_explicit(&row->offered, memory_order_relaxed);
}
