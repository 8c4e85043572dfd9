/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/counters.h"

#define STAT(kind, name, help) STATS_ROW(kind, name, help)
static const struct stats_row rows[] = {
#include "httpd/counters.def"
};
#undef STAT

int
counters_create(struct stats **out_stats)
{
	return stats_create("weir-httpd", rows, COUNT_ROWS, 1, out_stats);
}

static enum counter
counter_of(unsigned status)
{
	static const struct {
		unsigned status;
		enum counter counter;
	} single[] = {
		{ 400, COUNT_responses_400 },
		{ 401, COUNT_responses_401 },
		{ 403, COUNT_responses_403 },
		{ 404, COUNT_responses_404 },
		{ 405, COUNT_responses_405 },
		{ 408, COUNT_responses_408 },
		{ 413, COUNT_responses_413 },
		{ 415, COUNT_responses_415 },
		{ 429, COUNT_responses_429 },
		{ 503, COUNT_responses_503 },
		{ 504, COUNT_responses_504 },
	};

	if (status / 100 == 2)
		return COUNT_responses_2xx;
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		if (single[i].status == status)
			return single[i].counter;
	return COUNT_responses_other;
}

void
counters_response(struct stats_block *block, unsigned status)
{
	stats_increment(block, counter_of(status));
}
