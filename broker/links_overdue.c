/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_overdue.h"

#include "broker/links_egress.h"
#include "broker/links_incoming.h"
#include "broker/links_ingress.h"
#include "broker/links_private.h"

/* UINT64_MAX: never. */
static uint64_t
due_ns(const struct links_incoming *in)
{
	const uint64_t limit_ns =
	    in->links->broker->conf->http.stall_timeout_ns;

	if (!links_ingress_may_refuse(in))
		return UINT64_MAX;
	return in->record.time_ns + limit_ns;
}

/* The lanes whose heads are due by now need a turn; the next one is waited
 * for. */
static void
look(void *arg)
{
	struct links *links = arg;
	const uint64_t now_ns = loop_now_ns(links->loop);
	struct links_endpoint *endpoint;
	struct links_lane *lane;
	uint64_t next_ns = UINT64_MAX;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		LINKS_EACH_LANE(endpoint, lane)
		{
			if (lane->is_known && lane->overdue_ns > now_ns &&
			    lane->overdue_ns < next_ns)
				next_ns = lane->overdue_ns;
		}
	}
	links->overdue_next_ns = next_ns;
	if (next_ns != UINT64_MAX)
		loop_timer_start(&links->overdue, next_ns - now_ns);
	loop_again(links->loop);
}

void
links_overdue_start(struct links *links)
{
	links->overdue_next_ns = UINT64_MAX;
	loop_timer_init(&links->overdue, links->loop, look, links);
}

void
links_overdue_stop(struct links *links)
{
	loop_timer_stop(&links->overdue);
}

void
links_overdue_note(struct links_incoming *in)
{
	struct links *links = in->links;
	struct links_lane *lane = in->lane;

	lane->overdue_ns = due_ns(in);
	if (lane->overdue_ns >= links->overdue_next_ns)
		return;
	links->overdue_next_ns = lane->overdue_ns;
	loop_timer_start(&links->overdue,
	    lane->overdue_ns > links->now_ns ? lane->overdue_ns - links->now_ns
					     : 0);
}

bool
links_overdue_is_due(const struct links *links, const struct links_lane *lane)
{
	return lane->needs != 0 && lane->overdue_ns <= links->now_ns;
}

bool
links_overdue_refuse(struct links_incoming *in, uint64_t lacking)
{
	if (lacking == 0 || due_ns(in) > in->links->now_ns)
		return false;
	in->reason = MQTT_QUOTA_EXCEEDED;
	links_output_forget_waiter(in->links, in->lane);
	links_egress_refused(in->links, lacking);
	links_ingress_count_declined(in, in->reliable | in->droppable);
	links_count(in->links, COUNT_ring_messages_overdue, 1);
	return true;
}
