/* SPDX-License-Identifier: Apache-2.0 */

/* What a listener says of WebSocket. */

#include <string.h>

#include "common/conf/conf_table.h"

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
