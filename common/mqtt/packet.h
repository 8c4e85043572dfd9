/* SPDX-License-Identifier: Apache-2.0 */

/*
 * packet - from bytes to packets, for MQTT 3.1, 3.1.1 and 5.0, both sides.
 *
 * First mqtt_frame() finds where a packet ends, from the fixed header alone,
 * so that nothing is allocated for a packet that is going to be refused.
 * Then one of the decoders fills a struct whose slices point into the
 * packet's bytes.  Nothing is copied or allocated.
 *
 *	switch (mqtt_frame(p, len, max_bytes, &frame)) {
 *	case MQTT_FRAME_WHOLE:
 *		reason = mqtt_decode_publish(
 *		    &frame, version, MQTT_SERVER, &publish);
 *
 * Decoders return MQTT_SUCCESS or the reason to refuse the packet with; what
 * they were to fill is then undefined, except as said at mqtt_connect.  They
 * check all that the packet alone tells.  What depends on the connection
 * (is this packet expected now, is the alias known, is the receive maximum
 * kept) is for the caller.
 *
 * The functions are pure; any thread may call them.
 */

#ifndef WEIR_COMMON_MQTT_PACKET_H
#define WEIR_COMMON_MQTT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/mqtt/properties.h"
#include "common/mqtt/protocol.h"
#include "common/mqtt/reason.h"
#include "common/mqtt/wire.h"

enum mqtt_frame_status {
	MQTT_FRAME_WHOLE,     /* decode it, then go on `size` bytes later */
	MQTT_FRAME_PARTIAL,   /* read more, then ask again */
	MQTT_FRAME_MALFORMED, /* MQTT_MALFORMED_PACKET, close */
	MQTT_FRAME_TOO_LARGE, /* MQTT_PACKET_TOO_LARGE, close */
};

struct mqtt_frame {
	uint8_t type;      /* enum mqtt_packet_type */
	uint8_t flags;     /* low four bits of the first byte */
	bool overlong;     /* length in too many bytes: not for MQTT 5.0 */
	size_t size;       /* of the packet with its header; 0: not known yet */
	struct slice body; /* what follows the fixed header */
};

struct mqtt_connect {
	uint8_t version; /* enum mqtt_version */
	bool clean_start;
	bool has_will;
	bool has_username;
	bool has_password;
	bool will_retain;
	uint8_t will_qos;
	uint16_t keep_alive_s;
	struct slice client_id;
	struct slice will_topic;
	struct slice will_payload;
	struct slice username;
	struct slice password;
	struct mqtt_properties properties;
	struct mqtt_properties will_properties;
};

struct mqtt_connack {
	bool session_present;
	enum mqtt_reason reason; /* the old codes are translated */
	struct mqtt_properties properties;
};

struct mqtt_publish {
	bool dup;
	bool retain;
	uint8_t qos;
	uint16_t packet_id; /* 0 for QoS 0 */
	struct slice topic; /* empty only when there is a topic alias */
	struct slice payload;
	struct mqtt_properties properties;
};

/* PUBACK, PUBREC, PUBREL, PUBCOMP. */
struct mqtt_ack {
	uint16_t packet_id;
	enum mqtt_reason reason; /* MQTT_SUCCESS in the old versions */
	struct mqtt_properties properties;
};

struct mqtt_subscribe {
	uint16_t packet_id;
	size_t count;         /* of subscriptions, at least 1 */
	struct slice filters; /* for mqtt_subscribe_next() */
	struct mqtt_properties properties;
};

/* One line of a SUBSCRIBE.  The old versions have the QoS alone. */
struct mqtt_subscription {
	struct slice filter;
	uint8_t qos;
	bool no_local;
	bool retain_as_published;
	uint8_t retain_handling; /* 0 send, 1 send if new, 2 do not send */
};

struct mqtt_unsubscribe {
	uint16_t packet_id;
	size_t count;
	struct slice filters; /* for mqtt_unsubscribe_next() */
	struct mqtt_properties properties;
};

/* SUBACK and UNSUBACK. */
struct mqtt_suback {
	uint16_t packet_id;
	struct slice codes; /* a reason a filter; none in an old UNSUBACK */
	struct mqtt_properties properties;
};

/* DISCONNECT and AUTH. */
struct mqtt_disconnect {
	enum mqtt_reason reason;
	struct mqtt_properties properties;
};

/*
 * Look at the `len` bytes at `p` for one packet of at most `max_bytes`, its
 * fixed header included.  Reads at most five bytes, and decides as early as
 * it can: a wrong packet type or wrong flags [MQTT-2.1.3-1] at the first
 * byte, a length of more than four bytes or beyond `max_bytes` at once.
 * Fills *frame for WHOLE; for PARTIAL only `size`, 0 until it is known.
 */
enum mqtt_frame_status mqtt_frame(
    const uint8_t *p, size_t len, size_t max_bytes, struct mqtt_frame *frame);

/*
 * CONNECT.  When it fails, connect->version says in which version to answer:
 * the protocol level of the packet (any value with
 * MQTT_UNSUPPORTED_PROTOCOL_VERSION; 1 for a level of 0, 3 for any with the
 * name of MQTT 3.1), or 0 when the protocol name was wrong and there is
 * nothing to answer.  An empty client id in MQTT 5.0, or in
 * 3.1.1 with a clean session, asks for one to be assigned.
 */
enum mqtt_reason mqtt_decode_connect(
    const struct mqtt_frame *frame, struct mqtt_connect *connect);

enum mqtt_reason mqtt_decode_connack(const struct mqtt_frame *frame,
    enum mqtt_version version, struct mqtt_connack *connack);

/*
 * PUBLISH.  The topic is a valid name.  `role` is ours: a server refuses
 * Subscription Identifiers [MQTT-3.3.4-6].
 */
enum mqtt_reason mqtt_decode_publish(const struct mqtt_frame *frame,
    enum mqtt_version version, enum mqtt_role role,
    struct mqtt_publish *publish);

/* PUBACK, PUBREC, PUBREL, PUBCOMP: frame->type says which. */
enum mqtt_reason mqtt_decode_ack(const struct mqtt_frame *frame,
    enum mqtt_version version, struct mqtt_ack *ack);

/*
 * SUBSCRIBE.  All filters and options are checked here; an ill-formed filter
 * gives MQTT_TOPIC_FILTER_INVALID.
 */
enum mqtt_reason mqtt_decode_subscribe(const struct mqtt_frame *frame,
    enum mqtt_version version, struct mqtt_subscribe *subscribe);

/*
 * Step through the subscriptions, in order:
 *
 *	struct wire walk = wire_read(subscribe.filters);
 *
 *	while (mqtt_subscribe_next(&walk, &subscription))
 *
 * Returns false, and leaves *out_subscription alone, at the end.
 */
bool mqtt_subscribe_next(
    struct wire *walk, struct mqtt_subscription *out_subscription);

enum mqtt_reason mqtt_decode_unsubscribe(const struct mqtt_frame *frame,
    enum mqtt_version version, struct mqtt_unsubscribe *unsubscribe);

/* Step through the filters, as mqtt_subscribe_next(). */
bool mqtt_unsubscribe_next(struct wire *walk, struct slice *out_filter);

/* SUBACK and UNSUBACK.  Does not know how many codes were asked for. */
enum mqtt_reason mqtt_decode_suback(const struct mqtt_frame *frame,
    enum mqtt_version version, struct mqtt_suback *suback);

/* PINGREQ and PINGRESP: they have no body. */
enum mqtt_reason mqtt_decode_ping(
    const struct mqtt_frame *frame, enum mqtt_version version);

enum mqtt_reason mqtt_decode_disconnect(const struct mqtt_frame *frame,
    enum mqtt_version version, enum mqtt_role role,
    struct mqtt_disconnect *disconnect);

/* AUTH, which MQTT 5.0 alone has: a protocol error in the old versions. */
enum mqtt_reason mqtt_decode_auth(const struct mqtt_frame *frame,
    enum mqtt_version version, struct mqtt_disconnect *auth);

#endif
