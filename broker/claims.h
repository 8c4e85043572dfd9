/* SPDX-License-Identifier: Apache-2.0 */

/*
 * claims - what a member of the commit has counted in bridges' backlogs.
 *
 * It is counted when it is sent (backlog_offer()).  When its ticket is
 * settled well, the links thread uncounts it once it is in the ring; when it
 * failed, nobody else does, so it is withdrawn here.
 *
 * The member's thread only.
 */

#ifndef WEIR_BROKER_CLAIMS_H
#define WEIR_BROKER_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fifo.h"

struct backlogs;
struct commit_letter;

/* Embed it by value, zeroed. */
struct claims {
	struct fifo list;
};

/* Room for one more; false: no memory. */
bool claims_reserve(struct claims *claims);

/*
 * There is room.  Without bridges there is nothing to note.  `offered`: those
 * of them that count it as offered, and are to be told if it fails.
 */
void claims_add(struct claims *claims, uint64_t ticket, uint64_t bridges,
    uint64_t offered, size_t weight);

/*
 * These tickets are settled.  Each message that failed is told with those that
 * count it as offered.
 */
void claims_settled(struct claims *claims, struct backlogs *backlogs,
    const struct commit_letter *letter,
    void (*failed)(void *context, uint64_t offered), void *context);

void claims_fini(struct claims *claims);

#endif
