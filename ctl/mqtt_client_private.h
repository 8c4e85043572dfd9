/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mqtt_client_private - what mqtt_client.c (the connection, what is sent) and
 * mqtt_client_input.c (what comes) share.  Nobody else includes it.
 *
 *	CONNECTING -> HANDSHAKE -> UP -> ENDING -> OVER
 *	     |            |        |                ^
 *	     +------------+--------+----------------+
 *
 * ENDING sends what is pending and the DISCONNECT behind it, and looks at
 * nothing that comes.
 */

#ifndef WEIR_CTL_MQTT_CLIENT_PRIVATE_H
#define WEIR_CTL_MQTT_CLIENT_PRIVATE_H

#include "common/net/connector.h"
#include "common/net/loop_signals.h"
#include "common/net/stream.h"
#include "ctl/mqtt_client.h"

/* How often it is asked whether a PINGREQ is due. */
#define MQTT_CLIENT_TICK_NS (CLOCK_SECOND_NS / 2)

enum mqtt_client_state {
	CLIENT_CONNECTING,
	CLIENT_HANDSHAKE,
	CLIENT_UP,
	CLIENT_ENDING,
	CLIENT_OVER
};

/* A message on its way out; `awaits` is a packet type, 0 in a free slot. */
struct mqtt_client_slot {
	uint16_t packet_id;
	uint8_t awaits;
};

struct mqtt_client {
	const struct mqtt_client_spec *spec;
	const struct mqtt_client_callbacks *callbacks;
	void *arg;
	enum mqtt_client_state state;
	int code; /* what to return from run */
	enum mqtt_version version;
	struct loop *loop;
	struct stream_hub *hub;
	struct stream stream;
	struct connector *connector;
	struct loop_signals signals;
	struct loop_timer deadline; /* of the connection, of the end */
	struct loop_timer tick;     /* keep alive */
	size_t pending_before;      /* at the last look of the deadline */
	uint64_t keep_alive_ns;
	uint64_t sent_ns;
	uint64_t ping_ns;
	bool ping_sent;

	/* What CONNACK allows. */
	unsigned window;
	uint8_t maximum_qos;
	bool retain_available;
	uint16_t topic_alias_maximum;
	uint32_t maximum_packet_size;

	struct mqtt_client_slot slots[MQTT_CLIENT_WINDOW];
	unsigned in_flight;
	uint16_t last_packet_id;
	size_t subscribed;             /* filters in the SUBSCRIBE */
	uint64_t received[65536 / 64]; /* QoS 2 identifiers, PUBREL to come */
};

/* The only one to change the state. */
void mqtt_client_enter(
    struct mqtt_client *client, enum mqtt_client_state state);

/* A line of -d. */
void mqtt_client_tell(const struct mqtt_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The end, at once and without a word to the broker. */
void mqtt_client_leave(struct mqtt_client *client, int code);

/* The same, after saying why on stderr. */
void mqtt_client_break_off(struct mqtt_client *client, int code,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * The broker broke the protocol with this packet (NULL: with what is none):
 * tell it why, where that can be told, and break off.
 */
void mqtt_client_fault(struct mqtt_client *client,
    const struct mqtt_frame *frame, enum mqtt_reason reason);

/* Send it at the end of the turn; on failure the client breaks off. */
void mqtt_client_write(
    struct mqtt_client *client, const void *packet, size_t len);

/* The slot of a message under way, or NULL. */
struct mqtt_client_slot *mqtt_client_find_slot(
    struct mqtt_client *client, uint16_t packet_id);

/* stream_callbacks.on_data */
size_t mqtt_client_on_data(
    struct stream *stream, const uint8_t *data, size_t len);

#endif
