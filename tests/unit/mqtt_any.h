/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mqtt_any - decode whatever packet some bytes are, and touch all of it.
 *
 * For tests that only ask whether decoding stays inside its bytes: give it
 * an exact copy on the heap and let AddressSanitizer watch.
 */

#ifndef WEIR_TESTS_UNIT_MQTT_ANY_H
#define WEIR_TESTS_UNIT_MQTT_ANY_H

#include "common/mqtt/packet.h"

/* One of every packet; which member is filled depends on the type. */
union mqtt_any {
	struct mqtt_connect connect;
	struct mqtt_connack connack;
	struct mqtt_publish publish;
	struct mqtt_ack ack;
	struct mqtt_subscribe subscribe;
	struct mqtt_unsubscribe unsubscribe;
	struct mqtt_suback suback;
	struct mqtt_disconnect disconnect;
};

static inline enum mqtt_reason
mqtt_any_decode(const struct mqtt_frame *frame, enum mqtt_version version,
    enum mqtt_role role, union mqtt_any *any)
{
	switch (frame->type) {
	case MQTT_CONNECT:
		return mqtt_decode_connect(frame, &any->connect);
	case MQTT_CONNACK:
		return mqtt_decode_connack(frame, version, &any->connack);
	case MQTT_PUBLISH:
		return mqtt_decode_publish(frame, version, role, &any->publish);
	case MQTT_SUBSCRIBE:
		return mqtt_decode_subscribe(frame, version, &any->subscribe);
	case MQTT_UNSUBSCRIBE:
		return mqtt_decode_unsubscribe(
		    frame, version, &any->unsubscribe);
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		return mqtt_decode_suback(frame, version, &any->suback);
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		return mqtt_decode_ping(frame, version);
	case MQTT_DISCONNECT:
		return mqtt_decode_disconnect(
		    frame, version, role, &any->disconnect);
	case MQTT_AUTH:
		return mqtt_decode_auth(frame, version, &any->disconnect);
	default:
		return mqtt_decode_ack(frame, version, &any->ack);
	}
}

/* Read every byte of a slice, so that a bad one is noticed. */
static inline unsigned
mqtt_any_touch(struct slice bytes)
{
	unsigned sum = 0;

	for (size_t i = 0; i < bytes.len; i++)
		sum += bytes.data[i];
	return sum;
}

#endif
