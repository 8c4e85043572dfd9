/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_drain.h"

#include "broker/links_egress.h"
#include "broker/links_feed.h"
#include "broker/links_ingress.h"
#include "broker/links_private.h"
#include "common/base/log.h"

/* Records that an attached bridge has still to take. */
static uint64_t
undelivered(const struct links_endpoint *endpoint)
{
	if (endpoint->role != RING_ROLE_BRIDGE)
		return 0;
	return ring_producer_used_bytes(endpoint->output.producer);
}

/*
 * Is it worth waiting for?  What the journal has is not lost, but it may come
 * twice where the bridge is in the middle of it: who cannot go on is not
 * waited for.
 */
static bool
may_take_more(const struct links_endpoint *endpoint)
{
	return endpoint->state == LINKS_ATTACHED && !endpoint->is_disabled &&
	    (endpoint->feed == NULL || links_endpoint_remote_is_up(endpoint));
}

bool
links_drain(struct links *links)
{
	struct links_endpoint *endpoint;

	links->is_draining = true;
	loop_again(links->loop);
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (may_take_more(endpoint) && undelivered(endpoint) != 0)
			return false;
	}
	return links_egress_is_empty(links) && links_ingress_is_empty(links);
}

static void
say_what_ring_has(const struct links_endpoint *endpoint)
{
	const uint64_t bytes = undelivered(endpoint);
	const bool is_kept = fdstore_is_available();

	if (bytes != 0 && is_kept)
		log_warning("ring_left",
		    "bridge=%s bytes=%llu reason=\"its bridge has not taken "
		    "them: a restart goes on with them, after a stop they are "
		    "lost\"",
		    log_quote(endpoint->identity.name),
		    (unsigned long long)bytes);
	else if (bytes != 0)
		log_warning("ring_abandoned",
		    "bridge=%s bytes=%llu reason=\"the broker ends before its "
		    "bridge took them\"",
		    log_quote(endpoint->identity.name),
		    (unsigned long long)bytes);
}

static void
say_what_journal_has(const struct links_endpoint *endpoint)
{
	const struct ring_outcome outcome = links_endpoint_outcome(endpoint);
	const uint64_t messages = links_feed_waiting(endpoint) +
	    links_endpoint_in_ring(endpoint, &outcome);

	if (messages != 0)
		log_info("backlog_kept",
		    "bridge=%s messages=%llu reason=\"its bridge has not taken "
		    "them: they are in the journal\"",
		    log_quote(endpoint->identity.name),
		    (unsigned long long)messages);
}

/*
 * Without a journal a ring dies with the broker, unless its memory is kept.  A
 * supervisor keeps it over a restart and not over a stop, and does not tell
 * which of the two this is.
 */
void
links_say_what_is_left(struct links *links)
{
	struct links_endpoint *endpoint;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (endpoint->feed == NULL)
			say_what_ring_has(endpoint);
		else
			say_what_journal_has(endpoint);
	}
}
