/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_mqtt_properties - a Property Length and properties, for any packet.
 *
 * The low four bits of the first byte are the type of the packet (0: a will's
 * properties), the highest our role; the rest follows.
 */

#include "tests/fuzz/fuzz_mqtt.h"

/* Each packet may hold it, and no more often than that. */
static void
check(const struct mqtt_properties *properties, unsigned type)
{
	struct wire walk = wire_read(properties->raw);
	struct mqtt_property_item item;
	uint64_t seen = 0;

	while (mqtt_properties_next(&walk, &item)) {
		require((seen >> item.id & 1) == 0 ||
		    item.id == MQTT_USER_PROPERTY ||
		    (item.id == MQTT_SUBSCRIPTION_IDENTIFIER &&
			type == MQTT_PUBLISH));
		require(mqtt_property_name(item.id) != NULL);
		seen |= UINT64_C(1) << item.id;
	}
	require(seen == properties->present);
}

/* All of a PUBLISH's that a receiver gets, and nothing else. */
static void
forwardable(const struct mqtt_properties *properties)
{
	size_t size = properties->forwardable_size;
	uint8_t *copy = malloc(size + 1), *scratch = malloc(size + 1);
	struct mqtt_property_item item;
	struct slice given;
	struct wire walk;
	size_t users = 0;

	mqtt_properties_copy_forwardable(properties, copy);
	given = mqtt_properties_forwardable(properties, scratch);
	require(slice_equal(given, slice_of(copy, size)));
	walk = wire_read(slice_of(copy, size));
	while (mqtt_properties_next(&walk, &item)) {
		require(item.id != MQTT_TOPIC_ALIAS &&
		    item.id != MQTT_WILL_DELAY_INTERVAL &&
		    item.id != MQTT_MESSAGE_EXPIRY_INTERVAL &&
		    item.id != MQTT_SUBSCRIPTION_IDENTIFIER);
		users += item.id == MQTT_USER_PROPERTY;
	}
	require(wire_left(&walk) == 0);
	require(users == properties->user_property_count);
	free(copy);
	free(scratch);
}

static void
round_trip(const struct mqtt_properties *properties, unsigned type,
    enum mqtt_role role)
{
	struct mqtt_properties out, again;
	uint8_t *scratch, *buffer;
	struct wire_out w;
	struct wire r;
	size_t size;

	/* The fields have room for one identifier: fuzz_mqtt_publish. */
	if (properties->subscription_identifier_count > 1)
		return;
	out = fuzz_to_encode(properties, &scratch);
	size = mqtt_properties_size(&out);
	require(size == properties->raw.len);
	size += wire_varint_size((uint32_t)size);
	buffer = malloc(size);
	w = wire_write(buffer, size - 1);
	mqtt_properties_put(&w, &out);
	require(w.bad);
	w = wire_write(buffer, size);
	mqtt_properties_put(&w, &out);
	require(!w.bad && w.p == w.end);
	r = wire_read(slice_of(buffer, size));
	require(mqtt_properties_decode(&r, type, role, &again) == MQTT_SUCCESS);
	require(!r.bad && wire_left(&r) == 0);
	fuzz_same_properties(properties, &again);
	free(buffer);
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mqtt_properties properties;
	enum mqtt_role role;
	unsigned type;
	uint8_t *copy;
	struct wire r;

	if (size < 2)
		return 0;
	type = data[0] & 0x0f;
	role = fuzz_role(data[0]);
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	r = wire_read(slice_of(copy, size - 1));
	if (mqtt_properties_decode(&r, type, role, &properties) ==
	    MQTT_SUCCESS) {
		require(!r.bad);
		fuzz_walk(&properties);
		check(&properties, type);
		round_trip(&properties, type, role);
		if (type == MQTT_PUBLISH || type == MQTT_WILL_PROPERTIES)
			forwardable(&properties);
	}
	free(copy);
	return 0;
}
