/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_link - one process' view of a link: both sides' memory, its lanes,
 * sleeping and waking.
 *
 * The broker creates the memory (ring_link_create) and gives each endpoint
 * its own side read-write and the broker's side read-only.  Either process
 * then holds a `struct ring_link`, adds lanes, and works on their producers
 * and consumers directly.
 *
 * A turn of the owner's loop, over all its links:
 *
 *	read, hand over, commit heads, release tails, grant limits
 *	ring_link_wake(link)		each link touched: fence, look at the
 *					peer's arm, ring its bell at most once
 * and before it may block:
 *	ring_link_arm(link)		each link: a new odd value
 *	ring_fence()			once
 *	recheck everything movable	records with room downstream, credit
 *					due, space: never mere non-emptiness
 *	movable:  ring_link_disarm(link) and go on
 *	nothing:  block; after any wake ring_link_disarm(link)
 *
 * One arm word a side serves both directions and all lanes.  Each sleep
 * takes a new value, so the peer rings once a sleep (RING_ABI contract).
 * Both sides ring unconditionally when they attach.
 *
 * A link belongs to one thread.
 */

#ifndef WEIR_COMMON_RING_RING_LINK_H
#define WEIR_COMMON_RING_RING_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_consumer.h"
#include "common/ring/ring_layout.h"
#include "common/ring/ring_producer.h"
#include "common/ring/ring_trace.h"
#include "common/shm/bell.h"

struct ring_link;

/* What makes a link this link; both sides' headers must say the same. */
struct ring_link_identity {
	uint8_t instance[16];
	uint32_t link;
	uint32_t endpoint_role;   /* RING_ROLE_HTTPD or RING_ROLE_BRIDGE */
	char name[RING_NAME_MAX]; /* of the endpoint */
	char run_dir[RING_RUN_DIR_MAX];
};

/* Shape of one lane. */
struct ring_lane_geometry {
	uint32_t lane;      /* 0..RING_LANES-1 */
	uint32_t min_shift; /* class 0: 1 << min_shift bytes */
	uint32_t classes;   /* 1..RING_CLASSES */
	uint32_t reserved;
	char name[RING_NAME_MAX]; /* "" or its set: "cloud+plant" */
};

/*
 * Broker: make both side memfds of a link, headers filled in.
 * Returns 0 with two descriptors that the caller owns, or -errno.
 */
int ring_link_create(const struct ring_link_identity *identity,
    int *out_broker_fd, int *out_endpoint_fd);

/*
 * Broker: make a lane memfd, header filled in, class 0 allocated.
 * Returns the descriptor or -errno.
 */
int ring_link_create_lane(const struct ring_link_identity *identity,
    enum ring_role producer_role, const struct ring_lane_geometry *geometry);

/*
 * Map a link.  `own_fd` is the caller's side (read-write), `peer_fd` the
 * other (read-only for an endpoint).  Seals, sizes and headers are checked
 * against `identity`.  Epoch and pid of the own side are stored, attached is
 * set, the peer's bell is rung.  The descriptors may be closed afterwards (the
 * link holds copies, by which ring_inspect finds the memory); bells are taken
 * over by the link (they stay the caller's on failure). Returns 0, -EBADMSG
 * when the memory is not what it claims, or -errno.
 */
int ring_link_attach(const struct ring_link_identity *identity,
    enum ring_role own_role, int own_fd, int peer_fd,
    const struct bell_fds *bells, struct ring_link **out_link);

/* Clear `attached`, unmap everything, close the bells.  Accepts NULL. */
void ring_link_detach(struct ring_link *link);

/*
 * Add a lane this side produces / consumes.  `fd` is its lane memfd; it is
 * checked, mapped and may be closed afterwards.
 * Returns 0, -EINVAL for a geometry out of range, -EEXIST when the lane is
 * open already, -EBADMSG when the memory is not what it claims, or -errno.
 * The producer or consumer stays the link's and dies with it.
 */
int ring_link_add_producer(struct ring_link *link,
    const struct ring_lane_geometry *geometry, int fd,
    struct ring_producer **out_producer);
int ring_link_add_consumer(struct ring_link *link,
    const struct ring_lane_geometry *geometry, int fd,
    struct ring_consumer **out_consumer);

/*
 * Close a lane that is empty; its memory is unmapped, producer or consumer
 * are gone.  Positions and sequence stay where they are: memory added again
 * to this lane goes on there.  The lane must be in its smallest class.
 */
void ring_link_remove_producer(struct ring_link *link, uint32_t lane);
void ring_link_remove_consumer(struct ring_link *link, uint32_t lane);

/*
 * After all lanes were added at an attach: those that a former life had open
 * and that were not added are closed.
 */
void ring_link_close_missing(struct ring_link *link);

/* NULL where the lane is not open. */
struct ring_producer *ring_link_producer(struct ring_link *link, uint32_t lane);
struct ring_consumer *ring_link_consumer(struct ring_link *link, uint32_t lane);

/* The shape and set of an open lane; NULL where it is not open. */
const struct ring_lane_geometry *ring_link_producer_lane(
    const struct ring_link *link, uint32_t lane);
const struct ring_lane_geometry *ring_link_consumer_lane(
    const struct ring_link *link, uint32_t lane);

/*
 * RING_NOTES_LENGTH bytes of the own side for the owner's next life: zero in
 * a new link, kept over its death like the rings.  Aligned to a page; the
 * peer does not read it.
 */
void *ring_link_notes(struct ring_link *link);

/*
 * The own side's board, for whoever asks how things stand, also when the
 * owner hangs or is dead.  Written by the link's thread.
 */
struct board *ring_link_board(struct ring_link *link);

/* Where this side notes sampled messages; it samples none at first. */
struct ring_trace *ring_link_trace(struct ring_link *link);

/*
 * For ring_forward.h: what is in lane `lane` of those this side produces, by
 * source.  Memory is set aside for lane 0 alone.
 */
struct ring_forwarded *ring_link_forwarded(
    struct ring_link *link, uint32_t lane);

/*
 * True if nothing was ever put into this lane of the peer's, open or not: its
 * next record is the first of this memory.
 */
bool ring_link_is_fresh(const struct ring_link *link, uint32_t lane);

/*
 * The descriptors by which the link holds its memory: its own side, the
 * peer's, and a lane's (-1 where it is not open).  They stay the link's.
 */
int ring_link_own_fd(const struct ring_link *link);
int ring_link_peer_fd(const struct ring_link *link);
int ring_link_producer_fd(const struct ring_link *link, uint32_t lane);
int ring_link_consumer_fd(const struct ring_link *link, uint32_t lane);

/* After commits, releases or grants: wake the peer if it sleeps. */
void ring_link_wake(struct ring_link *link);

/* Ring the peer's bell whatever its arm says (attach, filters changed). */
void ring_link_ring(struct ring_link *link);

/*
 * Before sleeping: commits all that was put into any lane of the link (wakes
 * the peer if that was anything) and stores a new odd arm value.  Must be
 * followed by ring_fence() and the recheck, whatever happened before.
 */
void ring_link_arm(struct ring_link *link);
void ring_link_disarm(struct ring_link *link);

/*
 * gcc warns that ThreadSanitizer does not follow fences.  It need not: this
 * one only decides who rings; data is ordered by head and tail.
 */
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif

/*
 * The fence between arming and the recheck, and between a commit and the
 * look at the peer's arm (inside ring_link_wake()): Dekker's pattern.
 */
static inline void
ring_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic pop
#endif

/*
 * The descriptor to watch for the peer's bell.  Broker: an eventfd, watch it
 * edge-triggered and never read it.  Endpoint: a socket, call
 * ring_link_drain_bell() when readable; false means that the broker is gone.
 */
int ring_link_bell_fd(const struct ring_link *link);
bool ring_link_drain_bell(struct ring_link *link);

/*
 * ring_producer_tend() for all lanes of the own side; the peer is woken if it
 * has to know.  Returns true if the owner should try its claims again.
 */
bool ring_link_tend(struct ring_link *link, uint64_t now_ns);
bool ring_link_needs_tending(const struct ring_link *link);

/*
 * The next step of growth or shrinking that was not asked for yet, for the
 * log, with the set that names its lane.  Returns false when there is none.
 */
bool ring_link_next_change(struct ring_link *link, const char **out_lane,
    struct ring_change *out_change);

/* Call at least once a second: heartbeat for weirctl and the peer. */
void ring_link_beat(struct ring_link *link, uint64_t now_ns);

/* Count a wake that found nothing to do. */
void ring_link_count_empty_wake(struct ring_link *link);

/* First fault of any lane, as a sentence, or NULL. */
const char *ring_link_fault(const struct ring_link *link);

const struct ring_link_identity *ring_link_identity(
    const struct ring_link *link);
uint64_t ring_link_epoch(const struct ring_link *link); /* own */
uint64_t ring_link_peer_epoch(const struct ring_link *link);
uint64_t ring_link_peer_pid(const struct ring_link *link);
bool ring_link_peer_is_attached(const struct ring_link *link);

#endif
