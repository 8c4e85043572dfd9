/* SPDX-License-Identifier: Apache-2.0 */

/* A loaded configuration as JSON: what is in force, defaults included. */

#include <string.h>

#include "common/base/bug.h"
#include "common/base/parse.h"
#include "common/conf/conf_table.h"

/* Where secrets are. */
#define HIDDEN "***"

static const void *
field_of(const struct conf_key *key, const void *target)
{
	return (const char *)target + key->offset;
}

static uint64_t
load_u64(const struct conf_key *key, const void *target)
{
	const void *field = field_of(key, target);

	switch (key->size) {
	case 1:
		return *(const uint8_t *)field;
	case 2:
		return *(const uint16_t *)field;
	case 4:
		return *(const uint32_t *)field;
	case 8:
		return *(const uint64_t *)field;
	default:
		BUG_ON(true);
		return 0;
	}
}

static bool
is_container(const struct conf_key *key)
{
	return key->type == CONF_TYPE_GROUP || key->type == CONF_TYPE_LIST;
}

bool
conf_key_is_secret(const struct conf_key *key)
{
	/* A file's name tells nothing; what is in it is not kept here. */
	return key->type == CONF_TYPE_STRING &&
	    (strstr(key->name, "password") != NULL ||
		strstr(key->name, "secret") != NULL ||
		strstr(key->name, "psk") != NULL ||
		strstr(key->name, "token") != NULL);
}

static void
put_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", (unsigned)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

/* One word of an ENUM, or those of WORDS that are set. */
static void
put_words(FILE *out, const struct conf_key *key, const void *target)
{
	const int value = (int)load_u64(key, target);
	const bool is_set = key->type == CONF_TYPE_WORDS;
	const char *comma = "";

	if (is_set)
		fputc('[', out);
	for (size_t i = 0; i < conf_word_count; i++) {
		const struct conf_word *word = &conf_words[i];

		if (strcmp(word->key, key->name) != 0 || word->refused != NULL)
			continue;
		if (is_set ? (value & word->value) == 0 : value != word->value)
			continue;
		fputs(comma, out);
		put_text(out, word->word);
		comma = ",";
		if (!is_set)
			return;
	}
	fputs(is_set ? "]" : "null", out);
}

static void
put_strings(FILE *out, const struct conf_strings *strings)
{
	fputc('[', out);
	for (size_t i = 0; i < strings->count; i++) {
		if (i > 0)
			fputc(',', out);
		put_text(out, strings->list[i]);
	}
	fputc(']', out);
}

static void
put_string(FILE *out, const struct conf_key *key, const void *target)
{
	const char *text = *(char *const *)field_of(key, target);

	if (text == NULL)
		fputs("null", out);
	else
		put_text(out, conf_key_is_secret(key) ? HIDDEN : text);
}

static void
put_scalar(FILE *out, const struct conf_key *key, const void *target)
{
	char text[PARSE_TEXT_SIZE];
	uint64_t value;

	switch (key->type) {
	case CONF_TYPE_BOOL:
		fputs(load_u64(key, target) != 0 ? "true" : "false", out);
		return;
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		put_string(out, key, target);
		return;
	case CONF_TYPE_ENUM:
	case CONF_TYPE_WORDS:
		put_words(out, key, target);
		return;
	case CONF_TYPE_STRINGS:
		put_strings(out, field_of(key, target));
		return;
	default:
		break;
	}
	value = load_u64(key, target);
	if (key->type == CONF_TYPE_INT)
		fprintf(out, "%llu", (unsigned long long)value);
	else if (key->type == CONF_TYPE_DURATION_OR_NEVER &&
	    value == CONF_NEVER)
		put_text(out, "never");
	else
		put_text(out, conf_key_spell(key, value, text));
}

static void put_section(FILE *out, enum conf_section section,
    const void *target, bool with_containers);

static void
put_value(FILE *out, const struct conf_key *key, const void *target)
{
	const char *elements;
	size_t count;

	if (key->type == CONF_TYPE_GROUP) {
		put_section(out, key->inner, field_of(key, target), true);
		return;
	}
	if (key->type != CONF_TYPE_LIST) {
		put_scalar(out, key, target);
		return;
	}
	elements = *(char *const *)field_of(key, target);
	count = *(const size_t *)(const void *)((const char *)target +
	    key->count_offset);
	fputc('[', out);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fputc(',', out);
		put_section(out, key->inner,
		    elements + i * conf_section_size(key->inner), true);
	}
	fputc(']', out);
}

static void
put_section(FILE *out, enum conf_section section, const void *target,
    bool with_containers)
{
	const char *comma = "";

	fputc('{', out);
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (key->section != section || key->type == CONF_TYPE_REFUSED ||
		    (is_container(key) && !with_containers))
			continue;
		fputs(comma, out);
		put_text(out, key->name);
		fputc(':', out);
		put_value(out, key, target);
		comma = ",";
	}
	fputc('}', out);
}

bool
conf_print_json(const struct conf *conf, const char *section, FILE *out)
{
	const struct conf_key *key;

	if (section == NULL) {
		put_section(out, CONF_SECTION_GLOBAL, conf, true);
		return true;
	}
	if (strcmp(section, "basic") == 0) {
		put_section(out, CONF_SECTION_GLOBAL, conf, false);
		return true;
	}
	key = conf_key_find(CONF_SECTION_GLOBAL, section);
	if (key == NULL || !is_container(key))
		return false;
	put_value(out, key, conf);
	return true;
}

static const char *
put_reloadable(
    FILE *out, enum conf_section section, const char *prefix, const char *comma)
{
	char name[128];

	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (key->section != section)
			continue;
		snprintf(name, sizeof(name), "%s%s", prefix, key->name);
		if (is_container(key)) {
			strncat(name, ".", sizeof(name) - strlen(name) - 1);
			comma = put_reloadable(out, key->inner, name, comma);
		} else if (key->type != CONF_TYPE_REFUSED &&
		    key->reload == CONF_RELOAD) {
			fputs(comma, out);
			put_text(out, name);
			comma = ",";
		}
	}
	return comma;
}

void
conf_print_reloadable(FILE *out)
{
	fputc('[', out);
	put_reloadable(out, CONF_SECTION_GLOBAL, "", "");
	fputc(']', out);
}
