/* SPDX-License-Identifier: Apache-2.0 */

/*
 * histogram - how values are spread, in constant space.
 *
 * Values below 32 have a bucket each; above, every power of two is cut into
 * 32 equal buckets, so a percentile is at most 1/32 (3.2 %) above the value
 * it stands for.  Recording takes a few nanoseconds.  One thread writes;
 * merge copies of several threads' histograms to read them together.
 */

#ifndef WEIR_COMMON_BASE_HISTOGRAM_H
#define WEIR_COMMON_BASE_HISTOGRAM_H

#include <stdint.h>

/* 32 exact buckets and 32 for each of the octaves 2^5 to 2^63. */
#define HISTOGRAM_BUCKETS (32 * 60)

/* Embed it by value (15 KiB); zeroed memory is an empty histogram. */
struct histogram {
	uint64_t count;
	uint64_t sum; /* wraps around */
	uint64_t min; /* undefined while count is 0 */
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);

void histogram_record(struct histogram *histogram, uint64_t value);

/* Add what `from` holds to *to. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/*
 * The value that `percent` (0..100) of the recorded ones do not exceed: the
 * upper edge of its bucket, but never above the largest recorded value.
 * Returns 0 when nothing was recorded.
 */
uint64_t histogram_percentile(
    const struct histogram *histogram, double percent);

#endif
