/* SPDX-License-Identifier: Apache-2.0 */

/* The bridges of a mosquitto.conf. */

#include <string.h>

#include "ctl/convert_mosquitto.h"

#define WORDS_MAX 8

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
	{ "idle_timeout", CONVERT_SECONDS, "idle_timeout", NULL },
	{ "start_type", CONVERT_TEXT, "start", NULL },
	{ "cleansession", CONVERT_BOOL, "clean_start", NULL },
	{ "bridge_reload_type", CONVERT_TEXT, "reload", NULL },
	{ "notification_topic", CONVERT_TEXT, "notification_topic", NULL },
	CONVERT_NEEDLESS("try_private", "bridges know each other always"),
	CONVERT_NEEDLESS(
	    "bridge_attempt_unsubscribe", "what is not wanted is unsubscribed"),
	CONVERT_LEFT("threshold", "see lazy_threshold, which is in bytes"),
	CONVERT_LEFT("local_clientid", "a bridge is no client of its broker"),
	CONVERT_LEFT("local_username", "a bridge is no client of its broker"),
	CONVERT_LEFT("local_password", "a bridge is no client of its broker"),
	CONVERT_LEFT("local_cleansession",
	    "what waits for a bridge waits in the journal: see backlog"),
	CONVERT_LEFT("bridge_psk", "put the key into a file: tls.psk_file"),
	CONVERT_LEFT("bridge_require_ocsp", "not in this version"),
	{ NULL, CONVERT_TEXT, NULL, NULL },
};

/* A name that weir.conf takes, of one that it may not. */
void
mosquitto_begin_bridge(
    struct mosquitto_reader *reader, const struct convert_at *at)
{
	reader->listener.setting = NULL;
	reader->bridge_is_tls = false;
	reader->is_retain_cleared = false;
	reader->addresses[0] = '\0';
	reader->bridge = convert_add(reader->convert, "bridges");
	convert_name_bridge(reader->convert, &reader->bridge, at, at->value);
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
set_addresses(struct mosquitto_reader *reader, const struct convert_at *at)
{
	if (strlen(at->value) >= sizeof(reader->addresses)) {
		convert_leave(reader->convert, at, "too many addresses");
		return;
	}
	strcpy(reader->addresses, at->value);
	reader->addresses_at = *at;
	reader->addresses_at.key = "addresses";
	reader->addresses_at.value = reader->addresses;
}

static bool
is_of_tls(const char *key)
{
	return strcmp(key, "bridge_cafile") == 0 ||
	    strcmp(key, "bridge_capath") == 0 ||
	    strcmp(key, "bridge_identity") == 0 ||
	    strcmp(key, "bridge_psk") == 0;
}

/* Whether by TLS is known when all of its lines have come. */
static void
end_addresses(struct mosquitto_reader *reader)
{
	char urls[WORDS_MAX][320], copy[2048], *texts[WORDS_MAX], *rest = copy;
	size_t count = 0;

	strcpy(copy, reader->addresses);
	for (char *word = strtok_r(copy, " \t", &rest);
	     word != NULL && count < WORDS_MAX;
	     word = strtok_r(NULL, " \t", &rest)) {
		make_url(reader, word, urls[count], sizeof(urls[count]));
		texts[count] = urls[count];
		count++;
	}
	if (count == 1)
		convert_put(reader->convert, &reader->bridge,
		    &reader->addresses_at, "url", CONVERT_TEXT, urls[0]);
	else if (count > 1)
		convert_put_list(reader->convert, &reader->bridge,
		    &reader->addresses_at, "urls", texts, count);
}

static void
clear_retain(struct mosquitto_reader *reader, const char *list)
{
	const struct convert_at at = { .file = "", .key = "retain" };
	struct convert_group rule = { .path = "bridges.forward" };
	config_setting_t *rules =
	    config_setting_get_member(reader->bridge.setting, list);

	for (int i = 0; rules != NULL && i < config_setting_length(rules);
	     i++) {
		rule.setting = config_setting_get_elem(rules, (unsigned)i);
		convert_put(reader->convert, &rule, &at, "retain", CONVERT_TEXT,
		    "clear");
	}
}

/* What it is there when nothing is said of it. */
static void
end_defaults(struct mosquitto_reader *reader)
{
	static const char *const defaults[][2] = { { "protocol", "3.1.1" },
		{ "notifications", "both" } };

	for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
		if (!convert_has(&reader->bridge, defaults[i][0]))
			convert_put(reader->convert, &reader->bridge,
			    &reader->addresses_at, defaults[i][0], CONVERT_TEXT,
			    defaults[i][1]);
}

void
mosquitto_end_bridge(struct mosquitto_reader *reader)
{
	if (reader->bridge.setting == NULL)
		return;
	end_addresses(reader);
	end_defaults(reader);
	if (reader->is_retain_cleared) {
		clear_retain(reader, "forward");
		clear_retain(reader, "both");
	}
	reader->bridge.setting = NULL;
}

static struct convert_group
begin_rule(struct mosquitto_reader *reader, const char *list)
{
	return (struct convert_group){
		.setting = convert_add_within(
		    reader->convert, reader->bridge.setting, list),
		.path = strcmp(list, "receive") == 0 ? "bridges.receive"
						     : "bridges.forward",
	};
}

static void
put_word(struct mosquitto_reader *reader, const struct convert_group *rule,
    const struct convert_at *at, const char *key, const char *word)
{
	if (word != NULL && strcmp(word, "\"\"") != 0)
		convert_put(reader->convert, rule, at, key, CONVERT_TEXT, word);
}

/* QoS 0 if it is not said. */
static void
put_qos(struct mosquitto_reader *reader, const struct convert_group *rule,
    const struct convert_at *at, const char *qos)
{
	convert_put(reader->convert, rule, at, "qos", CONVERT_NUMBER,
	    qos == NULL ? "0" : qos);
}

static void
add_rule(struct mosquitto_reader *reader, const struct convert_at *at,
    const char *list, char *const words[])
{
	struct convert_group rule = begin_rule(reader, list);

	if (rule.setting == NULL)
		return;
	put_word(reader, &rule, at, "filter", words[0]);
	put_qos(reader, &rule, at, words[2]);
	put_word(reader, &rule, at, "local_prefix", words[3]);
	put_word(reader, &rule, at, "remote_prefix", words[4]);
}

/* An empty pattern: the prefixes are the whole topic, here and there. */
static void
add_one_topic(struct mosquitto_reader *reader, const struct convert_at *at,
    bool is_forward, char *const words[])
{
	struct convert_group rule =
	    begin_rule(reader, is_forward ? "forward" : "receive");

	if (rule.setting == NULL)
		return;
	put_word(reader, &rule, at, "filter", words[is_forward ? 3 : 4]);
	put_word(reader, &rule, at, is_forward ? "remote_topic" : "local_topic",
	    words[is_forward ? 4 : 3]);
	put_qos(reader, &rule, at, words[2]);
}

/* topic PATTERN [out|in|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]] */
static void
add_rules(struct mosquitto_reader *reader, const struct convert_at *at,
    char *const words[], size_t count)
{
	const char *way = count > 1 ? words[1] : "out";
	bool out = strcmp(way, "in") != 0, in = strcmp(way, "out") != 0;

	if (out && in && strcmp(way, "both") != 0) {
		convert_mistake(reader->convert, at->file, at->line,
		    "the direction is out, in or both, not %s", way);
	} else if (strcmp(words[0], "\"\"") != 0) {
		add_rule(reader, at,
		    out && in ? "both"
			: in  ? "receive"
			      : "forward",
		    words);
	} else if (count < 5) {
		convert_mistake(reader->convert, at->file, at->line,
		    "without a pattern both topics are needed");
	} else {
		if (out)
			add_one_topic(reader, at, true, words);
		if (in)
			add_one_topic(reader, at, false, words);
	}
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

/* IDLE INTERVAL COUNT */
static void
set_keepalive(struct mosquitto_reader *reader, const struct convert_at *at,
    char *const words[], size_t count)
{
	static const char *const keys[] = { "tcp_keepalive",
		"tcp_keepalive_interval", "tcp_keepalive_count" };

	for (size_t i = 0; i < count && i < 3; i++)
		convert_put(reader->convert, &reader->bridge, at, keys[i],
		    i == 2 ? CONVERT_NUMBER : CONVERT_SECONDS, words[i]);
}

static void
set_tls_version(struct mosquitto_reader *reader, const struct convert_at *at)
{
	if (strncmp(at->value, "tlsv1.", 6) == 0)
		convert_put(reader->convert, &reader->bridge, at,
		    "tls.min_version", CONVERT_TEXT,
		    strcmp(at->value, "tlsv1.3") == 0 ? "1.3" : "1.2");
	else
		convert_leave(reader->convert, at, "tlsv1.2 or tlsv1.3");
}

static void
set_user_timeout(struct mosquitto_reader *reader, const struct convert_at *at)
{
	char text[64];

	snprintf(text, sizeof(text), "%.40sms", at->value);
	convert_put(reader->convert, &reader->bridge, at, "tcp_user_timeout",
	    CONVERT_DURATION, text);
}

static void
set_round_robin(struct mosquitto_reader *reader, const struct convert_at *at)
{
	if (convert_truth(at->value) == 1)
		convert_put(reader->convert, &reader->bridge, at, "urls_order",
		    CONVERT_TEXT, "round_robin");
}

bool
mosquitto_bridge_line(struct mosquitto_reader *reader,
    const struct convert_at *at, char *const words[], size_t count)
{
	const char *key = at->key;

	if (reader->bridge.setting == NULL)
		return false;
	if (is_of_tls(key))
		reader->bridge_is_tls = true;
	if (strcmp(key, "address") == 0 || strcmp(key, "addresses") == 0)
		set_addresses(reader, at);
	else if (strcmp(key, "topic") == 0)
		add_rules(reader, at, words, count);
	else if (strcmp(key, "bridge_protocol_version") == 0)
		set_version(reader, at);
	else if (strcmp(key, "restart_timeout") == 0)
		set_restart(reader, at, words, count);
	else if (strcmp(key, "bridge_tcp_keepalive") == 0)
		set_keepalive(reader, at, words, count);
	else if (strcmp(key, "bridge_tcp_user_timeout") == 0)
		set_user_timeout(reader, at);
	else if (strcmp(key, "bridge_tls_version") == 0)
		set_tls_version(reader, at);
	else if (strcmp(key, "bridge_outgoing_retain") == 0)
		reader->is_retain_cleared = convert_truth(at->value) == 0;
	else if (strcmp(key, "notifications") == 0 ||
	    strcmp(key, "notifications_local_only") == 0)
		set_notifications(reader, key, at);
	else if (strcmp(key, "round_robin") == 0)
		set_round_robin(reader, at);
	else
		return convert_by_row(
		    reader->convert, &reader->bridge, at, bridge_rows);
	return true;
}
