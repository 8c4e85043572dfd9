/* SPDX-License-Identifier: Apache-2.0 */

/*
 * peer - what is known of who is at the other end of a connection, beside
 * what its socket and its CONNECT say.
 *
 * A proxy tells the address of the client behind it; a layer (TLS) proves a
 * name.  Most connections have nothing of it, and no struct peer.  It belongs
 * to the client and goes with it from worker to worker.
 */

#ifndef WEIR_BROKER_PEER_H
#define WEIR_BROKER_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "common/base/slice.h"
#include "common/net/listener.h"

struct peer {
	/* AF_UNSPEC: the socket's own address is the client's. */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	bool is_local; /* by a Unix socket, from the process: */
	pid_t pid;
	uid_t uid;
	char *user_name; /* proven by a layer; NULL: none was */
};

/* Nothing is known yet.  NULL without memory. */
struct peer *peer_new(void);

/*
 * Of a connected socket: its address, or the process at the other end.  NULL
 * without memory, or when there is no other end any more.
 */
struct peer *peer_of_socket(int fd);

/* Accepts NULL. */
void peer_free(struct peer *peer);

/*
 * Copy an address, of IPv4 or IPv6; false for another family, and nothing is
 * changed.
 */
bool peer_set_address(struct peer *peer, const struct sockaddr *address);

/* The address that it was told; NULL: none, nor by a NULL peer. */
const struct sockaddr *peer_address(const struct peer *peer);

/*
 * The address in words, or "unix:uid=1000,pid=321".  Returns `text`; NULL when
 * neither is known, nor of a NULL peer.
 */
const char *peer_format(
    const struct peer *peer, char text[LISTENER_ADDRESS_SIZE]);

/* Copy a text into one of its fields, in the place of what was there; false
 * without memory, and nothing is changed. */
bool peer_set_text(char **field, struct slice text);

#endif
