/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nanomq.conf: the present form, of objects, and the former, of lines with
 * whole paths.  Values come one by one (convert_hocon.c); those of a bridge's
 * rules are gathered first, for topics are written as a pair there and with
 * prefixes here.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/convert_private.h"

#define RULES_MAX 1024u
#define BRIDGES_MAX 63u
#define TEXT_SIZE 512u

struct rule {
	size_t bridge;
	bool is_forward;
	unsigned number; /* of the list in the file */
	unsigned line;
	char local[TEXT_SIZE], remote[TEXT_SIZE];
	char qos[4];
	const char *file;
};

struct known_bridge {
	char name[64]; /* as it is called there */
	struct convert_group group;
};

struct reader {
	struct convert *convert;
	struct convert_group whole, http, account;
	struct known_bridge bridges[BRIDGES_MAX];
	size_t bridge_count;
	struct rule *rules;
	size_t rule_count, rule_room;
	bool has_listener;
	int anonymous; /* -1: not said */
};

/* ---- what becomes of what -------------------------------------------------
 */

static const struct convert_row whole_rows[] = {
	{ "mqtt.max_packet_size", CONVERT_PACKET, "max_packet_size", NULL },
	{ "max_packet_size", CONVERT_PACKET, "max_packet_size", NULL },
	{ "mqtt.max_mqueue_len", CONVERT_NUMBER, "max_queued_messages", NULL },
	{ "mqtt.max_inflight_window", CONVERT_NUMBER, "max_inflight", NULL },
	{ "mqtt.max_awaiting_rel", CONVERT_NUMBER, "receive_maximum", NULL },
	{ "system.num_taskq_thread", CONVERT_NUMBER, "workers", NULL },
	{ "num_taskq_thread", CONVERT_NUMBER, "workers", NULL },
	{ "http_server.max_body", CONVERT_BYTES, "http.max_body", NULL },
	{ "http_server.limit_conn", CONVERT_NUMBER, "http.max_connections",
	    NULL },
	CONVERT_NEEDLESS("mqtt.keepalive_multiplier", "1.5, as MQTT has it"),
	CONVERT_NEEDLESS("mqtt.retry_interval",
	    "what was not acknowledged is sent again at a reconnect"),
	CONVERT_NEEDLESS("mqtt.await_rel_timeout",
	    "QoS 2 has no time limit within a session"),
	CONVERT_NEEDLESS("mqtt.property_size", "bounded by the packet"),
	CONVERT_NEEDLESS(
	    "system.max_taskq_thread", "workers are one for each processor"),
	CONVERT_NEEDLESS(
	    "max_taskq_thread", "workers are one for each processor"),
	CONVERT_NEEDLESS("system.parallel", "nothing limits it but memory"),
	CONVERT_NEEDLESS("parallel", "nothing limits it but memory"),
	CONVERT_NEEDLESS("daemon", "systemd starts the programs"),
	CONVERT_NEEDLESS("http_server.enable", "the group http says so"),
	CONVERT_LEFT("auth.no_match",
	    "an account may publish where accounts.publish says"),
	CONVERT_LEFT("auth.deny_action", "who may not is told so"),
	{ NULL, CONVERT_TEXT, NULL, NULL },
};

/* The first part of a path that is one thing. */
static const struct {
	const char *prefix;
	bool is_needless;
	const char *why;
} families[] = {
	{ "log.", true, "the log goes to stderr, for systemd" },
	{ "sqlite.", true, "the journal has what was acknowledged" },
	{ "auth.password", false,
	    "name accounts in accounts_file, with argon2id hashes" },
	{ "auth.acl", false,
	    "give accounts what they may do: accounts.scopes and "
	    "accounts.publish" },
	{ "auth.http_auth", false, "accounts are in files" },
	{ "auth.cache", true, "credentials are cached" },
	{ "listeners.ssl.", false,
	    "listeners with TLS are not in this version" },
	{ "listeners.wss.", false,
	    "listeners with TLS are not in this version" },
	{ "rules.", false, "there are no rules in SQL" },
	{ "webhook.", false, "there are no webhooks" },
	{ "exchange", false, "there is no exchange client" },
	{ "bridges.aws.", false, "bridges speak MQTT" },
};

static const struct convert_row bridge_rows[] = {
	{ "username", CONVERT_TEXT, "username", NULL },
	{ "password", CONVERT_TEXT, "password", NULL },
	{ "clientid", CONVERT_TEXT, "client_id", NULL },
	{ "ssl.cacertfile", CONVERT_TEXT, "tls.ca_file", NULL },
	{ "ssl.certfile", CONVERT_TEXT, "tls.cert", NULL },
	{ "ssl.keyfile", CONVERT_TEXT, "tls.key", NULL },
	{ "tls.cacertfile", CONVERT_TEXT, "tls.ca_file", NULL },
	{ "tls.certfile", CONVERT_TEXT, "tls.cert", NULL },
	{ "tls.keyfile", CONVERT_TEXT, "tls.key", NULL },
	{ "conn_properties.session_expiry_interval", CONVERT_SECONDS,
	    "session_expiry", NULL },
	{ "conn_properties.receive_maximum", CONVERT_NUMBER, "receive_maximum",
	    NULL },
	{ "conn_properties.maximum_packet_size", CONVERT_BYTES,
	    "max_packet_size", NULL },
	{ "conn_properties.topic_alias_maximum", CONVERT_NUMBER,
	    "topic_alias_maximum", NULL },
	CONVERT_NEEDLESS("bridge_mode", "a bridge is one"),
	CONVERT_NEEDLESS("clean_start",
	    "messages wait in the journal; session_expiry is for the remote"),
	CONVERT_NEEDLESS("max_parallel_processes",
	    "as many as the remote takes are sent at a time"),
	CONVERT_NEEDLESS(
	    "parallel", "as many as the remote takes are sent at a time"),
	CONVERT_NEEDLESS("max_send_queue_len",
	    "what waits is bounded by ring.max_capacity and backlog"),
	CONVERT_NEEDLESS("max_recv_queue_len", "bounded by the ring"),
	CONVERT_NEEDLESS("resend_interval",
	    "what waits is sent as soon as the remote is there"),
	CONVERT_NEEDLESS(
	    "resend_wait", "what waits is sent as soon as the remote is there"),
	CONVERT_NEEDLESS("ssl.enable", "the address says so"),
	CONVERT_LEFT("ssl.key_password", "see tls.key_password_file"),
	CONVERT_LEFT("transparent",
	    "clients' subscriptions are not forwarded: name what to receive"),
	CONVERT_LEFT("hybrid_bridging", "there is no QUIC"),
	{ NULL, CONVERT_TEXT, NULL, NULL },
};

/* ---- bridges --------------------------------------------------------------
 */

static struct known_bridge *
bridge_of(struct reader *reader, const struct convert_at *at, const char *name,
    size_t length)
{
	struct known_bridge *bridge;
	char ours[33];
	size_t i;

	for (i = 0; i < reader->bridge_count; i++)
		if (strncmp(reader->bridges[i].name, name, length) == 0 &&
		    reader->bridges[i].name[length] == '\0')
			return &reader->bridges[i];
	if (i == BRIDGES_MAX || length >= sizeof(bridge->name) || length == 0) {
		convert_leave(reader->convert, at,
		    "one bridge too many, or a name too long");
		return NULL;
	}
	bridge = &reader->bridges[reader->bridge_count++];
	snprintf(bridge->name, sizeof(bridge->name), "%.*s", (int)length, name);
	bridge->group = convert_add(reader->convert, "bridges");
	snprintf(ours, sizeof(ours), "%.32s", bridge->name);
	for (char *c = ours; *c != '\0'; c++)
		*c = isalnum((unsigned char)*c) != 0 || *c == '_'
		    ? (char)tolower((unsigned char)*c)
		    : '-';
	convert_put(
	    reader->convert, &bridge->group, at, "name", CONVERT_TEXT, ours);
	if (strcmp(ours, bridge->name) != 0)
		convert_leave(reader->convert, at,
		    "the bridge %s is called %s here", bridge->name, ours);
	return bridge;
}

static struct rule *
rule_of(struct reader *reader, const struct known_bridge *bridge,
    bool is_forward, unsigned number, const struct convert_at *at)
{
	struct rule *grown, *rule;
	size_t index = (size_t)(bridge - reader->bridges);

	for (size_t i = 0; i < reader->rule_count; i++) {
		rule = &reader->rules[i];
		if (rule->bridge == index && rule->is_forward == is_forward &&
		    rule->number == number)
			return rule;
	}
	if (reader->rule_count == RULES_MAX) {
		convert_leave(reader->convert, at, "too many rules");
		return NULL;
	}
	if (reader->rule_count == reader->rule_room) {
		reader->rule_room = reader->rule_room * 2 + 8;
		grown = realloc(
		    reader->rules, reader->rule_room * sizeof(*reader->rules));
		if (grown == NULL) {
			reader->convert->no_memory = true;
			reader->rule_room = reader->rule_count;
			return NULL;
		}
		reader->rules = grown;
	}
	rule = &reader->rules[reader->rule_count++];
	*rule = (struct rule){ .bridge = index,
		.is_forward = is_forward,
		.number = number,
		.line = at->line,
		.file = at->file };
	return rule;
}

static void
set_text(
    struct reader *reader, char *out, size_t size, const struct convert_at *at)
{
	if (strlen(at->value) < size)
		memcpy(out, at->value, strlen(at->value) + 1);
	else
		convert_leave(reader->convert, at, "it is too long");
}

/* "forwards.0.local_topic", "subscription.1.qos", "subscription.1.topic" */
static void
set_rule(struct reader *reader, const struct known_bridge *bridge,
    bool is_forward, const struct convert_at *at, const char *rest)
{
	char *name;
	unsigned long number = strtoul(rest, &name, 10);
	struct rule *rule;

	if (*name != '.' || number > RULES_MAX) {
		convert_leave(
		    reader->convert, at, "it is not known what this is");
		return;
	}
	rule = rule_of(reader, bridge, is_forward, (unsigned)number, at);
	if (rule == NULL)
		return;
	name++;
	if (strcmp(name, "local_topic") == 0)
		set_text(reader, rule->local, sizeof(rule->local), at);
	else if (strcmp(name, "remote_topic") == 0 ||
	    strcmp(name, "topic") == 0)
		set_text(reader, rule->remote, sizeof(rule->remote), at);
	else if (strcmp(name, "qos") == 0)
		set_text(reader, rule->qos, sizeof(rule->qos), at);
	else
		convert_leave(reader->convert, at,
		    "see what a rule may say in weir.conf(5)");
}

/* The former form: "a/#,b/#". */
static void
set_forwards(struct reader *reader, const struct known_bridge *bridge,
    const struct convert_at *at)
{
	char copy[4096], *word, *rest = copy;
	struct rule *rule;
	unsigned number = 0;

	snprintf(copy, sizeof(copy), "%s", at->value);
	while ((word = strsep(&rest, ", ")) != NULL) {
		if (*word == '\0')
			continue;
		rule = rule_of(reader, bridge, true, number++, at);
		if (rule != NULL)
			snprintf(rule->local, sizeof(rule->local), "%s", word);
	}
}

/* mqtt-tcp://host:1883, tls+mqtt-tcp://host:8883, ws://... */
static void
set_server(struct reader *reader, const struct known_bridge *bridge,
    const struct convert_at *at)
{
	static const char *const schemes[][2] = {
		{ "mqtt-tcp://", "mqtt://" },
		{ "tls+mqtt-tcp://", "mqtts://" },
		{ "mqtt-tls://", "mqtts://" },
		{ "mqtt://", "mqtt://" },
		{ "ws://", "ws://" },
		{ "wss://", "wss://" },
	};
	char url[TEXT_SIZE];

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t length = strlen(schemes[i][0]);

		if (strncmp(at->value, schemes[i][0], length) != 0)
			continue;
		snprintf(url, sizeof(url), "%s%s", schemes[i][1],
		    at->value + length);
		convert_put(reader->convert, &bridge->group, at, "url",
		    CONVERT_TEXT, url);
		return;
	}
	convert_leave(
	    reader->convert, at, "write the bridge's url as mqtt://host:port");
}

static void
set_version(struct reader *reader, const struct known_bridge *bridge,
    const struct convert_at *at)
{
	const char *version = strcmp(at->value, "5") == 0 ? "5.0"
	    : strcmp(at->value, "4") == 0                 ? "3.1.1"
							  : NULL;

	if (version == NULL)
		convert_leave(
		    reader->convert, at, "4 (3.1.1) and 5 (5.0) are spoken");
	else
		convert_put(reader->convert, &bridge->group, at, "protocol",
		    CONVERT_TEXT, version);
}

static void
set_keepalive(struct reader *reader, const struct known_bridge *bridge,
    const struct convert_at *at)
{
	bool is_plain = at->value[strspn(at->value, "0123456789")] == '\0';

	convert_put(reader->convert, &bridge->group, at, "keepalive",
	    is_plain ? CONVERT_SECONDS : CONVERT_DURATION, at->value);
}

static void
set_enabled(struct reader *reader, const struct convert_at *at)
{
	if (convert_truth(at->value) == 0)
		convert_leave(reader->convert, at,
		    "a bridge that is in the file is used: take it out");
}

/* `rest` is behind "bridges.mqtt.NAME." */
static void
bridge_value(struct reader *reader, const struct convert_at *at,
    const char *name, const char *rest)
{
	struct known_bridge *bridge =
	    bridge_of(reader, at, name, (size_t)(rest - 1 - name));
	struct convert_at short_at = *at;

	if (bridge == NULL)
		return;
	short_at.key = rest;
	if (strncmp(rest, "forwards.", 9) == 0)
		set_rule(reader, bridge, true, at, rest + 9);
	else if (strcmp(rest, "forwards") == 0)
		set_forwards(reader, bridge, at);
	else if (strncmp(rest, "subscription.", 13) == 0)
		set_rule(reader, bridge, false, at, rest + 13);
	else if (strcmp(rest, "server") == 0 || strcmp(rest, "address") == 0)
		set_server(reader, bridge, at);
	else if (strcmp(rest, "proto_ver") == 0)
		set_version(reader, bridge, at);
	else if (strcmp(rest, "keepalive") == 0)
		set_keepalive(reader, bridge, at);
	else if (strcmp(rest, "enable") == 0)
		set_enabled(reader, at);
	else if (!convert_by_row(
		     reader->convert, &bridge->group, &short_at, bridge_rows))
		convert_leave(
		    reader->convert, at, "it is not known what this is");
}

/* ---- rules ----------------------------------------------------------------
 */

/* How many bytes at the end, whole levels, are the same in both. */
static size_t
common_end(const char *a, const char *b)
{
	size_t a_length = strlen(a), b_length = strlen(b), same = 0, whole = 0;

	while (same < a_length && same < b_length &&
	    a[a_length - 1 - same] == b[b_length - 1 - same]) {
		same++;
		if ((same == a_length || a[a_length - 1 - same] == '/') &&
		    (same == b_length || b[b_length - 1 - same] == '/'))
			whole = same;
	}
	return whole;
}

static bool
has_wildcard(const char *text, size_t length)
{
	return memchr(text, '+', length) != NULL ||
	    memchr(text, '#', length) != NULL;
}

static void
put_prefix(struct reader *reader, const struct convert_group *group,
    const struct convert_at *at, const char *key, const char *topic,
    size_t length)
{
	char prefix[TEXT_SIZE];

	if (length == 0)
		return;
	snprintf(prefix, sizeof(prefix), "%.*s", (int)length, topic);
	convert_put(reader->convert, group, at, key, CONVERT_TEXT, prefix);
}

/* Local and remote: what they end with is the filter, the rest prefixes. */
static void
add_rule(struct reader *reader, const struct rule *rule)
{
	const char *list = rule->is_forward ? "forward" : "receive";
	const char *local = rule->local, *remote = rule->remote;
	const struct convert_at at = { .file = rule->file,
		.line = rule->line,
		.key = list,
		.value = local };
	char path[32];
	struct convert_group group = { .path = path };
	size_t same, local_rest, remote_rest;

	if (*local == '\0')
		local = remote;
	if (*remote == '\0')
		remote = local;
	same = common_end(local, remote);
	local_rest = strlen(local) - same;
	remote_rest = strlen(remote) - same;
	if (same == 0 || has_wildcard(local, local_rest) ||
	    has_wildcard(remote, remote_rest)) {
		convert_leave(reader->convert, &at,
		    "%s here and %s there cannot be said with prefixes: see "
		    "the rules in weir.conf(5)",
		    local, remote);
		return;
	}
	snprintf(path, sizeof(path), "bridges.%s", list);
	group.setting = convert_add_within(
	    reader->convert, reader->bridges[rule->bridge].group.setting, list);
	if (group.setting == NULL)
		return;
	convert_put(reader->convert, &group, &at, "filter", CONVERT_TEXT,
	    local + local_rest);
	put_prefix(reader, &group, &at, "local_prefix", local, local_rest);
	put_prefix(reader, &group, &at, "remote_prefix", remote, remote_rest);
	if (rule->qos[0] != '\0')
		convert_put(reader->convert, &group, &at, "qos", CONVERT_NUMBER,
		    rule->qos);
}

/* ---- the rest -------------------------------------------------------------
 */

static void
add_listener(struct reader *reader, const struct convert_at *at,
    const char *address, bool is_websocket)
{
	struct convert_group group;
	char bind[TEXT_SIZE];
	const char *path = strchr(address, '/');
	size_t length =
	    path == NULL ? strlen(address) : (size_t)(path - address);

	if (is_websocket) {
		convert_leave(reader->convert, at,
		    "listeners with WebSocket are not in this version");
		return;
	}
	reader->has_listener = true;
	snprintf(bind, sizeof(bind), "%s%.*s",
	    memchr(address, ':', length) == NULL ? ":" : "", (int)length,
	    address);
	group = convert_add(reader->convert, "listeners");
	convert_put(reader->convert, &group, at, "bind", CONVERT_TEXT, bind);
}

static void
http_value(struct reader *reader, const struct convert_at *at, const char *name)
{
	char bind[64];

	if (strcmp(name, "port") == 0) {
		snprintf(bind, sizeof(bind), "0.0.0.0:%.8s", at->value);
		convert_put(reader->convert, &reader->whole, at, "http.bind",
		    CONVERT_TEXT, bind);
	} else if (strcmp(name, "username") == 0 ||
	    strcmp(name, "password") == 0) {
		if (reader->account.setting == NULL)
			reader->account =
			    convert_add(reader->convert, "accounts");
		convert_put(reader->convert, &reader->account, at,
		    name[0] == 'u' ? "name" : "password", CONVERT_TEXT,
		    at->value);
	} else if (!convert_by_row(
		       reader->convert, &reader->whole, at, whole_rows)) {
		convert_leave(
		    reader->convert, at, "see the group http in weir.conf(5)");
	}
}

static void
set_anonymous(struct reader *reader, const struct convert_at *at)
{
	reader->anonymous = convert_truth(at->value);
	if (reader->anonymous < 0)
		convert_mistake(reader->convert, at->file, at->line,
		    "allow_anonymous is true or false");
}

static bool
is_of_a_family(struct reader *reader, const struct convert_at *at)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		if (strncmp(at->key, families[i].prefix,
			strlen(families[i].prefix)) != 0)
			continue;
		if (families[i].is_needless)
			convert_needless(reader->convert, at, families[i].why);
		else
			convert_leave(
			    reader->convert, at, "%s", families[i].why);
		return true;
	}
	return false;
}

/* Where the rest of a bridge's key begins; NULL: it is none. */
static const char *
behind_bridge(const char *key, const char **out_name)
{
	const char *name = NULL, *end;

	if (strncmp(key, "bridges.mqtt.", 13) == 0)
		name = key + 13;
	else if (strncmp(key, "bridge.mqtt.", 12) == 0)
		name = key + 12;
	end = name == NULL ? NULL : strchr(name, '.');
	*out_name = name;
	return end == NULL ? NULL : end + 1;
}

static void
on_value(void *context, const struct convert_at *at)
{
	struct reader *reader = context;
	const char *key = at->key, *name;
	const char *rest = behind_bridge(key, &name);

	if (rest != NULL)
		bridge_value(reader, at, name, rest);
	else if (strcmp(key, "listeners.tcp.bind") == 0)
		add_listener(reader, at, at->value, false);
	else if (strcmp(key, "url") == 0 &&
	    strncmp(at->value, "nmq-tcp://", 10) == 0)
		add_listener(reader, at, at->value + 10, false);
	else if (strcmp(key, "listeners.ws.bind") == 0)
		add_listener(reader, at, at->value, true);
	else if (strcmp(key, "auth.allow_anonymous") == 0 ||
	    strcmp(key, "allow_anonymous") == 0)
		set_anonymous(reader, at);
	else if (strncmp(key, "http_server.", 12) == 0)
		http_value(reader, at, key + 12);
	else if (!is_of_a_family(reader, at) &&
	    !convert_by_row(reader->convert, &reader->whole, at, whole_rows))
		convert_leave(
		    reader->convert, at, "it is not known what this is");
}

/* There anybody may come unless it says otherwise, and so on port 1883. */
static void
finish(struct reader *reader, const char *path)
{
	const struct convert_at at = {
		.file = path, .line = 1, .key = "listeners", .value = ""
	};
	struct convert_group listener = { .path = "listeners" };
	config_setting_t *list;
	int count;

	for (size_t i = 0; i < reader->rule_count; i++)
		add_rule(reader, &reader->rules[i]);
	if (!reader->has_listener)
		add_listener(reader, &at, "0.0.0.0:1883", false);
	list = config_lookup(&reader->convert->tree, "listeners");
	count = list == NULL ? 0 : config_setting_length(list);
	for (int i = 0; i < count; i++) {
		listener.setting = config_setting_get_elem(list, (unsigned)i);
		convert_put(reader->convert, &listener, &at, "allow_anonymous",
		    CONVERT_BOOL, reader->anonymous == 0 ? "false" : "true");
	}
}

int
convert_read_nanomq(struct convert *convert, const char *path, char *text)
{
	struct reader reader = {
		.convert = convert,
		.whole = { config_root_setting(&convert->tree), "" },
		.account = { .path = "accounts" },
		.anonymous = -1,
	};

	convert_hocon(convert, path, text, on_value, &reader);
	if (!convert->is_wrong)
		finish(&reader, path);
	free(reader.rules);
	return 0;
}
