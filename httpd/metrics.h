/* SPDX-License-Identifier: Apache-2.0 */

/*
 * metrics - GET /metrics: Prometheus text.
 *
 * weir_httpd_*       this program's counters
 * weir_httpd_lane_*  each lane to the broker, labelled with its set
 * weir_broker_*      the broker's counters, read from its memory
 */

#ifndef WEIR_HTTPD_METRICS_H
#define WEIR_HTTPD_METRICS_H

#include "common/base/slice.h"

struct httpd;
struct request;

void metrics_run(
    struct httpd *httpd, struct request *request, struct slice body);

#endif
