/* SPDX-License-Identifier: Apache-2.0 */

/* Where a bridge's remote is: url and urls, and what goes with them. */

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/options.h"
#include "common/base/parse.h"
#include "common/conf/conf_table.h"

#define DEFAULT_PATH "/mqtt"

static const struct scheme {
	const char *prefix;
	uint16_t port;
	bool is_tls;
	bool is_websocket;
} schemes[] = {
	{ "mqtt://", 1883, false, false },
	{ "mqtts://", 8883, true, false },
	{ "ws://", 80, false, true },
	{ "wss://", 443, true, true },
};

static const struct scheme *
find_scheme(const char *url)
{
	for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++)
		if (strncmp(
			url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
			return &schemes[i];
	return NULL;
}

/* Visible ASCII, as a request's target must be. */
static bool
is_path(const char *path)
{
	for (; *path != '\0'; path++)
		if (*path <= ' ' || *path > '~' || *path == '#')
			return false;
	return true;
}

/* scheme://host[:port][/path]; false when it is none. */
static bool
parse_url(
    struct conf_reader *reader, const char *url, struct conf_remote *out_remote)
{
	const struct scheme *scheme = find_scheme(url);
	char text[PARSE_HOST_SIZE + 8];
	const char *host, *path, *colon;
	struct host_port address;
	size_t len;

	if (scheme == NULL)
		return false;
	host = url + strlen(scheme->prefix);
	path = strchrnul(host, '/');
	len = (size_t)(path - host);
	if (len == 0 || len >= sizeof(text) - 8 || !is_path(path) ||
	    (!scheme->is_websocket && strlen(path) > 1))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)len, host);
	/* A colon inside the brackets of an IPv6 address is no port's. */
	colon = strrchr(text, ':');
	if (colon == NULL || strchr(colon, ']') != NULL)
		snprintf(text + len, sizeof(text) - len, ":%u",
		    (unsigned)scheme->port);
	if (parse_host_port(text, &address) != 0 || address.host[0] == '\0' ||
	    address.port == 0)
		return false;
	*out_remote = (struct conf_remote){
		.url = strdup(url),
		.host = strdup(address.host),
		.port = address.port,
		.is_tls = scheme->is_tls,
		.is_websocket = scheme->is_websocket,
	};
	if (scheme->is_websocket)
		out_remote->path = strdup(*path == '\0' ? DEFAULT_PATH : path);
	reader->no_memory |= out_remote->url == NULL ||
	    out_remote->host == NULL ||
	    (scheme->is_websocket && out_remote->path == NULL);
	return true;
}

static void
take_url(struct conf_reader *reader, config_setting_t *at, const char *key,
    const char *url, struct conf_bridge *bridge)
{
	struct conf_remote *remote = &bridge->remotes[bridge->remote_count];

	if (!parse_url(reader, url, remote)) {
		/* Mistakes are logged, and told to whoever may reload. */
		if (strchr(url, '@') != NULL) {
			conf_mistake(reader, conf_at_key(at, key),
			    "%s has a user in it (it is not repeated here); "
			    "username and password_file are keys of their own",
			    key);
			return;
		}
		conf_mistake(reader, conf_at_key(at, key),
		    "%s is \"%s\"; it must be mqtt://host[:port], "
		    "mqtts://host[:port], ws://host[:port][/path] or "
		    "wss://host[:port][/path]",
		    key, url);
		return;
	}
	bridge->remote_count++;
}

static void
take_first(struct conf_reader *reader, struct conf_bridge *bridge)
{
	const struct conf_remote *first = bridge->remotes;

	if (bridge->remote_count == 0 || reader->no_memory)
		return;
	bridge->port = first->port;
	bridge->host = strdup(first->host);
	if (bridge->url == NULL)
		bridge->url = strdup(first->url);
	reader->no_memory |= bridge->host == NULL || bridge->url == NULL;
}

static void
check_tls(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	const struct conf_tls *tls = &bridge->tls;
	config_setting_t *group;
	bool is_used = false;

	for (size_t i = 0; i < bridge->remote_count; i++)
		is_used |= bridge->remotes[i].is_tls;
	if (!tls->enabled)
		return;
	group = conf_at_key(at, "tls");
	if (!is_used && bridge->remote_count > 0)
		conf_mistake(reader, group,
		    "tls is given, and no url is mqtts:// or wss://: nothing "
		    "would be encrypted");
	if ((tls->cert == NULL) != (tls->key == NULL))
		conf_mistake(reader, group, "cert and key belong together");
	if ((tls->psk_identity == NULL) != (tls->psk_file == NULL))
		conf_mistake(
		    reader, group, "psk_identity and psk_file belong together");
	if (tls->insecure && (tls->ca_file != NULL || tls->ca_path != NULL))
		conf_mistake(reader, conf_at_key(group, "insecure"),
		    "insecure proves nothing, so ca_file and ca_path would be "
		    "of no use; keep one");
}

static void
check_socket(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	if (bridge->bind_address != NULL &&
	    inet_pton(AF_INET, bridge->bind_address, bytes) != 1 &&
	    inet_pton(AF_INET6, bridge->bind_address, bytes) != 1)
		conf_mistake(reader, conf_at_key(at, "bind_address"),
		    "bind_address is \"%s\"; it must be an IPv4 or IPv6 "
		    "address of this machine",
		    bridge->bind_address);
	if (bridge->tcp_keepalive_ns % CLOCK_SECOND_NS != 0)
		conf_mistake(reader, conf_at_key(at, "tcp_keepalive"),
		    "tcp_keepalive must be whole seconds, as in \"30s\"");
	if (bridge->tcp_keepalive_interval_ns % CLOCK_SECOND_NS != 0)
		conf_mistake(reader, conf_at_key(at, "tcp_keepalive_interval"),
		    "tcp_keepalive_interval must be whole seconds, as in "
		    "\"10s\"");
}

void
conf_check_remotes(struct conf_reader *reader, config_setting_t *at,
    struct conf_bridge *bridge)
{
	bridge->remotes =
	    calloc(bridge->urls.count + 1, sizeof(*bridge->remotes));
	if (bridge->remotes == NULL) {
		reader->no_memory = true;
		return;
	}
	if (at != NULL && bridge->url == NULL && bridge->urls.count == 0)
		conf_mistake(reader, at,
		    "bridges needs the key url, or urls for several");
	if (bridge->url != NULL && bridge->urls.count > 0)
		conf_mistake(reader, conf_at_key(at, "urls"),
		    "url and urls are both given; keep one");
	else if (bridge->url != NULL)
		take_url(reader, at, "url", bridge->url, bridge);
	else
		for (size_t i = 0; i < bridge->urls.count; i++)
			take_url(
			    reader, at, "urls", bridge->urls.list[i], bridge);
	take_first(reader, bridge);
	check_tls(reader, at, bridge);
	check_socket(reader, at, bridge);
}

void
conf_clear_remotes(struct conf_bridge *bridge)
{
	for (size_t i = 0; i < bridge->remote_count; i++) {
		free(bridge->remotes[i].url);
		free(bridge->remotes[i].host);
		free(bridge->remotes[i].path);
	}
	free(bridge->remotes);
	free(bridge->host);
}
