/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_producer_private.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The slot with the greatest head <= head counts, slot 0 on a tie.  One above
 * head belongs to a commit that never happened: it is erased before it could
 * come true.  Its sequence goes first, so that no half of it ever counts.
 */
static void
recover_sequence(struct ring_producer *p, uint64_t head)
{
	struct ring_sequence_slot *slot = p->m.own->sequence;
	uint64_t at[2], sequence[2];
	unsigned counts;

	for (unsigned i = 0; i < 2; i++) {
		/* relaxed: our own memory; a reader takes tail or head first */
		at[i] =
		    atomic_load_explicit(&slot[i].head, memory_order_relaxed);
		sequence[i] = atomic_load_explicit(
		    &slot[i].sequence, memory_order_relaxed);
		if (at[i] <= head)
			continue;
		atomic_store_explicit(
		    &slot[i].sequence, 0, memory_order_relaxed);
		/* release: after the sequence, for other processes and us */
		atomic_store_explicit(&slot[i].head, 0, memory_order_release);
		at[i] = 0;
		sequence[i] = 0;
	}
	counts = at[1] > at[0] ? 1 : 0;
	p->next_slot = 1 - counts;
	p->sequence = p->committed_sequence = sequence[counts];
}

static int
recover(struct ring_producer *p)
{
	struct ring_lane_producer *own = p->m.own;
	uint64_t head, tail;

	/* relaxed: only this side stores head; a predecessor is dead */
	head = atomic_load_explicit(&p->m.head->word, memory_order_relaxed);
	/* acquire: as in ring_producer_read_tail(), but nothing is known about
	 * it yet */
	tail = atomic_load_explicit(&p->m.peer->tail, memory_order_acquire);
	if (ring_regions_recover(&p->regions, &p->m.space, p->m.min_shift,
		p->m.classes, p->m.data, tail, head) != NULL)
		return -EPROTO;
	p->position = p->committed = RING_POSITION(head);
	p->tail = RING_POSITION(tail);
	ring_producer_work_in_class(p);
	recover_sequence(p, head);

	/* relaxed: statistics that only this side writes */
	p->bytes = p->committed_bytes =
	    atomic_load_explicit(&own->bytes, memory_order_relaxed);
	p->high_water =
	    atomic_load_explicit(&own->high_water, memory_order_relaxed);
	atomic_store_explicit(
	    &own->class, p->regions.class, memory_order_relaxed);
	atomic_store_explicit(&own->stalled_since_ns, 0, memory_order_relaxed);
	return 0;
}

struct ring_producer *
ring_producer_new(const struct ring_producer_memory *m)
{
	struct ring_producer *p;

	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->m = *m;
	p->max_payload = ring_producer_max_payload(p);
	p->claimed = NOTHING_CLAIMED;
	if (recover(p) != 0) {
		free(p);
		errno = EPROTO;
		return NULL;
	}
	return p;
}

void
ring_producer_free(struct ring_producer *producer)
{
	free(producer);
}
