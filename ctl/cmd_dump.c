/* SPDX-License-Identifier: Apache-2.0 */

/* dump - the records in the rings, also of stopped and dead processes. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "ctl/ctl.h"
#include "ctl/dump_diagnosis.h"
#include "ctl/dump_record.h"

#define DEFAULT_LIMIT 1000

/* What a lane's name has, and how people type it. */
#define ARROW "\u2192"
#define TYPED_ARROW "->"

struct settings {
	const char *conf_path;
	bool json;
	bool payload;
	bool released;
	bool oldest;
	bool newest_first;
	uint64_t limit;
};

/* One lane being dumped. */
struct show {
	const struct settings *settings;
	const struct ring_view *view;
	struct ring_dump_lane *lane;
	struct ring_dump dump;
	struct dump_buffer buffer;
	struct table *table; /* NULL: JSON */
};

#define AT(field) offsetof(struct settings, field)

static const struct option_row rows[] = {
	{ 'c', "config", "FILE",
	    "look only at the installation that FILE configures", OPTION_STRING,
	    AT(conf_path), NULL },
	{ 'j', "json", NULL, "print JSON, one object a line", OPTION_FLAG,
	    AT(json), NULL },
	{ 'p', "payload", NULL, "show payloads, too", OPTION_FLAG, AT(payload),
	    NULL },
	{ 'r', "released", NULL,
	    "show also what is released and not yet overwritten", OPTION_FLAG,
	    AT(released), NULL },
	{ 'n', "limit", "N",
	    "show the newest N of each lane (default 1000; 0 is 1048576)",
	    OPTION_U64, AT(limit), NULL },
	{ 'o', "oldest", NULL, "with --limit: the oldest N instead",
	    OPTION_FLAG, AT(oldest), NULL },
	{ 0, "newest-first", NULL, "begin with the newest record", OPTION_FLAG,
	    AT(newest_first), NULL },
};

const struct options cmd_dump_options = {
	.program = "weirctl dump",
	.synopsis = "[-jopr] [-c FILE] [-n N] [LANE]",
	.summary = "Show the records in a lane, or in all, and why they are "
		   "there: read in shared\nmemory, also while a process hangs "
		   "and after it died.  LANE is as weirctl rings\nprints it; "
		   "-> may be typed for the arrow.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static int
print_json(json_t *object)
{
	int err = object == NULL ? -ENOMEM : 0;

	/* ASCII only: what is in it may come from anybody. */
	if (err == 0 &&
	    json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == -1)
		err = -EIO;
	json_decref(object);
	if (err == 0 && putchar('\n') == EOF)
		err = -EIO;
	return err;
}

static int
show_record(struct show *show, const struct ring_dump_record *record)
{
	struct dump_record r;
	int err;

	err = dump_record_read(&show->buffer, show->lane, show->view, record,
	    show->settings->payload, &r);
	if (err == -ESTALE) {
		show->dump.overtaken++;
		return 0;
	}
	if (err != 0)
		return err;
	return show->table != NULL ? dump_record_row(show->table, &r)
				   : print_json(dump_record_to_json(&r));
}

static int
show_records(struct show *show)
{
	const size_t count = show->dump.count;
	int err = 0;

	for (size_t i = 0; i < count && err == 0; i++)
		err = show_record(show,
		    &show->dump
			 .record[show->settings->newest_first ? count - 1 - i
							      : i]);
	if (err == 0 && show->table != NULL && count != 0)
		err = table_print(show->table);
	return err;
}

static int
show_diagnosis(struct show *show)
{
	struct dump_diagnosis diagnosis;

	dump_diagnose(show->view, &show->dump, &diagnosis);
	if (show->table == NULL)
		return print_json(dump_diagnosis_to_json(
		    show->view, &show->dump, &diagnosis));
	dump_diagnosis_print(show->view, &show->dump, &diagnosis);
	return 0;
}

static int
show_open_lane(struct show *show)
{
	const struct settings *settings = show->settings;
	const struct ring_dump_options options = {
		.released = settings->released,
		.limit = settings->limit,
		.keep_oldest = settings->oldest,
	};
	int err;

	if (!settings->json) {
		show->table = table_new(settings->payload
			? dump_record_columns_with_payload
			: dump_record_columns);
		if (show->table == NULL)
			return -ENOMEM;
	}
	err = ring_dump_take(show->lane, &options, &show->dump);
	if (err == 0)
		err = show_records(show);
	if (err == 0)
		err = show_diagnosis(show);
	ring_dump_free(&show->dump);
	dump_buffer_fini(&show->buffer);
	table_free(show->table);
	return err;
}

/* Returns an exit code. */
static int
show_lane(const struct settings *settings, const struct ring_view *view)
{
	struct show show = { .settings = settings, .view = view };
	int err;

	err = ring_dump_open(view, &show.lane);
	if (err == 0)
		err = show_open_lane(&show);
	ring_dump_close(show.lane);
	if (err == 0)
		return EXIT_OK;
	fprintf(stderr, "%s: cannot read %s: %s\n", cmd_dump_options.program,
	    view->name,
	    err == -ENOENT ? "nobody holds its memory any more"
			   : strerror(-err));
	return EXIT_FAILED;
}

/* Is it the lane that was asked for? */
static bool
is_wanted(const struct ring_view *view, const char *name)
{
	const char *typed;
	size_t before;

	if (name == NULL || strcmp(view->name, name) == 0)
		return true;
	typed = strstr(name, TYPED_ARROW);
	if (typed == NULL)
		return false;
	before = (size_t)(typed - name);
	return strncmp(view->name, name, before) == 0 &&
	    strncmp(view->name + before, ARROW, strlen(ARROW)) == 0 &&
	    strcmp(view->name + before + strlen(ARROW),
		typed + strlen(TYPED_ARROW)) == 0;
}

static int
complain(const struct ring_views *views, const char *name)
{
	fprintf(stderr, "%s: ", cmd_dump_options.program);
	if (views->count == 0)
		fputs("no rings: no Weir broker runs here, or its processes "
		      "may not be looked into",
		    stderr);
	else
		fprintf(stderr,
		    "there is no lane \"%s\"; weirctl rings prints their "
		    "names",
		    name);
	if (views->unreadable != 0)
		fprintf(stderr,
		    " (%zu processes could not be looked into: run as root)",
		    views->unreadable);
	fputc('\n', stderr);
	return views->count == 0 ? EXIT_UNAVAILABLE : EXIT_FAILED;
}

static int
show_all(const struct settings *settings, const char *run_dir, const char *name)
{
	struct ring_views views;
	int code = EXIT_OK, err;
	size_t found = 0;

	err = ring_views_take(run_dir, clock_now_ns(), &views);
	if (err != 0) {
		fprintf(stderr, "%s: cannot read the rings: %s\n",
		    cmd_dump_options.program, strerror(-err));
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < views.count; i++) {
		if (!is_wanted(&views.view[i], name))
			continue;
		if (found++ != 0 && !settings->json)
			putchar('\n');
		if (show_lane(settings, &views.view[i]) != EXIT_OK)
			code = EXIT_FAILED;
	}
	if (found == 0)
		code = complain(&views, name);
	ring_views_free(&views);
	return code;
}

int
cmd_dump(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .limit = DEFAULT_LIMIT };
	struct conf *conf;
	int code;

	code = options_parse(&cmd_dump_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc > 2)
		return options_usage_error(&cmd_dump_options,
		    "one lane or none, not \"%s\" too", argv[2]);
	code = ctl_load(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	code = show_all(&settings, conf == NULL ? NULL : conf->run_dir,
	    argc == 2 ? argv[1] : NULL);
	conf_free(conf);
	return code;
}
