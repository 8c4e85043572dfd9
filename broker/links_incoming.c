/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_incoming.h"

#include <string.h>

#include "broker/links_private.h"
#include "broker/message.h"
#include "common/base/clock.h"
#include "common/mqtt/properties.h"
#include "common/msg/topic.h"

/* Properties that a record never carries; see common/msg/record.h. */
#define FORBIDDEN_PROPERTIES                                                   \
	(UINT64_C(1) << MQTT_TOPIC_ALIAS |                                     \
	    UINT64_C(1) << MQTT_SUBSCRIPTION_IDENTIFIER |                      \
	    UINT64_C(1) << MQTT_MESSAGE_EXPIRY_INTERVAL)

/*
 * The decoder wants the length in front.  The bytes before the properties
 * are borrowed for it: header and topic are longer than any length.
 */
static bool
properties_are_valid(struct slice properties, uint8_t *scratch)
{
	struct mqtt_properties decoded;
	size_t at, size = 0, left = properties.len;
	uint8_t length[4], saved[4];
	struct wire w;
	bool is_valid;

	if (properties.len == 0)
		return true;
	if (properties.len > 268435455) /* [MQTT-1.5.5-1]: four bytes */
		return false;
	do {
		length[size] = left & 0x7f;
		left >>= 7;
		if (left != 0)
			length[size] |= 0x80;
		size++;
	} while (left != 0);

	at = (size_t)(properties.data - scratch) - size;
	memcpy(saved, scratch + at, size);
	memcpy(scratch + at, length, size);
	w = wire_read(slice_of(scratch + at, size + properties.len));
	is_valid = mqtt_properties_decode(&w, MQTT_PUBLISH, MQTT_SERVER,
		       &decoded) == MQTT_SUCCESS &&
	    (decoded.present & FORBIDDEN_PROPERTIES) == 0;
	memcpy(scratch + at, saved, size);
	return is_valid;
}

/*
 * A former life of the broker let it pass, and a bridge has it: it cannot be
 * refused to its publisher any more, whatever became of the account.
 */
static bool
was_let_pass(const struct links_incoming *in)
{
	unsigned count = bridge_table_count(in->links->broker->bridges);

	for (unsigned i = 0; i < count; i++) {
		if (links_output_has(links_bridge_output(in->links, i),
			in->endpoint->id, in->lane->geometry.lane,
			in->record.sequence))
			return true;
	}
	return false;
}

/* It may not publish this: why. */
static enum mqtt_reason
refuse_identity(struct links_incoming *in)
{
	const struct auth *auth = in->links->broker->auth;
	const uint64_t identity = in->record.identity;

	if (!auth_identity_is_valid(auth, identity))
		return MQTT_BAD_USER_NAME_OR_PASSWORD;
	in->receivers = auth_identity_may(auth, identity, AUTH_PUBLISH)
	    ? RECORD_DETAIL_TOPIC
	    : RECORD_DETAIL_SCOPE;
	return MQTT_NOT_AUTHORIZED;
}

static enum mqtt_reason
check_identity(struct links_incoming *in)
{
	const struct broker *broker = in->links->broker;
	const uint64_t identity = in->record.identity;

	/* A bridge is what the configuration says; it has no account. */
	if (in->endpoint->role == RING_ROLE_BRIDGE)
		return MQTT_SUCCESS;
	if ((identity != AUTH_ANONYMOUS || broker->conf->allow_anonymous) &&
	    auth_identity_may_publish(
		broker->auth, identity, in->message.topic))
		return MQTT_SUCCESS;
	return was_let_pass(in) ? MQTT_SUCCESS : refuse_identity(in);
}

enum mqtt_reason
links_incoming_check(struct links_incoming *in)
{
	if (record_message_parse(
		in->links->scratch, in->record.length, &in->message) != 0)
		return MQTT_MALFORMED_PACKET;
	if (!topic_name_is_valid(in->message.topic))
		return MQTT_TOPIC_NAME_INVALID;
	if (!properties_are_valid(in->message.properties, in->links->scratch))
		return MQTT_MALFORMED_PACKET;
	if (in->record.length > in->links->broker->max_packet_size)
		return MQTT_PACKET_TOO_LARGE;
	return check_identity(in);
}

static uint64_t
expires_ns(const struct links_incoming *in)
{
	if (in->message.expiry_s == RECORD_NEVER_EXPIRES)
		return UINT64_MAX;
	return in->record.time_ns + in->message.expiry_s * CLOCK_SECOND_NS;
}

struct message *
links_incoming_message(const struct links_incoming *in)
{
	const struct message_parts parts = {
		.topic = in->message.topic,
		.properties = in->message.properties,
		.payload = in->message.payload,
		.qos = in->message.qos,
		.retain = in->message.retain,
		.link = in->endpoint->source,
		.lane = in->lane->geometry.lane,
		.sequence = in->record.sequence,
		.identity = in->record.identity,
		.created_ns = in->record.time_ns,
		.expires_ns = expires_ns(in),
	};

	return message_new(in->links->pools, &parts);
}
