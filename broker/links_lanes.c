/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_lanes.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/links_private.h"
#include "common/shm/memfd.h"

#define SHARED_LANE "*"

static unsigned
log2_of(uint64_t power)
{
	return (unsigned)__builtin_ctzll(power);
}

struct ring_lane_geometry
links_lanes_geometry(
    const struct links_endpoint *endpoint, uint32_t lane, const char *name)
{
	const struct conf_ring *ring = endpoint->ring;
	struct ring_lane_geometry geometry = {
		.lane = lane,
		.min_shift = log2_of(ring->capacity),
		.classes =
		    log2_of(ring->max_capacity) - log2_of(ring->capacity) + 1,
	};

	memcpy(geometry.name, name, strlen(name) + 1);
	return geometry;
}

bool
links_lanes_same_shape(
    const struct ring_lane_geometry *a, const struct ring_lane_geometry *b)
{
	return a->lane == b->lane && a->min_shift == b->min_shift &&
	    a->classes == b->classes;
}

/*
 * The endpoint gets the memfd itself, we map it read-only.  Takes `fd`; on
 * failure it stays the caller's.
 */
static int
use_lane(struct links_endpoint *endpoint,
    const struct ring_lane_geometry *geometry, uint64_t set, int fd)
{
	struct links_lane *lane = &endpoint->lanes[geometry->lane];
	int err, read_fd;

	read_fd = memfd_reopen_read_only(fd);
	if (read_fd < 0)
		return read_fd;
	lane->geometry = *geometry;
	err = ring_link_add_consumer(
	    endpoint->link, &lane->geometry, read_fd, &lane->consumer);
	close(read_fd);
	if (err != 0)
		return err;
	lane->fd = fd;
	lane->set = set;
	lane->done_word = ring_consumer_cursor(lane->consumer);
	lane->charged = RING_POSITION(lane->done_word);
	if (geometry->lane >= endpoint->lane_count)
		endpoint->lane_count = geometry->lane + 1;
	return (int)geometry->lane;
}

/* One that was never used, or was closed; RING_LANES when there is none. */
static uint32_t
free_slot(const struct links_endpoint *endpoint)
{
	uint32_t lane = 0;

	while (lane < RING_LANES && endpoint->lanes[lane].consumer != NULL)
		lane++;
	return lane;
}

/*
 * Where the slot was used before, positions and sequence go on: the other
 * side's memory has them, and the outputs' words what they have stay true.
 */
static int
make_lane(struct links_endpoint *endpoint, const char *name, uint64_t set)
{
	const struct ring_lane_geometry geometry =
	    links_lanes_geometry(endpoint, free_slot(endpoint), name);
	int fd, lane;

	fd = ring_link_create_lane(
	    &endpoint->identity, endpoint->role, &geometry);
	if (fd < 0)
		return fd;
	lane = use_lane(endpoint, &geometry, set, fd);
	if (lane < 0)
		close(fd);
	else
		links_store_keep_lane(endpoint, &geometry, fd);
	return lane;
}

int
links_lanes_make_first(struct links_endpoint *endpoint)
{
	return make_lane(endpoint, "", 0);
}

/* ---- sets -----------------------------------------------------------------
 */

/* The bridges of "cloud+plant"; 0 with *out_reason when it is no such set. */
static uint64_t
parse_set(const struct links_endpoint *endpoint, const char *text,
    const char **out_reason)
{
	const struct bridge_table *table = endpoint->links->broker->bridges;
	struct slice rest = slice_of_string(text), name, last = { 0 };
	uint64_t bit, set = 0;
	size_t plus, least;
	int order, bridge;
	bool has_more;

	do {
		plus = slice_find(rest, '+');
		name = slice_of(rest.data, plus);
		has_more = plus < rest.len;
		rest = slice_from(rest, plus + 1);

		bridge = bridge_table_find(table, name);
		if (bridge == -1) {
			*out_reason = "there is no bridge of that name";
			return 0;
		}
		bit = UINT64_C(1) << bridge;
		if (bridge_table_reliable(table, bit) == 0) {
			*out_reason = "a bridge that drops needs no lane";
			return 0;
		}
		if (bridge == endpoint->bridge_number) {
			*out_reason = "a bridge has no lane to itself";
			return 0;
		}
		least = last.len < name.len ? last.len : name.len;
		order = least == 0 ? 0 : memcmp(last.data, name.data, least);
		if (order > 0 || (order == 0 && last.len >= name.len)) {
			*out_reason = "the names are not in byte order";
			return 0;
		}
		last = name;
		set |= bit;
	} while (has_more);
	return set;
}

static uint64_t
shared_set(const struct links_endpoint *endpoint)
{
	const struct bridge_table *table = endpoint->links->broker->bridges;
	uint64_t all = bridge_table_reliable(table, UINT64_MAX);

	if (endpoint->bridge_number >= 0)
		all &= ~(UINT64_C(1) << endpoint->bridge_number);
	return all;
}

static const struct links_lane *
find_lane(const struct links_endpoint *endpoint, const char *set)
{
	const struct links_lane *lane;

	LINKS_EACH_LANE(endpoint, lane)
	{
		if (strcmp(lane->geometry.name, set) == 0)
			return lane;
	}
	return NULL;
}

/* Lanes but for the shared one. */
static unsigned
own_lanes(const struct links_endpoint *endpoint)
{
	const struct links_lane *lane;
	unsigned count = 0;

	LINKS_EACH_LANE(endpoint, lane)
	count += strcmp(lane->geometry.name, SHARED_LANE) != 0;
	return count;
}

/* Its lanes in both directions, and the shared one, which may come. */
static uint64_t
ring_bytes(const struct links_endpoint *endpoint)
{
	return (2 + (uint64_t)own_lanes(endpoint)) *
	    conf_ring_bytes(endpoint->ring);
}

/*
 * Another lane of this endpoint, fully grown like all others, beside what the
 * programs take: conf_check.c made sure of those that each link begins with.
 */
static bool
has_memory_for_lane(const struct links_endpoint *endpoint)
{
	const struct links *links = endpoint->links;
	struct conf_memory m;
	const char *whose;
	uint64_t bytes;

	conf_memory_for(links->broker->conf, 0, 0, &m);
	bytes = m.windows + m.journal + m.programs +
	    conf_ring_bytes(endpoint->ring);
	for (uint32_t i = 0; i < links->endpoint_count; i++) {
		if (links->endpoints[i] != NULL)
			bytes += ring_bytes(links->endpoints[i]);
	}
	return bytes <= conf_memory_limit(links->broker->conf, &whose);
}

int
links_lanes_open(
    struct links_endpoint *endpoint, const char *set, const char **out_reason)
{
	bool is_shared = strcmp(set, SHARED_LANE) == 0;
	uint64_t bridges;
	int lane;

	if (find_lane(endpoint, set) != NULL)
		return -EEXIST;
	bridges = is_shared ? shared_set(endpoint)
			    : parse_set(endpoint, set, out_reason);
	if (bridges == 0 && !is_shared)
		return -EINVAL;
	if (!is_shared && own_lanes(endpoint) >= RING_LANES - 1) {
		*out_reason = "the last lane is for all other sets: \"*\"";
		return -ENOSPC;
	}
	if (!is_shared && !has_memory_for_lane(endpoint)) {
		*out_reason = "another lane, fully grown, would pass "
			      "memory_limit or the machine's: it shares \"*\"";
		return -ENOMEM;
	}
	lane = make_lane(endpoint, set, bridges);
	if (lane < 0)
		*out_reason = strerror(-lane);
	return lane;
}

/* A lane in the shape that the configuration wants, for a set that exists. */
static int
adopt_lane(struct links_endpoint *endpoint,
    const struct ring_lane_geometry *kept, int fd)
{
	const struct ring_lane_geometry wanted =
	    links_lanes_geometry(endpoint, kept->lane, kept->name);
	const char *reason;
	uint64_t set = 0;
	int number;

	if (strcmp(kept->name, SHARED_LANE) == 0)
		set = shared_set(endpoint);
	else if (kept->name[0] != '\0')
		set = parse_set(endpoint, kept->name, &reason);
	if (!links_lanes_same_shape(kept, &wanted) ||
	    (kept->name[0] != '\0' && set == 0))
		return -EBADMSG;
	number = use_lane(endpoint, kept, set, fd);
	if (number >= 0)
		links_journal_know_lane(endpoint, &endpoint->lanes[number]);
	return number;
}

int
links_lanes_adopt(struct links_endpoint *endpoint, struct links_stored *stored)
{
	int lane;

	for (uint32_t i = 0; i < RING_LANES; i++) {
		if (stored->lane[i].fd == -1)
			continue;
		lane = adopt_lane(
		    endpoint, &stored->lane[i].geometry, stored->lane[i].fd);
		if (lane < 0)
			return lane;
		stored->lane[i].fd = -1;
	}
	return endpoint->lanes[0].consumer == NULL ? -EBADMSG : 0;
}

/* ---- closing ------------------------------------------------------------ */

/* What is not released may never be lost, and new memory has class 0 alone. */
static const char *
why_not_closed(struct links_endpoint *endpoint, uint32_t lane, const char *set)
{
	struct ring_consumer *consumer = endpoint->lanes[lane].consumer;

	if (consumer == NULL || set[0] == '\0' ||
	    strcmp(endpoint->lanes[lane].geometry.name, set) != 0)
		return "it asked to close a lane that is not open";
	if (ring_consumer_has_record(consumer) ||
	    ring_consumer_pending_bytes(consumer) != 0 ||
	    endpoint->lanes[lane].pending.list.count != 0)
		return "it asked to close a lane that is not empty";
	if (RING_CLASS(ring_consumer_cursor(consumer)) != 0)
		return "it asked to close a lane that has grown";
	return NULL;
}

const char *
links_lanes_close(
    struct links_endpoint *endpoint, uint32_t number, const char *set)
{
	struct links_lane *lane = &endpoint->lanes[number];
	const char *why = why_not_closed(endpoint, number, set);

	if (why != NULL)
		return why;
	/* First: a life that finds it in the store goes on with it as it is. */
	links_store_forget_lane(endpoint, &lane->geometry);
	links_output_forget_waiter(endpoint->links, lane);
	ring_link_remove_consumer(endpoint->link, number);
	close(lane->fd);
	links_pending_forget(lane);
	*lane = (struct links_lane){ .fd = -1 };
	while (endpoint->lanes[endpoint->lane_count - 1].consumer == NULL)
		endpoint->lane_count--;
	return NULL;
}
