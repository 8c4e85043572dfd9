/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_dump_search.h"

#include <errno.h>
#include <stdlib.h>

/* Switches that a chain is followed through, and records behind the head. */
#define HOPS_MAX 64
#define REACH_MAX 4096

/* The part of a chain that lies in one region. */
struct stretch {
	struct ring_dump_place start;
	uint64_t first; /* sequence that begins there */
	bool is_cut;
};

static uint64_t
region_of(const struct ring_dump_lane *lane, uint32_t class)
{
	return ring_class_size(lane->min_shift, class);
}

/*
 * The sequence that a chain has at a candidate which is followed by `next`,
 * or 0: it is none.  A PAD has none of its own, and fills its class.
 */
static uint64_t
join(const struct ring_dump_lane *lane, struct ring_dump_place after,
    const struct ring_record *record, uint64_t next)
{
	if (next == 0 || record->type == RING_SWITCH)
		return 0;
	if (record->type == RING_PAD)
		return (after.position & (region_of(lane, after.class) - 1)) ==
			0
		    ? next
		    : 0;
	if (next != RING_DUMP_ANY && record->sequence + 1 != next)
		return 0;
	return record->sequence;
}

/*
 * Fill first[i], the sequence that a chain from 64 * i bytes before the end
 * begins with, or 0.  Returns the greatest i that has one.
 */
static uint64_t
fill_chains(struct ring_dump_lane *lane, struct ring_dump_place end,
    uint64_t slots, uint64_t *first)
{
	struct ring_dump_place at = end, after;
	struct ring_record record;
	uint64_t longest = 0;

	for (uint64_t i = 1; i <= slots; i++) {
		at.position = end.position - i * RING_ALIGN;
		if (!ring_dump_header(lane, at, &record) ||
		    ring_dump_check(lane, at, end.position, &record, &after) !=
			NULL)
			continue;
		first[i] = join(lane, after, &record,
		    first[(end.position - after.position) / RING_ALIGN]);
		if (first[i] == 0)
			continue;
		longest = i;
		if (record.type == RING_DATA &&
		    2 * ring_record_size(record.length) > lane->margin)
			lane->margin = 2 * ring_record_size(record.length);
	}
	return longest;
}

static int
search_region(struct ring_dump_lane *lane,
    const struct ring_dump_search *search, struct stretch *out)
{
	const struct ring_dump_place end = search->end;
	uint64_t bytes, longest, *first;

	bytes = end.position - search->lowest;
	if (bytes > region_of(lane, end.class))
		bytes = region_of(lane, end.class);
	out->is_cut = bytes > lane->search_left;
	if (out->is_cut)
		bytes = lane->search_left;
	lane->search_left -= bytes;
	first = calloc(bytes / RING_ALIGN + 1, sizeof(*first));
	if (first == NULL)
		return -ENOMEM;
	first[0] = search->after;
	longest = fill_chains(lane, end, bytes / RING_ALIGN, first);
	out->start = end;
	out->start.position -= longest * RING_ALIGN;
	out->first = first[longest];
	free(first);
	return 0;
}

/* Is there a SWITCH in `class` that leads to `to`? */
static bool
is_switch(struct ring_dump_lane *lane, struct ring_dump_place at,
    struct ring_dump_place to)
{
	struct ring_dump_place after;
	struct ring_record record;

	return at.class != to.class && ring_dump_header(lane, at, &record) &&
	    record.type == RING_SWITCH &&
	    ring_dump_check(lane, at, to.position, &record, &after) == NULL &&
	    after.class == to.class;
}

/*
 * The longest stretch that ends with a SWITCH to the one known so far.
 * Returns 1 and *stretch, 0: there is none, or -ENOMEM.
 */
static int
hop(struct ring_dump_lane *lane, uint64_t lowest, struct stretch *stretch)
{
	const struct ring_dump_place to = stretch->start;
	struct ring_dump_search search = {
		.after = stretch->first,
		.lowest = lowest,
	};
	struct stretch found, best = { .start = to };
	int err;

	if (to.position < lowest + RING_ALIGN)
		return 0;
	search.end.position = to.position - RING_ALIGN;
	for (uint32_t class = 0; class < lane->classes; class ++) {
		search.end.class = class;
		if (!is_switch(lane, search.end, to))
			continue;
		err = search_region(lane, &search, &found);
		if (err != 0)
			return err;
		if (found.start.position < best.start.position)
			best = found;
	}
	if (best.start.position == to.position)
		return 0;
	*stretch = best;
	return 1;
}

int
ring_dump_search(struct ring_dump_lane *lane,
    const struct ring_dump_search *search, struct ring_dump_place *out_start,
    bool *out_is_cut)
{
	struct stretch stretch;
	bool is_cut;
	int found;

	lane->search_left = RING_DUMP_SEARCH_BYTES;
	lane->margin = RING_ALIGN;
	found = search_region(lane, search, &stretch);
	is_cut = stretch.is_cut;
	for (unsigned hops = 0; found == 0 || found == 1; hops++) {
		if (hops == HOPS_MAX) {
			is_cut = true;
			break;
		}
		found = hop(lane, search->lowest, &stretch);
		if (found != 1)
			break;
		is_cut |= stretch.is_cut;
	}
	if (found < 0)
		return found;
	*out_start = stretch.start;
	*out_is_cut = is_cut;
	return 0;
}

struct ring_dump_place
ring_dump_reach(struct ring_dump_lane *lane, const struct ring_dump_ends *ends)
{
	/* From the head on: the tail may be an old one. */
	const uint64_t end = ends->head.position + ring_dump_total(lane);
	struct ring_dump_place after, at = ends->head;
	uint64_t sequence = ends->sequence;
	struct ring_record record;

	for (unsigned i = 0; i < REACH_MAX && at.position < end; i++) {
		if (!ring_dump_header(lane, at, &record) ||
		    ring_dump_check(lane, at, end, &record, &after) != NULL)
			break;
		if (record.type == RING_DATA && record.sequence != ++sequence)
			break;
		at = after;
	}
	return at;
}

bool
ring_dump_is_at_risk(const struct ring_dump_lane *lane,
    struct ring_dump_place reach, const struct ring_dump_ends *ends,
    struct ring_dump_place at)
{
	uint64_t ahead, begin, free_bytes, offset, size, to_end;

	/* What is put next goes to this class or, behind a SWITCH that may
	 * not be there yet, to a larger one. */
	if (at.class < reach.class)
		return false;
	size = region_of(lane, at.class);
	offset = at.position & (size - 1);
	begin = reach.position + (reach.class == at.class ? 0 : RING_ALIGN);
	begin &= size - 1;
	to_end = size - begin;
	ahead = (offset - begin) & (size - 1);
	if (ahead < to_end)
		return ahead < lane->margin;

	/* Or behind a PAD, for what does not fit before the end. */
	free_bytes = size;
	if (reach.class == at.class && ends->tail.class == at.class &&
	    reach.position - ends->tail.position <= size)
		free_bytes -= reach.position - ends->tail.position;
	if (2 * to_end + RING_ALIGN >= free_bytes)
		return false;
	return (offset == 0 && to_end < ring_dump_largest(lane)) ||
	    (offset < lane->margin && to_end < lane->margin);
}
