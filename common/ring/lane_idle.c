/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/lane_idle.h"

#include <string.h>

void
lane_idle_reset(struct lane_idle *idle)
{
	memset(idle, 0, sizeof(*idle));
}

/* Empty, and as small as when it was opened. */
static bool
could_close(
    struct ring_producer *producer, const struct ring_lane_geometry *geometry)
{
	return geometry->name[0] != '\0' &&
	    !ring_producer_is_poisoned(producer) &&
	    ring_producer_is_drained(producer) &&
	    ring_producer_capacity(producer) ==
	    ring_class_size(geometry->min_shift, 0);
}

/* Has it been idle for so long? */
static bool
look_at(struct lane_idle *idle, struct ring_link *link, uint32_t lane,
    uint64_t now_ns, uint64_t idle_ns)
{
	struct ring_producer *producer = ring_link_producer(link, lane);
	uint64_t sequence;

	if (producer == NULL || idle->lanes[lane].is_asked)
		return false;
	sequence = ring_producer_sequence(producer);
	if (idle->lanes[lane].since_ns == 0 ||
	    idle->lanes[lane].sequence != sequence ||
	    !could_close(producer, ring_link_producer_lane(link, lane))) {
		idle->lanes[lane].sequence = sequence;
		idle->lanes[lane].since_ns = now_ns;
	}
	return now_ns - idle->lanes[lane].since_ns >= idle_ns &&
	    could_close(producer, ring_link_producer_lane(link, lane));
}

int
lane_idle_find(struct lane_idle *idle, struct ring_link *link, uint64_t now_ns,
    uint64_t idle_ns)
{
	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		if (look_at(idle, link, lane, now_ns, idle_ns))
			return (int)lane;
	}
	return -1;
}

void
lane_idle_used(struct lane_idle *idle, uint32_t lane, uint64_t now_ns)
{
	idle->lanes[lane].since_ns = now_ns;
}

void
lane_idle_asked(struct lane_idle *idle, uint32_t lane)
{
	idle->lanes[lane].is_asked = true;
}

void
lane_idle_closed(struct lane_idle *idle, uint32_t lane)
{
	memset(&idle->lanes[lane], 0, sizeof(idle->lanes[lane]));
}

bool
lane_idle_is_asked(const struct lane_idle *idle, uint32_t lane)
{
	return lane < RING_LANES && idle->lanes[lane].is_asked;
}
