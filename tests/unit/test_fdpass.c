/* SPDX-License-Identifier: Apache-2.0 */

#include "common/shm/fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct wire {
	int sender, receiver;
	int pipe[2]; /* pipe[0] is passed around */
};

static struct wire
open_wire(void)
{
	struct wire wire;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	ck_assert_int_eq(pipe(wire.pipe), 0);
	wire.sender = pair[0];
	wire.receiver = pair[1];
	return wire;
}

static void
close_wire(struct wire *wire)
{
	close(wire->sender);
	close(wire->receiver);
	close(wire->pipe[0]);
	close(wire->pipe[1]);
}

/* The same before and after: nothing leaked. */
static int
count_open(void)
{
	int count = 0;

	for (int fd = 0; fd < 512; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			count++;
	return count;
}

START_TEST(a_message_and_its_descriptors_arrive_together)
{
	struct wire wire = open_wire();
	int fds[2] = { wire.pipe[0], wire.pipe[1] }, got[3];
	char buffer[16], byte;
	unsigned count = 9;

	ck_assert_int_eq(fdpass_send(wire.sender, "hello", 5, fds, 2), 0);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, sizeof(buffer), got, 3, &count),
	    5);
	ck_assert_mem_eq(buffer, "hello", 5);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(write(got[1], "z", 1), 1);
	ck_assert_int_eq(read(got[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 'z');
	ck_assert_int_ne(fcntl(got[0], F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(got[1], F_GETFD) & FD_CLOEXEC, 0);
	close(got[0]);
	close(got[1]);
	close_wire(&wire);
}
END_TEST

START_TEST(messages_keep_their_borders)
{
	struct wire wire = open_wire();
	char buffer[16];
	unsigned count;
	int got[1];

	ck_assert_int_eq(fdpass_send(wire.sender, "a", 1, NULL, 0), 0);
	ck_assert_int_eq(fdpass_send(wire.sender, "bc", 2, NULL, 0), 0);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, sizeof(buffer), got, 1, &count),
	    1);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, sizeof(buffer), got, 1, &count),
	    2);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, sizeof(buffer), got, 1, &count),
	    -EAGAIN);
	close_wire(&wire);
}
END_TEST

START_TEST(too_much_is_refused_whole_and_leaks_nothing)
{
	struct wire wire = open_wire();
	int fds[2] = { wire.pipe[0], wire.pipe[1] }, got[2] = { -1, -1 };
	unsigned count = 9;
	char buffer[4];
	int open_before = count_open();

	ck_assert_int_eq(fdpass_send(wire.sender, "12345", 5, fds, 2), 0);
	ck_assert_int_eq(fdpass_send(wire.sender, "1", 1, fds, 2), 0);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, 4, got, 2, &count), -EMSGSIZE);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, 4, got, 1, &count), -EMSGSIZE);
	ck_assert_uint_eq(count, 9);
	ck_assert_int_eq(got[0], -1);
	ck_assert_int_eq(count_open(), open_before);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, 4, got, 2, &count), -EAGAIN);
	close_wire(&wire);
}
END_TEST

/* A peer does not keep to FDPASS_MAX; the kernel's own limit is 253. */
START_TEST(a_flood_of_descriptors_leaks_nothing)
{
	struct wire wire = open_wire();
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fds[253], got[FDPASS_MAX], open_before = count_open();
	unsigned count;
	char byte;

	for (int i = 0; i < 253; i++)
		fds[i] = wire.pipe[0];
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	ck_assert_int_eq(sendmsg(wire.sender, &msg, 0), 1);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, &byte, 1, got, FDPASS_MAX, &count),
	    -EMSGSIZE);
	ck_assert_int_eq(count_open(), open_before);
	close_wire(&wire);
}
END_TEST

START_TEST(last_words_arrive_though_the_peer_did_not_read)
{
	struct wire wire = open_wire();
	char buffer[16];
	unsigned count;
	int fds[1];

	ck_assert_int_eq(fdpass_send(wire.receiver, "unread", 6, NULL, 0), 0);
	ck_assert_int_eq(fdpass_send(wire.sender, "why", 3, NULL, 0), 0);
	close(wire.sender);
	wire.sender = -1;
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, sizeof(buffer), fds, 1, &count),
	    3);
	ck_assert_int_eq(
	    fdpass_recv(wire.receiver, buffer, sizeof(buffer), fds, 1, &count),
	    0);
	close_wire(&wire);
}
END_TEST

START_TEST(never_blocks_and_tells_the_end)
{
	struct wire wire = open_wire();
	static const char big[4096];
	char byte;
	unsigned count;
	int err = 0, got[1];

	for (int i = 0; i < 10000 && err == 0; i++)
		err = fdpass_send(wire.sender, big, sizeof(big), NULL, 0);
	ck_assert_int_eq(err, -EAGAIN);
	close(wire.receiver);
	/* That the peer never read it all is told first, then the end. */
	ck_assert_int_lt(fdpass_send(wire.sender, "x", 1, NULL, 0), 0);
	ck_assert_int_eq(fdpass_send(wire.sender, "x", 1, NULL, 0), -EPIPE);
	ck_assert_int_eq(fdpass_recv(wire.sender, &byte, 1, got, 1, &count), 0);
	ck_assert_int_eq(
	    fdpass_send(wire.sender, "x", 1, got, FDPASS_MAX + 1), -EINVAL);
	wire.receiver = dup(0);
	close_wire(&wire);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fdpass");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_message_and_its_descriptors_arrive_together);
	tcase_add_test(tc, messages_keep_their_borders);
	tcase_add_test(tc, too_much_is_refused_whole_and_leaks_nothing);
	tcase_add_test(tc, a_flood_of_descriptors_leaks_nothing);
	tcase_add_test(tc, last_words_arrive_though_the_peer_did_not_read);
	tcase_add_test(tc, never_blocks_and_tells_the_end);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
