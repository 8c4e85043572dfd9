/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mosquitto.conf: lines of a key and its value.  A line "listener" begins a
 * listener and "connection" a bridge; what follows is about it.
 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/conf/conf.h"
#include "ctl/convert_mosquitto.h"

#define WORDS_MAX 8

/* ---- what becomes of what -------------------------------------------------
 */

static const struct convert_row whole_rows[] = {
	{ "max_inflight_messages", CONVERT_NUMBER, "max_inflight", NULL },
	{ "max_queued_bytes", CONVERT_BYTES, "max_queued_bytes", NULL },
	{ "message_size_limit", CONVERT_PACKET, "max_packet_size", NULL },
	{ "max_packet_size", CONVERT_PACKET, "max_packet_size", NULL },
	{ "max_keepalive", CONVERT_NUMBER, "max_keepalive", NULL },
	{ "global_max_connections", CONVERT_NUMBER, "max_connections", NULL },
	{ "sys_interval", CONVERT_SECONDS, "sys_interval", NULL },
	{ "retain_available", CONVERT_BOOL, "retain_available", NULL },
	CONVERT_NEEDLESS(
	    "allow_zero_length_clientid", "always: MQTT asks for it"),
	CONVERT_NEEDLESS(
	    "autosave_interval", "the journal has what was acknowledged"),
	CONVERT_NEEDLESS(
	    "autosave_on_changes", "the journal has what was acknowledged"),
	CONVERT_NEEDLESS("persistence_file", "the journal is a folder"),
	CONVERT_NEEDLESS("persistence_location",
	    "the journal is in state_dir, /var/lib/weir by default"),
	CONVERT_NEEDLESS("pid_file", "the programs are known to systemd"),
	CONVERT_NEEDLESS("user", "the units name the users"),
	CONVERT_NEEDLESS("log_dest", "the log goes to stderr, for systemd"),
	CONVERT_NEEDLESS("log_facility", "the log goes to stderr"),
	CONVERT_NEEDLESS("log_timestamp", "systemd notes the time"),
	CONVERT_NEEDLESS("log_timestamp_format", "systemd notes the time"),
	CONVERT_NEEDLESS("connection_messages", "they are always logged"),
	CONVERT_NEEDLESS(
	    "per_listener_settings", "listeners have settings of their own"),
	CONVERT_NEEDLESS("set_tcp_nodelay", "always set"),
	CONVERT_NEEDLESS("memory_limit",
	    "memory is bounded: weirctl status says by how much"),
	CONVERT_LEFT(
	    "auto_id_prefix", "assigned client identifiers are random"),
	CONVERT_LEFT("check_retain_source",
	    "an account's right to publish is asked when it publishes"),
	CONVERT_LEFT("clientid_prefixes", "any client identifier may connect"),
	CONVERT_LEFT("queue_qos0_messages",
	    "messages of QoS 0 are not kept for who is away"),
	CONVERT_LEFT("upgrade_outgoing_qos",
	    "a message is never sent at a higher QoS than it was published"),
	CONVERT_LEFT("max_inflight_bytes", "the number of messages is limited"),
	CONVERT_LEFT("password_file",
	    "its hashes are of another kind: give the accounts new passwords "
	    "in accounts_file"),
	CONVERT_LEFT("acl_file",
	    "give accounts what they may do: accounts.scopes and "
	    "accounts.publish, accounts.subscribe and access in weir.conf(5)"),
	CONVERT_LEFT("psk_file", "name it in tls.psk_file of its listener"),
	CONVERT_LEFT("plugin", "there are no plug-ins"),
	CONVERT_LEFT("auth_plugin", "there are no plug-ins"),
	CONVERT_LEFT("global_plugin", "there are no plug-ins"),
	CONVERT_LEFT("plugin_load", "there are no plug-ins"),
	CONVERT_LEFT("plugin_use", "there are no plug-ins"),
	CONVERT_LEFT("plugin_opt_config_file", "there are no plug-ins"),
	{ NULL, CONVERT_TEXT, NULL, NULL },
};

static const struct convert_row listener_rows[] = {
	{ "max_connections", CONVERT_NUMBER, "max_connections", NULL },
	{ "certfile", CONVERT_TEXT, "tls.cert", NULL },
	{ "keyfile", CONVERT_TEXT, "tls.key", NULL },
	{ "cafile", CONVERT_TEXT, "tls.ca_file", NULL },
	{ "ciphers", CONVERT_TEXT, "tls.ciphers", NULL },
	{ "crlfile", CONVERT_TEXT, "tls.crl_file", NULL },
	{ "require_certificate", CONVERT_BOOL, "tls.client_cert", NULL },
	CONVERT_LEFT("use_identity_as_username",
	    "give each name an account, as name:* in accounts_file, then set "
	    "tls.user_name_from = \"cn\", or \"psk\""),
	CONVERT_LEFT("use_subject_as_username",
	    "give each subject an account, as subject:* in accounts_file, then "
	    "set tls.user_name_from = \"subject\""),
	CONVERT_LEFT("capath", "put the authorities into one file"),
	CONVERT_LEFT(
	    "use_username_as_clientid", "clients choose their identifier"),
	CONVERT_LEFT("mount_point", "all listeners have the same topics"),
	CONVERT_LEFT("bind_interface", "name the address instead"),
	CONVERT_LEFT("socket_domain", "name an address of that family"),
	CONVERT_LEFT("max_qos", "max_qos is for all listeners alike"),
	CONVERT_LEFT("max_topic_alias",
	    "topic_alias_maximum is for all listeners alike"),
	CONVERT_LEFT("max_topic_alias_broker",
	    "topic_alias_maximum_out is for all listeners alike"),
	CONVERT_LEFT("dhparamfile", "OpenSSL chooses the group"),
	CONVERT_LEFT("tls_version", "TLS 1.2 and later"),
	CONVERT_LEFT("psk_hint",
	    "as it is the listener speaks in the clear: name the keys in "
	    "tls.psk_file"),
	CONVERT_LEFT("http_dir", "it serves no files"),
	CONVERT_LEFT(
	    "websockets_headers_size", "the head of a request may have 8 KiB"),
	{ "websockets_origin", CONVERT_TEXT, "websocket_origins", NULL },
	{ NULL, CONVERT_TEXT, NULL, NULL },
};

/* ---- listeners ------------------------------------------------------------
 */

static bool
is_path(const char *text)
{
	return strchr(text, '/') != NULL;
}

static void
put_bind(struct mosquitto_reader *reader, const struct convert_group *listener,
    const struct convert_at *at, const char *host, const char *port)
{
	bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';
	char bind[320];

	snprintf(bind, sizeof(bind), "%s%s%s:%s", is_v6 ? "[" : "", host,
	    is_v6 ? "]" : "", port);
	convert_put(reader->convert, listener, at, "bind", CONVERT_TEXT, bind);
}

static void
begin_listener(struct mosquitto_reader *reader, const struct convert_at *at,
    char *const words[], size_t count)
{
	char bind[320];

	mosquitto_end_bridge(reader);
	reader->has_listener = true;
	reader->listener = convert_add(reader->convert, "listeners");
	if (count == 2 && is_path(words[1])) {
		snprintf(bind, sizeof(bind), PARSE_UNIX_PREFIX "%s", words[1]);
		convert_put(reader->convert, &reader->listener, at, "bind",
		    CONVERT_TEXT, bind);
		return;
	}
	put_bind(reader, &reader->listener, at, count == 2 ? words[1] : "",
	    words[0]);
}

/* The listener that port and bind_address are about, or the last begun. */
static const struct convert_group *
the_listener(struct mosquitto_reader *reader)
{
	if (reader->listener.setting != NULL)
		return &reader->listener;
	if (reader->first.setting == NULL)
		reader->first = convert_add(reader->convert, "listeners");
	return &reader->first;
}

static void
set_protocol(struct mosquitto_reader *reader, const struct convert_at *at)
{
	const struct convert_group *listener = the_listener(reader);

	if (strcmp(at->value, "mqtt") == 0)
		return;
	if (strcmp(at->value, "websockets") != 0)
		convert_leave(reader->convert, at, "mqtt or websockets");
	else
		convert_put(reader->convert, listener, at, "websocket",
		    CONVERT_TEXT, "/mqtt");
}

/* There, a cafile alone asks nobody for a certificate. */
static void
set_client_cert(
    struct mosquitto_reader *reader, const struct convert_at *at, int truth)
{
	const struct convert_group *listener = the_listener(reader);

	if (truth > 0)
		convert_put(reader->convert, listener, at, "tls.client_cert",
		    CONVERT_TEXT, "required");
	else if (config_setting_lookup(listener->setting, "tls.client_cert") ==
	    NULL)
		convert_put(reader->convert, listener, at, "tls.client_cert",
		    CONVERT_TEXT, "optional");
}

static bool
listener_line(struct mosquitto_reader *reader, const struct convert_at *at)
{
	const struct convert_row *row = listener_rows;

	while (row->from != NULL && strcmp(row->from, at->key) != 0)
		row++;
	if (row->from == NULL)
		return false;
	if (strcmp(at->key, "require_certificate") == 0)
		set_client_cert(reader, at, convert_truth(at->value));
	else
		convert_by_row(
		    reader->convert, the_listener(reader), at, listener_rows);
	if (strcmp(at->key, "cafile") == 0)
		set_client_cert(reader, at, -1);
	return true;
}

static void
set_anonymous(struct mosquitto_reader *reader, const struct convert_at *at)
{
	int truth = convert_truth(at->value);

	if (truth < 0)
		convert_mistake(reader->convert, at->file, at->line,
		    "allow_anonymous is true or false");
	else if (reader->listener.setting != NULL)
		convert_put(reader->convert, &reader->listener, at,
		    "allow_anonymous", CONVERT_BOOL, at->value);
	else
		reader->anonymous = truth;
}

/* Beside others there is no listener without a port. */
static void
leave_first(struct mosquitto_reader *reader, const struct convert_at *at)
{
	config_setting_t *first = reader->first.setting;

	if (first == NULL)
		return;
	convert_leave(reader->convert, at,
	    "what comes before the first listener is left out: it has no port");
	config_setting_remove_elem(config_setting_parent(first),
	    (unsigned)config_setting_index(first));
}

/* port and bind_address, or nothing at all. */
static void
finish_first(struct mosquitto_reader *reader, const struct convert_at *at)
{
	const char *host = reader->bind, *port = reader->port;

	if (port[0] == '\0' && reader->has_listener) {
		leave_first(reader, at);
		return;
	}
	if (port[0] == '\0' && host[0] == '\0')
		host = "127.0.0.1";
	if (port[0] == '\0')
		port = "1883";
	if (reader->first.setting == NULL)
		reader->first = convert_add(reader->convert, "listeners");
	put_bind(reader, &reader->first, at, host, port);
}

/* Without a word of it nobody may come without a name. */
static void
finish_listeners(struct mosquitto_reader *reader, const struct convert_at *at)
{
	finish_first(reader, at);
	convert_end_listeners(reader->convert, at, reader->anonymous == 1);
}

/* ---- the rest -------------------------------------------------------------
 */

/* 14d, 2w, 3m: months have 30 days there. */
static void
set_expiry(struct mosquitto_reader *reader, const struct convert_at *at)
{
	static const struct {
		char unit;
		unsigned hours;
	} units[] = { { 'h', 1 }, { 'd', 24 }, { 'w', 168 }, { 'm', 720 },
		{ 'y', 8760 } };
	char *end, text[32];
	unsigned long n = strtoul(at->value, &end, 10);

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (end != at->value && *end == units[i].unit &&
		    end[1] == '\0' && n < 100000) {
			snprintf(
			    text, sizeof(text), "%luh", n * units[i].hours);
			convert_put(reader->convert, &reader->whole, at,
			    "session_expiry_max", CONVERT_DURATION, text);
			return;
		}
	convert_leave(reader->convert, at, "this is not a time as 14d or 2w");
}

/* Zero is no limit there. */
static void
set_queue(struct mosquitto_reader *reader, const struct convert_at *at)
{
	if (strcmp(at->value, "0") == 0)
		convert_leave(reader->convert, at,
		    "a queue has a limit: max_queued_messages");
	else
		convert_put(reader->convert, &reader->whole, at,
		    "max_queued_messages", CONVERT_NUMBER, at->value);
}

static void
set_log(struct mosquitto_reader *reader, const struct convert_at *at)
{
	if (strcmp(at->value, "all") == 0 || strcmp(at->value, "debug") == 0)
		convert_put(reader->convert, &reader->whole, at, "log_level",
		    CONVERT_TEXT, "debug");
	else
		convert_needless(reader->convert, at,
		    "log_level is info, which has these lines");
}

static void
set_persistence(struct mosquitto_reader *reader, const struct convert_at *at)
{
	if (convert_truth(at->value) == 0)
		convert_put(reader->convert, &reader->whole, at, "durability",
		    CONVERT_TEXT, "none");
	else
		convert_needless(reader->convert, at,
		    "the journal is kept unless durability is none");
}

static bool
whole_line(struct mosquitto_reader *reader, const struct convert_at *at)
{
	const char *key = at->key;

	if (strcmp(key, "port") == 0)
		snprintf(reader->port, sizeof(reader->port), "%s", at->value);
	else if (strcmp(key, "bind_address") == 0)
		snprintf(reader->bind, sizeof(reader->bind), "%s", at->value);
	else if (strcmp(key, "allow_anonymous") == 0)
		set_anonymous(reader, at);
	else if (strcmp(key, "protocol") == 0)
		set_protocol(reader, at);
	else if (strcmp(key, "persistent_client_expiration") == 0)
		set_expiry(reader, at);
	else if (strcmp(key, "max_queued_messages") == 0)
		set_queue(reader, at);
	else if (strcmp(key, "log_type") == 0)
		set_log(reader, at);
	else if (strcmp(key, "persistence") == 0)
		set_persistence(reader, at);
	else
		return convert_by_row(
			   reader->convert, &reader->whole, at, whole_rows) ||
		    listener_line(reader, at);
	return true;
}

static int read_text(
    struct mosquitto_reader *reader, const char *path, char *text);

static int
include(struct mosquitto_reader *reader, const struct convert_at *at,
    const char *path)
{
	char *text = convert_slurp(path);
	int err = text == NULL ? -errno : 0;

	if (err != 0)
		convert_mistake(reader->convert, at->file, at->line,
		    "cannot read %s: %s", path, strerror(-err));
	else
		err = read_text(
		    reader, convert_keep_name(reader->convert, path), text);
	free(text);
	return err;
}

static int
is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* In the order of their names, as there. */
static void
include_folder(struct mosquitto_reader *reader, const struct convert_at *at)
{
	struct dirent **list = NULL;
	char path[4096];
	int count;

	if (reader->convert->includes >= CONVERT_INCLUDES_MAX) {
		convert_mistake(reader->convert, at->file, at->line,
		    "files include each other");
		return;
	}
	count = scandir(at->value, &list, is_conf, alphasort);
	if (count < 0)
		convert_mistake(reader->convert, at->file, at->line,
		    "cannot read the folder %s: %s", at->value,
		    strerror(errno));
	reader->convert->includes++;
	for (int i = 0; i < count; i++) {
		snprintf(
		    path, sizeof(path), "%s/%s", at->value, list[i]->d_name);
		if (!reader->convert->is_wrong)
			include(reader, at, path);
		free(list[i]);
	}
	reader->convert->includes--;
	free(list);
}

static size_t
split(char *text, char *words[])
{
	size_t count = 0;

	for (char *rest, *word = strtok_r(text, " \t", &rest);
	     word != NULL && count < WORDS_MAX;
	     word = strtok_r(NULL, " \t", &rest))
		words[count++] = word;
	return count;
}

static void
read_line(struct mosquitto_reader *reader, const struct convert_at *at)
{
	char copy[4096], *words[WORDS_MAX] = { NULL };
	size_t count;

	snprintf(copy, sizeof(copy), "%s", at->value);
	count = split(copy, words);
	if (count == 0)
		convert_mistake(reader->convert, at->file, at->line,
		    "%s has no value", at->key);
	else if (strcmp(at->key, "listener") == 0)
		begin_listener(reader, at, words, count);
	else if (strcmp(at->key, "connection") == 0) {
		mosquitto_end_bridge(reader);
		mosquitto_begin_bridge(reader, at);
	} else if (strcmp(at->key, "include_dir") == 0)
		include_folder(reader, at);
	else if (!mosquitto_bridge_line(reader, at, words, count) &&
	    !whole_line(reader, at))
		convert_leave(
		    reader->convert, at, "it is not known what this is");
}

static int
read_text(struct mosquitto_reader *reader, const char *path, char *text)
{
	struct convert_at at = { .file = path };
	char *line, *rest = text, *value, *end;

	while ((line = strsep(&rest, "\n")) != NULL &&
	    !reader->convert->is_wrong) {
		at.line++;
		line += strspn(line, " \t");
		if (*line == '\0' || *line == '\r' || *line == '#')
			continue;
		value = line + strcspn(line, " \t\r");
		if (*value != '\0')
			*value++ = '\0';
		value += strspn(value, " \t");
		end = value + strlen(value);
		while (end > value && isspace((unsigned char)end[-1]))
			*--end = '\0';
		at.key = line;
		at.value = value;
		read_line(reader, &at);
	}
	return 0;
}

int
convert_read_mosquitto(struct convert *convert, const char *path, char *text)
{
	struct mosquitto_reader reader = {
		.convert = convert,
		.whole = { config_root_setting(&convert->tree), "" },
		.anonymous = -1,
	};
	const struct convert_at end = {
		.file = path, .line = 1, .key = "listener", .value = ""
	};
	int err = read_text(&reader, path, text);

	if (err == 0 && !convert->is_wrong) {
		mosquitto_end_bridge(&reader);
		finish_listeners(&reader, &end);
	}
	return err;
}
