/* SPDX-License-Identifier: Apache-2.0 */

/*
 * grave - dead letters on their way to the broker.
 *
 * A message that the remote will never take goes, with the reason, as a record
 * of kind RECORD_DEAD into the lane "" and is committed at once: only then may
 * forward give its own record back.  Who dies in between does it again; the
 * broker knows the copy.
 *
 * Embed it by value, zeroed; `link` is NULL while there is none.  One thread.
 */

#ifndef WEIR_BRIDGED_GRAVE_H
#define WEIR_BRIDGED_GRAVE_H

#include "bridged/forward.h"
#include "common/ring/ring_link.h"

struct grave {
	struct ring_link *link;
	struct loop *loop;
};

/* For forward_set_grave(). */
struct forward_grave grave_of(struct grave *grave);

#endif
