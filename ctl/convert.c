/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/convert.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/conf/conf.h"
#include "ctl/convert_private.h"

/* A quarter of a ring of 16 MiB, less 1 KiB: see weir.conf(5). */
#define PACKET_MAX (UINT64_C(4095) << 10)

struct convert_note {
	char *text;
	bool is_left;
};

struct convert_name {
	struct convert_name *next;
	char text[];
};

/* ---- notes ----------------------------------------------------------------
 */

static void
add_note(struct convert *convert, char *text, bool is_left)
{
	struct convert_note *grown;
	size_t room;

	if (text != NULL && convert->note_count == convert->note_room) {
		room = convert->note_room == 0 ? 16 : convert->note_room * 2;
		grown = realloc(convert->notes, room * sizeof(*grown));
		if (grown == NULL) {
			free(text);
			text = NULL;
		} else {
			convert->notes = grown;
			convert->note_room = room;
		}
	}
	if (text == NULL) {
		convert->no_memory = true;
		return;
	}
	convert->notes[convert->note_count++] =
	    (struct convert_note){ text, is_left };
}

/* What is secret is not said once more. */
static const char *
shown(const struct convert_at *at)
{
	if (strstr(at->key, "password") != NULL ||
	    strstr(at->key, "psk") != NULL)
		return "...";
	return at->value;
}

static char *
note_text(const struct convert_at *at, const char *why)
{
	const char *value = shown(at);
	size_t length;
	char *text = NULL;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
		return NULL;
	fprintf(out, "%s:%u: %s", at->file, at->line, at->key);
	if (value[0] != '\0')
		fprintf(out, " %s", value);
	fprintf(out, ": %s", why);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

void
convert_leave(struct convert *convert, const struct convert_at *at,
    const char *format, ...)
{
	char why[512], *text;
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	text = note_text(at, why);
	if (text != NULL)
		fprintf(convert->errors, "%s\n", text);
	add_note(convert, text, true);
	convert->left++;
}

void
convert_needless(
    struct convert *convert, const struct convert_at *at, const char *why)
{
	add_note(convert, note_text(at, why), false);
}

void
convert_mistake(struct convert *convert, const char *file, unsigned line,
    const char *format, ...)
{
	va_list args;

	fprintf(convert->errors, "%s:%u: ", file, line);
	va_start(args, format);
	vfprintf(convert->errors, format, args);
	va_end(args);
	fprintf(convert->errors, "\n");
	convert->is_wrong = true;
}

/* ---- values ---------------------------------------------------------------
 */

int
convert_truth(const char *text)
{
	static const char *const words[] = { "false", "true", "no", "yes",
		"off", "on", "0", "1", "disable", "enable" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return i % 2 != 0;
	return -1;
}

static const char *
unit_of_bytes(const char *unit)
{
	static const char *const units[][2] = { { "", "B" }, { "b", "B" },
		{ "kb", "KiB" }, { "k", "KiB" }, { "mb", "MiB" },
		{ "m", "MiB" }, { "gb", "GiB" }, { "g", "GiB" } };

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strcasecmp(unit, units[i][0]) == 0)
			return units[i][1];
	return NULL;
}

static const char *
translate_bytes(const char *text, char *out, size_t size, uint64_t *out_bytes)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = NULL;

	if (digits > 0 && digits < 16)
		unit = unit_of_bytes(text + digits);
	if (unit == NULL)
		return "a size as 1024 or 64KB";
	snprintf(out, size, "%.*s%s", (int)digits, text, unit);
	return parse_size(out, out_bytes) == 0 ? NULL : "a size below 1TB";
}

/* As weir.conf has it, into `out`; NULL, or what is allowed. */
static const char *
translate(enum convert_kind kind, const char *text, char *out, size_t size)
{
	size_t digits = strspn(text, "0123456789");
	bool is_number = digits > 0 && digits < 10 && text[digits] == '\0';
	const char *allowed;
	uint64_t number;

	snprintf(out, size, "%s", text);
	switch (kind) {
	case CONVERT_TEXT:
		return strlen(text) < size ? NULL : "a shorter text";
	case CONVERT_BOOL:
		return convert_truth(text) >= 0 ? NULL : "true or false";
	case CONVERT_NUMBER:
		return is_number ? NULL : "a number below 1,000,000,000";
	case CONVERT_SECONDS:
		snprintf(out, size, "%ss", text);
		return is_number ? NULL : "a number of seconds";
	case CONVERT_DURATION:
		return parse_duration(text, &number) == 0
		    ? NULL
		    : "a time as 30s or 2h";
	case CONVERT_BYTES:
		return translate_bytes(text, out, size, &number);
	case CONVERT_PACKET:
		allowed = translate_bytes(text, out, size, &number);
		if (allowed != NULL || number <= PACKET_MAX)
			return allowed;
		return "at most 4095KB: packets go through rings; raise "
		       "max_capacity of all of them first";
	}
	return "something else";
}

/* ---- the tree -------------------------------------------------------------
 */

static config_setting_t *
member(struct convert *convert, config_setting_t *group, const char *name,
    int type)
{
	config_setting_t *found = config_setting_get_member(group, name);

	if (found == NULL)
		found = config_setting_add(group, name, type);
	if (found == NULL)
		convert->no_memory = true;
	return found;
}

config_setting_t *
convert_add_within(
    struct convert *convert, config_setting_t *group, const char *list)
{
	config_setting_t *at, *added = NULL;

	if (group != NULL) {
		at = member(convert, group, list, CONFIG_TYPE_LIST);
		if (at != NULL)
			added = config_setting_add(at, NULL, CONFIG_TYPE_GROUP);
	}
	if (added == NULL)
		convert->no_memory = true;
	return added;
}

struct convert_group
convert_add(struct convert *convert, const char *list)
{
	return (struct convert_group){
		.setting = convert_add_within(
		    convert, config_root_setting(&convert->tree), list),
		.path = list,
	};
}

static void
put_value(struct convert *convert, config_setting_t *group, const char *name,
    enum convert_kind kind, const char *text)
{
	config_setting_t *at;
	int type = kind == CONVERT_BOOL ? CONFIG_TYPE_BOOL
	    : kind == CONVERT_NUMBER    ? CONFIG_TYPE_INT
					: CONFIG_TYPE_STRING;

	config_setting_remove(group, name);
	at = config_setting_add(group, name, type);
	if (at == NULL ||
	    (type == CONFIG_TYPE_BOOL &&
		!config_setting_set_bool(at, convert_truth(text))) ||
	    (type == CONFIG_TYPE_INT &&
		!config_setting_set_int(at, atoi(text))) ||
	    (type == CONFIG_TYPE_STRING &&
		!config_setting_set_string(at, text)))
		convert->no_memory = true;
}

/* False, and it is told: this version has it not. */
static bool
is_known(struct convert *convert, const struct convert_group *group,
    const struct convert_at *at, const char *key)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s%s", group->path,
	    group->path[0] == '\0' ? "" : ".", key);
	if (conf_has_key(path))
		return true;
	convert_leave(convert, at, "this version of Weir has no %s", path);
	return false;
}

void
convert_put(struct convert *convert, const struct convert_group *group,
    const struct convert_at *at, const char *key, enum convert_kind kind,
    const char *text)
{
	char step[64], out[4096];
	config_setting_t *setting = group->setting;
	const char *allowed, *name = key;
	size_t length;

	if (!is_known(convert, group, at, key))
		return;
	allowed = translate(kind, text, out, sizeof(out));
	if (allowed != NULL) {
		convert_leave(convert, at, "what is taken here is %s", allowed);
		return;
	}
	while (setting != NULL && (length = strcspn(name, ".")) != 0 &&
	    name[length] == '.') {
		snprintf(step, sizeof(step), "%.*s", (int)length, name);
		setting = member(convert, setting, step, CONFIG_TYPE_GROUP);
		name += length + 1;
	}
	if (setting != NULL)
		put_value(convert, setting, name, kind, out);
}

void
convert_put_list(struct convert *convert, const struct convert_group *group,
    const struct convert_at *at, const char *key, char *const texts[],
    size_t count)
{
	config_setting_t *list;

	if (!is_known(convert, group, at, key))
		return;
	config_setting_remove(group->setting, key);
	list = config_setting_add(group->setting, key, CONFIG_TYPE_ARRAY);
	for (size_t i = 0; list != NULL && i < count; i++)
		if (config_setting_set_string_elem(list, -1, texts[i]) == NULL)
			list = NULL;
	if (list == NULL)
		convert->no_memory = true;
}

bool
convert_has(const struct convert_group *group, const char *name)
{
	return config_setting_get_member(group->setting, name) != NULL;
}

bool
convert_by_row(struct convert *convert, const struct convert_group *group,
    const struct convert_at *at, const struct convert_row *rows)
{
	for (; rows->from != NULL; rows++) {
		if (strcmp(rows->from, at->key) != 0)
			continue;
		if (rows->to == NULL)
			convert_leave(convert, at, "%s", rows->why);
		else if (rows->to[0] == '\0')
			convert_needless(convert, at, rows->why);
		else
			convert_put(convert, group, at, rows->to, rows->kind,
			    at->value);
		return true;
	}
	return false;
}

/* ---- what both have -------------------------------------------------------
 */

void
convert_name_bridge(struct convert *convert, const struct convert_group *bridge,
    const struct convert_at *at, const char *name)
{
	char ours[CONF_MAX_BRIDGE_NAME + 1];

	snprintf(ours, sizeof(ours), "%s", name);
	for (char *c = ours; *c != '\0'; c++)
		*c = isalnum((unsigned char)*c) != 0 || *c == '_'
		    ? (char)tolower((unsigned char)*c)
		    : '-';
	convert_put(convert, bridge, at, "name", CONVERT_TEXT, ours);
	if (strcmp(ours, name) != 0)
		convert_leave(
		    convert, at, "the bridge %s is called %s here", name, ours);
}

void
convert_end_listeners(
    struct convert *convert, const struct convert_at *at, bool anonymous)
{
	struct convert_group listener = { .path = "listeners" };
	config_setting_t *list = config_lookup(&convert->tree, "listeners");
	int count = list == NULL ? 0 : config_setting_length(list);

	for (int i = 0; i < count; i++) {
		listener.setting = config_setting_get_elem(list, (unsigned)i);
		if (!convert_has(&listener, "allow_anonymous"))
			convert_put(convert, &listener, at, "allow_anonymous",
			    CONVERT_BOOL, anonymous ? "true" : "false");
	}
}

/* ---- files ----------------------------------------------------------------
 */

char *
convert_slurp(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t length;

	if (file == NULL)
		return NULL;
	text = malloc(CONVERT_FILE_MAX + 1);
	length = text == NULL ? 0 : fread(text, 1, CONVERT_FILE_MAX + 1, file);
	if (text == NULL || ferror(file) != 0 || length > CONVERT_FILE_MAX ||
	    memchr(text, '\0', length) != NULL) {
		errno = text == NULL            ? ENOMEM
		    : ferror(file) != 0         ? EIO
		    : length > CONVERT_FILE_MAX ? EFBIG
						: EBADMSG;
		free(text);
		text = NULL;
	} else {
		text[length] = '\0';
	}
	fclose(file);
	return text;
}

const char *
convert_keep_name(struct convert *convert, const char *path)
{
	size_t size = strlen(path) + 1;
	struct convert_name *name = malloc(sizeof(*name) + size);

	if (name == NULL) {
		convert->no_memory = true;
		return "?";
	}
	memcpy(name->text, path, size);
	name->next = convert->names;
	convert->names = name;
	return name->text;
}

/* HOCON and the flat form have = or { in a line; mosquitto.conf has not. */
static enum convert_format
guess(const char *text)
{
	const char *line = text, *end;

	for (; *line != '\0'; line = *end == '\0' ? end : end + 1) {
		end = line + strcspn(line, "\n");
		while (isspace((unsigned char)*line) && line < end)
			line++;
		if (line == end || *line == '#')
			continue;
		line += strspn(line,
		    "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-\"");
		line += strspn(line, " \t");
		if (*line == '=' || *line == '{')
			return CONVERT_NANOMQ;
	}
	return CONVERT_MOSQUITTO;
}

/* ---- what is written ------------------------------------------------------
 */

static void
write_notes(
    const struct convert *convert, FILE *out, bool is_left, const char *title)
{
	bool is_first = true;

	for (size_t i = 0; i < convert->note_count; i++) {
		if (convert->notes[i].is_left != is_left)
			continue;
		if (is_first)
			fprintf(out, "#\n# %s\n", title);
		is_first = false;
		fputs("#   ", out);
		for (const char *c = convert->notes[i].text; *c != '\0'; c++)
			fputc(iscntrl((unsigned char)*c) ? ' ' : *c, out);
		fputc('\n', out);
	}
}

static int
write_all(const struct convert *convert, const char *path, FILE *out)
{
	fprintf(
	    out, "# Made from %s by weirctl convert; weir.conf(5).\n", path);
	write_notes(convert, out, true, "Not carried over:");
	write_notes(convert, out, false, "Needs nothing here:");
	fputc('\n', out);
	config_write(&convert->tree, out);
	return ferror(out) != 0 || fflush(out) != 0 ? -EIO : 0;
}

static void
forget(struct convert *convert)
{
	struct convert_name *name;

	for (size_t i = 0; i < convert->note_count; i++)
		free(convert->notes[i].text);
	free(convert->notes);
	while ((name = convert->names) != NULL) {
		convert->names = name->next;
		free(name);
	}
	config_destroy(&convert->tree);
}

int
convert_file(const char *path, enum convert_format format, FILE *out,
    FILE *errors, unsigned *out_left)
{
	struct convert convert = { .errors = errors };
	char *text = convert_slurp(path);
	int err;

	*out_left = 0;
	if (text == NULL)
		return -errno;
	if (format == CONVERT_GUESS)
		format = guess(text);
	config_init(&convert.tree);
	config_set_tab_width(&convert.tree, 4);
	err = format == CONVERT_MOSQUITTO
	    ? convert_read_mosquitto(&convert, path, text)
	    : convert_read_nanomq(&convert, path, text);
	if (err == 0 && convert.no_memory)
		err = -ENOMEM;
	else if (err == 0 && convert.is_wrong)
		err = -EINVAL;
	if (err == 0)
		err = write_all(&convert, path, out);
	*out_left = convert.left;
	forget(&convert);
	free(text);
	return err;
}
