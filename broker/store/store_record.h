/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_record - what the records of the journal and of checkpoints mean.
 *
 * A record has a kind and a body.  Bodies are little-endian, begin with a
 * version byte, and are parsed as hostile input: a disk may hand out anything
 * that has a right checksum, a newer Weir's records too.  Times are
 * CLOCK_REALTIME, since they outlive a boot.
 *
 * All records are idempotent: applied twice, or on top of a state that holds
 * them already, in order, they come to the same.  Checkpoints rest on that
 * (store.h).
 *
 * Sessions and bridges are `cursors`: numbers that are never given out twice.
 */

#ifndef WEIR_BROKER_STORE_STORE_RECORD_H
#define WEIR_BROKER_STORE_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

/* On disk: never renumbered.  1 to 15 are the store's own. */
enum store_kind {
	STORE_BATCH = 1, /* internal: what was committed before, the time */
	STORE_MESSAGE = 2,
	STORE_DONE = 3,  /* deliveries that are over */
	STORE_OPEN = 4,  /* a cursor begins: messages from here on count */
	STORE_CLOSE = 5, /* it ends, and all that waited for it */
	STORE_FILL = 6,  /* internal: where damage was, once it was told */

	STORE_START = 16,   /* a broker began: its instance */
	STORE_SESSION = 17, /* all but subscriptions and messages */
	STORE_LEAVE = 18,   /* its connection ended */
	STORE_SUBSCRIBE = 19,
	STORE_UNSUBSCRIBE = 20,
	STORE_RELEASED = 21,   /* PUBREL came: the packet id is free */
	STORE_RECEIVED = 22,   /* PUBREC came: only PUBREL is still due */
	STORE_UNFINISHED = 23, /* checkpoint: QoS 2 ids from the client */
	STORE_RETAINED = 24,   /* checkpoint: a retained message */
	STORE_BRIDGE = 25,     /* a bridge's name, cursor and terms */
	STORE_SOURCE = 26,     /* checkpoint: last sequence of a lane */
	STORE_DEAD = 27,       /* a bridge's dead letter, or its end */
};

enum store_delivery_flag {
	STORE_RETAIN_FLAG = 0x01, /* RETAIN is set in what is delivered */
	STORE_SHARE_FLAG =
	    0x02, /* the first identifier is its share's number */
};

/* A message's way to one cursor. */
struct store_delivery {
	uint64_t cursor;
	uint8_t qos;   /* granted; 1 or 2 */
	uint8_t flags; /* a set of enum store_delivery_flag */
	uint16_t identifier_count;
	const uint32_t *identifiers; /* Subscription Identifiers */
};

/* Where a message came from, if from a lane of a ring. */
struct store_source {
	uint32_t link; /* a name, see sources.h; UINT32_MAX: MQTT client */
	uint32_t lane;
	uint64_t sequence; /* in that lane */
};

struct store_message {
	uint64_t publisher; /* cursor of the session it came from; 0: none */
	uint16_t packet_id; /* QoS 2 with a publisher: it is unfinished */
	uint8_t qos;        /* published with */
	bool retain;
	uint64_t retain_serial; /* order among those of one topic */
	struct store_source source;
	uint64_t identity;
	uint64_t created_ns;
	uint64_t expires_ns; /* UINT64_MAX: never */
	struct slice topic;
	struct slice properties; /* wire form, as in common/msg/record.h */
	struct slice payload;
	const struct store_delivery *deliveries;
	size_t delivery_count;
};

/*
 * A MESSAGE body, version 1; what is in brackets only if its flag is set:
 *
 *	 0  version u8, qos u8, flags u16
 *	 4  topic_length u16, reserved u16, delivery_count u32
 *	12  payload_length u32, identity u64, created_ns u64
 *	32  [publisher u64] [packet_id u16] [link u32, lane u32, sequence u64]
 *	    [retain_serial u64] [expires_ns u64] [properties_length u32]
 *	    each delivery: cursor u64, qos u8, flags u8, identifier_count u16
 *	    each delivery's identifiers: u32
 *	    topic, properties, payload
 *
 * Bytes of the body, and the body.  Topic <= 65,535 bytes, properties and
 * payload < 4 GiB.
 */
#define STORE_MESSAGE_FIXED 32u
#define STORE_DELIVERY_BYTES 12u
size_t store_message_size(const struct store_message *message);
void store_message_write(const struct store_message *message, void *out);

/*
 * Take a body apart; slices point into it.  Deliveries (and identifiers, in
 * one array) are written to the caller's room: if it does not suffice,
 * -ENOBUFS with the counts that are needed in the two counts.
 * 0, -EBADMSG, or -ENOTSUP (of a newer version).
 */
struct store_message_room {
	struct store_delivery *deliveries;
	size_t delivery_count;
	uint32_t *identifiers;
	size_t identifier_count;
};
int store_message_parse(struct slice body, struct store_message_room *room,
    struct store_message *out_message);

/* A delivery that is over, or a cursor whose floor has moved. */
struct store_done {
	uint64_t cursor;
	uint64_t sequence; /* of the message; 0: only the floor */
	uint64_t floor;    /* everything up to it is over; 0: not known */
};

/*
 * A DONE body is a list: store_done_parse() checks it and counts, then
 * store_done_at() gives each.  OPEN and CLOSE are a cursor.
 */
size_t store_done_size(size_t count);
void store_done_write(const struct store_done *list, size_t count, void *out);
int store_done_parse(struct slice body, size_t *out_count);
struct store_done store_done_at(struct slice body, size_t index);

#define STORE_CURSOR_BYTES 9u
void store_cursor_write(uint64_t cursor, void *out);
int store_cursor_parse(struct slice body, uint64_t *out_cursor);

/* A SESSION body.  Slices point into what was parsed. */
struct store_session {
	uint64_t cursor;
	struct slice client_id;
	struct slice account; /* name, "" for anonymous */
	uint64_t expiry_ns;   /* interval; UINT64_MAX: never */
	uint64_t left_ns;     /* when it was left; 0: it is connected */
	bool has_will;
	uint64_t will_delay_ns;
	uint64_t will_expiry_ns; /* interval; UINT64_MAX: never */
	uint8_t will_qos;
	bool will_retain;
	struct slice will_topic;
	struct slice will_properties;
	struct slice will_payload;
};

struct store_leave {
	uint64_t cursor;
	uint64_t left_ns;
	bool keeps_will; /* else it was published or dropped */
};

struct store_subscribe { /* also UNSUBSCRIBE: cursor and filter */
	uint64_t cursor;
	uint8_t qos;
	bool no_local;
	bool retain_as_published;
	uint32_t identifier; /* 0: none */
	struct slice filter;
};

struct store_packet { /* RELEASED: packet_id; RECEIVED: sequence */
	uint64_t cursor;
	uint64_t sequence;
	uint16_t packet_id;
};

struct store_unfinished {
	uint64_t cursor;
	size_t count;
	uint16_t ids[512]; /* at most; further ones in further records */
};

/*
 * What a bridge has been offered and given, ever, in messages: TERM(name),
 * each a u64.  For their meaning see broker/links_terms.h.
 */
#define STORE_BRIDGE_TERMS(TERM)                                               \
	TERM(accepted_upto)                                                    \
	TERM(offered)                                                          \
	TERM(accepted)                                                         \
	TERM(declined)                                                         \
	TERM(unknown)                                                          \
	TERM(http_memory)                                                      \
	TERM(http_offered)                                                     \
	TERM(http_accepted)                                                    \
	TERM(http_declined)                                                    \
	TERM(http_unknown)                                                     \
	TERM(given)                                                            \
	TERM(delivered)                                                        \
	TERM(dropped)                                                          \
	TERM(dead)                                                             \
	TERM(ring_memory)                                                      \
	TERM(ring_delivered)                                                   \
	TERM(ring_dropped)                                                     \
	TERM(ring_dead)                                                        \
	TERM(dropped_before)                                                   \
	TERM(refused)                                                          \
	TERM(too_large)

struct store_bridge_terms {
#define TERM(name) uint64_t name;
	STORE_BRIDGE_TERMS(TERM)
#undef TERM
};

/* Version 1 had no terms: they are 0. */
struct store_bridge {
	uint64_t cursor;
	struct slice name;
	struct store_bridge_terms terms;
};

/*
 * A message that a bridge's remote will never take, until it is gone again:
 * sent once more, dropped by order, or by the limit.
 */
struct store_dead {
	uint64_t cursor; /* the bridge */
	uint64_t id;     /* from 1, of that bridge */
	bool is_gone;    /* then nothing else counts */
	uint32_t attempts;
	uint32_t memory;   /* the ring it was in, by its name */
	uint64_t sequence; /* there */
	uint64_t journal;  /* its sequence in the journal; 0: none */
	uint64_t wall_ns;
	struct slice why;     /* 255 bytes at most */
	struct slice message; /* as in common/msg/record.h */
};

struct store_start {
	uint8_t instance[16];
	uint64_t wall_ns;
};

/* RETAINED is a store_message; its sequence is in `source.sequence`. */

/*
 * Each: bytes written to `out` (STORE_SMALL_MAX, or as size() says), and 0,
 * -EBADMSG or -ENOTSUP from the parser, which then has written nothing.
 * Client ids, names, filters and topics are at most 65,535 bytes.
 */
size_t store_session_size(const struct store_session *session);
void store_session_write(const struct store_session *session, void *out);
int store_session_parse(struct slice body, struct store_session *out_session);

#define STORE_SMALL_MAX 1152 /* the largest of the bodies below but filters */
size_t store_leave_write(const struct store_leave *leave, void *out);
int store_leave_parse(struct slice body, struct store_leave *out_leave);
size_t store_packet_write(const struct store_packet *packet, void *out);
int store_packet_parse(struct slice body, struct store_packet *out_packet);
size_t store_unfinished_write(
    const struct store_unfinished *unfinished, void *out);
int store_unfinished_parse(
    struct slice body, struct store_unfinished *out_unfinished);
size_t store_start_write(const struct store_start *start, void *out);
int store_start_parse(struct slice body, struct store_start *out_start);
size_t store_source_write(const struct store_source *source, void *out);
int store_source_parse(struct slice body, struct store_source *out_source);

size_t store_subscribe_size(const struct store_subscribe *subscribe);
void store_subscribe_write(const struct store_subscribe *subscribe, void *out);
int store_subscribe_parse(
    struct slice body, struct store_subscribe *out_subscribe);
size_t store_dead_size(const struct store_dead *dead);
void store_dead_write(const struct store_dead *dead, void *out);
int store_dead_parse(struct slice body, struct store_dead *out_dead);
size_t store_bridge_size(const struct store_bridge *bridge);
void store_bridge_write(const struct store_bridge *bridge, void *out);
int store_bridge_parse(struct slice body, struct store_bridge *out_bridge);

#endif
