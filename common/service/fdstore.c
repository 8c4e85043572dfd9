/* SPDX-License-Identifier: Apache-2.0 */

#include "common/service/fdstore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* sd_listen_fds() has set close-on-exec already. */
int
fdstore_init(struct fdstore *store)
{
	char **names = NULL;
	int count;

	*store = (struct fdstore){ 0 };
	count = sd_listen_fds_with_names(1, &names);
	if (count <= 0)
		return count;
	store->entries = calloc((size_t)count, sizeof(*store->entries));
	if (store->entries == NULL)
		goto no_memory;
	store->count = (size_t)count;
	for (int i = 0; i < count; i++) {
		store->entries[i].fd = SD_LISTEN_FDS_START + i;
		snprintf(store->entries[i].name, FDSTORE_NAME_MAX + 1, "%s",
		    names[i]);
		free(names[i]);
	}
	free(names);
	return 0;

no_memory:
	for (int i = 0; i < count; i++) {
		close(SD_LISTEN_FDS_START + i);
		free(names[i]);
	}
	free(names);
	return -ENOMEM;
}

void
fdstore_fini(struct fdstore *store)
{
	for (size_t i = 0; i < store->count; i++)
		if (store->entries[i].fd != -1)
			close(store->entries[i].fd);
	free(store->entries);
	*store = (struct fdstore){ 0 };
}

int
fdstore_take(struct fdstore *store, const char *name)
{
	int fd;

	for (size_t i = 0; i < store->count; i++) {
		fd = store->entries[i].fd;
		if (fd == -1 || strcmp(store->entries[i].name, name) != 0)
			continue;
		store->entries[i].fd = -1;
		return fd;
	}
	return -ENOENT;
}

bool
fdstore_is_available(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

static bool
is_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > FDSTORE_NAME_MAX)
		return false;
	for (; *name != '\0'; name++)
		if (*name <= ' ' || *name == 0x7f || *name == ':')
			return false;
	return true;
}

static int
notify(const char *verb, const char *name, const char *more, const int *fd)
{
	char message[FDSTORE_NAME_MAX + 64];
	int result;

	if (!is_name(name))
		return -EINVAL;
	snprintf(message, sizeof(message), "%s\nFDNAME=%s%s", verb, name, more);
	result = sd_pid_notify_with_fds(0, 0, message, fd, fd == NULL ? 0 : 1);
	if (result == 0)
		return -ENOTCONN;
	return result < 0 ? result : 0;
}

int
fdstore_keep(const char *name, int fd)
{
	/* Without polling: a memfd or listening socket never hangs up. */
	return notify("FDSTORE=1", name, "\nFDPOLL=0", &fd);
}

int
fdstore_remove(const char *name)
{
	return notify("FDSTOREREMOVE=1", name, "", NULL);
}
