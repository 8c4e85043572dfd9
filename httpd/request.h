/* SPDX-License-Identifier: Apache-2.0 */

/*
 * request - the head of one HTTP request, collected piece by piece.
 *
 * The parser hands over header names and values in pieces of any size; only
 * the few headers that mean something here are kept, the rest is counted.
 * Repeated or contradicting ones are remembered as faults, so that nobody
 * in front of us can have read the request differently:
 *
 *	request_init(request);
 *	request_add_path(request, ...)		bytes of the request target
 *	request_add_name(request, ...)		bytes of a header's name
 *	request_add_value(request, ...)		bytes of its value
 *	request_end_head(request)
 *	status = request_fault(request, &text);
 *	request_fini(request)
 *
 * No socket, and no allocation but for a long target: one thread a request.
 */

#ifndef WEIR_HTTPD_REQUEST_H
#define WEIR_HTTPD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define REQUEST_TARGET_MAX 2048u /* bytes of the request target: 414 */
#define REQUEST_HEAD_MAX 16384u  /* bytes of all headers: 431 */
#define REQUEST_HEADERS_MAX 64u  /* headers: 431 */

#define REQUEST_PATH_SIZE 256           /* a longer target is allocated */
#define REQUEST_AUTHORIZATION_SIZE 1024 /* kept without allocating, */
#define REQUEST_AUTHORIZATION_MAX 8320u /* and at most: 431 */
#define REQUEST_VALUE_SIZE 128
#define REQUEST_NAME_SIZE 32

enum request_method {
	REQUEST_GET = 1,
	REQUEST_HEAD = 2,
	REQUEST_POST = 4,
	REQUEST_PUT = 8,
	REQUEST_DELETE = 16,
	REQUEST_OTHER = 32
};

/* The header that is being read. */
enum request_header {
	REQUEST_HEADER_OTHER,
	REQUEST_HEADER_AUTHORIZATION,
	REQUEST_HEADER_CONTENT_ENCODING,
	REQUEST_HEADER_CONTENT_LENGTH,
	REQUEST_HEADER_CONTENT_TYPE,
	REQUEST_HEADER_EXPECT,
	REQUEST_HEADER_HOST,
	REQUEST_HEADER_ORIGIN,
	REQUEST_HEADER_TRANSFER_ENCODING,
	REQUEST_HEADERS_KNOWN
};

struct connection;

struct request {
	/* Of the connection. */
	struct connection *connection; /* NULL: the client is gone */
	struct request *next;          /* later on the same connection */
	void *body;                    /* collected, if it came in pieces */
	size_t body_length, body_size;
	char *rendered; /* an answer that waits for its turn */
	size_t rendered_length, rendered_sent;
	uint8_t input;  /* enum of connection.c: how far reading is */
	bool answered;  /* an answer exists */
	bool written;   /* ... and is on its way to the client */
	bool close;     /* the connection ends with this answer */
	bool continued; /* 100 Continue is due */

	/* Of whoever handles it. */
	void *owner;
	const void *endpoint;
	uint64_t identity;
	uint64_t account;                     /* hash, for the rate limit */
	char account_name[REQUEST_NAME_SIZE]; /* for weirctl; "": none */

	/* The head. */
	enum request_method method;
	bool is_http_1_0;
	size_t target_length;
	size_t head_length;
	unsigned header_count;
	enum request_header header;
	bool in_value;
	char name[24];
	size_t name_length;
	uint8_t seen[REQUEST_HEADERS_KNOWN]; /* how often */
	bool too_long;  /* a value that is kept did not fit */
	bool bad_name;  /* a header's name has a blank */
	bool is_folded; /* a header's value has a line end, by the caller */

	char *path;  /* still percent-encoded, see uri.h */
	char *query; /* what is behind the '?', or "" */
	size_t path_length;
	char *authorization;
	size_t authorization_length;
	char path_room[REQUEST_PATH_SIZE];
	char content_type[REQUEST_VALUE_SIZE];
	char expect[REQUEST_VALUE_SIZE];
	char transfer_encoding[REQUEST_VALUE_SIZE];
	char content_encoding[REQUEST_VALUE_SIZE];
	char authorization_room[REQUEST_AUTHORIZATION_SIZE];
};

void request_init(struct request *request);

/* Free what a long target or token took. */
void request_fini(struct request *request);

/* Wipe the Authorization header: it is known whose it is. */
void request_forget_authorization(struct request *request);

void request_add_path(struct request *request, const char *at, size_t length);
void request_add_name(struct request *request, const char *at, size_t length);
void request_add_value(struct request *request, const char *at, size_t length);

/* Part path and query; nothing is added after it. */
void request_end_head(struct request *request);

/*
 * What is wrong with the head so far: 0, or 400, 414, 431 with a
 * sentence.  Called for each piece, so that no limit is passed by much.
 */
unsigned request_fault(const struct request *request, const char **out_text);

/* As above, with what only a whole head can tell. */
unsigned request_head_fault(
    const struct request *request, const char **out_text);

/* Does the body claim to be something that may be JSON? */
bool request_is_json(const struct request *request);

/* Does the client wait for 100 Continue? */
bool request_expects_continue(const struct request *request);

#endif
