/* SPDX-License-Identifier: Apache-2.0 */

/*
 * remote - a scripted MQTT server for the far end of a bridge.
 *
 * It takes what comes (MQTT 3.1.1 and 5.0, QoS 0 to 2, sessions kept by
 * client identifier), notes it in a ledger, and misbehaves when it is told
 * to.  remote.c has the sockets and the commands, remote_session.c what a
 * packet does.  One thread; nothing in it waits but for epoll.
 */

#ifndef WEIR_BENCH_REMOTE_H
#define WEIR_BENCH_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/remote_ledger.h"
#include "common/mqtt/packet.h"

#define REMOTE_INPUT (1024 * 1024) /* no packet may be larger */
#define REMOTE_REFUSALS 16
#define REMOTE_SESSIONS 64

/* A client's state beyond its connection. */
struct remote_session {
	char *client_id;
	bool is_kept;
	uint64_t held[1024]; /* QoS 2 identifiers received, not released */
};

/* An acknowledgement that is owed. */
struct remote_ack {
	uint64_t due_ns;
	uint16_t packet_id;
	uint8_t type; /* enum mqtt_packet_type */
	uint8_t reason;
};

struct remote_connection {
	int fd; /* -1: this place is free */
	uint32_t number;
	uint32_t publishes;
	enum mqtt_version version; /* 0: no CONNECT yet */
	bool is_blocked;           /* waits for EPOLLOUT */
	bool is_broken;            /* to be closed at the end of the turn */
	struct remote_session *session;
	struct remote_ack *acks; /* a queue: from ack_head on */
	size_t ack_head, ack_count, ack_size;
	uint8_t *output;
	size_t output_length, output_size;
	size_t input_length;
	uint8_t input[REMOTE_INPUT];
};

struct remote_refusal {
	char prefix[128];
	uint8_t reason;
};

struct remote_counts {
	uint64_t connects, publishes, dups, refused, held_again, subscribes;
	uint64_t acks, pings, disconnects, bad, max_unacked;
};

struct remote {
	/* How it behaves. */
	bool is_mute;      /* acknowledges nothing */
	uint64_t delay_ns; /* of each acknowledgement */
	uint16_t receive_maximum;
	struct remote_refusal refusals[REMOTE_REFUSALS];
	size_t refusal_count;

	struct remote_session sessions[REMOTE_SESSIONS];
	struct remote_ledger ledger;
	struct remote_counts counts;
	uint64_t now_ns; /* of this turn */
};

/*
 * Take the packets that are in connection->input.  What is wrong makes the
 * connection is_broken; the answers lie in its output or among its acks.
 */
void remote_take_input(
    struct remote *remote, struct remote_connection *connection);

/* Move the acks that are due to the output; does nothing while mute. */
void remote_release_acks(
    struct remote *remote, struct remote_connection *connection);

/* Its connection has gone. */
void remote_end_session(struct remote_session *session);

/* Forget all sessions, as a server that lost its memory does. */
void remote_forget(struct remote *remote);

#endif
