/* SPDX-License-Identifier: Apache-2.0 */

/*
 * link_state - what link.c (life, control) and link_records.c (the records of
 * a turn) share; private to the two.
 */

#ifndef WEIR_HTTPD_LINK_STATE_H
#define WEIR_HTTPD_LINK_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/net/loop.h"
#include "common/ring/ring_link.h"
#include "httpd/link.h"

struct link {
	struct loop *loop;
	const struct link_events *events;
	void *context;
	struct stats_block *counters;
	struct ring_endpoint *endpoint;
	struct ring_link *ring; /* NULL while not attached */
	struct ring_consumer *receipts;
	struct loop_fd socket_watch, bell_watch;
	struct loop_timer retry, tend;
	uint64_t trace_every;
	uint64_t lane_idle_ns;
	uint64_t random;
	uint32_t attempt;
	uint32_t dirty; /* lanes with uncommitted records, a bit each */
	uint64_t read_word;
	uint64_t read_count; /* receipts read and not yet released */
	uint32_t asks, asks_max;
	const char *fault; /* to be acted on at the end of the turn */
	bool has_instance;
	uint8_t instance[16];
	char reason[160];
};

/* Soon, if a lane is larger than its smallest. */
void link_tend_later(struct link *link);

/* Let the broker fill the lane of receipts up to what is read. */
void link_grant(struct link *link);

#endif
