/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_mqtt_disconnect - DISCONNECT, AUTH, PINGREQ, PINGRESP: the second byte
 * of the input says which.
 */

#include "tests/fuzz/fuzz_mqtt.h"

static size_t
encode(uint8_t *buffer, size_t size, const struct mqtt_disconnect *out,
    const struct fuzz_packet *packet)
{
	return packet->frame.type == MQTT_AUTH
	    ? mqtt_encode_auth(buffer, size, out)
	    : mqtt_encode_disconnect(buffer, size, out, packet->version);
}

static enum mqtt_reason
decode(const struct mqtt_frame *frame, const struct fuzz_packet *packet,
    struct mqtt_disconnect *disconnect)
{
	return frame->type == MQTT_AUTH
	    ? mqtt_decode_auth(frame, packet->version, disconnect)
	    : mqtt_decode_disconnect(
		  frame, packet->version, packet->role, disconnect);
}

static void
round_trip(
    const struct mqtt_disconnect *disconnect, const struct fuzz_packet *packet)
{
	struct mqtt_disconnect out = *disconnect, again;
	struct mqtt_frame frame;
	uint8_t *scratch, *buffer;
	size_t size;

	out.properties = fuzz_to_encode(&disconnect->properties, &scratch);
	size = packet->frame.type == MQTT_AUTH
	    ? mqtt_auth_size(&out)
	    : mqtt_disconnect_size(&out, packet->version);
	require(size >= 2);
	buffer = malloc(size);
	require(encode(buffer, size - 1, &out, packet) == 0);
	require(encode(buffer, size, &out, packet) == size);
	frame = fuzz_frame(buffer, size, packet->frame.type);
	require(decode(&frame, packet, &again) == MQTT_SUCCESS);
	require(again.reason == disconnect->reason);
	fuzz_same_properties(&disconnect->properties, &again.properties);
	free(buffer);
	free(scratch);
}

static void
ping(const struct fuzz_packet *packet)
{
	bool good = packet->frame.body.len == 0 &&
	    (packet->version != MQTT_5 || !packet->frame.overlong);
	uint8_t bytes[2];

	require((mqtt_decode_ping(&packet->frame, packet->version) ==
		    MQTT_SUCCESS) == good);
	require(mqtt_encode_ping(bytes, 1, packet->frame.type) == 0);
	require(mqtt_encode_ping(bytes, 2, packet->frame.type) == 2);
	require(bytes[0] == packet->frame.type << 4 && bytes[1] == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t types[] = { MQTT_DISCONNECT, MQTT_AUTH,
		MQTT_DISCONNECT, MQTT_AUTH, MQTT_DISCONNECT, MQTT_AUTH,
		MQTT_PINGREQ, MQTT_PINGRESP };
	struct mqtt_disconnect disconnect;
	struct fuzz_packet packet;

	if (size == 0 ||
	    !fuzz_packet_init(
		&packet, types[data[0] % sizeof(types)], data + 1, size - 1))
		return 0;
	if (packet.frame.type == MQTT_PINGREQ ||
	    packet.frame.type == MQTT_PINGRESP)
		ping(&packet);
	else if (decode(&packet.frame, &packet, &disconnect) == MQTT_SUCCESS) {
		require(mqtt_reason_is_allowed(
		    disconnect.reason, packet.frame.type));
		fuzz_walk(&disconnect.properties);
		round_trip(&disconnect, &packet);
	}
	free(packet.bytes);
	return 0;
}
