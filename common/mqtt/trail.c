/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/trail.h"

#include "common/base/bug.h"
#include "common/mqtt/properties.h"

bool
trail_is_sound(struct slice properties, uint8_t *scratch)
{
	struct mqtt_properties decoded;
	struct wire_out w;
	struct wire r;

	if (properties.len == 0)
		return true;
	if (properties.len > MQTT_MAX_VARINT)
		return false;
	w = wire_write(scratch, properties.len + 4);
	wire_put_varint(&w, (uint32_t)properties.len);
	wire_put_bytes(&w, properties);
	BUG_ON(w.bad);
	r = wire_read(slice_of(scratch, (size_t)(w.p - scratch)));
	if (mqtt_properties_decode(&r, MQTT_PUBLISH, MQTT_SERVER, &decoded) !=
		MQTT_SUCCESS ||
	    r.bad || wire_left(&r) != 0)
		return false;
	return decoded.forwardable_size == properties.len;
}

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
trail_id(struct slice hex, uint64_t out_id[2])
{
	uint64_t id[2] = { 0, 0 };
	int value = 0;

	out_id[0] = out_id[1] = 0;
	if (hex.len != 32)
		return false;
	for (size_t i = 0; i < hex.len && value >= 0; i++) {
		value = digit(hex.data[i]);
		id[i / 16] = id[i / 16] << 4 | (uint64_t)(value & 15);
	}
	if (value < 0)
		return false;
	out_id[0] = id[0];
	out_id[1] = id[1];
	return true;
}

bool
trail_has(struct slice properties, const uint64_t id[2])
{
	struct wire walk = wire_read(properties);
	struct mqtt_property_item item;
	uint64_t found[2];

	if (properties.len == 0 || (id[0] == 0 && id[1] == 0))
		return false;
	while (mqtt_properties_find(&walk, MQTT_USER_PROPERTY, &item))
		if (slice_equal_string(item.name, TRAIL_PROPERTY) &&
		    trail_id(item.value, found) && found[0] == id[0] &&
		    found[1] == id[1])
			return true;
	return false;
}

size_t
trail_length(struct slice properties)
{
	struct wire walk = wire_read(properties);
	struct mqtt_property_item item;
	size_t length = 0;

	if (properties.len == 0)
		return 0;
	while (mqtt_properties_find(&walk, MQTT_USER_PROPERTY, &item))
		length += slice_equal_string(item.name, TRAIL_PROPERTY);
	return length;
}

bool
trail_contains(struct slice properties, const char *id)
{
	struct wire walk = wire_read(properties);
	struct mqtt_property_item item;

	if (id[0] == '\0')
		return false;
	while (mqtt_properties_find(&walk, MQTT_USER_PROPERTY, &item))
		if (slice_equal_string(item.name, TRAIL_PROPERTY) &&
		    slice_equal_string(item.value, id))
			return true;
	return false;
}

size_t
trail_add(struct slice properties, const char *id, uint8_t *out)
{
	size_t size = properties.len + TRAIL_SIZE(strlen(id));
	struct wire_out w = wire_write(out, size);

	wire_put_bytes(&w, properties);
	mqtt_properties_put_user(
	    &w, slice_of_string(TRAIL_PROPERTY), slice_of_string(id));
	BUG_ON(w.bad);
	return (size_t)(w.p - out);
}
