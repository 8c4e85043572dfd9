/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_policy.h"

#include "broker/backlog.h"
#include "broker/bridge_port_links.h"
#include "broker/bridge_table.h"
#include "broker/links_private.h"
#include "common/base/log.h"

const char *
links_policy_name(enum conf_overflow policy)
{
	static const char *const names[] = {
		[CONF_OVERFLOW_STALL] = "stall",
		[CONF_OVERFLOW_REJECT] = "reject",
		[CONF_OVERFLOW_DROP_OLDEST] = "drop_oldest",
		[CONF_OVERFLOW_DROP_NEWEST] = "drop_newest",
	};

	return names[policy];
}

static bool
is_same(const struct links_endpoint *endpoint, const struct conf_bridge *fresh)
{
	return endpoint->overflow == fresh->overflow &&
	    endpoint->backlog == fresh->backlog;
}

static void
change(struct links_endpoint *endpoint, const struct conf_bridge *fresh)
{
	struct broker *broker = endpoint->links->broker;
	const unsigned bridge = (unsigned)endpoint->bridge_number;

	log_info("bridge_policy_changed",
	    "bridge=%s overflow=%s former=%s backlog=%llu",
	    log_quote(endpoint->identity.name),
	    links_policy_name(fresh->overflow),
	    links_policy_name(endpoint->overflow),
	    (unsigned long long)fresh->backlog);
	endpoint->links->were_droppable |=
	    bridge_table_reliable(broker->bridges, UINT64_C(1) << bridge) ^
	    UINT64_C(1) << bridge;
	endpoint->overflow = fresh->overflow;
	endpoint->backlog = fresh->backlog;
	/* Nobody but what is kept of former rings goes first. */
	endpoint->output.waiter = endpoint->salvage;
	bridge_table_set_overflow(broker->bridges, bridge, fresh->overflow);
	if (broker->backlogs != NULL)
		backlog_configure(
		    broker->backlogs, bridge, fresh->backlog, fresh->overflow);
}

static void
tell_workers(struct links *links)
{
	for (unsigned i = 0; i < links->port_count; i++)
		if (links->ports[i] != NULL)
			bridge_port_moved(links->ports[i]);
}

void
links_policies_changed(struct links *links, const struct conf *conf)
{
	const struct conf_bridge *fresh;
	struct links_endpoint *endpoint;

	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		fresh = conf_bridge(conf, endpoint->identity.name);
		if (fresh != NULL && !is_same(endpoint, fresh))
			change(endpoint, fresh);
	}
	tell_workers(links);
}
