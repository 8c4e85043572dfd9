/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_handback - what an endpoint keeps of a link whose broker is gone.
 *
 * The broker makes the memory of a link.  When it is killed and nobody keeps
 * its descriptors for it, the endpoint still has them: it takes copies before
 * it lets go of the link, and hands them to the next broker right after its
 * HELLO.  Records committed in either direction then go on as if nothing had
 * happened.
 *
 * A link that was poisoned is not kept.  Belongs to one thread.
 */

#ifndef WEIR_COMMON_RING_RING_HANDBACK_H
#define WEIR_COMMON_RING_RING_HANDBACK_H

#include <stdbool.h>

#include "common/ring/ring_control.h"
#include "common/ring/ring_link.h"

struct ring_handback {
	bool is_there; /* the rest means something */
	struct ring_link_identity identity;
	int broker_fd, endpoint_fd; /* the sides */
	unsigned lane_count;
	struct {
		enum ring_direction direction;
		struct ring_lane_geometry geometry;
		int fd;
	} lanes[2 * RING_LANES];
};

/*
 * Copy the descriptors of a link that is about to be detached.
 * Returns 0, or -errno with nothing kept.
 */
int ring_handback_take(
    struct ring_handback *handback, const struct ring_link *link);

/*
 * Send all of it: sides, lanes, end.  The descriptors stay.
 * Returns 0 or -errno.
 */
int ring_handback_send(const struct ring_handback *handback, int sock);

/* Close what is kept; harmless when nothing is. */
void ring_handback_clear(struct ring_handback *handback);

#endif
