/* SPDX-License-Identifier: Apache-2.0 */

#include "common/shm/fdpass.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kernel passes at most this many (SCM_MAX_FD); room for all of them, so
 * that none is ever cut off and left to the kernel's mercy. */
#define KERNEL_MAX 253

union control_buffer {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(KERNEL_MAX * sizeof(int))];
};

int
fdpass_send(int sock, const void *message, size_t length, const int *fds,
    unsigned count)
{
	struct iovec iov = { .iov_len = length };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control_buffer control;
	struct cmsghdr *header;
	ssize_t sent;

	if (count > FDPASS_MAX)
		return -EINVAL;
	/* sendmsg() does not write; the interface just has no const. */
	memcpy(&iov.iov_base, &message, sizeof(message));
	if (count > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		header = CMSG_FIRSTHDR(&msg);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	}

	do
		sent = sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	return sent == -1 ? -errno : 0;
}

static void
close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* Collect every descriptor that came.  Returns how many. */
static size_t
collect(struct msghdr *msg, int *fds)
{
	struct cmsghdr *header;
	size_t count = 0, more;

	for (header = CMSG_FIRSTHDR(msg); header != NULL;
	     header = CMSG_NXTHDR(msg, header)) {
		if (header->cmsg_level != SOL_SOCKET ||
		    header->cmsg_type != SCM_RIGHTS)
			continue;
		more = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (more > KERNEL_MAX - count)
			more = KERNEL_MAX - count;
		memcpy(fds + count, CMSG_DATA(header), more * sizeof(int));
		count += more;
	}
	return count;
}

/*
 * Who closes with words of ours unread resets the connection.  That is told
 * once, and before the last words of its own, which may say why.
 */
static ssize_t
receive(int sock, struct msghdr *msg)
{
	bool is_reset = false;
	ssize_t got;

	for (;;) {
		got = recvmsg(sock, msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (got == -1 && errno == ECONNRESET && !is_reset)
			is_reset = true;
		else if (got != -1 || errno != EINTR)
			return got;
	}
}

ssize_t
fdpass_recv(int sock, void *message, size_t capacity, int *out_fds,
    unsigned max, unsigned *out_count)
{
	struct iovec iov = { .iov_base = message, .iov_len = capacity };
	union control_buffer control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fds[KERNEL_MAX];
	size_t count;
	ssize_t got;

	got = receive(sock, &msg);
	if (got == -1)
		return -errno;

	count = collect(&msg, fds);
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || count > max) {
		close_all(fds, count);
		return -EMSGSIZE;
	}
	memcpy(out_fds, fds, count * sizeof(int));
	*out_count = (unsigned)count;
	return got;
}
