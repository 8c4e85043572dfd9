/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_resize.h"

#include <string.h>

#include "common/base/bug.h"

#define NOT_LEFT UINT64_MAX

static uint32_t
bit(uint32_t class)
{
	return UINT32_C(1) << class;
}

static uint64_t
size_of(const struct ring_regions *r, uint32_t class)
{
	return ring_class_size(r->min_shift, class);
}

static bool
is_used(const struct ring_regions *r, uint32_t class)
{
	return (r->used & bit(class)) != 0;
}

/* ---- after a restart ---------------------------------------------------- */

static void
use(struct ring_regions *r, uint32_t class, uint64_t position)
{
	r->class = class;
	r->used |= bit(class);
	r->entered[class] = position;
	r->left[class] = NOT_LEFT;
}

/*
 * One record on.  The headers are ours, but where to begin was the peer's
 * word: what is read may be payload.
 */
static const char *
step(struct ring_regions *r, const uint8_t *data, uint64_t end,
    uint64_t *position)
{
	uint64_t contiguous, length, offset, size = size_of(r, r->class);
	struct ring_record record;

	offset = *position & (size - 1);
	contiguous = size - offset;
	memcpy(&record,
	    data + ring_class_offset(r->min_shift, r->class) + offset,
	    sizeof(record));
	length = ring_record_size(record.length);
	if (length > end - *position || length > contiguous)
		return "the consumer's tail is not where a record begins";
	*position += length;
	if (*position - r->entered[r->class] > size)
		return "a size class holds more than fits into it";
	if (record.type != RING_SWITCH)
		return record.type == RING_DATA || record.type == RING_PAD
		    ? NULL
		    : "the consumer's tail is not where a record begins";
	if (record.class >= r->classes || is_used(r, record.class))
		return "a size class is entered while it is used";
	r->left[r->class] = *position;
	use(r, record.class, *position);
	return NULL;
}

const char *
ring_regions_recover(struct ring_regions *regions,
    const struct ring_space *space, uint32_t min_shift, uint32_t classes,
    const void *data, uint64_t tail, uint64_t head)
{
	uint64_t end = RING_POSITION(head), position = RING_POSITION(tail);
	const char *fault = NULL;

	*regions = (struct ring_regions){
		.min_shift = min_shift,
		.classes = classes,
		.space = *space,
	};
	if (RING_CLASS(head) >= classes)
		return "the head is in a size class that is not";
	if (RING_CLASS(tail) >= classes)
		return "the consumer is in a size class that is not";
	if (position > end ||
	    end - position > ring_lane_length(min_shift, classes))
		return "the consumer's tail cannot be there";

	use(regions, RING_CLASS(tail), position);
	while (position < end && fault == NULL)
		fault = step(regions, data, end, &position);
	if (fault != NULL)
		return fault;
	if (regions->class != RING_CLASS(head))
		return "the head is not in the size class that leads to it";

	/* What is used was allocated before it was entered. */
	for (uint32_t class = 0; class < classes; class ++) {
		if (class == 0 || is_used(regions, class))
			regions->allocated[class] = size_of(regions, class);
		else
			regions->unknown |= bit(class);
	}
	return NULL;
}

/* ---- the tail ------------------------------------------------------------ */

bool
ring_regions_has(const struct ring_regions *regions, uint64_t word)
{
	uint64_t position = RING_POSITION(word);
	uint32_t class = RING_CLASS(word);

	return class < regions->classes && is_used(regions, class) &&
	    position >= regions->entered[class] &&
	    position < regions->left[class];
}

uint32_t
ring_regions_class_of(const struct ring_regions *regions, uint64_t position)
{
	for (uint32_t class = 0; class < regions->classes; class ++) {
		if (ring_regions_has(regions, RING_WORD(position, class)))
			return class;
	}
	return regions->class;
}

void
ring_regions_release(struct ring_regions *regions, uint64_t position)
{
	for (uint32_t class = 0; class < regions->classes; class ++) {
		if (is_used(regions, class) && regions->left[class] <= position)
			regions->used &= ~bit(class);
	}
}

/* ---- where to go ----------------------------------------------------------
 */

int
ring_regions_larger(const struct ring_regions *regions, uint64_t position,
    uint64_t need, uint64_t *out_pad)
{
	uint64_t contiguous, pad, size;
	uint32_t class;

	for (class = regions->class + 1; class < regions->classes; class ++) {
		if (is_used(regions, class))
			continue;
		size = size_of(regions, class);
		contiguous = size - (position & (size - 1));
		pad = need > contiguous ? contiguous : 0;
		if (pad + need + RING_ALIGN > size)
			continue;
		*out_pad = pad;
		return (int)class;
	}
	return -1;
}

int
ring_regions_smaller(const struct ring_regions *regions, uint64_t size)
{
	for (uint32_t class = 0; class < regions->class; class ++) {
		if (!is_used(regions, class) && size_of(regions, class) >= size)
			return (int)class;
	}
	return -1;
}

uint64_t
ring_regions_spare(
    const struct ring_regions *regions, uint64_t credit, uint64_t waste)
{
	uint64_t bytes = 0, size;
	uint32_t class;

	for (class = regions->class + 1; class < regions->classes; class ++) {
		size = size_of(regions, class);
		if (is_used(regions, class))
			continue;
		if (size > credit)
			size = credit;
		credit -= size;
		if (size > waste)
			bytes += size - waste;
	}
	return bytes;
}

/* ---- going there ----------------------------------------------------------
 */

int
ring_regions_allocate(
    struct ring_regions *regions, uint32_t class, uint64_t bytes)
{
	uint64_t begin = regions->allocated[class];
	const struct ring_space *space = &regions->space;
	int err;

	if (bytes > size_of(regions, class))
		bytes = size_of(regions, class);
	/* All or nothing could be there: begin anew. */
	if ((regions->unknown & bit(class)) != 0)
		begin = 0;
	if (bytes <= begin)
		return 0;
	if (space->allocate != NULL) {
		err = space->allocate(space->context,
		    ring_class_offset(regions->min_shift, class) + begin,
		    bytes - begin);
		if (err != 0)
			return err;
	}
	regions->unknown &= ~bit(class);
	regions->allocated[class] = bytes;
	return 0;
}

void
ring_regions_enter(
    struct ring_regions *regions, uint32_t class, uint64_t position)
{
	BUG_ON(is_used(regions, class));
	BUG_ON(regions->allocated[class] != size_of(regions, class));
	BUG_ON(regions->uncommitted == RING_CLASSES);
	regions->left[regions->class] = position;
	regions->left_uncommitted[regions->uncommitted++] =
	    (uint8_t)regions->class;
	use(regions, class, position);
}

void
ring_regions_commit(struct ring_regions *regions)
{
	regions->uncommitted = 0;
}

void
ring_regions_abort(struct ring_regions *regions)
{
	while (regions->uncommitted > 0) {
		regions->used &= ~bit(regions->class);
		regions->class =
		    regions->left_uncommitted[--regions->uncommitted];
		regions->left[regions->class] = NOT_LEFT;
	}
}

/* ---- giving back ----------------------------------------------------------
 */

static bool
has_unused_memory(const struct ring_regions *r, uint32_t class)
{
	return class != 0 && !is_used(r, class) &&
	    (r->allocated[class] != 0 || (r->unknown & bit(class)) != 0);
}

void
ring_regions_punch(struct ring_regions *regions, int keep)
{
	const struct ring_space *space = &regions->space;

	for (uint32_t class = 1; class < regions->classes; class ++) {
		if ((int)class == keep || !has_unused_memory(regions, class))
			continue;
		if (space->punch != NULL &&
		    space->punch(space->context,
			ring_class_offset(regions->min_shift, class),
			size_of(regions, class)) != 0)
			continue;
		regions->allocated[class] = 0;
		regions->unknown &= ~bit(class);
	}
}

bool
ring_regions_has_unused_memory(const struct ring_regions *regions)
{
	for (uint32_t class = 1; class < regions->classes; class ++) {
		if (has_unused_memory(regions, class))
			return true;
	}
	return false;
}
