/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/feed.h"

#include "common/base/bug.h"

void
feed_init(struct feed *feed, uint64_t floor, uint64_t arrived)
{
	*feed = (struct feed){
		.next = floor + 1,
		.loaded = floor,
		.arrived = arrived > floor ? arrived : floor,
		.is_lagging = arrived > floor,
	};
}

/*
 * A read looks at what is committed, and may be ahead of the mail that says
 * so: what it has given comes once more.
 */
enum feed_verdict
feed_arrives(struct feed *feed, uint64_t sequence, bool has_room)
{
	if (sequence > feed->arrived)
		feed->arrived = sequence;
	if (sequence <= feed->loaded)
		return FEED_KNOWN;
	if (feed->is_lagging)
		return FEED_LATER;
	if (!has_room) {
		/* Mail comes in order: nothing waits before this one. */
		feed->is_lagging = true;
		feed->next = sequence;
		return FEED_LATER;
	}
	feed->loaded = sequence;
	return FEED_KEEP;
}

bool
feed_begins_read(struct feed *feed, bool has_room)
{
	if (!feed->is_lagging || feed->is_reading || !has_room)
		return false;
	feed->is_reading = true;
	return true;
}

void
feed_loads(struct feed *feed, uint64_t sequence)
{
	BUG_ON(!feed->is_reading || sequence <= feed->loaded);
	feed->loaded = sequence;
	feed->next = sequence + 1;
	if (sequence > feed->arrived)
		feed->arrived = sequence;
}

void
feed_loaded(struct feed *feed, uint64_t upto)
{
	BUG_ON(!feed->is_reading);
	feed->is_reading = false;
	if (upto > feed->loaded)
		feed->loaded = upto;
	feed->next = feed->loaded + 1;
	feed->is_lagging = feed->arrived > feed->loaded;
}

void
feed_read_failed(struct feed *feed)
{
	BUG_ON(!feed->is_reading);
	feed->is_reading = false;
}

void
feed_rewind(struct feed *feed, uint64_t sequence)
{
	BUG_ON(sequence > feed->loaded);
	feed->loaded = sequence - 1;
	feed->next = sequence;
	feed->is_lagging = true;
}
