/* SPDX-License-Identifier: Apache-2.0 */

/*
 * dispatch - which packet goes to which function, in which state.
 */

#include "broker/client.h"

#define PACKET_TYPES 16
#define BIT(type) (UINT16_C(1) << (type))

typedef enum packet_verdict handler_fn(
    struct client *client, const struct mqtt_frame *frame);

/*
 * What each state accepts.  [MQTT-3.1.0-1] the first packet is CONNECT,
 * [MQTT-3.1.0-2] the only one is.  While credentials are checked nothing is
 * looked at but that same CONNECT.  [MQTT-3.1.2-30] who authenticates sends
 * AUTH or goes.
 */
static const uint16_t accepted[CLIENT_STATES] = {
	[CLIENT_NEW] = BIT(MQTT_CONNECT),
	[CLIENT_CHECKING] = BIT(MQTT_CONNECT),
	[CLIENT_AUTHENTICATING] = BIT(MQTT_AUTH) | BIT(MQTT_DISCONNECT),
	[CLIENT_CONNECTED] = BIT(MQTT_PUBLISH) | BIT(MQTT_PUBACK) |
	    BIT(MQTT_PUBREC) | BIT(MQTT_PUBREL) | BIT(MQTT_PUBCOMP) |
	    BIT(MQTT_SUBSCRIBE) | BIT(MQTT_UNSUBSCRIBE) | BIT(MQTT_PINGREQ) |
	    BIT(MQTT_DISCONNECT) | BIT(MQTT_AUTH),
};

static handler_fn *const handlers[PACKET_TYPES] = {
	[MQTT_CONNECT] = on_connect,
	[MQTT_PUBLISH] = on_publish,
	[MQTT_PUBACK] = on_ack,
	[MQTT_PUBREC] = on_ack,
	[MQTT_PUBREL] = on_pubrel,
	[MQTT_PUBCOMP] = on_ack,
	[MQTT_SUBSCRIBE] = on_subscribe,
	[MQTT_UNSUBSCRIBE] = on_unsubscribe,
	[MQTT_PINGREQ] = on_pingreq,
	[MQTT_DISCONNECT] = on_disconnect,
	[MQTT_AUTH] = on_auth,
};

bool
client_accepts(const struct client *client, uint8_t first)
{
	return (accepted[client->state] & BIT(first >> 4)) != 0;
}

enum packet_verdict
client_dispatch(struct client *client, const struct mqtt_frame *frame)
{
	struct worker *worker = client->worker;
	enum packet_verdict verdict;

	if ((accepted[client->state] & BIT(frame->type)) == 0) {
		client_fail(
		    client, MQTT_PROTOCOL_ERROR, "packet not expected now");
		return PACKET_OVER;
	}
	verdict = handlers[frame->type](client, frame);
	if (verdict != PACKET_KEEP)
		worker_count(worker, COUNT_packets_in);
	return verdict;
}

enum packet_verdict
on_pingreq(struct client *client, const struct mqtt_frame *frame)
{
	uint8_t bytes[2];

	if (mqtt_decode_ping(frame, client->version) != MQTT_SUCCESS) {
		client_fail(client, MQTT_MALFORMED_PACKET, "PINGREQ");
		return PACKET_OVER;
	}
	/* [MQTT-3.12.4-1] */
	mqtt_encode_ping(bytes, sizeof(bytes), MQTT_PINGRESP);
	return client_write(client, bytes, sizeof(bytes)) ? PACKET_DONE
							  : PACKET_OVER;
}
