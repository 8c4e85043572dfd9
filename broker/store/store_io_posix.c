/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/store_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/clock.h"

#define ZEROS_BYTES (UINT64_C(1) << 20)

struct posix {
	int directory; /* also holds the lock */
};

static int
directory_of(void *context)
{
	return ((struct posix *)context)->directory;
}

static int
posix_open(void *context, const char *name, enum store_open how)
{
	int flags = O_CLOEXEC | O_NOFOLLOW, file;

	if (how == STORE_OPEN_READ)
		flags |= O_RDONLY;
	else if (how == STORE_OPEN_WRITE)
		flags |= O_RDWR;
	else
		flags |= O_RDWR | O_CREAT | O_EXCL;

	do
		file = openat(directory_of(context), name, flags, 0600);
	while (file == -1 && errno == EINTR);
	return file == -1 ? -errno : file;
}

static void
posix_close(void *context, int file)
{
	(void)context;
	close(file);
}

static int64_t
posix_read(void *context, int file, void *bytes, size_t length, uint64_t offset)
{
	size_t done = 0;
	ssize_t n;

	(void)context;
	while (done < length) {
		n = pread(file, (char *)bytes + done, length - done,
		    (off_t)(offset + done));
		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return (int64_t)done;
}

static int
posix_write(
    void *context, int file, const void *bytes, size_t length, uint64_t offset)
{
	size_t done = 0;
	ssize_t n;

	(void)context;
	while (done < length) {
		n = pwrite(file, (const char *)bytes + done, length - done,
		    (off_t)(offset + done));
		if (n > 0)
			done += (size_t)n;
		else if (n == 0)
			return -EIO;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int
posix_sync(void *context, int file)
{
	(void)context;
	/* Not again after EINTR: the error of a sync is reported once. */
	return fdatasync(file) == -1 ? -errno : 0;
}

/*
 * Zeros are written because blocks that are only reserved are converted by
 * the first write into them, and each sync then has metadata to write too.
 */
static int
posix_allocate(void *context, int file, uint64_t size)
{
	uint64_t offset, length;
	void *zeros;
	int err;

	/* In one piece if the file system can; and ENOSPC before the work. */
	if (fallocate(file, 0, 0, (off_t)size) == -1 && errno != EOPNOTSUPP &&
	    errno != EINTR)
		return -errno;

	zeros = calloc(1, ZEROS_BYTES);
	if (zeros == NULL)
		return -ENOMEM;
	for (offset = 0, err = 0; offset < size && err == 0; offset += length) {
		length = size - offset;
		if (length > ZEROS_BYTES)
			length = ZEROS_BYTES;
		err = posix_write(context, file, zeros, length, offset);
	}
	free(zeros);
	return err;
}

static int
posix_truncate(void *context, int file, uint64_t size)
{
	int result;

	(void)context;
	do
		result = ftruncate(file, (off_t)size);
	while (result == -1 && errno == EINTR);
	return result == -1 ? -errno : 0;
}

static int64_t
posix_size(void *context, int file)
{
	struct stat st;

	(void)context;
	return fstat(file, &st) == -1 ? -errno : st.st_size;
}

static int
posix_rename(void *context, const char *from, const char *to)
{
	int directory = directory_of(context);

	return renameat(directory, from, directory, to) == -1 ? -errno : 0;
}

static int
posix_remove(void *context, const char *name)
{
	return unlinkat(directory_of(context), name, 0) == -1 ? -errno : 0;
}

static int
posix_sync_directory(void *context)
{
	return fsync(directory_of(context)) == -1 ? -errno : 0;
}

static int
posix_list(void *context, int (*each)(void *arg, const char *name), void *arg)
{
	struct dirent *entry;
	int fd, result = 0;
	DIR *dir;

	/* Opened anew: a duplicate would share its position. */
	fd = openat(
	    directory_of(context), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	dir = fdopendir(fd);
	if (dir == NULL) {
		result = -errno;
		close(fd);
		return result;
	}
	while (result == 0) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			result = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			result = each(arg, entry->d_name);
	}
	closedir(dir);
	return result;
}

static uint64_t
posix_free_bytes(void *context)
{
	struct statvfs st;

	if (fstatvfs(directory_of(context), &st) == -1)
		return UINT64_MAX;
	return (uint64_t)st.f_bavail * st.f_frsize;
}

static uint64_t
posix_now_ns(void *context)
{
	(void)context;
	return clock_now_ns();
}

static uint64_t
posix_wall_ns(void *context)
{
	(void)context;
	return clock_wall_ns();
}

/* The name of a new directory is an entry of the one that holds it. */
static int
sync_parent(int directory)
{
	int err, parent;

	parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent == -1)
		return -errno;
	err = fsync(parent) == -1 ? -errno : 0;
	close(parent);
	return err;
}

static int
open_directory(const char *path, bool is_read_only)
{
	bool is_new = false;
	int err, fd;

	if (!is_read_only) {
		is_new = mkdir(path, 0700) == 0;
		if (!is_new && errno != EEXIST)
			return -errno;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if (is_read_only)
		return fd;

	err = 0;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	else if (is_new)
		err = sync_parent(fd);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

int
store_io_posix_open(
    const char *directory, bool is_read_only, struct store_io *out_io)
{
	struct posix *posix;
	int fd;

	posix = calloc(1, sizeof(*posix));
	if (posix == NULL)
		return -ENOMEM;
	fd = open_directory(directory, is_read_only);
	if (fd < 0) {
		free(posix);
		return fd;
	}
	posix->directory = fd;
	*out_io = (struct store_io){
		.context = posix,
		.open = posix_open,
		.close = posix_close,
		.read = posix_read,
		.write = posix_write,
		.sync = posix_sync,
		.allocate = posix_allocate,
		.truncate = posix_truncate,
		.size = posix_size,
		.rename = posix_rename,
		.remove = posix_remove,
		.sync_directory = posix_sync_directory,
		.list = posix_list,
		.free_bytes = posix_free_bytes,
		.now_ns = posix_now_ns,
		.wall_ns = posix_wall_ns,
	};
	return 0;
}

void
store_io_posix_close(struct store_io *io)
{
	struct posix *posix = io->context;

	if (posix == NULL)
		return;
	close(posix->directory);
	free(posix);
	io->context = NULL;
}
