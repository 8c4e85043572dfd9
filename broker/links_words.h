/* SPDX-License-Identifier: Apache-2.0 */

/* links_words - what the broker says to an endpoint: its link, in messages. */

#ifndef WEIR_BROKER_LINKS_WORDS_H
#define WEIR_BROKER_LINKS_WORDS_H

#include "common/ring/ring_control.h"

struct links_connection;

/* The sides, bells and counters.  Returns 0 or -errno: nothing was said. */
int links_words_grant(struct links_connection *connection);

/* RING_ORDER_*. */
void links_words_order(struct links_connection *connection, const char *word);

/* All lanes that are open, and the filters. */
void links_words_all(struct links_connection *connection);

void links_words_lane(struct links_connection *connection,
    enum ring_direction direction, const struct ring_lane_geometry *geometry,
    int fd);

/* Those of bridges that stall or reject, but for the endpoint's own. */
void links_words_filters(struct links_connection *connection);

#endif
