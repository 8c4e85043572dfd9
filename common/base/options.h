/* SPDX-License-Identifier: Apache-2.0 */

/*
 * options - command lines read by a table.
 *
 *	static const struct option_row rows[] = {
 *		{ 'c', "config", "FILE", "read FILE instead of the default",
 *		    OPTION_STRING, offsetof(struct settings, path), NULL },
 *		{ 'v', "verbose", NULL, "log debug lines",
 *		    OPTION_FLAG, offsetof(struct settings, verbose), NULL },
 *	};
 *	static const struct options options = {
 *		.program = "weir-broker", .synopsis = "[-tv] -c FILE",
 *		.rows = rows, .count = ARRAY_LENGTH(rows),
 *	};
 *
 *	code = options_parse(&options, &settings, &argc, argv);
 *	if (code != OPTIONS_GO)
 *		return code;
 *
 * --help and --version belong to every table.  --help=mdoc and --help=words
 * print the rows for the manual page and for shell completion.
 */

#ifndef WEIR_COMMON_BASE_OPTIONS_H
#define WEIR_COMMON_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifndef ARRAY_LENGTH
#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#endif

/* options_parse(): go on; anything else is what main() returns. */
#define OPTIONS_GO (-1)

/* Where a row puts its value, at `offset` in the target. */
enum option_kind {
	OPTION_FLAG,     /* bool, set to true */
	OPTION_COUNT,    /* unsigned, one more each time */
	OPTION_STRING,   /* const char *, pointing into argv */
	OPTION_U64,      /* uint64_t */
	OPTION_SIZE,     /* uint64_t, bytes */
	OPTION_DURATION, /* uint64_t, nanoseconds */
	OPTION_CALL      /* `call` does it */
};

struct option_row {
	char letter;          /* 0: long name only */
	const char *name;     /* NULL: letter only */
	const char *argument; /* what --help calls it; NULL: takes none */
	const char *help;     /* one line, small first letter, no full stop */
	enum option_kind kind;
	size_t offset;
	/*
	 * Returns NULL, or what is allowed ("one of 0, 1, 2"); `value` is
	 * NULL when the row takes none.
	 */
	const char *(*call)(void *target, const char *value);
};

struct options {
	const char *program;  /* "weir-broker", or "weirctl rings" */
	const char *synopsis; /* what follows the program's name */
	const char *summary;  /* one sentence for --help, or NULL */
	const char *epilogue; /* text below the rows, or NULL */
	const struct option_row *rows;
	size_t count;
	/* A second table with a target of its own, for what programs share. */
	const struct options *more; /* or NULL; only its rows are looked at */
	void *more_target;
	bool stop_at_operand; /* for "weirctl [options] VERB [options]" */
};

/*
 * Read argv[1] up to argv[*argc - 1].  Options may stand before, between and
 * after operands (unless stop_at_operand); "--" ends them.
 * Returns OPTIONS_GO with the operands moved to argv[1] on and *argc set to
 * match; EXIT_OK when help or version was printed on stdout; EXIT_USAGE after
 * a message on stderr.
 */
int options_parse(
    const struct options *options, void *target, int *argc, char **argv);

/*
 * Say on stderr what is wrong with the operands and where help is.
 * Returns EXIT_USAGE.
 */
int options_usage_error(const struct options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void options_print_help(const struct options *options, FILE *out);

/* One `.It Fl c , Fl -config Ar FILE` and its sentence a row. */
void options_print_mdoc(const struct options *options, FILE *out);

/* All options, one a line. */
void options_print_words(const struct options *options, FILE *out);

#endif
