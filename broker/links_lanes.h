/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_lanes - the lanes from an endpoint: opened, closed, adopted.
 *
 * A lane is for a set of bridges, by name ("cloud+plant").  Its endpoint asks
 * for it when a topic first needs it, and to have it closed when it was idle;
 * then its memory goes, and its slot may be used for another set.
 */

#ifndef WEIR_BROKER_LINKS_LANES_H
#define WEIR_BROKER_LINKS_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/links_endpoint.h"
#include "broker/links_store.h"

/* The shape that the configuration gives a lane of this endpoint. */
struct ring_lane_geometry links_lanes_geometry(
    const struct links_endpoint *endpoint, uint32_t lane, const char *name);
bool links_lanes_same_shape(
    const struct ring_lane_geometry *a, const struct ring_lane_geometry *b);

/* Lane "" of new memory.  Returns its number, 0, or -errno. */
int links_lanes_make_first(struct links_endpoint *endpoint);

/*
 * Take the lanes that were kept, in the shape that the configuration wants
 * and for bridges that it has; else -EBADMSG or -errno.
 */
int links_lanes_adopt(
    struct links_endpoint *endpoint, struct links_stored *stored);

/*
 * Open a lane of that set, endpoint -> broker.  The last one is for "*", all
 * sets that have none of their own.  Returns its number; -EEXIST if it is
 * open; or -errno with *out_reason, a sentence for the endpoint.
 */
int links_lanes_open(
    struct links_endpoint *endpoint, const char *set, const char **out_reason);

/*
 * Close that lane (below RING_LANES), which its endpoint has promised to put
 * nothing into.  Returns NULL, or why the endpoint is not to be trusted.
 */
const char *links_lanes_close(
    struct links_endpoint *endpoint, uint32_t number, const char *set);

#endif
