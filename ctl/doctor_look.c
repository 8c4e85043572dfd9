/* SPDX-License-Identifier: Apache-2.0 */

/* doctor: the facts. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "ctl/ask.h"
#include "ctl/doctor.h"

#define SYNC_BYTES 4096u
#define SYNC_FILE_BYTES (UINT64_C(4) << 20)

/* As systemd/weir.sysusers makes it. */
#define BROKER_USER "weir-broker"

/* ---- the disk ------------------------------------------------------------ */

static int
compare_times(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Written zeros, as the journal's segments are made.  0 or errno. */
static int
allocate(int file)
{
	char zeros[SYNC_BYTES] = { 0 };

	for (uint64_t at = 0; at < SYNC_FILE_BYTES; at += sizeof(zeros))
		if (pwrite(file, zeros, sizeof(zeros), (off_t)at) !=
		    (ssize_t)sizeof(zeros))
			return errno != 0 ? errno : ENOSPC;
	return fsync(file) == -1 ? errno : 0;
}

/* One page after the other; 0 or errno. */
static int
measure(int file, struct doctor_facts *facts)
{
	static const char page[SYNC_BYTES] = "weirctl doctor";
	uint64_t times[DOCTOR_SYNCS], begun, before, now;
	unsigned count = 0;

	begun = now = clock_now_ns();
	while (count < DOCTOR_SYNCS && now - begun < DOCTOR_SYNC_NS) {
		before = now;
		if (pwrite(file, page, sizeof(page),
			(off_t)(count * SYNC_BYTES % SYNC_FILE_BYTES)) !=
			(ssize_t)sizeof(page) ||
		    fdatasync(file) == -1)
			return errno != 0 ? errno : EIO;
		now = clock_now_ns();
		times[count++] = now - before;
	}
	qsort(times, count, sizeof(times[0]), compare_times);
	facts->syncs = count;
	facts->sync_p50_ns = times[count / 2];
	facts->sync_p99_ns = times[count - 1 - count / 100];
	return 0;
}

/* In a file that has no name when it is measured. */
static void
measure_disk(const char *folder, struct doctor_facts *facts)
{
	char path[4300];
	int file;

	errno = 0;
	snprintf(path, sizeof(path), "%s/weirctl-doctor-XXXXXX", folder);
	file = mkostemp(path, O_CLOEXEC);
	if (file == -1) {
		facts->sync_err = errno;
		return;
	}
	unlink(path);
	facts->sync_err = allocate(file);
	if (facts->sync_err == 0)
		facts->sync_err = measure(file, facts);
	close(file);
}

/* Bytes of the files in the journal's folder. */
static uint64_t
folder_bytes(const char *folder)
{
	struct dirent *entry;
	uint64_t sum = 0;
	struct stat st;
	DIR *dir = opendir(folder);

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		if (fstatat(dirfd(dir), entry->d_name, &st,
			AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	closedir(dir);
	return sum;
}

/* ---- folders ------------------------------------------------------------- */

/* The user and group that the broker has, or would have. */
struct who {
	uid_t user;
	gid_t group;
};

static struct who
broker_user(pid_t pid)
{
	const struct passwd *entry;
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (pid != 0 && stat(path, &st) == 0)
		return (struct who){ st.st_uid, st.st_gid };
	entry = geteuid() == 0 ? getpwnam(BROKER_USER) : NULL;
	if (entry != NULL)
		return (struct who){ entry->pw_uid, entry->pw_gid };
	return (struct who){ geteuid(), getegid() };
}

static bool
may_write(const struct stat *st, struct who who)
{
	mode_t wanted = S_IWUSR | S_IXUSR;

	if (who.user == 0)
		return true;
	if (st->st_uid != who.user)
		wanted >>= st->st_gid == who.group ? 3 : 6;
	return (st->st_mode & wanted) == wanted;
}

static void
look_at_folder(const char *path, struct who who, struct doctor_folder *out)
{
	struct statfs fs;
	struct stat st;

	*out = (struct doctor_folder){ .err = 0 };
	if (stat(path, &st) == -1 || statfs(path, &fs) == -1) {
		out->err = errno;
		return;
	}
	out->is_folder = S_ISDIR(st.st_mode);
	out->is_usable = may_write(&st, who);
	out->is_open = (st.st_mode & (S_IROTH | S_IWOTH)) != 0;
	out->is_memory = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
	out->is_remote = fs.f_type == NFS_SUPER_MAGIC ||
	    fs.f_type == SMB_SUPER_MAGIC ||
	    fs.f_type == (long)SMB2_SUPER_MAGIC ||
	    fs.f_type == (long)CIFS_SUPER_MAGIC ||
	    fs.f_type == CEPH_SUPER_MAGIC;
	out->free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
}

/* ---- the rest ------------------------------------------------------------ */

/* What the broker may open, or what a program started from here may. */
static uint64_t
file_limit(pid_t pid)
{
	struct rlimit limit;

	/* Programs raise theirs to the hard limit when they start. */
	if (prlimit(pid, RLIMIT_NOFILE, NULL, &limit) == -1 &&
	    getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return 0;
	return limit.rlim_max;
}

static void
look_at_clock(struct doctor_facts *facts)
{
	struct timex timex = { .modes = 0 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	facts->wall_ns =
	    (uint64_t)now.tv_sec * CLOCK_SECOND_NS + (uint64_t)now.tv_nsec;
	facts->is_clock_synchronised =
	    adjtimex(&timex) != -1 && (timex.status & STA_UNSYNC) == 0;
}

/* The broker's process, 0 if it does not answer. */
static pid_t
look_for_broker(const struct conf *conf, struct doctor_facts *facts)
{
	json_t *status;
	pid_t pid;
	int err;

	status = ask_broker(conf->run_dir, "status", &err);
	facts->is_running = status != NULL;
	facts->no_answer = -err;
	pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
	json_decref(status);
	return pid;
}

static void
look_at_disk(const struct conf *conf, struct doctor_facts *facts)
{
	char journal[4200];
	struct stat st;

	snprintf(journal, sizeof(journal), "%s/journal", conf->state_dir);
	facts->journal_bytes = folder_bytes(journal);
	measure_disk(
	    stat(journal, &st) == 0 ? journal : conf->state_dir, facts);
}

void
doctor_look(const struct conf *conf, struct doctor_facts *out_facts)
{
	struct doctor_facts facts = {
		.has_journal = conf_has_journal(conf),
		.state_dir = conf->state_dir,
		.run_dir = conf->run_dir,
		.journal_max_bytes = conf->journal.max_bytes,
		.max_connections = conf->max_connections,
		.is_memory_set = conf->memory_limit != 0,
		.memory_bound = conf_memory_bound(conf, NULL),
	};
	pid_t pid = look_for_broker(conf, &facts);

	for (size_t i = 0; i < conf->bridge_count; i++)
		facts.backlog_bytes += conf->bridges[i].backlog;
	facts.memory_limit = conf_memory_limit(conf, &facts.memory_whose);
	facts.file_limit = file_limit(pid);
	look_at_folder(conf->state_dir, broker_user(pid), &facts.state);
	look_at_folder(conf->run_dir, broker_user(pid), &facts.run);
	look_at_clock(&facts);
	look_at_disk(conf, &facts);
	*out_facts = facts;
}
