/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/programs.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder weirctl itself lies in. */
static int
own_folder(char *out_path, size_t size)
{
	char path[PATH_MAX];
	ssize_t n;

	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n == -1)
		return -errno;
	path[n] = '\0';
	snprintf(out_path, size, "%s", dirname(path));
	return 0;
}

char *
programs_find(const char *folder, const char *name)
{
	char own[PATH_MAX], *places[4] = { NULL, NULL, NULL, NULL };
	char *found = NULL;
	int err;

	err = own_folder(own, sizeof(own));
	if (err != 0) {
		errno = -err;
		return NULL;
	}
	if (asprintf(&places[0], "%s/../%s/%s", own, folder, name) == -1 ||
	    asprintf(&places[1], "%s/%s", own, name) == -1 ||
	    asprintf(&places[2], "%s/../sbin/%s", own, name) == -1 ||
	    asprintf(&places[3], "%s/%s", SBINDIR, name) == -1)
		goto out;
	for (unsigned i = 0; i < 4 && found == NULL; i++) {
		if (access(places[i], X_OK) == 0)
			found = strdup(places[i]);
	}
	if (found == NULL)
		fprintf(stderr,
		    "weirctl: %s is neither in %s/../%s, %s, %s/../sbin nor "
		    "%s: build or install it\n",
		    name, own, folder, own, own, SBINDIR);

out:
	for (unsigned i = 0; i < 4; i++)
		free(places[i]);
	if (found == NULL)
		errno = ENOENT;
	return found;
}
