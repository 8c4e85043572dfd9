/* SPDX-License-Identifier: Apache-2.0 */

/* The bridges of a mosquitto.conf. */

#include <ctype.h>
#include <string.h>

#include "ctl/convert_mosquitto.h"

static const struct convert_row bridge_rows[] = {
	{ "remote_username", CONVERT_TEXT, "username", NULL },
	{ "username", CONVERT_TEXT, "username", NULL },
	{ "remote_password", CONVERT_TEXT, "password", NULL },
	{ "password", CONVERT_TEXT, "password", NULL },
	{ "remote_clientid", CONVERT_TEXT, "client_id", NULL },
	{ "clientid", CONVERT_TEXT, "client_id", NULL },
	{ "keepalive_interval", CONVERT_SECONDS, "keepalive", NULL },
	{ "bridge_max_packet_size", CONVERT_BYTES, "max_packet_size", NULL },
	{ "bridge_receive_maximum", CONVERT_NUMBER, "receive_maximum", NULL },
	{ "bridge_session_expiry_interval", CONVERT_SECONDS, "session_expiry",
	    NULL },
	{ "bridge_max_topic_alias", CONVERT_NUMBER, "topic_alias_maximum",
	    NULL },
	{ "bridge_bind_address", CONVERT_TEXT, "bind_address", NULL },
	{ "bridge_cafile", CONVERT_TEXT, "tls.ca_file", NULL },
	{ "bridge_capath", CONVERT_TEXT, "tls.ca_path", NULL },
	{ "bridge_certfile", CONVERT_TEXT, "tls.cert", NULL },
	{ "bridge_keyfile", CONVERT_TEXT, "tls.key", NULL },
	{ "bridge_insecure", CONVERT_BOOL, "tls.insecure", NULL },
	{ "bridge_alpn", CONVERT_TEXT, "tls.alpn", NULL },
	{ "bridge_ciphers", CONVERT_TEXT, "tls.ciphers", NULL },
	{ "bridge_identity", CONVERT_TEXT, "tls.psk_identity", NULL },
	{ "idle_timeout", CONVERT_SECONDS, "lazy_idle", NULL },
	{ "threshold", CONVERT_NUMBER, "lazy_threshold", NULL },
	{ "notification_topic", CONVERT_TEXT, "notification_topic", NULL },
	CONVERT_NEEDLESS("try_private", "bridges know each other always"),
	CONVERT_NEEDLESS(
	    "bridge_attempt_unsubscribe", "what is not wanted is unsubscribed"),
	CONVERT_NEEDLESS("cleansession",
	    "messages wait in the journal; session_expiry is for the remote"),
	CONVERT_LEFT("local_clientid", "a bridge is no client of its broker"),
	CONVERT_LEFT("local_username", "a bridge is no client of its broker"),
	CONVERT_LEFT("local_password", "a bridge is no client of its broker"),
	CONVERT_LEFT("local_cleansession",
	    "what waits for a bridge waits in the journal: see backlog"),
	CONVERT_LEFT("bridge_outgoing_retain",
	    "see what a rule may say about retain in weir.conf(5)"),
	CONVERT_LEFT("bridge_psk", "put the key into a file: tls.psk_file"),
	CONVERT_LEFT("bridge_require_ocsp", "not in this version"),
	CONVERT_LEFT(
	    "bridge_tls_version", "TLS 1.2 and later: see tls.min_version"),
	CONVERT_LEFT(
	    "bridge_tcp_keepalive", "see tcp_keepalive in weir.conf(5)"),
	CONVERT_LEFT(
	    "bridge_tcp_user_timeout", "see tcp_user_timeout in weir.conf(5)"),
	CONVERT_LEFT("bridge_reload_type", "see reload in weir.conf(5)"),
	{ NULL, CONVERT_TEXT, NULL, NULL },
};

/* A name that weir.conf takes, of one that it may not. */
void
mosquitto_begin_bridge(
    struct mosquitto_reader *reader, const struct convert_at *at)
{
	char name[33];
	size_t length = 0;

	reader->listener.setting = NULL;
	reader->has_left = false;
	reader->bridge_is_tls = false;
	reader->bridge = convert_add(reader->convert, "bridges");
	for (const char *c = at->value; *c != '\0' && length < 32; c++)
		name[length++] = isalnum((unsigned char)*c) != 0 || *c == '_'
		    ? (char)tolower((unsigned char)*c)
		    : '-';
	name[length] = '\0';
	convert_put(
	    reader->convert, &reader->bridge, at, "name", CONVERT_TEXT, name);
	if (strcmp(name, at->value) != 0)
		convert_leave(
		    reader->convert, at, "the bridge is called %s here", name);
}

/* host, host:port, IPv6 without a port. */
static void
make_url(const struct mosquitto_reader *reader, const char *address, char *url,
    size_t size)
{
	const char *colon = strrchr(address, ':');
	bool is_v6 = colon != NULL && strchr(address, ':') != colon;
	bool has_port = colon != NULL && !is_v6;

	snprintf(url, size, "%s://%s%s%s%s",
	    reader->bridge_is_tls ? "mqtts" : "mqtt", is_v6 ? "[" : "", address,
	    is_v6 ? "]" : "", has_port ? "" : ":1883");
}

static void
set_addresses(struct mosquitto_reader *reader, const struct convert_at *at,
    char *const words[], size_t count)
{
	char url[320];

	make_url(reader, words[0], url, sizeof(url));
	convert_put(
	    reader->convert, &reader->bridge, at, "url", CONVERT_TEXT, url);
	for (size_t i = 1; i < count; i++)
		convert_leave(reader->convert, at,
		    "add %s to the bridge by hand: see weir.conf(5), bridges",
		    words[i]);
}

/* Its address may have come before. */
static void
begin_tls(struct mosquitto_reader *reader, const struct convert_at *at)
{
	const char *url = NULL;
	char secure[320];

	if (reader->bridge_is_tls)
		return;
	reader->bridge_is_tls = true;
	if (!config_setting_lookup_string(reader->bridge.setting, "url", &url))
		return;
	snprintf(secure, sizeof(secure), "mqtts%s", url + strlen("mqtt"));
	convert_put(
	    reader->convert, &reader->bridge, at, "url", CONVERT_TEXT, secure);
}

static bool
is_of_tls(const char *key)
{
	return strcmp(key, "bridge_cafile") == 0 ||
	    strcmp(key, "bridge_capath") == 0 ||
	    strcmp(key, "bridge_identity") == 0 ||
	    strcmp(key, "bridge_psk") == 0;
}

/* topic PATTERN [out|in|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]] */
static void
add_rule(struct mosquitto_reader *reader, const struct convert_at *at,
    const char *list, char *const words[], size_t count)
{
	char path[32];
	struct convert_group rule = {
		.setting = convert_add_within(
		    reader->convert, reader->bridge.setting, list),
		.path = path,
	};
	static const char *const keys[] = { "qos", "local_prefix",
		"remote_prefix" };

	if (rule.setting == NULL)
		return;
	snprintf(path, sizeof(path), "bridges.%s", list);
	convert_put(reader->convert, &rule, at, "filter", CONVERT_TEXT,
	    strcmp(words[0], "\"\"") == 0 ? "" : words[0]);
	for (size_t i = 2; i < count && i < 5; i++)
		if (strcmp(words[i], "\"\"") != 0)
			convert_put(reader->convert, &rule, at, keys[i - 2],
			    i == 2 ? CONVERT_NUMBER : CONVERT_TEXT, words[i]);
}

static void
add_rules(struct mosquitto_reader *reader, const struct convert_at *at,
    char *const words[], size_t count)
{
	const char *way = count > 1 ? words[1] : "out";
	bool out = strcmp(way, "in") != 0, in = strcmp(way, "out") != 0;

	if (out && in && strcmp(way, "both") != 0) {
		convert_mistake(reader->convert, at->file, at->line,
		    "the direction is out, in or both, not %s", way);
		return;
	}
	if (strcmp(words[0], "\"\"") == 0) {
		convert_leave(reader->convert, at,
		    "write the one topic as filter, with both prefixes empty");
		return;
	}
	if (out)
		add_rule(reader, at, "forward", words, count);
	if (in)
		add_rule(reader, at, "receive", words, count);
}

static void
set_version(struct mosquitto_reader *reader, const struct convert_at *at)
{
	const char *version = NULL;

	if (strcmp(at->value, "mqttv311") == 0)
		version = "3.1.1";
	else if (strcmp(at->value, "mqttv50") == 0)
		version = "5.0";
	if (version != NULL)
		convert_put(reader->convert, &reader->bridge, at, "protocol",
		    CONVERT_TEXT, version);
	else
		convert_leave(
		    reader->convert, at, "mqttv311 and mqttv50 are spoken");
}

static void
set_restart(struct mosquitto_reader *reader, const struct convert_at *at,
    char *const words[], size_t count)
{
	convert_put(reader->convert, &reader->bridge, at, "retry_min",
	    CONVERT_SECONDS, words[0]);
	convert_put(reader->convert, &reader->bridge, at, "retry_max",
	    CONVERT_SECONDS, words[count > 1 ? 1 : 0]);
}

static void
set_notifications(struct mosquitto_reader *reader, const char *key,
    const struct convert_at *at)
{
	bool is_local = strcmp(key, "notifications_local_only") == 0;
	int truth = convert_truth(at->value);

	if (truth < 0)
		convert_mistake(reader->convert, at->file, at->line,
		    "%s is true or false", key);
	else if (!is_local || truth == 1)
		convert_put(reader->convert, &reader->bridge, at,
		    "notifications", CONVERT_TEXT,
		    is_local         ? "local"
			: truth == 1 ? "both"
				     : "none");
}

static void
set_start(struct mosquitto_reader *reader, const struct convert_at *at)
{
	convert_put(reader->convert, &reader->bridge, at, "start", CONVERT_TEXT,
	    at->value);
}

bool
mosquitto_bridge_line(struct mosquitto_reader *reader,
    const struct convert_at *at, char *const words[], size_t count)
{
	const char *key = at->key;

	if (reader->bridge.setting == NULL)
		return false;
	if (is_of_tls(key))
		begin_tls(reader, at);
	if (strcmp(key, "address") == 0 || strcmp(key, "addresses") == 0)
		set_addresses(reader, at, words, count);
	else if (strcmp(key, "topic") == 0)
		add_rules(reader, at, words, count);
	else if (strcmp(key, "bridge_protocol_version") == 0)
		set_version(reader, at);
	else if (strcmp(key, "restart_timeout") == 0)
		set_restart(reader, at, words, count);
	else if (strncmp(key, "notifications", 13) == 0)
		set_notifications(reader, key, at);
	else if (strcmp(key, "start_type") == 0)
		set_start(reader, at);
	else if (strcmp(key, "round_robin") == 0)
		convert_put(reader->convert, &reader->bridge, at, "round_robin",
		    CONVERT_BOOL, at->value);
	else
		return convert_by_row(
		    reader->convert, &reader->bridge, at, bridge_rows);
	return true;
}
