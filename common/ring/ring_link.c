/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_link_private.h"

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

static int
keep_sides(struct ring_link *link, int own_fd, int peer_fd)
{
	int own, peer;

	own = ring_link_keep_fd(own_fd);
	if (own < 0)
		return own;
	peer = ring_link_keep_fd(peer_fd);
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
	    &link->identity, ring_link_peer_role(link), peer_fd, false, &peer);
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

	own = ring_link_own_header(link);
	link->arm = ring_link_load(&own->arm);
	ring_link_disarm(link);
	ring_link_store(&own->epoch, ring_link_load(&own->epoch) + 1);
	ring_link_store(&own->pid, (uint64_t)getpid());
	ring_link_store(&own->heartbeat_ns, clock_now_ns());
	ring_link_store(&own->attached, 1);
	/* A predecessor may have died between its commit and its bell. */
	ring_link_ring(link);
	*out_link = link;
	return 0;

fail:
	free(link);
	return err;
}

void
ring_link_detach(struct ring_link *link)
{
	void *peer;

	if (link == NULL)
		return;
	for (unsigned i = 0; i < RING_LANES; i++) {
		ring_link_close_lane(&link->produced[i]);
		ring_link_close_lane(&link->consumed[i]);
	}
	ring_link_store(&ring_link_own_header(link)->attached, 0);
	munmap(link->own, RING_SIDE_LENGTH);
	memcpy(&peer, &link->peer, sizeof(peer));
	munmap(peer, RING_SIDE_LENGTH);
	close(link->own_fd);
	close(link->peer_fd);
	bell_close(&link->bells);
	free(link);
}

int
ring_link_own_fd(const struct ring_link *link)
{
	return link->own_fd;
}

int
ring_link_peer_fd(const struct ring_link *link)
{
	return link->peer_fd;
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

struct ring_forwarded *
ring_link_forwarded(struct ring_link *link, uint32_t lane)
{
	return (struct ring_forwarded *)(link->own + RING_SIDE_FORWARDED +
	    (size_t)lane * RING_FORWARDED_STRIDE);
}

static void
count(_Atomic uint64_t *counter)
{
	ring_link_store(counter, ring_link_load(counter) + 1);
}

void
ring_link_ring(struct ring_link *link)
{
	count(&ring_link_own_header(link)->bells_rung);
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
	arm = atomic_load_explicit(
	    &ring_link_peer_header(link)->arm, memory_order_relaxed);
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
	    &ring_link_own_header(link)->arm, link->arm, memory_order_relaxed);
	count(&ring_link_own_header(link)->sleeps);
}

void
ring_link_disarm(struct ring_link *link)
{
	if ((link->arm & 1) == 0)
		return;
	link->arm++;
	/* relaxed: seen late it costs one useless bell */
	atomic_store_explicit(
	    &ring_link_own_header(link)->arm, link->arm, memory_order_relaxed);
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

void
ring_link_beat(struct ring_link *link, uint64_t now_ns)
{
	ring_link_store(&ring_link_own_header(link)->heartbeat_ns, now_ns);
}

void
ring_link_count_empty_wake(struct ring_link *link)
{
	count(&ring_link_own_header(link)->empty_wakes);
}

const struct ring_link_identity *
ring_link_identity(const struct ring_link *link)
{
	return &link->identity;
}

uint64_t
ring_link_epoch(const struct ring_link *link)
{
	return ring_link_load(&ring_link_own_header(link)->epoch);
}

uint64_t
ring_link_peer_epoch(const struct ring_link *link)
{
	return ring_link_load(&ring_link_peer_header(link)->epoch);
}

uint64_t
ring_link_peer_pid(const struct ring_link *link)
{
	return ring_link_load(&ring_link_peer_header(link)->pid);
}

bool
ring_link_peer_is_attached(const struct ring_link *link)
{
	return ring_link_load(&ring_link_peer_header(link)->attached) == 1;
}
