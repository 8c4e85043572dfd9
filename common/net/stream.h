/* SPDX-License-Identifier: Apache-2.0 */

/*
 * stream - buffered reading and writing of one non-blocking socket: the
 * ordered, lossless bytes that MQTT is carried by [MQTT-4.2.0-1].
 *
 * This is MQTT's hot path.  All streams of a loop share a hub: one large read
 * goes to the hub's scratch buffer and only an unfinished packet is kept with
 * the connection, so an idle connection holds no buffer.  What is written is
 * collected in chunks from the hub's pool and sent once, after the events of
 * a turn; interest in writing is armed only while the socket is full.  There
 * is no epoll_ctl and no malloc a message.
 *
 * A peer that has said nothing since it was sent to may not be reading at all.
 * It is sent to behind those that have, a few at a time, and the loop looks
 * for news between: many that stall do not delay who answers.
 *
 *	hub = stream_hub_new(loop, max_chunks);
 *	stream_init(&client->stream, hub, fd, &callbacks, client);
 *	stream_write(&client->stream, bytes, len);
 *
 * Callbacks come from the loop only, never from inside a stream_*() call, and
 * may close or detach the stream they are about, or any other.  A hub and its
 * streams belong to the loop's thread.
 */

#ifndef WEIR_COMMON_NET_STREAM_H
#define WEIR_COMMON_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/list.h>

#include "common/net/loop.h"

/* Bytes of payload in one chunk of a write buffer. */
#define STREAM_CHUNK_SIZE 4048

/* Bytes that one event reads at most. */
#define STREAM_READ_SIZE 65536

/* Where the limits stand until they are set. */
#define STREAM_DEFAULT_WRITE_LIMIT (16u << 20)
#define STREAM_DEFAULT_INPUT_LIMIT (1u << 20)

struct stream;
struct pool_trimmer;
struct stream_hub;
struct stream_layer;
struct stream_chunk;

struct stream_callbacks {
	/*
	 * `len` > 0 bytes are there; returns how many were used.  The rest is
	 * kept and given again, with more behind it.  While reading is paused
	 * nothing is given.
	 */
	size_t (*on_data)(
	    struct stream *stream, const uint8_t *data, size_t len);
	/*
	 * The connection is over: 0 when the peer closed it in order, -errno
	 * else; -ENOBUFS when unfinished input passed its limit.  The stream
	 * is closed already (stream_close() again is harmless).
	 */
	void (*on_closed)(struct stream *stream, int reason);
	/*
	 * All pending bytes left, after they were too many for the socket or
	 * had reached STREAM_DRAIN_MARK: who held back for them, goes on.
	 */
	void (*on_drained)(struct stream *stream);
	/*
	 * A layer (stream_layer.h) has made its handshake: "TLS",
	 * "WebSocket".  May be NULL.
	 */
	void (*on_layer)(struct stream *stream, const char *name);
};

/*
 * Who stops writing because of stream_pending() or stream_room() must do so
 * at this many pending bytes or more, or on_drained may not come.
 */
#define STREAM_DRAIN_MARK (64u << 10)

/*
 * A connection without a loop: on its way to the hub of another thread, or
 * before it has one.  One thread at a time owns it, and who hands it on makes
 * sure (by a mailbox, say) that the next sees what was done with it.
 */
struct stream_parts {
	int fd;                     /* connected, non-blocking */
	struct stream_layer *layer; /* the top one; NULL: the socket itself */
};

/* Embed it by value; its fields are private to stream*.c, but for owner. */
struct stream {
	void *owner; /* the caller's */
	struct stream_hub *hub;
	const struct stream_callbacks *callbacks;
	struct stream_layer *layer; /* NULL: the socket itself */
	struct loop_source source;  /* its fd is -1: closed */
	struct cds_list_head node;  /* while dirty */
	struct stream_chunk *out_first;
	struct stream_chunk *out_last;
	uint8_t *kept; /* unfinished input */
	uint32_t kept_len;
	uint32_t kept_size;
	uint32_t pending; /* bytes waiting to be sent */
	uint32_t write_limit;
	uint32_t input_limit;
	int16_t error; /* -errno, to be reported by on_closed */
	bool paused : 1;
	bool dirty : 1;     /* on one of the hub's lists */
	bool want_feed : 1; /* kept input is to be given again */
	bool full : 1;      /* the socket took less than there was */
	bool was_full : 1;  /* on_drained is owed */
	bool closing : 1;   /* close once everything is sent */
	bool ended : 1;     /* the peer sent its FIN */
	bool is_ready : 1;  /* layers have made their handshakes */
	bool waits : 1;     /* layers send only after they have read */
	bool more : 1;      /* layers have input that no event announces */
	bool silent : 1;    /* the peer was sent to, and said nothing since */
	uint64_t bytes_in;
	uint64_t bytes_out;
};

/*
 * The shared state of a loop's streams: scratch buffer, list of streams to
 * flush, at most `max_chunks` chunks of 4 KiB (none is allocated before it is
 * needed).  Registers a hook with the loop.  NULL without memory.
 */
struct stream_hub *stream_hub_new(struct loop *loop, uint32_t max_chunks);

/* Have the hub's memory given back after bursts. */
void stream_hub_trim(struct stream_hub *hub, struct pool_trimmer *trimmer);

/* All streams must be closed.  Accepts NULL. */
void stream_hub_free(struct stream_hub *hub);

/* Chunks in use now. */
uint32_t stream_hub_chunks(struct stream_hub *hub);

/* Flush all dirty streams now: before a thread ends. */
void stream_hub_flush(struct stream_hub *hub);

/* What went through all streams there ever were, through their sockets or
 * layers. */
uint64_t stream_hub_bytes_in(const struct stream_hub *hub);
uint64_t stream_hub_bytes_out(const struct stream_hub *hub);

/*
 * Start reading.  Takes `fd`, a connected non-blocking socket, also on error.
 * Returns 0 or -errno.
 */
int stream_init(struct stream *stream, struct stream_hub *hub, int fd,
    const struct stream_callbacks *callbacks, void *owner);

/*
 * Close at once; what is pending is thrown away and no callback follows.
 * Closing a closed or zeroed stream is nothing.
 */
void stream_close(struct stream *stream);

/*
 * Send what is pending, then close and report on_closed(0).  Nothing is read
 * any more.  If the peer does not take it, the owner's own timer must call
 * stream_close().
 */
void stream_finish(struct stream *stream);

/*
 * Give the connection away: the stream is as closed, the connection open.
 * Kept input is lost: an on_data() that detaches has it in its arguments.
 * What its layers hold goes with them, be it unread or unsent.
 * Returns 0, or -EBUSY while written bytes are pending, -EBADF when closed;
 * *out_parts is set on success only.
 */
int stream_detach(struct stream *stream, struct stream_parts *out_parts);

/*
 * Start, or go on, with a connection in parts, in this hub: as stream_init()
 * and then its layers.  Takes the parts, also on error.  Returns 0 or -errno.
 */
int stream_attach(struct stream *stream, struct stream_hub *hub,
    const struct stream_parts *parts, const struct stream_callbacks *callbacks,
    void *owner);

/* Nobody goes on with it: say goodbye by its layers, close. */
void stream_parts_close(const struct stream_parts *parts);

/*
 * Treat these bytes as read after what is kept and before all that follows;
 * on_data() gets them later in the turn.  Not from inside on_data().
 */
int stream_feed(struct stream *stream, const void *data, size_t len);

/* Most bytes that may be pending; most input that may be left unfinished. */
void stream_set_limits(
    struct stream *stream, uint32_t write_limit, uint32_t input_limit);

/*
 * Append all or nothing; it is sent at the end of the turn.
 * Returns 0; -ENOBUFS when the write limit or the pool is exhausted; -EPIPE
 * when closed or finishing.
 */
int stream_write(struct stream *stream, const void *data, size_t len);

/*
 * As stream_write(), but the bytes stay where they are, for many streams if
 * need be, and must not change before release(owner), which is called once:
 * when they were sent or the stream is closed.  On failure it is not called.
 */
int stream_lend(struct stream *stream, const void *data, size_t len,
    void (*release)(void *owner), void *owner);

/*
 * Room to encode `len` <= STREAM_CHUNK_SIZE bytes in place, contiguous; valid
 * until the next call about this stream.  NULL in the cases of stream_write().
 * stream_commit() appends the first `len` bytes of it.
 */
uint8_t *stream_reserve(struct stream *stream, size_t len);
void stream_commit(struct stream *stream, size_t len);

/* Bytes not yet taken by the kernel. */
size_t stream_pending(const struct stream *stream);

/* Bytes that stream_write() would still accept. */
size_t stream_room(const struct stream *stream);

/* Take input or leave it in the kernel; both may be called twice. */
void stream_pause_read(struct stream *stream);
void stream_resume_read(struct stream *stream);

bool stream_is_open(const struct stream *stream);
bool stream_is_paused(const struct stream *stream);
int stream_fd(const struct stream *stream);
struct stream_hub *stream_hub(const struct stream *stream);

#endif
