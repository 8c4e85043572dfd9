/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_traces - the trace notes of all processes of a host, from outside.
 *
 * Found as ring_inspect finds rings, so it works while a process hangs and
 * after it died.  Notes may be collected several times into one list, which
 * has each of them once:
 *
 *	struct ring_traces traces = { 0 };
 *
 *	while (...)
 *		ring_traces_collect(&traces, run_dir);
 *	ring_traces_free(&traces);
 */

#ifndef WEIR_COMMON_RING_RING_TRACES_H
#define WEIR_COMMON_RING_RING_TRACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_trace.h"

struct ring_traces_note {
	uint8_t instance[16];
	struct ring_trace_event event;
	uint32_t side_link; /* the side that noted it: of this link, */
	bool by_broker;     /* the broker's or the endpoint's */
};

/* A side that notes were looked for in. */
struct ring_traces_side {
	uint8_t instance[16];
	uint32_t link;
	enum ring_role role;
	char name[RING_NAME_MAX]; /* of the link's endpoint, printable */
	struct ring_trace_state state;
};

/* Zeroed memory is an empty one. */
struct ring_traces {
	struct ring_traces_note *note; /* by instance, id, time, stage */
	size_t count;
	struct ring_traces_side *side;
	size_t sides;
	uint64_t lost;     /* overwritten between two collections */
	size_t unreadable; /* processes, at the last collection */
};

/*
 * Add what there is now, of the installation with that run_dir (NULL: of
 * all).  Returns 0 or -errno; *traces is as it was then.
 */
int ring_traces_collect(struct ring_traces *traces, const char *run_dir);
void ring_traces_free(struct ring_traces *traces);

#endif
