/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_tend.h"

#include <string.h>

#include "broker/links_private.h"
#include "common/base/log.h"

static void
log_changes(struct links_endpoint *endpoint)
{
	const char *name = endpoint->identity.name, *lane;
	struct ring_change change;

	while (ring_link_next_change(endpoint->link, &lane, &change)) {
		if (change.error != 0)
			log_warning("ring_not_grown",
			    "to=%s capacity=%llu error=%s", log_quote(name),
			    (unsigned long long)change.from_bytes,
			    log_quote(strerror(-change.error)));
		else
			log_info("ring_resized",
			    "to=%s capacity=%llu former=%llu", log_quote(name),
			    (unsigned long long)change.to_bytes,
			    (unsigned long long)change.from_bytes);
	}
}

void
links_tend_later(struct links *links)
{
	struct links_endpoint *endpoint;

	if (loop_timer_is_running(&links->tend))
		return;
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (!ring_link_needs_tending(endpoint->link))
			continue;
		loop_timer_start(&links->tend, RING_TEND_NS);
		return;
	}
}

void
links_tend(void *arg)
{
	struct links *links = arg;
	struct links_endpoint *endpoint;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (ring_link_tend(endpoint->link, loop_now_ns(links->loop)))
			loop_again(links->loop);
		log_changes(endpoint);
	}
	links_tend_later(links);
}
