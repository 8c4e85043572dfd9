/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_manage_conf - a bridge that came as JSON, written as configuration.
 *
 * What is written is read by libconfig as what it was: each key with its value,
 * and nothing that a string brought in.
 */

#include <jansson.h>
#include <libconfig.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/manage_conf.h"
#include "tests/fuzz/fuzz.h"

static bool has_word(const json_t *value);

static bool
has_word_below(const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (strcasecmp(key, "true") == 0 ||
		    strcasecmp(key, "false") == 0 || has_word(value))
			return true;
	}
	return false;
}

/* A key that libconfig takes for a value: such a file is refused as a whole. */
static bool
has_word(const json_t *value)
{
	for (size_t i = 0; i < json_array_size(value); i++)
		if (has_word(json_array_get(value, i)))
			return true;
	return has_word_below(value);
}

static void same(const json_t *value, config_setting_t *setting);

/* `more` members beside those of the object, which have a value. */
static void
same_group(const json_t *object, config_setting_t *setting, int more)
{
	const char *key;
	json_t *value;
	int count = 0;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (json_is_null(value) ||
		    (more != 0 && strcmp(key, "name") == 0))
			continue;
		same(value, config_setting_get_member(setting, key));
		count++;
	}
	require(config_setting_length(setting) == count + more);
}

static void
same(const json_t *value, config_setting_t *setting)
{
	require(setting != NULL);
	if (json_is_string(value)) {
		require(strcmp(config_setting_get_string(setting),
			    json_string_value(value)) == 0);
	} else if (json_is_integer(value)) {
		require(config_setting_get_int64(setting) ==
		    json_integer_value(value));
	} else if (json_is_real(value)) {
		require(config_setting_get_float(setting) ==
		    json_real_value(value));
	} else if (json_is_boolean(value)) {
		require(config_setting_type(setting) == CONFIG_TYPE_BOOL);
		require(config_setting_get_bool(setting) ==
		    (json_is_true(value) ? 1 : 0));
	} else if (json_is_array(value)) {
		require(config_setting_length(setting) ==
		    (int)json_array_size(value));
		for (size_t i = 0; i < json_array_size(value); i++)
			same(json_array_get(value, i),
			    config_setting_get_elem(setting, (unsigned)i));
	} else {
		same_group(value, setting, 0);
	}
}

static void
check(const json_t *bridge, const char *text)
{
	const char *name;
	config_t config;

	config_init(&config);
	if (config_read_string(&config, text) == CONFIG_TRUE) {
		require(config_lookup_string(&config, "name", &name) ==
		    CONFIG_TRUE);
		require(strcmp(name, "made") == 0);
		same_group(bridge, config_root_setting(&config), 1);
	} else {
		require(has_word(bridge));
	}
	config_destroy(&config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why;
	json_t *bridge = json_loadb((const char *)data, size, 0, NULL);
	char *text;

	if (!json_is_object(bridge)) {
		json_decref(bridge);
		return 0;
	}
	text = manage_conf_text("made", bridge, &why);
	require((text == NULL) == (why != NULL));
	if (text != NULL)
		check(bridge, text);
	free(text);
	json_decref(bridge);
	return 0;
}
