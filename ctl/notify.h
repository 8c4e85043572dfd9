/* SPDX-License-Identifier: Apache-2.0 */

/*
 * notify - the supervisor's end of sd_notify(3), with a descriptor store.
 *
 * One datagram socket serves all children; the kernel says which process
 * sent a message (SCM_CREDENTIALS).  Understood are READY=1, STOPPING=1,
 * STATUS=, WATCHDOG=1, FDSTORE=1 with FDNAME=, and FDSTOREREMOVE=1.
 */

#ifndef WEIR_CTL_NOTIFY_H
#define WEIR_CTL_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define NOTIFY_MAX_FDS 512 /* a child may have kept, as in the units */
#define NOTIFY_NAME_MAX 256

struct notify_fd {
	char name[NOTIFY_NAME_MAX];
	int fd;
};

struct notify_store {
	struct notify_fd *fds;
	size_t count;
};

struct notify_message {
	pid_t pid;
	bool is_ready;
	bool is_stopping;
	bool is_watchdog;
	bool keeps_fds;
	bool removes_fds;
	char name[NOTIFY_NAME_MAX]; /* FDNAME, "stored" when not given */
	char status[256];           /* "" when not given */
	int fds[8];
	size_t fd_count;
};

/*
 * Open the socket.  Its address for NOTIFY_SOCKET goes to `out_address`
 * (room for 108 bytes).  Returns the descriptor or -errno.
 */
int notify_open(char *out_address);

/*
 * Receive one message.  Returns 1, 0 when there is none, or -errno.
 * Descriptors in it are the caller's: give them to notify_store_apply().
 */
int notify_receive(int fd, struct notify_message *out_message);

/*
 * Keep or remove descriptors as the message says; closes what is not kept.
 * A descriptor of a file that is kept already under the same name is closed.
 * Returns 0, -ENOSPC when the store is full, or -ENOMEM.
 */
int notify_store_apply(
    struct notify_store *store, struct notify_message *message);

void notify_store_clear(struct notify_store *store);

#endif
