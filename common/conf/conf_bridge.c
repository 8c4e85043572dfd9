/* SPDX-License-Identifier: Apache-2.0 */

/* What takes more than one key of a bridge, or of its rules, to judge. */

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/parse.h"
#include "common/base/slice.h"
#include "common/base/template.h"
#include "common/base/utf8.h"
#include "common/conf/conf_table.h"

/*
 * '#' stands alone in the last level, '+' alone in any [MQTT-4.7.1-1]
 * [MQTT-4.7.1-2].  Returns what is wrong, or NULL.
 */
const char *
conf_filter_fault(const char *filter)
{
	const char *level = filter, *end;
	size_t len;

	if (!utf8_is_valid(slice_of_string(filter)))
		return "is not UTF-8";
	if (strncmp(filter, "$share/", strlen("$share/")) == 0)
		return "is a shared subscription, which cannot be used here";
	for (;; level = end + 1) {
		end = strchrnul(level, '/');
		len = (size_t)(end - level);
		if (memchr(level, '+', len) != NULL && len != 1)
			return "has a + that is not alone in its level";
		if (memchr(level, '#', len) != NULL && (len != 1 || *end != 0))
			return "has a # that is not the whole last level";
		if (*end == '\0')
			return NULL;
	}
}

static void
check_prefix(struct conf_reader *reader, config_setting_t *at, const char *key,
    const char *prefix)
{
	if (prefix == NULL)
		return;
	if (strpbrk(prefix, "+#") != NULL)
		conf_mistake(reader, conf_at_key(at, key),
		    "%s is \"%s\"; wildcards are allowed in filter alone", key,
		    prefix);
	else if (!utf8_is_valid(slice_of_string(prefix)))
		conf_mistake(
		    reader, conf_at_key(at, key), "%s is not UTF-8", key);
}

/* A wildcard is a level of its own, so a prefix before one ends in a slash. */
static void
check_join(struct conf_reader *reader, config_setting_t *at, const char *key,
    const char *prefix, const char *filter)
{
	size_t len = prefix == NULL ? 0 : strlen(prefix);

	if (len != 0 && prefix[len - 1] != '/' &&
	    (filter[0] == '+' || filter[0] == '#'))
		conf_mistake(reader, conf_at_key(at, key),
		    "%s \"%s\" makes \"%s%s\" of filter, where the wildcard "
		    "is no level of its own; end it with a /",
		    key, prefix, prefix, filter);
}

/* A template gives the whole topic, so there is no prefix to put in front. */
static void
check_template(struct conf_reader *reader, config_setting_t *at,
    const struct conf_rule *rule, const char *key, const char *text,
    const char *prefix)
{
	const char *fault;

	if (text == NULL || rule->filter == NULL)
		return;
	if (conf_is_given(at, prefix))
		conf_mistake(reader, conf_at_key(at, prefix),
		    "%s and %s are both given; write the prefix into %s", key,
		    prefix, key);
	fault = utf8_is_valid(slice_of_string(text))
	    ? template_fault(text, rule->filter)
	    : "is not UTF-8";
	if (fault != NULL)
		conf_mistake(reader, conf_at_key(at, key), "%s \"%s\" %s", key,
		    text, fault);
}

void
conf_check_filter(
    struct conf_reader *reader, config_setting_t *at, const char *filter)
{
	const char *fault;

	if (filter == NULL)
		return;
	fault = conf_filter_fault(filter);
	if (fault != NULL)
		conf_mistake(reader, conf_at_key(at, "filter"),
		    "filter \"%s\" %s; allowed: topic levels parted by /, + "
		    "for one level, # for all the rest",
		    filter, fault);
}

void
conf_check_rule(
    struct conf_reader *reader, config_setting_t *at, struct conf_rule *rule)
{
	if (at != NULL)
		rule->line = config_setting_source_line(at);
	check_prefix(reader, at, "local_prefix", rule->local_prefix);
	check_prefix(reader, at, "remote_prefix", rule->remote_prefix);
	conf_check_filter(reader, at, rule->filter);
	if (rule->filter == NULL)
		return;
	check_join(
	    reader, at, "local_prefix", rule->local_prefix, rule->filter);
	check_join(
	    reader, at, "remote_prefix", rule->remote_prefix, rule->filter);
	check_template(reader, at, rule, "remote_topic", rule->remote_topic,
	    "remote_prefix");
	check_template(
	    reader, at, rule, "local_topic", rule->local_topic, "local_prefix");
}

void
conf_check_name(
    struct conf_reader *reader, config_setting_t *at, const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "0123456789_-";

	if (name != NULL && name[strspn(name, letters)] != '\0')
		conf_mistake(reader, conf_at_key(at, "name"),
		    "name is \"%s\"; allowed: small letters, digits, - and _",
		    name);
}

static void
check_bridge_times(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	if (bridge->keepalive_ns % CLOCK_SECOND_NS != 0)
		conf_mistake(reader, conf_at_key(at, "keepalive"),
		    "keepalive must be whole seconds, as in \"30s\"");
	if (bridge->retry_min_ns > bridge->retry_max_ns)
		conf_mistake(reader, conf_at_key(at, "retry_min"),
		    "retry_min is above retry_max");
	if (bridge->max_packet_size != 0 && bridge->max_packet_size < 1024)
		conf_mistake(reader, conf_at_key(at, "max_packet_size"),
		    "max_packet_size is below 1KiB, too small for a CONNECT; "
		    "allowed: 0, for what fits the ring, or 1KiB and more");
}

static bool
has_qos_2(const struct conf_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].qos == 2)
			return true;
	return false;
}

/* Exactly once needs a remote that remembers; MQTT 3.1.1 has no expiry. */
static void
check_bridge_session(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	static const char why[] = "and a rule has qos 2, which needs a session "
				  "at the remote; allowed:";

	if (!has_qos_2(bridge->forward, bridge->forward_count) &&
	    !has_qos_2(bridge->receive, bridge->receive_count))
		return;
	if (bridge->session_expiry_ns == 0 &&
	    bridge->protocol == CONF_PROTOCOL_5_0)
		conf_mistake(reader, conf_at_key(at, "session_expiry"),
		    "session_expiry is 0, %s a time, as \"1h\", or rules of "
		    "qos 0 and 1",
		    why);
	if (bridge->clean_start)
		conf_mistake(reader, conf_at_key(at, "clean_start"),
		    "clean_start is true, %s false, or rules of qos 0 and 1",
		    why);
}

/* The rule of that number in one of the bridge's lists, for the line. */
static config_setting_t *
rule_at(config_setting_t *at, const char *list, size_t i)
{
	config_setting_t *setting = conf_at_key(at, list);

	if (setting == NULL || !config_setting_is_list(setting) ||
	    i >= (size_t)config_setting_length(setting))
		return at;
	return config_setting_get_elem(setting, (unsigned)i);
}

/* Keys of a rule that have no meaning in the list where they are. */
static void
refuse_keys(struct conf_reader *reader, config_setting_t *at, const char *list,
    size_t count, const char *const keys[], const char *why)
{
	config_setting_t *rule;

	for (size_t i = 0; i < count; i++) {
		rule = rule_at(at, list, i);
		for (size_t k = 0; keys[k] != NULL; k++)
			if (conf_is_given(rule, keys[k]))
				conf_mistake(reader, conf_at_key(rule, keys[k]),
				    "%s: %s", keys[k], why);
	}
}

static void
check_directions(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	static const char *const of_receive[] = { "local_topic", "no_local",
		"retain_as_published", "retain_handling", NULL };
	static const char *const of_forward[] = { "remote_topic", NULL };
	static const char *const of_one[] = { "remote_topic", "local_topic",
		NULL };

	refuse_keys(reader, at, "forward", bridge->forward_count, of_receive,
	    "this is for receive rules; move the rule, or take the key out");
	refuse_keys(reader, at, "receive", bridge->receive_count, of_forward,
	    "this is for forward rules; a receive rule has local_topic");
	refuse_keys(reader, at, "both", bridge->both_count, of_one,
	    "it cannot be turned round; write a forward rule with "
	    "remote_topic and a receive rule with local_topic");
}

static char *
copy_text(struct conf_reader *reader, const char *text)
{
	char *copy = text == NULL ? NULL : strdup(text);

	reader->no_memory |= text != NULL && copy == NULL;
	return copy;
}

/* Append a copy of each rule to the list. */
static void
add_rules(struct conf_reader *reader, const struct conf_rule *from,
    size_t count, struct conf_rule **list, size_t *list_count)
{
	struct conf_rule *longer;

	if (count == 0)
		return;
	longer = realloc(
	    *list, (*list_count + count + 1) * sizeof(struct conf_rule));
	if (longer == NULL) {
		reader->no_memory = true;
		return;
	}
	*list = longer;
	for (size_t i = 0; i < count; i++) {
		struct conf_rule *rule = &longer[(*list_count)++];

		*rule = from[i];
		rule->filter = copy_text(reader, from[i].filter);
		rule->local_prefix = copy_text(reader, from[i].local_prefix);
		rule->remote_prefix = copy_text(reader, from[i].remote_prefix);
		rule->local_topic = copy_text(reader, from[i].local_topic);
		rule->remote_topic = copy_text(reader, from[i].remote_topic);
	}
}

static void
add_both(struct conf_reader *reader, struct conf_bridge *bridge)
{
	add_rules(reader, bridge->both, bridge->both_count, &bridge->forward,
	    &bridge->forward_count);
	add_rules(reader, bridge->both, bridge->both_count, &bridge->receive,
	    &bridge->receive_count);
}

void
conf_check_bridge(struct conf_reader *reader, config_setting_t *at,
    struct conf_bridge *bridge)
{
	if (at != NULL)
		bridge->line = config_setting_source_line(at);
	conf_check_name(reader, at, bridge->name);
	conf_check_remotes(reader, at, bridge);
	check_bridge_times(reader, at, bridge);
	check_directions(reader, at, bridge);
	add_both(reader, bridge);
	conf_check_connect(reader, at, bridge);
	check_bridge_session(reader, at, bridge);
	if (bridge->type != NULL && strcmp(bridge->type, "mqtt") != 0)
		conf_mistake(reader, conf_at_key(at, "type"),
		    "type is \"%s\"; allowed: mqtt", bridge->type);
	if (bridge->password != NULL && bridge->password_file != NULL)
		conf_mistake(reader, conf_at_key(at, "password"),
		    "password and password_file are both given; keep one");
	if (bridge->username == NULL &&
	    bridge->protocol == CONF_PROTOCOL_3_1_1 &&
	    (bridge->password != NULL || bridge->password_file != NULL))
		conf_mistake(reader, at,
		    "a password without username is not in MQTT 3.1.1");
	if (bridge->client_id == NULL && bridge->name != NULL &&
	    asprintf(&bridge->client_id, "weir-%s", bridge->name) == -1) {
		bridge->client_id = NULL;
		reader->no_memory = true;
	}
}
