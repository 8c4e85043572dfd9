/* SPDX-License-Identifier: Apache-2.0 */

/*
 * stream_hub - what stream.c (life, the hub's turn), stream_input.c (reading)
 * and stream_output.c (chunks, sending) share; private to the three.
 */

#ifndef WEIR_COMMON_NET_STREAM_HUB_H
#define WEIR_COMMON_NET_STREAM_HUB_H

#include <stdint.h>

#include "common/base/pool.h"
#include "common/net/loop.h"
#include "common/net/stream.h"
#include "common/net/stream_layer.h"

/*
 * A turn that has written so much, and so much to each stream it wrote to,
 * sends it before it reads on: what was written is then still in the
 * processor's cache, and no send() is smaller for it than it pays.
 */
#define STREAM_EARLY_BYTES (256u << 10)
#define STREAM_EARLY_BYTES_EACH (16u << 10)

/* Silent ones that are sent to before the loop looks for news. */
#define STREAM_SILENT_SHARE 8

/* Kept input up to here is copied to the scratch buffer, not read behind. */
#define STREAM_COPY_BYTES 16384

/* Bytes of its own, then those that it was lent; behind these come no more. */
struct stream_chunk {
	struct stream_chunk *next;
	uint32_t start;
	uint32_t end;
	const uint8_t *lent; /* NULL: none */
	uint32_t lent_start;
	uint32_t lent_end;
	void (*release)(void *owner);
	void *owner;
	uint8_t bytes[STREAM_CHUNK_SIZE];
};

struct stream_hub {
	struct loop *loop;
	struct loop_hook hook;
	struct pool chunks;
	/* Streams with something to do: those that have said something since
	 * they were sent to, and those that have not. */
	struct cds_list_head heard;
	struct cds_list_head silent;
	struct stream *current; /* whose callback runs */
	size_t written;         /* bytes since nothing was left to do */
	size_t marked;          /* streams marked dirty since then */
	uint64_t bytes_in;      /* of all streams, also those gone */
	uint64_t bytes_out;
	char fault[STREAM_FAULT_SIZE]; /* of the one that was closed last */
	uint8_t scratch[STREAM_READ_SIZE + STREAM_COPY_BYTES];
};

/* Have the hub look at the stream at the end of this turn. */
void stream_mark_dirty(struct stream *stream);

/* Its peer said something: it is among those that are looked at first. */
void stream_heard(struct stream *stream);

/* Layers hold bytes of this stream that are to be sent. */
static inline size_t
stream_held(const struct stream *stream)
{
	return stream->layer == NULL ? 0 : stream_layer_held(stream->layer);
}

/* Free all it has but the descriptor: it is closed.  Layers that are to stay
 * were taken from it before. */
void stream_let_go(struct stream *stream);

/* Make the event wait for what is of interest now; a no-op when it does. */
void stream_update_interest(struct stream *stream);

/* Note a failure for the end of the turn: no callback from inside a call. */
void stream_fail_later(struct stream *stream, int err);

/*
 * Read once and give it to the owner.  False, as from the next two: hands off,
 * the stream is gone, or has failed and comes up again at the end of the turn.
 */
bool stream_read_some(struct stream *stream);

/* The same, if layers hold back what is not announced by the socket. */
bool stream_read_more(struct stream *stream);

/* Give kept input again, if that is due. */
bool stream_feed_again(struct stream *stream);

/* Give the memory of unfinished input back. */
void stream_forget_kept(struct stream *stream);

/*
 * Send what the socket takes, up to a turn's share; `pending` tells what is
 * left.  Returns 0, also when the socket is full, or -errno.
 */
int stream_flush(struct stream *stream);

/* Give all chunks back, sent or not. */
void stream_drop_output(struct stream *stream);

#endif
