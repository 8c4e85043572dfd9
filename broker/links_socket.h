/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_socket - where the control socket comes from.
 *
 * systemd hands it over (in `store`) under the name "ctl"; else it is bound as
 * run_dir/broker.sock.  A socket file that nobody serves is a dead broker's
 * and is removed; one that answers belongs to a living broker and stays.
 */

#ifndef WEIR_BROKER_LINKS_SOCKET_H
#define WEIR_BROKER_LINKS_SOCKET_H

#include <stdbool.h>

#include "common/net/unix_socket.h"
#include "common/service/fdstore.h"

struct links_socket {
	int fd;
	bool was_stale;                 /* a broker was killed here */
	struct unix_socket_place place; /* a file of ours */
};

/*
 * Returns 0 or -errno, logged: -EADDRINUSE when another broker serves this
 * run_dir, -ENAMETOOLONG, ...
 */
int links_socket_open(struct links_socket *out_socket, const char *run_dir,
    struct fdstore *store);

/* Remove the file if it is still the one that was bound. */
void links_socket_close(struct links_socket *socket);

#endif
