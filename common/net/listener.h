/* SPDX-License-Identifier: Apache-2.0 */

/*
 * listener - a socket that accepts connections for one loop.
 *
 *	err = listener_open(&spec, &listener, error, sizeof(error));
 *	if (err != 0)
 *		log_error("listener_failed", "%s", error), return EXIT_OSERR;
 *	listener_start(listener, loop, on_accept, worker);
 *
 * Accepted sockets are non-blocking, close-on-exec and have TCP_NODELAY.
 * When the process has no descriptor left, a reserved one is given up to take
 * and close the connection at the head of the queue, so the loop neither
 * spins nor leaves clients waiting.
 *
 * With `shared`, several listeners (one a thread) may be opened for the same
 * address; the kernel spreads connections over them.  Unix sockets cannot be
 * shared so.  One loop's thread only, but opening may happen on another one
 * before.
 */

#ifndef WEIR_COMMON_NET_LISTENER_H
#define WEIR_COMMON_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/net/loop.h"

/* Enough for the messages of listener_open(). */
#define LISTENER_ERROR_SIZE 512

/* "[v6%zone]:port" or "unix:/path" with its NUL. */
#define LISTENER_ADDRESS_SIZE 128

struct listener;

struct listener_spec {
	const char *bind;  /* "host:port" (port 0: the kernel chooses), or
			      "unix:/path" */
	bool shared;       /* SO_REUSEPORT */
	int backlog;       /* 0: 1024 */
	uint32_t unsent;   /* bytes; see below; 0: the kernel's own limit */
	uint32_t mode;     /* of a Unix socket's file; 0: 0660 */
	const char *group; /* of a Unix socket's file; NULL: our own */
};

/*
 * `unsent`: the kernel takes no more from a connection while so many bytes
 * could not yet be sent, as its peer does not read.  By itself it takes
 * megabytes, which nobody counts.
 */

/* Takes `fd`; `peer` is "address:port" or "unix", valid during the call. */
typedef void listener_accept_fn(void *arg, int fd, const char *peer);

/*
 * Bind and listen.  Names may resolve to several addresses; the first that
 * works is used.
 * Returns 0 or -errno and writes key=value text for the log line to `error`:
 * `port_in_use address=127.0.0.1:1883 held_by="mosquitto pid 123"`.
 * The file of a Unix socket is removed when the listener is closed; see
 * unix_socket.h.
 */
int listener_open(const struct listener_spec *spec,
    struct listener **out_listener, char *error, size_t error_size);

/* Adopt a listening socket that was inherited; takes `fd`. */
int listener_adopt(int fd, struct listener **out_listener);

/* Accept on `loop` from now on. */
int listener_start(struct listener *listener, struct loop *loop,
    listener_accept_fn *accept, void *arg);

/* Stop accepting for a while; connections wait in the kernel. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);

/* Not from inside the accept callback: pause there.  Accepts NULL. */
void listener_close(struct listener *listener);

/*
 * Is a listening socket that was inherited bound where `bind` says?  Names may
 * resolve to several addresses, an empty host means all: one is enough.
 */
bool listener_is_at(int fd, const char *bind);

/* "127.0.0.1:40123": the address in use, with the port that was chosen. */
const char *listener_address(const struct listener *listener);
uint16_t listener_port(const struct listener *listener);
int listener_fd(const struct listener *listener);

/* Connections closed for want of a descriptor. */
uint64_t listener_refused(const struct listener *listener);

/*
 * "a.b.c.d:port" (also of mapped IPv4), "[v6]:port" or "[v6%zone]:port" of a
 * socket address; returns `text`.  Of a Unix socket it is "unix": what is
 * behind that is the peer's choice.
 */
const char *listener_format(
    const struct sockaddr *address, char text[LISTENER_ADDRESS_SIZE]);

#endif
