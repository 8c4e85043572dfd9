/* SPDX-License-Identifier: Apache-2.0 */

/*
 * properties - the properties of MQTT 5.0 packets.
 *
 * Decoding fills a struct with slices into the packet; nothing is allocated,
 * whatever the packet holds.  A field has a meaning only when its bit is in
 * `present`; the others are not even cleared.  User Properties and
 * Subscription Identifiers may come many times: they are counted, and walked
 * with the functions below.
 *
 * To send properties, fill the fields and set their bits:
 *
 *	struct mqtt_properties properties = { 0 };
 *
 *	properties.receive_maximum = 20;
 *	mqtt_properties_set(&properties, MQTT_RECEIVE_MAXIMUM);
 *
 * An old packet version has no properties: `present` is then 0.
 */

#ifndef WEIR_COMMON_MQTT_PROPERTIES_H
#define WEIR_COMMON_MQTT_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/mqtt/reason.h"
#include "common/mqtt/wire.h"

/* MQTT_RECEIVE_MAXIMUM, MQTT_USER_PROPERTY, ...: the identifiers. */
enum mqtt_property {
#define PROPERTY(id, name, field, kind, packets) MQTT_##name = id,
#include "common/mqtt/properties.def"
#undef PROPERTY
};

/* Stands for a packet type: the Will Properties inside CONNECT. */
#define MQTT_WILL_PROPERTIES 0

struct mqtt_properties {
	uint64_t present; /* bit N: property N is there */

	/* Decoding only: all the property bytes, without their length. */
	struct slice raw;

	/*
	 * Decoding only: bytes of `raw` that a forwarded message keeps, see
	 * mqtt_properties_forwardable().
	 */
	size_t forwardable_size;

	/*
	 * Encoding only: encoded properties, sent after the fields as they
	 * are.  User Properties are sent this way.
	 */
	struct slice verbatim;

	struct slice content_type;
	struct slice response_topic;
	struct slice correlation_data;
	struct slice assigned_client_identifier;
	struct slice authentication_method;
	struct slice authentication_data;
	struct slice response_information;
	struct slice server_reference;
	struct slice reason_string;

	uint32_t message_expiry_interval_s;
	uint32_t session_expiry_interval_s;
	uint32_t will_delay_interval_s;
	uint32_t maximum_packet_size;
	uint32_t subscription_identifier; /* the first of them */
	uint32_t subscription_identifier_count;
	uint32_t user_property_count;

	uint16_t server_keep_alive_s;
	uint16_t receive_maximum;
	uint16_t topic_alias_maximum;
	uint16_t topic_alias;

	uint8_t payload_format_indicator;
	uint8_t request_problem_information;
	uint8_t request_response_information;
	uint8_t maximum_qos;
	uint8_t retain_available;
	uint8_t wildcard_subscription_available;
	uint8_t subscription_identifier_available;
	uint8_t shared_subscription_available;
};

static inline bool
mqtt_properties_has(
    const struct mqtt_properties *properties, enum mqtt_property id)
{
	return (properties->present >> id & 1) != 0;
}

static inline void
mqtt_properties_set(struct mqtt_properties *properties, enum mqtt_property id)
{
	properties->present |= UINT64_C(1) << id;
}

/* Make *properties the properties of a packet that has none. */
static inline void
mqtt_properties_clear(struct mqtt_properties *properties)
{
	properties->present = 0;
	properties->raw = (struct slice){ 0 };
	properties->forwardable_size = 0;
	properties->verbatim = (struct slice){ 0 };
	properties->subscription_identifier_count = 0;
	properties->user_property_count = 0;
}

/*
 * Read a Property Length and its properties, for a packet of `type` (or
 * MQTT_WILL_PROPERTIES), received in the given role.
 * Returns 0 or why not; *properties is then undefined:
 * MQTT_MALFORMED_PACKET for an unknown identifier or bytes that do not fit,
 * MQTT_PROTOCOL_ERROR for a property that comes twice, is not for this
 * packet, or has a value it may not have, MQTT_TOPIC_ALIAS_INVALID for
 * alias 0.  Takes time linear in the bytes.
 */
enum mqtt_reason mqtt_properties_decode(struct wire *w, unsigned type,
    enum mqtt_role role, struct mqtt_properties *properties);

/* "RECEIVE_MAXIMUM" for 0x21; NULL for an unknown identifier. */
const char *mqtt_property_name(unsigned id);

/* One step over `raw`, which was decoded before and so is known good. */
struct mqtt_property_item {
	enum mqtt_property id;
	uint32_t number;    /* all integers */
	struct slice name;  /* of a User Property */
	struct slice value; /* text, data, the value of a User Property */
	struct slice raw;   /* the whole item, identifier included */
};

/*
 * Step through decoded properties in the order they came:
 *
 *	struct wire walk = wire_read(properties->raw);
 *
 *	while (mqtt_properties_next(&walk, &item))
 *
 * Returns false, and leaves *out_item alone, at the end.
 */
bool mqtt_properties_next(
    struct wire *walk, struct mqtt_property_item *out_item);

/* As mqtt_properties_next(), but stops at items of this kind only. */
bool mqtt_properties_find(struct wire *walk, enum mqtt_property id,
    struct mqtt_property_item *out_item);

/*
 * The property bytes of a PUBLISH (or will) that go to every receiver, in
 * their order: Payload Format Indicator [MQTT-3.3.2-4], Content Type
 * [MQTT-3.3.2-20], Response Topic [MQTT-3.3.2-15], Correlation Data
 * [MQTT-3.3.2-16] and User Properties [MQTT-3.3.2-17] [MQTT-3.3.2-18].  Left
 * out are Topic Alias and Subscription Identifiers, which belong to one
 * connection, Will Delay Interval, and Message Expiry Interval, which is
 * handed on as a number because it shrinks while the message waits
 * [MQTT-3.3.2-6].
 *
 * mqtt_properties_forwardable() is the usual, free way: it gives `raw` when
 * nothing is to be left out.  Else it copies into `scratch`, which must have
 * room for properties->forwardable_size bytes.
 */
struct slice mqtt_properties_forwardable(
    const struct mqtt_properties *properties, uint8_t *scratch);

/* The same, always copied: writes forwardable_size bytes to `out`. */
void mqtt_properties_copy_forwardable(
    const struct mqtt_properties *properties, uint8_t *out);

/* Bytes of the encoded properties, without the length in front. */
size_t mqtt_properties_size(const struct mqtt_properties *properties);

/* Write a Property Length and the properties. */
void mqtt_properties_put(
    struct wire_out *w, const struct mqtt_properties *properties);

/* Write one User Property, to build `verbatim`. */
void mqtt_properties_put_user(
    struct wire_out *w, struct slice name, struct slice value);

#endif
