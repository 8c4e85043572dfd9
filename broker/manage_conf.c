/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/manage_conf.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rules in lists in a bridge are three. */
#define DEPTH_MAX 6u

static const char too_deep[] = "it has groups in groups in groups";
static const char bad_key[] = "a key has letters, digits, - and _ only";
static const char bad_list[] = "a list must not have null in it";

static const char *write_value(FILE *out, const json_t *value, unsigned depth);

static void
write_string(FILE *out, const json_t *value)
{
	const char *text = json_string_value(value);
	const size_t length = json_string_length(value);
	unsigned char c;

	fputc('"', out);
	for (size_t i = 0; i < length; i++) {
		c = (unsigned char)text[i];
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* Without an L a number is one of 32 bits. */
static void
write_integer(FILE *out, json_int_t value)
{
	fprintf(out, "%" JSON_INTEGER_FORMAT "%s", value,
	    value > INT32_MAX || value < INT32_MIN ? "L" : "");
}

static bool
is_key(const char *key)
{
	if (!isalpha((unsigned char)key[0]))
		return false;
	for (; *key != '\0'; key++)
		if (!isalnum((unsigned char)*key) && *key != '-' && *key != '_')
			return false;
	return true;
}

static const char *
write_member(FILE *out, const char *key, const json_t *value, unsigned depth)
{
	const char *why;

	if (!is_key(key))
		return bad_key;
	fprintf(out, "%s = ", key);
	why = write_value(out, value, depth);
	fputs(depth == 0 ? ";\n" : "; ", out);
	return why;
}

static const char *
write_members(FILE *out, const json_t *object, unsigned depth)
{
	const char *key, *why = NULL;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (why == NULL && !json_is_null(value) &&
		    (depth != 0 || strcmp(key, "name") != 0))
			why = write_member(out, key, value, depth);
	}
	return why;
}

static const char *
write_list(FILE *out, const json_t *list, unsigned depth)
{
	const char *why = NULL;

	fputs("( ", out);
	for (size_t i = 0; i < json_array_size(list) && why == NULL; i++) {
		if (i != 0)
			fputs(", ", out);
		why = json_is_null(json_array_get(list, i))
		    ? bad_list
		    : write_value(out, json_array_get(list, i), depth);
	}
	fputs(" )", out);
	return why;
}

static const char *
write_value(FILE *out, const json_t *value, unsigned depth)
{
	const char *why = NULL;

	if (depth == DEPTH_MAX)
		return too_deep;
	if (json_is_string(value))
		write_string(out, value);
	else if (json_is_integer(value))
		write_integer(out, json_integer_value(value));
	else if (json_is_real(value))
		fprintf(out, "%#.17g", json_real_value(value));
	else if (json_is_boolean(value))
		fputs(json_is_true(value) ? "true" : "false", out);
	else if (json_is_array(value))
		return write_list(out, value, depth + 1);
	else {
		fputs("{ ", out);
		why = write_members(out, value, depth + 1);
		fputs("}", out);
	}
	return why;
}

char *
manage_conf_text(const char *name, const json_t *bridge, const char **out_why)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	*out_why = "there is no memory for it";
	if (out == NULL)
		return NULL;
	fputs("# Written by the broker when it was told to; it may be edited, "
	      "and is read\n# again at a reload.\n",
	    out);
	fprintf(out, "name = \"%s\";\n", name);
	*out_why = write_members(out, bridge, 0);
	if (fclose(out) == 0 && *out_why == NULL)
		return text;
	free(text);
	return NULL;
}
