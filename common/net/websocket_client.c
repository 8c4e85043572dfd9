/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The client's opening handshake, and its layer.
 *
 * A frame is masked into a buffer of the stack and offered below at once;
 * what is not taken is kept in memory of its own until it is.  So a layer
 * that is not stalled has no buffer.
 */

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "common/net/websocket_private.h"

/* Payload of a frame that we send. */
#define FRAME_BYTES 16384

struct client {
	struct websocket_end end;
	char key[WEBSOCKET_KEY_SIZE];
	char *request; /* host and path until it is sent */
	size_t request_len;
	char *head; /* the answer, while it comes */
	size_t head_len;
	bool is_sent; /* the request */
};

size_t
websocket_request(char *out, size_t size, const char *host, const char *path,
    const char key[WEBSOCKET_KEY_SIZE])
{
	int len;

	len = snprintf(out, size,
	    "GET %s HTTP/1.1\r\n"
	    "Host: %s\r\n"
	    "Upgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Key: %s\r\n"
	    "Sec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Protocol: mqtt\r\n"
	    "\r\n",
	    path, host, key);
	return len < 0 || (size_t)len >= size ? 0 : (size_t)len;
}

/* The value of a field, without the blanks around it; NULL: not there. */
static char *
find_field(char *head, const char *name)
{
	size_t len = strlen(name);
	char *line = head, *value, *end;

	while ((line = strchr(line, '\n')) != NULL) {
		line++;
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		value = line + len + 1;
		value += strspn(value, " \t");
		end = value + strcspn(value, "\r\n");
		while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		*end = '\0';
		return value;
	}
	return NULL;
}

/* Field by field, each in a copy: looking cuts it. */
static bool
field_is(const char *head, const char *name, const char *want, bool is_list)
{
	char copy[WEBSOCKET_HEAD_SIZE + 1], *value;

	snprintf(copy, sizeof(copy), "%s", head);
	value = find_field(copy, name);
	if (value == NULL)
		return want == NULL;
	if (want == NULL)
		return false;
	return is_list ? websocket_has_word(value, want, true)
		       : strcmp(value, want) == 0;
}

const char *
websocket_check_answer(
    char *head, const char *key, char *error, size_t error_size)
{
	char accept[WEBSOCKET_ACCEPT_SIZE];
	const char *what = NULL;

	websocket_accept_key(key, accept);
	if (strncmp(head, "HTTP/1.1 ", 9) != 0)
		what = "the answer is not HTTP/1.1; is this a WebSocket port?";
	else if (strncmp(head + 9, "101", 3) != 0) {
		snprintf(error, error_size,
		    "the remote answered \"%.*s\"; check the path of url",
		    (int)strcspn(head + 9, "\r\n"), head + 9);
		return error;
	} else if (!field_is(head, "Upgrade", "websocket", true) ||
	    !field_is(head, "Connection", "Upgrade", true))
		what = "the answer does not upgrade to websocket";
	else if (!field_is(head, "Sec-WebSocket-Accept", accept, false))
		what = "Sec-WebSocket-Accept does not answer our key";
	else if (!field_is(head, "Sec-WebSocket-Protocol", "mqtt", false))
		what = "the remote does not speak the subprotocol mqtt there; "
		       "check the path of url";
	else if (!field_is(head, "Sec-WebSocket-Extensions", NULL, false))
		what = "the remote uses an extension that was not offered";
	if (what == NULL)
		return NULL;
	snprintf(error, error_size, "%s", what);
	return error;
}

/* Returns 0 when the request is out, or held. */
static ssize_t
send_request(struct client *c)
{
	ssize_t err;

	if (c->end.layer.below != NULL && !c->end.layer.below->is_ready) {
		/* Its handshake first; nothing of ours is sent by that. */
		err = stream_layer_send_below(&c->end.layer, NULL, 0);
		if (err < 0)
			return err;
	}
	if (!c->is_sent) {
		c->is_sent = true;
		return websocket_send_bytes(
		    &c->end, (const uint8_t *)c->request, c->request_len);
	}
	return 0;
}

/*
 * The head of the answer goes to `head`, frames behind it stay.  Returns the
 * bytes of frames, moved to the start; -EAGAIN while it is not complete.
 */
static ssize_t
read_head(struct client *c, uint8_t *bytes, size_t len)
{
	size_t room = WEBSOCKET_HEAD_SIZE - c->head_len;
	size_t take = len < room ? len : room, before = c->head_len, used;
	char error[STREAM_FAULT_SIZE], *end;

	memcpy(c->head + c->head_len, bytes, take);
	c->head_len += take;
	c->head[c->head_len] = '\0';
	/* A NUL in it ends it, and makes it wrong. */
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL &&
	    (c->head_len == WEBSOCKET_HEAD_SIZE ||
		strlen(c->head) < c->head_len))
		return websocket_broken(
		    &c->end, "the answer to our request has no end");
	if (end == NULL)
		return -EAGAIN;
	end += 4;
	used = (size_t)(end - c->head) - before;
	*end = '\0';
	if (websocket_check_answer(c->head, c->key, error, sizeof(error)) !=
	    NULL)
		return websocket_broken(&c->end, error);
	free(c->head);
	c->head = NULL;
	c->end.layer.is_ready = true;
	c->end.layer.wants_read = false;
	memmove(bytes, bytes + used, len - used);
	return (ssize_t)(len - used);
}

/* `err` is 0 for an end in order. */
static ssize_t
lost_early(struct client *c, int err)
{
	return stream_layer_fail(&c->end.layer, err == 0 ? -ECONNRESET : err,
	    "WebSocket: %s before our request was answered; does this port "
	    "speak WebSocket?",
	    err == 0 ? "closed by the remote" : strerror(-err));
}

static ssize_t
client_receive(struct stream_layer *layer, uint8_t *into, size_t room)
{
	struct client *c = (struct client *)layer;
	ssize_t len, err;

	layer->has_input = false;
	if (c->end.frames.fault != NULL || layer->is_broken)
		return -EPROTO;
	if (c->end.frames.is_closed) {
		websocket_send_close(&c->end, WEBSOCKET_NORMAL);
		return 0;
	}
	if (!layer->is_ready && (err = send_request(c)) < 0)
		return err;
	len = stream_layer_receive_below(layer, into, room);
	if (len != -EAGAIN && len <= 0 && !layer->is_ready)
		return lost_early(c, (int)len);
	if (len <= 0)
		return len;
	if (!layer->is_ready)
		len = read_head(c, into, (size_t)len);
	/*
	 * A head or control frames alone are not the end, nor reason to read
	 * on here: who sends them without end has one read a turn.
	 */
	if (layer->is_ready && len == 0)
		return -EAGAIN;
	return layer->is_ready && len > 0
	    ? websocket_read_frames(&c->end, into, (size_t)len)
	    : len;
}

/* One frame of what there is. */
static size_t
build_frame(struct client *c, const struct iovec *iov, unsigned count,
    uint8_t *frame, size_t *out_payload)
{
	size_t len = 0, at = 0, here, head;
	uint8_t mask[4];

	for (unsigned i = 0; i < count; i++)
		len += iov[i].iov_len;
	len = len > FRAME_BYTES ? FRAME_BYTES : len;
	*out_payload = len;
	if (len == 0)
		return 0;
	websocket_next_mask(&c->end, mask);
	head = websocket_header(frame, WEBSOCKET_BINARY, len, mask);
	for (unsigned i = 0; i < count && at < len; i++) {
		here = iov[i].iov_len > len - at ? len - at : iov[i].iov_len;
		websocket_mask(
		    frame + head + at, iov[i].iov_base, here, mask, at);
		at += here;
	}
	return head + len;
}

static ssize_t
client_send(struct stream_layer *layer, const struct iovec *iov, unsigned count)
{
	struct client *c = (struct client *)layer;
	uint8_t frame[WEBSOCKET_HEADER_SIZE + FRAME_BYTES];
	size_t len, payload;
	ssize_t err;

	if (layer->is_broken || c->end.is_over)
		return -EPIPE;
	layer->wants_read = false;
	if (!layer->is_ready && (err = send_request(c)) < 0)
		return err;
	err = websocket_flush(&c->end);
	if (err < 0 || (err = websocket_answer_ping(&c->end)) < 0)
		return err;
	if (!layer->is_ready) {
		layer->wants_read = true;
		return -EAGAIN;
	}
	len = build_frame(c, iov, count, frame, &payload);
	if (len == 0)
		return 0;
	err = websocket_send_bytes(&c->end, frame, len);
	return err < 0 ? err : (ssize_t)payload;
}

static void
client_free(struct stream_layer *layer)
{
	struct client *c = (struct client *)layer;

	free(c->request);
	free(c->head);
	free(c->end.held);
	free(c);
}

static const struct stream_layer_kind kind = {
	.name = "WebSocket",
	.receive = client_receive,
	.send = client_send,
	.finish = websocket_finish,
	.free = client_free,
};

static bool
draw(struct client *c)
{
	uint8_t nonce[16];

	if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce) ||
	    getrandom(&c->end.dice, sizeof(c->end.dice), 0) !=
		(ssize_t)sizeof(c->end.dice))
		return false;
	c->end.dice |= 1;
	EVP_EncodeBlock((unsigned char *)c->key, nonce, sizeof(nonce));
	return true;
}

struct stream_layer *
websocket_client(const char *url_host, const char *path, uint64_t max_frame)
{
	struct client *c = calloc(1, sizeof(*c));
	size_t size = strlen(url_host) + strlen(path) + 256;

	if (c == NULL)
		return NULL;
	c->end.layer.kind = &kind;
	c->end.masks = true;
	websocket_init(&c->end.frames, false, max_frame);
	c->request = malloc(size);
	c->head = malloc(WEBSOCKET_HEAD_SIZE + 1);
	if (c->request == NULL || c->head == NULL || !draw(c)) {
		client_free(&c->end.layer);
		return NULL;
	}
	c->request_len =
	    websocket_request(c->request, size, url_host, path, c->key);
	return &c->end.layer;
}
