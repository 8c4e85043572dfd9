/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/ring_pair.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/bug.h"

static void
open_bells(bool are_wanted, struct bell_fds *broker, struct bell_fds *endpoint)
{
	struct bell_fds bells = { -1, -1, -1 };
	int err, to_broker = -1;

	if (are_wanted) {
		err = bell_open(&bells);
		BUG_ON(err != 0);
		to_broker = fcntl(bells.to_broker, F_DUPFD_CLOEXEC, 0);
		BUG_ON(to_broker == -1);
	}
	*broker = (struct bell_fds){
		.to_broker = bells.to_broker,
		.to_endpoint_send = bells.to_endpoint_send,
		.to_endpoint_wait = -1,
	};
	*endpoint = (struct bell_fds){
		.to_broker = to_broker,
		.to_endpoint_send = -1,
		.to_endpoint_wait = bells.to_endpoint_wait,
	};
}

static const struct ring_side_header *
map_header(int fd)
{
	void *map = mmap(NULL, RING_PAGE, PROT_READ, MAP_SHARED, fd, 0);

	BUG_ON(map == MAP_FAILED);
	return map;
}

static void
open_lane(struct ring_pair *pair, const struct ring_link_identity *identity,
    const struct ring_lane_geometry *geometry)
{
	int err, fd;

	fd = ring_link_create_lane(identity, RING_ROLE_HTTPD, geometry);
	BUG_ON(fd < 0);
	err = ring_link_add_producer(pair->endpoint, geometry, fd, NULL);
	BUG_ON(err != 0);
	err = ring_link_add_consumer(pair->broker, geometry, fd, NULL);
	BUG_ON(err != 0);
	close(fd);
}

void
ring_pair_open(struct ring_pair *out_pair, const struct ring_pair_shape *shape)
{
	const struct ring_link_identity identity = {
		.endpoint_role = RING_ROLE_HTTPD,
		.name = "bench",
		.run_dir = "/bench",
	};
	struct ring_lane_geometry geometry = {
		.min_shift = shape->min_shift,
		.classes = shape->classes,
	};
	struct bell_fds broker_bells, endpoint_bells;
	int broker_fd, endpoint_fd, err;

	open_bells(shape->has_bells, &broker_bells, &endpoint_bells);
	err = ring_link_create(&identity, &broker_fd, &endpoint_fd);
	BUG_ON(err != 0);
	err = ring_link_attach(&identity, RING_ROLE_BROKER, broker_fd,
	    endpoint_fd, &broker_bells, &out_pair->broker);
	BUG_ON(err != 0);
	err = ring_link_attach(&identity, RING_ROLE_HTTPD, endpoint_fd,
	    broker_fd, &endpoint_bells, &out_pair->endpoint);
	BUG_ON(err != 0);
	for (; geometry.lane < shape->lanes; geometry.lane++)
		open_lane(out_pair, &identity, &geometry);
	out_pair->broker_side = map_header(broker_fd);
	out_pair->endpoint_side = map_header(endpoint_fd);
	close(broker_fd);
	close(endpoint_fd);
}

void
ring_pair_close(struct ring_pair *pair)
{
	ring_link_detach(pair->broker);
	ring_link_detach(pair->endpoint);
	munmap((void *)(uintptr_t)pair->broker_side, RING_PAGE);
	munmap((void *)(uintptr_t)pair->endpoint_side, RING_PAGE);
}
