/* SPDX-License-Identifier: Apache-2.0 */

/*
 * stream_layer - what may lie between a stream and its socket: TLS, WebSocket.
 *
 * A stream without layers reads and writes its socket itself.  Else it asks
 * its uppermost layer, which asks the one below, down to the socket:
 *
 *	stream -> WebSocket (websocket.h) -> TLS (tls.h) -> socket
 *
 *	stream_init(&client->stream, hub, fd, &callbacks, client);
 *	stream_push_layer(&client->stream, tls_layer(tls, "broker.example"));
 *
 * A layer makes its handshake by itself, as soon as it is read from or
 * written to, and never waits: it is called again when the socket moves.  How
 * long it may take is the owner's matter, by a timer of its own.
 *
 * Layers belong to the thread of their stream.  Who writes a new kind fills
 * in a struct stream_layer_kind and embeds a struct stream_layer as the first
 * member of its object; all others call stream_push_layer() alone.
 */

#ifndef WEIR_COMMON_NET_STREAM_LAYER_H
#define WEIR_COMMON_NET_STREAM_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Enough for a sentence that says what failed and what to do. */
#define STREAM_FAULT_SIZE 320

struct stream;
struct stream_layer;

struct stream_layer_kind {
	const char *name; /* for people: "TLS", "WebSocket" */

	/*
	 * Read up to `room` bytes for the layer above.  Returns how many; 0
	 * when the peer closed in order; -EAGAIN when there is nothing;
	 * another -errno when it is over, with `fault` set where errno does
	 * not say enough.
	 */
	ssize_t (*receive)(
	    struct stream_layer *layer, uint8_t *into, size_t room);

	/*
	 * Send what the socket takes of `iov`, and before it what the layer
	 * itself holds; with a `count` of 0 that alone.  What is not taken is
	 * offered again, with the same bytes in front.
	 * Returns how many bytes were taken, or as receive().
	 */
	ssize_t (*send)(struct stream_layer *layer, const struct iovec *iov,
	    unsigned count);

	/* Tell the peer that this was all, if the socket takes it at once. */
	void (*finish)(struct stream_layer *layer);

	void (*free)(struct stream_layer *layer);
};

/* The first member of each kind's object. */
struct stream_layer {
	const struct stream_layer_kind *kind;
	struct stream_layer *below; /* NULL: the socket */
	int fd;
	uint32_t held;    /* bytes that it took and that are to be sent */
	bool is_ready;    /* its handshake is over */
	bool is_told;     /* ... and the owner knows (stream.c) */
	bool has_input;   /* there is more, which no event will announce */
	bool wants_read;  /* it cannot send before the peer has sent */
	bool wants_write; /* it cannot read before the socket takes more */
	bool is_broken;   /* nothing may be said any more */
	char fault[STREAM_FAULT_SIZE]; /* "" or what failed, in words */
};

/*
 * Put a layer on top of the stream's others; takes it.  Call it right after
 * stream_init(), the lowest one first.  The callback on_layer() tells when its
 * handshake is over; what is written before is sent then.
 */
void stream_push_layer(struct stream *stream, struct stream_layer *layer);

/* The stream's layer of that kind, or NULL. */
const struct stream_layer *stream_layer_named(
    const struct stream *stream, const char *name);

/* All layers have made their handshakes; true without any. */
bool stream_is_ready(const struct stream *stream);

/*
 * Inside on_closed(): what a layer found wrong, in words, or "" when the
 * reason says it all.
 */
const char *stream_fault(const struct stream *stream);

/* ---- for kinds and stream*.c ----------------------------------------- */

/* Read or send by the layer below, or the socket; as the functions above. */
ssize_t stream_layer_receive_below(
    struct stream_layer *layer, uint8_t *into, size_t room);
ssize_t stream_layer_send_below(
    struct stream_layer *layer, const struct iovec *iov, unsigned count);

/* Some layer of the stack, `top` down, has this to say. */
bool stream_layer_has_input(const struct stream_layer *top);
size_t stream_layer_held(const struct stream_layer *top);
bool stream_layer_wants_read(const struct stream_layer *top);
bool stream_layer_wants_write(const struct stream_layer *top);
bool stream_layer_is_ready(const struct stream_layer *top);

/*
 * After the layers were called: arm what they wait for, tell whose handshake
 * is over.  False means hands off: the stream is gone.
 */
bool stream_layers_moved(struct stream *stream);

/* The first fault from the bottom up, or "". */
const char *stream_layer_fault(const struct stream_layer *top);

/* Note what failed, once; returns `err`. */
ssize_t stream_layer_fail(struct stream_layer *layer, int err,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* From the top down; `top` may be NULL. */
void stream_layer_finish(struct stream_layer *top);
void stream_layer_free(struct stream_layer *top);

#endif
