/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS_MAX 50
#define CHUNK_BYTES ((size_t)1 << 20)
#define NAME_MAX_BYTES 64

/* Which segments there are, by the store. */
#define MANIFEST "segments"
#define MANIFEST_TRIES 100

/* What a file was when it was copied, or is now. */
struct identity {
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct file {
	char name[NAME_MAX_BYTES];
	struct identity copied; /* inode 0: not */
	bool is_listed;         /* in this round's list */
	bool was_last;          /* when it was copied */
	bool is_segment;
};

struct copying {
	int from, to; /* the folders */
	struct file *files;
	size_t count;
	uint8_t *chunk;
	struct identity manifest; /* as it was copied; inode 0: there is none */
	bool is_whole;            /* this round, up to now */
	journal_backup_fn copied;
	void *arg;
};

static bool
ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length > end_length &&
	    strcmp(name + length - end_length, end) == 0;
}

/* Checkpoints before segments, each by name, which is by age. */
static int
compare_files(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->is_segment != y->is_segment)
		return x->is_segment ? 1 : -1;
	return strcmp(x->name, y->name);
}

static struct file *
find_file(struct copying *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->files[i].name, name) == 0)
			return &c->files[i];
	return NULL;
}

static int
list_file(struct copying *c, const char *name)
{
	struct file *file = find_file(c, name), *grown;

	if (file == NULL) {
		grown = reallocarray(c->files, c->count + 1, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		c->files = grown;
		file = &grown[c->count++];
		*file = (struct file){ .is_segment = ends_with(name, ".seg") };
		memcpy(file->name, name, strlen(name) + 1);
	}
	file->is_listed = true;
	return 0;
}

/* Indexes are made again from segments; other names are nothing that lasts. */
static bool
is_wanted(const char *name)
{
	return strlen(name) < NAME_MAX_BYTES &&
	    (ends_with(name, ".seg") || ends_with(name, ".checkpoint"));
}

/* The names, sorted; 0 or -errno. */
static int
list_files(struct copying *c)
{
	struct dirent *entry;
	int err = 0, fd;
	DIR *dir;

	for (size_t i = 0; i < c->count; i++)
		c->files[i].is_listed = false;
	fd = openat(c->from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	dir = fdopendir(fd);
	if (dir == NULL) {
		err = -errno;
		close(fd);
		return err;
	}
	while (err == 0 && (entry = readdir(dir)) != NULL)
		if (is_wanted(entry->d_name))
			err = list_file(c, entry->d_name);
	closedir(dir);
	if (c->count != 0)
		qsort(c->files, c->count, sizeof(*c->files), compare_files);
	return err;
}

static int
identify(const struct copying *c, const char *name, struct identity *out)
{
	struct stat st;

	if (fstatat(c->from, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	*out = (struct identity){ st.st_ino, st.st_size, st.st_mtim };
	return 0;
}

static bool
is_same(const struct identity *a, const struct identity *b)
{
	if (a->inode == 0 && b->inode == 0)
		return true;
	return a->inode == b->inode && a->size == b->size &&
	    a->changed.tv_sec == b->changed.tv_sec &&
	    a->changed.tv_nsec == b->changed.tv_nsec;
}

static int
copy_bytes(struct copying *c, int in, int out)
{
	ssize_t got, put;

	for (;;) {
		got = read(in, c->chunk, CHUNK_BYTES);
		if (got == 0)
			return fsync(out) == -1 ? -errno : 0;
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -errno;
		for (ssize_t done = 0; done < got; done += put) {
			put = write(out, c->chunk + done, (size_t)(got - done));
			if (put == -1 && errno == EINTR)
				put = 0;
			else if (put <= 0)
				return put == 0 ? -EIO : -errno;
		}
	}
}

/* -ENOENT: it has vanished. */
static int
copy_file(struct copying *c, const char *name)
{
	int in, out, err;

	in = openat(c->from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in == -1)
		return -errno;
	out = openat(c->to, name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out == -1) {
		err = errno == ENOENT ? -EIO : -errno;
		close(in);
		return err;
	}
	err = copy_bytes(c, in, out);
	close(in);
	if (close(out) == -1 && err == 0)
		err = -errno;
	return err;
}

static int
forget_copy(struct copying *c, struct file *file)
{
	file->copied.inode = 0;
	c->is_whole = false;
	return unlinkat(c->to, file->name, 0) == -1 && errno != ENOENT ? -errno
								       : 0;
}

/* One that is listed; `is_last`: it grows, and that is as it should be. */
static int
take_file(struct copying *c, struct file *file, bool is_last)
{
	struct identity before, after = { .inode = 0 };
	int err;

	err = identify(c, file->name, &before);
	/* Time is too coarse to tell whether one that grows has grown. */
	if (err == 0 && file->copied.inode != 0 && !file->was_last &&
	    is_same(&before, &file->copied))
		return 0;
	if (err == 0)
		err = copy_file(c, file->name);
	if (err == 0 && c->copied != NULL)
		c->copied(c->arg, file->name);
	if (err == 0)
		err = identify(c, file->name, &after);
	/* Gone, or used again under another name, while it was copied. */
	if (err == -ENOENT || (err == 0 && before.inode != after.inode))
		return forget_copy(c, file);
	if (err != 0)
		return err;
	if (!is_last && !is_same(&before, &after))
		c->is_whole = false;
	file->copied = before;
	file->was_last = is_last;
	return 0;
}

/* 1: it did not change while the files were listed; 0: it did; -errno. */
static int
try_manifest(struct copying *c)
{
	struct identity after = { .inode = 0 };
	int err;

	c->manifest.inode = 0;
	err = identify(c, MANIFEST, &c->manifest);
	if (err == 0)
		err = copy_file(c, MANIFEST);
	if (err == 0 && c->copied != NULL)
		c->copied(c->arg, MANIFEST);
	if (err == 0 || err == -ENOENT)
		err = list_files(c);
	if (err != 0)
		return err;
	err = identify(c, MANIFEST, &after);
	if (err != 0 && err != -ENOENT)
		return err;
	return is_same(&c->manifest, &after);
}

static int
list_with_manifest(struct copying *c)
{
	int result = 0;

	for (unsigned i = 0; i < MANIFEST_TRIES && result == 0; i++)
		result = try_manifest(c);
	return result == 1 ? 0 : result == 0 ? -EBUSY : result;
}

static int
copy_round(struct copying *c)
{
	size_t last = 0;
	int err;

	err = list_with_manifest(c);
	for (size_t i = 0; i < c->count; i++)
		if (c->files[i].is_listed)
			last = i;
	c->is_whole = true;
	for (size_t i = 0; i < c->count && err == 0; i++)
		if (c->files[i].is_listed)
			err = take_file(c, &c->files[i], i == last);
	return err;
}

static int
copy_all(struct copying *c, struct journal_backup *out_backup)
{
	struct journal_backup backup = { .rounds = 0 };
	int err;

	do {
		if (backup.rounds == ROUNDS_MAX)
			return -EBUSY;
		err = copy_round(c);
		if (err != 0)
			return err;
		backup.rounds++;
	} while (!c->is_whole);
	for (size_t i = 0; i < c->count; i++) {
		if (c->files[i].copied.inode == 0)
			continue;
		backup.files++;
		backup.bytes += (uint64_t)c->files[i].copied.size;
	}
	if (backup.files == 0)
		return -ENOENT;
	if (c->manifest.inode != 0) {
		backup.files++;
		backup.bytes += (uint64_t)c->manifest.size;
	}
	if (fsync(c->to) == -1)
		return -errno;
	*out_backup = backup;
	return 0;
}

static int
open_empty(const char *path, int *out_fd)
{
	struct dirent *entry;
	unsigned names = 0;
	DIR *dir;

	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return -errno;
	dir = opendir(path);
	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL)
		names += strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	if (names != 0)
		return -ENOTEMPTY;
	*out_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out_fd == -1 ? -errno : 0;
}

int
journal_backup(const char *from, const char *to, journal_backup_fn copied,
    void *arg, struct journal_backup *out_backup)
{
	struct copying c = {
		.from = -1,
		.to = -1,
		.chunk = malloc(CHUNK_BYTES),
		.copied = copied,
		.arg = arg,
	};
	int err;

	c.from = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = c.from == -1 ? -errno : 0;
	if (err == 0 && c.chunk == NULL)
		err = -ENOMEM;
	if (err == 0)
		err = open_empty(to, &c.to);
	if (err == 0)
		err = copy_all(&c, out_backup);
	if (c.from != -1)
		close(c.from);
	if (c.to != -1)
		close(c.to);
	free(c.chunk);
	free(c.files);
	return err;
}
