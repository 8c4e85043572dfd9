/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_pair - both ends of a link in one process, for the benchmarks.
 *
 * Real link memory, each side with mappings of its own; the endpoint writes
 * the lanes, the broker reads them.
 */

#ifndef WEIR_BENCH_RING_PAIR_H
#define WEIR_BENCH_RING_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_link.h"

struct ring_pair {
	struct ring_link *broker, *endpoint;
	/* What each side says of itself. */
	const struct ring_side_header *broker_side, *endpoint_side;
};

/* What it is made of: `lanes` lanes of these classes. */
struct ring_pair_shape {
	uint32_t lanes;
	uint32_t min_shift;
	uint32_t classes;
	bool has_bells;
};

/* Aborts when it cannot be had. */
void ring_pair_open(
    struct ring_pair *out_pair, const struct ring_pair_shape *shape);
void ring_pair_close(struct ring_pair *pair);

#endif
