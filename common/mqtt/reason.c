/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/reason.h"

#include <stddef.h>

#define IN(type) (1u << MQTT_##type)

struct row {
	const char *text;
	uint32_t packets; /* bit N: may be in packet type N */
};

static const struct row rows[256] = {
#define REASON(value, name, text, packets) [value] = { text, packets },
#include "common/mqtt/reason.def"
#undef REASON
};

static const char *const packet_names[] = {
	[MQTT_CONNECT] = "CONNECT",
	[MQTT_CONNACK] = "CONNACK",
	[MQTT_PUBLISH] = "PUBLISH",
	[MQTT_PUBACK] = "PUBACK",
	[MQTT_PUBREC] = "PUBREC",
	[MQTT_PUBREL] = "PUBREL",
	[MQTT_PUBCOMP] = "PUBCOMP",
	[MQTT_SUBSCRIBE] = "SUBSCRIBE",
	[MQTT_SUBACK] = "SUBACK",
	[MQTT_UNSUBSCRIBE] = "UNSUBSCRIBE",
	[MQTT_UNSUBACK] = "UNSUBACK",
	[MQTT_PINGREQ] = "PINGREQ",
	[MQTT_PINGRESP] = "PINGRESP",
	[MQTT_DISCONNECT] = "DISCONNECT",
	[MQTT_AUTH] = "AUTH",
};

const char *
mqtt_packet_name(unsigned type)
{
	if (type < MQTT_CONNECT || type > MQTT_AUTH)
		return "RESERVED";
	return packet_names[type];
}

const char *
mqtt_reason_name(unsigned reason)
{
	if (reason > UINT8_MAX || rows[reason].text == NULL)
		return "unknown reason";
	return rows[reason].text;
}

bool
mqtt_reason_is_allowed(unsigned reason, unsigned packet_type)
{
	return reason <= UINT8_MAX && packet_type <= MQTT_AUTH &&
	    (rows[reason].packets >> packet_type & 1) != 0;
}

enum mqtt_connack3
mqtt_reason_to_connack3(enum mqtt_reason reason)
{
	if (!mqtt_reason_is_error(reason))
		return MQTT_CONNACK3_ACCEPTED;

	switch ((unsigned)reason) {
	case MQTT_UNSUPPORTED_PROTOCOL_VERSION:
		return MQTT_CONNACK3_BAD_VERSION;
	case MQTT_CLIENT_IDENTIFIER_NOT_VALID:
		return MQTT_CONNACK3_BAD_CLIENT_ID;
	case MQTT_BAD_USER_NAME_OR_PASSWORD:
	case MQTT_BAD_AUTHENTICATION_METHOD:
		return MQTT_CONNACK3_BAD_CREDENTIALS;
	case MQTT_NOT_AUTHORIZED:
	case MQTT_BANNED:
		return MQTT_CONNACK3_NOT_AUTHORIZED;
	default:
		return MQTT_CONNACK3_UNAVAILABLE;
	}
}

enum mqtt_reason
mqtt_reason_from_connack3(unsigned code)
{
	static const enum mqtt_reason reasons[] = {
		[MQTT_CONNACK3_ACCEPTED] = MQTT_SUCCESS,
		[MQTT_CONNACK3_BAD_VERSION] = MQTT_UNSUPPORTED_PROTOCOL_VERSION,
		[MQTT_CONNACK3_BAD_CLIENT_ID] =
		    MQTT_CLIENT_IDENTIFIER_NOT_VALID,
		[MQTT_CONNACK3_UNAVAILABLE] = MQTT_SERVER_UNAVAILABLE,
		[MQTT_CONNACK3_BAD_CREDENTIALS] =
		    MQTT_BAD_USER_NAME_OR_PASSWORD,
		[MQTT_CONNACK3_NOT_AUTHORIZED] = MQTT_NOT_AUTHORIZED,
	};

	if (code >= sizeof(reasons) / sizeof(reasons[0]))
		return MQTT_PROTOCOL_ERROR;
	return reasons[code];
}
