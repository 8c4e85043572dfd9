/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_store - the rings' memory outlives the broker in its supervisor.
 *
 * systemd and `weirctl run` keep descriptors for a service (fdstore.h).  The
 * broker has them keep the memory of each link, and finds it there when it is
 * started again: records that were committed are then still to be taken, by
 * it or by a bridge.  Delivery over a broker's death is at least once.
 *
 * Names: ring.httpd.WHAT, ring.bridge-NAME.WHAT, where WHAT is "broker" and
 * "endpoint" (the two sides), "out" (the lane to the endpoint), "in.K.SET"
 * (lane K from it).  Main thread.
 */

#ifndef WEIR_BROKER_LINKS_STORE_H
#define WEIR_BROKER_LINKS_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_link.h"
#include "common/service/fdstore.h"

struct links_endpoint;

/* What was kept of one link; -1 and 0 where nothing was. */
struct links_stored {
	bool is_kept; /* the supervisor has it */
	struct ring_link_identity identity;
	int broker_fd, endpoint_fd, out_fd;
	struct ring_lane_geometry out;
	struct {
		int fd;
		struct ring_lane_geometry geometry;
	} lane[RING_LANES]; /* fd -1: not open */
};

/*
 * The instance of the broker whose memory is in the store.
 * Returns 0, or -ENOENT when there is none.
 */
int links_store_instance(const struct fdstore *store, uint8_t out_instance[16]);

/* Nothing is there yet. */
void links_stored_init(
    struct links_stored *stored, const struct links_endpoint *endpoint);

/*
 * Take what was kept for this endpoint.  Returns 0 with descriptors that are
 * the caller's; -ENOENT if nothing (whole) was kept.
 */
int links_store_take(struct fdstore *store,
    const struct links_endpoint *endpoint, struct links_stored *out_stored);
void links_stored_close(struct links_stored *stored);

/* Have the supervisor keep one descriptor; without one nothing happens. */
void links_store_keep(
    const struct links_endpoint *endpoint, const char *what, int fd);
void links_store_keep_lane(const struct links_endpoint *endpoint,
    const struct ring_lane_geometry *geometry, int fd);

/* The memory is given up: have the supervisor forget it. */
void links_store_forget_lane(const struct links_endpoint *endpoint,
    const struct ring_lane_geometry *geometry);
void links_store_forget(const struct links_endpoint *endpoint);

/*
 * Nothing that was inherited for this endpoint is used: have the supervisor
 * forget it, before new memory is kept under the same names.
 */
void links_store_forget_former(
    struct fdstore *store, const struct links_endpoint *endpoint);

/* What is left was nobody's: bridges that were removed.  Logged. */
void links_store_clear(struct fdstore *store);

#endif
