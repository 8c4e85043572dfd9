/* SPDX-License-Identifier: Apache-2.0 */

/* Questions to the broker: what asks collects and link carries. */

#include "httpd/counters.h"
#include "httpd/httpd.h"
#include "httpd/wiring.h"

static int
ask(void *context, struct slice question, uint64_t identity, uint64_t id)
{
	struct httpd *httpd = context;
	uint32_t lane;
	int err = wiring_plain_lane(httpd, &lane);

	if (err != 0)
		return err;
	return link_put_ask(httpd->link, lane, question, identity,
	    record_correlation(link_epoch(httpd->link), id));
}

static const char *
away_reason(void *context)
{
	struct httpd *httpd = context;

	return link_reason(httpd->link);
}

const struct asks_ops wiring_asks = {
	.ask = ask,
	.away_reason = away_reason,
};

void
wiring_ask_result(void *context, uint64_t correlation,
    const struct ask_result_header *header, struct slice bytes)
{
	struct httpd *httpd = context;
	uint64_t id = correlation & RECORD_CORRELATION_ID_MASK;

	/* An answer to a former life names that life's epoch. */
	if (record_correlation(link_epoch(httpd->link), id) != correlation ||
	    !asks_result(httpd->asks, id, header, bytes))
		stats_increment(httpd->counters, COUNT_asks_ignored);
}
