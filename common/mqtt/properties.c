/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/properties.h"

#include <string.h>

#include "common/msg/topic.h"

#define IN(type) (1u << MQTT_##type)
#define WILL (1u << MQTT_WILL_PROPERTIES)
#define BIT(id) (UINT64_C(1) << (id))

enum kind {
	KIND_UNKNOWN,
	KIND_BOOL,
	KIND_U16,
	KIND_U16_NOT_0,
	KIND_U32,
	KIND_U32_NOT_0,
	KIND_VARINT,
	KIND_UTF8,
	KIND_BINARY,
	KIND_PAIR,
};

/* What the specification says about one property. */
struct rule {
	const char *name;
	uint16_t offset;  /* of its field in struct mqtt_properties */
	uint16_t packets; /* bit N: may be in packet type N */
	enum kind kind;
};

#define RULES 64

static const struct rule rules[RULES] = {
#define PROPERTY(id, name, field, kind, packets)                               \
	[id] = { #name, offsetof(struct mqtt_properties, field), packets,      \
		KIND_##kind },
#include "common/mqtt/properties.def"
#undef PROPERTY
};

/* Properties of a PUBLISH or will that the next receiver does not get. */
static const uint64_t not_forwarded = BIT(MQTT_TOPIC_ALIAS) |
    BIT(MQTT_SUBSCRIPTION_IDENTIFIER) | BIT(MQTT_MESSAGE_EXPIRY_INTERVAL) |
    BIT(MQTT_WILL_DELAY_INTERVAL);

static void *
field_of(struct mqtt_properties *properties, const struct rule *rule)
{
	return (char *)properties + rule->offset;
}

static const void *
const_field_of(
    const struct mqtt_properties *properties, const struct rule *rule)
{
	return (const char *)properties + rule->offset;
}

/* Read what follows the identifier. */
static void
read_value(struct wire *w, enum kind kind, struct mqtt_property_item *item)
{
	item->number = 0;
	switch (kind) {
	case KIND_BOOL:
		item->number = wire_u8(w);
		return;
	case KIND_U16:
	case KIND_U16_NOT_0:
		item->number = wire_u16(w);
		return;
	case KIND_U32:
	case KIND_U32_NOT_0:
		item->number = wire_u32(w);
		return;
	case KIND_VARINT:
		item->number = wire_varint(w);
		return;
	case KIND_UTF8: /* [MQTT-3.3.2-13] [MQTT-3.3.2-19] */
		item->value = wire_utf8(w);
		return;
	case KIND_BINARY:
		item->value = wire_binary(w);
		return;
	case KIND_PAIR: /* [MQTT-1.5.7-1] */
		item->name = wire_utf8(w);
		item->value = wire_utf8(w);
		return;
	case KIND_UNKNOWN:
		wire_fail(w);
		return;
	}
}

static enum mqtt_reason
check_value(const struct mqtt_property_item *item)
{
	switch (rules[item->id].kind) {
	case KIND_BOOL:
		return item->number > 1 ? MQTT_PROTOCOL_ERROR : MQTT_SUCCESS;
	case KIND_U16_NOT_0:
	case KIND_U32_NOT_0:
	case KIND_VARINT:
		if (item->number != 0)
			return MQTT_SUCCESS;
		/* [MQTT-3.3.2-8] */
		return item->id == MQTT_TOPIC_ALIAS ? MQTT_TOPIC_ALIAS_INVALID
						    : MQTT_PROTOCOL_ERROR;
	case KIND_UTF8:
		/* [MQTT-3.3.2-14] */
		if (item->id == MQTT_RESPONSE_TOPIC &&
		    !topic_name_is_valid(item->value))
			return MQTT_PROTOCOL_ERROR;
		return MQTT_SUCCESS;
	default:
		return MQTT_SUCCESS;
	}
}

static void
store(struct mqtt_properties *properties, const struct mqtt_property_item *item)
{
	const struct rule *rule = &rules[item->id];
	void *field = field_of(properties, rule);

	switch (rule->kind) {
	case KIND_BOOL:
		*(uint8_t *)field = (uint8_t)item->number;
		break;
	case KIND_U16:
	case KIND_U16_NOT_0:
		*(uint16_t *)field = (uint16_t)item->number;
		break;
	case KIND_U32:
	case KIND_U32_NOT_0:
		*(uint32_t *)field = item->number;
		break;
	case KIND_VARINT:
		if (properties->subscription_identifier_count++ == 0)
			*(uint32_t *)field = item->number;
		break;
	case KIND_UTF8:
	case KIND_BINARY:
		*(struct slice *)field = item->value;
		break;
	case KIND_PAIR:
		properties->user_property_count++;
		break;
	case KIND_UNKNOWN:
		break;
	}
	mqtt_properties_set(properties, item->id);
}

static bool
may_repeat(enum mqtt_property id, unsigned type)
{
	return id == MQTT_USER_PROPERTY ||
	    (id == MQTT_SUBSCRIPTION_IDENTIFIER && type == MQTT_PUBLISH);
}

static enum mqtt_reason
decode_one(struct wire *w, unsigned type, struct mqtt_properties *properties)
{
	const uint8_t *start = w->p;
	struct mqtt_property_item item;
	enum mqtt_reason reason;
	uint8_t id = wire_u8(w);

	if (id >= RULES || rules[id].kind == KIND_UNKNOWN)
		return MQTT_MALFORMED_PACKET;
	if ((rules[id].packets >> type & 1) == 0)
		return MQTT_PROTOCOL_ERROR;
	item.id = (enum mqtt_property)id;
	if (mqtt_properties_has(properties, item.id) &&
	    !may_repeat(item.id, type))
		return MQTT_PROTOCOL_ERROR;

	read_value(w, rules[id].kind, &item);
	if (w->bad)
		return MQTT_MALFORMED_PACKET;
	reason = check_value(&item);
	if (reason != MQTT_SUCCESS)
		return reason;

	store(properties, &item);
	if ((not_forwarded & BIT(id)) != 0)
		properties->forwardable_size -= (size_t)(w->p - start);
	return MQTT_SUCCESS;
}

/* What the table cannot say: rules over several properties, or the sender. */
static enum mqtt_reason
check_all(const struct mqtt_properties *properties, unsigned type,
    enum mqtt_role role)
{
	/* [MQTT-3.3.4-6] */
	if (type == MQTT_PUBLISH && role == MQTT_SERVER &&
	    mqtt_properties_has(properties, MQTT_SUBSCRIPTION_IDENTIFIER))
		return MQTT_PROTOCOL_ERROR;
	/* [MQTT-3.14.2-2] */
	if (type == MQTT_DISCONNECT && role == MQTT_CLIENT &&
	    mqtt_properties_has(properties, MQTT_SESSION_EXPIRY_INTERVAL))
		return MQTT_PROTOCOL_ERROR;
	if (mqtt_properties_has(properties, MQTT_AUTHENTICATION_DATA) &&
	    !mqtt_properties_has(properties, MQTT_AUTHENTICATION_METHOD))
		return MQTT_PROTOCOL_ERROR;
	return MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_properties_decode(struct wire *w, unsigned type, enum mqtt_role role,
    struct mqtt_properties *properties)
{
	enum mqtt_reason reason;
	struct wire inside;
	struct slice raw;

	mqtt_properties_clear(properties);
	raw = wire_bytes(w, wire_varint(w));
	if (w->bad)
		return MQTT_MALFORMED_PACKET;
	if (raw.len == 0)
		return MQTT_SUCCESS;

	properties->raw = raw;
	properties->forwardable_size = raw.len;
	inside = wire_read(raw);
	while (wire_left(&inside) != 0) {
		reason = decode_one(&inside, type, properties);
		if (reason != MQTT_SUCCESS)
			return reason;
	}
	return check_all(properties, type, role);
}

const char *
mqtt_property_name(unsigned id)
{
	return id < RULES ? rules[id].name : NULL;
}

bool
mqtt_properties_next(struct wire *walk, struct mqtt_property_item *out_item)
{
	struct mqtt_property_item item = { 0 };
	const uint8_t *start = walk->p;
	uint8_t id;

	if (wire_left(walk) == 0)
		return false;
	id = wire_u8(walk);
	if (id >= RULES)
		return false;
	read_value(walk, rules[id].kind, &item);
	if (walk->bad)
		return false;

	item.id = (enum mqtt_property)id;
	item.raw = slice_of(start, (size_t)(walk->p - start));
	*out_item = item;
	return true;
}

bool
mqtt_properties_find(struct wire *walk, enum mqtt_property id,
    struct mqtt_property_item *out_item)
{
	struct mqtt_property_item item;

	while (mqtt_properties_next(walk, &item)) {
		if (item.id == id) {
			*out_item = item;
			return true;
		}
	}
	return false;
}

struct slice
mqtt_properties_forwardable(
    const struct mqtt_properties *properties, uint8_t *scratch)
{
	if (properties->forwardable_size == properties->raw.len)
		return properties->raw;

	mqtt_properties_copy_forwardable(properties, scratch);
	return slice_of(scratch, properties->forwardable_size);
}

void
mqtt_properties_copy_forwardable(
    const struct mqtt_properties *properties, uint8_t *out)
{
	struct wire walk = wire_read(properties->raw);
	struct mqtt_property_item item;

	if (properties->forwardable_size == 0)
		return;
	if (properties->forwardable_size == properties->raw.len) {
		memcpy(out, properties->raw.data, properties->raw.len);
		return;
	}
	while (mqtt_properties_next(&walk, &item)) {
		if ((not_forwarded & BIT(item.id)) != 0)
			continue;
		memcpy(out, item.raw.data, item.raw.len);
		out += item.raw.len;
	}
}

/* Bytes of one field with its identifier. */
static size_t
field_size(const struct mqtt_properties *properties, const struct rule *rule)
{
	const void *field = const_field_of(properties, rule);

	switch (rule->kind) {
	case KIND_BOOL:
		return 2;
	case KIND_U16:
	case KIND_U16_NOT_0:
		return 3;
	case KIND_U32:
	case KIND_U32_NOT_0:
		return 5;
	case KIND_VARINT:
		return 1 + wire_varint_size(*(const uint32_t *)field);
	case KIND_UTF8:
	case KIND_BINARY:
		return wire_binary_size(*(const struct slice *)field) + 1;
	case KIND_PAIR:
	case KIND_UNKNOWN:
		break;
	}
	return 0;
}

static void
put_field(
    struct wire_out *w, const struct mqtt_properties *properties, unsigned id)
{
	const struct rule *rule = &rules[id];
	const void *field = const_field_of(properties, rule);

	if (rule->kind == KIND_PAIR || rule->kind == KIND_UNKNOWN)
		return;
	wire_put_u8(w, (uint8_t)id);
	switch (rule->kind) {
	case KIND_BOOL:
		wire_put_u8(w, *(const uint8_t *)field);
		break;
	case KIND_U16:
	case KIND_U16_NOT_0:
		wire_put_u16(w, *(const uint16_t *)field);
		break;
	case KIND_U32:
	case KIND_U32_NOT_0:
		wire_put_u32(w, *(const uint32_t *)field);
		break;
	case KIND_VARINT:
		wire_put_varint(w, *(const uint32_t *)field);
		break;
	default:
		wire_put_binary(w, *(const struct slice *)field);
		break;
	}
}

size_t
mqtt_properties_size(const struct mqtt_properties *properties)
{
	size_t size = properties->verbatim.len;
	uint64_t left;

	for (left = properties->present; left != 0; left &= left - 1)
		size += field_size(
		    properties, &rules[(unsigned)__builtin_ctzll(left)]);
	return size;
}

void
mqtt_properties_put(
    struct wire_out *w, const struct mqtt_properties *properties)
{
	uint64_t left;
	size_t size = mqtt_properties_size(properties);

	if (size > MQTT_MAX_VARINT) {
		w->bad = true;
		return;
	}
	wire_put_varint(w, (uint32_t)size);
	for (left = properties->present; left != 0; left &= left - 1)
		put_field(w, properties, (unsigned)__builtin_ctzll(left));
	wire_put_bytes(w, properties->verbatim);
}

void
mqtt_properties_put_user(
    struct wire_out *w, struct slice name, struct slice value)
{
	wire_put_u8(w, MQTT_USER_PROPERTY);
	wire_put_binary(w, name);
	wire_put_binary(w, value);
}
