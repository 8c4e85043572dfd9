/* SPDX-License-Identifier: Apache-2.0 */

/*
 * metrics - GET /metrics: Prometheus text.
 *
 * weir_httpd_*       this program's counters
 * weir_httpd_lane_*  each lane to the broker, labelled with its set
 * weir_broker_*      the broker's counters, read from its memory
 * weir_bridge_*      each bridge's books and buffers, as the broker says
 * weir_build_info    1, labelled with the version
 *
 * While the broker is away or hangs, what it would have said is left out
 * after METRICS_TIMEOUT_NS: weir_httpd_broker_up, and weir_httpd_asks_late,
 * tell why.
 */

#ifndef WEIR_HTTPD_METRICS_H
#define WEIR_HTTPD_METRICS_H

#include <jansson.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/slice.h"

struct httpd;
struct request;

/* Well below the time that a scrape may take. */
#define METRICS_TIMEOUT_NS CLOCK_SECOND_NS

void metrics_run(
    struct httpd *httpd, struct request *request, struct slice body);

/* metrics_bridges.c: what the broker says of bridges (an array). */
void metrics_write_bridges(FILE *out, const json_t *bridges);

/* NAME="VALUE", in memory that the caller frees; NULL without memory. */
char *metrics_label(const char *name, const char *value);

#endif
