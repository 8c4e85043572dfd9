/* SPDX-License-Identifier: Apache-2.0 */

/* The keys as mdoc, section by section in the order of the table. */

#include <string.h>

#include "common/base/parse.h"
#include "common/conf/conf_table.h"

static const char *
type_name(enum conf_type type)
{
	switch (type) {
	case CONF_TYPE_BOOL:
		return "true or false";
	case CONF_TYPE_INT:
		return "number";
	case CONF_TYPE_SIZE:
		return "size";
	case CONF_TYPE_DURATION:
		return "duration";
	case CONF_TYPE_DURATION_OR_NEVER:
		return "duration or never";
	case CONF_TYPE_PATH:
		return "file name";
	case CONF_TYPE_ENUM:
		return "one of";
	case CONF_TYPE_WORDS:
		return "list of";
	case CONF_TYPE_STRINGS:
		return "list of texts";
	case CONF_TYPE_GROUP:
		return "group";
	case CONF_TYPE_LIST:
		return "list of groups";
	default:
		return "text";
	}
}

static void
print_words(const struct conf_key *key, FILE *out)
{
	const char *comma = "";

	for (size_t i = 0; i < conf_word_count; i++) {
		if (strcmp(conf_words[i].key, key->name) != 0 ||
		    conf_words[i].refused != NULL)
			continue;
		fprintf(out, "%s %s", comma, conf_words[i].word);
		comma = ",";
	}
}

static bool
has_range(const struct conf_key *key)
{
	return key->type == CONF_TYPE_INT || key->type == CONF_TYPE_SIZE ||
	    key->type == CONF_TYPE_DURATION ||
	    key->type == CONF_TYPE_DURATION_OR_NEVER;
}

/* "(size, 64KiB to 1GiB, default 1MiB, at restart)" */
static void
print_facts(const struct conf_key *key, FILE *out)
{
	char low[PARSE_TEXT_SIZE], high[PARSE_TEXT_SIZE];

	fprintf(out, "(%s%s", key->takes_one ? "group or " : "",
	    type_name(key->type));
	if (key->type == CONF_TYPE_ENUM || key->type == CONF_TYPE_WORDS)
		print_words(key, out);
	if (has_range(key) && key->min < key->max)
		fprintf(out, ", %s to %s", conf_key_spell(key, key->min, low),
		    conf_key_spell(key, key->max, high));
	if (conf_key_is_required(key))
		fputs(", required", out);
	else if (key->fallback != NULL && key->fallback[0] != '\0')
		fprintf(out, ", default %s", key->fallback);
	if (key->type != CONF_TYPE_GROUP && key->type != CONF_TYPE_LIST &&
	    key->reload != CONF_RESTART)
		fputs(key->reload == CONF_RELOAD
			? ", read again at SIGHUP"
			: ", read again at SIGHUP for a new connection",
		    out);
	fputs(")\n", out);
}

static void
print_key(const struct conf_key *key, const char *prefix, FILE *out)
{
	const char *at;

	fprintf(out, ".It Cm %s%s\n", prefix, key->name);
	/* mdoc wants each sentence on a line of its own. */
	for (at = key->sentence; *at != '\0'; at++) {
		fputc(*at, out);
		if (strncmp(at, ".  ", 3) == 0) {
			fputc('\n', out);
			at += 2;
		}
	}
	fputc('\n', out);
	print_facts(key, out);
}

static void
print_section(enum conf_section section, const char *prefix, FILE *out)
{
	char inner[64];

	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (key->section != section || key->type == CONF_TYPE_REFUSED)
			continue;
		print_key(key, prefix, out);
		if (key->type != CONF_TYPE_GROUP && key->type != CONF_TYPE_LIST)
			continue;
		snprintf(inner, sizeof(inner), "%s%s.", prefix, key->name);
		print_section(key->inner, inner, out);
	}
}

void
conf_print_manual(FILE *out)
{
	print_section(CONF_SECTION_GLOBAL, "", out);
}
