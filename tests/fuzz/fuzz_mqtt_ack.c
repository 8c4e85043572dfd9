/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_mqtt_ack - PUBACK, PUBREC, PUBREL, PUBCOMP: the second byte of the
 * input says which.
 */

#include "tests/fuzz/fuzz_mqtt.h"

static void
round_trip(const struct mqtt_ack *ack, enum mqtt_packet_type type,
    enum mqtt_version version)
{
	struct mqtt_ack out = *ack, again;
	struct mqtt_frame frame;
	uint8_t *scratch, *buffer, small[4];
	size_t size;

	out.properties = fuzz_to_encode(&ack->properties, &scratch);
	size = mqtt_ack_size(&out, version);
	require(size >= 4);
	buffer = malloc(size);
	require(mqtt_encode_ack(buffer, size - 1, type, &out, version) == 0);
	require(mqtt_encode_ack(buffer, size, type, &out, version) == size);
	frame = fuzz_frame(buffer, size, type);
	require(mqtt_decode_ack(&frame, version, &again) == MQTT_SUCCESS);
	require(again.packet_id == ack->packet_id);
	require(again.reason == ack->reason);
	fuzz_same_properties(&ack->properties, &again.properties);
	if (size == 4) {
		mqtt_encode_ack_success(small, type, ack->packet_id);
		require(memcmp(small, buffer, 4) == 0);
	}
	free(buffer);
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mqtt_packet_type type;
	struct fuzz_packet packet;
	struct mqtt_ack ack;

	if (size == 0)
		return 0;
	/* PUBREL comes in both directions, the others too. */
	type = (enum mqtt_packet_type)(MQTT_PUBACK + data[0] % 4);
	if (!fuzz_packet_init(&packet, type, data + 1, size - 1))
		return 0;
	if (mqtt_decode_ack(&packet.frame, packet.version, &ack) ==
	    MQTT_SUCCESS) {
		require(ack.packet_id != 0);
		require(mqtt_reason_is_allowed(ack.reason, type));
		require(packet.version == MQTT_5 || ack.reason == MQTT_SUCCESS);
		fuzz_walk(&ack.properties);
		round_trip(&ack, type, packet.version);
	}
	free(packet.bytes);
	return 0;
}
