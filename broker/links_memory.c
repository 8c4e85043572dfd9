/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_memory.h"
#include "broker/links_asks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "broker/links_feed.h"
#include "broker/links_lanes.h"
#include "broker/links_private.h"
#include "broker/links_salvage.h"
#include "broker/links_terms.h"
#include "common/base/log.h"
#include "common/shm/memfd.h"

/* A tail that moves is looked at again; an honest one moves for some ns. */
#define OUTCOME_LOOKS 64u

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* ---- memory ------------------------------------------------------------ */

/* What the output has already: before anything is put into it. */
static int
use_forward(struct links_endpoint *endpoint)
{
	struct links_output *output = &endpoint->output;

	if (endpoint->role != RING_ROLE_BRIDGE)
		return 0;
	output->forward =
	    ring_forward_new(ring_link_forwarded(endpoint->link, 0),
		ring_producer_next_head(output->producer));
	return output->forward == NULL ? -ENOMEM : 0;
}

/* Takes the lane memfd `fd` in use; it stays the caller's. */
static int
use_output(struct links_endpoint *endpoint,
    const struct ring_lane_geometry *geometry, int fd)
{
	struct links_output *output = &endpoint->output;
	int err;

	output->geometry = *geometry;
	err = ring_link_add_producer(
	    endpoint->link, &output->geometry, fd, &output->producer);
	if (err != 0)
		return err;
	err = use_forward(endpoint);
	if (err != 0)
		return err;
	output->fd = memfd_reopen_read_only(fd);
	return output->fd < 0 ? output->fd : 0;
}

/*
 * Credit for a whole ring, fully grown, before the endpoint's first life,
 * which it will give itself: until then records wait in the ring, not at
 * their publishers.
 */
static int
seed_credit(int endpoint_fd, const struct ring_lane_geometry *geometry)
{
	const uint64_t limit =
	    ring_class_size(geometry->min_shift, geometry->classes - 1);
	const off_t at = RING_SIDE_CONSUMERS +
	    geometry->lane * RING_CONSUMER_STRIDE +
	    (off_t)offsetof(struct ring_lane_consumer, limit);

	if (pwrite(endpoint_fd, &limit, sizeof(limit), at) != sizeof(limit))
		return -EIO;
	return 0;
}

static int
make_output(struct links_endpoint *endpoint)
{
	const struct ring_lane_geometry geometry =
	    links_lanes_geometry(endpoint, 0, "");
	int err, fd;

	fd = ring_link_create_lane(
	    &endpoint->identity, RING_ROLE_BROKER, &geometry);
	if (fd < 0)
		return fd;
	err = seed_credit(endpoint->peer_fd, &geometry);
	if (err == 0)
		err = use_output(endpoint, &geometry, fd);
	if (err == 0)
		links_store_keep(endpoint, "out", fd);
	close(fd);
	return err;
}

static int
make_bells(struct links_endpoint *endpoint, struct bell_fds *out_link_bells)
{
	struct bell_fds bells;
	int err, to_broker;

	err = bell_open(&bells);
	if (err != 0)
		return err;
	to_broker = fcntl(bells.to_broker, F_DUPFD_CLOEXEC, 0);
	if (to_broker == -1) {
		err = -errno;
		bell_close(&bells);
		return err;
	}
	endpoint->bells = (struct bell_fds){
		.to_broker = to_broker,
		.to_endpoint_send = -1,
		.to_endpoint_wait = bells.to_endpoint_wait,
	};
	*out_link_bells = bells;
	out_link_bells->to_endpoint_wait = -1;
	return 0;
}

/* Unmap and close; a supervisor may go on keeping it. */
void
links_memory_release(struct links_endpoint *endpoint)
{
	links_asks_forget(endpoint);
	loop_fd_stop(&endpoint->bell_watch);
	endpoint->bell_is_watched = false;
	ring_link_detach(endpoint->link);
	endpoint->link = NULL;
	bell_close(&endpoint->bells);
	close_fd(&endpoint->own_fd);
	close_fd(&endpoint->peer_fd);
	close_fd(&endpoint->output.fd);
	endpoint->output.producer = NULL;
	endpoint->output.waiter = NULL;
	ring_forward_free(endpoint->output.forward);
	endpoint->output.forward = NULL;
	for (uint32_t i = 0; i < RING_LANES; i++) {
		if (endpoint->lanes[i].consumer != NULL)
			close_fd(&endpoint->lanes[i].fd);
		links_pending_forget(&endpoint->lanes[i]);
		endpoint->lanes[i] = (struct links_lane){ .fd = -1 };
	}
	endpoint->lane_count = 0;
}

void
links_memory_give_up(struct links_endpoint *endpoint)
{
	links_store_forget(endpoint);
	links_memory_release(endpoint);
}

/* Lanes that are gone cannot go first anywhere. */
static void
forget_waiters(struct links_endpoint *endpoint)
{
	for (uint32_t i = 0; i < RING_LANES; i++)
		links_output_forget_waiter(
		    endpoint->links, &endpoint->lanes[i]);
}

/* Read with pread(), since it may be a hole.  False: it cannot be. */
static bool
read_consumer(
    const struct links_endpoint *endpoint, struct ring_lane_consumer *out_lane)
{
	return pread(endpoint->peer_fd, out_lane, sizeof(*out_lane),
		   RING_SIDE_CONSUMERS) == sizeof(*out_lane);
}

bool
links_endpoint_remote_is_up(const struct links_endpoint *endpoint)
{
	struct ring_lane_consumer lane;

	return read_consumer(endpoint, &lane) && lane.remote_up == 1;
}

/* The slot that the tail stands for counts.  False: it was moving. */
static bool
read_outcome(
    const struct links_endpoint *endpoint, struct ring_outcome *out_outcome)
{
	struct ring_lane_consumer lane;
	const struct ring_tail_slot *slot;

	if (!read_consumer(endpoint, &lane))
		return false;
	slot = &lane.slot[lane.slot[0].tail == lane.tail ? 0 : 1];
	if (slot->tail != lane.tail)
		return false;
	*out_outcome = (struct ring_outcome){
		.delivered = slot->delivered,
		.dropped = slot->dropped,
		.dead = slot->dead,
	};
	return true;
}

struct ring_outcome
links_endpoint_outcome(const struct links_endpoint *endpoint)
{
	struct ring_outcome outcome = { 0 };

	for (unsigned i = 0; i < OUTCOME_LOOKS; i++)
		if (read_outcome(endpoint, &outcome))
			break;
	return outcome;
}

uint64_t
links_endpoint_in_ring(
    const struct links_endpoint *endpoint, const struct ring_outcome *outcome)
{
	uint64_t over = outcome->delivered + outcome->dropped + outcome->dead;
	uint64_t put = 0;

	if (endpoint->output.producer != NULL)
		put = ring_producer_sequence(endpoint->output.producer);
	return put > over ? put - over : 0;
}

/* Before the memory goes: the records in it, and what it counted. */
static void
keep_what_counts(struct links_endpoint *endpoint)
{
	struct links_output *output = &endpoint->output;
	struct ring_outcome outcome;
	int err;

	if (endpoint->link == NULL)
		return;
	if (endpoint->bridge == NULL) {
		links_terms_keep_http(endpoint->links);
		return;
	}
	err = links_salvage_keep(endpoint);
	if (err != 0)
		log_error("records_lost", "link=%s error=%s",
		    log_quote(endpoint->identity.name),
		    log_quote(strerror(-err)));
	outcome = links_endpoint_outcome(endpoint);
	output->former.delivered += outcome.delivered;
	output->former.dropped += outcome.dropped;
	output->former.dead += outcome.dead;
}

/*
 * Its name for the journal, in the notes of our side: drawn when the memory is
 * new, or is that of a Weir that had no journal.
 */
static int
name_memory(struct links_endpoint *endpoint)
{
	_Atomic uint64_t *name = ring_link_notes(endpoint->link);
	uint64_t random;

	/* relaxed: our own memory, the life before is dead */
	endpoint->source =
	    (uint32_t)atomic_load_explicit(name, memory_order_relaxed);
	if (endpoint->source != 0)
		return 0;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	endpoint->source = sources_name(endpoint->id, random);
	atomic_store_explicit(name, endpoint->source, memory_order_relaxed);
	return 0;
}

/* Map both sides; the descriptors are in the endpoint already. */
static int
attach(
    struct links_endpoint *endpoint, const struct ring_link_identity *identity)
{
	struct bell_fds bells;
	int err;

	err = make_bells(endpoint, &bells);
	if (err != 0)
		return err;
	err = ring_link_attach(identity, RING_ROLE_BROKER, endpoint->own_fd,
	    endpoint->peer_fd, &bells, &endpoint->link);
	if (err != 0) {
		bell_close(&bells);
		return err;
	}
	ring_trace_set_every(ring_link_trace(endpoint->link),
	    endpoint->links->broker->conf->trace_every);
	return name_memory(endpoint);
}

/*
 * What output `i` knows of a program's lanes.  They never lead to the program
 * itself: what its own output has there is the feed's (links_feed.h).
 */
static struct ring_forward *
forward_from(
    const struct links *links, uint32_t i, const struct links_endpoint *source)
{
	if (links->endpoints[i] == NULL || i == source->id)
		return NULL;
	return links->endpoints[i]->output.forward;
}

void
links_memory_forget_forwarded(struct links_endpoint *endpoint)
{
	struct links *links = endpoint->links;
	struct ring_forward *forward;

	for (uint32_t i = 0; i < RING_LINKS; i++) {
		forward = forward_from(links, i, endpoint);
		if (forward != NULL)
			ring_forward_forget(forward, endpoint->id);
	}
}

void
links_memory_forget_fresh(struct links_endpoint *endpoint)
{
	struct links *links = endpoint->links;
	struct ring_forward *forward;

	if (endpoint->link == NULL)
		return;
	for (uint32_t i = 0; i < RING_LINKS; i++) {
		forward = forward_from(links, i, endpoint);
		for (uint32_t lane = 0; forward != NULL && lane < RING_LANES;
		     lane++) {
			if (ring_link_is_fresh(endpoint->link, lane))
				ring_forward_forget_lane(
				    forward, endpoint->id, lane);
		}
	}
}

/* The new output knows what the old one had: that is on its way into it. */
static void
carry_forward(struct links_endpoint *endpoint, struct ring_forward *old)
{
	if (old != NULL && endpoint->output.forward != NULL)
		ring_forward_carry(endpoint->output.forward, old);
	ring_forward_free(old);
}

int
links_memory_rebuild(struct links_endpoint *endpoint)
{
	struct ring_forward *had = endpoint->output.forward;
	int err;

	keep_what_counts(endpoint);
	forget_waiters(endpoint);
	endpoint->output.forward = NULL;
	links_memory_give_up(endpoint);
	links_memory_forget_forwarded(endpoint);
	err = ring_link_create(
	    &endpoint->identity, &endpoint->own_fd, &endpoint->peer_fd);
	if (err != 0)
		goto fail;
	err = attach(endpoint, &endpoint->identity);
	if (err != 0)
		goto fail;
	links_store_keep(endpoint, "broker", endpoint->own_fd);
	links_store_keep(endpoint, "endpoint", endpoint->peer_fd);
	err = make_output(endpoint);
	if (err != 0)
		goto fail;
	err = links_lanes_make_first(endpoint);
	if (err < 0)
		goto fail;
	carry_forward(endpoint, had);
	endpoint->output.waiter = endpoint->salvage;
	endpoint->is_adopted = false;
	endpoint->state = LINKS_ABSENT;
	return 0;

fail:
	ring_forward_free(had);
	links_memory_give_up(endpoint);
	endpoint->state = LINKS_POISONED;
	return err;
}

/* ---- adoption ------------------------------------------------------------ */

/* It may come from a program, and the supervisor shall have it as well. */
static void
keep_adopted(const struct links_endpoint *endpoint)
{
	const struct links_lane *lane;

	links_store_keep(endpoint, "broker", endpoint->own_fd);
	links_store_keep(endpoint, "endpoint", endpoint->peer_fd);
	links_store_keep(endpoint, "out",
	    ring_link_producer_fd(
		endpoint->link, endpoint->output.geometry.lane));
	LINKS_EACH_LANE(endpoint, lane)
	links_store_keep_lane(endpoint, &lane->geometry, lane->fd);
}

/* Lanes that were not taken over would be found again by the next life. */
static int
rebuild_instead(struct links_endpoint *endpoint)
{
	links_store_forget_former(&endpoint->links->store, endpoint);
	return links_memory_rebuild(endpoint);
}

/*
 * Use what was kept, as it is.  When the configuration wants other rings or
 * another number for the link, records on their way out are carried over.
 */
int
links_memory_adopt(struct links_endpoint *endpoint, struct links_stored *stored)
{
	const struct ring_lane_geometry wanted =
	    links_lanes_geometry(endpoint, 0, "");
	int err;

	endpoint->own_fd = stored->broker_fd;
	endpoint->peer_fd = stored->endpoint_fd;
	stored->broker_fd = stored->endpoint_fd = -1;
	stored->identity.endpoint_role = endpoint->role;
	err = attach(endpoint, &stored->identity);
	if (err == 0)
		err = use_output(endpoint, &stored->out, stored->out_fd);
	if (err != 0)
		goto fail;
	endpoint->output.accepted +=
	    ring_producer_sequence(endpoint->output.producer);
	links_terms_found(endpoint);
	if (endpoint->feed != NULL)
		links_salvage_find(endpoint);
	if (stored->identity.link != endpoint->id ||
	    strcmp(stored->identity.run_dir, endpoint->identity.run_dir) != 0 ||
	    !links_lanes_same_shape(&stored->out, &wanted) ||
	    links_lanes_adopt(endpoint, stored) != 0) {
		log_warning("ring_replaced",
		    "link=%s reason=\"the configuration wants another: what "
		    "was on its way to the bridge is carried over\"",
		    log_quote(endpoint->identity.name));
		return rebuild_instead(endpoint);
	}
	memcpy(endpoint->identity.instance, stored->identity.instance,
	    sizeof(endpoint->identity.instance));
	endpoint->output.waiter = endpoint->salvage;
	endpoint->is_adopted = true;
	if (!stored->is_kept)
		keep_adopted(endpoint);
	log_info("ring_adopted", "link=%s lanes=%u used_bytes=%llu",
	    log_quote(endpoint->identity.name), links_endpoint_lanes(endpoint),
	    (unsigned long long)ring_producer_used_bytes(
		endpoint->output.producer));
	endpoint->state = LINKS_ABSENT;
	return 0;

fail:
	log_error("ring_not_adopted", "link=%s error=%s",
	    log_quote(endpoint->identity.name), log_quote(strerror(-err)));
	return rebuild_instead(endpoint);
}

/*
 * Programs that came with new memory are not those that the output speaks of,
 * though they have the numbers of their links.
 */
static void
forget_strangers(struct links_endpoint *endpoint)
{
	const struct links *links = endpoint->links;
	const struct links_endpoint *source;

	for (uint32_t i = 0; i < links->endpoint_count; i++) {
		source = links->endpoints[i];
		if (source != NULL && source->attaches > 0 &&
		    !source->is_adopted && endpoint->output.forward != NULL)
			ring_forward_forget(
			    endpoint->output.forward, source->id);
	}
}

int
links_memory_replace(
    struct links_endpoint *endpoint, struct links_stored *stored)
{
	struct ring_forward *had = endpoint->output.forward;
	int err;

	keep_what_counts(endpoint);
	forget_waiters(endpoint);
	endpoint->output.forward = NULL;
	links_memory_give_up(endpoint);
	ring_forward_free(had);
	err = links_memory_adopt(endpoint, stored);
	if (err != 0)
		return err;
	forget_strangers(endpoint);
	links_salvage_is_newer(endpoint);
	return 0;
}
