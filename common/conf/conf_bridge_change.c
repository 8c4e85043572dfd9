/* SPDX-License-Identifier: Apache-2.0 */

/* What a new configuration changes of a bridge that runs, by the table. */

#include <string.h>

#include "common/conf/conf_table.h"

static bool is_same_section(enum conf_section section, const void *a,
    const void *b, enum conf_reload *out_reload);

static const void *
field_of(const struct conf_key *key, const void *target)
{
	return (const char *)target + key->offset;
}

static size_t
count_of(const struct conf_key *key, const void *target)
{
	return *(const size_t *)(const void *)((const char *)target +
	    key->count_offset);
}

static bool
is_same_text(const struct conf_key *key, const void *a, const void *b)
{
	const char *x = *(char *const *)field_of(key, a);
	const char *y = *(char *const *)field_of(key, b);

	return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

static bool
are_same_strings(const struct conf_key *key, const void *a, const void *b)
{
	const struct conf_strings *x = field_of(key, a);
	const struct conf_strings *y = field_of(key, b);
	bool same = x->count == y->count;

	for (size_t i = 0; same && i < x->count; i++)
		same = strcmp(x->list[i], y->list[i]) == 0;
	return same;
}

/* Element by element, in their order. */
static bool
is_same_list(const struct conf_key *key, const void *a, const void *b,
    enum conf_reload *out_reload)
{
	const char *x = *(char *const *)field_of(key, a);
	const char *y = *(char *const *)field_of(key, b);
	size_t size = conf_section_size(key->inner), count = count_of(key, a);
	bool same = count == count_of(key, b);

	for (size_t i = 0; same && i < count; i++)
		same = is_same_section(
		    key->inner, x + i * size, y + i * size, out_reload);
	return same;
}

/* When a key takes effect; of a group or list, its first key. */
static enum conf_reload
reload_of(const struct conf_key *key)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if ((key->type == CONF_TYPE_GROUP ||
			key->type == CONF_TYPE_LIST) &&
		    conf_keys[i].section == key->inner)
			return conf_keys[i].reload;
	return key->reload;
}

static bool
is_same_key(const struct conf_key *key, const void *a, const void *b,
    enum conf_reload *out_reload)
{
	*out_reload = reload_of(key);
	switch (key->type) {
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		return is_same_text(key, a, b);
	case CONF_TYPE_STRINGS:
		return are_same_strings(key, a, b);
	case CONF_TYPE_LIST:
		return is_same_list(key, a, b, out_reload);
	case CONF_TYPE_GROUP:
		return is_same_section(
		    key->inner, field_of(key, a), field_of(key, b), out_reload);
	case CONF_TYPE_REFUSED:
		return true;
	default:
		return memcmp(field_of(key, a), field_of(key, b), key->size) ==
		    0;
	}
}

/* Stops at the first that differs; *out_reload is then when that is taken. */
static bool
is_same_section(enum conf_section section, const void *a, const void *b,
    enum conf_reload *out_reload)
{
	enum conf_reload reload;

	for (size_t i = 0; i < conf_key_count; i++) {
		if (conf_keys[i].section != section ||
		    is_same_key(&conf_keys[i], a, b, &reload))
			continue;
		*out_reload = reload;
		return false;
	}
	return true;
}

enum conf_reload
conf_bridge_compare(const struct conf_bridge *old,
    const struct conf_bridge *fresh,
    void (*each)(void *arg, const char *key, enum conf_reload reload),
    void *arg)
{
	enum conf_reload reload, last = CONF_RELOAD;

	for (size_t i = 0; i < conf_key_count; i++) {
		if (conf_keys[i].section != CONF_SECTION_BRIDGE ||
		    is_same_key(&conf_keys[i], old, fresh, &reload))
			continue;
		if (reload > last)
			last = reload;
		each(arg, conf_keys[i].name, reload);
	}
	return last;
}

/* Bytes of the key's own field; of a list without its count. */
static size_t
field_size(const struct conf_key *key)
{
	if (key->type == CONF_TYPE_GROUP)
		return conf_section_size(key->inner);
	return key->type == CONF_TYPE_LIST ? sizeof(void *) : key->size;
}

void
conf_bridge_take(struct conf_bridge *live, const struct conf_bridge *fresh)
{
	struct conf_bridge next = *fresh;

	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];

		if (key->section != CONF_SECTION_BRIDGE ||
		    key->type == CONF_TYPE_REFUSED ||
		    reload_of(key) != CONF_RESTART)
			continue;
		memcpy((char *)&next + key->offset,
		    (const char *)live + key->offset, field_size(key));
		if (key->type == CONF_TYPE_LIST)
			memcpy((char *)&next + key->count_offset,
			    (const char *)live + key->count_offset,
			    sizeof(size_t));
	}
	*live = next;
}
