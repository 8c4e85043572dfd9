/* SPDX-License-Identifier: Apache-2.0 */

/*
 * http_peer - one kept HTTP connection of a load program: requests that are
 * all alike, several under way, and the answers as they come.
 *
 *	http_peer_open(&peer, port);
 *	http_peer_send(&peer, request, length, count)
 *	... when peer.fd is readable ...
 *	got = http_peer_read(&peer, on_answer, context);
 */

#ifndef WEIR_BENCH_HTTP_PEER_H
#define WEIR_BENCH_HTTP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_PEER_WINDOW 256u
#define HTTP_PEER_INPUT 65536u

struct http_peer {
	int fd;
	uint32_t first, under_way; /* in sent_ns, a ring */
	uint64_t sent_ns[HTTP_PEER_WINDOW];
	size_t length;
	char input[HTTP_PEER_INPUT + 1];
};

/* One answer; its head ends with a NUL, as does its body. */
struct http_answer {
	unsigned status;
	const char *head, *body;
	uint64_t took_ns;
};

typedef void http_peer_answer_fn(
    void *context, const struct http_answer *answer);

/* To the loopback address.  Returns 0 or -errno. */
int http_peer_open(struct http_peer *peer, uint16_t port);

/*
 * Send `count` requests, which lie one behind the other in `requests`; no more
 * than HTTP_PEER_WINDOW may be under way.  Returns 0 or -errno.
 */
int http_peer_send(struct http_peer *peer, const char *requests, size_t length,
    uint32_t count);

/*
 * Read what is there.  Returns the number of answers; -EPIPE: the server
 * closed the connection; -EPROTO: it is no HTTP that we know; or -errno.
 */
int http_peer_read(
    struct http_peer *peer, http_peer_answer_fn *each, void *context);

#endif
