/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/template.h"
#include "common/msg/topic.h"

static int
rule_init(struct mapping_rule *rule, const struct conf_rule *from,
    enum mapping_direction direction)
{
	const char *off = from->local_prefix, *on = from->remote_prefix;
	const char *template = from->remote_topic;
	size_t filter_len = strlen(from->filter);

	if (direction == MAPPING_RECEIVE) {
		off = from->remote_prefix;
		on = from->local_prefix;
		template = from->local_topic;
	}
	rule->strip = strlen(off);
	rule->prefix = strdup(on);
	rule->qos = from->qos;
	rule->retain = from->retain;
	rule->no_local = from->no_local;
	rule->retain_as_published = from->retain_as_published;
	rule->retain_handling = from->retain_handling;
	rule->filter = malloc(rule->strip + filter_len + 1);
	if (template != NULL)
		rule->template = strdup(template);
	if (rule->prefix == NULL || rule->filter == NULL ||
	    (template != NULL && rule->template == NULL))
		return -ENOMEM;
	memcpy(rule->filter, off, rule->strip);
	memcpy(rule->filter + rule->strip, from->filter, filter_len + 1);

	/* A wildcard in a prefix could not be taken off by its length. */
	if (topic_has_wildcard(slice_of_string(off)) ||
	    topic_has_wildcard(slice_of_string(on)) ||
	    !topic_filter_is_valid(slice_of_string(rule->filter)) ||
	    topic_is_shared(slice_of_string(rule->filter)) ||
	    (template != NULL &&
		template_fault(template, from->filter) != NULL))
		return -EINVAL;
	return 0;
}

int
mapping_init(struct mapping *mapping, const struct conf_rule *rules,
    size_t count, enum mapping_direction direction, size_t *out_bad)
{
	int err;

	*mapping = (struct mapping){ 0 };
	if (count == 0)
		return 0;
	mapping->rules = calloc(count, sizeof(*mapping->rules));
	if (mapping->rules == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		mapping->count = i + 1;
		err = rule_init(&mapping->rules[i], &rules[i], direction);
		if (err != 0) {
			mapping_fini(mapping);
			*out_bad = i;
			return err;
		}
	}
	return 0;
}

int
mapping_of(struct mapping *mapping, const struct conf_bridge *conf,
    enum mapping_direction direction)
{
	const bool is_forward = direction == MAPPING_FORWARD;
	const struct conf_rule *rules =
	    is_forward ? conf->forward : conf->receive;
	size_t bad = 0;
	int err;

	err = mapping_init(mapping, rules,
	    is_forward ? conf->forward_count : conf->receive_count, direction,
	    &bad);
	if (err == -EINVAL)
		log_error("bridge_rule_invalid",
		    "bridge=%s line=%u filter=%s note=\"with its prefix it is "
		    "no topic filter, or its template does not fit\"",
		    conf->name, rules[bad].line, log_quote(rules[bad].filter));
	return err;
}

void
mapping_fini(struct mapping *mapping)
{
	for (size_t i = 0; i < mapping->count; i++) {
		free(mapping->rules[i].filter);
		free(mapping->rules[i].prefix);
		free(mapping->rules[i].template);
	}
	free(mapping->rules);
	*mapping = (struct mapping){ 0 };
}

static bool
is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
is_same_rule(const struct mapping_rule *a, const struct mapping_rule *b)
{
	return a->qos == b->qos && a->no_local == b->no_local &&
	    a->retain_as_published == b->retain_as_published &&
	    a->retain_handling == b->retain_handling &&
	    a->retain == b->retain && a->strip == b->strip &&
	    strcmp(a->filter, b->filter) == 0 &&
	    strcmp(a->prefix, b->prefix) == 0 &&
	    is_same_text(a->template, b->template);
}

bool
mapping_is_same(const struct mapping *a, const struct mapping *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (!is_same_rule(&a->rules[i], &b->rules[i]))
			return false;
	}
	return true;
}

const struct mapping_rule *
mapping_find(const struct mapping *mapping, struct slice topic)
{
	const struct mapping_rule *rule;

	for (size_t i = 0; i < mapping->count; i++) {
		rule = &mapping->rules[i];
		if (topic_matches(slice_of_string(rule->filter), topic))
			return rule;
	}
	return NULL;
}

/* What the wildcards of a filter matched in a topic. */
struct captures {
	struct slice places[TEMPLATE_MAX_PLACES];
	struct slice rest;
	bool has_rest; /* # matched a level, and not the parent alone */
};

/* `filter` matches `topic`, level by level. */
static void
capture(struct slice filter, struct slice topic, struct captures *out)
{
	struct topic_levels wanted = topic_levels(filter);
	struct topic_levels levels = topic_levels(topic);
	struct slice want, level;
	const uint8_t *at;
	size_t place = 0;

	*out = (struct captures){ .has_rest = false };
	while (topic_levels_next(&wanted, &want)) {
		at = levels.p;
		if (!topic_levels_next(&levels, &level))
			return;
		if (slice_equal_string(want, "#")) {
			out->has_rest = true;
			out->rest = slice_of(at, (size_t)(levels.end - at));
			return;
		}
		if (slice_equal_string(want, "+") &&
		    place < TEMPLATE_MAX_PLACES)
			out->places[place++] = level;
	}
}

/* A topic that is being put together; `failed` sticks. */
struct builder {
	uint8_t *buffer;
	size_t size;
	size_t len;
	bool failed;
};

static void
add(struct builder *builder, struct slice text)
{
	if (text.len > builder->size - builder->len) {
		builder->failed = true;
		return;
	}
	if (text.len != 0)
		memcpy(builder->buffer + builder->len, text.data, text.len);
	builder->len += text.len;
}

static void
add_rest(struct builder *builder, const struct captures *captures)
{
	if (captures->has_rest)
		add(builder, captures->rest);
	else if (builder->len != 0 && builder->buffer[builder->len - 1] == '/')
		builder->len--;
}

static int
fill_template(const struct mapping_rule *rule, struct slice topic,
    uint8_t *buffer, size_t size, struct slice *out_topic)
{
	struct builder builder = { .buffer = buffer, .size = size };
	const char *at = rule->template;
	struct captures captures;
	struct template_part part;

	capture(slice_of_string(rule->filter), topic, &captures);
	while (!builder.failed && template_next(&at, &part)) {
		switch (part.kind) {
		case TEMPLATE_TEXT:
			add(&builder, part.text);
			break;
		case TEMPLATE_PLACE:
			add(&builder, captures.places[part.place - 1]);
			break;
		case TEMPLATE_REST:
			add_rest(&builder, &captures);
			break;
		case TEMPLATE_TOPIC:
			add(&builder, slice_from(topic, rule->strip));
			break;
		case TEMPLATE_BAD: /* refused by rule_init() */
			break;
		}
	}
	if (builder.failed || builder.len > TOPIC_MAX_BYTES)
		return -EMSGSIZE;
	if (builder.len == 0)
		return -EINVAL;
	*out_topic = slice_of(buffer, builder.len);
	return 0;
}

int
mapping_topic(const struct mapping_rule *rule, struct slice topic,
    uint8_t *buffer, size_t size, struct slice *out_topic)
{
	struct slice prefix = slice_of_string(rule->prefix);
	struct slice rest = slice_from(topic, rule->strip);
	size_t len = prefix.len + rest.len;

	if (rule->template != NULL)
		return fill_template(rule, topic, buffer, size, out_topic);
	if (len == 0)
		return -EINVAL;
	if (prefix.len == 0) {
		*out_topic = rest;
		return 0;
	}
	if (len > size || len > TOPIC_MAX_BYTES)
		return -EMSGSIZE;
	memcpy(buffer, prefix.data, prefix.len);
	if (rest.len != 0)
		memcpy(buffer + prefix.len, rest.data, rest.len);
	*out_topic = slice_of(buffer, len);
	return 0;
}
