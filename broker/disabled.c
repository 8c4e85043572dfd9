/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/disabled.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

/* More than all names that there can be. */
#define FILE_MAX 65536u

char *
disabled_read(const char *state_dir)
{
	char path[PATH_MAX];
	char *text;
	size_t length;
	FILE *file;

	if (state_dir == NULL)
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", state_dir, DISABLED_FILE);
	file = fopen(path, "re");
	if (file == NULL) {
		if (errno != ENOENT)
			log_warning("disabled_unreadable", "path=%s error=%s",
			    log_quote(path), log_quote(strerror(errno)));
		return NULL;
	}
	text = calloc(1, FILE_MAX + 1);
	length = text == NULL ? 0 : fread(text, 1, FILE_MAX, file);
	if (text != NULL)
		text[length] = '\0';
	fclose(file);
	return text;
}

bool
disabled_has(const char *text, const char *name)
{
	const size_t length = strlen(name);
	const char *end;

	for (; text != NULL && *text != '\0'; text = end + (*end != '\0')) {
		end = strchrnul(text, '\n');
		if ((size_t)(end - text) == length &&
		    memcmp(text, name, length) == 0)
			return true;
	}
	return false;
}
