/* SPDX-License-Identifier: Apache-2.0 */

#include "common/shm/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int
memfd_create_sealed(const char *name, size_t length)
{
	int err, fd;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -errno;
	/* Without the mode anyone could reopen a read-only copy for writing. */
	if (fchmod(fd, S_IRUSR | S_IWUSR) == -1 ||
	    ftruncate(fd, (off_t)length) == -1 ||
	    fcntl(fd, F_ADD_SEALS, SEALS) == -1) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int
reopen(int fd, int mode)
{
	char path[32];
	int copy;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, mode | O_CLOEXEC);
	return copy == -1 ? -errno : copy;
}

int
memfd_reopen_read_only(int fd)
{
	return reopen(fd, O_RDONLY);
}

int
memfd_reopen_writable(int fd)
{
	return reopen(fd, O_RDWR);
}

int
memfd_check(int fd, size_t length)
{
	struct statfs fs;
	struct stat st;
	int seals;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != length)
		return -EBADMSG;
	if (fstatfs(fd, &fs) == -1)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC)
		return -EBADMSG;
	/* EINVAL: a file that cannot be sealed, so not a memfd. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals == -1)
		return errno == EINVAL ? -EBADMSG : -errno;
	return (seals & SEALS) == SEALS ? 0 : -EBADMSG;
}

int
memfd_map(int fd, size_t length, bool writable, void **out_map)
{
	int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	void *map;

	map = mmap(NULL, length, protection, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*out_map = map;
	return 0;
}

static int
allocate(int fd, int mode, size_t offset, size_t length)
{
	while (fallocate(fd, mode, (off_t)offset, (off_t)length) == -1) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int
memfd_allocate(int fd, size_t offset, size_t length)
{
	return allocate(fd, 0, offset, length);
}

int
memfd_punch(int fd, size_t offset, size_t length)
{
	return allocate(
	    fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}
