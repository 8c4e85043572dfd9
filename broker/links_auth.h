/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_auth - credentials that httpd asks about.
 *
 * Nothing slow stands in a lane's way: an AUTH record is copied and released
 * at once, the check runs on the auth thread and its answer comes by mail.
 * Checks under way are bounded; beyond that httpd is told MQTT_SERVER_BUSY.
 */

#ifndef WEIR_BROKER_LINKS_AUTH_H
#define WEIR_BROKER_LINKS_AUTH_H

#include <stdbool.h>

#include "common/ring/ring_layout.h"

struct links_endpoint;

/* Checks under way for one endpoint. */
#define LINKS_AUTH_MAX 64u

/*
 * Take an AUTH record whose body was copied to `body`.
 * Returns false if there is no room for its answer: try again later.
 */
bool links_auth_take(struct links_endpoint *endpoint,
    const struct ring_record *record, const void *body);

#endif
