/* SPDX-License-Identifier: Apache-2.0 */

/* A bridge's will, notifications and what its CONNECT packet says. */

#include <string.h>

#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/conf/conf_table.h"

/* A topic that something is published to: no wildcards [MQTT-3.3.2-2]. */
static void
check_topic(struct conf_reader *reader, config_setting_t *at, const char *key,
    const char *topic)
{
	if (topic == NULL)
		return;
	if (strpbrk(topic, "+#") != NULL)
		conf_mistake(reader, conf_at_key(at, key),
		    "%s is \"%s\"; a message is published to one topic, "
		    "without + and #",
		    key, topic);
	else if (!utf8_is_valid(slice_of_string(topic)))
		conf_mistake(
		    reader, conf_at_key(at, key), "%s is not UTF-8", key);
}

static void
check_text(struct conf_reader *reader, config_setting_t *at, const char *key,
    const char *text)
{
	if (text != NULL && !utf8_is_valid(slice_of_string(text)))
		conf_mistake(
		    reader, conf_at_key(at, key), "%s is not UTF-8", key);
}

static void
check_seconds(struct conf_reader *reader, config_setting_t *at, const char *key,
    uint64_t value_ns)
{
	if (value_ns != CONF_NEVER && value_ns % CLOCK_SECOND_NS != 0)
		conf_mistake(reader, conf_at_key(at, key),
		    "%s must be whole seconds, as in \"30s\"", key);
}

static void
check_properties(struct conf_reader *reader, config_setting_t *at,
    const struct conf_user_property *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		check_text(reader, at, "user_properties", list[i].name);
		check_text(reader, at, "user_properties", list[i].value);
	}
}

void
conf_check_will(
    struct conf_reader *reader, config_setting_t *at, struct conf_will *will)
{
	will->enabled = at != NULL;
	check_topic(reader, at, "topic", will->topic);
	check_topic(reader, at, "response_topic", will->response_topic);
	check_text(reader, at, "content_type", will->content_type);
	check_seconds(reader, at, "delay", will->delay_ns);
	check_seconds(reader, at, "expiry", will->expiry_ns);
	check_properties(
	    reader, at, will->user_properties, will->user_property_count);
}

/* Keys that MQTT 3.1.1 has no place for. */
static void
check_old_version(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	static const char *const keys[] = { "delay", "expiry", "content_type",
		"response_topic", "user_properties" };
	static const char why[] = "protocol \"3.1.1\" cannot say that; take it "
				  "out, or use protocol \"5.0\"";
	config_setting_t *will = conf_at_key(at, "will");

	if (bridge->protocol != CONF_PROTOCOL_3_1_1 || at == NULL)
		return;
	if (conf_is_given(at, "user_properties"))
		conf_mistake(reader, conf_at_key(at, "user_properties"),
		    "user_properties: %s", why);
	for (size_t i = 0; will != at && i < sizeof(keys) / sizeof(keys[0]);
	     i++)
		if (conf_is_given(will, keys[i]))
			conf_mistake(reader, conf_at_key(will, keys[i]),
			    "will: %s: %s", keys[i], why);
}

void
conf_check_connect(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	check_topic(
	    reader, at, "notification_topic", bridge->notification_topic);
	check_properties(
	    reader, at, bridge->user_properties, bridge->user_property_count);
	check_old_version(reader, at, bridge);
	/* [MQTT-3.1.2-8] a connection has one will */
	if (bridge->will.enabled &&
	    (bridge->notifications & CONF_NOTIFICATIONS_REMOTE) != 0)
		conf_mistake(reader, conf_at_key(at, "will"),
		    "will and notifications at the remote are both by the "
		    "connection's only will; keep one, notifications may be "
		    "\"local\" or \"none\"");
}
