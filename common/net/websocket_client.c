/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The client's opening handshake, and the layer.
 *
 * A frame is masked into a buffer of the stack and offered below at once;
 * what is not taken is kept in memory of its own until it is.  So a layer
 * that is not stalled has no buffer.
 */

#include "common/net/websocket.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* Payload of a frame that we send. */
#define FRAME_BYTES 16384

struct client {
	struct stream_layer layer;
	struct websocket frames;
	char key[WEBSOCKET_KEY_SIZE];
	char *request; /* host and path until it is sent */
	size_t request_len;
	char *head; /* the answer, while it comes */
	size_t head_len;
	uint8_t *held; /* that the layer below did not take */
	size_t held_at;
	uint64_t dice; /* of masks */
	bool is_sent;  /* the request */
	bool is_over;  /* a close frame came, and was answered */
};

void
websocket_accept_key(const char *key, char out[WEBSOCKET_ACCEPT_SIZE])
{
	char text[128];
	uint8_t hash[SHA_DIGEST_LENGTH];

	snprintf(text, sizeof(text), "%.64s" GUID, key);
	SHA1((const unsigned char *)text, strlen(text), hash);
	EVP_EncodeBlock((unsigned char *)out, hash, sizeof(hash));
}

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

/* A list of words with commas between them has this one. */
static bool
has_word(const char *list, const char *word)
{
	size_t len;

	for (;;) {
		list += strspn(list, " \t,");
		len = strcspn(list, " \t,");
		if (len == 0)
			return false;
		if (len == strlen(word) && strncasecmp(list, word, len) == 0)
			return true;
		list += len;
	}
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
	return is_list ? has_word(value, want) : strcmp(value, want) == 0;
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

static ssize_t
broken(struct client *c, const char *what)
{
	return stream_layer_fail(&c->layer, -EPROTO, "WebSocket: %s", what);
}

/* Keep what was not taken; it goes before all that follows. */
static ssize_t
hold(struct client *c, const uint8_t *bytes, size_t len)
{
	uint8_t *more;
	size_t old = c->layer.held;

	if (len == 0)
		return 0;
	if (old > 0 && c->held_at > 0)
		memmove(c->held, c->held + c->held_at, old);
	c->held_at = 0;
	more = realloc(c->held, old + len);
	if (more == NULL)
		return stream_layer_fail(
		    &c->layer, -ENOMEM, "WebSocket: out of memory");
	memcpy(more + old, bytes, len);
	c->held = more;
	c->layer.held = (uint32_t)(old + len);
	return 0;
}

/* Returns 0 when nothing is held any more, or -EAGAIN or another -errno. */
static ssize_t
flush_held(struct client *c)
{
	struct iovec iov;
	ssize_t sent;

	while (c->layer.held > 0) {
		iov = (struct iovec){ c->held + c->held_at, c->layer.held };
		sent = stream_layer_send_below(&c->layer, &iov, 1);
		if (sent < 0)
			return sent;
		c->held_at += (size_t)sent;
		c->layer.held -= (uint32_t)sent;
	}
	free(c->held);
	c->held = NULL;
	c->held_at = 0;
	return 0;
}

/* Send a whole frame, or hold what is left of it. */
static ssize_t
send_bytes(struct client *c, const uint8_t *bytes, size_t len)
{
	struct iovec iov = { .iov_len = len };
	ssize_t sent = 0;

	memcpy(&iov.iov_base, &bytes, sizeof(bytes));
	if (c->layer.held == 0)
		sent = stream_layer_send_below(&c->layer, &iov, 1);
	if (sent < 0 && sent != -EAGAIN)
		return sent;
	if (sent < 0)
		sent = 0;
	return hold(c, bytes + sent, len - (size_t)sent);
}

/* Masks need not be secrets of ours, only no choice of our senders'. */
static void
next_mask(struct client *c, uint8_t mask[4])
{
	c->dice ^= c->dice << 13;
	c->dice ^= c->dice >> 7;
	c->dice ^= c->dice << 17;
	memcpy(mask, &c->dice, 4);
}

static ssize_t
send_control(struct client *c, enum websocket_opcode opcode,
    const uint8_t *payload, size_t len)
{
	uint8_t frame[WEBSOCKET_HEADER_SIZE + WEBSOCKET_CONTROL_SIZE];
	uint8_t mask[4];
	size_t head;

	next_mask(c, mask);
	head = websocket_header(frame, opcode, len, mask);
	websocket_mask(frame + head, payload, len, mask, 0);
	return send_bytes(c, frame, head + len);
}

static ssize_t
send_close(struct client *c, unsigned status)
{
	const uint8_t bytes[2] = { (uint8_t)(status >> 8), (uint8_t)status };

	if (c->is_over)
		return 0;
	c->is_over = true;
	return send_control(c, WEBSOCKET_CLOSE, bytes, sizeof(bytes));
}

/* Returns 0 when the request is out, or held. */
static ssize_t
send_request(struct client *c)
{
	ssize_t err;

	if (c->layer.below != NULL && !c->layer.below->is_ready) {
		/* Its handshake first; nothing of ours is sent by that. */
		err = stream_layer_send_below(&c->layer, NULL, 0);
		if (err < 0)
			return err;
	}
	if (!c->is_sent) {
		c->is_sent = true;
		return send_bytes(
		    c, (const uint8_t *)c->request, c->request_len);
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
		return broken(c, "the answer to our request has no end");
	if (end == NULL)
		return -EAGAIN;
	end += 4;
	used = (size_t)(end - c->head) - before;
	*end = '\0';
	if (websocket_check_answer(c->head, c->key, error, sizeof(error)) !=
	    NULL)
		return broken(c, error);
	free(c->head);
	c->head = NULL;
	c->layer.is_ready = true;
	c->layer.wants_read = false;
	memmove(bytes, bytes + used, len - used);
	return (ssize_t)(len - used);
}

/* Payload of what came, in place; then what is to be said about it. */
static ssize_t
decode(struct client *c, uint8_t *bytes, size_t len)
{
	struct websocket *frames = &c->frames;
	size_t payload = websocket_decode(frames, bytes, len);
	ssize_t err = 0;

	if (frames->has_ping) {
		frames->has_ping = false;
		/* One that is not read is not answered again and again. */
		if (c->layer.held < 2 * FRAME_BYTES)
			err = send_control(
			    c, WEBSOCKET_PONG, frames->ping, frames->ping_len);
	}
	if (err == 0 && frames->fault != NULL) {
		send_close(c, frames->fault_status);
		err = broken(c, frames->fault);
	}
	if (payload > 0) {
		c->layer.has_input = err != 0 || frames->is_closed;
		return (ssize_t)payload;
	}
	if (err != 0)
		return err;
	if (frames->is_closed) {
		send_close(c, WEBSOCKET_NORMAL);
		return 0;
	}
	return -EAGAIN;
}

/* `err` is 0 for an end in order. */
static ssize_t
lost_early(struct client *c, int err)
{
	return stream_layer_fail(&c->layer, err == 0 ? -ECONNRESET : err,
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
	if (c->frames.fault != NULL || layer->is_broken)
		return -EPROTO;
	if (c->frames.is_closed) {
		send_close(c, WEBSOCKET_NORMAL);
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
	return layer->is_ready && len > 0 ? decode(c, into, (size_t)len) : len;
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
	next_mask(c, mask);
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

	if (layer->is_broken || c->is_over)
		return -EPIPE;
	layer->wants_read = false;
	if (!layer->is_ready && (err = send_request(c)) < 0)
		return err;
	err = flush_held(c);
	if (err < 0)
		return err;
	if (!layer->is_ready) {
		layer->wants_read = true;
		return -EAGAIN;
	}
	len = build_frame(c, iov, count, frame, &payload);
	if (len == 0)
		return 0;
	err = send_bytes(c, frame, len);
	return err < 0 ? err : (ssize_t)payload;
}

static void
client_finish(struct stream_layer *layer)
{
	struct client *c = (struct client *)layer;

	if (layer->held == 0)
		send_close(c, WEBSOCKET_NORMAL);
}

static void
client_free(struct stream_layer *layer)
{
	struct client *c = (struct client *)layer;

	free(c->request);
	free(c->head);
	free(c->held);
	free(c);
}

static const struct stream_layer_kind kind = {
	.name = "WebSocket",
	.receive = client_receive,
	.send = client_send,
	.finish = client_finish,
	.free = client_free,
};

static bool
draw(struct client *c)
{
	uint8_t nonce[16];

	if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce) ||
	    getrandom(&c->dice, sizeof(c->dice), 0) != (ssize_t)sizeof(c->dice))
		return false;
	c->dice |= 1;
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
	c->layer.kind = &kind;
	websocket_init(&c->frames, false, max_frame);
	c->request = malloc(size);
	c->head = malloc(WEBSOCKET_HEAD_SIZE + 1);
	if (c->request == NULL || c->head == NULL || !draw(c)) {
		client_free(&c->layer);
		return NULL;
	}
	c->request_len =
	    websocket_request(c->request, size, url_host, path, c->key);
	return &c->layer;
}
