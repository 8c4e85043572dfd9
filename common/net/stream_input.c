/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The path of a byte in: socket -> the hub's scratch buffer -> on_data().
 * What on_data() leaves over is kept with the stream and copied in front of
 * the next read; once it is large, reading goes straight behind it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/bug.h"
#include "common/net/stream_hub.h"

void
stream_forget_kept(struct stream *stream)
{
	free(stream->kept);
	stream->kept = NULL;
	stream->kept_len = 0;
	stream->kept_size = 0;
}

void
stream_fail_later(struct stream *stream, int err)
{
	if (stream->error == 0)
		stream->error = (int16_t)err;
	stream_mark_dirty(stream);
}

/* Make room for `len` more bytes behind the kept ones. */
static int
grow_kept(struct stream *stream, size_t len)
{
	size_t need = stream->kept_len + len, size = stream->kept_size;
	uint8_t *more;

	if (need <= size)
		return 0;
	if (need > UINT32_MAX / 2)
		return -ENOBUFS;
	size = size == 0 ? 256 : size;
	while (size < need)
		size *= 2;
	more = realloc(stream->kept, size);
	if (more == NULL)
		return -ENOMEM;
	stream->kept = more;
	stream->kept_size = (uint32_t)size;
	return 0;
}

/* Keep a copy of the bytes behind what is kept. */
static int
keep(struct stream *stream, const void *data, size_t len)
{
	int err = grow_kept(stream, len);

	if (err != 0)
		return err;
	memcpy(stream->kept + stream->kept_len, data, len);
	stream->kept_len += (uint32_t)len;
	return 0;
}

/* Do not sit on the buffer of a large packet for the head of the next. */
static void
shrink_kept(struct stream *stream)
{
	uint8_t *less;

	if (stream->kept_size <= 2 * STREAM_COPY_BYTES ||
	    stream->kept_len > STREAM_COPY_BYTES)
		return;
	less = realloc(stream->kept, stream->kept_len);
	if (less == NULL)
		return;
	stream->kept = less;
	stream->kept_size = stream->kept_len;
}

/* Keep what on_data() left of `data`, which may be the kept bytes. */
static int
keep_rest(struct stream *stream, const uint8_t *data, size_t len)
{
	if (len == 0) {
		stream_forget_kept(stream);
		return 0;
	}
	if (data >= stream->kept && stream->kept != NULL &&
	    data < stream->kept + stream->kept_size) {
		if (data != stream->kept)
			memmove(stream->kept, data, len);
		stream->kept_len = (uint32_t)len;
		shrink_kept(stream);
		return 0;
	}
	stream->kept_len = 0;
	return keep(stream, data, len);
}

/*
 * Give the bytes to the owner and keep the rest.  False means hands off: the
 * stream is gone, or has failed and comes up again at the end of the turn.
 */
static bool
deliver(struct stream *stream, const uint8_t *data, size_t len)
{
	struct stream_hub *hub = stream->hub;
	size_t used;
	int err;

	hub->current = stream;
	used = stream->callbacks->on_data(stream, data, len);
	if (hub->current != stream)
		return false;
	hub->current = NULL;
	BUG_ON(used > len);
	err = keep_rest(stream, data + used, len - used);
	if (err == 0 && !stream->paused &&
	    stream->kept_len > stream->input_limit)
		err = -ENOBUFS;
	if (err == 0)
		return true;
	stream_fail_later(stream, err);
	stream_update_interest(stream);
	return false;
}

/* Where the next read goes, behind what is kept. */
static uint8_t *
read_space(struct stream *stream, size_t *out_before, size_t *out_room)
{
	struct stream_hub *hub = stream->hub;

	*out_before = stream->kept_len;
	*out_room = STREAM_READ_SIZE;
	if (stream->kept_len <= STREAM_COPY_BYTES) {
		if (stream->kept_len > 0)
			memcpy(hub->scratch, stream->kept, stream->kept_len);
		return hub->scratch;
	}
	if (grow_kept(stream, STREAM_READ_SIZE) != 0)
		return NULL;
	return stream->kept;
}

static ssize_t
receive(struct stream *stream, uint8_t *into, size_t room)
{
	ssize_t len;

	if (__builtin_expect(stream->layer != NULL, false))
		return stream->layer->kind->receive(stream->layer, into, room);
	len = recv(stream->source.fd, into, room, 0);
	return len == -1 ? -errno : len;
}

/* What came with the end of a handshake while nothing is to be read. */
static bool
keep_unread(struct stream *stream, const uint8_t *data, size_t len)
{
	int err = keep(stream, data, len);

	if (err != 0)
		stream_fail_later(stream, err);
	return err == 0;
}

bool
stream_read_some(struct stream *stream)
{
	size_t before, room;
	uint8_t *space = read_space(stream, &before, &room);
	ssize_t len;

	if (space == NULL) {
		stream_fail_later(stream, -ENOMEM);
		return true;
	}
	len = receive(stream, space + before, room);
	if (stream->layer != NULL && !stream_layers_moved(stream))
		return false;
	if (len == -EAGAIN || len == -EINTR)
		return true;
	if (len < 0) {
		stream_fail_later(stream, (int)len);
		return true;
	}
	if (len == 0) {
		stream->ended = true;
		stream_mark_dirty(stream);
		return true;
	}
	stream_heard(stream);
	stream->bytes_in += (size_t)len;
	stream->hub->bytes_in += (size_t)len;
	/* Kept in place when read behind it; in scratch it was a copy. */
	if (space == stream->kept)
		stream->kept_len += (uint32_t)len;
	else if (stream->paused || stream->closing)
		return keep_unread(stream, space + before, (size_t)len);
	if (stream->paused || stream->closing)
		return true;
	return deliver(stream, space, before + (size_t)len);
}

bool
stream_read_more(struct stream *stream)
{
	if (!stream->more || stream->paused || stream->closing)
		return true;
	/* Inside a callback, which has the scratch buffer: later. */
	if (stream->hub->current != NULL) {
		stream_mark_dirty(stream);
		return true;
	}
	stream->more = false;
	return stream_read_some(stream);
}

bool
stream_feed_again(struct stream *stream)
{
	if (!stream->want_feed || stream->paused || stream->closing)
		return true;
	stream->want_feed = false;
	if (stream->kept_len == 0)
		return true;
	return deliver(stream, stream->kept, stream->kept_len);
}

int
stream_feed(struct stream *stream, const void *data, size_t len)
{
	int err;

	if (!stream_is_open(stream))
		return -EPIPE;
	if (len == 0)
		return 0;
	BUG_ON(stream->hub->current == stream);
	err = keep(stream, data, len);
	if (err != 0)
		return err;
	stream->want_feed = true;
	stream_mark_dirty(stream);
	return 0;
}
