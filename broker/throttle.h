/* SPDX-License-Identifier: Apache-2.0 */

/*
 * throttle - how fast one client may publish: publish_rate.
 *
 * A PUBLISH that comes too fast is held as one that a bridge has no room for
 * (parked.c): in its order, unacknowledged and not dropped, while the client's
 * other packets, PINGREQ among them, are answered.  When read_ahead is full
 * reading stops, and goes on when half of it is empty again; while we do not
 * read, the keep alive does not run.  So a PINGREQ is answered when what was
 * sent before it, less read_ahead, has passed.
 *
 * The worker's thread only.
 */

#ifndef WEIR_BROKER_THROTTLE_H
#define WEIR_BROKER_THROTTLE_H

#include <stdbool.h>

#include "common/conf/conf.h"
#include "common/mqtt/packet.h"

struct client;
struct throttle;

/*
 * The client's rate from now on; without one it has no throttle, and what is
 * held is tried soon.  0, or -ENOMEM and it is as it was.
 */
int throttle_set(struct client *client, const struct conf_rate *rate);

/* The client goes. */
void throttle_free(struct client *client);

/*
 * May this one be published now?  Asked again for the same one it is not
 * charged again.  If not, it is counted, and the client is tried in time.
 */
bool throttle_passes(struct client *client, const struct mqtt_publish *publish);

/* It is dealt with; the next one has to be paid for. */
void throttle_done(struct client *client);

#endif
