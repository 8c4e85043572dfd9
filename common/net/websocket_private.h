/* SPDX-License-Identifier: Apache-2.0 */

/*
 * websocket_private - what the layers of both ends have in common: frames are
 * read, controls are answered, and what the layer below did not take is held.
 *
 * Bytes that were offered below and not taken are offered again with the same
 * bytes in front, as stream_layer.h wants it.  So a control frame is begun
 * only while nothing is held and no frame is half sent.
 */

#ifndef WEIR_COMMON_NET_WEBSOCKET_PRIVATE_H
#define WEIR_COMMON_NET_WEBSOCKET_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/net/stream_layer.h"
#include "common/net/websocket.h"

/* The first member of each end's object. */
struct websocket_end {
	struct stream_layer layer;
	struct websocket frames;
	uint8_t *held; /* that the layer below did not take; layer.held bytes */
	size_t held_at;
	uint64_t dice;     /* of masks */
	size_t frame_left; /* payload of the frame that is half sent */
	bool masks;        /* the client's end */
	bool is_over;      /* a close frame was sent */
};

/* It is over; returns -EPROTO. */
ssize_t websocket_broken(struct websocket_end *end, const char *what);

/* Keep what was not taken; it goes before all that follows.  0 or -ENOMEM. */
ssize_t websocket_hold(
    struct websocket_end *end, const uint8_t *bytes, size_t len);

/* `sent` of what is held is. */
void websocket_drop_held(struct websocket_end *end, size_t sent);

/* Returns 0 when nothing is held any more, or -EAGAIN or another -errno. */
ssize_t websocket_flush(struct websocket_end *end);

/* Send all of it, or hold what is left.  0 or -errno, never -EAGAIN. */
ssize_t websocket_send_bytes(
    struct websocket_end *end, const uint8_t *bytes, size_t len);

/* The next mask of a client. */
void websocket_next_mask(struct websocket_end *end, uint8_t mask[4]);

/* Answer the last ping, unless something is half sent: later then. */
ssize_t websocket_answer_ping(struct websocket_end *end);

/* Once, and not into a frame that is half sent. */
ssize_t websocket_send_close(struct websocket_end *end, unsigned status);

/* A layer's finish(). */
void websocket_finish(struct stream_layer *layer);

/*
 * Payload of what came, in place; then what is to be said about it.  Returns
 * as a layer's receive().
 */
ssize_t websocket_read_frames(
    struct websocket_end *end, uint8_t *bytes, size_t len);

#endif
