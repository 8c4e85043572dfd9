/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_request - what is asked over the control socket, and the answer.
 *
 * A text that begins with '{' is a question as common/msg/ask.h has it; its
 * peer has all rights, for the socket let it in.  Other words are those of
 * links_status.h.  Long answers go in pieces, each when the socket has taken
 * the one before it; a connection has one question under way.
 */

#ifndef WEIR_BROKER_LINKS_REQUEST_H
#define WEIR_BROKER_LINKS_REQUEST_H

#include "common/base/slice.h"

struct links;
struct links_connection;

/*
 * Answer, now or later.  Returns NULL, or why the connection is to be closed.
 */
const char *links_request_take(struct links *links,
    struct links_connection *connection, struct slice question);

/* The socket takes data again. */
void links_request_go_on(struct links_connection *connection);

/* The connection is closed: nobody reads the answer. */
void links_request_forget(struct links_connection *connection);

#endif
