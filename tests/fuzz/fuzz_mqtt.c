/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_mqtt - any bytes are safe to frame, decode, walk and forward.
 *
 * The first byte of the input picks version and role, the rest is what a
 * peer sends.
 */

#include <stdlib.h>

#include "common/mqtt/encode.h"
#include "common/mqtt/packet.h"
#include "tests/unit/mqtt_any.h"

#define LIMIT_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int condition)
{
	if (!condition)
		abort();
}

static void
walk_properties(const struct mqtt_properties *properties)
{
	struct wire walk = wire_read(properties->raw);
	struct mqtt_property_item item;
	size_t bytes = 0;

	while (mqtt_properties_next(&walk, &item)) {
		mqtt_any_touch(item.value);
		bytes += item.raw.len;
	}
	require(bytes == properties->raw.len);
}

/* What is forwarded must decode again, to the same message. */
static void
forward(const struct mqtt_publish *publish, enum mqtt_version version)
{
	struct mqtt_publish_out out = { .qos = publish->qos,
		.retain = publish->retain,
		.packet_id = 1,
		.topic = publish->topic,
		.payload = publish->payload };
	uint8_t *scratch = malloc(publish->properties.forwardable_size + 1);
	struct mqtt_publish again;
	struct mqtt_frame frame;
	uint8_t *buffer;
	size_t size;

	out.properties =
	    mqtt_properties_forwardable(&publish->properties, scratch);
	if (out.topic.len == 0)
		out.topic = slice_of("alias", 5);
	size = mqtt_publish_size(&out, version);
	buffer = malloc(size);
	require(mqtt_encode_publish(buffer, size, &out, version, NULL) == size);
	require(mqtt_frame(buffer, size, size, &frame) == MQTT_FRAME_WHOLE);
	require(mqtt_decode_publish(&frame, version, MQTT_SERVER, &again) ==
	    MQTT_SUCCESS);
	require(slice_equal(again.payload, publish->payload));
	require(again.properties.user_property_count ==
	    publish->properties.user_property_count);
	free(buffer);
	free(scratch);
}

static void
walk_filters(const struct mqtt_frame *frame, const union mqtt_any *any)
{
	struct mqtt_subscription subscription;
	struct slice filter;
	struct wire walk;
	size_t count = 0;

	if (frame->type == MQTT_SUBSCRIBE) {
		walk = wire_read(any->subscribe.filters);
		while (mqtt_subscribe_next(&walk, &subscription))
			count++;
		require(count == any->subscribe.count);
	} else {
		walk = wire_read(any->unsubscribe.filters);
		while (mqtt_unsubscribe_next(&walk, &filter))
			count++;
		require(count == any->unsubscribe.count);
	}
}

static void
use(const struct mqtt_frame *frame, enum mqtt_version version,
    const union mqtt_any *any)
{
	if (frame->type == MQTT_PUBLISH) {
		walk_properties(&any->publish.properties);
		forward(&any->publish, version);
	} else if (frame->type == MQTT_SUBSCRIBE ||
	    frame->type == MQTT_UNSUBSCRIBE) {
		walk_filters(frame, any);
	} else if (frame->type == MQTT_CONNECT) {
		walk_properties(&any->connect.properties);
		mqtt_any_touch(any->connect.client_id);
		mqtt_any_touch(any->connect.password);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mqtt_version version;
	struct mqtt_frame frame;
	enum mqtt_role role;
	union mqtt_any any;

	if (size == 0)
		return 0;
	version = (enum mqtt_version)(3 + data[0] % 3);
	role = (data[0] & 0x80) != 0 ? MQTT_CLIENT : MQTT_SERVER;
	for (data++, size--; size != 0;
	     data += frame.size, size -= frame.size) {
		if (mqtt_frame(data, size, LIMIT_BYTES, &frame) !=
		    MQTT_FRAME_WHOLE)
			break;
		if (mqtt_any_decode(&frame, version, role, &any) ==
		    MQTT_SUCCESS)
			use(&frame, version, &any);
	}
	return 0;
}
