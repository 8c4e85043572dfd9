/* SPDX-License-Identifier: Apache-2.0 */

/* fuzz_mqtt_connack - CONNACK, as a bridge gets it from its remote. */

#include "tests/fuzz/fuzz_mqtt.h"

static void
round_trip(const struct mqtt_connack *connack, enum mqtt_version version)
{
	struct mqtt_connack out = *connack, again;
	struct mqtt_frame frame;
	uint8_t *scratch, *buffer;
	size_t size;

	out.properties = fuzz_to_encode(&connack->properties, &scratch);
	size = mqtt_connack_size(&out, version);
	require(size != 0);
	buffer = malloc(size);
	require(mqtt_encode_connack(buffer, size - 1, &out, version) == 0);
	require(mqtt_encode_connack(buffer, size, &out, version) == size);
	frame = fuzz_frame(buffer, size, MQTT_CONNACK);
	require(mqtt_decode_connack(&frame, version, &again) == MQTT_SUCCESS);
	require(again.reason == connack->reason);
	require(again.session_present == connack->session_present);
	fuzz_same_properties(&connack->properties, &again.properties);
	free(buffer);
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mqtt_connack connack;
	struct fuzz_packet packet;

	if (!fuzz_packet_init(&packet, MQTT_CONNACK, data, size))
		return 0;
	if (mqtt_decode_connack(&packet.frame, packet.version, &connack) ==
	    MQTT_SUCCESS) {
		require(
		    !connack.session_present || connack.reason == MQTT_SUCCESS);
		fuzz_walk(&connack.properties);
		round_trip(&connack, packet.version);
	}
	free(packet.bytes);
	return 0;
}
