/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/connack.h"

#include <stdio.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

#define INSTANCE_PROPERTY "weir-id"

size_t
connack_refuse(const struct client *client, uint8_t version,
    enum mqtt_reason reason, const char *why, uint8_t bytes[CONNACK_SIZE])
{
	struct mqtt_connack connack = { .reason = reason };

	/* [MQTT-3.2.2-19] without the text where that is too much. */
	if (version == MQTT_5 && why != NULL) {
		connack.properties.reason_string = slice_of_string(why);
		mqtt_properties_set(&connack.properties, MQTT_REASON_STRING);
		if (mqtt_connack_size(&connack, MQTT_5) > client->max_packet)
			mqtt_properties_clear(&connack.properties);
	}
	return mqtt_encode_connack(
	    bytes, CONNACK_SIZE, &connack, (enum mqtt_version)version);
}

/* What is not there must be said; what is need not. */
static void
fill_lacks(const struct conf *conf, struct mqtt_properties *out)
{
	/* [MQTT-3.2.2-9] */
	if (conf->max_qos < 2) {
		out->maximum_qos = (uint8_t)conf->max_qos;
		mqtt_properties_set(out, MQTT_MAXIMUM_QOS);
	}
	if (!conf->retain_available) {
		out->retain_available = 0;
		mqtt_properties_set(out, MQTT_RETAIN_AVAILABLE);
	}
	if (!conf->wildcard_subscriptions) {
		out->wildcard_subscription_available = 0;
		mqtt_properties_set(out, MQTT_WILDCARD_SUBSCRIPTION_AVAILABLE);
	}
	if (!conf->shared_subscriptions) {
		out->shared_subscription_available = 0;
		mqtt_properties_set(out, MQTT_SHARED_SUBSCRIPTION_AVAILABLE);
	}
	if (!conf->subscription_identifiers) {
		out->subscription_identifier_available = 0;
		mqtt_properties_set(
		    out, MQTT_SUBSCRIPTION_IDENTIFIER_AVAILABLE);
	}
}

static void
fill_limits(const struct broker *broker, struct mqtt_properties *out)
{
	out->receive_maximum = (uint16_t)broker->conf->receive_maximum;
	mqtt_properties_set(out, MQTT_RECEIVE_MAXIMUM);
	out->maximum_packet_size = (uint32_t)broker->max_packet_size;
	mqtt_properties_set(out, MQTT_MAXIMUM_PACKET_SIZE);
	if (broker->conf->topic_alias_maximum != 0) {
		out->topic_alias_maximum =
		    (uint16_t)broker->conf->topic_alias_maximum;
		mqtt_properties_set(out, MQTT_TOPIC_ALIAS_MAXIMUM);
	}
	fill_lacks(broker->conf, out);
}

/* What this CONNECT gets otherwise than it asked for. */
static void
fill_answers(const struct conf *conf, const struct attempt *attempt,
    uint64_t expiry_ns, struct mqtt_properties *out)
{
	const struct mqtt_properties *asked = &attempt->connect.properties;

	if (attempt->assigned[0] != '\0') {
		/* [MQTT-3.2.2-16] */
		out->assigned_client_identifier =
		    slice_of_string(attempt->assigned);
		mqtt_properties_set(out, MQTT_ASSIGNED_CLIENT_IDENTIFIER);
	}
	if (attempt->keep_alive_s != attempt->connect.keep_alive_s) {
		out->server_keep_alive_s = attempt->keep_alive_s;
		mqtt_properties_set(out, MQTT_SERVER_KEEP_ALIVE);
	}
	if (mqtt_properties_has(asked, MQTT_SESSION_EXPIRY_INTERVAL) &&
	    expiry_ns != SESSION_NEVER &&
	    expiry_ns / CLOCK_SECOND_NS != asked->session_expiry_interval_s) {
		out->session_expiry_interval_s =
		    (uint32_t)(expiry_ns / CLOCK_SECOND_NS);
		mqtt_properties_set(out, MQTT_SESSION_EXPIRY_INTERVAL);
	}
	/* [MQTT-3.1.2-28] */
	if (conf->response_information != NULL &&
	    mqtt_properties_has(asked, MQTT_REQUEST_RESPONSE_INFORMATION) &&
	    asked->request_response_information != 0) {
		out->response_information =
		    slice_of_string(conf->response_information);
		mqtt_properties_set(out, MQTT_RESPONSE_INFORMATION);
	}
}

/* "weir-id": by this a bridge knows that both its ends are one broker. */
static struct slice
put_instance(const struct broker *broker, uint8_t *room, size_t size)
{
	struct wire_out w = wire_write(room, size);
	char hex[2 * sizeof(broker->instance) + 1];

	for (size_t i = 0; i < sizeof(broker->instance); i++)
		snprintf(hex + 2 * i, 3, "%02x", broker->instance[i]);
	mqtt_properties_put_user(
	    &w, slice_of_string(INSTANCE_PROPERTY), slice_of_string(hex));
	BUG_ON(w.bad);
	return slice_of(room, (size_t)(w.p - room));
}

size_t
connack_accept(struct client *client, const struct attempt *attempt,
    uint64_t expiry_ns, uint8_t bytes[CONNACK_SIZE])
{
	const struct broker *broker = client->worker->broker;
	struct mqtt_connack connack = {
		.reason = MQTT_SUCCESS,
		.session_present = attempt->session_present,
	};
	struct mqtt_properties *properties = &connack.properties;
	uint8_t user[CONNACK_SIZE / 4];
	size_t length;

	if (attempt->connect.version == MQTT_5) {
		fill_limits(broker, properties);
		fill_answers(broker->conf, attempt, expiry_ns, properties);
		auth_exchange_tell(client, properties);
		if (attempt->wants_instance)
			properties->verbatim =
			    put_instance(broker, user, sizeof(user));
		/* [MQTT-3.2.2-20] */
		if (mqtt_connack_size(&connack, MQTT_5) > client->max_packet)
			properties->verbatim = slice_of(NULL, 0);
	}
	length = mqtt_encode_connack(bytes, CONNACK_SIZE, &connack,
	    (enum mqtt_version)attempt->connect.version);
	BUG_ON(length == 0);
	/* [MQTT-3.1.2-24] */
	return length <= client->max_packet ? length : 0;
}
