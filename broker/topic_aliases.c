/* SPDX-License-Identifier: Apache-2.0 */

/*
 * topic_aliases - the names that a client gave to topics [MQTT-3.3.2-8].
 */

#include <stdlib.h>

#include "broker/client.h"

void
topic_aliases_free(struct topic_aliases *aliases)
{
	if (aliases == NULL)
		return;
	for (unsigned i = 0; i < CLIENT_TOPIC_ALIASES; i++)
		free(aliases->topics[i]);
	free(aliases);
}

static bool
remember_alias(struct client *client, unsigned alias, struct slice topic)
{
	char *copy;

	if (client->aliases == NULL)
		client->aliases = calloc(1, sizeof(*client->aliases));
	copy = client->aliases == NULL ? NULL : slice_to_string(topic);
	if (copy == NULL)
		return false;
	free(client->aliases->topics[alias - 1]);
	client->aliases->topics[alias - 1] = copy;
	client->aliases->lengths[alias - 1] = (uint16_t)topic.len;
	return true;
}

enum mqtt_reason
topic_alias_resolve(struct client *client, struct mqtt_publish *publish)
{
	const struct topic_aliases *aliases = client->aliases;
	unsigned alias;

	if (client->version != MQTT_5 ||
	    !mqtt_properties_has(&publish->properties, MQTT_TOPIC_ALIAS))
		return MQTT_SUCCESS;
	alias = publish->properties.topic_alias;
	/* [MQTT-3.3.2-9] */
	if (alias == 0 || alias > CLIENT_TOPIC_ALIASES)
		return MQTT_TOPIC_ALIAS_INVALID;
	if (publish->topic.len != 0)
		return remember_alias(client, alias, publish->topic)
		    ? MQTT_SUCCESS
		    : MQTT_QUOTA_EXCEEDED;
	if (aliases == NULL || aliases->topics[alias - 1] == NULL)
		return MQTT_TOPIC_ALIAS_INVALID;
	publish->topic =
	    slice_of(aliases->topics[alias - 1], aliases->lengths[alias - 1]);
	return MQTT_SUCCESS;
}
