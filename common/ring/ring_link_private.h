/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_link_private - what ring_link.c (the link, sleep and wake) and
 * ring_link_lanes.c (its lanes) share.
 */

#ifndef WEIR_COMMON_RING_RING_LINK_PRIVATE_H
#define WEIR_COMMON_RING_RING_LINK_PRIVATE_H

#include <errno.h>
#include <fcntl.h>

#include "common/ring/ring_link.h"

/* One open lane, seen from its producer or its consumer. */
struct ring_link_lane {
	struct ring_lane_geometry geometry;
	struct ring_producer *producer; /* one of the two */
	struct ring_consumer *consumer;
	void *map; /* NULL: not open */
	size_t map_length;
	int fd; /* ours, so that ring_inspect finds the memory */
};

struct ring_link {
	struct ring_link_identity identity; /* [const] */
	enum ring_role own_role;            /* [const] */
	struct bell_fds bells;
	uint8_t *own;        /* own side memfd, read-write */
	const uint8_t *peer; /* the other one, read-only */
	int own_fd, peer_fd; /* ours, as a lane's */
	struct ring_trace trace;
	struct ring_link_lane produced[RING_LANES];
	struct ring_link_lane consumed[RING_LANES];
	uint64_t arm;       /* value of our arm word */
	uint64_t signalled; /* last arm value the bell was rung for, or 0 */
};

static inline struct ring_side_header *
ring_link_own_header(const struct ring_link *link)
{
	return (struct ring_side_header *)link->own;
}

static inline const struct ring_side_header *
ring_link_peer_header(const struct ring_link *link)
{
	return (const struct ring_side_header *)link->peer;
}

static inline uint64_t
ring_link_load(const _Atomic uint64_t *field)
{
	/* relaxed: life signs and counters, they order nothing */
	return atomic_load_explicit(field, memory_order_relaxed);
}

static inline void
ring_link_store(_Atomic uint64_t *field, uint64_t value)
{
	/* relaxed: as ring_link_load() */
	atomic_store_explicit(field, value, memory_order_relaxed);
}

static inline enum ring_role
ring_link_peer_role(const struct ring_link *link)
{
	return link->own_role == RING_ROLE_BROKER
	    ? (enum ring_role)link->identity.endpoint_role
	    : RING_ROLE_BROKER;
}

/* A copy of our own that is not inherited. */
static inline int
ring_link_keep_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy == -1 ? -errno : copy;
}

/* Unmap it, if it is open. */
void ring_link_close_lane(struct ring_link_lane *lane);

#endif
