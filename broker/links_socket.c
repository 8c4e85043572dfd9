/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/ring/ring_control.h"

#define BACKLOG 64

static int
clear_the_place(
    const struct sockaddr_un *address, struct links_socket *out_sock)
{
	pid_t pid = unix_socket_served_by(address, SOCK_SEQPACKET);

	if (pid < 0)
		return (int)pid;
	if (pid == 0) {
		out_sock->was_stale = unlink(address->sun_path) == 0;
		return out_sock->was_stale || errno == ENOENT ? 0 : -errno;
	}
	log_error("run_dir_in_use",
	    "socket=%s pid=%d reason=\"another weir-broker runs on this "
	    "run_dir\" hint=\"stop it, or give this one a run_dir of its own\"",
	    log_quote(address->sun_path), (int)pid);
	return -EADDRINUSE;
}

static int
bind_there(struct links_socket *sock, const struct sockaddr_un *address)
{
	mode_t before;
	int err = 0;

	/* Never open wider than it shall be, not even for a moment. */
	before = umask(0117);
	if (bind(sock->fd, (const struct sockaddr *)address,
		sizeof(*address)) == -1)
		err = -errno;
	umask(before);
	if (err != 0)
		return err;
	if (listen(sock->fd, BACKLOG) == -1)
		return -errno;
	return unix_socket_find(address->sun_path, &sock->place);
}

static int
bind_in(struct links_socket *sock, const char *run_dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int err, n;

	n = snprintf(address.sun_path, sizeof(address.sun_path),
	    "%s/" RING_CONTROL_SOCKET, run_dir);
	if (n >= (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (mkdir(run_dir, 0755) == -1 && errno != EEXIST)
		return -errno;
	err = clear_the_place(&address, sock);
	if (err != 0)
		return err;
	sock->fd =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock->fd == -1)
		return -errno;
	return bind_there(sock, &address);
}

int
links_socket_open(
    struct links_socket *out_socket, const char *run_dir, struct fdstore *store)
{
	struct links_socket sock = { .fd = fdstore_take(store, "ctl") };
	int err;

	if (sock.fd >= 0) {
		*out_socket = sock;
		return 0;
	}
	err = bind_in(&sock, run_dir);
	if (err == 0) {
		*out_socket = sock;
		return 0;
	}
	if (err != -EADDRINUSE)
		log_error("control_socket_failed",
		    "run_dir=%s error=%s hint=\"run_dir must exist and be "
		    "writable, and be short enough for a socket address\"",
		    log_quote(run_dir), log_quote(strerror(-err)));
	if (sock.fd >= 0)
		close(sock.fd);
	return err;
}

void
links_socket_close(struct links_socket *sock)
{
	unix_socket_remove(&sock->place);
	close(sock->fd);
	sock->fd = -1;
}
