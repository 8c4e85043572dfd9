/* SPDX-License-Identifier: Apache-2.0 */

/* Who may come in: accounts and keys. */

#include <string.h>

#include "common/conf/conf_table.h"

/* Reports it at the later of the two. */
static void
find_double(struct conf_reader *reader, config_setting_t *list, int which,
    const char *list_name, const char *key)
{
	config_setting_t *one = config_setting_get_elem(list, (unsigned)which);
	config_setting_t *before;
	const char *name, *other;

	if (!config_setting_lookup_string(one, key, &name))
		return;
	for (int i = 0; i < which; i++) {
		before = config_setting_get_elem(list, (unsigned)i);
		if (!config_setting_lookup_string(before, key, &other) ||
		    strcmp(name, other) != 0)
			continue;
		conf_mistake(reader, conf_at_key(one, key),
		    "%s: \"%s\" is given twice, first in line %u; each name "
		    "must differ",
		    list_name, name,
		    (unsigned)config_setting_source_line(
			conf_at_key(before, key)));
		return;
	}
}

static void
check_differ(struct conf_reader *reader, config_setting_t *group,
    const char *list_name, const char *key)
{
	config_setting_t *list;
	int count;

	list =
	    group == NULL ? NULL : config_setting_get_member(group, list_name);
	if (list == NULL || !config_setting_is_list(list))
		return;
	count = config_setting_length(list);
	for (int i = 1; i < count; i++)
		find_double(reader, list, i, list_name, key);
}

void
conf_check_names_differ(
    struct conf_reader *reader, config_setting_t *group, const char *list_name)
{
	check_differ(reader, group, list_name, "name");
}

/* Basic authentication ends the name at the first colon (RFC 7617, 2). */
static void
check_name(struct conf_reader *reader, config_setting_t *at, const char *name)
{
	if (name != NULL && strchr(name, ':') != NULL)
		conf_mistake(reader, conf_at_key(at, "name"),
		    "name has a colon in it, which HTTP cannot transport");
}

static void
check_filters(struct conf_reader *reader, config_setting_t *at, const char *key,
    const struct conf_strings *filters)
{
	const char *fault;

	for (size_t i = 0; i < filters->count; i++) {
		fault = conf_filter_fault(filters->list[i]);
		if (fault != NULL)
			conf_mistake(reader, conf_at_key(at, key),
			    "%s: \"%s\" %s; allowed: topic levels parted "
			    "by /, + for one level, # for all the rest",
			    key, filters->list[i], fault);
	}
}

void
conf_check_access(struct conf_reader *reader, config_setting_t *at,
    struct conf_access *access)
{
	if (at != NULL)
		access->line = config_setting_source_line(at);
	check_filters(reader, at, "publish", &access->publish);
	check_filters(reader, at, "subscribe", &access->subscribe);
}

void
conf_check_account(struct conf_reader *reader, config_setting_t *at,
    struct conf_account *account)
{
	if (at != NULL)
		account->line = config_setting_source_line(at);
	check_name(reader, at, account->name);
	check_filters(reader, at, "publish", &account->publish);
	check_filters(reader, at, "subscribe", &account->subscribe);
	if (account->password != NULL)
		return;
	account->hash = strdup(CONF_NO_PASSWORD);
	if (account->hash == NULL)
		reader->no_memory = true;
}

void
conf_check_http_key(struct conf_reader *reader, config_setting_t *at,
    struct conf_key_account *key)
{
	if (at == NULL)
		return;
	key->line = config_setting_source_line(at);
	check_name(reader, at, key->name);
	check_filters(reader, at, "publish", &key->publish);
	if (!conf_is_given(at, "secret") && !conf_is_given(at, "secret_file"))
		conf_mistake(reader, at,
		    "http.keys needs the key secret_file, or secret");
	if (key->secret != NULL && key->secret_file != NULL)
		conf_mistake(reader, conf_at_key(at, "secret"),
		    "secret and secret_file are both given; keep one");
}

void
conf_check_jwt(
    struct conf_reader *reader, config_setting_t *at, struct conf_jwt *jwt)
{
	(void)reader;
	if (at != NULL)
		jwt->line = config_setting_source_line(at);
}

/* Accounts and keys are told apart by their names alone. */
static void
find_account_of_key(struct conf_reader *reader, config_setting_t *keys,
    size_t which, const struct conf *conf)
{
	const char *name = conf->http.keys[which].name;

	for (size_t i = 0; i < conf->account_count && name != NULL; i++) {
		if (conf->accounts[i].name == NULL ||
		    strcmp(conf->accounts[i].name, name) != 0)
			continue;
		conf_mistake(reader,
		    conf_at_key(
			config_setting_get_elem(keys, (unsigned)which), "name"),
		    "http.keys: \"%s\" is an account's name, in line %u; a key "
		    "needs a name of its own",
		    name, conf->accounts[i].line);
	}
}

void
conf_check_identities(
    struct conf_reader *reader, config_setting_t *root, const struct conf *conf)
{
	config_setting_t *http = config_setting_get_member(root, "http");

	conf_check_names_differ(reader, root, "accounts");
	check_differ(reader, root, "access", "account");
	if (http == NULL || !config_setting_is_group(http))
		return;
	conf_check_names_differ(reader, http, "keys");
	for (size_t i = 0; i < conf->http.key_count; i++)
		find_account_of_key(
		    reader, config_setting_get_member(http, "keys"), i, conf);
}
