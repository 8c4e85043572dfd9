/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_connection - one connection to the control socket.
 *
 * Sending never blocks and never fails the caller: what the socket does not
 * take is kept, descriptors too, up to a bound; beyond it the connection is
 * shut down, and its next event closes it.
 */

#ifndef WEIR_BROKER_LINKS_CONNECTION_H
#define WEIR_BROKER_LINKS_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/slice.h"
#include "common/net/loop.h"
#include "common/ring/ring_control.h"

struct links_control;
struct links_endpoint;
struct links_handback;
struct links_request;
struct unsent;

/* The fields are links_control.c's, but for those said to be private. */
struct links_connection {
	struct links_control *control;
	struct links_connection *next, **link; /* in control's list */
	struct loop *loop;                     /* [const] */
	int sock;                              /* [const] */
	pid_t pid;
	uid_t uid;
	bool is_control;                 /* weirctl */
	struct links_endpoint *endpoint; /* NULL before HELLO and for weirctl */
	struct links_handback *handback; /* what comes after HELLO, or NULL */
	struct links_request *request;   /* what it asks, see links_request.h */
	bool is_broken;                  /* to be closed */

	/* Private. */
	struct loop_fd watch;
	void (*ready)(void *connection, int fd, unsigned ready);
	struct unsent *unsent, **unsent_end;
	size_t unsent_bytes;
};

/*
 * Watch `sock`, which it takes; `ready` gets the connection and what is
 * ready.  NULL with errno, and `sock` stays the caller's.
 */
struct links_connection *links_connection_new(struct loop *loop, int sock,
    void (*ready)(void *connection, int fd, unsigned ready));

/* Closes the socket and forgets what was not sent. */
void links_connection_free(struct links_connection *connection);

/* The descriptors stay the caller's. */
void links_connection_send(struct links_connection *connection,
    const void *bytes, size_t length, const int *fds, unsigned fd_count);

/* A message of the kinds that carry text; `set` is "" but for LANE_REFUSED. */
void links_connection_send_text(struct links_connection *connection,
    enum ring_control_type type, const char *set, const char *text,
    size_t length);

/* A piece of an answer; `more` of them follow. */
void links_connection_send_answer(
    struct links_connection *connection, struct slice text, bool more);

/* The socket takes data again. */
void links_connection_flush(struct links_connection *connection);

static inline struct ring_control_header
links_connection_header(enum ring_control_type type)
{
	return (struct ring_control_header){
		.magic = RING_CONTROL_MAGIC,
		.type = type,
	};
}

#endif
