/* SPDX-License-Identifier: Apache-2.0 */

/*
 * packet_ids - a set of packet identifiers (1 to 65,535).
 *
 * Holds the identifiers of unfinished QoS 2 messages from a client: what comes
 * under one that is not here is new [MQTT-4.3.3-9] [MQTT-4.3.3-12], at QoS 1
 * always [MQTT-4.3.2-5].  Before
 * the first it has no memory, full it has 256 KiB, and of that it keeps 512
 * bytes when it is empty again.  One thread only.
 */

#ifndef WEIR_BROKER_PACKET_IDS_H
#define WEIR_BROKER_PACKET_IDS_H

#include <stdbool.h>
#include <stdint.h>

/* Embed it by value, zeroed. */
struct packet_ids {
	struct packet_id_table *table; /* NULL: none was there yet */
};

void packet_ids_fini(struct packet_ids *ids);

uint32_t packet_ids_count(const struct packet_ids *ids);

bool packet_ids_has(const struct packet_ids *ids, uint16_t id);

/* Returns 0, also if it is there already, or -ENOMEM. */
int packet_ids_add(struct packet_ids *ids, uint16_t id);

/* Returns false if it was not there. */
bool packet_ids_remove(struct packet_ids *ids, uint16_t id);

/*
 * One after the other, in no order: `*at` begins with 0, and the set is not
 * changed meanwhile.  0: there are no more.
 */
uint16_t packet_ids_next(const struct packet_ids *ids, uint32_t *at);

#endif
