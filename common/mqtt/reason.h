/* SPDX-License-Identifier: Apache-2.0 */

/*
 * reason - why a packet was refused, in the specification's words.
 *
 * The decoder returns these, and they travel in the packets of MQTT 5.0.
 * Older versions know few of them: the mappings are here.
 */

#ifndef WEIR_COMMON_MQTT_REASON_H
#define WEIR_COMMON_MQTT_REASON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/mqtt/protocol.h"

/* MQTT_SUCCESS, MQTT_MALFORMED_PACKET, ...: one for each line of the table. */
enum mqtt_reason {
#define REASON(value, name, text, packets) MQTT_##name = value,
#include "common/mqtt/reason.def"
#undef REASON
	MQTT_NORMAL_DISCONNECTION = 0x00,
	MQTT_GRANTED_QOS_0 = 0x00,
};

/* The return codes of CONNACK in MQTT 3.1 and 3.1.1. */
enum mqtt_connack3 {
	MQTT_CONNACK3_ACCEPTED = 0,
	MQTT_CONNACK3_BAD_VERSION = 1,
	MQTT_CONNACK3_BAD_CLIENT_ID = 2,
	MQTT_CONNACK3_UNAVAILABLE = 3,
	MQTT_CONNACK3_BAD_CREDENTIALS = 4,
	MQTT_CONNACK3_NOT_AUTHORIZED = 5,
};

/* "Malformed Packet"; "unknown reason" for a value outside the table. */
const char *mqtt_reason_name(unsigned reason);

/* May a packet of this type carry this reason code? */
bool mqtt_reason_is_allowed(unsigned reason, unsigned packet_type);

static inline bool
mqtt_reason_is_error(enum mqtt_reason reason)
{
	return reason >= MQTT_UNSPECIFIED_ERROR;
}

/*
 * The old CONNACK code nearest to a reason; 3 (server unavailable) for an
 * error that has none.  A malformed CONNECT gets no CONNACK in the old
 * versions: the connection is closed [MQTT-3.1.4-1] [MQTT3-3.2.2-6]; that is
 * the caller's to know.
 */
enum mqtt_connack3 mqtt_reason_to_connack3(enum mqtt_reason reason);

/*
 * The reason that stands for an old CONNACK code; MQTT_PROTOCOL_ERROR for a
 * code above 5, which is reserved.
 */
enum mqtt_reason mqtt_reason_from_connack3(unsigned code);

/* The old SUBACK code: the granted QoS, or 0x80 for every error. */
static inline uint8_t
mqtt_reason_to_suback3(enum mqtt_reason reason)
{
	return mqtt_reason_is_error(reason) ? 0x80 : (uint8_t)reason;
}

#endif
