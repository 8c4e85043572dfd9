/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/websocket_private.h"

ssize_t
websocket_broken(struct websocket_end *end, const char *what)
{
	return stream_layer_fail(&end->layer, -EPROTO, "WebSocket: %s", what);
}

ssize_t
websocket_hold(struct websocket_end *end, const uint8_t *bytes, size_t len)
{
	uint8_t *more;
	size_t old = end->layer.held;

	if (len == 0)
		return 0;
	if (old > 0 && end->held_at > 0)
		memmove(end->held, end->held + end->held_at, old);
	end->held_at = 0;
	more = realloc(end->held, old + len);
	if (more == NULL)
		return stream_layer_fail(
		    &end->layer, -ENOMEM, "WebSocket: out of memory");
	memcpy(more + old, bytes, len);
	end->held = more;
	end->layer.held = (uint32_t)(old + len);
	return 0;
}

void
websocket_drop_held(struct websocket_end *end, size_t sent)
{
	end->held_at += sent;
	end->layer.held -= (uint32_t)sent;
	if (end->layer.held > 0)
		return;
	free(end->held);
	end->held = NULL;
	end->held_at = 0;
}

ssize_t
websocket_flush(struct websocket_end *end)
{
	struct iovec iov;
	ssize_t sent;

	while (end->layer.held > 0) {
		iov =
		    (struct iovec){ end->held + end->held_at, end->layer.held };
		sent = stream_layer_send_below(&end->layer, &iov, 1);
		if (sent < 0)
			return sent;
		websocket_drop_held(end, (size_t)sent);
	}
	return 0;
}

ssize_t
websocket_send_bytes(
    struct websocket_end *end, const uint8_t *bytes, size_t len)
{
	struct iovec iov = { .iov_len = len };
	ssize_t sent = 0;

	memcpy(&iov.iov_base, &bytes, sizeof(bytes));
	if (end->layer.held == 0)
		sent = stream_layer_send_below(&end->layer, &iov, 1);
	if (sent < 0 && sent != -EAGAIN)
		return sent;
	if (sent < 0)
		sent = 0;
	return websocket_hold(end, bytes + sent, len - (size_t)sent);
}

/* Masks need not be secrets of ours, only no choice of our senders'. */
void
websocket_next_mask(struct websocket_end *end, uint8_t mask[4])
{
	end->dice ^= end->dice << 13;
	end->dice ^= end->dice >> 7;
	end->dice ^= end->dice << 17;
	memcpy(mask, &end->dice, 4);
}

static ssize_t
send_control(struct websocket_end *end, enum websocket_opcode opcode,
    const uint8_t *payload, size_t len)
{
	uint8_t frame[WEBSOCKET_HEADER_SIZE + WEBSOCKET_CONTROL_SIZE];
	uint8_t mask[4];
	size_t head;

	if (end->masks)
		websocket_next_mask(end, mask);
	head = websocket_header(frame, opcode, len, end->masks ? mask : NULL);
	if (end->masks)
		websocket_mask(frame + head, payload, len, mask, 0);
	else
		memcpy(frame + head, payload, len);
	return websocket_send_bytes(end, frame, head + len);
}

ssize_t
websocket_answer_ping(struct websocket_end *end)
{
	struct websocket *frames = &end->frames;

	if (!frames->has_ping || end->frame_left > 0 || end->layer.held > 0 ||
	    end->is_over)
		return 0;
	frames->has_ping = false;
	return send_control(
	    end, WEBSOCKET_PONG, frames->ping, frames->ping_len);
}

ssize_t
websocket_send_close(struct websocket_end *end, unsigned status)
{
	const uint8_t bytes[2] = { (uint8_t)(status >> 8), (uint8_t)status };

	if (end->is_over || end->frame_left > 0)
		return 0;
	end->is_over = true;
	return send_control(end, WEBSOCKET_CLOSE, bytes, sizeof(bytes));
}

void
websocket_finish(struct stream_layer *layer)
{
	if (layer->held == 0)
		websocket_send_close(
		    (struct websocket_end *)layer, WEBSOCKET_NORMAL);
}

ssize_t
websocket_read_frames(struct websocket_end *end, uint8_t *bytes, size_t len)
{
	struct websocket *frames = &end->frames;
	size_t payload = websocket_decode(frames, bytes, len);
	ssize_t err = websocket_answer_ping(end);

	if (err == 0 && frames->fault != NULL) {
		websocket_send_close(end, frames->fault_status);
		err = websocket_broken(end, frames->fault);
	}
	if (payload > 0) {
		end->layer.has_input = err != 0 || frames->is_closed;
		return (ssize_t)payload;
	}
	if (err != 0)
		return err;
	if (frames->is_closed) {
		websocket_send_close(end, WEBSOCKET_NORMAL);
		return 0;
	}
	return -EAGAIN;
}
