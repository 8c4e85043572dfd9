/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ask - questions to the broker and orders for it, as JSON text.
 *
 * The same words come over two ways: in a record of kind RECORD_ASK from
 * weir-httpd, in the name of an identity that the broker checks, and over the
 * control socket from weirctl, whose user the socket has checked.  A question
 * is one object whose "ask" says what is wanted; the answer is one object
 * with "status", a status code of HTTP, and either what was asked for or
 * "message", a sentence:
 *
 *	{"ask":"clients","limit":100,"page":2}
 *	{"status":200,"count":12345,"clients":[{"client_id":"a", ...}]}
 *	{"status":404,"message":"no client has the identifier \"x\""}
 *
 *	ask		needs	answers
 *	broker		read	version, uptime_s, pid, workers, connections ...
 *	metrics		read	counters: name -> number
 *	clients		read	clients; filters: client_id, username
 *	kick		manage	disconnects client_id; MQTT 5.0 clients are told
 *				0x98, Administrative action
 *	subscriptions	read	subscriptions; filter: client_id
 *	topic_tree	read	tree: filters in use, level by level
 *	bridges		read	bridges with their state (needs_restart: a reload
 *				found it, and it begins with the next start), and
 *				whether they are configured; filter: name
 *	bridge_numbers	nothing	what is counted of bridges, for /metrics
 *	bridge_enable	manage	name, enable: true or false
 *	bridge_put	manage	name, bridge: its keys as in weir.conf(5);
 *				create: true if there must be none yet
 *	bridge_delete	manage	name
 *	reload		manage	as SIGHUP
 *	dead		read	dead letters of a bridge or of all: name, limit,
 *				page
 *	dead_show	read	one of them: name, id
 *	dead_retry	manage	name, id or all: true
 *	dead_drop	manage	name, id or all: true
 *
 * Lists take "limit" (100; at most 10,000) and "page" (from 1), and say in
 * "count" how many there are in all.  Secrets are in no answer.  Names are
 * those of MQTT 5.0 and of weir.conf(5); times are seconds since 1970.
 */

#ifndef WEIR_COMMON_MSG_ASK_H
#define WEIR_COMMON_MSG_ASK_H

#include <stdint.h>

/* Longest question in bytes; a longer one is answered 413. */
#define ASK_MAX 65536u

/* Text in one record of kind RECORD_ASK_RESULT, at most. */
#define ASK_PIECE_MAX 16384u

/* Most bytes of an answer; a longer one is answered 413 with what to do. */
#define ASK_ANSWER_MAX (16u << 20)

/*
 * Of a lane of receipts, a part that pieces of answers may fill: 1/4 of its
 * smallest size.  The rest is for receipts.
 */
#define ASK_SHARE 4u

#define ASK_LIMIT 100u       /* entries of a list, if not said */
#define ASK_LIMIT_MAX 10000u /* ... at most */

/*
 * Start of an ASK_RESULT body; a piece of the answer's text follows, with
 * the correlation of the question.  Pieces come in order.
 */
struct ask_result_header {
	uint8_t version; /* RECORD_VERSION */
	uint8_t is_last; /* 1: the answer ends with this piece */
	uint16_t status; /* that of the answer, in each piece */
	uint32_t length; /* of the whole answer, in bytes */
};

_Static_assert(sizeof(struct ask_result_header) == 8, "ask result");

#endif
