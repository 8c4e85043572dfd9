/* SPDX-License-Identifier: Apache-2.0 */

/* links_feed_private - what the two files of the feed share. */

#ifndef WEIR_BROKER_LINKS_FEED_PRIVATE_H
#define WEIR_BROKER_LINKS_FEED_PRIVATE_H

#include "broker/backlog.h"
#include "broker/links_feed.h"
#include "broker/links_private.h"

static inline struct backlogs *
links_feed_backlogs(const struct links_endpoint *endpoint)
{
	return endpoint->links->broker->backlogs;
}

static inline unsigned
links_feed_bridge(const struct links_endpoint *endpoint)
{
	return (unsigned)endpoint->bridge_number;
}

/* No more than there is. */
static inline uint64_t
links_feed_at_most(uint64_t wanted, uint64_t there)
{
	return wanted < there ? wanted : there;
}

/* The window's head goes: read again, or in the ring. */
void links_feed_remove_head(struct links_feed *feed);

/*
 * If all was read: what is missing was over before, or is damaged, and in no
 * backlog any more.
 */
void links_feed_catch_up(struct links_endpoint *endpoint);

#endif
