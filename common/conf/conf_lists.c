/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys that take several texts: a set of words, or a list.  In the file it is
 * an array, a list, or one text alone.
 */

#include <stdlib.h>
#include <string.h>

#include "common/conf/conf_table.h"

static const char blanks[] = " ,\t";

void
conf_list_words(const char *key, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < conf_word_count && len < size; i++)
		if (strcmp(conf_words[i].key, key) == 0 &&
		    conf_words[i].refused == NULL)
			len += (size_t)snprintf(text + len, size - len, "%s%s",
			    len == 0 ? "" : ", ", conf_words[i].word);
}

/* Its value; -1: not in the list. */
static int
find_word(const char *key, const char *word, size_t length)
{
	for (size_t i = 0; i < conf_word_count; i++)
		if (conf_words[i].refused == NULL &&
		    strcmp(conf_words[i].key, key) == 0 &&
		    strlen(conf_words[i].word) == length &&
		    memcmp(conf_words[i].word, word, length) == 0)
			return conf_words[i].value;
	return -1;
}

int
conf_parse_words(const char *key, const char *text)
{
	int value, set = 0;
	size_t length;

	for (;;) {
		text += strspn(text, blanks);
		if (*text == '\0')
			return set;
		length = strcspn(text, blanks);
		value = find_word(key, text, length);
		if (value == -1)
			return -1;
		set |= value;
		text += length;
	}
}

int
conf_scopes_parse(const char *text)
{
	return conf_parse_words("scopes", text);
}

static void *
field_of(const struct conf_key *key, void *target)
{
	return (char *)target + key->offset;
}

static void
add_words(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, const char *text)
{
	int set = conf_parse_words(key->name, text);
	char allowed[256];

	if (set != -1) {
		*(uint8_t *)field_of(key, target) |= (uint8_t)set;
		return;
	}
	conf_list_words(key->name, allowed, sizeof(allowed));
	conf_mistake(reader, at, "%s has \"%s\"; allowed: %s, or several",
	    key->name, text, allowed);
}

static void
add_string(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, const char *text)
{
	struct conf_strings *strings = field_of(key, target);
	size_t len = strlen(text);
	char **more;

	if (len < key->min || len > key->max) {
		conf_mistake(reader, at,
		    "%s has a text of %zu bytes; allowed: %llu to %llu",
		    key->name, len, (unsigned long long)key->min,
		    (unsigned long long)key->max);
		return;
	}
	more = reallocarray(strings->list, strings->count + 1, sizeof(char *));
	if (more != NULL) {
		strings->list = more;
		more[strings->count] = strdup(text);
	}
	if (more == NULL || more[strings->count] == NULL)
		reader->no_memory = true;
	else
		strings->count++;
}

void
conf_take_strings(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, const char *text)
{
	if (key->type == CONF_TYPE_WORDS)
		add_words(reader, key, at, target, text);
	else
		add_string(reader, key, at, target, text);
}

void
conf_clear_strings(struct conf_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->list[i]);
	free(strings->list);
	*strings = (struct conf_strings){ .count = 0 };
}

/* What the defaults left there makes way. */
static void
empty(const struct conf_key *key, void *target)
{
	if (key->type == CONF_TYPE_WORDS)
		*(uint8_t *)field_of(key, target) = 0;
	else
		conf_clear_strings(field_of(key, target));
}

void
conf_read_strings(struct conf_reader *reader, const struct conf_key *key,
    config_setting_t *at, void *target)
{
	const char *text = config_setting_get_string(at);
	int count;

	if (text == NULL && !config_setting_is_array(at) &&
	    !config_setting_is_list(at)) {
		conf_mistake(reader, at,
		    "%s must be a list of texts, as in [ \"a\", \"b\" ]",
		    key->name);
		return;
	}
	empty(key, target);
	if (text != NULL) {
		conf_take_strings(reader, key, at, target, text);
		return;
	}
	count = config_setting_length(at);
	if (count > CONF_MAX_STRINGS) {
		conf_mistake(reader, at, "%s has %d entries; allowed: %d",
		    key->name, count, CONF_MAX_STRINGS);
		return;
	}
	for (int i = 0; i < count; i++) {
		text = config_setting_get_string_elem(at, i);
		if (text == NULL)
			conf_mistake(reader, at,
			    "entry %d of %s must be a text in double quotes",
			    i + 1, key->name);
		else
			conf_take_strings(reader, key, at, target, text);
	}
}
