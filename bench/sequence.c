/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/sequence.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"

/* Room for one more at the end; doubled at each power of two. */
static void
make_room(struct sequence *stream)
{
	uint32_t count = stream->gap_count;

	if ((count & (count - 1)) != 0)
		return;
	stream->gaps = realloc(stream->gaps,
	    (count == 0 ? 1 : (size_t)count * 2) * sizeof(*stream->gaps));
	BUG_ON(stream->gaps == NULL);
}

static void
insert_gap(struct sequence *stream, uint32_t at, uint32_t first, uint32_t end)
{
	make_room(stream);
	memmove(stream->gaps + at + 1, stream->gaps + at,
	    (stream->gap_count - at) * sizeof(*stream->gaps));
	stream->gaps[at] = (struct sequence_gap){ first, end };
	stream->gap_count++;
}

static void
remove_gap(struct sequence *stream, uint32_t at)
{
	stream->gap_count--;
	memmove(stream->gaps + at, stream->gaps + at + 1,
	    (stream->gap_count - at) * sizeof(*stream->gaps));
}

/* Take one number out of the gap that holds it; false: none does. */
static bool
fill(struct sequence *stream, uint32_t number)
{
	struct sequence_gap *gap;

	for (uint32_t i = stream->gap_count; i-- > 0;) {
		gap = &stream->gaps[i];
		if (number >= gap->end)
			return false;
		if (number < gap->first)
			continue;
		if (gap->first + 1 == gap->end)
			remove_gap(stream, i);
		else if (number == gap->first)
			gap->first++;
		else if (number + 1 == gap->end)
			gap->end--;
		else {
			insert_gap(stream, i, gap->first, number);
			stream->gaps[i + 1].first = number + 1;
		}
		return true;
	}
	return false;
}

enum sequence_verdict
sequence_note(struct sequence *stream, uint32_t number)
{
	if (number < stream->next)
		return fill(stream, number) ? SEQUENCE_LATE : SEQUENCE_DOUBLED;
	if (number == stream->next) {
		stream->next++;
		return SEQUENCE_NEXT;
	}
	insert_gap(stream, stream->gap_count, stream->next, number);
	stream->next = number + 1;
	return SEQUENCE_AHEAD;
}

uint64_t
sequence_missing(const struct sequence *stream, uint32_t end)
{
	uint64_t missing = end > stream->next ? end - stream->next : 0;
	const struct sequence_gap *gap;

	for (uint32_t i = 0; i < stream->gap_count; i++) {
		gap = &stream->gaps[i];
		if (gap->first >= end)
			break;
		missing += (gap->end < end ? gap->end : end) - gap->first;
	}
	return missing;
}

void
sequence_fini(struct sequence *stream)
{
	free(stream->gaps);
	*stream = (struct sequence){ 0 };
}
