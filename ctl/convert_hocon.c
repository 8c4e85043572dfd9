/* SPDX-License-Identifier: Apache-2.0 */

/*
 * As much of HOCON as configurations of brokers have: objects, lists, paths
 * as keys, values with and without quotes, comments, includes.  What it has
 * not, substitutions, is left out and told.
 *
 * A value without quotes ends with its line, and within braces or brackets
 * with a comma or the brace; # and // begin a comment behind a blank alone,
 * for topic filters and addresses have them too.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/convert_private.h"

#define DEPTH_MAX 32u
#define PATH_SIZE 512u

struct parser {
	struct convert *convert;
	const char *file;
	unsigned line;
	char *at; /* what comes next */
	unsigned depth;
	char path[PATH_SIZE]; /* of the value that is being read */
	size_t path_length;
	void (*each)(void *context, const struct convert_at *at);
	void *context;
};

static void parse_object(struct parser *parser, bool is_top);
static void parse_value(struct parser *parser);

static void
mistake(struct parser *parser, const char *what)
{
	convert_mistake(
	    parser->convert, parser->file, parser->line, "%s", what);
}

static bool
is_over(const struct parser *parser)
{
	return parser->convert->is_wrong || *parser->at == '\0';
}

static void
skip_line(struct parser *parser)
{
	parser->at += strcspn(parser->at, "\n");
}

static bool
is_comment(const char *at)
{
	return *at == '#' || (at[0] == '/' && at[1] == '/');
}

/* Blanks, line ends, comments, and the commas between members. */
static void
skip_space(struct parser *parser)
{
	for (;; parser->at++) {
		if (is_comment(parser->at))
			skip_line(parser);
		if (*parser->at == '\n')
			parser->line++;
		else if (*parser->at == '\0' ||
		    strchr(" \t\r,", *parser->at) == NULL)
			return;
	}
}

static void
skip_blanks(struct parser *parser)
{
	parser->at += strspn(parser->at, " \t\r");
}

/* One step down; its length before is returned, for leave(). */
static size_t
enter(struct parser *parser, const char *name)
{
	size_t before = parser->path_length, length = strlen(name);

	if (parser->depth >= DEPTH_MAX ||
	    before + length + 2 > sizeof(parser->path)) {
		mistake(parser, "too deep");
		return before;
	}
	parser->depth++;
	if (before != 0)
		parser->path[parser->path_length++] = '.';
	memcpy(parser->path + parser->path_length, name, length + 1);
	parser->path_length += length;
	return before;
}

static void
leave(struct parser *parser, size_t before)
{
	parser->path_length = before;
	parser->path[before] = '\0';
	parser->depth--;
}

/* ---- texts ----------------------------------------------------------------
 */

static char
unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	default:
		return c;
	}
}

/* At a quote: the text within, in its place. */
static char *
take_quoted(struct parser *parser)
{
	char *text = parser->at + 1, *from = text, *to = text;

	for (; *from != '"'; from++) {
		if (*from == '\0' || *from == '\n') {
			mistake(parser, "a quote is not closed");
			return text;
		}
		if (*from == '\\' && from[1] != '\0')
			*to++ = unescape(*++from);
		else
			*to++ = *from;
	}
	parser->at = from + 1;
	*to = '\0';
	return text;
}

/* Where a text without quotes ends. */
static char *
end_of_plain(const struct parser *parser)
{
	char *at = parser->at;

	for (; *at != '\0' && *at != '\n'; at++) {
		if (parser->depth > 1 && strchr(",}]", *at) != NULL)
			break;
		if (is_comment(at) && at > parser->at &&
		    (at[-1] == ' ' || at[-1] == '\t'))
			break;
	}
	return at;
}

static void
give(struct parser *parser, const char *value)
{
	const struct convert_at at = { .file = parser->file,
		.line = parser->line,
		.key = parser->path,
		.value = value };

	if (strncmp(value, "${", 2) == 0)
		convert_leave(parser->convert, &at,
		    "substitutions are not followed: write the value");
	else
		parser->each(parser->context, &at);
}

static void
give_plain(struct parser *parser)
{
	char *begin = parser->at, *end = end_of_plain(parser), *last = end;
	char stopper = *end;

	while (last > begin && strchr(" \t\r", last[-1]) != NULL)
		last--;
	parser->at = end;
	*last = '\0';
	give(parser, begin);
	/* It may have been the byte that was cut: put it back. */
	if (last == end)
		*end = stopper;
}

/* ---- structure ------------------------------------------------------------
 */

static void
include(struct parser *parser, const char *path)
{
	struct parser inner = *parser;
	char *text = NULL;

	if (parser->convert->includes >= CONVERT_INCLUDES_MAX)
		mistake(parser, "files include each other");
	else
		text = convert_slurp(path);
	if (text == NULL) {
		if (!parser->convert->is_wrong)
			convert_mistake(parser->convert, parser->file,
			    parser->line, "cannot read %s: %s", path,
			    strerror(errno));
		return;
	}
	parser->convert->includes++;
	inner.file = convert_keep_name(parser->convert, path);
	inner.line = 1;
	inner.at = text;
	parse_object(&inner, true);
	parser->convert->includes--;
	free(text);
}

static void
parse_list(struct parser *parser)
{
	char number[12];
	size_t before;

	parser->at++;
	for (unsigned i = 0;; i++) {
		skip_space(parser);
		if (is_over(parser)) {
			if (!parser->convert->is_wrong)
				mistake(parser, "a [ is not closed");
			return;
		}
		if (*parser->at == ']')
			break;
		if (*parser->at == '}') {
			mistake(parser, "a } in a list");
			return;
		}
		snprintf(number, sizeof(number), "%u", i);
		before = enter(parser, number);
		if (parser->convert->is_wrong)
			return;
		parse_value(parser);
		leave(parser, before);
	}
	parser->at++;
}

static void
parse_value(struct parser *parser)
{
	skip_blanks(parser);
	if (*parser->at == '{') {
		parser->at++;
		parse_object(parser, false);
	} else if (*parser->at == '[') {
		parse_list(parser);
	} else if (*parser->at == '"') {
		give(parser, take_quoted(parser));
	} else {
		give_plain(parser);
	}
}

/* The key, in its place; what followed it is in *out_next. */
static char *
take_key(struct parser *parser, char *out_next)
{
	char *key;

	if (*parser->at == '"') {
		key = take_quoted(parser);
		skip_blanks(parser);
		*out_next = *parser->at;
		return key;
	}
	key = parser->at;
	parser->at += strcspn(key, "=:{ \t\r\n");
	*out_next = *parser->at;
	if (strchr(" \t\r", *out_next) != NULL && *out_next != '\0') {
		*parser->at++ = '\0';
		skip_blanks(parser);
		*out_next = *parser->at;
		return key;
	}
	*parser->at = '\0';
	return key;
}

static void
parse_member(struct parser *parser)
{
	char next, *key = take_key(parser, &next);
	size_t before;

	if (strcmp(key, "include") == 0 && next == '"') {
		include(parser, take_quoted(parser));
		return;
	}
	if (next == '=' && key[0] != '\0' && key[strlen(key) - 1] == '+')
		key[strlen(key) - 1] = '\0';
	else if (next == '+' && parser->at[1] == '=')
		next = *++parser->at;
	if (next != '=' && next != ':' && next != '{') {
		mistake(parser, "a key needs = and its value, or a {");
		return;
	}
	before = enter(parser, key);
	if (parser->convert->is_wrong)
		return;
	parser->at++;
	if (next == '{')
		parse_object(parser, false);
	else
		parse_value(parser);
	leave(parser, before);
}

/* Behind its brace, if it has one, up to behind the closing one. */
static void
parse_object(struct parser *parser, bool is_top)
{
	for (;;) {
		skip_space(parser);
		if (is_over(parser)) {
			if (!is_top && !parser->convert->is_wrong)
				mistake(parser, "a { is not closed");
			return;
		}
		if (*parser->at == '}') {
			if (is_top)
				mistake(parser, "a } without its {");
			parser->at++;
			return;
		}
		parse_member(parser);
	}
}

void
convert_hocon(struct convert *convert, const char *path, char *text,
    void (*each)(void *context, const struct convert_at *at), void *context)
{
	struct parser parser = { .convert = convert,
		.file = path,
		.line = 1,
		.at = text,
		.each = each,
		.context = context };

	parse_object(&parser, true);
}
