/* SPDX-License-Identifier: Apache-2.0 */

/*
 * admit - a CONNECT that is known to be right, and the session it gets.
 *
 * What the CONNACK of a durable session says is in the journal before it is
 * sent: the session, or that the one before has ended.  Until then the client
 * is `arriving`: its session is its own, but offline, and nothing is read.
 *
 * The worker's thread only.
 */

#ifndef WEIR_BROKER_ADMIT_H
#define WEIR_BROKER_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/client.h"

/* "weir-" and 16 hex digits. */
#define ASSIGNED_ID_SIZE 24

/* A CONNECT with what was found out about it. */
struct attempt {
	struct mqtt_connect connect;
	uint8_t *unbridged; /* a copy of the packet without the bridge bit */
	bool is_bridge;
	bool wants_instance;
	char assigned[ASSIGNED_ID_SIZE]; /* "": it has an identifier */
	uint16_t keep_alive_s;           /* in force */
	bool session_present;
	bool has_ended_durable; /* the session before, by Clean Start */
};

/* Who it is has been checked: client->identity. */
enum packet_verdict admit(struct client *client, struct attempt *attempt);

/* What a CONNECT says that the client takes; before it is answered. */
void admit_read_limits(
    struct client *client, const struct mqtt_connect *connect);

/* As admit_refuse_because(), and nothing is logged: who calls has said it. */
enum packet_verdict admit_turn_away(struct client *client, uint8_t version,
    enum mqtt_reason reason, const char *why);

/*
 * CONNACK with a reason, and the end: nothing behind it is looked at
 * [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-3.2.2-7].  `version`: as far as it is
 * known. `why` says in a sentence what helps, for MQTT 5.0; NULL: nothing does.
 */
enum packet_verdict admit_refuse_because(struct client *client, uint8_t version,
    enum mqtt_reason reason, const char *why);
enum packet_verdict admit_refuse(
    struct client *client, uint8_t version, enum mqtt_reason reason);

#endif
