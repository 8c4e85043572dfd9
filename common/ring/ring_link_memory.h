/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_link_memory - make and check the memory of a link.
 *
 * Used by the files of ring_link alone.  What is in a memfd that somebody
 * handed over is copied out of the mapping once and the copy is checked; only
 * what is named here is trusted afterwards.
 */

#ifndef WEIR_COMMON_RING_RING_LINK_MEMORY_H
#define WEIR_COMMON_RING_RING_LINK_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"
#include "common/ring/ring_link.h"

/*
 * Map a side memfd that `role` writes.
 * Returns 0, -EBADMSG when it is not this side of this link, or -errno.
 */
int ring_memory_map_side(const struct ring_link_identity *identity,
    enum ring_role role, int fd, bool writable, void **out_map);

/* As above for a lane memfd, ring_lane_length() bytes. */
int ring_memory_map_lane(const struct ring_link_identity *identity,
    enum ring_role producer_role, const struct ring_lane_geometry *geometry,
    int fd, bool writable, void **out_map);

/* Numbers in range and names that end. */
bool ring_memory_identity_is_valid(const struct ring_link_identity *identity);
bool ring_memory_geometry_is_valid(const struct ring_lane_geometry *geometry);

#endif
