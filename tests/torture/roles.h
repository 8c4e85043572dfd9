/* SPDX-License-Identifier: Apache-2.0 */

/*
 * roles - httpd, broker and bridged, as far as rings are concerned: the loop
 * of ring_link.h, with nothing in it that wakes by time.
 *
 *	httpd    sends each lane's messages, takes the receipts; opens its
 *	         second lane when half of the first has been sent
 *	broker   takes a message when its receipt and the bridge have room, or
 *	         the bridge has it already; commits both, then gives back
 *	bridged  tells the remote, then gives back
 *
 * All three shrink what they produce as they go.
 */

#ifndef WEIR_TESTS_TORTURE_ROLES_H
#define WEIR_TESTS_TORTURE_ROLES_H

#include "tests/torture/world.h"

/* Be that role until the world's quit_fd is readable; then exit 0. */
_Noreturn void roles_live(struct world *world, enum world_role role);

#endif
