/* SPDX-License-Identifier: Apache-2.0 */

/*
 * websocket_head - the server's half of the opening handshake [RFC 6455, 4.2].
 *
 *	websocket_head_init(&head);
 *	used = websocket_head_read(&head, bytes, len);
 *	...
 *	if (head.is_complete || head.status != 0) {
 *		status = websocket_head_judge(&head, rules, &why);
 *		len = websocket_head_answer(&head, status, why, text);
 *	}
 *
 * The head may come in pieces; nothing of it is kept but what is asked for.
 * libhttp-parser reads it, and we are stricter than that: no folded lines, no
 * body, no field twice that may be there once.
 *
 * Any thread, one at a time for each object.
 */

#ifndef WEIR_COMMON_NET_WEBSOCKET_HEAD_H
#define WEIR_COMMON_NET_WEBSOCKET_HEAD_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/net/websocket.h"

/* Bytes that a request's head may have; more is answered 431. */
#define WEBSOCKET_HEAD_LIMIT 8192

/* The longest path and value that are looked at, with their NUL. */
#define WEBSOCKET_PATH_SIZE 256
#define WEBSOCKET_VALUE_SIZE 512

/* Room for any answer. */
#define WEBSOCKET_ANSWER_SIZE 1024

/* Fields that count; each is a row of websocket_head.c. */
enum websocket_field {
	WEBSOCKET_FIELD_HOST,
	WEBSOCKET_FIELD_UPGRADE,
	WEBSOCKET_FIELD_CONNECTION,
	WEBSOCKET_FIELD_KEY,
	WEBSOCKET_FIELD_VERSION,
	WEBSOCKET_FIELD_PROTOCOL,
	WEBSOCKET_FIELD_ORIGIN,
	WEBSOCKET_FIELDS /* and all others */
};

/* Read is_complete and status; the rest is websocket_head.c's. */
struct websocket_head {
	struct http_parser parser;
	bool is_complete; /* and right, as far as that can be said */
	unsigned status;  /* 0, or what it is refused with: 400, 431 */
	const char *why;  /* in words, with a status */
	size_t len;       /* bytes read */
	bool has_line_end;
	bool in_value;
	enum websocket_field field;
	size_t name_len;
	size_t value_len;
	char name[32];
	char value[WEBSOCKET_VALUE_SIZE];
	char path[WEBSOCKET_PATH_SIZE];
	size_t path_len;
	bool has_query;
	unsigned seen[WEBSOCKET_FIELDS]; /* how often */
	bool has_upgrade;
	bool has_connection;
	bool is_version_13;
	bool has_mqtt;     /* the subprotocol */
	bool has_mqttv3_1; /* its old name */
	char key[WEBSOCKET_KEY_SIZE];
	char origin[WEBSOCKET_VALUE_SIZE];
};

void websocket_head_init(struct websocket_head *head);

/*
 * Take bytes; returns how many are of the head: all of them, but for what is
 * behind its end.  Nothing is taken once it is complete or has a status.
 */
size_t websocket_head_read(
    struct websocket_head *head, const uint8_t *bytes, size_t len);

/*
 * Is the request, complete or at fault, what `rules` allow?  Returns 101, or
 * 400, 403, 404, 405, 426 or 431, and why in words, which stay.
 */
unsigned websocket_head_judge(const struct websocket_head *head,
    const struct websocket_rules *rules, const char **out_why);

/*
 * The answer to it.  An error has its words as text for who looks at it with
 * a browser or curl, and ends the connection.  Returns its length.
 */
size_t websocket_head_answer(const struct websocket_head *head, unsigned status,
    const char *why, char out[WEBSOCKET_ANSWER_SIZE]);

#endif
