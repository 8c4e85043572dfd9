/* SPDX-License-Identifier: Apache-2.0 */

/*
 * client - one connection of an MQTT client, from accept to close.
 *
 *	  accept, hand-over
 *	       |
 *	       v
 *	      NEW ----------- connect_timeout, not a CONNECT -------+
 *	       | CONNECT with credentials                           |
 *	       v                                                    |
 *	   CHECKING --- refused: CONNACK ---+                       |
 *	       | verified                   |                       |
 *	       v                            v                       v
 *	   CONNECTED --- DISCONNECT ---> LEAVING --- sent, late -> CLOSED
 *	       |          of either                                 ^
 *	       +------------- closed by the peer, keepalive --------+
 *
 * (A CONNECT without credentials goes from NEW to CONNECTED at once.)  One
 * with an Authentication Method goes from NEW to AUTHENTICATING, where AUTH
 * packets go to and fro (on_auth.c), and from there to CONNECTED, by CHECKING
 * if the journal is waited for, or, refused by CONNACK, to LEAVING.
 * client_enter() is the only place that changes the state; the table in
 * dispatch.c says which packets each state accepts.
 *
 * The worker's thread only.
 */

#ifndef WEIR_BROKER_CLIENT_H
#define WEIR_BROKER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/alarms.h"
#include "broker/gate.h"
#include "broker/settle.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/mqtt/aliases.h"
#include "common/mqtt/encode.h"
#include "common/mqtt/packet.h"
#include "common/net/stream.h"

/*
 * MQTT 3 knows no Receive Maximum, and it may be let pass: who leaves more
 * QoS 2 messages unfinished than this, or it, is closed.
 */
#define CLIENT_MAX_UNFINISHED 4096

enum client_state {
	CLIENT_NEW,
	CLIENT_CHECKING,
	CLIENT_AUTHENTICATING,
	CLIENT_CONNECTED,
	CLIENT_LEAVING,
	CLIENT_CLOSED,
	CLIENT_STATES
};

/* Why reading is paused; a set. */
enum client_pause {
	CLIENT_PAUSE_CHECKING = 1, /* credentials are being checked */
	CLIENT_PAUSE_PARKED = 2,   /* the read-ahead is full */
	CLIENT_PAUSE_OUTPUT = 4,   /* it does not read what it asked for */
	CLIENT_PAUSE_DRAINING = 8, /* the broker ends */
};

/* What became of a packet. */
enum packet_verdict {
	PACKET_DONE, /* go on with the next one */
	PACKET_KEEP, /* reading was paused, or handover_to set: not used */
	PACKET_OVER  /* the client is leaving or gone */
};

struct access;
struct auth_exchange;
/* A payload of so many bytes or more is large. */
#define CLIENT_LEND_BYTES 2048

struct commit_letter;
struct arrival;
struct peer;
struct connect_check;
struct message;
struct throttle;

/* PUBLISH packets as they came, behind one that found no room. */
struct parked {
	uint8_t *bytes;
	size_t start;
	size_t end;
	size_t size;
	uint32_t reserved; /* of the Receive Maximum: QoS 1 and new QoS 2 */
};

/* Each way, once one was used; zeroed until then. */
struct topic_aliases {
	struct aliases_in in;
	struct aliases_out out;
};

/* How a PUBLISH to a client names its topic. */
struct topic_alias {
	uint16_t alias; /* 0: by its name alone */
	bool is_new;    /* the client is told the name beside it */
};

struct client {
	struct stream stream;
	struct worker *worker;
	struct session *session; /* NULL but in CONNECTED */
	struct client *next;     /* worker->clients, or the graveyard */
	struct client *previous;
	struct client *next_stalled;
	struct client *previous_stalled;
	struct alarm alarm; /* connect_timeout, keepalive, end of LEAVING */
	uint64_t last_seen_ns;
	uint64_t identity;
	uint64_t held_for; /* the bridges of the PUBLISH tried last */
	uint64_t offered;  /* those it is counted as offered to, undecided */
	struct connect_check *check;
	struct arrival *arrival;  /* its CONNECT waits for the journal */
	struct settle_line waits; /* its answers that do */
	struct parked *parked;
	struct topic_aliases *aliases;
	struct throttle *throttle; /* NULL: it may publish as fast as it can */
	struct access *access;     /* NULL: everything */
	struct auth_exchange *exchange; /* under way; see on_auth.c */
	struct peer *peer;              /* NULL: nothing is known */
	uint64_t connected_ns;          /* when its CONNECT was accepted */
	uint64_t messages_in; /* PUBLISH packets, as in the counters */
	uint64_t messages_out;
	struct gate_pass pass;
	uint32_t max_packet;   /* that it accepts */
	uint32_t max_in;       /* that we accept from it */
	uint16_t aliases_out;  /* that may be sent to it; 0: none */
	uint16_t keep_alive_s; /* 0: none */
	uint16_t listener;
	uint16_t handover_to; /* the worker's index + 1; 0: it stays */
	uint8_t state;        /* enum client_state */
	uint8_t version;      /* enum mqtt_version; 0 before CONNECT */
	uint8_t paused;       /* a set of enum client_pause */
	/* The bridge bit: No Local, Retain As Published. */
	bool is_bridge : 1;
	bool clean_start : 1;
	bool wants_problems : 1; /* Reason Strings [MQTT-3.1.2-29] */
	bool is_denied : 1;      /* the log has told so */
	bool is_greedy : 1;      /* beyond the Receive Maximum, and let so */
	bool is_stalled : 1;     /* on worker->stalled */
	bool is_verified : 1;
	bool has_method : 1;   /* it came in by enhanced authentication */
	bool in_handshake : 1; /* of a layer; MQTT begins behind it */
};

/* A connection that becomes a client, or moves to another worker. */
struct client_origin {
	struct stream_parts parts;
	struct peer *peer; /* NULL: nothing is known */
	struct gate_pass pass;
	unsigned listener;    /* where it was accepted */
	uint64_t accepted_ns; /* connect_timeout runs from here */
	struct slice input;   /* what was read already; copied */
};

/*
 * A connection that was accepted here, or handed here.  Takes the parts and
 * the peer.  NULL when it failed, or the worker drains: it is closed then,
 * and counted as closed.
 */
struct client *client_new(
    struct worker *worker, const struct client_origin *origin);

/* The one place where the state changes. */
void client_enter(struct client *client, enum client_state state);

/*
 * The connection goes elsewhere, with all its layers and what is known of its
 * peer; it stays counted.  Fills in *out but for the input.  Returns 0; on
 * -errno the client is as it was.
 */
int client_give_away(struct client *client, struct client_origin *out);

/*
 * Say goodbye with a reason (MQTT 5.0) and close once that is sent; a will is
 * sent unless reason is 0x00.  The client is over when this returns
 * [MQTT-4.13.2-1].  Nothing is said before CONNACK [MQTT-3.14.0-1].
 */
void client_disconnect(struct client *client, enum mqtt_reason reason);

/* As client_disconnect(), and says in a sentence why; NULL: it does not. */
void client_disconnect_because(
    struct client *client, enum mqtt_reason reason, const char *why);

/* The broker ends: 0x8B, or with server_reference 0x9C and that. */
void client_say_goodbye(struct client *client);

/*
 * As client_disconnect_because(), for what the client did wrong
 * [MQTT-4.13.1-1]; counted, logged.  `reason` is one of DISCONNECT
 * [MQTT-3.14.2-1].
 */
void client_fail(
    struct client *client, enum mqtt_reason reason, const char *what);

/* Close when what was written is sent, without a further word. */
void client_finish(struct client *client, bool send_will);

/* Close at once. */
void client_close(struct client *client, bool send_will);

/*
 * Append a packet, or (client_append()) a part of one that is counted
 * elsewhere, to the output.  False: there is no room, the client is over.
 */
bool client_write(struct client *client, const uint8_t *bytes, size_t length);
bool client_append(struct client *client, const uint8_t *bytes, size_t length);

/* As client_append(); a large one is sent from where it lies, not copied. */
bool client_append_payload(struct client *client, struct message *message);

void client_pause(struct client *client, enum client_pause why);
void client_resume(struct client *client, enum client_pause why);

/* Answer PUBACK, PUBREC, PUBREL or PUBCOMP. */
bool client_acknowledge(struct client *client, enum mqtt_packet_type type,
    uint16_t packet_id, enum mqtt_reason reason);

/* "10.0.0.7:40123", for a log line: what a proxy told, else the socket's. */
const char *client_address(
    const struct client *client, char text[LISTENER_ADDRESS_SIZE]);

/* Of silence after which it is gone [MQTT-3.1.2-22]; 0: there is no such. */
static inline uint64_t
client_patience_ns(const struct client *client)
{
	return client->keep_alive_s * CLOCK_SECOND_NS * 3 / 2;
}

static inline bool
client_is_over(const struct client *client)
{
	return client->state >= CLIENT_LEAVING;
}

/* worker_listeners.c: a connection is closed. */
void client_count_closed(
    struct worker *worker, unsigned listener, const struct gate_pass *pass);

/* ---- packets: dispatch.c, on_*.c --------------------------------------- */

enum packet_verdict client_dispatch(
    struct client *client, const struct mqtt_frame *frame);

/* Does this state accept a packet that begins with `first`? */
bool client_accepts(const struct client *client, uint8_t first);

enum packet_verdict on_connect(
    struct client *client, const struct mqtt_frame *frame);
enum packet_verdict on_publish(
    struct client *client, const struct mqtt_frame *frame);
enum packet_verdict on_ack(
    struct client *client, const struct mqtt_frame *frame);
enum packet_verdict on_pubrel(
    struct client *client, const struct mqtt_frame *frame);
enum packet_verdict on_subscribe(
    struct client *client, const struct mqtt_frame *frame);
enum packet_verdict on_unsubscribe(
    struct client *client, const struct mqtt_frame *frame);
enum packet_verdict on_pingreq(
    struct client *client, const struct mqtt_frame *frame);
enum packet_verdict on_disconnect(
    struct client *client, const struct mqtt_frame *frame);
enum packet_verdict on_auth(
    struct client *client, const struct mqtt_frame *frame);

/*
 * on_connect.c: may its credentials be looked at?  False: its address had too
 * many wrong ones, it was told so and is over.  And: they were wrong.
 */
bool client_may_log_in(struct client *client, uint8_t version);
void client_login_failed(struct client *client);

/* on_connect.c: forget the check under way. */
void connect_check_abandon(struct client *client);

/* on_connect.c: who it is has been found out; the body of its CONNECT. */
enum packet_verdict connect_again(struct client *client, struct slice body);

/* on_auth.c: a CONNECT with an Authentication Method. */
enum packet_verdict auth_begin(struct client *client,
    const struct mqtt_connect *connect, const struct mqtt_frame *frame);

/* What a CONNACK says of the exchange that it ends; nothing without one. */
void auth_exchange_tell(
    const struct client *client, struct mqtt_properties *properties);
void auth_exchange_free(struct auth_exchange *exchange);

/*
 * What its account may, as this client: once its CONNECT is right, and when
 * accounts have changed.  False: no memory.  See auth_revoke.h.
 */
bool client_take_access(struct client *client, struct slice client_id);

/* admit.c: it goes before its CONNECT was answered. */
void arrival_abandon(struct client *client);

/*
 * publish_limits.c: within Maximum QoS, Retain Available and Receive Maximum?
 * False: the client is over.
 */
bool publish_is_acceptable(
    struct client *client, const struct mqtt_publish *publish);

/* on_publish.c: publish what is parked.  True if nothing is left. */
bool publish_parked(struct client *client);

/* ---- what is acknowledged once it is safe: acks.c ----------------------- */

/*
 * Acknowledge once ack->ticket is settled, in line with all that waits (see
 * session.h).  If it fails, the client is told so, or the connection is
 * closed.  False: the client is over.
 */
bool client_acknowledge_after(
    struct client *client, const struct pending_ack *ack);

/*
 * PUBREL for a message that the client has, PUBCOMP for one that it has
 * released, when the journal knows of it: else the next life would send the
 * message once more, or take a new one under that identifier for the old one.
 * False: the client is over.
 */
bool client_release(struct client *client, const struct outgoing *outgoing);
bool client_complete(
    struct client *client, uint16_t packet_id, enum mqtt_reason reason);

/* Say what is due. */
void acks_send(struct worker *worker, struct session *session);

/* What waits for these tickets has failed; before acks_send(). */
void acks_fail(struct worker *worker, const struct commit_letter *letter);

/* Try again what failed and is not given up; see worker_retry_notes(). */
void acks_retry(struct worker *worker);

/* ---- packets that are held: parked.c ------------------------------------ */

/* Hold this one, and all that come behind it; pauses at the read-ahead. */
enum packet_verdict parked_put(struct client *client,
    const struct mqtt_frame *frame, const struct mqtt_publish *publish);

/* Does it take one of the Receive Maximum that nothing else took? */
bool parked_reserves(
    const struct client *client, const struct mqtt_publish *publish);

/* Out of worker->stalled, if it is there. */
void parked_leave_line(struct client *client);

/* Free the memory; nothing is left in it. */
void parked_free(struct client *client);

/* The client goes: what is held was never acknowledged. */
void parked_drop(struct client *client);

/* ---- topic_aliases.c ---------------------------------------------------- */

void topic_aliases_free(struct topic_aliases *aliases);

/*
 * Put the topic in force into publish->topic [MQTT-3.3.2-8].  May be done
 * twice for a packet that is parked in between: it comes to the same.
 */
enum mqtt_reason topic_alias_resolve(
    struct client *client, struct mqtt_publish *publish);

/*
 * How to name `topic` to a client with aliases_out [MQTT-3.1.2-26]
 * [MQTT-3.3.2-11]; and, once a PUBLISH was written that does so, what it knows
 * now.
 */
struct topic_alias topic_alias_for(struct client *client, struct slice topic);
void topic_alias_sent(
    struct client *client, struct topic_alias alias, struct slice topic);

#endif
