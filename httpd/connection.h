/* SPDX-License-Identifier: Apache-2.0 */

/*
 * connection - HTTP/1.1 connections: parsing, deadlines, answers in order.
 *
 * A connection reads requests one after the other, also while earlier ones
 * still wait for their answer (at most CONNECTION_PIPELINE); answers leave in
 * the order of the requests.  What comes is given to a handler:
 *
 *	head(request)	the head was read.  Answer, if that is all that there
 *			is to say, and the body is thrown away; or read on;
 *			or wait, and decide later by request_proceed() or
 *			request_answer().
 *	body(request)	the body was read; request_answer() now or later.
 *	gone(request)	the client left before it was answered.  The request
 *			is freed after this call.
 *
 * Deadlines are absolute, whatever trickles in: header_timeout from a
 * request's first byte to the end of its head, body_timeout for the body.
 * A request whose end cannot be told is answered 400 and the connection is
 * closed.
 *
 * Everything belongs to the loop's thread.
 */

#ifndef WEIR_HTTPD_CONNECTION_H
#define WEIR_HTTPD_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/net/loop.h"
#include "common/net/stream.h"
#include "httpd/request.h"
#include "httpd/response.h"

/* Requests of one connection that may wait for their answers. */
#define CONNECTION_PIPELINE 32u

/* Connections over the limit that are told so at a time. */
#define CONNECTION_OVERFLOW 64u

struct connections;
struct pool_use;
struct tls;
struct stats_block;

enum connection_verdict {
	CONNECTION_READ, /* read the body, then call body() */
	CONNECTION_WAIT, /* read nothing until request_proceed() */
	CONNECTION_DONE  /* request_answer() has been called */
};

struct connection_handler {
	enum connection_verdict (*head)(void *context, struct request *request);
	/* `body` is valid during the call. */
	void (*body)(void *context, struct request *request, struct slice body);
	void (*gone)(void *context, struct request *request);
};

struct connections_config {
	uint32_t max_connections;
	uint64_t max_body;
	uint64_t header_timeout_ns;
	uint64_t body_timeout_ns;
	uint64_t idle_timeout_ns;
};

/* NULL with errno.  `counters` is as in httpd/counters.def. */
struct connections *connections_new(const struct connections_config *config,
    struct loop *loop, struct stream_hub *hub,
    const struct connection_handler *handler, void *context,
    struct stats_block *counters);

/*
 * Connections that are accepted from now on speak TLS; `tls` stays the
 * caller's, until it is replaced here.  NULL: none do.
 */
void connections_set_tls(struct connections *connections, struct tls *tls);

/* Closes all that are left; gone() is called for their requests. */
void connections_free(struct connections *connections);

/* A socket was accepted; takes `fd`.  `peer` is "address:port". */
void connections_accept(
    struct connections *connections, int fd, const char *peer);

/* Enforce deadlines; call every 50 ms or so. */
void connections_tick(struct connections *connections, uint64_t now_ns);

/* Free what was closed in this turn; call from a hook. */
void connections_reap(struct connections *connections);

/*
 * Close what is idle now, the others after their answers.  Returns how many
 * are still open.
 */
uint32_t connections_drain(struct connections *connections);

/* Of connections, and of requests that are read or wait to be answered. */
void connections_use(const struct connections *connections,
    struct pool_use *out_connections, struct pool_use *out_requests);

uint32_t connections_count(const struct connections *connections);

/* The most there were since connections_forget_most(). */
uint32_t connections_most(const struct connections *connections);
void connections_forget_most(struct connections *connections);

/* Bytes of answers that wait for their turn or for a client that reads. */
uint64_t connections_unsent_bytes(const struct connections *connections);

/* After CONNECTION_WAIT: read the body. */
void request_proceed(struct request *request);

/*
 * Answer; once a request, also from inside head() and body().  The body of
 * the response is copied.  The request may be freed before this returns:
 * forget it.
 */
void request_answer(struct request *request, const struct response *response);

/* Answer with {"code":code,"message":...}. */
void request_answer_error(struct request *request, unsigned status,
    unsigned code, uint32_t retry_after_s, const char *extra,
    const char *message);

/* The client's address, without its port. */
const char *request_peer(const struct request *request);
bool request_is_from_loopback(const struct request *request);

/*
 * The client's address as a number, for the limits; of IPv6 its /64 network,
 * as who has one address there has them all.
 */
uint64_t request_client(const struct request *request);

#endif
