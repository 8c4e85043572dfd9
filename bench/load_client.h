/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load_client - one MQTT connection of the load program, and the loop that
 * serves many of them.
 *
 * Until it is watched, a client is driven step by step and waits:
 *
 *	load_client_open(&client, port);
 *	load_client_connect(&client, &connect);
 *	load_client_await(&client, MQTT_CONNACK, &frame);
 *
 * Then the loop reads it, and writes what was put into its output:
 *
 *	load_loop_watch(&loop, &client);
 *	mqtt_encode_ack_success(load_client_reserve(&client, 4), ...);
 *	load_loop_flush(&loop);
 *	load_loop_wait(&loop, timeout_ns, on_packet, context);
 *
 * What goes wrong ends the program with a line that says what.
 */

#ifndef WEIR_BENCH_LOAD_CLIENT_H
#define WEIR_BENCH_LOAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mqtt/encode.h"

#define LOAD_INPUT_BYTES 65536

struct load_loop;

/* Embed it by value, zeroed; the loop's must stay where they are. */
struct load_client {
	int fd;
	enum mqtt_version version;
	bool is_blocked;          /* waits for EPOLLOUT */
	bool is_dirty;            /* in the loop's list */
	uint16_t packet_id;       /* the last that was used */
	uint16_t receive_maximum; /* of the server */
	struct load_loop *loop;   /* NULL until it is watched */
	struct load_client *next_dirty;
	uint8_t *output;
	size_t output_length, output_size;
	uint8_t *input;
	size_t input_length;
};

struct load_loop {
	int epoll;
	struct load_client *dirty;
};

typedef void load_packet_fn(void *context, struct load_client *client,
    const struct mqtt_frame *frame, uint64_t now_ns);

/* Say what, and errno, and end with status 1. */
void load_die(const char *what) __attribute__((noreturn));

/* The same for what the server said wrongly. */
void load_die_of(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* A socket to the loopback address, connected; Nagle's algorithm is off. */
void load_client_open(struct load_client *client, uint16_t port);

/* Send CONNECT; what `version` and the client id are is in it. */
void load_client_connect(
    struct load_client *client, const struct mqtt_connect *connect);

/* SUBSCRIBE for `count` lines. */
void load_client_subscribe(struct load_client *client,
    const struct mqtt_subscription *list, size_t count);

/* Send now; waits until all is in the socket. */
void load_client_send(
    struct load_client *client, const void *bytes, size_t length);

/*
 * Wait for one packet of this type; what came behind it is kept.  A CONNACK or
 * SUBACK that refuses ends the program.  *frame is valid until the next call.
 */
void load_client_await(struct load_client *client, enum mqtt_packet_type type,
    struct mqtt_frame *frame);

/* The next packet identifier, never 0. */
uint16_t load_client_packet_id(struct load_client *client);

/* Room in the output; a watched client is written by the next flush. */
uint8_t *load_client_reserve(struct load_client *client, size_t length);

/* Close and free what it holds; it must not be watched any more. */
void load_client_fini(struct load_client *client);

void load_loop_init(struct load_loop *loop);
void load_loop_watch(struct load_loop *loop, struct load_client *client);

/* Write the outputs of all that have one. */
void load_loop_flush(struct load_loop *loop);

/*
 * Wait until something comes, but no longer than this, and hand out all
 * packets that are there.
 */
void load_loop_wait(struct load_loop *loop, uint64_t timeout_ns,
    load_packet_fn *on_packet, void *context);

#endif
