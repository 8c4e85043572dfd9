/* SPDX-License-Identifier: Apache-2.0 */

/*
 * remote_mqtt - a remote that speaks MQTT 3.1.1 or 5.0: what its files share.
 *
 * remote_mqtt.c makes the connection and ends it; remote_mqtt_connect.c says
 * who we are; remote_mqtt_send.c sends messages; remote_mqtt_input.c reads
 * what the remote sends; remote_mqtt_subscribe.c asks for it.  Nobody else
 * includes this file.
 *
 *	IDLE --open--> CONNECTING --socket--> HANDSHAKE --CONNACK--> UP
 *	  ^                 |                     |                   |
 *	  +----- down ------+---- FAILED <--------+-------------------+
 *
 * A fault closes the socket at once; down() is told from the next turn of
 * the loop, so that no function of ours calls back.
 */

#ifndef WEIR_BRIDGED_REMOTE_MQTT_H
#define WEIR_BRIDGED_REMOTE_MQTT_H

#include "bridged/dial.h"
#include "bridged/remote.h"
#include "bridged/subscriptions.h"
#include "common/mqtt/aliases.h"
#include "common/mqtt/encode.h"
#include "common/mqtt/packet.h"

/* Of SUBSCRIBE, UNSUBSCRIBE and the notification; messages never have it
 * (inflight.h). */
#define REMOTE_MQTT_SUBSCRIBE_ID 65535

#define REMOTE_MQTT_WHY_SIZE 256
#define REMOTE_MQTT_REASON_SIZE 200

/* More than this waiting for the socket: stop sending. */
#define REMOTE_MQTT_PENDING_HIGH (256u << 10)

/* User properties by which Weirs know each other. */
#define REMOTE_MQTT_BRIDGE "weir-bridge" /* CONNECT: the bridge's instance */
#define REMOTE_MQTT_ID "weir-id"         /* CONNACK: the broker's instance */

enum remote_state {
	REMOTE_IDLE,
	REMOTE_CONNECTING,
	REMOTE_HANDSHAKE,
	REMOTE_UP,
	REMOTE_FAILED
};

/* What is expected for a packet identifier of ours. */
enum remote_flow {
	REMOTE_FLOW_FREE,
	REMOTE_FLOW_PUBACK,
	REMOTE_FLOW_PUBREC,
	REMOTE_FLOW_PUBCOMP /* PUBREL was sent: the message is theirs */
};

struct remote {
	struct remote_spec spec;
	enum remote_state state;
	enum mqtt_version version;
	struct dial dial;
	struct stream stream;
	struct loop_timer deadline; /* of the handshake */
	struct loop_timer tick;     /* keep alive */
	struct loop_timer held;     /* how long input is left unread */
	struct loop_timer report;   /* tells down() */
	enum remote_trouble trouble;
	char why[REMOTE_MQTT_WHY_SIZE];
	char self[REMOTE_WEIR_ID_SIZE];

	bool
	    bridge_bit; /* say that we are a bridge, as 3.1.1 brokers know it */
	bool ping_sent;
	uint64_t ping_ns;
	uint64_t sent_ns;
	uint64_t heard_ns;
	uint64_t keepalive_ns; /* 0: none */

	struct remote_limits limits;
	size_t max_packet; /* what the remote takes, bytes */
	bool retain_available;

	uint8_t *scratch; /* spec.max_packet bytes, for one packet to send */

	/* Of this connection, by our packet identifier. */
	uint8_t flows[65536];
	uint8_t ending[8192]; /* bit: PUBCOMP of another life's exchange */

	struct aliases_out aliases_out;
	struct aliases_in aliases_in;
	char reason[REMOTE_MQTT_REASON_SIZE]; /* remote_mqtt_reason() */
	char *notification_topic; /* of this connection; NULL: tell nobody */
	bool is_notifying;        /* "1" is still to be published */

	struct subscriptions subscriptions;
	bool is_receiving; /* remote_mqtt_subscribe() was called */
	/* SUBSCRIBE, UNSUBSCRIBE, or PUBLISH: a notification; 0: none. */
	enum mqtt_packet_type request;
	size_t request_count; /* filters in it */

	/* Received: bit by the remote's packet identifier. */
	uint8_t pending[8192]; /* we owe an acknowledgement */
	size_t pending_count;
	bool is_held; /* MQTT 3.1.1: too many, the next is left unread */
};

static inline bool
remote_mqtt_bit(const uint8_t *bits, uint16_t id)
{
	return (bits[id / 8] >> (id % 8) & 1) != 0;
}

static inline void
remote_mqtt_set_bit(uint8_t *bits, uint16_t id, bool value)
{
	if (value)
		bits[id / 8] |= (uint8_t)(1u << (id % 8));
	else
		bits[id / 8] &= (uint8_t) ~(1u << (id % 8));
}

/* Without a client identifier there is no session [MQTT3-3.1.3-7]. */
static inline bool
remote_mqtt_is_clean(const struct remote *remote)
{
	const struct conf_bridge *conf = remote->spec.conf;

	return conf->clean_start || conf->client_id[0] == '\0';
}

/* Close now, tell down() from the next turn. */
void remote_mqtt_fail(struct remote *remote, enum remote_trouble trouble,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A fault of the remote: in MQTT 5.0 it is told the reason. */
void remote_mqtt_fault(struct remote *remote, enum mqtt_reason reason,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Write a packet; a socket that does not take it fails the connection. */
void remote_mqtt_write(struct remote *remote, const uint8_t *p, size_t len);
void remote_mqtt_write_ack(struct remote *remote, enum mqtt_packet_type type,
    uint16_t id, enum mqtt_reason reason);

/*
 * A reason and what the remote says to it, printable; valid until the next
 * call.
 */
const char *remote_mqtt_reason(struct remote *remote, enum mqtt_reason reason,
    const struct mqtt_properties *properties);

/* The socket is connected: send CONNECT, with the password. */
void remote_mqtt_connect(struct remote *remote);

/* See remote.h. */
int remote_mqtt_send(
    struct remote *remote, const struct remote_message *message);
int remote_mqtt_release(struct remote *remote, uint16_t id);
int remote_mqtt_end(struct remote *remote, uint16_t id);
void remote_mqtt_remind(struct remote *remote, uint16_t id);
/*
 * Publish "1" or "0", retained, to the notification topic.  `id` is the packet
 * identifier; 0: at QoS 0.
 */
void remote_mqtt_notify(struct remote *remote, bool is_up, uint16_t id);

void remote_mqtt_acknowledge(
    struct remote *remote, uint16_t id, uint8_t qos, bool accepted);

/* CONNACK was good: start to keep alive. */
void remote_mqtt_start(struct remote *remote);

/* Ask for what the receive rules say; again, when they have changed. */
void remote_mqtt_subscribe(struct remote *remote);
void remote_mqtt_resubscribe(struct remote *remote);

/* PUBACK of the notification. */
void remote_mqtt_on_notified(struct remote *remote, const struct mqtt_ack *ack);

/* SUBACK and UNSUBACK. */
void remote_mqtt_on_suback(
    struct remote *remote, const struct mqtt_frame *frame);

/*
 * MQTT 3.1.1 has no Receive Maximum: read no further until what is there has
 * gone to the broker.  That is a matter of one turn; when it takes long the
 * connection is closed, and the remote keeps the rest.
 */
void remote_mqtt_hold(struct remote *remote);

/* The stream's on_data. */
size_t remote_mqtt_on_data(
    struct stream *stream, const uint8_t *data, size_t len);

#endif
