/* SPDX-License-Identifier: Apache-2.0 */

#include "common/shm/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Reads taken at most in one drain; a peer cannot keep us here. */
#define DRAIN_READS 64

int
bell_open(struct bell_fds *out_bells)
{
	int err, to_broker, pair[2];

	to_broker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (to_broker == -1)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		pair) == -1) {
		err = -errno;
		close(to_broker);
		return err;
	}
	*out_bells = (struct bell_fds){
		.to_broker = to_broker,
		.to_endpoint_send = pair[0],
		.to_endpoint_wait = pair[1],
	};
	return 0;
}

static void
close_held(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

void
bell_close(struct bell_fds *bells)
{
	close_held(&bells->to_broker);
	close_held(&bells->to_endpoint_send);
	close_held(&bells->to_endpoint_wait);
}

/*
 * Results are ignored on purpose: a full bell has a wake-up waiting already,
 * and of a bell whose peer is gone the control socket tells.
 */
void
bell_ring_broker(int to_broker)
{
	const uint64_t one = 1;
	ssize_t written;

	written = write(to_broker, &one, sizeof(one));
	(void)written;
}

void
bell_ring_endpoint(int to_endpoint_send)
{
	(void)send(to_endpoint_send, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool
bell_drain(int to_endpoint_wait)
{
	char waste[256];
	ssize_t got;

	for (int i = 0; i < DRAIN_READS; i++) {
		got =
		    recv(to_endpoint_wait, waste, sizeof(waste), MSG_DONTWAIT);
		if (got == 0)
			return false;
		if (got == -1 && errno != EINTR)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		if (got > 0 && (size_t)got < sizeof(waste))
			return true;
	}
	return true;
}
