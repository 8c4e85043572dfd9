/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/manage_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/exit.h"
#include "ctl/ask.h"
#include "ctl/escape.h"
#include "ctl/table.h"

#define COLUMNS_MAX 16u
#define CELL_BYTES 200u
#define CELL_SIZE ESCAPE_SIZE(CELL_BYTES)

/* ---- tables ------------------------------------------------------------- */

/* A cell in the caller's buffer, printable whatever a client calls itself. */
static const char *
cell(const json_t *value, char text[CELL_SIZE])
{
	if (json_is_string(value))
		escape_bytes(slice_of(json_string_value(value),
				 json_string_length(value)),
		    CELL_BYTES, text);
	else if (json_is_integer(value))
		snprintf(text, CELL_SIZE, "%" JSON_INTEGER_FORMAT,
		    json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(
		    text, CELL_SIZE, "%s", json_is_true(value) ? "yes" : "no");
	else
		snprintf(text, CELL_SIZE, "–");
	return text;
}

static void
print_row(struct table *table, const json_t *entry,
    const struct manage_column *columns)
{
	char(*texts)[CELL_SIZE] = calloc(COLUMNS_MAX, CELL_SIZE);
	const char *cells[COLUMNS_MAX];

	if (texts == NULL)
		return;
	for (size_t i = 0; columns[i].heading != NULL; i++)
		cells[i] =
		    cell(json_object_get(entry, columns[i].key), texts[i]);
	table_row(table, cells);
	free(texts);
}

/* What the answer has and the table does not show. */
static void
print_rest(const json_t *answer, size_t shown)
{
	const json_int_t count =
	    json_integer_value(json_object_get(answer, "count"));

	if (count > (json_int_t)shown)
		printf("%zu of %" JSON_INTEGER_FORMAT
		       ": --limit and --page show the others.\n",
		    shown, count);
}

void
manage_call_table(
    const json_t *answer, const char *key, const struct manage_column *columns)
{
	const json_t *entries = json_object_get(answer, key);
	struct table_column heads[COLUMNS_MAX + 1] = { { NULL, false } };
	struct table *table;

	for (size_t i = 0; columns[i].heading != NULL && i < COLUMNS_MAX; i++)
		heads[i] = (struct table_column){ columns[i].heading,
			columns[i].is_right };
	table = table_new(heads);
	if (table == NULL)
		return;
	for (size_t i = 0; i < json_array_size(entries); i++)
		print_row(table, json_array_get(entries, i), columns);
	table_print(table);
	table_free(table);
	print_rest(answer, json_array_size(entries));
}

/* ---- the call ----------------------------------------------------------- */

static int
print_json(const json_t *answer)
{
	int failed = json_dumpf(answer, stdout, JSON_INDENT(2)) == -1;

	if (putchar('\n') == EOF)
		failed = 1;
	return failed ? EXIT_FAILED : EXIT_OK;
}

/* Of a configuration; each says where it is. */
static void
print_mistakes(const json_t *mistakes)
{
	for (size_t i = 0; i < json_array_size(mistakes); i++)
		fprintf(stderr, "%s\n",
		    json_string_value(json_array_get(mistakes, i)));
}

static int
show(const struct manage_verb *verb, const struct manage_settings *settings,
    const json_t *answer)
{
	static const char no_such[] =
	    "the broker knows no such question: is it older?";
	const json_t *message = json_object_get(answer, "message");
	const json_t *mistakes = json_object_get(answer, "mistakes");

	if (json_integer_value(json_object_get(answer, "status")) != 200) {
		if (settings->json)
			print_json(answer);
		fprintf(stderr, "%s: %s\n", verb->options->program,
		    mistakes != NULL              ? "nothing was changed:"
			: json_is_string(message) ? json_string_value(message)
						  : no_such);
		print_mistakes(mistakes);
		return EXIT_FAILED;
	}
	if (settings->json)
		return print_json(answer);
	verb->print(answer);
	return EXIT_OK;
}

/* Takes `question`. */
static int
ask(const struct manage_verb *verb, const struct manage_settings *settings,
    const struct conf *conf, json_t *question)
{
	json_t *answer;
	int code, err;

	answer = ask_broker_json(conf->run_dir, question, &err);
	if (answer == NULL) {
		fprintf(stderr, "%s: %s (%s)\n", verb->options->program,
		    ask_why_not(err), conf->run_dir);
		return EXIT_UNAVAILABLE;
	}
	code = show(verb, settings, answer);
	json_decref(answer);
	return code;
}

static int
check(const struct manage_verb *verb, int argc, char **argv)
{
	if (argc - 1 < verb->operands)
		return options_usage_error(verb->options,
		    "something is missing: %s", verb->options->synopsis);
	if (argc - 1 > verb->max_operands)
		return options_usage_error(verb->options,
		    "one too many: \"%s\"", argv[verb->max_operands + 1]);
	return OPTIONS_GO;
}

static void
set_number(json_t *question, const char *key, uint64_t value)
{
	if (value != 0)
		json_object_set_new(question, key,
		    json_integer(
			value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

int
manage_call_run(const struct manage_verb *verb, const struct ctl *ctl, int argc,
    char **argv)
{
	struct manage_settings settings = { .conf_path = NULL };
	struct conf *conf = NULL;
	json_t *question;
	int code;

	code = options_parse(verb->options, &settings, &argc, argv);
	if (code == OPTIONS_GO)
		code = check(verb, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	question = verb->question(&settings, argv + 1);
	if (question == NULL)
		return EXIT_USAGE;
	set_number(question, "limit", settings.limit);
	set_number(question, "page", settings.page);
	code = ctl_need(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK) {
		json_decref(question);
		return code;
	}
	code = ask(verb, &settings, conf, question);
	conf_free(conf);
	return code;
}
