/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_handback.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int
copy_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy == -1 ? -errno : copy;
}

static int
take_lane(struct ring_handback *handback, enum ring_direction direction,
    const struct ring_lane_geometry *geometry, int fd)
{
	unsigned at = handback->lane_count;
	int copy;

	if (geometry == NULL)
		return 0;
	copy = copy_fd(fd);
	if (copy < 0)
		return copy;
	handback->lanes[at].direction = direction;
	handback->lanes[at].geometry = *geometry;
	handback->lanes[at].fd = copy;
	handback->lane_count++;
	return 0;
}

static int
take_lanes(struct ring_handback *handback, const struct ring_link *link)
{
	int err = 0;

	for (uint32_t i = 0; i < RING_LANES && err == 0; i++) {
		err = take_lane(handback, RING_TO_BROKER,
		    ring_link_producer_lane(link, i),
		    ring_link_producer_fd(link, i));
		if (err == 0)
			err = take_lane(handback, RING_TO_ENDPOINT,
			    ring_link_consumer_lane(link, i),
			    ring_link_consumer_fd(link, i));
	}
	return err;
}

int
ring_handback_take(struct ring_handback *handback, const struct ring_link *link)
{
	int err;

	ring_handback_clear(handback);
	handback->is_there = true;
	handback->lane_count = 0;
	handback->identity = *ring_link_identity(link);
	handback->broker_fd = copy_fd(ring_link_peer_fd(link));
	handback->endpoint_fd = copy_fd(ring_link_own_fd(link));
	err = handback->broker_fd < 0   ? handback->broker_fd
	    : handback->endpoint_fd < 0 ? handback->endpoint_fd
					: take_lanes(handback, link);
	if (err != 0)
		ring_handback_clear(handback);
	return err;
}

int
ring_handback_send(const struct ring_handback *handback, int sock)
{
	const int sides[] = { handback->broker_fd, handback->endpoint_fd };
	int err;

	err = ring_control_send_held_sides(sock, &handback->identity, sides);
	for (unsigned i = 0; i < handback->lane_count && err == 0; i++)
		err = ring_control_send_held_lane(sock,
		    handback->lanes[i].direction, &handback->lanes[i].geometry,
		    handback->lanes[i].fd);
	return err == 0 ? ring_control_send_held_end(sock) : err;
}

void
ring_handback_clear(struct ring_handback *handback)
{
	if (!handback->is_there)
		return;
	if (handback->broker_fd >= 0)
		close(handback->broker_fd);
	if (handback->endpoint_fd >= 0)
		close(handback->endpoint_fd);
	for (unsigned i = 0; i < handback->lane_count; i++)
		close(handback->lanes[i].fd);
	handback->is_there = false;
}
