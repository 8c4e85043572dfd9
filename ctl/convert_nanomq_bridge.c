/* SPDX-License-Identifier: Apache-2.0 */

/* The bridges of a nanomq.conf. */

#include <stdlib.h>
#include <string.h>

#include "ctl/convert_nanomq.h"

#define RULES_MAX 1024u

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
	{ "clean_start", CONVERT_BOOL, "clean_start", NULL },
	{ "will.topic", CONVERT_TEXT, "will.topic", NULL },
	{ "will.payload", CONVERT_TEXT, "will.payload", NULL },
	{ "will.qos", CONVERT_NUMBER, "will.qos", NULL },
	{ "will.retain", CONVERT_BOOL, "will.retain", NULL },
	{ "will.properties.will_delay_interval", CONVERT_SECONDS, "will.delay",
	    NULL },
	{ "tcp.keepidle", CONVERT_SECONDS, "tcp_keepalive", NULL },
	{ "tcp.keepintvl", CONVERT_SECONDS, "tcp_keepalive_interval", NULL },
	{ "tcp.keepcnt", CONVERT_NUMBER, "tcp_keepalive_count", NULL },
	CONVERT_NEEDLESS("tcp.nodelay", "always set"),
	CONVERT_NEEDLESS("tcp.keepalive", "always set"),
	CONVERT_NEEDLESS("bridge_mode", "a bridge is one"),
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

static struct nanomq_bridge *
bridge_of(struct nanomq_reader *reader, const struct convert_at *at,
    const char *name, size_t length)
{
	struct nanomq_bridge *bridge;
	size_t i;

	for (i = 0; i < reader->bridge_count; i++)
		if (strncmp(reader->bridges[i].name, name, length) == 0 &&
		    reader->bridges[i].name[length] == '\0')
			return &reader->bridges[i];
	if (i == NANOMQ_BRIDGES_MAX || length >= sizeof(bridge->name) ||
	    length == 0) {
		convert_leave(reader->convert, at,
		    "one bridge too many, or a name too long");
		return NULL;
	}
	bridge = &reader->bridges[reader->bridge_count++];
	snprintf(bridge->name, sizeof(bridge->name), "%.*s", (int)length, name);
	bridge->group = convert_add(reader->convert, "bridges");
	convert_name_bridge(reader->convert, &bridge->group, at, bridge->name);
	return bridge;
}

static struct nanomq_rule *
rule_of(struct nanomq_reader *reader, const struct nanomq_bridge *bridge,
    bool is_forward, unsigned number, const struct convert_at *at)
{
	struct nanomq_rule *grown, *rule;
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
	*rule = (struct nanomq_rule){ .bridge = index,
		.is_forward = is_forward,
		.number = number,
		.line = at->line,
		.file = at->file };
	return rule;
}

static void
set_text(struct nanomq_reader *reader, char *out, size_t size,
    const struct convert_at *at)
{
	if (strlen(at->value) < size)
		memcpy(out, at->value, strlen(at->value) + 1);
	else
		convert_leave(reader->convert, at, "it is too long");
}

/* "forwards.0.local_topic", "subscription.1.qos", "subscription.1.topic" */
static void
set_rule(struct nanomq_reader *reader, const struct nanomq_bridge *bridge,
    bool is_forward, const struct convert_at *at, const char *rest)
{
	char *name;
	unsigned long number = strtoul(rest, &name, 10);
	struct nanomq_rule *rule;

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
	else if (strcmp(name, "retain") == 0 && is_forward)
		set_text(reader, rule->retain, sizeof(rule->retain), at);
	else
		convert_leave(reader->convert, at,
		    "see what a rule may say in weir.conf(5)");
}

/* The former form: "a/#,b/#". */
static void
set_forwards(struct nanomq_reader *reader, const struct nanomq_bridge *bridge,
    const struct convert_at *at)
{
	char copy[4096], *word, *rest = copy;
	struct nanomq_rule *rule;
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
set_server(struct nanomq_reader *reader, const struct nanomq_bridge *bridge,
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
	char url[NANOMQ_TEXT_SIZE];

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
set_version(struct nanomq_reader *reader, const struct nanomq_bridge *bridge,
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
set_keepalive(struct nanomq_reader *reader, const struct nanomq_bridge *bridge,
    const struct convert_at *at)
{
	bool is_plain = at->value[strspn(at->value, "0123456789")] == '\0';

	convert_put(reader->convert, &bridge->group, at, "keepalive",
	    is_plain ? CONVERT_SECONDS : CONVERT_DURATION, at->value);
}

static void
set_enabled(struct nanomq_reader *reader, const struct convert_at *at)
{
	if (convert_truth(at->value) == 0)
		convert_leave(reader->convert, at,
		    "a bridge that is in the file is used: take it out");
}

/* `rest` is behind "bridges.mqtt.NAME." */
void
nanomq_bridge_value(struct nanomq_reader *reader, const struct convert_at *at,
    const char *name, const char *rest)
{
	struct nanomq_bridge *bridge =
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
put_prefix(struct nanomq_reader *reader, const struct convert_group *group,
    const struct convert_at *at, const char *key, const char *topic,
    size_t length)
{
	char prefix[NANOMQ_TEXT_SIZE];

	if (length == 0)
		return;
	snprintf(prefix, sizeof(prefix), "%.*s", (int)length, topic);
	convert_put(reader->convert, group, at, key, CONVERT_TEXT, prefix);
}

/* The end that both have is the filter, the rest prefixes. */
static bool
put_by_prefixes(struct nanomq_reader *reader, const struct convert_group *group,
    const struct convert_at *at, const char *local, const char *remote)
{
	size_t same = common_end(local, remote);
	size_t local_rest = strlen(local) - same;
	size_t remote_rest = strlen(remote) - same;

	if (same == 0 || has_wildcard(local, local_rest) ||
	    has_wildcard(remote, remote_rest))
		return false;
	convert_put(reader->convert, group, at, "filter", CONVERT_TEXT,
	    local + local_rest);
	put_prefix(reader, group, at, "local_prefix", local, local_rest);
	put_prefix(reader, group, at, "remote_prefix", remote, remote_rest);
	return true;
}

/* Everything that matches gets one topic on the other side. */
static bool
put_by_topic(struct nanomq_reader *reader, const struct convert_group *group,
    const struct convert_at *at, const struct nanomq_rule *rule)
{
	const char *from = rule->is_forward ? rule->local : rule->remote;
	const char *to = rule->is_forward ? rule->remote : rule->local;

	if (strpbrk(to, "+#{}") != NULL)
		return false;
	convert_put(reader->convert, group, at, "filter", CONVERT_TEXT, from);
	convert_put(reader->convert, group, at,
	    rule->is_forward ? "remote_topic" : "local_topic", CONVERT_TEXT,
	    to);
	return true;
}

/* 0 clears it, 1 sets it, 2 keeps it. */
static const char *
retain_word(const char *retain)
{
	return strcmp(retain, "0") == 0 ? "clear"
	    : strcmp(retain, "1") == 0  ? "set"
					: "keep";
}

static void
add_rule(struct nanomq_reader *reader, const struct nanomq_rule *rule)
{
	const char *list = rule->is_forward ? "forward" : "receive";
	const char *local = rule->local, *remote = rule->remote;
	const struct convert_at at = { .file = rule->file,
		.line = rule->line,
		.key = list,
		.value = local };
	char path[32];
	struct convert_group group = { .path = path };

	if (*local == '\0')
		local = remote;
	if (*remote == '\0')
		remote = local;
	snprintf(path, sizeof(path), "bridges.%s", list);
	group.setting = convert_add_within(
	    reader->convert, reader->bridges[rule->bridge].group.setting, list);
	if (group.setting == NULL)
		return;
	if (!put_by_prefixes(reader, &group, &at, local, remote) &&
	    !put_by_topic(reader, &group, &at, rule)) {
		convert_leave(reader->convert, &at,
		    "%s here and %s there: write it as a template, see the "
		    "rules in weir.conf(5)",
		    local, remote);
		config_setting_remove_elem(config_setting_parent(group.setting),
		    (unsigned)config_setting_index(group.setting));
		return;
	}
	if (rule->qos[0] != '\0')
		convert_put(reader->convert, &group, &at, "qos", CONVERT_NUMBER,
		    rule->qos);
	if (rule->retain[0] != '\0')
		convert_put(reader->convert, &group, &at, "retain",
		    CONVERT_TEXT, retain_word(rule->retain));
}

/* Its keys are there without being used. */
static void
drop_idle_tls(struct nanomq_reader *reader, const struct nanomq_bridge *bridge,
    const char *path)
{
	const struct convert_at at = {
		.file = path, .line = 1, .key = "ssl", .value = bridge->name
	};
	const char *url = "";

	config_setting_lookup_string(bridge->group.setting, "url", &url);
	if (strncmp(url, "mqtt://", 7) == 0 &&
	    config_setting_remove(bridge->group.setting, "tls"))
		convert_needless(
		    reader->convert, &at, "the bridge's address is without");
}

void
nanomq_end_bridges(struct nanomq_reader *reader, const char *path)
{
	for (size_t i = 0; i < reader->rule_count; i++)
		add_rule(reader, &reader->rules[i]);
	for (size_t i = 0; i < reader->bridge_count; i++)
		drop_idle_tls(reader, &reader->bridges[i], path);
	free(reader->rules);
	reader->rules = NULL;
}
