/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
folder_of(const char *path, char folder[PATH_MAX])
{
	char *slash;

	snprintf(folder, PATH_MAX, "%s", path);
	slash = strrchr(folder, '/');
	if (slash != NULL)
		*slash = '\0';
}

static int
sync_folder(const char *path)
{
	char folder[PATH_MAX];
	int err = 0, fd;

	folder_of(path, folder);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if (fsync(fd) == -1)
		err = -errno;
	close(fd);
	return err;
}

/* Also its own name, if it is new. */
int
small_file_make_folder(const char *path)
{
	char folder[PATH_MAX];

	folder_of(path, folder);
	if (mkdir(folder, 0750) == -1)
		return errno == EEXIST ? 0 : -errno;
	if (chmod(folder, 0750) == -1)
		return -errno;
	return sync_folder(folder);
}

static int
fill(int fd, struct slice bytes)
{
	ssize_t n;

	while (bytes.len != 0) {
		n = write(fd, bytes.data, bytes.len);
		if (n == -1 && errno != EINTR)
			return -errno;
		if (n > 0)
			bytes = slice_from(bytes, (size_t)n);
	}
	return fsync(fd) == -1 ? -errno : 0;
}

int
small_file_replace(const char *path, struct slice bytes, mode_t mode)
{
	char fresh[PATH_MAX];
	int err, fd;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >=
	    sizeof(fresh))
		return -ENAMETOOLONG;
	fd = open(
	    fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	err = fchmod(fd, mode) == -1 ? -errno : fill(fd, bytes);
	close(fd);
	if (err == 0 && rename(fresh, path) == -1)
		err = -errno;
	if (err != 0) {
		unlink(fresh);
		return err;
	}
	return sync_folder(path);
}

int
small_file_remove(const char *path)
{
	if (unlink(path) == -1)
		return -errno;
	return sync_folder(path);
}
