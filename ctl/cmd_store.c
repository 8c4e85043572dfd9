/* SPDX-License-Identifier: Apache-2.0 */

/* store - the journal: `weirctl store WORD`. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/exit.h"
#include "ctl/ask.h"
#include "ctl/cmd_store.h"
#include "ctl/ctl.h"

/* Where nobody configured it. */
#define DEFAULT_SEGMENT (UINT64_C(16) << 20)
#define DEFAULT_MAX (UINT64_C(8) << 30)

struct settings {
	const char *conf_path;
	const char *dir;
	bool json;
	bool queued;
	bool yes;
};

static const struct option_row rows[] = {
	{ 'c', "config", "FILE", "read FILE instead of the default",
	    OPTION_STRING, offsetof(struct settings, conf_path), NULL },
	{ 'd', "dir", "DIR",
	    "the journal in DIR, as a backup, instead of the broker's",
	    OPTION_STRING, offsetof(struct settings, dir), NULL },
	{ 'j', "json", NULL, "print JSON", OPTION_FLAG,
	    offsetof(struct settings, json), NULL },
	{ 'q', "queued", NULL, "list: only those for whom messages wait",
	    OPTION_FLAG, offsetof(struct settings, queued), NULL },
	{ 'y', "yes", NULL, "drop: do it; without this it is only shown",
	    OPTION_FLAG, offsetof(struct settings, yes), NULL },
};

static const struct word {
	const char *name;
	int (*run)(const struct store_call *call);
	bool needs_operand;
	bool may_have_operand;
} words[] = {
	{ "stat", store_stat_run, false, false },
	{ "check", store_check_run, false, false },
	{ "list", store_list_run, false, false },
	{ "export", store_export_run, false, false },
	{ "import", store_import_run, false, true },
	{ "backup", store_backup_run, true, true },
	{ "compact", store_compact_run, false, false },
	{ "drop", store_drop_run, true, true },
};

const struct options cmd_store_options = {
	.program = "weirctl store",
	.synopsis = "[-jqy] [-c FILE | -d DIR] WORD [OPERAND]",
	.summary = "Look at the journal of acknowledged messages and sessions, "
		   "and keep it.",
	.epilogue =
	    "\nWords:\n"
	    "  stat           sizes, sequences, what waits\n"
	    "  check          read all of it; exits 1 if anything is damaged\n"
	    "  list           sessions and bridges, and what waits for them\n"
	    "  export         all of it as JSON lines\n"
	    "  import [FILE]  an export into an empty journal, no broker "
	    "running\n"
	    "  backup DIR     a copy, also while the broker runs, and check "
	    "it\n"
	    "  compact        write a checkpoint and free what it covers\n"
	    "  drop CURSOR    forget what waits for a removed bridge\n",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

int
store_call_open(const struct store_call *call, enum store_access access,
    struct journal_view *out_view)
{
	const struct journal_view_spec spec = {
		.dir = call->dir,
		.segment_bytes = call->journal.segment_bytes,
		.max_bytes = call->journal.max_bytes,
		.is_writable = access != STORE_LOOK,
		.may_make = access == STORE_MAKE,
	};
	int err = journal_view_open(&spec, out_view);

	if (err == 0)
		return EXIT_OK;
	fprintf(stderr, "%s: %s: %s\n", cmd_store_options.program, call->dir,
	    journal_view_why_not(err));
	return err == -ENOENT || err == -EBUSY ? EXIT_UNAVAILABLE : EXIT_OSERR;
}

json_t *
store_call_ask(const struct store_call *call)
{
	json_t *answer;
	int err;

	if (call->run_dir == NULL)
		return NULL;
	answer = ask_broker(call->run_dir, "store", &err);
	if (json_object_get(answer, "error") == NULL)
		return answer;
	json_decref(answer);
	return NULL;
}

int
store_call_print(json_t *object, size_t flags)
{
	int failed = object == NULL ||
	    json_dumpf(object, stdout, flags | JSON_ENSURE_ASCII) == -1;

	json_decref(object);
	if (!failed && putchar('\n') == EOF)
		failed = 1;
	return failed ? EXIT_FAILED : EXIT_OK;
}

static int
run(const struct word *word, const struct settings *settings,
    const struct conf *conf, const char *operand)
{
	struct store_call call = {
		.dir = settings->dir,
		.journal = { DEFAULT_MAX, DEFAULT_SEGMENT },
		.operand = operand,
		.json = settings->json,
		.queued = settings->queued,
		.yes = settings->yes,
	};
	char *dir = NULL;
	int code;

	if (conf != NULL)
		call.journal = conf->journal;
	if (call.dir == NULL) {
		call.run_dir = conf->run_dir;
		if (asprintf(&dir, "%s/journal", conf->state_dir) == -1)
			return EXIT_OSERR;
		call.dir = dir;
	}
	code = word->run(&call);
	free(dir);
	return code;
}

static const struct word *
find_word(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (strcmp(words[i].name, name) == 0)
			return &words[i];
	return NULL;
}

static int
check(int argc, char **argv, const struct word **out_word)
{
	const struct options *options = &cmd_store_options;

	if (argc < 2)
		return options_usage_error(options, "a word is missing");
	*out_word = find_word(argv[1]);
	if (*out_word == NULL)
		return options_usage_error(
		    options, "there is no \"store %s\"", argv[1]);
	if (argc == 2 && (*out_word)->needs_operand)
		return options_usage_error(
		    options, "store %s needs an operand", argv[1]);
	if (argc > 3 || (argc == 3 && !(*out_word)->may_have_operand))
		return options_usage_error(options,
		    "store %s: one too many: \"%s\"", argv[1], argv[argc - 1]);
	return OPTIONS_GO;
}

int
cmd_store(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .conf_path = NULL };
	struct conf *conf = NULL;
	const struct word *word = NULL;
	int code;

	code = options_parse(&cmd_store_options, &settings, &argc, argv);
	if (code == OPTIONS_GO)
		code = check(argc, argv, &word);
	if (code != OPTIONS_GO)
		return code;
	if (settings.dir == NULL)
		code = ctl_need(ctl, settings.conf_path, &conf);
	else if (settings.conf_path != NULL)
		code = ctl_load(ctl, settings.conf_path, &conf);
	else
		code = EXIT_OK;
	if (code == EXIT_OK)
		code = run(word, &settings, conf, argc == 3 ? argv[2] : NULL);
	conf_free(conf);
	return code;
}
