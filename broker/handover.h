/* SPDX-License-Identifier: Apache-2.0 */

/*
 * handover - give a connection to the worker that its client belongs to.
 *
 * The socket goes with the bytes that were read from it, its CONNECT first,
 * and with the time of its accept: connect_timeout runs on.
 */

#ifndef WEIR_BROKER_HANDOVER_H
#define WEIR_BROKER_HANDOVER_H

#include "common/base/slice.h"

struct client;

/*
 * Send `client` to worker `to`; `input` is all that was read and not used.
 * The client is over in any case; on failure its connection is closed.
 */
void handover_send(struct client *client, unsigned to, struct slice input);

#endif
