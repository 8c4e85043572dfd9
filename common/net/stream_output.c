/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The path of a byte out: stream_write() or stream_reserve() -> chunk of the
 * hub's pool -> sendmsg() at the end of the turn.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/base/bug.h"
#include "common/net/stream_hub.h"

/* Pieces that one sendmsg() takes. */
#define MAX_IOV 64

/* Bytes of one stream that one flush sends before others have their turn. */
#define FLUSH_TURN_BYTES (1u << 20)

static void
free_chunk(struct stream *stream, struct stream_chunk *chunk)
{
	if (chunk->lent != NULL)
		chunk->release(chunk->owner);
	pool_put(&stream->hub->chunks, chunk);
}

/* Put back the chunks behind `last`, which may be NULL: all of them. */
static void
cut_behind(struct stream *stream, struct stream_chunk *last)
{
	struct stream_chunk *chunk, *next;

	chunk = last == NULL ? stream->out_first : last->next;
	for (; chunk != NULL; chunk = next) {
		next = chunk->next;
		free_chunk(stream, chunk);
	}
	if (last == NULL)
		stream->out_first = NULL;
	else
		last->next = NULL;
	stream->out_last = last;
}

void
stream_drop_output(struct stream *stream)
{
	cut_behind(stream, NULL);
	stream->pending = 0;
}

static unsigned
fill_iov(const struct stream *stream, struct iovec *iov)
{
	unsigned count = 0;

	for (struct stream_chunk *chunk = stream->out_first;
	     chunk != NULL && count + 2 <= MAX_IOV; chunk = chunk->next) {
		if (chunk->start != chunk->end)
			iov[count++] = (struct iovec){
				.iov_base = chunk->bytes + chunk->start,
				.iov_len = chunk->end - chunk->start,
			};
		if (chunk->lent_start != chunk->lent_end)
			iov[count++] = (struct iovec){
				.iov_base = (uint8_t *)(uintptr_t)chunk->lent +
				    chunk->lent_start,
				.iov_len = chunk->lent_end - chunk->lent_start,
			};
	}
	return count;
}

/* What is left of `sent` when these bytes are taken off. */
static size_t
take_off(uint32_t *start, uint32_t end, size_t sent)
{
	const size_t here = end - *start < sent ? end - *start : sent;

	*start += (uint32_t)here;
	return sent - here;
}

static void
drop_sent(struct stream *stream, size_t sent)
{
	struct stream_chunk *chunk;

	stream->pending -= (uint32_t)sent;
	stream->bytes_out += sent;
	stream->hub->bytes_out += sent;
	while (sent > 0) {
		chunk = stream->out_first;
		sent = take_off(&chunk->start, chunk->end, sent);
		sent = take_off(&chunk->lent_start, chunk->lent_end, sent);
		if (chunk->start != chunk->end ||
		    chunk->lent_start != chunk->lent_end)
			return;
		stream->out_first = chunk->next;
		if (chunk->next == NULL)
			stream->out_last = NULL;
		free_chunk(stream, chunk);
	}
}

static ssize_t
send_some(struct stream *stream, struct iovec *iov)
{
	struct msghdr message = { .msg_iov = iov };
	ssize_t sent;

	message.msg_iovlen = fill_iov(stream, iov);
	if (__builtin_expect(stream->layer != NULL, false))
		return stream->layer->kind->send(
		    stream->layer, iov, (unsigned)message.msg_iovlen);
	sent = sendmsg(stream->source.fd, &message, MSG_NOSIGNAL);
	return sent == -1 ? -errno : sent;
}

/* Bytes, or a handshake that is to be begun. */
static bool
has_output(const struct stream *stream)
{
	return stream->pending > 0 ||
	    (stream->layer != NULL &&
		(stream_layer_held(stream->layer) > 0 ||
		    !stream_layer_is_ready(stream->layer)));
}

/* Send what the socket takes.  Returns 0, also when it is full, or -errno. */
static int
send_pending(struct stream *stream)
{
	struct iovec iov[MAX_IOV];
	size_t sent_all = 0;
	ssize_t sent;

	while (has_output(stream) && sent_all < FLUSH_TURN_BYTES) {
		sent = send_some(stream, iov);
		if (sent == -EINTR)
			continue;
		if (sent == -EAGAIN) {
			stream->waits = stream_layer_wants_read(stream->layer);
			stream->full = !stream->waits;
			return 0;
		}
		if (sent < 0)
			return (int)sent;
		drop_sent(stream, (size_t)sent);
		sent_all += (size_t)sent;
	}
	return 0;
}

int
stream_flush(struct stream *stream)
{
	bool was_waiting = (stream->source.interest & LOOP_WRITE) != 0;
	int err;

	/* The socket may take all of it at once: that is news, too. */
	if (stream->pending >= STREAM_DRAIN_MARK)
		stream->was_full = true;
	if (has_output(stream) && !stream->full && !stream->waits) {
		stream->silent = true;
		err = send_pending(stream);
		if (err != 0)
			return err;
	}
	if (stream_pending(stream) > 0) {
		/* More to send than a turn's share: go on in the next. */
		if (!stream->full && !stream->waits) {
			stream_mark_dirty(stream);
			loop_again(stream->hub->loop);
		}
		stream->was_full |= stream->full;
		stream_update_interest(stream);
		return 0;
	}
	/* A chunk that was reserved and never committed. */
	if (stream->out_first != NULL)
		stream_drop_output(stream);
	if (was_waiting)
		stream_update_interest(stream);
	return 0;
}

static bool
may_write(const struct stream *stream)
{
	return stream_is_open(stream) && !stream->closing && stream->error == 0;
}

size_t
stream_room(const struct stream *stream)
{
	if (!may_write(stream) || stream->pending >= stream->write_limit)
		return 0;
	return stream->write_limit - stream->pending;
}

/* Append an empty chunk; the pool may be empty. */
static struct stream_chunk *
add_chunk(struct stream *stream)
{
	struct stream_chunk *chunk = pool_take(&stream->hub->chunks);

	if (chunk == NULL)
		return NULL;
	chunk->next = NULL;
	chunk->start = 0;
	chunk->end = 0;
	chunk->lent = NULL;
	chunk->lent_start = 0;
	chunk->lent_end = 0;
	if (stream->out_last == NULL)
		stream->out_first = chunk;
	else
		stream->out_last->next = chunk;
	stream->out_last = chunk;
	return chunk;
}

static size_t
chunk_room(const struct stream_chunk *chunk)
{
	return chunk->lent != NULL ? 0 : STREAM_CHUNK_SIZE - chunk->end;
}

static size_t
tail_room(const struct stream *stream)
{
	return stream->out_last == NULL ? 0 : chunk_room(stream->out_last);
}

/* Get all chunks first, so that nothing is half written. */
static int
add_chunks(struct stream *stream, size_t len, struct stream_chunk **out_first)
{
	struct stream_chunk *last = stream->out_last, *chunk;
	size_t room = tail_room(stream);

	*out_first = last;
	while (room < len) {
		chunk = add_chunk(stream);
		if (chunk == NULL) {
			cut_behind(stream, last);
			return -ENOBUFS;
		}
		if (*out_first == NULL)
			*out_first = chunk;
		room += STREAM_CHUNK_SIZE;
	}
	return 0;
}

int
stream_write(struct stream *stream, const void *data, size_t len)
{
	struct stream_chunk *chunk;
	const uint8_t *at = data;
	size_t here, left;

	if (!may_write(stream))
		return -EPIPE;
	if (len == 0)
		return 0;
	if (len > stream_room(stream) || add_chunks(stream, len, &chunk) != 0)
		return -ENOBUFS;
	for (left = len; left > 0; chunk = chunk->next) {
		here = chunk_room(chunk);
		if (here > left)
			here = left;
		memcpy(chunk->bytes + chunk->end, at, here);
		chunk->end += (uint32_t)here;
		at += here;
		left -= here;
	}
	stream->pending += (uint32_t)len;
	stream->hub->written += len;
	stream_mark_dirty(stream);
	return 0;
}

int
stream_lend(struct stream *stream, const void *data, size_t len,
    void (*release)(void *owner), void *owner)
{
	struct stream_chunk *last = stream->out_last;

	if (!may_write(stream))
		return -EPIPE;
	if (len > stream_room(stream))
		return -ENOBUFS;
	if (last == NULL || last->lent != NULL)
		last = add_chunk(stream);
	if (last == NULL)
		return -ENOBUFS;
	last->lent = data;
	last->lent_end = (uint32_t)len;
	last->release = release;
	last->owner = owner;
	stream->pending += (uint32_t)len;
	stream->hub->written += len;
	stream_mark_dirty(stream);
	return 0;
}

uint8_t *
stream_reserve(struct stream *stream, size_t len)
{
	BUG_ON(len > STREAM_CHUNK_SIZE);
	if (!may_write(stream) || len > stream_room(stream))
		return NULL;
	if (tail_room(stream) < len && add_chunk(stream) == NULL)
		return NULL;
	if (stream->out_last == NULL)
		return NULL;
	return stream->out_last->bytes + stream->out_last->end;
}

void
stream_commit(struct stream *stream, size_t len)
{
	BUG_ON(len > tail_room(stream));
	if (len == 0)
		return;
	stream->out_last->end += (uint32_t)len;
	stream->pending += (uint32_t)len;
	stream->hub->written += len;
	stream_mark_dirty(stream);
}

size_t
stream_pending(const struct stream *stream)
{
	return stream->pending + stream_held(stream);
}
