/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/port_owner.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The kernel's number of TCP_LISTEN in /proc/net/tcp. */
#define STATE_LISTEN 0x0a

/* Returns the inode of a socket that listens on the port, or 0. */
static unsigned long
listening_inode(const char *table, uint16_t port)
{
	char line[512];
	unsigned local_port, state;
	unsigned long inode, found = 0;
	FILE *file = fopen(table, "re");

	if (file == NULL)
		return 0;
	while (found == 0 && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line,
			"%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s "
			"%*s %*s %*s %lu",
			&local_port, &state, &inode) == 3 &&
		    state == STATE_LISTEN && local_port == port)
			found = inode;
	fclose(file);
	return found;
}

static bool
process_has(const char *pid, const char *socket_name)
{
	char path[300], target[64];
	struct dirent *entry;
	bool found = false;
	ssize_t len;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	fds = opendir(path);
	if (fds == NULL)
		return false;
	while (!found && (entry = readdir(fds)) != NULL) {
		len = readlinkat(
		    dirfd(fds), entry->d_name, target, sizeof(target) - 1);
		if (len == -1)
			continue;
		target[len] = '\0';
		found = strcmp(target, socket_name) == 0;
	}
	closedir(fds);
	return found;
}

static void
describe(const char *pid, char *text, size_t size)
{
	char path[300], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (file != NULL) {
		if (fgets(name, sizeof(name), file) == NULL)
			name[0] = '\0';
		fclose(file);
	}
	name[strcspn(name, "\n")] = '\0';
	/* Whoever named the process may be hostile; this goes to a log. */
	for (char *at = name; *at != '\0'; at++)
		if (!isgraph((unsigned char)*at) || *at == '"')
			*at = '?';
	snprintf(text, size, "%s pid %s", name[0] == '\0' ? "?" : name, pid);
}

int
port_owner_find(uint16_t port, char *text, size_t size)
{
	char socket_name[64];
	struct dirent *entry;
	unsigned long inode;
	int err = -ENOENT;
	DIR *proc;

	inode = listening_inode("/proc/net/tcp", port);
	if (inode == 0)
		inode = listening_inode("/proc/net/tcp6", port);
	if (inode == 0)
		return -ENOENT;
	snprintf(socket_name, sizeof(socket_name), "socket:[%lu]", inode);
	proc = opendir("/proc");
	if (proc == NULL)
		return -ENOENT;
	while (err != 0 && (entry = readdir(proc)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    process_has(entry->d_name, socket_name)) {
			describe(entry->d_name, text, size);
			err = 0;
		}
	closedir(proc);
	return err;
}
