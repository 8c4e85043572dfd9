/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_mqtt_suback - SUBACK and UNSUBACK, as a bridge gets them from its
 * remote: the second byte of the input says which.
 */

#include "tests/fuzz/fuzz_mqtt.h"

static void
round_trip(const struct mqtt_suback *suback, enum mqtt_packet_type type,
    enum mqtt_version version)
{
	struct mqtt_suback out = *suback, again;
	struct mqtt_frame frame;
	uint8_t *scratch, *buffer;
	size_t size;

	out.properties = fuzz_to_encode(&suback->properties, &scratch);
	size = mqtt_suback_size(type, &out, version);
	require(size != 0);
	buffer = malloc(size);
	require(mqtt_encode_suback(buffer, size - 1, type, &out, version) == 0);
	require(mqtt_encode_suback(buffer, size, type, &out, version) == size);
	frame = fuzz_frame(buffer, size, type);
	require(mqtt_decode_suback(&frame, version, &again) == MQTT_SUCCESS);
	require(again.packet_id == suback->packet_id);
	fuzz_same(suback->codes, again.codes);
	fuzz_same_properties(&suback->properties, &again.properties);
	free(buffer);
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mqtt_packet_type type;
	struct fuzz_packet packet;
	struct mqtt_suback suback;

	if (size == 0)
		return 0;
	type = (data[0] & 1) != 0 ? MQTT_UNSUBACK : MQTT_SUBACK;
	if (!fuzz_packet_init(&packet, type, data + 1, size - 1))
		return 0;
	if (mqtt_decode_suback(&packet.frame, packet.version, &suback) ==
	    MQTT_SUCCESS) {
		require(suback.packet_id != 0);
		require((suback.codes.len != 0) ==
		    (packet.version == MQTT_5 || type == MQTT_SUBACK));
		fuzz_walk(&suback.properties);
		round_trip(&suback, type, packet.version);
	}
	free(packet.bytes);
	return 0;
}
