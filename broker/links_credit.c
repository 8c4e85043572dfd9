/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_credit.h"

#include "broker/backlog.h"
#include "broker/links_private.h"

bool
links_credit_release(struct links_endpoint *endpoint)
{
	struct links_lane *lane;
	bool moved = false;

	LINKS_EACH_LANE(endpoint, lane)
	{
		/* Also when only padding was stepped over. */
		moved |= ring_release(lane->consumer,
		    lane->pending.list.count == 0
			? ring_consumer_cursor(lane->consumer)
			: lane->done_word,
		    &lane->outcome, endpoint->links->now_ns);
		lane->outcome = (struct ring_outcome){ 0 };
	}
	return moved;
}

/*
 * Credit is never taken back, and a backlog is shared: what has got into a
 * lane on the strength of room that others took since has to wait there, where
 * nobody can be told that it is refused.  So much of the room is granted to
 * each lane, within bounds in bytes.
 */
#define CREDIT_SHARE 4
#define CREDIT_MOST (UINT64_C(1) << 20)
#define CREDIT_LEAST (UINT64_C(64) << 10)

/*
 * A message weighs in a backlog (message_weight()) up to half as much again as
 * its record is long in a lane.
 */
static uint64_t
in_lane_bytes(uint64_t weight)
{
	return weight / 3 * 2;
}

static uint64_t
backlog_credit(const struct backlogs *backlogs, unsigned bridge)
{
	const uint64_t used = backlog_bytes(backlogs, bridge);
	const uint64_t limit = backlog_limit(backlogs, bridge);
	uint64_t room, credit;

	if (used >= limit || !backlog_has_room(backlogs, bridge, 1))
		return 0;
	room = in_lane_bytes(limit - used);
	credit = room / CREDIT_SHARE;
	if (credit > CREDIT_MOST)
		credit = CREDIT_MOST;
	if (credit < CREDIT_LEAST)
		credit = CREDIT_LEAST;
	return credit < room ? credit : room;
}

static uint64_t
free_bytes(
    const struct links *links, const struct links_lane *lane, unsigned bridge)
{
	struct ring_producer *producer =
	    links->endpoints[bridge + 1]->output.producer;

	if (links->journal.port != NULL)
		return backlog_credit(links->broker->backlogs, bridge);
	return producer == NULL
	    ? 0
	    : ring_producer_free_bytes(producer, lane->largest);
}

/* What the destinations of a lane have free. */
static uint64_t
budget(struct links *links, const struct links_lane *lane)
{
	uint64_t least = ring_consumer_capacity(lane->consumer), margin, room;
	uint64_t waited_for = lane->set &
	    ~bridge_table_rejecting(links->broker->bridges, lane->set);
	unsigned bridge;

	if (links->is_draining)
		return 0;
	/* Sets that share a lane wait for each other anyway. */
	if (lane->set == 0 || lane->geometry.name[0] == '*')
		return least;
	/* A bridge that rejects lets nothing wait: it is put in to be told. */
	BRIDGE_TABLE_EACH(bridge, waited_for)
	{
		room = free_bytes(links, lane, bridge);
		if (room < least)
			least = room;
	}
	/*
	 * A record may begin below the limit and end beyond it: without this
	 * margin the last one would wait in the lane, committed, for as long
	 * as its bridge stands still.
	 */
	margin = ring_record_size(lane->largest);
	return least > margin ? least - margin : 0;
}

/* Credit is given in steps, or at once to a producer that may wait for it. */
bool
links_credit_is_due(
    struct links *links, struct links_lane *lane, uint64_t *out_position)
{
	uint64_t cursor, position, step;

	cursor = RING_POSITION(ring_consumer_cursor(lane->consumer));
	position = cursor + budget(links, lane);
	if (position <= lane->granted)
		return false;
	step = (UINT64_C(1) << lane->geometry.min_shift) / 16;
	if (position - lane->granted < step &&
	    lane->granted >
		cursor + ring_consumer_pending_bytes(lane->consumer))
		return false;
	*out_position = position;
	return true;
}

bool
links_credit_grant(struct links_endpoint *endpoint)
{
	struct links_lane *lane;
	uint64_t position;
	bool moved = false;

	LINKS_EACH_LANE(endpoint, lane)
	{
		if (!links_credit_is_due(endpoint->links, lane, &position))
			continue;
		moved |= ring_grant(lane->consumer, position);
		lane->granted = position;
	}
	return moved;
}
