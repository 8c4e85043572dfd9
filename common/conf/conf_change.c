/* SPDX-License-Identifier: Apache-2.0 */

/* Which keys of a new configuration are taken at the next start only. */

#include <string.h>

#include "common/conf/conf_table.h"

/* A group within http within ... */
#define DEPTH_MAX 6u
#define NAME_SIZE 256u

struct comparison {
	conf_each_change each;
	void *context;
	unsigned count;
};

static void compare_section(struct comparison *all, enum conf_section section,
    const char *prefix, const void *was, const void *is, unsigned depth);

static void
tell(struct comparison *all, const char *name)
{
	all->count++;
	all->each(all->context, name);
}

static const void *
field(const void *section, size_t offset)
{
	return (const char *)section + offset;
}

static bool
is_same_string(const void *was, const void *is)
{
	const char *a = *(char *const *)was, *b = *(char *const *)is;

	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool
is_same_value(const struct conf_key *key, const void *was, const void *is)
{
	switch (key->type) {
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		return is_same_string(was, is);
	case CONF_TYPE_BOOL:
	case CONF_TYPE_INT:
	case CONF_TYPE_SIZE:
	case CONF_TYPE_DURATION:
	case CONF_TYPE_DURATION_OR_NEVER:
	case CONF_TYPE_ENUM:
	case CONF_TYPE_WORDS:
		return memcmp(was, is, key->size) == 0;
	case CONF_TYPE_STRINGS: /* all are read again */
	case CONF_TYPE_GROUP:
	case CONF_TYPE_LIST:
	case CONF_TYPE_REFUSED:
		break;
	}
	return true;
}

/* Listeners have no names: each is compared with the one in its place. */
static void
compare_listeners(struct comparison *all, const struct conf *was,
    const struct conf *is, unsigned depth)
{
	char name[NAME_SIZE];

	if (was->listener_count != is->listener_count) {
		tell(all, "listeners");
		return;
	}
	for (size_t i = 0; i < was->listener_count; i++) {
		snprintf(name, sizeof(name), "listeners.%zu.", i);
		compare_section(all, CONF_SECTION_LISTENER, name,
		    &was->listeners[i], &is->listeners[i], depth);
		if (was->listeners[i].tls.enabled !=
		    is->listeners[i].tls.enabled) {
			snprintf(name, sizeof(name), "listeners.%zu.tls", i);
			tell(all, name);
		}
	}
}

/* Those that come and go are not told here. */
static void
compare_bridges(struct comparison *all, const struct conf *was,
    const struct conf *is, unsigned depth)
{
	const struct conf_bridge *other;
	char name[NAME_SIZE];

	for (size_t i = 0; i < was->bridge_count; i++) {
		other = conf_bridge(is, was->bridges[i].name);
		if (other == NULL)
			continue;
		snprintf(name, sizeof(name), "bridges.%s.", other->name);
		compare_section(all, CONF_SECTION_BRIDGE, name,
		    &was->bridges[i], other, depth);
	}
}

static void
compare_key(struct comparison *all, const struct conf_key *key,
    const char *prefix, const void *was, const void *is, unsigned depth)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%s%s%s", prefix, key->name,
	    key->type == CONF_TYPE_GROUP ? "." : "");
	if (key->type == CONF_TYPE_GROUP)
		compare_section(all, key->inner, name, field(was, key->offset),
		    field(is, key->offset), depth);
	else if (key->reload == CONF_RESTART &&
	    !is_same_value(
		key, field(was, key->offset), field(is, key->offset)))
		tell(all, name);
}

static void
compare_section(struct comparison *all, enum conf_section section,
    const char *prefix, const void *was, const void *is, unsigned depth)
{
	if (depth == DEPTH_MAX)
		return;
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].section == section)
			compare_key(
			    all, &conf_keys[i], prefix, was, is, depth + 1);
}

unsigned
conf_restart_changes(const struct conf *running, const struct conf *fresh,
    conf_each_change each, void *context)
{
	struct comparison all = { .each = each, .context = context };

	compare_section(&all, CONF_SECTION_GLOBAL, "", running, fresh, 0);
	if (running->http.enabled != fresh->http.enabled)
		tell(&all, "http");
	compare_listeners(&all, running, fresh, 1);
	compare_bridges(&all, running, fresh, 1);
	return all.count;
}
