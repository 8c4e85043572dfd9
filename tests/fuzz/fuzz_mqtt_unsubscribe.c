/* SPDX-License-Identifier: Apache-2.0 */

/* fuzz_mqtt_unsubscribe - UNSUBSCRIBE, with any number of filters. */

#include "common/msg/topic.h"
#include "tests/fuzz/fuzz_mqtt.h"

static struct slice *
list_of(const struct mqtt_unsubscribe *unsubscribe)
{
	struct slice *list = calloc(unsubscribe->count, sizeof(*list));
	struct wire walk = wire_read(unsubscribe->filters);
	size_t count = 0;

	while (mqtt_unsubscribe_next(&walk, &list[count])) {
		require(topic_filter_is_valid(list[count]));
		if (++count == unsubscribe->count)
			break;
	}
	require(count == unsubscribe->count && wire_left(&walk) == 0);
	return list;
}

static void
round_trip(
    const struct mqtt_unsubscribe *unsubscribe, enum mqtt_version version)
{
	struct slice *list = list_of(unsubscribe), *list_again;
	uint16_t id = unsubscribe->packet_id;
	struct mqtt_properties properties;
	struct mqtt_unsubscribe again;
	struct mqtt_frame frame;
	uint8_t *scratch, *buffer;
	size_t size, count = unsubscribe->count;

	properties = fuzz_to_encode(&unsubscribe->properties, &scratch);
	size = mqtt_unsubscribe_size(list, count, &properties, version);
	require(size != 0);
	buffer = malloc(size);
	require(mqtt_encode_unsubscribe(buffer, size - 1, id, list, count,
		    &properties, version) == 0);
	require(mqtt_encode_unsubscribe(buffer, size, id, list, count,
		    &properties, version) == size);
	frame = fuzz_frame(buffer, size, MQTT_UNSUBSCRIBE);
	require(
	    mqtt_decode_unsubscribe(&frame, version, &again) == MQTT_SUCCESS);
	require(again.packet_id == id && again.count == count);
	list_again = list_of(&again);
	for (size_t i = 0; i < count; i++)
		fuzz_same(list[i], list_again[i]);
	fuzz_same_properties(&unsubscribe->properties, &again.properties);
	free(list_again);
	free(buffer);
	free(scratch);
	free(list);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mqtt_unsubscribe unsubscribe;
	struct fuzz_packet packet;

	if (!fuzz_packet_init(&packet, MQTT_UNSUBSCRIBE, data, size))
		return 0;
	if (mqtt_decode_unsubscribe(
		&packet.frame, packet.version, &unsubscribe) == MQTT_SUCCESS) {
		require(unsubscribe.packet_id != 0 && unsubscribe.count != 0);
		fuzz_walk(&unsubscribe.properties);
		round_trip(&unsubscribe, packet.version);
	}
	free(packet.bytes);
	return 0;
}
