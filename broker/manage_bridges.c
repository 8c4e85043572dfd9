/* SPDX-License-Identifier: Apache-2.0 */

/* Bridges are made, changed and removed: their files in state_dir. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/links_private.h"
#include "broker/manage.h"
#include "broker/manage_conf.h"
#include "broker/manage_file.h"
#include "broker/manage_orders.h"
#include "common/base/log.h"

/* The programs of the bridges read it too: the group's, not all the world's. */
#define BRIDGE_MODE 0640

/* One change, until its file is written. */
struct change {
	struct manage_ask *ask;
	bool is_delete;
	bool was_there;
	char name[CONF_MAX_BRIDGE_NAME + 1];
};

/* ---- what is configured -------------------------------------------------- */

/* Its name is a file's name too.  0, or it was refused. */
static int
take_name(struct manage_ask *ask, const json_t *question, struct change *change)
{
	struct slice name;

	if (manage_needs_string(ask, question, "name", &name) != 0)
		return -EINVAL;
	if (name.len == 0 || name.len > CONF_MAX_BRIDGE_NAME ||
	    name.data[0] == '.' || memchr(name.data, '/', name.len) != NULL ||
	    memchr(name.data, '"', name.len) != NULL ||
	    memchr(name.data, '\\', name.len) != NULL ||
	    memchr(name.data, '\0', name.len) != NULL) {
		manage_refuse(ask, 400,
		    "\"name\" must be a name for a bridge, of at most %d "
		    "letters, digits, - and _",
		    CONF_MAX_BRIDGE_NAME);
		return -EINVAL;
	}
	memcpy(change->name, name.data, name.len);
	return 0;
}

/*
 * The configuration if the bridge had this text (NULL: if it were not there).
 * NULL after the ask was refused.
 */
static struct conf *
try_conf(struct manage_ask *ask, const struct change *change, const char *text)
{
	const char *path = ask->links->broker->conf->path;
	struct conf *conf = NULL;
	char *mistakes = NULL;
	size_t length;
	FILE *errors = open_memstream(&mistakes, &length);
	int err = -ENOMEM;

	if (errors != NULL) {
		err = conf_try_bridge(path, change->name, text, &conf, errors);
		fclose(errors);
	}
	if (err != 0)
		manage_refuse_mistakes(ask, mistakes, err);
	free(mistakes);
	return err == 0 ? conf : NULL;
}

/* What weir.conf has is changed there alone.  0, or it was refused. */
static int
check_origin(struct manage_ask *ask, const struct change *change)
{
	struct conf *conf = try_conf(ask, change, NULL);
	const struct conf_bridge *own;
	int err = 0;

	if (conf == NULL)
		return -EINVAL;
	own = conf_bridge(conf, change->name);
	if (own != NULL) {
		manage_refuse(ask, 409,
		    "bridge \"%s\" is configured in %s:%u: change it there, "
		    "and reload",
		    change->name, conf->path, own->line);
		err = -EEXIST;
	}
	conf_free(conf);
	return err;
}

static bool
is_there(const struct manage_ask *ask, const struct change *change, char *path)
{
	return conf_bridge_path(ask->links->broker->conf->state_dir,
		   change->name, path, PATH_MAX) == 0 &&
	    access(path, F_OK) == 0;
}

/* ---- the change -----------------------------------------------------------
 */

static void
on_written(void *context, int err)
{
	struct change *change = context;
	struct manage_ask *ask = change->ask;
	json_t *answer;

	if (err != 0) {
		manage_refuse(ask, 500,
		    "this cannot be kept in state_dir: %s; nothing was changed",
		    strerror(-err));
		free(change);
		return;
	}
	log_info(change->is_delete ? "bridge_deleted" : "bridge_configured",
	    "bridge=%s", log_quote(change->name));
	answer = json_pack("{s:s, s:b}", "name", change->name,
	    change->is_delete ? "deleted" : "created",
	    (int)(change->is_delete || !change->was_there));
	free(change);
	manage_reload_and_answer(ask, answer);
}

/* Takes the change. */
static void
write_file(struct manage_ask *ask, struct change *change, const char *path,
    const char *text)
{
	const int err = manage_file_write(
	    ask->links, path, text, BRIDGE_MODE, on_written, change);

	if (err == 0)
		return;
	free(change);
	manage_refuse(ask, 503,
	    err == -EBUSY ? "another change is being kept: try again"
			  : "the broker has no memory for this");
}

/* ---- put ------------------------------------------------------------------
 */

/* 0 with the text, or it was refused. */
static int
make_text(struct manage_ask *ask, const struct change *change,
    const json_t *question, char **out_text)
{
	const json_t *bridge = json_object_get(question, "bridge");
	const json_t *name = json_object_get(bridge, "name");
	const char *why;

	if (!json_is_object(bridge)) {
		manage_refuse(ask, 400,
		    "\"bridge\" must be an object with the keys of a bridge, "
		    "see weir.conf(5)");
		return -EINVAL;
	}
	if (name != NULL &&
	    (!json_is_string(name) ||
		strcmp(json_string_value(name), change->name) != 0)) {
		manage_refuse(ask, 400, "the bridge's own \"name\" is another");
		return -EINVAL;
	}
	*out_text = manage_conf_text(change->name, bridge, &why);
	if (*out_text != NULL)
		return 0;
	manage_refuse(ask, 400, "\"bridge\" cannot be configured: %s", why);
	return -EINVAL;
}

/* With "create" it must not be there, whoever configured it. */
static int
check_new(
    struct manage_ask *ask, const json_t *question, const struct change *change)
{
	const struct conf *conf = broker_configured(ask->links->broker);
	char path[PATH_MAX];

	if (!json_is_true(json_object_get(question, "create")) ||
	    (conf_bridge(conf, change->name) == NULL &&
		!is_there(ask, change, path)))
		return 0;
	manage_refuse(ask, 409,
	    "there is a bridge \"%s\"; PUT, without \"create\", changes it",
	    change->name);
	return -EEXIST;
}

static int
begin_put(struct manage_ask *ask, const json_t *question, struct change *change)
{
	char path[PATH_MAX], *text = NULL;
	struct conf *conf;

	if (take_name(ask, question, change) != 0 ||
	    check_new(ask, question, change) != 0 ||
	    check_origin(ask, change) != 0 ||
	    make_text(ask, change, question, &text) != 0)
		return -EINVAL;
	conf = try_conf(ask, change, text);
	if (conf == NULL) {
		free(text);
		return -EINVAL;
	}
	conf_free(conf);
	change->was_there = is_there(ask, change, path);
	write_file(ask, change, path, text);
	free(text);
	return 0;
}

/* A change of its own for the order; it lives on only if it was begun. */
static void
run(struct manage_ask *ask, const json_t *question,
    int (*begin)(
	struct manage_ask *ask, const json_t *question, struct change *change))
{
	struct change *change = calloc(1, sizeof(*change));

	if (change == NULL) {
		manage_answer(ask, NULL);
		return;
	}
	change->ask = ask;
	if (begin(ask, question, change) != 0)
		free(change);
}

static void
run_put(struct manage_ask *ask, const json_t *question)
{
	run(ask, question, begin_put);
}

void
manage_bridge_put(struct manage_ask *ask, const json_t *question)
{
	manage_defer(ask, question, run_put);
}

/* ---- delete ---------------------------------------------------------------
 */

static int
begin_delete(
    struct manage_ask *ask, const json_t *question, struct change *change)
{
	char path[PATH_MAX];

	if (take_name(ask, question, change) != 0 ||
	    check_origin(ask, change) != 0)
		return -EINVAL;
	if (!is_there(ask, change, path)) {
		manage_refuse(
		    ask, 404, "there is no bridge \"%s\"", change->name);
		return -ENOENT;
	}
	change->is_delete = true;
	write_file(ask, change, path, NULL);
	return 0;
}

static void
run_delete(struct manage_ask *ask, const json_t *question)
{
	run(ask, question, begin_delete);
}

void
manage_bridge_delete(struct manage_ask *ask, const json_t *question)
{
	manage_defer(ask, question, run_delete);
}
