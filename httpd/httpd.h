/* SPDX-License-Identifier: Apache-2.0 */

/*
 * httpd - weir-httpd's parts, and how they are wired.
 *
 *	connections --requests--> endpoints --> publisher --> pending
 *	     ^                        |             |            |
 *	     |                     identity       lanes        link ~~ rings
 *	     +------------- answers ----------------+------------+
 *
 * The parts do not know each other; the callbacks that join them are in
 * wiring_*.c.  All is for the main thread.
 */

#ifndef WEIR_HTTPD_HTTPD_H
#define WEIR_HTTPD_HTTPD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/net/loop.h"
#include "httpd/asks.h"
#include "httpd/connection.h"
#include "httpd/identity.h"
#include "httpd/lanes.h"
#include "httpd/limits.h"
#include "httpd/link.h"
#include "httpd/pending.h"
#include "httpd/publish.h"
#include "httpd/tally.h"

struct conf;
struct listener;
struct service;
struct stats;
struct stats_block;
struct stream_hub;
struct tls;

struct httpd {
	struct service *service;
	const struct conf *conf;
	struct loop *loop;
	struct stats *stats;
	struct stats_block *counters;
	struct stream_hub *hub;
	struct listener *listener;
	struct connections *connections;
	struct tls *tls; /* NULL: plain HTTP */
	struct lanes *lanes;
	struct tally tally; /* for each bridge */
	struct limits *limits;
	struct identity *identity;
	struct pending *pending;
	struct publisher *publisher;
	struct link *link;
	struct asks *asks;           /* questions to the broker */
	char *openapi;               /* as text, once somebody has asked */
	struct loop_hook work_hook;  /* before the answers are written */
	struct loop_hook sleep_hook; /* after */
	struct loop_timer tick;
	struct loop_timer expiry; /* of what is pending, */
	uint64_t expiry_ns;       /* which is armed for then */
	uint64_t beaten_ns;
	uint64_t give_up_ns; /* while draining */
	bool is_draining;
	bool takes_tokens; /* there are rules in http.jwt */
};

/*
 * Make all parts, bind http.bind and look for the broker, which need not be
 * there.  Returns an exit code: EXIT_OK, or another after it has been logged
 * why; httpd_fini() is to be called in any case.
 */
int httpd_init(struct httpd *httpd, struct service *service);
void httpd_fini(struct httpd *httpd);

/* "127.0.0.1:8081" */
const char *httpd_address(const struct httpd *httpd);

/* SIGTERM: finish what is under way, then stop the service. */
void httpd_drain(void *httpd);

/* SIGHUP: take over what may change while it runs. */
void httpd_reload(void *httpd, const struct conf *conf);

/* Bring the gauges among the counters up to date. */
void httpd_set_gauges(struct httpd *httpd);

#endif
