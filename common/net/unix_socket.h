/* SPDX-License-Identifier: Apache-2.0 */

/*
 * unix_socket - the file of a listening Unix socket: made, guarded, removed.
 *
 *	err = unix_socket_open(&spec, &place, &fd, error, sizeof(error));
 *	...
 *	close(fd);
 *	unix_socket_remove(&place);
 *
 * A file that a dead process left is replaced; one that somebody serves, or
 * that is no socket, is an error.  It is never open wider than `mode` says,
 * not even for a moment.  Names without a file (abstract ones) are not taken:
 * nothing guards them.
 */

#ifndef WEIR_COMMON_NET_UNIX_SOCKET_H
#define WEIR_COMMON_NET_UNIX_SOCKET_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

#include "common/base/parse.h"

/* Of a file where nothing else is said: for its user and group. */
#define UNIX_SOCKET_MODE 0660

struct unix_socket_spec {
	const char *path;  /* absolute */
	mode_t mode;       /* of the file; who may write may connect */
	const char *group; /* of the file, by name; NULL: the process's */
	int backlog;
};

/* Which file it was, so that no other is removed. */
struct unix_socket_place {
	char path[PARSE_UNIX_PATH_SIZE]; /* "": none */
	dev_t dev;
	ino_t ino;
};

/*
 * Bind and listen; the socket is non-blocking and close-on-exec.
 * Returns 0 or -errno and writes key=value text for the log line to `error`:
 * `socket_in_use address=unix:/run/x held_by="pid 123"`.
 */
int unix_socket_open(const struct unix_socket_spec *spec,
    struct unix_socket_place *out_place, int *out_fd, char *error,
    size_t error_size);

/*
 * For who binds by himself a socket of any `type`, as socket(2) has it: the
 * process that serves the file (1: unknown which), 0 if nobody does, or
 * -errno; and which file it is now, 0 or -errno.
 */
pid_t unix_socket_served_by(const struct sockaddr_un *address, int type);
int unix_socket_find(const char *path, struct unix_socket_place *out_place);

/* If the file is still the one that was made.  A place of zeros is nothing. */
void unix_socket_remove(const struct unix_socket_place *place);

#endif
