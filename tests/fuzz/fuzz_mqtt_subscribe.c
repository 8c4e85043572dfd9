/* SPDX-License-Identifier: Apache-2.0 */

/* fuzz_mqtt_subscribe - SUBSCRIBE, with any number of filters. */

#include "common/msg/topic.h"
#include "tests/fuzz/fuzz_mqtt.h"

static struct mqtt_subscription *
list_of(const struct mqtt_subscribe *subscribe)
{
	struct mqtt_subscription *list;
	struct wire walk = wire_read(subscribe->filters);
	size_t count = 0;

	list = calloc(subscribe->count, sizeof(*list));
	while (mqtt_subscribe_next(&walk, &list[count])) {
		require(topic_filter_is_valid(list[count].filter));
		require(list[count].qos <= 2);
		require(list[count].retain_handling <= 2);
		require(!list[count].no_local ||
		    !topic_is_shared(list[count].filter));
		if (++count == subscribe->count)
			break;
	}
	require(count == subscribe->count && wire_left(&walk) == 0);
	return list;
}

static void
same(const struct mqtt_subscription *list,
    const struct mqtt_subscribe *subscribe)
{
	struct mqtt_subscription *again = list_of(subscribe);

	for (size_t i = 0; i < subscribe->count; i++) {
		fuzz_same(list[i].filter, again[i].filter);
		require(list[i].qos == again[i].qos);
		require(list[i].no_local == again[i].no_local);
		require(list[i].retain_handling == again[i].retain_handling);
		require(list[i].retain_as_published ==
		    again[i].retain_as_published);
	}
	free(again);
}

static void
round_trip(const struct mqtt_subscribe *subscribe, enum mqtt_version version)
{
	struct mqtt_subscription *list = list_of(subscribe);
	uint16_t id = subscribe->packet_id;
	struct mqtt_properties properties;
	struct mqtt_subscribe again;
	struct mqtt_frame frame;
	uint8_t *scratch, *buffer;
	size_t size, count = subscribe->count;

	properties = fuzz_to_encode(&subscribe->properties, &scratch);
	size = mqtt_subscribe_size(list, count, &properties, version);
	require(size != 0);
	buffer = malloc(size);
	require(mqtt_encode_subscribe(buffer, size - 1, id, list, count,
		    &properties, version) == 0);
	require(mqtt_encode_subscribe(buffer, size, id, list, count,
		    &properties, version) == size);
	frame = fuzz_frame(buffer, size, MQTT_SUBSCRIBE);
	require(mqtt_decode_subscribe(&frame, version, &again) == MQTT_SUCCESS);
	require(again.packet_id == id && again.count == count);
	same(list, &again);
	fuzz_same_properties(&subscribe->properties, &again.properties);
	free(buffer);
	free(scratch);
	free(list);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mqtt_subscribe subscribe;
	struct fuzz_packet packet;

	if (!fuzz_packet_init(&packet, MQTT_SUBSCRIBE, data, size))
		return 0;
	if (mqtt_decode_subscribe(&packet.frame, packet.version, &subscribe) ==
	    MQTT_SUCCESS) {
		require(subscribe.packet_id != 0 && subscribe.count != 0);
		fuzz_walk(&subscribe.properties);
		round_trip(&subscribe, packet.version);
	}
	free(packet.bytes);
	return 0;
}
