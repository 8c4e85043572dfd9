/* SPDX-License-Identifier: Apache-2.0 */

/*
 * handover - give a connection to the worker that its client belongs to.
 *
 * The connection goes whole: its socket, the layers on it with what they have
 * decrypted and nobody has read, the bytes that were read, its CONNECT first,
 * what is known of its peer, and the time of its accept: connect_timeout runs
 * on.  The mailbox orders it: the next worker sees all that this one did, and
 * no layer is ever used by two threads at a time.
 */

#ifndef WEIR_BROKER_HANDOVER_H
#define WEIR_BROKER_HANDOVER_H

#include "common/base/slice.h"

struct client;
struct client_origin;
struct worker;

/*
 * Send `client` to worker `to`; `input` is all that was read and not used.
 * The client is over in any case; on failure its connection is closed.
 */
void handover_send(struct client *client, unsigned to, struct slice input);

/*
 * A connection that `worker` has accepted, and counted, is to be worker `to`'s
 * from the beginning; takes what is in *origin, which has no input.
 */
void handover_give(
    struct worker *worker, unsigned to, const struct client_origin *origin);

#endif
