/* SPDX-License-Identifier: Apache-2.0 */

/*
 * websocket - MQTT over WebSocket [RFC 6455], under a stream.
 *
 * Parts, each usable without the next:
 *
 * - struct websocket reads frames: bytes in, payload out, in place.  It is
 *   strict: reserved bits, unknown opcodes, text, lengths that are not the
 *   shortest, a mask where none may be or none where one must be, control
 *   frames that are long or in parts are faults.  Nothing is kept but a
 *   header and a control frame.
 * - websocket_request(), websocket_accept_key() and websocket_check_answer()
 *   are the client's opening handshake; the key function is the server's too.
 * - websocket_client() is a layer (stream_layer.h) made of both.
 * - websocket_server() is the layer of a listener's connections; its opening
 *   handshake is websocket_head.h.
 *
 * For MQTT frames have no meaning: packets are cut and joined by them at will
 * [MQTT-6.0.0-2]; the server sends a frame a packet all the same.  All frames
 * we send are binary [MQTT-6.0.0-1], the subprotocol is "mqtt" [MQTT-6.0.0-3].
 *
 * An object belongs to one thread.
 */

#ifndef WEIR_COMMON_NET_WEBSOCKET_H
#define WEIR_COMMON_NET_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/net/stream_layer.h"

/* The longest header of a frame: 2, a length of 8, a mask of 4. */
#define WEBSOCKET_HEADER_SIZE 14

/* [RFC 6455, 5.5] the longest payload of a control frame */
#define WEBSOCKET_CONTROL_SIZE 125

/* A key in base64 with its NUL; the answer to it likewise. */
#define WEBSOCKET_KEY_SIZE 25
#define WEBSOCKET_ACCEPT_SIZE 29

/* Most that an answer's head may be. */
#define WEBSOCKET_HEAD_SIZE 4096

enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0,
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10
};

/* What a close frame says [RFC 6455, 7.4.1]. */
enum websocket_status {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_PROTOCOL_ERROR = 1002,
	WEBSOCKET_UNSUPPORTED = 1003,
	WEBSOCKET_TOO_BIG = 1009
};

/* Embed it by value, by websocket_init(); read what is said of a field. */
struct websocket {
	bool is_server;     /* frames come masked */
	uint64_t max_frame; /* bytes of payload */
	uint8_t header[WEBSOCKET_HEADER_SIZE];
	uint8_t header_len;
	bool in_frame;   /* the header is complete */
	bool in_message; /* a message has begun that is not final */
	uint64_t left;   /* of the frame's payload */
	uint64_t at;     /* in the frame's payload */
	uint8_t mask[4];
	enum websocket_opcode opcode;
	bool is_final;
	uint8_t control[WEBSOCKET_CONTROL_SIZE];
	uint8_t control_len;
	/* For the caller: */
	bool has_ping; /* answer with control[], then clear it */
	uint8_t ping[WEBSOCKET_CONTROL_SIZE];
	uint8_t ping_len;
	bool is_closed;        /* a close frame came; nothing counts after it */
	uint16_t close_status; /* that it had, or 0 */
	const char *fault;     /* NULL, or what is wrong, for good */
	enum websocket_status fault_status; /* to be told to the peer */
};

void websocket_init(
    struct websocket *websocket, bool is_server, uint64_t max_frame);

/*
 * Take all of `bytes`; the payload of data frames is moved to their start.
 * Returns how many bytes of it there are; look at fault, is_closed and
 * has_ping then.  Behind a fault or a close nothing is read.
 */
size_t websocket_decode(
    struct websocket *websocket, uint8_t *bytes, size_t len);

/*
 * Write the header of a frame to `out`, which has room for
 * WEBSOCKET_HEADER_SIZE bytes.  `mask` is NULL for a server.
 * Returns its length.
 */
size_t websocket_header(uint8_t *out, enum websocket_opcode opcode,
    uint64_t payload_len, const uint8_t mask[4]);

/* Mask or unmask in one go; `from` may be `to`. */
void websocket_mask(uint8_t *to, const uint8_t *from, size_t len,
    const uint8_t mask[4], uint64_t at);

/* The answer to a key [RFC 6455, 4.2.2]. */
void websocket_accept_key(const char *key, char out[WEBSOCKET_ACCEPT_SIZE]);

/* A field's list of words, with commas between them, has this one. */
bool websocket_has_word(const char *list, const char *word, bool any_case);

/*
 * The request of a client into `out`.  Returns its length; 0 when it does not
 * fit.  `host` is as a Host field has it: brackets and port where needed.
 */
size_t websocket_request(char *out, size_t size, const char *host,
    const char *path, const char key[WEBSOCKET_KEY_SIZE]);

/*
 * Judge the head of an answer, up to and with its empty line; it is changed.
 * Returns NULL when it is right; else what is wrong, in words, in `error`.
 */
const char *websocket_check_answer(
    char *head, const char *key, char *error, size_t error_size);

/*
 * A layer for a client.  `url_host` and `path` are copied; frames of more
 * than `max_frame` bytes are refused.  NULL without memory.
 */
struct stream_layer *websocket_client(
    const char *url_host, const char *path, uint64_t max_frame);

/* What a listener asks of requests. */
struct websocket_rules {
	const char *path;           /* "/mqtt"; a query behind it is ignored */
	const char *const *origins; /* those that browsers may name */
	size_t origin_count;        /* 0: any */
};

/*
 * A layer for a connection that was accepted; `rules` must outlive it.  A
 * request that is wrong is answered with an HTTP error, and the fault of the
 * stream (stream_fault()) says which.  How long the request may take is the
 * owner's matter.  An idle connection holds no buffer.  NULL without memory.
 */
struct stream_layer *websocket_server(const struct websocket_rules *rules);

#endif
