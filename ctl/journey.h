/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journey - what the notes of one message tell of its way.
 *
 *	          PUT        TAKEN        ROUTED         SENT         ACKED
 *	READ ------+-----------+------------+--------------+------------+
 *	 to_ring     in_ring      routing      in_bridge_ring   remote
 *	READ - - - - - - - - - - - - - - - -+ to_bridge_ring (an MQTT client's)
 *	                       +----------------ANSWERED
 *	                                receipt
 *
 * One message may go to several bridges: the stages from ROUTED on are there
 * once for each.  A note may be missing (overwritten, or its process died);
 * legs without both ends are left out.
 */

#ifndef WEIR_CTL_JOURNEY_H
#define WEIR_CTL_JOURNEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/histogram.h"
#include "common/ring/ring_traces.h"

enum journey_leg {
	JOURNEY_TO_RING,
	JOURNEY_IN_RING,
	JOURNEY_TO_BRIDGE_RING,
	JOURNEY_ROUTING,
	JOURNEY_IN_BRIDGE_RING,
	JOURNEY_REMOTE,
	JOURNEY_RECEIPT,
	JOURNEY_TO_ANSWER,
	JOURNEY_TO_REMOTE,
	JOURNEY_LEGS
};

struct journey_leg_words {
	const char *name; /* "in_ring" */
	const char *text; /* "in the ring to the broker" */
};

extern const struct journey_leg_words journey_leg_words[JOURNEY_LEGS];

const char *journey_stage_name(enum ring_trace_stage stage); /* "taken" */

/* The notes of one message, sorted by time. */
struct journey {
	const struct ring_traces_note *note;
	size_t count;
};

/*
 * The journey that begins at note `at` of sorted notes: those with the same
 * id, up to where the id is used again by a restarted broker.
 */
struct journey journey_at(const struct ring_traces *traces, size_t at);

/* How long each leg took, of all journeys. */
struct journey_times {
	struct histogram leg[JOURNEY_LEGS];
	uint64_t journeys;
};

/* Add those that begin at `since_ns` or later. */
void journey_measure(const struct ring_traces *traces, uint64_t since_ns,
    struct journey_times *times);

#endif
