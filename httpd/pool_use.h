/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pool_use - how much of a bounded supply of objects is taken, and was at
 * most: for the metrics.  Whoever has the supply notes each taking.
 */

#ifndef WEIR_HTTPD_POOL_USE_H
#define WEIR_HTTPD_POOL_USE_H

#include <stdint.h>

struct pool_use {
	uint32_t in_use;
	uint32_t high_water; /* since the start */
	uint32_t max;
};

static inline void
pool_use_take(struct pool_use *use)
{
	if (++use->in_use > use->high_water)
		use->high_water = use->in_use;
}

static inline void
pool_use_put(struct pool_use *use)
{
	use->in_use--;
}

#endif
