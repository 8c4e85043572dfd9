/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/histogram.h"

#include <string.h>

#include "common/base/bug.h"

#define LINEAR_BITS 5
#define LINEAR (1u << LINEAR_BITS)

/*
 * A value with its highest bit at `octave` keeps its five bits below that;
 * the octaves before it have filled LINEAR buckets each.
 */
static unsigned
bucket_of(uint64_t value)
{
	unsigned octave;

	if (value < LINEAR)
		return (unsigned)value;
	octave = 63 - (unsigned)__builtin_clzll(value) - LINEAR_BITS;
	return (octave << LINEAR_BITS) + (unsigned)(value >> octave);
}

/* The largest value that falls into the bucket. */
static uint64_t
upper_edge(unsigned bucket)
{
	unsigned octave;
	uint64_t head;

	if (bucket < 2 * LINEAR)
		return bucket;
	octave = (bucket >> LINEAR_BITS) - 1;
	head = LINEAR + (bucket & (LINEAR - 1));
	return (head << octave) + ((UINT64_C(1) << octave) - 1);
}

void
histogram_reset(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}

void
histogram_record(struct histogram *histogram, uint64_t value)
{
	if (histogram->count == 0 || value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->count++;
	histogram->sum += value;
	histogram->buckets[bucket_of(value)]++;
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	if (from->count == 0)
		return;
	if (to->count == 0 || from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	to->count += from->count;
	to->sum += from->sum;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

uint64_t
histogram_percentile(const struct histogram *histogram, double percent)
{
	uint64_t rank, seen = 0;
	double exact;

	BUG_ON(!(percent >= 0 && percent <= 100));
	if (histogram->count == 0)
		return 0;
	exact = percent / 100 * (double)histogram->count;
	rank = (uint64_t)exact;
	if ((double)rank < exact || rank == 0)
		rank++;
	if (rank > histogram->count)
		rank = histogram->count;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= rank)
			return upper_edge(i) < histogram->max ? upper_edge(i)
							      : histogram->max;
	}
	return histogram->max;
}
