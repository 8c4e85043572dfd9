/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/options.h"

#include <stdarg.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/exit.h"
#include "common/base/parse.h"

/* The help texts of a table line up here, or further right if they must. */
#define MIN_HELP_COLUMN 16
#define MAX_HELP_COLUMN 32

/* Rows that every table has; they are recognised by address. */
static const struct option_row help_row = { 0, "help", NULL,
	"print this help and exit", OPTION_CALL, 0, NULL };
static const struct option_row version_row = { 0, "version", NULL,
	"print the version and exit", OPTION_CALL, 0, NULL };

/* The state of one options_parse(). */
struct parser {
	const struct options *options;
	void *target;
	char **argv;
	int argc;
	int at;       /* the next argument to look at */
	int operands; /* moved to argv[1] on */
	int code;     /* what to return, once it is not OPTIONS_GO */
};

static void __attribute__((format(printf, 2, 0)))
complain(const struct options *options, const char *format, va_list args)
{
	char problem[1024];

	vsnprintf(problem, sizeof(problem), format, args);
	fprintf(stderr, "%s: %s; try %s --help\n", options->program, problem,
	    options->program);
}

int
options_usage_error(const struct options *options, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(options, format, args);
	va_end(args);
	return EXIT_USAGE;
}

static void __attribute__((format(printf, 2, 3)))
refuse(struct parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(p->options, format, args);
	va_end(args);
	p->code = EXIT_USAGE;
}

static size_t
row_count(const struct options *options)
{
	return options->count +
	    (options->more == NULL ? 0 : options->more->count);
}

static const struct option_row *
row_at(const struct options *options, size_t i)
{
	return i < options->count ? &options->rows[i]
				  : &options->more->rows[i - options->count];
}

static void *
target_of(const struct parser *p, const struct option_row *row)
{
	for (size_t i = 0; i < p->options->count; i++)
		if (row == &p->options->rows[i])
			return p->target;
	return p->options->more_target;
}

static const struct option_row *
find_long(const struct options *options, const char *name, size_t len)
{
	for (size_t i = 0; i < row_count(options); i++) {
		const char *row_name = row_at(options, i)->name;

		if (row_name != NULL && strlen(row_name) == len &&
		    memcmp(row_name, name, len) == 0)
			return row_at(options, i);
	}
	if (len == strlen("help") && memcmp(name, "help", len) == 0)
		return &help_row;
	if (len == strlen("version") && memcmp(name, "version", len) == 0)
		return &version_row;
	return NULL;
}

static const struct option_row *
find_letter(const struct options *options, char letter)
{
	for (size_t i = 0; i < row_count(options); i++)
		if (row_at(options, i)->letter == letter)
			return row_at(options, i);
	return NULL;
}

/* Returns NULL, or what is allowed. */
static const char *
store_number(const struct option_row *row, void *field, const char *value)
{
	switch (row->kind) {
	case OPTION_U64:
		return parse_u64(value, field) == 0 ? NULL
						    : "a number, as in 42";
	case OPTION_SIZE:
		return parse_size(value, field) == 0
		    ? NULL
		    : "a size, as in 64KiB or 16MiB";
	case OPTION_DURATION:
		return parse_duration(value, field) == 0
		    ? NULL
		    : "a duration, as in 500ms, 2s or 1h";
	default:
		BUG_ON(true);
		return NULL;
	}
}

static const char *
store(struct parser *p, const struct option_row *row, const char *value)
{
	void *target = target_of(p, row);
	void *field = (char *)target + row->offset;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return NULL;
	case OPTION_COUNT:
		++*(unsigned *)field;
		return NULL;
	case OPTION_STRING:
		*(const char **)field = value;
		return NULL;
	case OPTION_CALL:
		return row->call(target, value);
	case OPTION_U64:
	case OPTION_SIZE:
	case OPTION_DURATION:
	default:
		return store_number(row, field, value);
	}
}

static void
apply(struct parser *p, const struct option_row *row, const char *shown,
    const char *value)
{
	const char *allowed = store(p, row, value);

	if (allowed == NULL)
		return;
	if (value == NULL)
		refuse(p, "%s: %s", shown, allowed);
	else
		refuse(p, "%s: \"%s\" is not %s", shown, value, allowed);
}

static void
print_and_leave(struct parser *p, const struct option_row *row, const char *how)
{
	p->code = EXIT_OK;
	if (row == &version_row && how == NULL)
		printf("%s %s\n", p->options->program, PACKAGE_VERSION);
	else if (row == &version_row)
		refuse(p, "--version takes no value");
	else if (how == NULL)
		options_print_help(p->options, stdout);
	else if (strcmp(how, "mdoc") == 0)
		options_print_mdoc(p->options, stdout);
	else if (strcmp(how, "words") == 0)
		options_print_words(p->options, stdout);
	else
		refuse(p, "--help: \"%s\" is not mdoc or words", how);
	if (fflush(stdout) != 0)
		p->code = EXIT_FAILED;
}

/* The value that stands in the next argument. */
static const char *
take_value(struct parser *p, const struct option_row *row, const char *shown)
{
	if (p->at < p->argc)
		return p->argv[p->at++];
	refuse(p, "option %s needs a value (%s)", shown, row->argument);
	return NULL;
}

static void
read_long(struct parser *p, const char *argument)
{
	const char *name = argument + 2, *equals = strchr(name, '=');
	size_t len = equals == NULL ? strlen(name) : (size_t)(equals - name);
	const char *value = equals == NULL ? NULL : equals + 1;
	const struct option_row *row = find_long(p->options, name, len);
	char shown[64];

	snprintf(shown, sizeof(shown), "--%.*s", (int)len, name);
	if (row == NULL) {
		refuse(p, "unknown option %s", shown);
		return;
	}
	if (row == &help_row || row == &version_row) {
		print_and_leave(p, row, value);
		return;
	}
	if (row->argument == NULL && value != NULL) {
		refuse(p, "option %s takes no value", shown);
		return;
	}
	if (row->argument != NULL && value == NULL) {
		value = take_value(p, row, shown);
		if (value == NULL)
			return;
	}
	apply(p, row, shown, value);
}

/* "-tv" is two flags; "-cFILE" and "-c FILE" are the same. */
static void
read_letters(struct parser *p, const char *argument)
{
	const char *at;

	for (at = argument + 1; *at != '\0' && p->code == OPTIONS_GO; at++) {
		const char shown[] = { '-', *at, '\0' };
		const struct option_row *row = find_letter(p->options, *at);
		const char *value;

		if (row == NULL) {
			refuse(p, "unknown option %s", shown);
			return;
		}
		if (row->argument == NULL) {
			apply(p, row, shown, NULL);
			continue;
		}
		value = at[1] != '\0' ? at + 1 : take_value(p, row, shown);
		if (value != NULL)
			apply(p, row, shown, value);
		return;
	}
}

static void
take_operands(struct parser *p)
{
	while (p->at < p->argc)
		p->argv[1 + p->operands++] = p->argv[p->at++];
}

int
options_parse(
    const struct options *options, void *target, int *argc, char **argv)
{
	struct parser p = { .options = options,
		.target = target,
		.argv = argv,
		.argc = *argc,
		.at = 1,
		.code = OPTIONS_GO };

	while (p.at < p.argc && p.code == OPTIONS_GO) {
		char *argument = argv[p.at++];

		if (strcmp(argument, "--") == 0) {
			take_operands(&p);
		} else if (strncmp(argument, "--", 2) == 0) {
			read_long(&p, argument);
		} else if (argument[0] == '-' && argument[1] != '\0') {
			read_letters(&p, argument);
		} else {
			argv[1 + p.operands++] = argument;
			if (options->stop_at_operand)
				take_operands(&p);
		}
	}
	if (p.code != OPTIONS_GO)
		return p.code;
	*argc = 1 + p.operands;
	argv[*argc] = NULL;
	return OPTIONS_GO;
}

/* "-c, --config FILE"; returns its width. */
static int
spell_row(const struct option_row *row, char *text, size_t size)
{
	char letter[8] = "    ";
	const char *name = row->name == NULL ? "" : row->name;

	if (row->letter != 0)
		snprintf(letter, sizeof(letter), "-%c%s", row->letter,
		    row->name == NULL ? "" : ", ");
	return snprintf(text, size, "  %s%s%s%s%s", letter,
	    row->name == NULL ? "" : "--", name,
	    row->argument == NULL ? "" : " ",
	    row->argument == NULL ? "" : row->argument);
}

static int
help_column(const struct options *options)
{
	char text[128];
	int column = MIN_HELP_COLUMN;

	for (size_t i = 0; i < row_count(options); i++) {
		int width = spell_row(row_at(options, i), text, sizeof(text));

		if (width + 2 > column && width + 2 <= MAX_HELP_COLUMN)
			column = width + 2;
	}
	return column;
}

static void
print_row(const struct option_row *row, int column, FILE *out)
{
	char text[128];
	int width = spell_row(row, text, sizeof(text));

	if (width + 2 <= column)
		fprintf(out, "%-*s%s\n", column, text, row->help);
	else
		fprintf(out, "%s\n%*s%s\n", text, column, "", row->help);
}

void
options_print_help(const struct options *options, FILE *out)
{
	int column = help_column(options);

	fprintf(out, "usage: %s %s\n", options->program, options->synopsis);
	if (options->summary != NULL)
		fprintf(out, "%s\n", options->summary);
	fputs("\n", out);
	for (size_t i = 0; i < row_count(options); i++)
		print_row(row_at(options, i), column, out);
	print_row(&help_row, column, out);
	print_row(&version_row, column, out);
	if (options->epilogue != NULL)
		fprintf(out, "\n%s\n", options->epilogue);
}

/* A backslash begins an escape in mdoc, a dot at the start a macro. */
static void
print_escaped(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text != '\0'; text++)
		fputs(*text == '\\' ? "\\e" : (char[]){ *text, '\0' }, out);
}

static void
print_mdoc_row(const struct option_row *row, FILE *out)
{
	fputs(".It", out);
	if (row->letter != 0)
		fprintf(out, " Fl %c", row->letter);
	if (row->name != NULL)
		fprintf(
		    out, "%s Fl -%s", row->letter != 0 ? " ," : "", row->name);
	if (row->argument != NULL)
		fprintf(out, " Ar %s", row->argument);
	/* The rows are phrases for --help; a manual wants sentences. */
	fputc('\n', out);
	if (row->help[0] >= 'a' && row->help[0] <= 'z') {
		fputc(row->help[0] - 'a' + 'A', out);
		print_escaped(row->help + 1, out);
	} else {
		print_escaped(row->help, out);
	}
	fputs(".\n", out);
}

void
options_print_mdoc(const struct options *options, FILE *out)
{
	for (size_t i = 0; i < row_count(options); i++)
		print_mdoc_row(row_at(options, i), out);
	print_mdoc_row(&help_row, out);
	print_mdoc_row(&version_row, out);
}

void
options_print_words(const struct options *options, FILE *out)
{
	for (size_t i = 0; i < row_count(options); i++) {
		const struct option_row *row = row_at(options, i);

		if (row->letter != 0)
			fprintf(out, "-%c\n", row->letter);
		if (row->name != NULL)
			fprintf(out, "--%s\n", row->name);
	}
	fputs("--help\n--version\n", out);
}
