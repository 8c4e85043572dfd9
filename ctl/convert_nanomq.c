/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nanomq.conf: the present form, of objects, and the former, of lines with
 * whole paths.  Values come one by one (convert_hocon.c); those of a bridge's
 * rules are gathered first, for topics are written as a pair there and with
 * prefixes here.
 */

#include <stdlib.h>
#include <string.h>

#include "ctl/convert_nanomq.h"

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

/* ---- the rest -------------------------------------------------------------
 */

static void
add_listener(struct nanomq_reader *reader, const struct convert_at *at,
    const char *address, bool is_websocket)
{
	struct convert_group group;
	char bind[NANOMQ_TEXT_SIZE];
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
http_value(
    struct nanomq_reader *reader, const struct convert_at *at, const char *name)
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
set_anonymous(struct nanomq_reader *reader, const struct convert_at *at)
{
	reader->anonymous = convert_truth(at->value);
	if (reader->anonymous < 0)
		convert_mistake(reader->convert, at->file, at->line,
		    "allow_anonymous is true or false");
}

static bool
is_of_a_family(struct nanomq_reader *reader, const struct convert_at *at)
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
	struct nanomq_reader *reader = context;
	const char *key = at->key, *name;
	const char *rest = behind_bridge(key, &name);

	if (rest != NULL)
		nanomq_bridge_value(reader, at, name, rest);
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
finish(struct nanomq_reader *reader, const char *path)
{
	const struct convert_at at = {
		.file = path, .line = 1, .key = "listeners", .value = ""
	};

	if (!reader->has_listener)
		add_listener(reader, &at, "0.0.0.0:1883", false);
	convert_end_listeners(reader->convert, &at, reader->anonymous != 0);
}

int
convert_read_nanomq(struct convert *convert, const char *path, char *text)
{
	struct nanomq_reader reader = {
		.convert = convert,
		.whole = { config_root_setting(&convert->tree), "" },
		.account = { .path = "accounts" },
		.anonymous = -1,
	};

	convert_hocon(convert, path, text, on_value, &reader);
	nanomq_end_bridges(&reader, path);
	if (!convert->is_wrong)
		finish(&reader, path);
	return 0;
}
