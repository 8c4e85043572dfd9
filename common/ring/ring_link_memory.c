/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_link_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/shm/memfd.h"

/*
 * What RING_SIDE_LENGTH covers that may be written at any time.  Records are
 * handed over into lane 0 alone: see ring_forwarded.
 */
#define SIDE_ALLOCATED (RING_SIDE_FORWARDED + RING_FORWARDED_STRIDE)

/* The part of a side header that never changes, for one copy to check. */
#define SIDE_IMMUTABLE offsetof(struct ring_side_header, arm)

static bool
is_terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

bool
ring_memory_identity_is_valid(const struct ring_link_identity *identity)
{
	return identity->link < RING_LINKS &&
	    (identity->endpoint_role == RING_ROLE_HTTPD ||
		identity->endpoint_role == RING_ROLE_BRIDGE) &&
	    is_terminated(identity->name, sizeof(identity->name)) &&
	    is_terminated(identity->run_dir, sizeof(identity->run_dir));
}

bool
ring_memory_geometry_is_valid(const struct ring_lane_geometry *geometry)
{
	return geometry->lane < RING_LANES &&
	    geometry->min_shift >= RING_MIN_SHIFT_LOW &&
	    geometry->min_shift <= RING_MIN_SHIFT_HIGH &&
	    geometry->classes >= 1 && geometry->classes <= RING_CLASSES &&
	    is_terminated(geometry->name, sizeof(geometry->name));
}

/* A new memfd that begins with `header`. */
static int
create(const char *name, size_t length, size_t allocated, const void *header,
    size_t header_length)
{
	void *map;
	int err, fd;

	fd = memfd_create_sealed(name, length);
	if (fd < 0)
		return fd;
	err = memfd_allocate(fd, 0, allocated);
	if (err == 0)
		err = memfd_map(fd, RING_PAGE, true, &map);
	if (err != 0) {
		close(fd);
		return err;
	}
	memcpy(map, header, header_length);
	munmap(map, RING_PAGE);
	return fd;
}

static int
create_side(const struct ring_link_identity *identity, enum ring_role role)
{
	struct ring_side_header header = {
		.magic = RING_MAGIC,
		.abi = RING_ABI,
		.header_length = sizeof(header),
		.map_length = RING_SIDE_LENGTH,
		.link = identity->link,
		.role = role,
	};

	memcpy(header.instance, identity->instance, sizeof(header.instance));
	memcpy(header.name, identity->name, sizeof(header.name));
	memcpy(header.run_dir, identity->run_dir, sizeof(header.run_dir));
	return create("weir-side", RING_SIDE_LENGTH, SIDE_ALLOCATED, &header,
	    SIDE_IMMUTABLE);
}

int
ring_link_create(const struct ring_link_identity *identity, int *out_broker_fd,
    int *out_endpoint_fd)
{
	int broker, endpoint;

	if (!ring_memory_identity_is_valid(identity))
		return -EINVAL;
	broker = create_side(identity, RING_ROLE_BROKER);
	if (broker < 0)
		return broker;
	endpoint = create_side(identity, identity->endpoint_role);
	if (endpoint < 0) {
		close(broker);
		return endpoint;
	}
	*out_broker_fd = broker;
	*out_endpoint_fd = endpoint;
	return 0;
}

static struct ring_lane_header
lane_header(const struct ring_link_identity *identity,
    enum ring_role producer_role, const struct ring_lane_geometry *geometry)
{
	struct ring_lane_header header = {
		.magic = RING_LANE_MAGIC,
		.abi = RING_ABI,
		.header_length = sizeof(header),
		.map_length =
		    ring_lane_length(geometry->min_shift, geometry->classes),
		.link = identity->link,
		.lane = geometry->lane,
		.producer_role = producer_role,
		.min_shift = geometry->min_shift,
		.classes = geometry->classes,
	};

	memcpy(header.instance, identity->instance, sizeof(header.instance));
	return header;
}

int
ring_link_create_lane(const struct ring_link_identity *identity,
    enum ring_role producer_role, const struct ring_lane_geometry *geometry)
{
	struct ring_lane_header header;

	if (!ring_memory_identity_is_valid(identity) ||
	    !ring_memory_geometry_is_valid(geometry))
		return -EINVAL;
	header = lane_header(identity, producer_role, geometry);
	return create("weir-lane", header.map_length,
	    ring_class_offset(geometry->min_shift, 1), &header, sizeof(header));
}

static bool
side_is(const void *map, const struct ring_link_identity *identity,
    enum ring_role role)
{
	struct ring_side_header header;

	memcpy(&header, map, SIDE_IMMUTABLE);
	return header.magic == RING_MAGIC && header.abi == RING_ABI &&
	    header.header_length == sizeof(header) &&
	    header.map_length == RING_SIDE_LENGTH &&
	    memcmp(header.instance, identity->instance,
		sizeof(header.instance)) == 0 &&
	    header.link == identity->link && header.role == role &&
	    is_terminated(header.name, sizeof(header.name)) &&
	    strcmp(header.name, identity->name) == 0 &&
	    is_terminated(header.run_dir, sizeof(header.run_dir)) &&
	    strcmp(header.run_dir, identity->run_dir) == 0;
}

int
ring_memory_map_side(const struct ring_link_identity *identity,
    enum ring_role role, int fd, bool writable, void **out_map)
{
	void *map;
	int err;

	if (!ring_memory_identity_is_valid(identity))
		return -EBADMSG;
	err = memfd_check(fd, RING_SIDE_LENGTH);
	if (err == 0)
		err = memfd_map(fd, RING_SIDE_LENGTH, writable, &map);
	if (err != 0)
		return err;
	if (!side_is(map, identity, role)) {
		munmap(map, RING_SIDE_LENGTH);
		return -EBADMSG;
	}
	*out_map = map;
	return 0;
}

int
ring_memory_map_lane(const struct ring_link_identity *identity,
    enum ring_role producer_role, const struct ring_lane_geometry *geometry,
    int fd, bool writable, void **out_map)
{
	struct ring_lane_header found, wanted;
	void *map;
	int err;

	wanted = lane_header(identity, producer_role, geometry);
	err = memfd_check(fd, wanted.map_length);
	if (err == 0)
		err = memfd_map(fd, wanted.map_length, writable, &map);
	if (err != 0)
		return err;
	memcpy(&found, map, sizeof(found));
	if (memcmp(&found, &wanted, sizeof(found)) != 0) {
		munmap(map, wanted.map_length);
		return -EBADMSG;
	}
	*out_map = map;
	return 0;
}
