/* SPDX-License-Identifier: Apache-2.0 */

/* What a listener says of Unix sockets, WebSocket and proxies. */

#include <string.h>

#include "common/base/network.h"
#include "common/base/parse.h"
#include "common/conf/conf_table.h"

/* ---- Unix sockets ------------------------------------------------------ */

/* "0660" or "660", and nobody is shut out by mistake: the owner may. */
static bool
is_mode(const char *text)
{
	if (strlen(text) == 4 && *text++ != '0')
		return false;
	return strspn(text, "01234567") == 3 && text[3] == '\0' &&
	    ((text[0] - '0') & 2) != 0;
}

static void
check_path(struct conf_reader *reader, config_setting_t *at, const char *path)
{
	const size_t len = strlen(path);

	if (path[0] != '/' || path[len - 1] == '/')
		conf_mistake(reader, conf_at_key(at, "bind"),
		    "bind is \"unix:%s\"; the path of a Unix socket must be "
		    "that of a file and begin with /, as in "
		    "\"unix:/run/weir/mqtt.sock\"",
		    path);
	if (len >= PARSE_UNIX_PATH_SIZE)
		conf_mistake(reader, conf_at_key(at, "bind"),
		    "the path of a Unix socket is %zu bytes long; allowed: "
		    "up to %d",
		    len, PARSE_UNIX_PATH_SIZE - 1);
}

/* `key` is in the group (NULL: the default holds), and for Unix sockets. */
static void
check_is_unix(struct conf_reader *reader, config_setting_t *at, const char *key)
{
	if (conf_is_given(at, key))
		conf_mistake(reader, conf_at_key(at, key),
		    "%s is for Unix sockets, as in bind = "
		    "\"unix:/run/weir/mqtt.sock\"",
		    key);
}

bool
conf_check_unix(struct conf_reader *reader, config_setting_t *at,
    const struct conf_listener *listener)
{
	const char *path =
	    listener->bind == NULL ? NULL : parse_unix_path(listener->bind);

	if (path == NULL) {
		check_is_unix(reader, at, "mode");
		check_is_unix(reader, at, "group");
		return false;
	}
	check_path(reader, at, path);
	if (!is_mode(listener->mode))
		conf_mistake(reader, conf_at_key(at, "mode"),
		    "mode is \"%s\"; it must be three octal digits, the first "
		    "of which lets the owner write, as in \"0660\"",
		    listener->mode);
	return true;
}

/* ---- WebSocket --------------------------------------------------------- */

/* What a path of a URI has, without a query. */
static bool
is_path(const char *path)
{
	if (path[0] != '/')
		return false;
	for (; *path != '\0'; path++)
		if (*path <= ' ' || *path >= 0x7f ||
		    strchr("?#\"<>\\^`{|}", *path) != NULL)
			return false;
	return true;
}

/* "https://example.org:8443": a scheme, a host, perhaps a port. */
static bool
is_origin(const char *text)
{
	const char *host = strstr(text, "://");

	if (host == NULL || host == text)
		return false;
	host += 3;
	return *host != '\0' && strpbrk(host, "/?#@ \t") == NULL;
}

void
conf_check_websocket(struct conf_reader *reader, config_setting_t *at,
    const struct conf_listener *listener)
{
	const struct conf_strings *origins = &listener->websocket_origins;

	if (listener->websocket != NULL && !is_path(listener->websocket))
		conf_mistake(reader, conf_at_key(at, "websocket"),
		    "websocket is \"%s\"; it must be a path, as in \"/mqtt\"",
		    listener->websocket);
	if (origins->count != 0 && listener->websocket == NULL)
		conf_mistake(reader, conf_at_key(at, "websocket_origins"),
		    "websocket_origins is for listeners with the key "
		    "websocket");
	for (size_t i = 0; i < origins->count; i++)
		if (!is_origin(origins->list[i]))
			conf_mistake(reader,
			    conf_at_key(at, "websocket_origins"),
			    "websocket_origins has \"%s\"; an origin is a "
			    "scheme and a host and no path, as in "
			    "\"https://example.org\"",
			    origins->list[i]);
}

/* ---- proxies ----------------------------------------------------------- */

/* Is there somebody who could say so? */
static void
check_peer_user(struct conf_reader *reader, config_setting_t *at,
    const struct conf_listener *listener)
{
	const bool is_unix =
	    listener->bind != NULL && parse_unix_path(listener->bind) != NULL;

	if (listener->peer_user == CONF_PEER_USER_UNIX &&
	    (!is_unix || listener->proxy_protocol))
		conf_mistake(reader, conf_at_key(at, "peer_user"),
		    "peer_user = \"unix\" is for Unix sockets without "
		    "proxy_protocol");
	if (listener->peer_user == CONF_PEER_USER_PROXY &&
	    !listener->proxy_protocol)
		conf_mistake(reader, conf_at_key(at, "peer_user"),
		    "peer_user = \"proxy\" is for listeners with "
		    "proxy_protocol = true");
}

void
conf_check_proxy(struct conf_reader *reader, config_setting_t *at,
    struct conf_listener *listener)
{
	const struct conf_key *key =
	    conf_key_find(CONF_SECTION_LISTENER, "proxy_from");
	struct conf_strings *from = &listener->proxy_from;
	struct network network;

	check_peer_user(reader, at, listener);
	if (from->count != 0 && !listener->proxy_protocol)
		conf_mistake(reader, conf_at_key(at, "proxy_from"),
		    "proxy_from is for listeners with proxy_protocol = true");
	for (size_t i = 0; i < from->count; i++)
		if (network_parse(from->list[i], &network) != 0)
			conf_mistake(reader, conf_at_key(at, "proxy_from"),
			    "proxy_from has \"%s\"; it must be an address or "
			    "a network without bits behind its prefix, as in "
			    "\"10.0.0.7\" or \"fd00::/8\"",
			    from->list[i]);
	if (from->count == 0 && listener->proxy_protocol) {
		conf_take_strings(reader, key, NULL, listener, "127.0.0.0/8");
		conf_take_strings(reader, key, NULL, listener, "::1");
	}
}
