/* SPDX-License-Identifier: Apache-2.0 */

/*
 * connection_state - what the parts of a connection share; private to them:
 * connection.c (life, deadlines), connection_input.c (parser, handler) and
 * connection_output.c (answers).
 *
 * Any of these functions may kill the connection.  A killed one stays in
 * memory to the end of the turn: look at `is_dead` before going on.
 */

#ifndef WEIR_HTTPD_CONNECTION_STATE_H
#define WEIR_HTTPD_CONNECTION_STATE_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/pool.h"
#include "common/net/listener.h"
#include "httpd/connection.h"
#include "httpd/pool_use.h"

/* No deadline runs. */
#define CONNECTION_NO_DEADLINE UINT64_MAX

/* How far the reading of a request is. */
enum input {
	INPUT_HEAD,
	INPUT_WAIT, /* for the handler's verdict */
	INPUT_BODY,
	INPUT_DISCARD, /* the body of an answered request */
	INPUT_END
};

struct connection {
	struct stream stream;
	struct http_parser parser;
	struct connections *all;
	struct connection *previous, *next;
	struct request *current;      /* being read */
	struct request *first, *last; /* waiting for answers, `current` too */
	uint32_t requests;
	uint64_t deadline_ns;
	const char *gap; /* after the last piece of a header; NULL: in none */
	bool gap_has_line_end;
	bool in_parser;  /* callbacks must not unpause what they pause */
	bool is_blocked; /* reading stopped: pipeline or output is full */
	bool is_deaf;    /* what comes is thrown away */
	bool in_head;    /* the clock of a head is running */
	bool is_ended;   /* the last answer is on its way */
	bool is_dead;
	bool is_overflow;
	bool is_short;     /* there was no memory for what it sends */
	bool in_handshake; /* of TLS */
	uint64_t client;   /* see request_client() */
	char peer[LISTENER_ADDRESS_SIZE];
};

struct connections {
	struct connections_config config;
	struct loop *loop;
	struct stream_hub *hub;
	struct tls *tls; /* NULL: none */
	const struct connection_handler *handler;
	void *context;
	struct stats_block *counters;
	struct pool requests;
	struct pool_use requests_use;
	uint32_t high_water;   /* of `count` */
	uint32_t most;         /* of it, since connections_forget_most() */
	struct pool pool;      /* of connections */
	uint64_t unsent_bytes; /* of requests' rendered answers */
	struct connection *first;
	struct connection *dead;
	uint32_t count;
	uint32_t overflow;
	bool is_draining;
	uint64_t date_s;
	char date[RESPONSE_DATE_SIZE];
};

/* connection.c */

/* Take the connection out of everything; its memory goes at the reap. */
void connection_kill(struct connection *c);

void connection_free_request(struct connections *all, struct request *request);

static inline bool
connection_is_between_requests(const struct connection *c)
{
	return c->current == NULL;
}

/* connection_input.c */

/* The stream's on_data(). */
size_t connection_input(
    struct stream *stream, const uint8_t *data, size_t length);

/* The request cannot be read to its end: answer and close. */
void connection_reject(struct connection *c, unsigned status, const char *text);

/* Go on reading, if there is room for more requests again. */
void connection_unblock(struct connection *c);

/* connection_output.c */

/* Send the answers whose turn it is; the connection may end by that. */
void connection_advance(struct connection *c);

/* Tell the client to send the body it announced. */
void connection_continue(struct connection *c, struct request *request);

/* Nothing more is read; the last answer is on its way. */
void connection_end(struct connection *c, bool has_more_input);

/* One too many: answer 503 to whatever it would have asked, saying why. */
void connection_refuse(struct connection *c, const char *why);

#endif
