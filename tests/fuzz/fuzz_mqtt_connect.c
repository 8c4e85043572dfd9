/* SPDX-License-Identifier: Apache-2.0 */

/* fuzz_mqtt_connect - CONNECT, the packet of whoever has not been let in. */

#include "tests/fuzz/fuzz_mqtt.h"

/* What every CONNECT that is let through can be relied on for. */
static void
check(const struct mqtt_connect *c)
{
	require(c->version >= MQTT_3_1 && c->version <= MQTT_5);
	require(c->will_qos <= 2);
	require(c->has_will || (c->will_qos == 0 && !c->will_retain));
	require(!c->has_will || c->will_topic.len != 0);
	require(utf8_is_valid(c->client_id) && utf8_is_valid(c->username) &&
	    utf8_is_valid(c->will_topic));
	require(c->version == MQTT_5 || c->has_username || !c->has_password);
	if (c->version == MQTT_5) {
		fuzz_walk(&c->properties);
		if (c->has_will)
			fuzz_walk(&c->will_properties);
	}
}

static void
same(const struct mqtt_connect *a, const struct mqtt_connect *b)
{
	require(a->version == b->version && a->clean_start == b->clean_start);
	require(a->has_will == b->has_will && a->will_qos == b->will_qos);
	require(a->will_retain == b->will_retain);
	require(a->has_username == b->has_username);
	require(a->has_password == b->has_password);
	require(a->keep_alive_s == b->keep_alive_s);
	fuzz_same(a->client_id, b->client_id);
	fuzz_same(a->will_topic, b->will_topic);
	fuzz_same(a->will_payload, b->will_payload);
	fuzz_same(a->username, b->username);
	fuzz_same(a->password, b->password);
	if (a->version != MQTT_5)
		return;
	fuzz_same_properties(&a->properties, &b->properties);
	if (a->has_will)
		fuzz_same_properties(&a->will_properties, &b->will_properties);
}

static void
round_trip(const struct mqtt_connect *connect)
{
	struct mqtt_connect out = *connect, again;
	uint8_t *scratch, *will_scratch, *buffer;
	struct mqtt_frame frame;
	size_t size;

	out.properties = fuzz_to_encode(&connect->properties, &scratch);
	out.will_properties =
	    fuzz_to_encode(&connect->will_properties, &will_scratch);
	size = mqtt_connect_size(&out);
	require(size != 0);
	buffer = malloc(size);
	require(mqtt_encode_connect(buffer, size - 1, &out) == 0);
	require(mqtt_encode_connect(buffer, size, &out) == size);
	frame = fuzz_frame(buffer, size, MQTT_CONNECT);
	require(mqtt_decode_connect(&frame, &again) == MQTT_SUCCESS);
	same(connect, &again);
	free(buffer);
	free(scratch);
	free(will_scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mqtt_connect connect;
	struct fuzz_packet packet;
	enum mqtt_reason reason;

	if (!fuzz_packet_init(&packet, MQTT_CONNECT, data, size))
		return 0;
	reason = mqtt_decode_connect(&packet.frame, &connect);
	if (reason == MQTT_SUCCESS) {
		check(&connect);
		round_trip(&connect);
	} else {
		/* It is to be answered, or there is no name to answer to. */
		require(mqtt_reason_is_error(reason));
		require(reason != MQTT_UNSUPPORTED_PROTOCOL_VERSION ||
		    connect.version != MQTT_5);
	}
	free(packet.bytes);
	return 0;
}
