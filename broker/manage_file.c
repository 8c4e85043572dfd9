/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/manage_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/links_private.h"
#include "common/base/thread.h"

struct manage_file {
	struct mail mail; /* first */
	struct links *links;
	pthread_t thread;
	manage_file_done done;
	void *context;
	int err;
	mode_t mode;
	char *text; /* NULL: to be removed */
	char path[];
};

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
static int
make_folder(const char *path)
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
fill(int fd, const char *text)
{
	size_t left = strlen(text);
	ssize_t n;

	while (left != 0) {
		n = write(fd, text, left);
		if (n == -1 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	return fsync(fd) == -1 ? -errno : 0;
}

static int
replace(const char *path, const char *text, mode_t mode)
{
	char fresh[PATH_MAX];
	int err, fd;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >=
	    sizeof(fresh))
		return -ENAMETOOLONG;
	err = make_folder(path);
	if (err != 0)
		return err;
	fd = open(
	    fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return -errno;
	err = fchmod(fd, mode) == -1 ? -errno : fill(fd, text);
	close(fd);
	if (err == 0 && rename(fresh, path) == -1)
		err = -errno;
	if (err != 0)
		unlink(fresh);
	return err;
}

static void *
run(void *arg)
{
	struct manage_file *file = arg;
	struct mailbox *reply = file->links->broker->links_mailbox;

	if (file->text != NULL)
		file->err = replace(file->path, file->text, file->mode);
	else if (unlink(file->path) == -1)
		file->err = -errno;
	if (file->err == 0)
		file->err = sync_folder(file->path);
	mailbox_put(reply, &file->mail);
	mailbox_wake(reply);
	return NULL;
}

static void
open_done(struct mail *mail, void *owner)
{
	struct manage_file *file = (struct manage_file *)mail;

	(void)owner;
	manage_file_finish(file->links);
	file->done(file->context, file->err);
	free(file->text);
	free(file);
}

int
manage_file_write(struct links *links, const char *path, const char *text,
    mode_t mode, manage_file_done done, void *context)
{
	struct manage_file *file;
	int err;

	if (links->file != NULL)
		return -EBUSY;
	file = calloc(1, sizeof(*file) + strlen(path) + 1);
	if (file == NULL)
		return -ENOMEM;
	strcpy(file->path, path);
	if (text != NULL && (file->text = strdup(text)) == NULL) {
		free(file);
		return -ENOMEM;
	}
	file->mail.open = open_done;
	file->links = links;
	file->mode = mode;
	file->done = done;
	file->context = context;
	err = thread_start(&file->thread, run, file);
	if (err != 0) {
		free(file->text);
		free(file);
		return err;
	}
	links->file = file;
	return 0;
}

void
manage_file_finish(struct links *links)
{
	struct manage_file *file = links == NULL ? NULL : links->file;

	if (file == NULL)
		return;
	pthread_join(file->thread, NULL);
	links->file = NULL;
}
