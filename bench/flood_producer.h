/* SPDX-License-Identifier: Apache-2.0 */

/*
 * flood_producer - one of those who flood: an HTTP connection or an MQTT
 * publisher, with what became of each of its numbers.
 *
 * Numbers go 0, 1, 2 ... to a topic of the producer's own.  A number is sent
 * by HTTP once, whatever comes; by MQTT until it is acknowledged, over
 * connections that come and go, as [MQTT-4.4.0-1] asks.  flood_clients.c has
 * the loop and the options, flood_http.c and flood_mqtt.c the protocols.
 * One thread.
 */

#ifndef WEIR_BENCH_FLOOD_PRODUCER_H
#define WEIR_BENCH_FLOOD_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/histogram.h"
#include "common/mqtt/packet.h"

#define FLOOD_WINDOW_MAX 1024
#define FLOOD_INPUT 16384

/* What became of a number.  Upper case: it was sent more than once. */
enum flood_outcome {
	FLOOD_ACCEPTED = 'a', /* 2xx, PUBACK, PUBREC */
	FLOOD_REFUSED = 'r',  /* 429 or 503 with Retry-After; a reason */
	FLOOD_RUDE = 'n',     /* 429 or 503 without Retry-After */
	FLOOD_UNKNOWN = 'u',  /* 504, or no answer */
	FLOOD_ERROR = 'e',    /* any other answer */
};

enum flood_state {
	FLOOD_DOWN,       /* tries again at retry_ns */
	FLOOD_CONNECTING, /* until the socket is writable */
	FLOOD_GREETING,   /* MQTT: until CONNACK */
	FLOOD_OPEN,
};

struct flood_options {
	const char *http_path, *authorization, *body, *accepted_text;
	const char *topic, *username, *password;
	uint64_t stall_timeout_ns; /* for the lateness of refusals */
	uint32_t most;             /* numbers of a producer */
	unsigned payload, window, seconds, settle_seconds;
	uint16_t http_port, mqtt_port;
	enum mqtt_version version;
};

/* What an MQTT publisher has under way; its packet identifier is the index
 * plus one. */
struct flood_slot {
	uint32_t number;
	bool is_used;
	bool is_received; /* QoS 2: PUBREC came */
};

struct flood_producer {
	const struct flood_options *options;
	char name[24];
	char topic[160];
	bool is_http;
	uint8_t qos;

	enum flood_state state;
	int fd;
	bool is_blocked; /* waits for EPOLLOUT */
	uint64_t retry_ns;
	uint32_t reconnects, lost_sessions;

	uint32_t next; /* number that is new */
	unsigned under_way;
	char *outcomes; /* one for each number below `next` */

	/* HTTP: the one request under way. */
	uint64_t sent_ns;
	uint32_t number;

	struct flood_slot slots[FLOOD_WINDOW_MAX];
	unsigned slot_hint;
	bool was_open;

	uint8_t *output;
	size_t output_length, output_size;
	size_t input_length;
	uint8_t input[FLOOD_INPUT + 1];
};

struct flood_totals {
	uint64_t accepted, refused, rude, errors, resent;
	uint64_t by_status[600];
	struct histogram accepted_us; /* answer after request, HTTP */
	struct histogram late_us; /* refused after stall_timeout, beyond it */
	uint64_t refused_at_once; /* refused before stall_timeout */
};

/* Room for `length` bytes of output. */
uint8_t *flood_reserve(struct flood_producer *producer, size_t length);

/* The payload of a number: "NAME NUMBER xxx...", `size` bytes or as few as
 * the words take.  Returns its length; the room must take FLOOD_INPUT. */
size_t flood_payload(
    const struct flood_producer *producer, uint32_t number, char *room);

/* Take a new number; false when all are used. */
bool flood_take_number(struct flood_producer *producer, uint32_t *out_number);

void flood_note(struct flood_producer *producer, struct flood_totals *totals,
    uint32_t number, enum flood_outcome outcome);

/* It goes again: mark the number as sent more than once. */
void flood_note_resent(struct flood_producer *producer,
    struct flood_totals *totals, uint32_t number);

/*
 * The protocols.  *_open: the socket is connected.  *_send: put what may go
 * into the output; new numbers only while `is_on`.  *_receive: take what is
 * in the input; false when the connection is to be closed.  *_lost: it is.
 */
void flood_http_send(struct flood_producer *producer, bool is_on);
bool flood_http_receive(
    struct flood_producer *producer, struct flood_totals *totals);
void flood_http_lost(
    struct flood_producer *producer, struct flood_totals *totals);

void flood_mqtt_open(struct flood_producer *producer);
void flood_mqtt_send(struct flood_producer *producer, bool is_on);
bool flood_mqtt_receive(
    struct flood_producer *producer, struct flood_totals *totals);

#endif
