/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_mqtt_frame - the fixed header, against a reading of our own, and a
 * stream of packets of any type.
 *
 * The first byte of the input picks version and role, the second a limit; the
 * rest is what a peer sends.  A packet is found at the same place however
 * little of it is there at first.
 */

#include "tests/fuzz/fuzz_mqtt.h"

struct expected {
	enum mqtt_frame_status status;
	size_t size;
};

/* Types 1 to 15; all but PUBLISH have one value of flags. */
static bool
is_first_byte(uint8_t byte)
{
	switch (byte >> 4) {
	case 0:
		return false;
	case MQTT_PUBLISH:
		return (byte & 0x06) != 0x06 && (byte & 0x0e) != 0x08;
	case MQTT_PUBREL:
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		return (byte & 0x0f) == 2;
	default:
		return (byte & 0x0f) == 0;
	}
}

/* By division and multiplication, as the specification puts it. */
static struct expected
read_header(const uint8_t *p, size_t len, size_t limit)
{
	size_t multiplier = 1, value = 0, at = 1;

	if (len == 0)
		return (struct expected){ MQTT_FRAME_PARTIAL, 0 };
	if (!is_first_byte(p[0]))
		return (struct expected){ MQTT_FRAME_MALFORMED, 0 };
	for (;;) {
		if (at == len)
			return (struct expected){ MQTT_FRAME_PARTIAL, 0 };
		value += p[at] % 128 * multiplier;
		if (p[at++] < 128)
			break;
		if (multiplier == 128 * 128 * 128)
			return (struct expected){ MQTT_FRAME_MALFORMED, 0 };
		multiplier *= 128;
	}
	if (at + value > limit)
		return (struct expected){ MQTT_FRAME_TOO_LARGE, 0 };
	return (struct expected){ at + value > len ? MQTT_FRAME_PARTIAL
						   : MQTT_FRAME_WHOLE,
		at + value };
}

/* What mqtt_frame() says of the first `len` bytes, in memory of their own. */
static enum mqtt_frame_status
frame_of(const uint8_t *data, size_t len, size_t limit)
{
	uint8_t *copy = malloc(len + (len == 0));
	struct expected expected = read_header(data, len, limit);
	struct mqtt_frame frame;
	enum mqtt_frame_status status;

	if (len != 0)
		memcpy(copy, data, len);
	status = mqtt_frame(copy, len, limit, &frame);
	require(status == expected.status);
	if (status == MQTT_FRAME_WHOLE || status == MQTT_FRAME_PARTIAL)
		require(frame.size == expected.size);
	if (status == MQTT_FRAME_WHOLE) {
		require(frame.body.data + frame.body.len == copy + frame.size);
		mqtt_any_touch(frame.body);
	}
	free(copy);
	return status;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mqtt_version version;
	enum mqtt_role role;
	struct mqtt_frame frame;
	union mqtt_any any;
	size_t limit;

	if (size < 2)
		return 0;
	version = fuzz_version(data[0]);
	role = fuzz_role(data[0]);
	limit = data[1] < 0x80 ? (size_t)data[1] + 2 : MQTT_MAX_PACKET_BYTES;
	data += 2;
	size -= 2;
	for (size_t len = 0; len < 8 && len < size; len++)
		(void)frame_of(data, len, limit);
	while (frame_of(data, size, limit) == MQTT_FRAME_WHOLE) {
		(void)mqtt_frame(data, size, limit, &frame);
		require(
		    frame_of(data, frame.size - 1, limit) != MQTT_FRAME_WHOLE);
		(void)mqtt_any_decode(&frame, version, role, &any);
		data += frame.size;
		size -= frame.size;
	}
	return 0;
}
