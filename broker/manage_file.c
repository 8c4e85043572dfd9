/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/manage_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/links_private.h"
#include "broker/small_file.h"
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

static int
replace(const struct manage_file *file)
{
	int err = small_file_make_folder(file->path);

	if (err != 0)
		return err;
	return small_file_replace(
	    file->path, slice_of_string(file->text), file->mode);
}

static void *
run(void *arg)
{
	struct manage_file *file = arg;
	struct mailbox *reply = file->links->broker->links_mailbox;

	file->err =
	    file->text != NULL ? replace(file) : small_file_remove(file->path);
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
