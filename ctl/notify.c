/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int
notify_open(char *out_address)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	unsigned long long nonce;
	const int on = 1;
	int err, fd, length;

	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		return -errno;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -errno;

	/* An abstract address: nothing to remove when we are killed. */
	length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
	    "weir-run-%d-%016llx", (int)getpid(), nonce);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
		    (size_t)length)) == -1) {
		err = -errno;
		close(fd);
		return err;
	}
	snprintf(
	    out_address, sizeof(address.sun_path), "@%s", address.sun_path + 1);
	return fd;
}

static void
take_control(struct msghdr *header, struct notify_message *message)
{
	struct cmsghdr *c;
	struct ucred credentials;
	size_t count;
	int fd;

	for (c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&credentials, CMSG_DATA(c), sizeof(credentials));
			message->pid = credentials.pid;
		}
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (message->fd_count == 8)
				close(fd);
			else
				message->fds[message->fd_count++] = fd;
		}
	}
}

static void
take_line(struct notify_message *message, const char *line)
{
	if (strcmp(line, "READY=1") == 0)
		message->is_ready = true;
	else if (strcmp(line, "STOPPING=1") == 0)
		message->is_stopping = true;
	else if (strcmp(line, "WATCHDOG=1") == 0)
		message->is_watchdog = true;
	else if (strcmp(line, "FDSTORE=1") == 0)
		message->keeps_fds = true;
	else if (strcmp(line, "FDSTOREREMOVE=1") == 0)
		message->removes_fds = true;
	else if (strncmp(line, "FDNAME=", 7) == 0)
		snprintf(message->name, sizeof(message->name), "%s", line + 7);
	else if (strncmp(line, "STATUS=", 7) == 0)
		snprintf(
		    message->status, sizeof(message->status), "%s", line + 7);
}

int
notify_receive(int fd, struct notify_message *out_message)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) +
		    CMSG_SPACE(253 * sizeof(int))];
	} control;
	char text[4096], *line, *rest = text;
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n == -1)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	*out_message = (struct notify_message){ .name = "stored" };
	take_control(&header, out_message);
	text[n] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL)
		take_line(out_message, line);
	return 1;
}

static bool
is_same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 &&
	    sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static int
keep(struct notify_store *store, const char *name, int fd)
{
	struct notify_fd *fds;

	for (size_t i = 0; i < store->count; i++) {
		if (strcmp(store->fds[i].name, name) == 0 &&
		    is_same_file(store->fds[i].fd, fd)) {
			close(fd);
			return 0;
		}
	}
	if (store->count == NOTIFY_MAX_FDS) {
		close(fd);
		return -ENOSPC;
	}
	fds = reallocarray(store->fds, store->count + 1, sizeof(*fds));
	if (fds == NULL) {
		close(fd);
		return -ENOMEM;
	}
	store->fds = fds;
	fds[store->count].fd = fd;
	snprintf(fds[store->count].name, sizeof(fds->name), "%s", name);
	store->count++;
	return 0;
}

static void
drop(struct notify_store *store, const char *name)
{
	size_t left = 0;

	for (size_t i = 0; i < store->count; i++) {
		if (strcmp(store->fds[i].name, name) == 0)
			close(store->fds[i].fd);
		else
			store->fds[left++] = store->fds[i];
	}
	store->count = left;
}

int
notify_store_apply(struct notify_store *store, struct notify_message *message)
{
	int err = 0, one;

	if (message->removes_fds)
		drop(store, message->name);
	for (size_t i = 0; i < message->fd_count; i++) {
		if (!message->keeps_fds) {
			close(message->fds[i]);
			continue;
		}
		one = keep(store, message->name, message->fds[i]);
		if (one != 0)
			err = one;
	}
	message->fd_count = 0;
	return err;
}

void
notify_store_clear(struct notify_store *store)
{
	for (size_t i = 0; i < store->count; i++)
		close(store->fds[i].fd);
	free(store->fds);
	*store = (struct notify_store){ NULL, 0 };
}
