/* SPDX-License-Identifier: Apache-2.0 */

/* Frames [RFC 6455, 5]. */

#include "common/net/websocket.h"

#include <string.h>

void
websocket_init(struct websocket *websocket, bool is_server, uint64_t max_frame)
{
	*websocket = (struct websocket){
		.is_server = is_server,
		.max_frame = max_frame,
	};
}

static void
refuse(struct websocket *w, enum websocket_status status, const char *why)
{
	w->fault = why;
	w->fault_status = status;
}

/* Bytes of the header that has begun; 2 tell it. */
static size_t
header_size(const uint8_t *header)
{
	unsigned len = header[1] & 0x7f;

	return 2u +
	    (len == 126          ? 2u
		    : len == 127 ? 8u
				 : 0u) +
	    ((header[1] & 0x80) != 0 ? 4u : 0u);
}

/* Returns false for a length that is not written the shortest way. */
static bool
read_length(const uint8_t *header, uint64_t *out_len)
{
	unsigned len = header[1] & 0x7f;
	uint64_t value = 0;
	int bytes = len == 126 ? 2 : len == 127 ? 8 : 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | header[2 + i];
	*out_len = bytes == 0 ? len : value;
	return bytes == 0 || (bytes == 2 && value > 125) ||
	    (bytes == 8 && value > UINT16_MAX && value >> 63 == 0);
}

/* What the first two bytes alone may be wrong in. */
static void
check_start(struct websocket *w)
{
	bool is_masked = (w->header[1] & 0x80) != 0;
	bool is_control = (w->header[0] & 8) != 0;

	w->is_final = (w->header[0] & 0x80) != 0;
	w->opcode = (enum websocket_opcode)(w->header[0] & 15);
	if ((w->header[0] & 0x70) != 0)
		refuse(w, WEBSOCKET_PROTOCOL_ERROR, "a reserved bit is set");
	else if (is_masked != w->is_server)
		refuse(w, WEBSOCKET_PROTOCOL_ERROR,
		    is_masked ? "a server's frame is masked"
			      : "a client's frame is not masked");
	else if (w->opcode == WEBSOCKET_TEXT)
		refuse(w, WEBSOCKET_UNSUPPORTED,
		    "a text frame, where MQTT has binary ones");
	else if (w->opcode > WEBSOCKET_PONG ||
	    (w->opcode > WEBSOCKET_BINARY && !is_control))
		refuse(w, WEBSOCKET_PROTOCOL_ERROR, "an unknown opcode");
	else if (is_control &&
	    (!w->is_final || (w->header[1] & 0x7f) > WEBSOCKET_CONTROL_SIZE))
		refuse(w, WEBSOCKET_PROTOCOL_ERROR,
		    "a control frame that is too long or in parts");
	else if (!is_control &&
	    (w->opcode == WEBSOCKET_CONTINUATION) != w->in_message)
		refuse(w, WEBSOCKET_PROTOCOL_ERROR,
		    w->in_message ? "a message within a message"
				  : "the rest of a message that never began");
}

static void
begin_frame(struct websocket *w)
{
	size_t size = header_size(w->header);

	if (!read_length(w->header, &w->left))
		refuse(w, WEBSOCKET_PROTOCOL_ERROR,
		    "a length that is not the shortest, or negative");
	else if (w->left > w->max_frame && w->opcode < WEBSOCKET_CLOSE)
		refuse(w, WEBSOCKET_TOO_BIG, "a frame over the limit");
	if (w->is_server)
		memcpy(w->mask, w->header + size - 4, 4);
	w->at = 0;
	w->in_frame = true;
	w->control_len = 0;
}

/* Take what belongs to a header; returns how many bytes that are. */
static size_t
take_header(struct websocket *w, const uint8_t *bytes, size_t len)
{
	size_t used = 0, size;

	while (used < len && w->fault == NULL && !w->in_frame) {
		w->header[w->header_len++] = bytes[used++];
		if (w->header_len == 2)
			check_start(w);
		size = w->header_len < 2 ? 2 : header_size(w->header);
		if (w->fault == NULL && w->header_len >= 2 &&
		    w->header_len == size)
			begin_frame(w);
	}
	return used;
}

static void
end_control(struct websocket *w)
{
	if (w->opcode == WEBSOCKET_CLOSE) {
		if (w->control_len == 1)
			refuse(w, WEBSOCKET_PROTOCOL_ERROR,
			    "a close frame with half a status");
		else if (w->control_len >= 2)
			w->close_status =
			    (uint16_t)(w->control[0] << 8 | w->control[1]);
		w->is_closed = true;
	} else if (w->opcode == WEBSOCKET_PING) {
		/* Of several, the last one is answered [RFC 6455, 5.5.3]. */
		memcpy(w->ping, w->control, w->control_len);
		w->ping_len = w->control_len;
		w->has_ping = true;
	}
}

static void
end_frame(struct websocket *w)
{
	if (w->opcode >= WEBSOCKET_CLOSE)
		end_control(w);
	else
		w->in_message = !w->is_final;
	w->in_frame = false;
	w->header_len = 0;
}

size_t
websocket_decode(struct websocket *w, uint8_t *bytes, size_t len)
{
	size_t out = 0, at = 0, here;
	uint8_t *to;

	while (at < len && w->fault == NULL && !w->is_closed) {
		if (!w->in_frame)
			at += take_header(w, bytes + at, len - at);
		if (!w->in_frame || w->fault != NULL)
			continue;
		here = len - at;
		if (here > w->left)
			here = (size_t)w->left;
		to = bytes + out;
		if (w->opcode >= WEBSOCKET_CLOSE)
			to = w->control + w->control_len;
		if (w->is_server)
			websocket_mask(to, bytes + at, here, w->mask, w->at);
		else if (to != bytes + at)
			memmove(to, bytes + at, here);
		if (w->opcode >= WEBSOCKET_CLOSE)
			w->control_len = (uint8_t)(w->control_len + here);
		else
			out += here;
		at += here;
		w->at += here;
		w->left -= here;
		if (w->left == 0)
			end_frame(w);
	}
	return out;
}

size_t
websocket_header(uint8_t *out, enum websocket_opcode opcode,
    uint64_t payload_len, const uint8_t mask[4])
{
	uint8_t masked = mask == NULL ? 0 : 0x80;
	int bytes = payload_len < 126 ? 0 : payload_len <= UINT16_MAX ? 2 : 8;
	size_t len = 2;

	out[0] = (uint8_t)(0x80 | opcode);
	out[1] = (uint8_t)(masked |
	    (bytes == 0          ? payload_len
		    : bytes == 2 ? 126
				 : 127));
	for (int i = bytes - 1; i >= 0; i--)
		out[len++] = (uint8_t)(payload_len >> (8 * i));
	if (mask != NULL) {
		memcpy(out + len, mask, 4);
		len += 4;
	}
	return len;
}

void
websocket_mask(uint8_t *to, const uint8_t *from, size_t len,
    const uint8_t mask[4], uint64_t at)
{
	uint8_t turned[8];
	uint64_t wide, word;
	size_t i = 0;

	for (unsigned k = 0; k < 8; k++)
		turned[k] = mask[(at + k) & 3];
	memcpy(&wide, turned, 8);
	/* Downwards in place, or apart: a word is read before it is written. */
	for (; i + 8 <= len; i += 8) {
		memcpy(&word, from + i, 8);
		word ^= wide;
		memcpy(to + i, &word, 8);
	}
	for (; i < len; i++)
		to[i] = from[i] ^ turned[i & 3];
}
