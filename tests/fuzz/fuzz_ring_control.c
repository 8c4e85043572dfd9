/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_ring_control - messages on the control socket, from who has not been
 * believed yet.
 *
 * The first byte says how many descriptors come along, the second which type
 * the message claims (of those there are, mostly) and whether it has the
 * length of a message of that type; the rest is what it holds.  No descriptor
 * may be lost or left open.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ring/ring_control.h"
#include "common/shm/fdpass.h"
#include "tests/fuzz/fuzz.h"

static int pair[2], null_fd = -1;
static struct ring_control_message message;

/* The number that the next descriptor gets. */
static int
next_fd(void)
{
	int fd = dup(null_fd);

	require(fd >= 0);
	close(fd);
	return fd;
}

static void
start(void)
{
	require(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* What the header says of a message that was taken. */
static void
check(const struct ring_control_message *m)
{
	require(m->body.header.magic == RING_CONTROL_MAGIC);
	require(m->body.header.type == m->type);
	require(m->type >= RING_CONTROL_HELLO && m->type <= RING_CONTROL_ORDER);
	require(strlen(m->text) == m->text_length);
	for (unsigned i = 0; i < m->fd_count; i++)
		require((fcntl(m->fds[i], F_GETFD) & FD_CLOEXEC) != 0);
	if (m->type == RING_CONTROL_HELLO) {
		require(strlen(m->body.hello.name) < RING_NAME_MAX);
		require(strlen(m->body.hello.boot_id) < 40);
	}
	require((m->type == RING_CONTROL_GRANT) == (m->fd_count >= 4));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ring_control_header honest = { RING_CONTROL_MAGIC,
		0 };
	struct ring_control_header header = honest;
	int fds[FDPASS_MAX], lowest, got;
	uint8_t *copy;
	size_t length;

	if (size < 3)
		return 0;
	if (null_fd == -1)
		start();
	lowest = next_fd();
	for (unsigned i = 0; i < FDPASS_MAX; i++)
		fds[i] = null_fd;
	header.type = data[1] & 0x1f;
	length = size - 2;
	copy = malloc(length + sizeof(header));
	memcpy(copy, &header, sizeof(header));
	memcpy(copy + sizeof(header), data + 2, length);
	/* Some without our header: any bytes at all. */
	if ((data[1] & 0xe0) == 0xe0)
		require(fdpass_send(pair[0], data + 2, length, fds,
			    data[0] % (FDPASS_MAX + 1)) == 0);
	else
		require(fdpass_send(pair[0], copy, length + sizeof(header), fds,
			    data[0] % (FDPASS_MAX + 1)) == 0);
	free(copy);
	got = ring_control_receive(pair[1], &message);
	require(got == 1 || got == -EBADMSG);
	if (got == 1) {
		check(&message);
		ring_control_close_fds(&message);
	}
	require(next_fd() == lowest);
	require(ring_control_receive(pair[1], &message) == -EAGAIN);
	return 0;
}
