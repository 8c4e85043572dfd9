/* SPDX-License-Identifier: Apache-2.0 */

/*
 * topic_aliases - the names that a client and we gave to topics.
 *
 * They are of one connection [MQTT-3.3.2-7], and cost nothing before one of
 * the two is used.
 */

#include <stdlib.h>

#include "broker/client.h"

void
topic_aliases_free(struct topic_aliases *aliases)
{
	if (aliases == NULL)
		return;
	aliases_in_fini(&aliases->in);
	aliases_out_fini(&aliases->out);
	free(aliases);
}

static bool
has_aliases(struct client *client)
{
	if (client->aliases == NULL)
		client->aliases = calloc(1, sizeof(*client->aliases));
	return client->aliases != NULL;
}

/* ---- from the client ----------------------------------------------------- */

static bool
remember_alias(struct client *client, uint16_t alias, struct slice topic)
{
	struct aliases_in *in;

	if (!has_aliases(client))
		return false;
	in = &client->aliases->in;
	if (in->list == NULL &&
	    aliases_in_init(in,
		(uint16_t)client->worker->broker->conf->topic_alias_maximum) !=
		0)
		return false;
	return aliases_keep(in, alias, topic) == 0;
}

enum mqtt_reason
topic_alias_resolve(struct client *client, struct mqtt_publish *publish)
{
	const struct topic_aliases *aliases = client->aliases;
	struct slice topic = { 0 };
	uint16_t alias;

	if (client->version != MQTT_5 ||
	    !mqtt_properties_has(&publish->properties, MQTT_TOPIC_ALIAS))
		return MQTT_SUCCESS;
	alias = publish->properties.topic_alias;
	/* [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-12] */
	if (alias == 0 ||
	    alias > client->worker->broker->conf->topic_alias_maximum)
		return MQTT_TOPIC_ALIAS_INVALID;
	if (publish->topic.len != 0)
		return remember_alias(client, alias, publish->topic)
		    ? MQTT_SUCCESS
		    : MQTT_QUOTA_EXCEEDED;
	if (aliases != NULL)
		topic = aliases_topic(&aliases->in, alias);
	/* Section 3.3.2.3.4: one that names nothing is no invalid one. */
	if (topic.len == 0)
		return MQTT_PROTOCOL_ERROR;
	publish->topic = topic;
	return MQTT_SUCCESS;
}

/* ---- to the client ------------------------------------------------------- */

/* Without memory topics go by their names. */
static bool
may_name(struct client *client)
{
	struct aliases_out *out;

	if (!has_aliases(client))
		return false;
	out = &client->aliases->out;
	if (out->list != NULL)
		return true;
	if (aliases_out_init(out, client->aliases_out) != 0)
		return false;
	aliases_out_reset(out, client->aliases_out);
	return true;
}

struct topic_alias
topic_alias_for(struct client *client, struct slice topic)
{
	struct topic_alias alias = { 0 };
	const struct aliases_out *out;

	if (!may_name(client))
		return alias;
	out = &client->aliases->out;
	alias.alias = aliases_find(out, topic);
	if (alias.alias != 0)
		return alias;
	alias.alias = aliases_next(out, topic);
	alias.is_new = alias.alias != 0;
	return alias;
}

void
topic_alias_sent(
    struct client *client, struct topic_alias alias, struct slice topic)
{
	aliases_used(&client->aliases->out, alias.alias, topic);
}
