/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bridge - one bridge: its link to the broker, its remote, and when to try.
 *
 *	           attached                 up
 *	DETACHED ----------> CONNECTING ----------> UP ---> ENDED
 *	   ^ ^ |               |     ^               |	start = once: no more
 *	   | | | lazy     down |     | time          | down
 *	   | | v               v     |               |
 *	   | | IDLE           WAITING <--------------+
 *	   | +-- lost --+      messages: IDLE -> CONNECTING
 *	   +---- lost, from any state
 *	UP --no message for idle_timeout, start = lazy--> IDLE
 *	any --SIGTERM--> DRAINING --all acknowledged, or 5 s--> stopped
 *
 * Where it would connect while the broker has it disabled, it is DISABLED
 * until that is taken back; what it carries waits in its ring.
 *
 * Without a broker there is no connection to the remote either: there would
 * be nothing to send, and nowhere to put what it sends.
 */

#ifndef WEIR_BRIDGED_BRIDGE_H
#define WEIR_BRIDGED_BRIDGE_H

#include "common/conf/conf.h"
#include "common/service/service.h"

struct bridge;

/*
 * Start the bridge `conf`, a part of the service's configuration.
 * NULL with the reason logged.
 */
struct bridge *bridge_new(
    struct service *service, const struct conf_bridge *conf);

/* Accepts NULL. */
void bridge_free(struct bridge *bridge);

/* Send nothing new, wait for acknowledgements, then stop the service. */
void bridge_drain(struct bridge *bridge);

/* SIGHUP: take what `conf` changes; the log says what it cannot take. */
void bridge_reload(struct bridge *bridge, const struct conf *conf);

#endif
