/* SPDX-License-Identifier: Apache-2.0 */

/*
 * connack - what a client is told that comes in, or does not.
 *
 * The worker's thread only.
 */

#ifndef WEIR_BROKER_CONNACK_H
#define WEIR_BROKER_CONNACK_H

#include <stddef.h>
#include <stdint.h>

#include "broker/admit.h"

/* Room for a CONNACK with all properties that we send. */
#define CONNACK_SIZE 1024

/*
 * A refusal, with a sentence (or NULL) for MQTT 5.0 where that is not more
 * than the client takes.  Returns its length.
 */
size_t connack_refuse(const struct client *client, uint8_t version,
    enum mqtt_reason reason, const char *why, uint8_t bytes[CONNACK_SIZE]);

/*
 * Success, with all that the client has to know.  `expiry_ns` is what its
 * session gets.  Returns the length; 0: the client does not take a packet of
 * that size, not even without what may be left out.
 */
size_t connack_accept(struct client *client, const struct attempt *attempt,
    uint64_t expiry_ns, uint8_t bytes[CONNACK_SIZE]);

#endif
