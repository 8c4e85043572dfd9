/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_mqtt_publish - PUBLISH from a client or a remote, and on its way to
 * the next receiver.
 */

#include "common/mqtt/trail.h"
#include "tests/fuzz/fuzz_mqtt.h"

#define IDENTIFIERS 2048

struct way {
	struct mqtt_publish_out out;
	enum mqtt_version version;
	uint32_t identifiers[IDENTIFIERS];
	uint8_t *scratch;
};

static void
check(const struct mqtt_publish *p, const struct fuzz_packet *packet)
{
	require(p->qos <= 2 && (p->qos != 0) == (p->packet_id != 0));
	require(p->qos != 0 || !p->dup);
	require(slice_find(p->topic, '+') == p->topic.len);
	require(slice_find(p->topic, '#') == p->topic.len);
	require(utf8_is_valid(p->topic));
	require(p->topic.len != 0 ||
	    mqtt_properties_has(&p->properties, MQTT_TOPIC_ALIAS));
	require(packet->role == MQTT_CLIENT ||
	    p->properties.subscription_identifier_count == 0);
	mqtt_any_touch(p->payload);
	fuzz_walk(&p->properties);
}

/* Everything that came, to be sent on just as it is. */
static void
prepare(struct way *way, const struct mqtt_publish *p)
{
	struct wire walk = wire_read(p->properties.raw);
	struct mqtt_property_item item;
	size_t count = 0;

	while (count < IDENTIFIERS &&
	    mqtt_properties_find(&walk, MQTT_SUBSCRIPTION_IDENTIFIER, &item))
		way->identifiers[count++] = item.number;
	way->scratch = malloc(p->properties.forwardable_size + 1);
	way->out = (struct mqtt_publish_out){
		.dup = p->dup,
		.retain = p->retain,
		.qos = p->qos,
		.packet_id = p->packet_id,
		.topic = p->topic,
		.payload = p->payload,
		.properties =
		    mqtt_properties_forwardable(&p->properties, way->scratch),
		.subscription_identifiers = way->identifiers,
		.subscription_identifier_count = count,
	};
	require(way->out.properties.len == p->properties.forwardable_size);
	if (mqtt_properties_has(&p->properties, MQTT_TOPIC_ALIAS))
		way->out.topic_alias = p->properties.topic_alias;
	if (mqtt_properties_has(&p->properties, MQTT_MESSAGE_EXPIRY_INTERVAL)) {
		way->out.has_message_expiry = true;
		way->out.message_expiry_interval_s =
		    p->properties.message_expiry_interval_s;
	}
}

static void
decode_again(const struct way *way, const uint8_t *buffer, size_t size,
    struct mqtt_publish *again)
{
	struct mqtt_frame frame = fuzz_frame(buffer, size, MQTT_PUBLISH);

	require(mqtt_decode_publish(&frame, way->version, MQTT_CLIENT, again) ==
	    MQTT_SUCCESS);
	require(again->qos == way->out.qos);
	require(again->retain == way->out.retain);
	fuzz_same(again->topic, way->out.topic);
	fuzz_same(again->payload, way->out.payload);
}

/* What changes between receivers is changed in place. */
static void
patch(const struct way *way, uint8_t *buffer,
    const struct mqtt_publish_layout *layout)
{
	struct mqtt_publish again;

	require((layout->packet_id_offset != 0) == (way->out.qos != 0));
	require((layout->message_expiry_offset != 0) ==
	    (way->out.has_message_expiry && way->version == MQTT_5));
	if (way->out.qos != 0) {
		mqtt_patch_packet_id(buffer, layout, 0xfedc);
		mqtt_patch_dup(buffer);
	}
	if (layout->message_expiry_offset != 0)
		mqtt_patch_message_expiry(buffer, layout, 0x01020304);
	decode_again(way, buffer, layout->size, &again);
	require(way->out.qos == 0 || (again.packet_id == 0xfedc && again.dup));
	require(layout->message_expiry_offset == 0 ||
	    again.properties.message_expiry_interval_s == 0x01020304);
}

static void
round_trip(struct way *way, const struct mqtt_publish *p)
{
	size_t size = mqtt_publish_size(&way->out, way->version), head;
	uint8_t *buffer = malloc(size), *alone;
	struct mqtt_publish_layout layout;
	struct mqtt_publish again;

	require(size != 0);
	require(mqtt_encode_publish(
		    buffer, size - 1, &way->out, way->version, NULL) == 0);
	require(mqtt_encode_publish(
		    buffer, size, &way->out, way->version, &layout) == size);
	require(layout.size == size);
	require(layout.payload_offset + p->payload.len == size);
	decode_again(way, buffer, size, &again);
	require(again.dup == p->dup && again.packet_id == p->packet_id);
	fuzz_same_properties(&p->properties, &again.properties);

	alone = malloc(layout.payload_offset);
	head = mqtt_encode_publish_head(
	    alone, layout.payload_offset, &way->out, way->version, NULL);
	require(head == layout.payload_offset);
	require(memcmp(alone, buffer, head) == 0);
	free(alone);
	patch(way, buffer, &layout);
	free(buffer);
}

/* A bridge writes its name into what it hands on. */
static void
trail(const struct way *way)
{
	static const char id[] = "0123456789abcdef0123456789abcdef";
	struct slice properties = way->out.properties, more;
	uint8_t *scratch = malloc(properties.len + 4 + TRAIL_SIZE(32));
	uint8_t *added = malloc(properties.len + TRAIL_SIZE(32));
	uint64_t words[2];

	require(trail_is_sound(properties, scratch));
	more = slice_of(added, trail_add(properties, id, added));
	require(more.len == properties.len + TRAIL_SIZE(32));
	require(trail_is_sound(more, scratch));
	require(trail_id(slice_of(id, 32), words));
	require(trail_contains(more, id) && trail_has(more, words));
	require(trail_length(more) == trail_length(properties) + 1);
	free(added);
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mqtt_publish publish;
	struct fuzz_packet packet;
	struct way way;

	if (!fuzz_packet_init(&packet, MQTT_PUBLISH, data, size))
		return 0;
	if (mqtt_decode_publish(&packet.frame, packet.version, packet.role,
		&publish) == MQTT_SUCCESS) {
		check(&publish, &packet);
		way.version = packet.version;
		prepare(&way, &publish);
		round_trip(&way, &publish);
		if (way.version == MQTT_5)
			trail(&way);
		free(way.scratch);
	}
	free(packet.bytes);
	return 0;
}
