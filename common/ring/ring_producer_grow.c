/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_producer_private.h"

#include <string.h>

#include "common/base/bug.h"

/* Less than one part in this many of the class used: it may shrink. */
#define SPARSE_PART 8u

/* Calls of ring_producer_tend() that find a lane sparse before it shrinks. */
#define SPARSE_CALLS 2u

/* The fill is noted to one part in this many of the class. */
#define NOTE_PART 64u

/*
 * Bytes allocated ahead at once: little enough not to be felt, and four times
 * as much as is written meanwhile.
 */
#define AHEAD_BYTES (256 * 1024)

static void
note_change(struct ring_producer *p, uint32_t from, uint32_t to, int error)
{
	unsigned at = (p->first_change + p->change_count) % CHANGES_MAX;

	p->changes[at] = (struct ring_change){
		.from_bytes = ring_class_size(p->m.min_shift, from),
		.to_bytes = ring_class_size(p->m.min_shift, to),
		.error = error,
	};
	if (p->change_count < CHANGES_MAX)
		p->change_count++;
	else
		p->first_change = (p->first_change + 1) % CHANGES_MAX;
}

/*
 * All of the region, so that no write into it can fail.  One refusal is
 * enough until the next tend().
 */
static bool
has_memory(struct ring_producer *p, uint32_t class)
{
	uint64_t size = ring_class_size(p->m.min_shift, class);
	int err;

	/* What has_room() said is there for a claim, whatever failed since. */
	if (p->is_starved)
		return p->regions.allocated[class] == size;
	err = ring_regions_allocate(&p->regions, class, size);
	if (err == 0)
		return true;
	p->is_starved = true;
	ring_producer_count(&p->m.own->grow_failures, 1);
	note_change(p, p->regions.class, p->regions.class, err);
	return false;
}

/* A larger class for a record that this one has no room for. */
bool
ring_producer_find_larger(
    struct ring_producer *p, uint64_t need, struct ring_place *out_place)
{
	uint64_t pad;
	int found;

	/* The SWITCH itself lies before it. */
	found = ring_regions_larger(
	    &p->regions, p->position + RING_ALIGN, need, &pad);
	if (found == -1 || !has_memory(p, (uint32_t)found))
		return false;
	*out_place =
	    (struct ring_place){ .class = (uint32_t)found, .pad = pad };
	return true;
}

/* The class that `regions` says is written to. */
void
ring_producer_work_in_class(struct ring_producer *p)
{
	uint32_t class = p->regions.class;

	p->region =
	    (uint8_t *)p->m.data + ring_class_offset(p->m.min_shift, class);
	p->size = ring_class_size(p->m.min_shift, class);
	p->entered = p->regions.entered[class];
}

/* Leave this class for another one: there is always room for that. */
void
ring_producer_switch(struct ring_producer *p, uint32_t class)
{
	*ring_producer_place_at(p, p->position) = (struct ring_record){
		.type = RING_SWITCH,
		.class = class,
	};
	p->position += RING_ALIGN;
	note_change(p, p->regions.class, class, 0);
	ring_regions_enter(&p->regions, class, p->position);
	ring_producer_work_in_class(p);
}

bool
ring_producer_can_grow(const struct ring_producer *p, uint64_t need)
{
	uint64_t pad;

	return !p->is_starved &&
	    ring_regions_larger(
		&p->regions, p->position + RING_ALIGN, need, &pad) != -1;
}

/*
 * Take the next class' memory while this one fills, piece by piece, so that
 * growing is not felt.  What fails here is tried again when it is needed.
 */
static void
allocate_ahead(struct ring_producer *p)
{
	struct ring_regions *r = &p->regions;
	uint64_t unused;
	int next;

	next = ring_regions_larger(r, p->position, 0, &unused);
	if (next == -1 || p->is_starved)
		return;
	(void)ring_regions_allocate(
	    r, (uint32_t)next, r->allocated[next] + AHEAD_BYTES);
}

/*
 * The fill was seen to be above what was noted.  The cached tail only ever
 * makes the ring look fuller than it is.
 */
void
ring_producer_note_fill(struct ring_producer *p)
{
	uint64_t fill, least = p->size / SPARSE_PART;

	if (ring_producer_read_tail(p) != 0)
		return;
	fill = p->committed - p->tail;
	if (fill > p->high_water) {
		p->high_water = fill;
		/* relaxed: statistics */
		atomic_store_explicit(
		    &p->m.own->high_water, fill, memory_order_relaxed);
	}
	if (fill > p->peak)
		p->peak = fill;
	if (fill > p->size / 2)
		allocate_ahead(p);
	/*
	 * The next look is due above what is known, but not before as much
	 * was written as would change the picture.
	 */
	p->noted = p->peak > least ? p->peak : least;
	if (p->noted > p->high_water)
		p->noted = p->high_water;
	if (p->noted < fill + p->size / NOTE_PART)
		p->noted = fill + p->size / NOTE_PART;
}

/* SWITCHes count once they are committed. */
void
ring_producer_commit_class(struct ring_producer *p)
{
	struct ring_lane_producer *own = p->m.own;
	uint32_t from, to = p->regions.class;

	for (unsigned i = p->regions.uncommitted; i-- > 0; to = from) {
		from = p->regions.left_uncommitted[i];
		ring_producer_count(to > from ? &own->grows : &own->shrinks, 1);
	}
	ring_regions_commit(&p->regions);
	/* relaxed: statistics */
	atomic_store_explicit(
	    &own->class, p->regions.class, memory_order_relaxed);
}

/* ---- shrinking ------------------------------------------------------------
 */

/*
 * The class that is enough for what was there since the last call, if that
 * was little for a while and nothing is left of it; -1: stay.  With records
 * unreleased larger classes might stay used, and a consumer that stands still
 * would keep the lane below its maximum.
 */
static int
find_smaller(struct ring_producer *p)
{
	uint64_t peak = p->peak;

	p->peak = p->committed - p->tail;
	if (peak > p->size / SPARSE_PART || p->position != p->tail) {
		p->sparse_calls = 0;
		return -1;
	}
	if (++p->sparse_calls < SPARSE_CALLS)
		return -1;
	p->sparse_calls = 0;
	return ring_regions_smaller(&p->regions, peak * SPARSE_PART / 2);
}

bool
ring_producer_tend(struct ring_producer *producer, uint64_t now_ns)
{
	struct ring_producer *p = producer;
	bool has_changed = p->is_starved;
	uint64_t unused;
	int target;

	if (p->fault != NULL || ring_producer_read_tail(p) != 0)
		return true;
	p->is_starved = false;
	target = find_smaller(p);
	p->noted = 0;
	if (target != -1 && has_memory(p, (uint32_t)target)) {
		ring_producer_switch(p, (uint32_t)target);
		ring_commit(p, now_ns);
		has_changed = true;
	}
	/* The next class is left as it is while this one fills. */
	target = p->committed - p->tail > p->size / 2
	    ? ring_regions_larger(&p->regions, p->position, 0, &unused)
	    : -1;
	ring_regions_punch(&p->regions, target);
	return has_changed;
}

bool
ring_producer_needs_tending(const struct ring_producer *producer)
{
	/* Used beside class 0: the tail was not seen to have left it. */
	return producer->regions.used != 1 || producer->is_starved ||
	    ring_regions_has_unused_memory(&producer->regions);
}

bool
ring_producer_next_change(
    struct ring_producer *producer, struct ring_change *out_change)
{
	if (producer->change_count == 0)
		return false;
	*out_change = producer->changes[producer->first_change];
	producer->first_change = (producer->first_change + 1) % CHANGES_MAX;
	producer->change_count--;
	return true;
}
