/* SPDX-License-Identifier: Apache-2.0 */

/*
 * trail - the Weirs that a message has passed, kept in the message.
 *
 * Each bridge adds a user property "weir-via" with the instance of its own
 * broker to what it forwards over MQTT 5.0.  A message is not sent to a Weir
 * that is in its trail, and one that comes with ourselves in it is dropped:
 * a ring of bridges, of whatever length, carries a message round once.  The
 * broker does not even put it into the ring of a bridge to where it came from:
 * two Weirs whose rings are full of each other's messages would wait for each
 * other.
 *
 * Pure functions over property bytes as in common/msg/record.h.
 */

#ifndef WEIR_COMMON_MQTT_TRAIL_H
#define WEIR_COMMON_MQTT_TRAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define TRAIL_PROPERTY "weir-via"

/* Bytes that trail_add() puts in front of the properties. */
#define TRAIL_SIZE(id_len) (1 + 2 + sizeof(TRAIL_PROPERTY) - 1 + 2 + (id_len))

/*
 * Are these well-formed properties of a PUBLISH?  `scratch` has room for
 * them and 4 bytes more.
 */
bool trail_is_sound(struct slice properties, uint8_t *scratch);

/*
 * An instance as two words; false (and 0 0) if `hex` is not 32 hexadecimal
 * digits, as every Weir's are.
 */
bool trail_id(struct slice hex, uint64_t out_id[2]);

/* Is that instance in the trail of sound properties?  0 0 never is. */
bool trail_has(struct slice properties, const uint64_t id[2]);

/* How many Weirs are in the trail of sound properties? */
size_t trail_length(struct slice properties);

/* Is `id` in the trail of sound properties?  An empty id never is. */
bool trail_contains(struct slice properties, const char *id);

/*
 * Write the properties with `id` added to `out`, which has room for
 * properties.len + TRAIL_SIZE(strlen(id)).  Returns the bytes written.
 */
size_t trail_add(struct slice properties, const char *id, uint8_t *out);

#endif
