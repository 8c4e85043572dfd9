/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_handback - memory that a living program hands to a new broker.
 *
 * A broker that nobody keeps descriptors for begins with new, empty links.  A
 * program that outlived the former one brings the old memory along with its
 * HELLO (common/ring/ring_handback.h).  It is taken instead of the new one,
 * if that was not used yet; what was put into the new one meanwhile is carried
 * over, behind what is in the old one.
 *
 * The program is not believed: the broker's own memory must come as
 * read-only opens of other files than the program's, all of it must be owned
 * by this broker's user and sealed, and name this link.  Main thread.
 */

#ifndef WEIR_BROKER_LINKS_HANDBACK_H
#define WEIR_BROKER_LINKS_HANDBACK_H

#include "broker/links_store.h"

struct links_endpoint;
struct ring_control_held_sides;
struct ring_control_lane;

struct links_handback {
	struct links_endpoint *endpoint;
	struct links_stored stored;
	const char *fault; /* why it cannot be used; NULL so far */
};

/* NULL without memory. */
struct links_handback *links_handback_new(struct links_endpoint *endpoint);
void links_handback_free(struct links_handback *handback);

/* The parts, as they come.  Descriptors that are used are set to -1. */
void links_handback_sides(struct links_handback *handback,
    const struct ring_control_held_sides *sides, int fds[2]);
void links_handback_lane(struct links_handback *handback,
    const struct ring_control_lane *lane, int *fd);

/*
 * All parts are there: use them if that can be, else say why not, in the log.
 * The endpoint has memory afterwards in any case, as far as it can be had.
 */
void links_handback_finish(struct links_handback *handback);

#endif
