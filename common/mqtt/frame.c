/* SPDX-License-Identifier: Apache-2.0 */

/* frame - where a packet ends, from its fixed header alone. */

#include "common/mqtt/packet.h"

/* Marks in the table below: flags that are not one fixed value. */
#define FLAGS_OF_PUBLISH 0xff
#define NO_SUCH_TYPE 0xfe

/*
 * The flags that each packet type must have [MQTT-2.1.3-1], so DISCONNECT
 * [MQTT-3.14.1-1] and AUTH [MQTT-3.15.1-1].
 */
static const uint8_t flags_of[16] = {
	[0] = NO_SUCH_TYPE,
	[MQTT_PUBLISH] = FLAGS_OF_PUBLISH,
	[MQTT_PUBREL] = 0x02,      /* [MQTT-3.6.1-1] */
	[MQTT_SUBSCRIBE] = 0x02,   /* [MQTT-3.8.1-1] */
	[MQTT_UNSUBSCRIBE] = 0x02, /* [MQTT-3.10.1-1] */
};

static bool
publish_flags_are_valid(uint8_t flags)
{
	unsigned qos = flags >> 1 & 3;

	/* [MQTT-3.3.1-4] [MQTT-3.3.1-2] */
	return qos != 3 && (qos != 0 || (flags & 0x08) == 0);
}

static bool
first_byte_is_valid(uint8_t byte)
{
	uint8_t flags = byte & 0x0f;
	uint8_t wanted = flags_of[byte >> 4];

	if (wanted == FLAGS_OF_PUBLISH)
		return publish_flags_are_valid(flags);
	return flags == wanted;
}

enum mqtt_frame_status
mqtt_frame(
    const uint8_t *p, size_t len, size_t max_bytes, struct mqtt_frame *frame)
{
	size_t header = 1, remaining = 0;
	uint8_t byte;

	frame->size = 0;
	if (len == 0)
		return MQTT_FRAME_PARTIAL;
	if (!first_byte_is_valid(p[0]))
		return MQTT_FRAME_MALFORMED;

	do {
		if (header == len)
			return MQTT_FRAME_PARTIAL;
		byte = p[header];
		remaining |= (size_t)(byte & 0x7f) << (7 * (header - 1));
		header++;
		if (header == 5 && (byte & 0x80) != 0)
			return MQTT_FRAME_MALFORMED;
	} while ((byte & 0x80) != 0);

	if (header + remaining > max_bytes)
		return MQTT_FRAME_TOO_LARGE;
	frame->size = header + remaining;
	if (frame->size > len)
		return MQTT_FRAME_PARTIAL;

	frame->type = p[0] >> 4;
	frame->flags = p[0] & 0x0f;
	frame->overlong = header > 2 && byte == 0;
	frame->body = slice_of(p + header, remaining);
	return MQTT_FRAME_WHOLE;
}
