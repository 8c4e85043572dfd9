/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_forward.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/bug.h"

#define PAIRS (RING_LINKS * RING_LANES)

struct pair {
	uint64_t sequence; /* noted last, committed or not */
	bool is_noted;     /* since the last fill */
	uint8_t counts;    /* the slot that does */
};

struct ring_forward {
	struct ring_forwarded *table; /* [const] shared, written by us alone */
	struct pair pairs[PAIRS];
	uint16_t noted[PAIRS];
	uint32_t noted_count;
};

static uint64_t
load(const _Atomic uint64_t *word)
{
	/* relaxed: our own memory, the life before is dead */
	return atomic_load_explicit(word, memory_order_relaxed);
}

/*
 * Release: a life that ends between two stores leaves the first one, and no
 * other process reads them meanwhile.
 */
static void
store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

/* The sequence first: no half of it may ever count. */
static void
erase(struct ring_sequence_slot *slot)
{
	store(&slot->sequence, 0);
	store(&slot->head, 0);
}

/*
 * A slot above head belongs to a commit that never happened.  Left alone it
 * would come true when the head gets there with other records.
 */
static void
recover(struct ring_forward *forward, unsigned index, uint64_t head)
{
	struct ring_sequence_slot *slot = forward->table[index].slot;
	struct pair *pair = &forward->pairs[index];

	for (unsigned i = 0; i < 2; i++) {
		if (load(&slot[i].head) > head)
			erase(&slot[i]);
	}
	pair->counts = load(&slot[1].head) > load(&slot[0].head) ? 1 : 0;
	pair->sequence = load(&slot[pair->counts].sequence);
}

struct ring_forward *
ring_forward_new(struct ring_forwarded *table, uint64_t head)
{
	struct ring_forward *forward;

	forward = calloc(1, sizeof(*forward));
	if (forward == NULL)
		return NULL;
	forward->table = table;
	for (unsigned i = 0; i < PAIRS; i++)
		recover(forward, i, head);
	return forward;
}

void
ring_forward_free(struct ring_forward *forward)
{
	free(forward);
}

static unsigned
index_of(uint32_t link, uint32_t lane)
{
	BUG_ON(link >= RING_LINKS);
	BUG_ON(lane >= RING_LANES);
	return link * RING_LANES + lane;
}

uint64_t
ring_forward_sequence(
    const struct ring_forward *forward, uint32_t link, uint32_t lane)
{
	return forward->pairs[index_of(link, lane)].sequence;
}

bool
ring_forward_has(const struct ring_forward *forward, uint32_t link,
    uint32_t lane, uint64_t sequence)
{
	return ring_forward_sequence(forward, link, lane) >= sequence;
}

void
ring_forward_note(struct ring_forward *forward, uint32_t link, uint32_t lane,
    uint64_t sequence)
{
	const unsigned index = index_of(link, lane);
	struct pair *pair = &forward->pairs[index];

	pair->sequence = sequence;
	if (pair->is_noted)
		return;
	pair->is_noted = true;
	forward->noted[forward->noted_count++] = (uint16_t)index;
}

void
ring_forward_fill(struct ring_forward *forward, uint64_t head)
{
	struct ring_sequence_slot *slot;
	struct pair *pair;
	unsigned index;

	for (uint32_t i = 0; i < forward->noted_count; i++) {
		index = forward->noted[i];
		pair = &forward->pairs[index];
		pair->counts = 1 - pair->counts;
		slot = &forward->table[index].slot[pair->counts];
		store(&slot->head, head);
		store(&slot->sequence, pair->sequence);
		pair->is_noted = false;
	}
	forward->noted_count = 0;
}

void
ring_forward_forget_lane(
    struct ring_forward *forward, uint32_t link, uint32_t lane)
{
	const unsigned index = index_of(link, lane);
	struct pair *pair = &forward->pairs[index];

	BUG_ON(pair->is_noted); /* commit first */
	*pair = (struct pair){ 0 };
	for (unsigned i = 0; i < 2; i++) {
		if (load(&forward->table[index].slot[i].head) != 0)
			erase(&forward->table[index].slot[i]);
	}
}

void
ring_forward_forget(struct ring_forward *forward, uint32_t link)
{
	for (uint32_t lane = 0; lane < RING_LANES; lane++)
		ring_forward_forget_lane(forward, link, lane);
}

void
ring_forward_carry(struct ring_forward *forward, const struct ring_forward *old)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		if (old->pairs[i].sequence > forward->pairs[i].sequence)
			forward->pairs[i].sequence = old->pairs[i].sequence;
	}
}
