/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/stream_layer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/net/stream_hub.h"

ssize_t
stream_layer_receive_below(
    struct stream_layer *layer, uint8_t *into, size_t room)
{
	ssize_t len;

	if (layer->below != NULL)
		return layer->below->kind->receive(layer->below, into, room);
	do
		len = recv(layer->fd, into, room, 0);
	while (len == -1 && errno == EINTR);
	return len == -1 ? -errno : len;
}

ssize_t
stream_layer_send_below(
    struct stream_layer *layer, const struct iovec *iov, unsigned count)
{
	struct msghdr message = { .msg_iovlen = count };
	ssize_t sent;

	if (layer->below != NULL)
		return layer->below->kind->send(layer->below, iov, count);
	if (count == 0)
		return 0;
	memcpy(&message.msg_iov, &iov, sizeof(message.msg_iov));
	do
		sent = sendmsg(layer->fd, &message, MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	return sent == -1 ? -errno : sent;
}

bool
stream_layer_has_input(const struct stream_layer *top)
{
	for (; top != NULL; top = top->below)
		if (top->has_input)
			return true;
	return false;
}

size_t
stream_layer_held(const struct stream_layer *top)
{
	size_t held = 0;

	for (; top != NULL; top = top->below)
		held += top->held;
	return held;
}

bool
stream_layer_wants_read(const struct stream_layer *top)
{
	for (; top != NULL; top = top->below)
		if (top->wants_read)
			return true;
	return false;
}

bool
stream_layer_wants_write(const struct stream_layer *top)
{
	for (; top != NULL; top = top->below)
		if (top->wants_write)
			return true;
	return false;
}

bool
stream_layer_is_ready(const struct stream_layer *top)
{
	for (; top != NULL; top = top->below)
		if (!top->is_ready)
			return false;
	return true;
}

const char *
stream_layer_fault(const struct stream_layer *top)
{
	const char *fault = "";

	for (; top != NULL; top = top->below)
		if (top->fault[0] != '\0')
			fault = top->fault;
	return fault;
}

ssize_t
stream_layer_fail(struct stream_layer *layer, int err, const char *format, ...)
{
	va_list arguments;

	layer->is_broken = true;
	if (layer->fault[0] != '\0')
		return err;
	va_start(arguments, format);
	vsnprintf(layer->fault, sizeof(layer->fault), format, arguments);
	va_end(arguments);
	return err;
}

void
stream_layer_finish(struct stream_layer *top)
{
	for (; top != NULL; top = top->below)
		if (top->is_ready && !top->is_broken)
			top->kind->finish(top);
}

void
stream_layer_free(struct stream_layer *top)
{
	struct stream_layer *below;

	for (; top != NULL; top = below) {
		below = top->below;
		top->kind->free(top);
	}
}

void
stream_push_layer(struct stream *stream, struct stream_layer *layer)
{
	struct stream_layer *lowest = layer;

	BUG_ON(!stream_is_open(stream));
	while (lowest->below != NULL)
		lowest = lowest->below;
	BUG_ON(lowest != layer && stream->layer != NULL);
	lowest->below = stream->layer;
	stream->layer = layer;
	for (; layer != NULL; layer = layer->below)
		layer->fd = stream->source.fd;
	stream->is_ready = stream_layer_is_ready(stream->layer);
	/* A client's handshake begins by our sending. */
	stream_mark_dirty(stream);
}

int
stream_detach(struct stream *stream, struct stream_parts *out_parts)
{
	struct stream_parts parts = { stream->source.fd, stream->layer };

	if (!stream_is_open(stream))
		return -EBADF;
	if (stream->pending > 0)
		return -EBUSY;
	stream->layer = NULL;
	stream_let_go(stream);
	*out_parts = parts;
	return 0;
}

int
stream_attach(struct stream *stream, struct stream_hub *hub,
    const struct stream_parts *parts, const struct stream_callbacks *callbacks,
    void *owner)
{
	int err = stream_init(stream, hub, parts->fd, callbacks, owner);

	if (err != 0) {
		stream_layer_free(parts->layer);
		return err;
	}
	/* What they have read and not given is looked for in this turn. */
	if (parts->layer != NULL)
		stream_push_layer(stream, parts->layer);
	return 0;
}

void
stream_parts_close(const struct stream_parts *parts)
{
	stream_layer_finish(parts->layer);
	stream_layer_free(parts->layer);
	close(parts->fd);
}

const struct stream_layer *
stream_layer_named(const struct stream *stream, const char *name)
{
	const struct stream_layer *layer = stream->layer;

	while (layer != NULL && strcmp(layer->kind->name, name) != 0)
		layer = layer->below;
	return layer;
}

/* The lowest layer that is ready and whose owner was not told. */
static struct stream_layer *
find_news(struct stream_layer *top)
{
	struct stream_layer *found = NULL;

	for (; top != NULL; top = top->below)
		if (top->is_ready && !top->is_told)
			found = top;
	return found;
}

static bool
tell_ready(struct stream *stream)
{
	struct stream_hub *hub = stream->hub;
	struct stream_layer *news;

	while ((news = find_news(stream->layer)) != NULL) {
		/* Inside the callback of another stream: later. */
		if (hub->current != NULL) {
			stream_mark_dirty(stream);
			return true;
		}
		news->is_told = true;
		if (stream->callbacks->on_layer == NULL)
			continue;
		hub->current = stream;
		stream->callbacks->on_layer(stream, news->kind->name);
		if (hub->current != stream)
			return false;
		hub->current = NULL;
	}
	stream->is_ready = stream_layer_is_ready(stream->layer);
	if (stream->is_ready)
		stream_mark_dirty(stream);
	return true;
}

bool
stream_layers_moved(struct stream *stream)
{
	const struct stream_layer *top = stream->layer;

	stream->waits = stream_layer_wants_read(top);
	if (stream_layer_wants_write(top))
		stream->full = true;
	if (stream_layer_has_input(top)) {
		stream->more = true;
		if (!stream->paused && !stream->closing)
			stream_mark_dirty(stream);
	}
	if (!stream->is_ready && !tell_ready(stream))
		return false;
	stream_update_interest(stream);
	return true;
}

bool
stream_is_ready(const struct stream *stream)
{
	return stream->layer == NULL || stream->is_ready;
}

const char *
stream_fault(const struct stream *stream)
{
	return stream->hub->fault;
}
