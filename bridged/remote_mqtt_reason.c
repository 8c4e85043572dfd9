/* SPDX-License-Identifier: Apache-2.0 */

/* What the remote says of its reasons, for the log. */

#include "bridged/remote_mqtt.h"

#include <stdio.h>

/* Bytes of a text of the remote's that are shown. */
#define MOST_BYTES 60

/* Its printable beginning: it is one line's part, within parentheses. */
static void
add_text(char *text, size_t size, const char *before, struct slice from)
{
	size_t len = strlen(text);

	len += (size_t)snprintf(text + len, size - len, "%s", before);
	for (size_t i = 0; i < from.len && i < MOST_BYTES && len + 1 < size;
	     i++, len++)
		text[len] = from.data[i] < ' ' || from.data[i] > '~'
		    ? '?'
		    : (char)from.data[i];
	snprintf(
	    text + len, size - len, "%s)", from.len > MOST_BYTES ? "..." : "");
}

const char *
remote_mqtt_reason(struct remote *remote, enum mqtt_reason reason,
    const struct mqtt_properties *properties)
{
	size_t size = sizeof(remote->reason);

	snprintf(remote->reason, size, "%s", mqtt_reason_name(reason));
	if (mqtt_properties_has(properties, MQTT_REASON_STRING))
		add_text(remote->reason, size, " (", properties->reason_string);
	if (mqtt_properties_has(properties, MQTT_SERVER_REFERENCE))
		add_text(remote->reason, size,
		    " (not followed, it names: ", properties->server_reference);
	return remote->reason;
}
