/* SPDX-License-Identifier: Apache-2.0 */

/*
 * probe - try a bridge's remote step by step, for `weirctl bridge test`.
 *
 * Each of the bridge's addresses is connected to as the bridge does it, but
 * as a client of its own (a random identifier, no session, no will, nothing
 * subscribed), so that a bridge that runs is not disturbed.  One message goes
 * to a topic for trying.  What comes of it is written to stdout as lines that
 * a program can read, fields parted by tabs:
 *
 *	try	URL
 *	ok	STEP	MICROSECONDS	detail
 *	failed	STEP	MICROSECONDS	why, and what to do
 *
 * STEP is one of DNS, TCP, TLS, WebSocket, CONNACK, publish; after one that
 * failed follows the next address.  The loop's thread.
 */

#ifndef WEIR_BRIDGED_PROBE_H
#define WEIR_BRIDGED_PROBE_H

#include "common/conf/conf.h"
#include "common/service/service.h"

/*
 * `topic` is NULL for weir/test/NAME.  Returns EXIT_OK when every address
 * passed every step, else EXIT_FAILED.
 */
int probe_run(
    struct service *service, const struct conf_bridge *conf, const char *topic);

#endif
