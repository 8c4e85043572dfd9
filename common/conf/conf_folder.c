/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bridges that were made while the broker runs: state_dir/bridges.d/NAME.conf,
 * each the keys of one bridge as they stand in its group.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/conf/conf_table.h"

#define SUFFIX ".conf"

int
conf_bridge_path(
    const char *state_dir, const char *name, char *out, size_t size)
{
	const int length = snprintf(out, size, "%s/%s/%s%s", state_dir,
	    CONF_BRIDGES_FOLDER, name, SUFFIX);

	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

/* "cloud.conf", and no file that an editor or a crash left. */
static int
is_bridge_file(const struct dirent *entry)
{
	const size_t length = strlen(entry->d_name);
	const size_t suffix = sizeof(SUFFIX) - 1;

	return entry->d_name[0] != '.' && length > suffix &&
	    length - suffix <= CONF_MAX_BRIDGE_NAME &&
	    strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

/* One more place at the end; NULL after it was said why not. */
static struct conf_bridge *
add_place(struct conf_reader *reader, struct conf *conf)
{
	struct conf_bridge *bridges;

	if (conf->bridge_count >= CONF_MAX_BRIDGES) {
		conf_mistake(reader, NULL,
		    "this is one bridge too many; %d are allowed in all",
		    CONF_MAX_BRIDGES);
		return NULL;
	}
	bridges =
	    realloc(conf->bridges, (conf->bridge_count + 1) * sizeof(*bridges));
	if (bridges == NULL) {
		reader->no_memory = true;
		return NULL;
	}
	conf->bridges = bridges;
	bridges += conf->bridge_count;
	memset(bridges, 0, sizeof(*bridges));
	return bridges;
}

static void
take_bridge(struct conf_reader *reader, struct conf *conf, const char *name,
    config_t *parsed)
{
	const struct conf_bridge *other = conf_bridge(conf, name);
	config_setting_t *root = config_root_setting(parsed);
	struct conf_bridge *bridge;

	if (other != NULL) {
		conf_mistake(reader, NULL,
		    "there is a bridge \"%s\" in %s already, line %u", name,
		    conf->path, other->line);
		return;
	}
	bridge = add_place(reader, conf);
	if (bridge == NULL)
		return;
	conf->bridge_count++;
	bridge->is_added = true;
	conf_read_section(reader, CONF_SECTION_BRIDGE, root, bridge);
	if (bridge->name != NULL && strcmp(bridge->name, name) != 0)
		conf_mistake(reader, NULL,
		    "name is \"%s\"; it must be that of the file, \"%s\"",
		    bridge->name, name);
}

/* libconfig ends the process when it is given a folder. */
static int
is_file(struct conf_reader *reader)
{
	struct stat st;

	if (stat(reader->path, &st) == 0 && S_ISREG(st.st_mode))
		return 1;
	conf_mistake(reader, NULL, "it is no file that can be read");
	return 0;
}

/* From the file, or the text that would be its own. */
static void
read_one(struct conf_reader *reader, struct conf *conf, const char *name,
    const char *text)
{
	config_t parsed;
	int done;

	if (text == NULL && !is_file(reader))
		return;
	config_init(&parsed);
	done = text != NULL ? config_read_string(&parsed, text)
			    : config_read_file(&parsed, reader->path);
	if (done == CONFIG_TRUE) {
		take_bridge(reader, conf, name, &parsed);
	} else if (config_error_type(&parsed) == CONFIG_ERR_FILE_IO) {
		conf_mistake(reader, NULL, "cannot read: %s", strerror(errno));
	} else {
		fprintf(reader->errors, "%s:%d: %s\n", reader->path,
		    config_error_line(&parsed), config_error_text(&parsed));
		reader->mistakes++;
	}
	config_destroy(&parsed);
}

static void
read_file(struct conf_reader *reader, struct conf *conf, const char *name,
    const char *text)
{
	const char *main_path = reader->path;
	char *main_folder = reader->folder;
	char path[PATH_MAX], folder[PATH_MAX];

	if (conf_bridge_path(conf->state_dir, name, path, sizeof(path)) != 0)
		return;
	snprintf(folder, sizeof(folder), "%s", path);
	strrchr(folder, '/')[1] = '\0';
	reader->path = path;
	reader->folder = folder;
	read_one(reader, conf, name, text);
	reader->path = main_path;
	reader->folder = main_folder;
}

static void
read_entry(struct conf_reader *reader, struct conf *conf, const char *file)
{
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%.*s",
	    (int)(strlen(file) - (sizeof(SUFFIX) - 1)), file);
	if (reader->try_name == NULL || strcmp(reader->try_name, name) != 0)
		read_file(reader, conf, name, NULL);
}

/* Who may not look there, or where nothing is, knows of none. */
void
conf_read_folder(struct conf_reader *reader, struct conf *conf)
{
	struct dirent **entries = NULL;
	char path[PATH_MAX];
	int count;

	if (conf->state_dir == NULL)
		return;
	snprintf(
	    path, sizeof(path), "%s/%s", conf->state_dir, CONF_BRIDGES_FOLDER);
	count = scandir(path, &entries, is_bridge_file, alphasort);
	for (int i = 0; i < count; i++) {
		read_entry(reader, conf, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (reader->try_text != NULL)
		read_file(reader, conf, reader->try_name, reader->try_text);
}
