/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_websocket_answer - what a remote says to a bridge's WebSocket request,
 * and after it: through the client's layer, on top of a layer of ours.
 *
 * The first byte says how the input is cut into reads and whether a right
 * answer, to the key that the request had, comes before it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/websocket.h"
#include "tests/fuzz/fuzz.h"

struct wire {
	struct stream_layer layer;
	char key[WEBSOCKET_KEY_SIZE];
	uint8_t *bytes; /* to be read */
	size_t at, len, step;
	size_t sent;
};

static ssize_t
receive(struct stream_layer *layer, uint8_t *into, size_t room)
{
	struct wire *wire = (struct wire *)layer;
	size_t len = wire->len - wire->at;

	if (len == 0)
		return 0;
	len = len < wire->step ? len : wire->step;
	len = len < room ? len : room;
	memcpy(into, wire->bytes + wire->at, len);
	wire->at += len;
	return (ssize_t)len;
}

/* The key is found in the request, which comes first and whole. */
static ssize_t
take(struct stream_layer *layer, const struct iovec *iov, unsigned count)
{
	static const char field[] = "Sec-WebSocket-Key: ";
	struct wire *wire = (struct wire *)layer;
	const char *found;
	size_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += iov[i].iov_len;
	if (wire->sent == 0 && count != 0) {
		found = memmem(
		    iov[0].iov_base, iov[0].iov_len, field, sizeof(field) - 1);
		require(found != NULL);
		memcpy(wire->key, found + sizeof(field) - 1,
		    WEBSOCKET_KEY_SIZE - 1);
	}
	wire->sent += total;
	return (ssize_t)total;
}

static const struct stream_layer_kind kind = {
	.name = "wire",
	.receive = receive,
	.send = take,
};

/* A right answer, if there is to be one, then the input. */
static void
fill(struct wire *wire, const uint8_t *data, size_t size, bool is_answered)
{
	char accept[WEBSOCKET_ACCEPT_SIZE], head[512];
	int len = 0;

	websocket_accept_key(wire->key, accept);
	if (is_answered)
		len = snprintf(head, sizeof(head),
		    "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
		    "Connection: keep-alive, Upgrade\r\n"
		    "Sec-WebSocket-Protocol: mqtt\r\n"
		    "Sec-WebSocket-Accept: %s\r\n\r\n",
		    accept);
	wire->len = (size_t)len + size;
	wire->bytes = malloc(wire->len == 0 ? 1 : wire->len);
	memcpy(wire->bytes, head, (size_t)len);
	memcpy(wire->bytes + len, data, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire wire = { .layer = { .kind = &kind, .is_ready = true } };
	struct stream_layer *client;
	uint8_t into[64];
	size_t payload = 0, turns = 0;
	ssize_t got;

	if (size == 0)
		return 0;
	client = websocket_client("remote:1883", "/mqtt", 4096);
	require(client != NULL);
	client->below = &wire.layer;
	wire.step = 1 + (data[0] >> 1) % 64;
	require(client->kind->send(client, NULL, 0) == -EAGAIN);
	fill(&wire, data + 1, size - 1, (data[0] & 1) != 0);
	do {
		got = client->kind->receive(client, into, sizeof(into));
		if (got > 0)
			payload += (size_t)got;
		require(got <= (ssize_t)sizeof(into));
		require(++turns <= wire.len + 8);
	} while (got > 0 || got == -EAGAIN);
	require(payload <= size);
	require((data[0] & 1) == 0 || client->is_ready);
	client->kind->finish(client);
	client->kind->free(client);
	free(wire.bytes);
	return 0;
}
