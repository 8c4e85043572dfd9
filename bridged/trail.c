/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/trail.h"

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
