/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_inspect_scan.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/shm/memfd.h"

#define MEMFD_PREFIX "/memfd:weir-"

/* Two clocks, and the kernel's ticks, are not exact to each other. */
#define BIRTH_SLACK_NS (2 * CLOCK_SECOND_NS)

struct ring_scan_seen {
	dev_t device;
	ino_t inode;
};

/* Room for one more element.  Returns the array, moved, or NULL. */
static void *
grow(void *array, size_t count, size_t size)
{
	/* Only at powers of two, so that growing stays cheap. */
	if ((count & (count - 1)) != 0)
		return array;
	return realloc(array, (count == 0 ? 1 : 2 * count) * size);
}

static int
add_seen(struct ring_scan *scan, const struct stat *st, bool *out_is_new)
{
	void *array;

	for (size_t i = 0; i < scan->seen_count; i++) {
		if (scan->seen[i].device == st->st_dev &&
		    scan->seen[i].inode == st->st_ino) {
			*out_is_new = false;
			return 0;
		}
	}
	array = grow(scan->seen, scan->seen_count, sizeof(*scan->seen));
	if (array == NULL)
		return -ENOMEM;
	scan->seen = array;
	scan->seen[scan->seen_count++] = (struct ring_scan_seen){
		.device = st->st_dev,
		.inode = st->st_ino,
	};
	*out_is_new = true;
	return 0;
}

static bool
side_is_valid(const struct ring_side_header *header, int fd)
{
	return header->magic == RING_MAGIC && header->abi == RING_ABI &&
	    header->map_length == RING_SIDE_LENGTH &&
	    header->link < RING_LINKS && header->role >= RING_ROLE_BROKER &&
	    header->role <= RING_ROLE_BRIDGE &&
	    memchr(header->name, '\0', sizeof(header->name)) != NULL &&
	    memchr(header->run_dir, '\0', sizeof(header->run_dir)) != NULL &&
	    memfd_check(fd, RING_SIDE_LENGTH) == 0;
}

static bool
lane_is_valid(const struct ring_lane_header *header, int fd)
{
	return header->magic == RING_LANE_MAGIC && header->abi == RING_ABI &&
	    header->link < RING_LINKS && header->lane < RING_LANES &&
	    header->min_shift >= RING_MIN_SHIFT_LOW &&
	    header->min_shift <= RING_MIN_SHIFT_HIGH && header->classes >= 1 &&
	    header->classes <= RING_CLASSES &&
	    header->map_length ==
	    ring_lane_length(header->min_shift, header->classes) &&
	    memfd_check(fd, header->map_length) == 0;
}

/* Takes the descriptor.  What is no ring memory of ours is passed over. */
static int
add_memory(struct ring_scan *scan, int fd)
{
	struct ring_side_header side;
	struct ring_lane_header lane;
	void *array;

	if (pread(fd, &side, sizeof(side), 0) == sizeof(side) &&
	    side_is_valid(&side, fd)) {
		array = grow(scan->side, scan->sides, sizeof(*scan->side));
		if (array == NULL)
			goto no_memory;
		scan->side = array;
		scan->side[scan->sides].header = side;
		scan->side[scan->sides++].fd = fd;
		return 0;
	}
	if (pread(fd, &lane, sizeof(lane), 0) == sizeof(lane) &&
	    lane_is_valid(&lane, fd)) {
		array = grow(scan->lane, scan->lanes, sizeof(*scan->lane));
		if (array == NULL)
			goto no_memory;
		scan->lane = array;
		scan->lane[scan->lanes++] =
		    (struct ring_scan_lane){ .header = lane, .fd = fd };
		return 0;
	}
	close(fd);
	return 0;

no_memory:
	close(fd);
	return -ENOMEM;
}

/* One descriptor of one process. */
static int
look_at(struct ring_scan *scan, int dir, const char *name)
{
	char target[sizeof(MEMFD_PREFIX)];
	struct stat st;
	bool is_new;
	int err, fd;

	if (readlinkat(dir, name, target, sizeof(target)) <
		(ssize_t)sizeof(MEMFD_PREFIX) - 1 ||
	    memcmp(target, MEMFD_PREFIX, sizeof(MEMFD_PREFIX) - 1) != 0)
		return 0;
	if (fstatat(dir, name, &st, 0) == -1 || !S_ISREG(st.st_mode))
		return 0;
	err = add_seen(scan, &st, &is_new);
	if (err != 0 || !is_new)
		return err;
	/* Gone by now, or not ours to read: then another holder shows it. */
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		scan->seen_count--;
		return 0;
	}
	return add_memory(scan, fd);
}

static int
look_into(struct ring_scan *scan, const char *pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	if (dir == NULL) {
		if (errno == EACCES || errno == EPERM)
			scan->unreadable++;
		return 0;
	}
	while (err == 0 && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			err = look_at(scan, dirfd(dir), entry->d_name);
	closedir(dir);
	return err;
}

int
ring_scan_take(struct ring_scan *scan)
{
	struct dirent *entry;
	DIR *proc;
	int err = 0;

	*scan = (struct ring_scan){ 0 };
	proc = opendir("/proc");
	if (proc == NULL)
		return -errno;
	while (err == 0 && (entry = readdir(proc)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			err = look_into(scan, entry->d_name);
	closedir(proc);
	return err;
}

void
ring_scan_free(struct ring_scan *scan)
{
	for (size_t i = 0; i < scan->sides; i++)
		close(scan->side[i].fd);
	for (size_t i = 0; i < scan->lanes; i++)
		close(scan->lane[i].fd);
	free(scan->side);
	free(scan->lane);
	free(scan->seen);
	*scan = (struct ring_scan){ 0 };
}

/* What follows "PID (NAME) " in /proc/PID/stat; NAME may have anything in it.
 */
static const char *
read_stat(uint64_t pid, char *text, size_t size)
{
	char path[64], *end;
	ssize_t got;
	int fd;

	snprintf(
	    path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return NULL;
	got = read(fd, text, size - 1);
	close(fd);
	if (got <= 0)
		return NULL;
	text[got] = '\0';
	end = strrchr(text, ')');
	return end != NULL && end[1] == ' ' ? end + 2 : NULL;
}

static uint64_t
age_on(clockid_t clock, uint64_t then_ns)
{
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(clock, &now);
	now_ns = (uint64_t)now.tv_sec * CLOCK_SECOND_NS + (uint64_t)now.tv_nsec;
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* Field 22, counted on from field 3, in ticks since the host was started. */
static bool
is_younger_than(const char *stat, uint64_t heartbeat_ns)
{
	const uint64_t tick_ns =
	    CLOCK_SECOND_NS / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t age_ns;

	for (unsigned field = 3; field < 22; field++) {
		stat = strchr(stat, ' ');
		if (stat == NULL)
			return false;
		stat++;
	}
	age_ns = age_on(CLOCK_BOOTTIME, strtoull(stat, NULL, 10) * tick_ns);
	return age_ns + BIRTH_SLACK_NS < age_on(CLOCK_MONOTONIC, heartbeat_ns);
}

enum ring_scan_process
ring_scan_process(uint64_t pid, uint64_t heartbeat_ns)
{
	char text[512];
	const char *stat;

	if (pid == 0)
		return RING_SCAN_GONE;
	stat = read_stat(pid, text, sizeof(text));
	if (stat == NULL || *stat == 'Z' || *stat == 'X' ||
	    is_younger_than(stat, heartbeat_ns))
		return RING_SCAN_GONE;
	return *stat == 'T' || *stat == 't' ? RING_SCAN_STOPPED
					    : RING_SCAN_RUNS;
}
