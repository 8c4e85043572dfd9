/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/net/listener.h"
#include "common/service/fdstore.h"

static bool
has_option(int fd, int option, int wanted)
{
	socklen_t length = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 &&
	    value == wanted;
}

/* The control socket is of another type, and rings are no sockets. */
static bool
is_for_clients(int fd)
{
	return fd != -1 && has_option(fd, SO_TYPE, SOCK_STREAM) &&
	    has_option(fd, SO_ACCEPTCONN, 1);
}

int
inherited_take(struct fdstore *store, const char *bind)
{
	struct fdstore_entry *entry;
	int fd, flags;

	for (size_t i = 0; i < store->count; i++) {
		entry = &store->entries[i];
		fd = entry->fd;
		if (!is_for_clients(fd) || !listener_is_at(fd, bind))
			continue;
		flags = fcntl(fd, F_GETFL);
		if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
			return -errno;
		log_info("socket_inherited", "name=%s address=%s",
		    log_quote(entry->name), log_quote(bind));
		entry->fd = -1;
		return fd;
	}
	return -ENOENT;
}

static void
refuse(const struct fdstore_entry *entry)
{
	struct listener *listener;

	/* It names and closes it. */
	if (listener_adopt(entry->fd, &listener) != 0)
		return;
	log_warning("socket_unclaimed",
	    "name=%s address=%s help=\"no listener has this address: add one "
	    "with bind, or take it from the socket unit\"",
	    log_quote(entry->name), log_quote(listener_address(listener)));
	listener_close(listener);
}

void
inherited_close_rest(struct fdstore *store)
{
	size_t kept = 0;

	for (size_t i = 0; i < store->count; i++) {
		struct fdstore_entry *entry = &store->entries[i];

		if (is_for_clients(entry->fd))
			refuse(entry);
		else if (entry->fd != -1)
			store->entries[kept++] = *entry;
	}
	store->count = kept;
}
