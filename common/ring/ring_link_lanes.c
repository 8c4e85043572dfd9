/* SPDX-License-Identifier: Apache-2.0 */

/* The lanes of a link: opened, closed, tended. */

#include "common/ring/ring_link_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/ring/ring_link_memory.h"
#include "common/shm/memfd.h"

void
ring_link_close_lane(struct ring_link_lane *lane)
{
	ring_producer_free(lane->producer);
	ring_consumer_free(lane->consumer);
	if (lane->map != NULL) {
		munmap(lane->map, lane->map_length);
		close(lane->fd);
	}
	*lane = (struct ring_link_lane){ 0 };
}

/* Map a lane into *lane; its producer or consumer is still to be made. */
static int
open_lane(const struct ring_link *link, enum ring_role producer_role,
    const struct ring_lane_geometry *geometry, int fd,
    struct ring_link_lane *lane)
{
	void *map;
	int copy, err;

	copy = ring_link_keep_fd(fd);
	if (copy < 0)
		return copy;
	err = ring_memory_map_lane(&link->identity, producer_role, geometry, fd,
	    producer_role == link->own_role, &map);
	if (err != 0) {
		close(copy);
		return err;
	}
	lane->fd = copy;
	lane->geometry = *geometry;
	lane->map = map;
	lane->map_length =
	    ring_lane_length(geometry->min_shift, geometry->classes);
	return 0;
}

/*
 * Describe the lane to weirctl.  A predecessor may have done it; it cannot
 * have described another lane: it is closed before its slot is used again.
 */
static int
publish(struct ring_lane_producer *own,
    const struct ring_lane_geometry *geometry, uint64_t map_length)
{
	/* relaxed: only this side writes it */
	if (atomic_load_explicit(&own->open, memory_order_relaxed) == 1)
		return own->min_shift == geometry->min_shift &&
			own->classes == geometry->classes &&
			own->map_length == map_length &&
			strncmp(own->name, geometry->name, sizeof(own->name)) ==
			    0
		    ? 0
		    : -EBADMSG;
	own->min_shift = geometry->min_shift;
	own->classes = geometry->classes;
	own->map_length = map_length;
	memcpy(own->name, geometry->name, sizeof(own->name));
	/* release: pairs with the read in ring_inspect.c */
	atomic_store_explicit(&own->open, 1, memory_order_release);
	return 0;
}

static int
allocate(void *context, uint64_t offset, uint64_t length)
{
	const struct ring_link_lane *lane = context;

	return memfd_allocate(lane->fd, offset, length);
}

static int
punch(void *context, uint64_t offset, uint64_t length)
{
	const struct ring_link_lane *lane = context;

	return memfd_punch(lane->fd, offset, length);
}

static struct ring_lane_producer *
block_of(const struct ring_link *link, uint32_t lane)
{
	return (struct ring_lane_producer *)(link->own + RING_SIDE_PRODUCERS +
	    lane * RING_PRODUCER_STRIDE);
}

static struct ring_producer *
make_producer(
    const struct ring_link *link, uint32_t id, struct ring_link_lane *lane)
{
	const struct ring_producer_memory memory = {
		.head = (struct ring_head *)(link->own + RING_SIDE_HEADS) + id,
		.own = block_of(link, id),
		.peer = (const struct ring_lane_consumer *)(link->peer +
		    RING_SIDE_CONSUMERS + id * RING_CONSUMER_STRIDE),
		.data = lane->map,
		.space = { .allocate = allocate,
		    .punch = punch,
		    .context = lane },
		.min_shift = lane->geometry.min_shift,
		.classes = lane->geometry.classes,
	};

	if (publish(memory.own, &lane->geometry, lane->map_length) != 0) {
		errno = EPROTO;
		return NULL;
	}
	return ring_producer_new(&memory);
}

static struct ring_consumer *
make_consumer(
    const struct ring_link *link, uint32_t id, struct ring_link_lane *lane)
{
	const struct ring_consumer_memory memory = {
		.head =
		    (const struct ring_head *)(link->peer + RING_SIDE_HEADS) +
		    id,
		.peer = (const struct ring_lane_producer *)(link->peer +
		    RING_SIDE_PRODUCERS + id * RING_PRODUCER_STRIDE),
		.own = (struct ring_lane_consumer *)(link->own +
		    RING_SIDE_CONSUMERS + id * RING_CONSUMER_STRIDE),
		.data = lane->map,
		.min_shift = lane->geometry.min_shift,
		.classes = lane->geometry.classes,
	};

	return ring_consumer_new(&memory);
}

int
ring_link_add_producer(struct ring_link *link,
    const struct ring_lane_geometry *geometry, int fd,
    struct ring_producer **out_producer)
{
	struct ring_link_lane *lane;
	int err;

	if (!ring_memory_geometry_is_valid(geometry))
		return -EINVAL;
	lane = &link->produced[geometry->lane];
	if (lane->map != NULL)
		return -EEXIST;
	err = open_lane(link, link->own_role, geometry, fd, lane);
	if (err != 0)
		return err;
	lane->producer = make_producer(link, geometry->lane, lane);
	if (lane->producer == NULL) {
		err = errno == EPROTO ? -EBADMSG : -errno;
		ring_link_close_lane(lane);
		return err;
	}
	if (out_producer != NULL)
		*out_producer = lane->producer;
	return 0;
}

int
ring_link_add_consumer(struct ring_link *link,
    const struct ring_lane_geometry *geometry, int fd,
    struct ring_consumer **out_consumer)
{
	struct ring_link_lane *lane;
	int err;

	if (!ring_memory_geometry_is_valid(geometry))
		return -EINVAL;
	lane = &link->consumed[geometry->lane];
	if (lane->map != NULL)
		return -EEXIST;
	err = open_lane(link, ring_link_peer_role(link), geometry, fd, lane);
	if (err != 0)
		return err;
	lane->consumer = make_consumer(link, geometry->lane, lane);
	if (lane->consumer == NULL) {
		err = errno == EPROTO ? -EBADMSG : -errno;
		ring_link_close_lane(lane);
		return err;
	}
	if (out_consumer != NULL)
		*out_consumer = lane->consumer;
	return 0;
}

/* release: its memory was whole as long as it was called open */
static void
unpublish(struct ring_lane_producer *own)
{
	atomic_store_explicit(&own->open, 0, memory_order_release);
}

void
ring_link_remove_producer(struct ring_link *link, uint32_t lane)
{
	BUG_ON(lane >= RING_LANES || link->produced[lane].map == NULL);
	BUG_ON(!ring_producer_is_drained(link->produced[lane].producer) &&
	    !ring_producer_is_poisoned(link->produced[lane].producer));
	unpublish(block_of(link, lane));
	ring_link_close_lane(&link->produced[lane]);
}

void
ring_link_remove_consumer(struct ring_link *link, uint32_t lane)
{
	BUG_ON(lane >= RING_LANES || link->consumed[lane].map == NULL);
	ring_link_close_lane(&link->consumed[lane]);
}

void
ring_link_close_missing(struct ring_link *link)
{
	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		if (link->produced[lane].map == NULL)
			unpublish(block_of(link, lane));
	}
}

struct ring_producer *
ring_link_producer(struct ring_link *link, uint32_t lane)
{
	return lane < RING_LANES ? link->produced[lane].producer : NULL;
}

struct ring_consumer *
ring_link_consumer(struct ring_link *link, uint32_t lane)
{
	return lane < RING_LANES ? link->consumed[lane].consumer : NULL;
}

static const struct ring_lane_geometry *
geometry_of(const struct ring_link_lane *lanes, uint32_t lane)
{
	if (lane >= RING_LANES || lanes[lane].map == NULL)
		return NULL;
	return &lanes[lane].geometry;
}

const struct ring_lane_geometry *
ring_link_producer_lane(const struct ring_link *link, uint32_t lane)
{
	return geometry_of(link->produced, lane);
}

const struct ring_lane_geometry *
ring_link_consumer_lane(const struct ring_link *link, uint32_t lane)
{
	return geometry_of(link->consumed, lane);
}

static int
fd_of(const struct ring_link_lane *lanes, uint32_t lane)
{
	return geometry_of(lanes, lane) == NULL ? -1 : lanes[lane].fd;
}

int
ring_link_producer_fd(const struct ring_link *link, uint32_t lane)
{
	return fd_of(link->produced, lane);
}

int
ring_link_consumer_fd(const struct ring_link *link, uint32_t lane)
{
	return fd_of(link->consumed, lane);
}

bool
ring_link_is_fresh(const struct ring_link *link, uint32_t lane)
{
	const struct ring_head *heads =
	    (const struct ring_head *)(link->peer + RING_SIDE_HEADS);
	const struct ring_lane_consumer *own =
	    (const struct ring_lane_consumer *)(link->own +
		RING_SIDE_CONSUMERS + lane * RING_CONSUMER_STRIDE);

	return ring_link_load(&heads[lane].word) == 0 &&
	    ring_link_load(&own->tail) == 0;
}

bool
ring_link_tend(struct ring_link *link, uint64_t now_ns)
{
	bool has_changed = false;

	for (unsigned i = 0; i < RING_LANES; i++) {
		if (link->produced[i].producer != NULL)
			has_changed |= ring_producer_tend(
			    link->produced[i].producer, now_ns);
	}
	if (has_changed)
		ring_link_wake(link);
	return has_changed;
}

bool
ring_link_needs_tending(const struct ring_link *link)
{
	for (unsigned i = 0; i < RING_LANES; i++) {
		if (link->produced[i].producer != NULL &&
		    ring_producer_needs_tending(link->produced[i].producer))
			return true;
	}
	return false;
}

bool
ring_link_next_change(struct ring_link *link, const char **out_lane,
    struct ring_change *out_change)
{
	for (unsigned i = 0; i < RING_LANES; i++) {
		if (link->produced[i].producer == NULL ||
		    !ring_producer_next_change(
			link->produced[i].producer, out_change))
			continue;
		*out_lane = link->produced[i].geometry.name;
		return true;
	}
	return false;
}

const char *
ring_link_fault(const struct ring_link *link)
{
	const char *fault = NULL;

	for (unsigned i = 0; i < RING_LANES && fault == NULL; i++) {
		if (link->produced[i].producer != NULL)
			fault = ring_producer_fault(link->produced[i].producer);
		if (fault == NULL && link->consumed[i].consumer != NULL)
			fault = ring_consumer_fault(link->consumed[i].consumer);
	}
	return fault;
}
