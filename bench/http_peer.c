/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/http_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

int
http_peer_open(struct http_peer *peer, uint16_t port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;
	int err;

	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->fd == -1)
		return -errno;
	setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(peer->fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return 0;
	err = -errno;
	close(peer->fd);
	return err;
}

int
http_peer_send(
    struct http_peer *peer, const char *requests, size_t length, uint32_t count)
{
	uint64_t now_ns = clock_now_ns();
	ssize_t sent;

	BUG_ON(peer->under_way + count > HTTP_PEER_WINDOW);
	for (uint32_t i = 0; i < count; i++)
		peer->sent_ns[(peer->first + peer->under_way++) %
		    HTTP_PEER_WINDOW] = now_ns;
	sent = send(peer->fd, requests, length, MSG_NOSIGNAL);
	if (sent == -1)
		return -errno;
	return (size_t)sent == length ? 0 : -EPIPE;
}

/* The answer at the beginning of the input: its length, 0, or -EPROTO. */
static ssize_t
parse(char *text, size_t length, struct http_answer *out)
{
	char *end = memmem(text, length, "\r\n\r\n", 4), *field;
	size_t body;

	if (end == NULL)
		return 0;
	*end = '\0';
	field = strcasestr(text, "\r\nContent-Length:");
	if (strncmp(text, "HTTP/1.1 ", 9) != 0 || field == NULL)
		return -EPROTO;
	body = strtoul(field + 17, NULL, 10);
	if (length - (size_t)(end + 4 - text) < body) {
		*end = '\r';
		return 0;
	}
	out->status = (unsigned)strtoul(text + 9, NULL, 10);
	out->head = text;
	out->body = end + 4;
	return end + 4 - text + (ssize_t)body;
}

static int
give(struct http_peer *peer, struct http_answer *answer, uint64_t now_ns,
    http_peer_answer_fn *each, void *context, size_t end)
{
	char kept = peer->input[end];

	if (peer->under_way == 0)
		return -EPROTO; /* an answer that nobody asked for */
	answer->took_ns = now_ns - peer->sent_ns[peer->first];
	peer->first = (peer->first + 1) % HTTP_PEER_WINDOW;
	peer->under_way--;
	peer->input[end] = '\0';
	each(context, answer);
	peer->input[end] = kept;
	return 0;
}

int
http_peer_read(struct http_peer *peer, http_peer_answer_fn *each, void *context)
{
	struct http_answer answer;
	uint64_t now_ns;
	size_t at = 0;
	ssize_t step;
	int count = 0;

	step = recv(peer->fd, peer->input + peer->length,
	    HTTP_PEER_INPUT - peer->length, 0);
	if (step <= 0)
		return step == 0 ? -EPIPE : -errno;
	peer->length += (size_t)step;
	now_ns = clock_now_ns();
	while (
	    (step = parse(peer->input + at, peer->length - at, &answer)) > 0) {
		at += (size_t)step;
		if (give(peer, &answer, now_ns, each, context, at) != 0)
			return -EPROTO;
		count++;
	}
	if (step < 0 || (count == 0 && peer->length == HTTP_PEER_INPUT))
		return -EPROTO;
	peer->length -= at;
	memmove(peer->input, peer->input + at, peer->length);
	return count;
}
