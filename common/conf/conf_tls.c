/* SPDX-License-Identifier: Apache-2.0 */

/* What takes more than one key of a tls group to judge. */

#include <string.h>

#include "common/conf/conf_table.h"

/* `key` has a meaning with `needs` alone, which says `what`. */
static void
check_needs(struct conf_reader *reader, config_setting_t *at, const char *key,
    const char *needs, const char *what)
{
	if (conf_is_given(at, key) && !conf_is_given(at, needs))
		conf_mistake(reader, conf_at_key(at, key),
		    "%s without %s; %s says %s", key, needs, needs, what);
}

static void
check_server(struct conf_reader *reader, config_setting_t *at,
    const struct conf_tls *tls)
{
	check_needs(reader, at, "client_cert", "ca_file",
	    "which certificates are good");
	check_needs(
	    reader, at, "crl_file", "ca_file", "which certificates are good");
	check_needs(reader, at, "crl_check", "crl_file",
	    "which certificates are revoked");
	for (size_t i = 0; i < tls->sni_count; i++)
		if (tls->sni[i].name != NULL &&
		    strchr(tls->sni[i].name + 1, '*') != NULL)
			conf_mistake(reader, conf_at_key(at, "sni"),
			    "sni: \"%s\" must be a name, or *. and a domain",
			    tls->sni[i].name);
}

static void
check_listener(struct conf_reader *reader, config_setting_t *at,
    const struct conf_tls *tls)
{
	const bool by_certificate = tls->user_name_from == CONF_USER_NAME_CN ||
	    tls->user_name_from == CONF_USER_NAME_SUBJECT;

	if ((tls->cert == NULL) != (tls->key == NULL))
		conf_mistake(
		    reader, at, "cert and key belong together; set both");
	else if (tls->cert == NULL && tls->psk_file == NULL)
		conf_mistake(reader, at, "tls needs cert and key, or psk_file");
	else if (tls->cert == NULL && (tls->sni_count != 0 || tls->ca_file))
		conf_mistake(reader, at,
		    "sni and ca_file need cert and key, for clients without "
		    "a pre-shared key");
	if (by_certificate && tls->ca_file == NULL)
		conf_mistake(reader, conf_at_key(at, "user_name_from"),
		    "user_name_from takes names from certificates: it needs "
		    "ca_file, which says whose are good");
	if (tls->user_name_from == CONF_USER_NAME_PSK && tls->psk_file == NULL)
		conf_mistake(reader, conf_at_key(at, "user_name_from"),
		    "user_name_from takes names from pre-shared keys: it "
		    "needs psk_file");
}

void
conf_check_tls(struct conf_reader *reader, enum conf_section section,
    config_setting_t *at, struct conf_tls *tls)
{
	tls->enabled = at != NULL;
	if (at == NULL)
		return;
	tls->line = config_setting_source_line(at);
	if (section != CONF_SECTION_TLS_CLIENT)
		check_server(reader, at, tls);
	if (section == CONF_SECTION_TLS_LISTENER)
		check_listener(reader, at, tls);
}

static void
needs_accounts(
    struct conf_reader *reader, config_setting_t *at, const char *key)
{
	conf_mistake(reader, conf_at_key(at, key),
	    "%s needs accounts: each name must be one of accounts or "
	    "accounts_file",
	    key);
}

void
conf_check_user_names(
    struct conf_reader *reader, config_setting_t *root, const struct conf *conf)
{
	config_setting_t *list = config_setting_get_member(root, "listeners");
	config_setting_t *at;

	if (conf->account_count != 0 || conf->accounts_file != NULL)
		return;
	for (size_t i = 0; i < conf->listener_count; i++) {
		at = config_setting_get_elem(list, (unsigned)i);
		if (conf->listeners[i].tls.user_name_from !=
		    CONF_USER_NAME_NONE)
			needs_accounts(
			    reader, conf_at_key(at, "tls"), "user_name_from");
		if (conf->listeners[i].peer_user != CONF_PEER_USER_NONE)
			needs_accounts(reader, at, "peer_user");
	}
}
