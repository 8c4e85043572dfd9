/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The reader: walks what libconfig parsed along the table of keys.  A section
 * is first filled with defaults, then with what the file says; a mistake is
 * reported and the default stays, so that reading goes on to the next one.
 */

#include "common/conf/conf.h"

#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/parse.h"
#include "common/conf/conf_table.h"

void
conf_mistake(struct conf_reader *reader, const config_setting_t *at,
    const char *format, ...)
{
	const char *file = NULL;
	va_list args;

	reader->mistakes++;
	if (at != NULL)
		file = config_setting_source_file(at);
	fputs(file == NULL ? reader->path : file, reader->errors);
	if (at != NULL)
		fprintf(reader->errors, ":%u",
		    (unsigned)config_setting_source_line(at));
	fputs(": ", reader->errors);
	va_start(args, format);
	vfprintf(reader->errors, format, args);
	va_end(args);
	fputc('\n', reader->errors);
}

static void *
field_of(const struct conf_key *key, void *target)
{
	return (char *)target + key->offset;
}

static void
store_u64(const struct conf_key *key, void *target, uint64_t value)
{
	void *field = field_of(key, target);

	switch (key->size) {
	case 1:
		*(uint8_t *)field = (uint8_t)value;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)value;
		break;
	case 8:
		*(uint64_t *)field = value;
		break;
	default:
		BUG_ON(true);
	}
}

static void
store_string(struct conf_reader *reader, const struct conf_key *key,
    void *target, const char *value)
{
	char **field = field_of(key, target), *copy;

	if (key->type != CONF_TYPE_PATH || value[0] == '/')
		copy = strdup(value);
	else if (asprintf(&copy, "%s%s", reader->folder, value) == -1)
		copy = NULL;
	if (copy == NULL) {
		reader->no_memory = true;
		return;
	}
	free(*field);
	*field = copy;
}

static void
take_number(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, uint64_t value)
{
	char low[PARSE_TEXT_SIZE], high[PARSE_TEXT_SIZE];
	char given[PARSE_TEXT_SIZE];

	if (value < key->min || value > key->max) {
		conf_mistake(reader, at,
		    "%s is %s, out of range; allowed: %s to %s", key->name,
		    conf_key_spell(key, value, given),
		    conf_key_spell(key, key->min, low),
		    conf_key_spell(key, key->max, high));
		return;
	}
	store_u64(key, target, value);
}

/* What the type looks like in the file, for "must be ...". */
static const char *
type_words(enum conf_type type)
{
	switch (type) {
	case CONF_TYPE_BOOL:
		return "true or false";
	case CONF_TYPE_INT:
		return "a whole number, as in 42";
	case CONF_TYPE_SIZE:
		return "a size, as in \"64KiB\", \"16MiB\" or 65536";
	case CONF_TYPE_DURATION:
		return "a duration, as in \"500ms\", \"2s\" or \"1h\"";
	case CONF_TYPE_DURATION_OR_NEVER:
		return "a duration, as in \"2s\" or \"1h\", or \"never\"";
	case CONF_TYPE_GROUP:
		return "a group, as in { key = value; }";
	case CONF_TYPE_LIST:
		return "a list of groups, as in ( { key = value; } )";
	default:
		return "a text in double quotes";
	}
}

static void
wrong_type(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at)
{
	conf_mistake(
	    reader, at, "%s must be %s", key->name, type_words(key->type));
}

/* A size or duration written as text; the defaults come here too. */
static void
take_measure(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, const char *text)
{
	uint64_t value = 0;
	int err;

	if (key->type == CONF_TYPE_DURATION_OR_NEVER &&
	    strcmp(text, "never") == 0) {
		store_u64(key, target, CONF_NEVER);
		return;
	}
	if (key->type == CONF_TYPE_INT)
		err = parse_u64(text, &value);
	else if (key->type == CONF_TYPE_SIZE)
		err = parse_size(text, &value);
	else
		err = parse_duration(text, &value);
	if (err != 0)
		conf_mistake(reader, at, "%s is \"%s\"; it must be %s",
		    key->name, text, type_words(key->type));
	else
		take_number(reader, key, at, target, value);
}

static void
take_word(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, const char *text)
{
	char allowed[256];

	conf_list_words(key->name, allowed, sizeof(allowed));
	for (size_t i = 0; i < conf_word_count; i++) {
		const struct conf_word *word = &conf_words[i];

		if (strcmp(word->key, key->name) != 0 ||
		    strcmp(word->word, text) != 0)
			continue;
		if (word->refused == NULL) {
			store_u64(key, target, (uint64_t)word->value);
			return;
		}
		conf_mistake(reader, at,
		    "%s = \"%s\" is not in this version (%s); allowed: %s",
		    key->name, text, word->refused, allowed);
		return;
	}
	conf_mistake(
	    reader, at, "%s is \"%s\"; allowed: %s", key->name, text, allowed);
}

static void
take_string(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, const char *text)
{
	size_t len = strlen(text);

	if (len < key->min || len > key->max)
		conf_mistake(reader, at,
		    "%s is %zu bytes long; allowed: %llu to %llu", key->name,
		    len, (unsigned long long)key->min,
		    (unsigned long long)key->max);
	else
		store_string(reader, key, target, text);
}

static void
take_text(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, const char *text)
{
	switch (key->type) {
	case CONF_TYPE_BOOL:
		*(bool *)field_of(key, target) = strcmp(text, "true") == 0;
		break;
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		take_string(reader, key, at, target, text);
		break;
	case CONF_TYPE_ENUM:
		take_word(reader, key, at, target, text);
		break;
	case CONF_TYPE_WORDS:
	case CONF_TYPE_STRINGS:
		conf_take_strings(reader, key, at, target, text);
		break;
	default:
		take_measure(reader, key, at, target, text);
		break;
	}
}

static void
read_number(struct conf_reader *reader, const struct conf_key *key,
    config_setting_t *at, void *target)
{
	long long value = config_setting_get_int64(at);

	/* A bare number has no unit: fine for bytes, not for time. */
	if (key->type != CONF_TYPE_INT && key->type != CONF_TYPE_SIZE &&
	    value != 0)
		wrong_type(reader, key, at);
	else if (value < 0)
		conf_mistake(reader, at,
		    "%s is %lld, out of range; it cannot be negative",
		    key->name, value);
	else
		take_number(reader, key, at, target, (uint64_t)value);
}

static void
read_scalar(struct conf_reader *reader, const struct conf_key *key,
    config_setting_t *at, void *target)
{
	bool is_text =
	    key->type != CONF_TYPE_BOOL && key->type != CONF_TYPE_INT;
	bool is_number = key->type == CONF_TYPE_INT ||
	    key->type == CONF_TYPE_SIZE || key->type == CONF_TYPE_DURATION ||
	    key->type == CONF_TYPE_DURATION_OR_NEVER;

	switch (config_setting_type(at)) {
	case CONFIG_TYPE_BOOL:
		if (key->type != CONF_TYPE_BOOL)
			break;
		*(bool *)field_of(key, target) = config_setting_get_bool(at);
		return;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		if (!is_number)
			break;
		read_number(reader, key, at, target);
		return;
	case CONFIG_TYPE_STRING:
		if (!is_text)
			break;
		take_text(
		    reader, key, at, target, config_setting_get_string(at));
		return;
	default:
		break;
	}
	wrong_type(reader, key, at);
}

static void
read_list(struct conf_reader *reader, const struct conf_key *key,
    config_setting_t *at, void *target)
{
	size_t size = conf_section_size(key->inner), count;
	bool is_one = key->takes_one && config_setting_is_group(at);
	char *elements;

	/* libconfig reads the empty list () as a list, [] as an array. */
	if (!config_setting_is_list(at) && !is_one) {
		wrong_type(reader, key, at);
		return;
	}
	count = is_one ? 1 : (size_t)config_setting_length(at);
	if (count > key->max) {
		conf_mistake(reader, at, "%s has %zu entries; allowed: %llu",
		    key->name, count, (unsigned long long)key->max);
		return;
	}
	elements = calloc(count + 1, size);
	if (elements == NULL) {
		reader->no_memory = true;
		return;
	}
	*(void **)field_of(key, target) = elements;
	*(size_t *)(void *)((char *)target + key->count_offset) = count;
	for (size_t i = 0; i < count; i++) {
		config_setting_t *element =
		    is_one ? at : config_setting_get_elem(at, (unsigned)i);

		/* Also an entry that is none gets its defaults. */
		if (!config_setting_is_group(element)) {
			conf_mistake(reader, element,
			    "%s must be %s; entry %zu is no group", key->name,
			    type_words(CONF_TYPE_LIST), i + 1);
			element = NULL;
		}
		conf_read_section(
		    reader, key->inner, element, elements + i * size);
	}
}

static void
unknown_key(struct conf_reader *reader, enum conf_section section,
    const config_setting_t *at)
{
	const char *name = config_setting_name(at);
	const char *nearest = conf_key_nearest(section, name);

	if (nearest != NULL) {
		conf_mistake(reader, at,
		    "unknown key %s in %s; did you mean %s?", name,
		    conf_section_name(section), nearest);
		return;
	}
	for (size_t i = 0; i < conf_key_count; i++)
		if (strcmp(conf_keys[i].name, name) == 0) {
			conf_mistake(reader, at,
			    "unknown key %s in %s; it belongs in %s", name,
			    conf_section_name(section),
			    conf_section_name(conf_keys[i].section));
			return;
		}
	conf_mistake(reader, at, "unknown key %s in %s; see weir.conf(5)", name,
	    conf_section_name(section));
}

static void
read_key(struct conf_reader *reader, const struct conf_key *key,
    config_setting_t *at, void *target)
{
	switch (key->type) {
	case CONF_TYPE_REFUSED:
		conf_mistake(reader, at, "%s: %s", key->name, key->sentence);
		break;
	case CONF_TYPE_LIST:
		read_list(reader, key, at, target);
		break;
	case CONF_TYPE_GROUP:
		if (config_setting_is_group(at))
			conf_read_section(
			    reader, key->inner, at, field_of(key, target));
		else
			wrong_type(reader, key, at);
		break;
	case CONF_TYPE_WORDS:
	case CONF_TYPE_STRINGS:
		conf_read_strings(reader, key, at, target);
		break;
	default:
		read_scalar(reader, key, at, target);
		break;
	}
}

/* Defaults of what the file does not have; complain of what it must have. */
static void
fill_in(struct conf_reader *reader, enum conf_section section,
    config_setting_t *group, void *target)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		config_setting_t *member = NULL;

		if (key->section != section)
			continue;
		if (group != NULL)
			member = config_setting_get_member(group, key->name);
		if (key->type == CONF_TYPE_GROUP &&
		    (member == NULL || !config_setting_is_group(member)))
			conf_read_section(
			    reader, key->inner, NULL, field_of(key, target));
		else if (conf_key_is_required(key) && group != NULL &&
		    member == NULL)
			conf_mistake(reader, group, "%s needs the key %s",
			    conf_section_name(section), key->name);
		else if (key->fallback != NULL && !conf_key_is_required(key))
			take_text(reader, key, NULL, target, key->fallback);
	}
}

void
conf_read_section(struct conf_reader *reader, enum conf_section section,
    config_setting_t *group, void *target)
{
	const struct conf_key *key;
	config_setting_t *member;
	int count = group == NULL ? 0 : config_setting_length(group);

	fill_in(reader, section, group, target);
	for (int i = 0; i < count; i++) {
		member = config_setting_get_elem(group, (unsigned)i);
		key = conf_key_find(section, config_setting_name(member));
		if (key == NULL)
			unknown_key(reader, section, member);
		else
			read_key(reader, key, member, target);
	}
	if (section == CONF_SECTION_GLOBAL && !reader->no_memory)
		conf_read_folder(reader, target);
	if (!reader->no_memory)
		conf_check(reader, section, group, target);
}

static void
clear_list(const struct conf_key *key, void *target)
{
	char *elements = *(void **)field_of(key, target);
	size_t count = *(size_t *)(void *)((char *)target + key->count_offset);

	for (size_t i = 0; elements != NULL && i < count; i++)
		conf_clear(
		    key->inner, elements + i * conf_section_size(key->inner));
	free(elements);
}

void
conf_clear(enum conf_section section, void *target)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (key->section != section)
			continue;
		if (key->type == CONF_TYPE_LIST)
			clear_list(key, target);
		else if (key->type == CONF_TYPE_GROUP)
			conf_clear(key->inner, field_of(key, target));
		else if (key->type == CONF_TYPE_STRING ||
		    key->type == CONF_TYPE_PATH)
			free(*(char **)field_of(key, target));
		else if (key->type == CONF_TYPE_STRINGS)
			conf_clear_strings(field_of(key, target));
	}
	if (section == CONF_SECTION_BRIDGE)
		conf_clear_remotes(target);
	else if (section == CONF_SECTION_ACCOUNT)
		free(((struct conf_account *)target)->hash);
}

/*
 * Whether there is a file to read.  libconfig ends the process when it is
 * given a folder.
 */
static int
look_at(struct conf_reader *reader)
{
	struct stat st;
	int err = 0;

	if (stat(reader->path, &st) == -1)
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (access(reader->path, R_OK) == -1)
		err = -errno;
	if (err != 0)
		conf_mistake(reader, NULL, "cannot open: %s", strerror(-err));
	return err;
}

static int
parse_file(struct conf_reader *reader, config_t *parsed)
{
	const char *file;

	config_set_include_dir(
	    parsed, reader->folder[0] == '\0' ? "." : reader->folder);
	if (config_read_file(parsed, reader->path) == CONFIG_TRUE)
		return 0;
	file = config_error_file(parsed);
	if (config_error_type(parsed) == CONFIG_ERR_FILE_IO)
		conf_mistake(reader, NULL, "cannot read: %s", strerror(errno));
	else
		fprintf(reader->errors, "%s:%d: %s\n",
		    file == NULL ? reader->path : file,
		    config_error_line(parsed), config_error_text(parsed));
	reader->mistakes++;
	return -EINVAL;
}

static int
read_conf(struct conf_reader *reader, struct conf *conf)
{
	const char *slash = strrchr(reader->path, '/');
	config_t parsed;
	int err;

	err = look_at(reader);
	if (err != 0)
		return err;
	conf->path = realpath(reader->path, NULL);
	reader->folder = strndup(reader->path,
	    slash == NULL ? 0 : (size_t)(slash - reader->path) + 1);
	if (conf->path == NULL || reader->folder == NULL)
		return -ENOMEM;
	config_init(&parsed);
	err = parse_file(reader, &parsed);
	if (err == 0)
		conf_read_section(reader, CONF_SECTION_GLOBAL,
		    config_root_setting(&parsed), conf);
	config_destroy(&parsed);
	if (err == 0 && reader->no_memory)
		err = -ENOMEM;
	else if (err == 0 && reader->mistakes > 0)
		err = -EINVAL;
	return err;
}

static int
load(struct conf_reader *reader, struct conf **out_conf)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	int err = -ENOMEM;

	if (conf != NULL)
		err = read_conf(reader, conf);
	free(reader->folder);
	if (err == -ENOMEM)
		fprintf(reader->errors, "%s: out of memory\n", reader->path);
	if (err != 0) {
		conf_free(conf);
		return err;
	}
	*out_conf = conf;
	return 0;
}

int
conf_load(const char *path, struct conf **out_conf, FILE *errors)
{
	struct conf_reader reader = { .path = path, .errors = errors };

	return load(&reader, out_conf);
}

int
conf_try_bridge(const char *path, const char *name, const char *text,
    struct conf **out_conf, FILE *errors)
{
	struct conf_reader reader = {
		.path = path,
		.errors = errors,
		.try_name = name,
		.try_text = text,
	};

	return load(&reader, out_conf);
}

void
conf_free(struct conf *conf)
{
	if (conf == NULL)
		return;
	conf_clear(CONF_SECTION_GLOBAL, conf);
	free(conf->path);
	free(conf);
}

const struct conf_bridge *
conf_bridge(const struct conf *conf, const char *name)
{
	/* While it is being read, one may have no name yet. */
	for (size_t i = 0; i < conf->bridge_count; i++)
		if (conf->bridges[i].name != NULL &&
		    strcmp(conf->bridges[i].name, name) == 0)
			return &conf->bridges[i];
	return NULL;
}
