/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The server's layer.
 *
 * A frame has one MQTT packet.  A receiver must not rely on that
 * [MQTT-6.0.0-2], but some do: they see a packet behind another one when the
 * next frame comes, or never.
 *
 * Small packets are copied behind their headers, as many as there are, and go
 * below at once; what is not taken is held.  A large one goes from the
 * stream's chunks as it is, for our frames have no mask.  When the layer below
 * takes a part of it, the rest of the payload stays with the stream
 * (frame_left), and of the header with us (held).  They are always offered
 * together, for a TLS layer may have them in a record already.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/websocket_head.h"
#include "common/net/websocket_private.h"

/* Pieces that go below in one go; a stream offers 64. */
#define MAX_IOV 65

/* Frames that are copied to go below in one go; a larger one is not. */
#define BATCH_BYTES 8192

struct server {
	struct websocket_end end;
	const struct websocket_rules *rules;
	struct websocket_head *head; /* until it is answered */
	/* A packet came without its fixed header: no more is looked for. */
	bool is_loose;
};

static ssize_t
refuse(struct server *s, unsigned status, const char *why, uint8_t *into,
    size_t room)
{
	char answer[WEBSOCKET_ANSWER_SIZE];
	size_t len;

	len = websocket_head_answer(s->head, status, why, answer);
	websocket_send_bytes(&s->end, (const uint8_t *)answer, len);
	/* What is left unread would have the answer thrown away. */
	stream_layer_receive_below(&s->end.layer, into, room);
	return stream_layer_fail(&s->end.layer, -EPROTO,
	    "WebSocket: the request was answered %u: %s", status, why);
}

/*
 * The head of the request; frames behind it stay.  Returns the bytes of
 * frames, moved to the start; -EAGAIN while there are none.
 */
static ssize_t
read_head(struct server *s, uint8_t *bytes, size_t len, size_t room)
{
	struct websocket_head *head = s->head;
	char answer[WEBSOCKET_ANSWER_SIZE];
	size_t used = websocket_head_read(head, bytes, len);
	const char *why = NULL;
	unsigned status;
	ssize_t err;

	if (!head->is_complete && head->status == 0)
		return -EAGAIN;
	status = websocket_head_judge(head, s->rules, &why);
	if (status != 101)
		return refuse(s, status, why, bytes, room);
	err = websocket_send_bytes(&s->end, (const uint8_t *)answer,
	    websocket_head_answer(head, status, why, answer));
	if (err != 0)
		return err;
	free(s->head);
	s->head = NULL;
	s->end.layer.is_ready = true;
	s->end.layer.wants_read = false;
	if (used == len)
		return -EAGAIN;
	memmove(bytes, bytes + used, len - used);
	return (ssize_t)(len - used);
}

static ssize_t
lost_early(struct server *s, ssize_t err)
{
	/* Who knocks and leaves, a probe say, did nothing wrong. */
	if (err == 0 && s->head->len == 0)
		return 0;
	return stream_layer_fail(&s->end.layer, err == 0 ? -ECONNRESET : err,
	    "WebSocket: %s before the request was complete",
	    err == 0 ? "closed by the client" : strerror(-(int)err));
}

static ssize_t
server_receive(struct stream_layer *layer, uint8_t *into, size_t room)
{
	struct server *s = (struct server *)layer;
	bool is_below_ready;
	ssize_t len;

	layer->has_input = false;
	if (s->end.frames.fault != NULL || layer->is_broken)
		return -EPROTO;
	if (s->end.frames.is_closed) {
		websocket_send_close(&s->end, WEBSOCKET_NORMAL);
		return 0;
	}
	len = stream_layer_receive_below(layer, into, room);
	is_below_ready = layer->below == NULL || layer->below->is_ready;
	if (len != -EAGAIN && len <= 0 && !layer->is_ready && is_below_ready)
		return lost_early(s, len);
	if (len <= 0)
		return len;
	if (!layer->is_ready)
		len = read_head(s, into, (size_t)len, room);
	return len > 0 ? websocket_read_frames(&s->end, into, (size_t)len)
		       : len;
}

/* `front`, and as much of `iov` as is of the frame. */
static unsigned
fill(const struct server *s, struct iovec front, const struct iovec *iov,
    unsigned count, struct iovec *out)
{
	size_t left = s->end.frame_left, here;
	unsigned n = 0;

	if (front.iov_len > 0)
		out[n++] = front;
	for (unsigned i = 0; i < count && left > 0 && n < MAX_IOV; i++) {
		here = iov[i].iov_len > left ? left : iov[i].iov_len;
		out[n++] = (struct iovec){ iov[i].iov_base, here };
		left -= here;
	}
	return n;
}

/*
 * Returns how much of the payload was taken, with all of `front`, *out_front
 * of which was; or -errno.
 */
static ssize_t
send_both(struct server *s, struct iovec front, const struct iovec *iov,
    unsigned count, size_t *out_front)
{
	struct iovec pieces[MAX_IOV];
	ssize_t sent;

	*out_front = 0;
	sent = stream_layer_send_below(
	    &s->end.layer, pieces, fill(s, front, iov, count, pieces));
	if (sent < 0)
		return sent;
	*out_front =
	    (size_t)sent < front.iov_len ? (size_t)sent : front.iov_len;
	sent -= (ssize_t)*out_front;
	s->end.frame_left -= (size_t)sent;
	return sent;
}

/* A place in what the stream offers. */
struct place {
	const struct iovec *iov;
	const struct iovec *end;
	size_t at; /* in *iov */
};

/* Copies `len` bytes, or as many as there are, and moves on. */
static size_t
take(struct place *place, uint8_t *out, size_t len)
{
	size_t done = 0, here;

	while (done < len && place->iov != place->end) {
		here = place->iov->iov_len - place->at;
		if (here > len - done)
			here = len - done;
		memcpy(out + done,
		    (const uint8_t *)place->iov->iov_base + place->at, here);
		done += here;
		place->at += here;
		if (place->at == place->iov->iov_len) {
			place->iov++;
			place->at = 0;
		}
	}
	return done;
}

/*
 * Bytes of the packet that begins there, by its fixed header; 0 when not even
 * that is there.
 */
static size_t
packet_length(struct place place)
{
	uint8_t head[5];
	size_t have = take(&place, head, sizeof(head)), length = 0;

	for (size_t i = 1; i < have; i++) {
		length |= (size_t)(head[i] & 0x7f) << (7 * (i - 1));
		if ((head[i] & 0x80) == 0)
			return 1 + i + length;
	}
	return 0;
}

/*
 * Frames of the small packets that the stream offers first.  Returns the bytes
 * of these packets, which are all taken; 0 if the first is none; or -errno.
 */
static ssize_t
send_small(struct server *s, const struct iovec *iov, unsigned count)
{
	struct place place = { .iov = iov, .end = iov + count };
	uint8_t batch[BATCH_BYTES];
	size_t taken = 0, total = 0, used = 0, len;
	ssize_t err;

	for (unsigned i = 0; i < count; i++)
		total += iov[i].iov_len;
	while (!s->is_loose && (len = packet_length(place)) != 0 &&
	    len <= total - taken &&
	    len + WEBSOCKET_HEADER_SIZE <= sizeof(batch) - used) {
		/* [MQTT-6.0.0-1] */
		used +=
		    websocket_header(batch + used, WEBSOCKET_BINARY, len, NULL);
		used += take(&place, batch + used, len);
		taken += len;
	}
	if (taken == 0)
		return 0;
	err = websocket_send_bytes(&s->end, batch, used);
	return err == 0 ? (ssize_t)taken : err;
}

/* A frame of the first packet, which may not have come as a whole. */
static ssize_t
begin_frame(struct server *s, const struct iovec *iov, unsigned count)
{
	const struct place place = { .iov = iov, .end = iov + count };
	uint8_t header[WEBSOCKET_HEADER_SIZE];
	struct iovec front = { .iov_base = header };
	size_t len = s->is_loose ? 0 : packet_length(place), taken;
	ssize_t sent, err;

	s->is_loose = len == 0;
	/* Who writes packets in parts has frames of what there is. */
	for (unsigned i = 0; i < count && s->is_loose; i++)
		len += iov[i].iov_len;
	/* [MQTT-6.0.0-1] */
	front.iov_len = websocket_header(header, WEBSOCKET_BINARY, len, NULL);
	s->end.frame_left = len;
	sent = send_both(s, front, iov, count, &taken);
	if (sent < 0 && sent != -EAGAIN)
		return sent;
	err = websocket_hold(&s->end, header + taken, front.iov_len - taken);
	return err == 0 ? sent : err;
}

static ssize_t
continue_frame(struct server *s, const struct iovec *iov, unsigned count)
{
	struct iovec front = { .iov_len = s->end.layer.held };
	size_t taken;
	ssize_t sent;

	if (front.iov_len > 0)
		front.iov_base = s->end.held + s->end.held_at;
	sent = send_both(s, front, iov, count, &taken);
	if (taken > 0)
		websocket_drop_held(&s->end, taken);
	/* One that came while the frame was under way. */
	if (sent >= 0)
		websocket_answer_ping(&s->end);
	return sent;
}

/* What is ours to say between frames.  0, or -EAGAIN or another -errno. */
static ssize_t
send_controls(struct server *s)
{
	ssize_t err = websocket_flush(&s->end);

	if (err == 0)
		err = websocket_answer_ping(&s->end);
	return err == 0 ? websocket_flush(&s->end) : err;
}

static ssize_t
server_send(struct stream_layer *layer, const struct iovec *iov, unsigned count)
{
	struct server *s = (struct server *)layer;
	ssize_t sent;

	if (layer->is_broken || s->end.is_over)
		return -EPIPE;
	layer->wants_read = false;
	if (s->end.frame_left > 0)
		return continue_frame(s, iov, count);
	sent = send_controls(s);
	if (sent < 0)
		return sent;
	if (!layer->is_ready) {
		layer->wants_read = true;
		return -EAGAIN;
	}
	sent = count == 0 ? 0 : send_small(s, iov, count);
	if (sent != 0 || count == 0)
		return sent;
	return begin_frame(s, iov, count);
}

static void
server_free(struct stream_layer *layer)
{
	struct server *s = (struct server *)layer;

	free(s->head);
	free(s->end.held);
	free(s);
}

static const struct stream_layer_kind kind = {
	.name = "WebSocket",
	.receive = server_receive,
	.send = server_send,
	.finish = websocket_finish,
	.free = server_free,
};

struct stream_layer *
websocket_server(const struct websocket_rules *rules)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->head = malloc(sizeof(*s->head));
	if (s->head == NULL) {
		free(s);
		return NULL;
	}
	websocket_head_init(s->head);
	s->end.layer.kind = &kind;
	s->rules = rules;
	/* A frame is passed on as it comes, however long it is. */
	websocket_init(&s->end.frames, true, UINT64_MAX);
	return &s->end.layer;
}
