/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_names.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

const char *
auth_names_keep(struct auth_names *names, const char *name)
{
	char *const *found, *copy;

	found = tfind(name, &names->root, compare);
	if (found != NULL)
		return *found;
	copy = strdup(name);
	if (copy != NULL && tsearch(copy, &names->root, compare) == NULL) {
		free(copy);
		copy = NULL;
	}
	return copy;
}

void
auth_names_fini(struct auth_names *names)
{
	tdestroy(names->root, free);
	names->root = NULL;
}
