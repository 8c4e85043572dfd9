/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How much memory there is.  Control groups version 2: a group and all that
 * it lies in may have a limit in memory.max, "max" or bytes.
 */

#include "common/conf/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup"

/* The path of our own group, "" when there is none. */
static void
own_group(char *out_path, size_t size)
{
	char line[512];
	FILE *file;

	out_path[0] = '\0';
	file = fopen("/proc/self/cgroup", "re");
	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(out_path, size, "%s", line + 3);
	}
	fclose(file);
}

/* UINT64_MAX when it has none. */
static uint64_t
limit_of_group(const char *path)
{
	char name[600], text[32];
	uint64_t limit = UINT64_MAX;
	FILE *file;
	char *end;

	snprintf(name, sizeof(name), CGROUPS "%s/memory.max", path);
	file = fopen(name, "re");
	if (file == NULL)
		return UINT64_MAX;
	if (fgets(text, sizeof(text), file) != NULL && text[0] != 'm') {
		errno = 0;
		limit = strtoull(text, &end, 10);
		if (errno != 0 || end == text)
			limit = UINT64_MAX;
	}
	fclose(file);
	return limit;
}

static uint64_t
limit_of_groups(void)
{
	uint64_t least = UINT64_MAX, limit;
	char path[512];
	char *slash;

	own_group(path, sizeof(path));
	while (path[0] != '\0') {
		limit = limit_of_group(path);
		if (limit < least)
			least = limit;
		slash = strrchr(path, '/');
		*slash = '\0';
	}
	return least;
}

static uint64_t
memory_of_machine(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	if (pages <= 0 || size <= 0)
		return UINT64_MAX;
	return (uint64_t)pages * (uint64_t)size;
}

uint64_t
conf_memory_limit(const struct conf *conf, const char **out_whose)
{
	uint64_t group = limit_of_groups(), limit = memory_of_machine();

	*out_whose = "the machine's memory";
	if (group < limit) {
		limit = group;
		*out_whose = "the control group's memory.max";
	}
	if (conf->memory_limit != 0 && conf->memory_limit <= limit) {
		limit = conf->memory_limit;
		*out_whose = "memory_limit";
	}
	return limit;
}
