/* SPDX-License-Identifier: Apache-2.0 */

/* protocol - the numbers of MQTT that every file of this layer needs. */

#ifndef WEIR_COMMON_MQTT_PROTOCOL_H
#define WEIR_COMMON_MQTT_PROTOCOL_H

/* The largest Remaining Length, and the largest value of a varint. */
#define MQTT_MAX_VARINT 268435455

/* The largest packet with its fixed header, in bytes. */
#define MQTT_MAX_PACKET_BYTES (5 + MQTT_MAX_VARINT)

/* The longest string or binary field, in bytes. */
#define MQTT_MAX_STRING_BYTES 65535

/* The Protocol Level byte of CONNECT. */
enum mqtt_version {
	MQTT_3_1 = 3,
	MQTT_3_1_1 = 4,
	MQTT_5 = 5,
};

/* On which side of the connection are we? */
enum mqtt_role {
	MQTT_SERVER,
	MQTT_CLIENT,
};

enum mqtt_packet_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK = 2,
	MQTT_PUBLISH = 3,
	MQTT_PUBACK = 4,
	MQTT_PUBREC = 5,
	MQTT_PUBREL = 6,
	MQTT_PUBCOMP = 7,
	MQTT_SUBSCRIBE = 8,
	MQTT_SUBACK = 9,
	MQTT_UNSUBSCRIBE = 10,
	MQTT_UNSUBACK = 11,
	MQTT_PINGREQ = 12,
	MQTT_PINGRESP = 13,
	MQTT_DISCONNECT = 14,
	MQTT_AUTH = 15,
};

/* "PUBLISH"; "RESERVED" for a number that is no packet type. */
const char *mqtt_packet_name(unsigned type);

#endif
