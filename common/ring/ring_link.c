/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/ring/ring_link_memory.h"
#include "common/shm/memfd.h"

/* One open lane, seen from its producer or its consumer. */
struct lane {
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
	struct lane produced[RING_LANES];
	struct lane consumed[RING_LANES];
	uint64_t arm;       /* value of our arm word */
	uint64_t signalled; /* last arm value the bell was rung for, or 0 */
};

static struct ring_side_header *
own_header(const struct ring_link *link)
{
	return (struct ring_side_header *)link->own;
}

static const struct ring_side_header *
peer_header(const struct ring_link *link)
{
	return (const struct ring_side_header *)link->peer;
}

static uint64_t
load(const _Atomic uint64_t *field)
{
	/* relaxed: life signs and counters, they order nothing */
	return atomic_load_explicit(field, memory_order_relaxed);
}

static void
store(_Atomic uint64_t *field, uint64_t value)
{
	/* relaxed: as load() */
	atomic_store_explicit(field, value, memory_order_relaxed);
}

static enum ring_role
peer_role(const struct ring_link *link)
{
	return link->own_role == RING_ROLE_BROKER
	    ? (enum ring_role)link->identity.endpoint_role
	    : RING_ROLE_BROKER;
}

/* A copy of our own that is not inherited. */
static int
keep_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy == -1 ? -errno : copy;
}

static int
keep_sides(struct ring_link *link, int own_fd, int peer_fd)
{
	int own, peer;

	own = keep_fd(own_fd);
	if (own < 0)
		return own;
	peer = keep_fd(peer_fd);
	if (peer < 0) {
		close(own);
		return peer;
	}
	link->own_fd = own;
	link->peer_fd = peer;
	return 0;
}

static int
map_sides(struct ring_link *link, int own_fd, int peer_fd)
{
	void *own, *peer;
	int err;

	err = ring_memory_map_side(
	    &link->identity, link->own_role, own_fd, true, &own);
	if (err != 0)
		return err;
	err = ring_memory_map_side(
	    &link->identity, peer_role(link), peer_fd, false, &peer);
	if (err != 0) {
		munmap(own, RING_SIDE_LENGTH);
		return err;
	}
	link->own = own;
	link->peer = peer;
	return 0;
}

int
ring_link_attach(const struct ring_link_identity *identity,
    enum ring_role own_role, int own_fd, int peer_fd,
    const struct bell_fds *bells, struct ring_link **out_link)
{
	struct ring_side_header *own;
	struct ring_link *link;
	int err;

	if (own_role != RING_ROLE_BROKER && own_role != identity->endpoint_role)
		return -EINVAL;
	link = calloc(1, sizeof(*link));
	if (link == NULL)
		return -ENOMEM;
	link->identity = *identity;
	link->own_role = own_role;
	err = keep_sides(link, own_fd, peer_fd);
	if (err != 0)
		goto fail;
	err = map_sides(link, own_fd, peer_fd);
	if (err != 0) {
		close(link->own_fd);
		close(link->peer_fd);
		goto fail;
	}
	link->bells = *bells;
	ring_trace_init(&link->trace,
	    (struct ring_trace_area *)(void *)(link->own + RING_SIDE_TRACE));

	own = own_header(link);
	link->arm = load(&own->arm);
	ring_link_disarm(link);
	store(&own->epoch, load(&own->epoch) + 1);
	store(&own->pid, (uint64_t)getpid());
	store(&own->heartbeat_ns, clock_now_ns());
	store(&own->attached, 1);
	/* A predecessor may have died between its commit and its bell. */
	ring_link_ring(link);
	*out_link = link;
	return 0;

fail:
	free(link);
	return err;
}

static void
close_lane(struct lane *lane)
{
	ring_producer_free(lane->producer);
	ring_consumer_free(lane->consumer);
	if (lane->map != NULL) {
		munmap(lane->map, lane->map_length);
		close(lane->fd);
	}
	*lane = (struct lane){ 0 };
}

void
ring_link_detach(struct ring_link *link)
{
	void *peer;

	if (link == NULL)
		return;
	for (unsigned i = 0; i < RING_LANES; i++) {
		close_lane(&link->produced[i]);
		close_lane(&link->consumed[i]);
	}
	store(&own_header(link)->attached, 0);
	munmap(link->own, RING_SIDE_LENGTH);
	memcpy(&peer, &link->peer, sizeof(peer));
	munmap(peer, RING_SIDE_LENGTH);
	close(link->own_fd);
	close(link->peer_fd);
	bell_close(&link->bells);
	free(link);
}

/* Map a lane into *lane; its producer or consumer is still to be made. */
static int
open_lane(const struct ring_link *link, enum ring_role producer_role,
    const struct ring_lane_geometry *geometry, int fd, struct lane *lane)
{
	void *map;
	int copy, err;

	copy = keep_fd(fd);
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
 * have described another lane, since lane ids are not used again.
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
	const struct lane *lane = context;

	return memfd_allocate(lane->fd, offset, length);
}

static int
punch(void *context, uint64_t offset, uint64_t length)
{
	const struct lane *lane = context;

	return memfd_punch(lane->fd, offset, length);
}

static struct ring_producer *
make_producer(const struct ring_link *link, uint32_t id, struct lane *lane)
{
	const struct ring_producer_memory memory = {
		.head = (struct ring_head *)(link->own + RING_SIDE_HEADS) + id,
		.own = (struct ring_lane_producer *)(link->own +
		    RING_SIDE_PRODUCERS + id * RING_PRODUCER_STRIDE),
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
make_consumer(const struct ring_link *link, uint32_t id, struct lane *lane)
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
	struct lane *lane;
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
		close_lane(lane);
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
	struct lane *lane;
	int err;

	if (!ring_memory_geometry_is_valid(geometry))
		return -EINVAL;
	lane = &link->consumed[geometry->lane];
	if (lane->map != NULL)
		return -EEXIST;
	err = open_lane(link, peer_role(link), geometry, fd, lane);
	if (err != 0)
		return err;
	lane->consumer = make_consumer(link, geometry->lane, lane);
	if (lane->consumer == NULL) {
		err = errno == EPROTO ? -EBADMSG : -errno;
		close_lane(lane);
		return err;
	}
	if (out_consumer != NULL)
		*out_consumer = lane->consumer;
	return 0;
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
geometry_of(const struct lane *lanes, uint32_t lane)
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

void *
ring_link_notes(struct ring_link *link)
{
	return link->own + RING_SIDE_NOTES;
}

struct board *
ring_link_board(struct ring_link *link)
{
	return (struct board *)(void *)(link->own + RING_SIDE_BOARD);
}

struct ring_trace *
ring_link_trace(struct ring_link *link)
{
	return &link->trace;
}

static void
count(_Atomic uint64_t *counter)
{
	store(counter, load(counter) + 1);
}

void
ring_link_ring(struct ring_link *link)
{
	count(&own_header(link)->bells_rung);
	if (link->own_role == RING_ROLE_BROKER)
		bell_ring_endpoint(link->bells.to_endpoint_send);
	else
		bell_ring_broker(link->bells.to_broker);
}

void
ring_link_wake(struct ring_link *link)
{
	uint64_t arm;

	/*
	 * Dekker: our stores of head, tail or limit come before this load, and
	 * the peer's store of arm before its recheck of them.  One of the two
	 * sees the other.
	 */
	ring_fence();
	/* relaxed: ordered by the fence */
	arm =
	    atomic_load_explicit(&peer_header(link)->arm, memory_order_relaxed);
	if ((arm & 1) == 0 || arm == link->signalled)
		return;
	link->signalled = arm;
	ring_link_ring(link);
}

void
ring_link_arm(struct ring_link *link)
{
	bool is_committed = false;
	uint64_t now_ns = 0;

	for (unsigned i = 0; i < RING_LANES; i++) {
		if (link->produced[i].producer == NULL)
			continue;
		if (now_ns == 0)
			now_ns = clock_now_ns();
		if (ring_commit(link->produced[i].producer, now_ns))
			is_committed = true;
	}
	if (is_committed)
		ring_link_wake(link);

	/* A new odd value, also when it is odd: every sleep takes its own. */
	link->arm += (link->arm & 1) != 0 ? 2 : 1;
	/* relaxed: the caller's ring_fence() orders it before the recheck;
	 * pairs with the load in ring_link_wake(). */
	atomic_store_explicit(
	    &own_header(link)->arm, link->arm, memory_order_relaxed);
	count(&own_header(link)->sleeps);
}

void
ring_link_disarm(struct ring_link *link)
{
	if ((link->arm & 1) == 0)
		return;
	link->arm++;
	/* relaxed: seen late it costs one useless bell */
	atomic_store_explicit(
	    &own_header(link)->arm, link->arm, memory_order_relaxed);
}

int
ring_link_bell_fd(const struct ring_link *link)
{
	return link->own_role == RING_ROLE_BROKER
	    ? link->bells.to_broker
	    : link->bells.to_endpoint_wait;
}

bool
ring_link_drain_bell(struct ring_link *link)
{
	/* The broker never reads its bell: see bell.h. */
	BUG_ON(link->own_role == RING_ROLE_BROKER);
	return bell_drain(link->bells.to_endpoint_wait);
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

void
ring_link_beat(struct ring_link *link, uint64_t now_ns)
{
	store(&own_header(link)->heartbeat_ns, now_ns);
}

void
ring_link_count_empty_wake(struct ring_link *link)
{
	count(&own_header(link)->empty_wakes);
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

const struct ring_link_identity *
ring_link_identity(const struct ring_link *link)
{
	return &link->identity;
}

uint64_t
ring_link_epoch(const struct ring_link *link)
{
	return load(&own_header(link)->epoch);
}

uint64_t
ring_link_peer_epoch(const struct ring_link *link)
{
	return load(&peer_header(link)->epoch);
}

uint64_t
ring_link_peer_pid(const struct ring_link *link)
{
	return load(&peer_header(link)->pid);
}

bool
ring_link_peer_is_attached(const struct ring_link *link)
{
	return load(&peer_header(link)->attached) == 1;
}
