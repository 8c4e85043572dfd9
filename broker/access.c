/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/access.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf/conf.h"
#include "common/msg/topic.h"

struct access {
	bool publishes_all;
	bool subscribes_all;
	size_t publish_count;
	size_t subscribe_count;
	struct slice filters[]; /* of publish, of subscribe; their bytes */
};

/* ---- names in filters ---------------------------------------------------- */

static bool
is_everything(const char *filter)
{
	return strcmp(filter, "#") == 0;
}

/* The next "%u" or whatever `mark` is, or NULL. */
static const char *
find_mark(const char *filter, char mark)
{
	const char mark_text[] = { '%', mark, '\0' };

	return strstr(filter, mark_text);
}

/* A level as it stands, whatever filter it is put into. */
static bool
is_harmless(struct slice name)
{
	return name.len != 0 && name.data[0] != '$' &&
	    slice_find(name, '/') == name.len && !topic_has_wildcard(name);
}

/* Bytes of the filter with the name put in; 0: it is left out. */
static size_t
size_with(const char *filter, char mark, struct slice name)
{
	const bool is_marked = find_mark(filter, mark) != NULL;
	size_t size = strlen(filter);

	if (is_marked && !is_harmless(name))
		return 0;
	/* Else it could bring a mark along. */
	if (is_marked && mark == 'u' && slice_find(name, '%') != name.len)
		return 0;
	while ((filter = find_mark(filter, mark)) != NULL) {
		size += name.len - 2;
		filter += 2;
	}
	return size <= TOPIC_MAX_BYTES ? size : 0;
}

/* Writes size_with() bytes. */
static void
put_with(uint8_t *out, const char *filter, char mark, struct slice name)
{
	const char *at;

	while ((at = find_mark(filter, mark)) != NULL) {
		memcpy(out, filter, (size_t)(at - filter));
		out += at - filter;
		memcpy(out, name.data, name.len);
		out += name.len;
		filter = at + 2;
	}
	memcpy(out, filter, strlen(filter));
}

/* ---- rules --------------------------------------------------------------- */

static int
copy_filters(char ***out_list, size_t *out_count, const char *user,
    const struct conf_strings *from)
{
	const struct slice name = slice_of_string(user);
	char **list;
	size_t size;

	list = calloc(from->count + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	*out_list = list;
	for (size_t i = 0; i < from->count; i++) {
		size = size_with(from->list[i], 'u', name);
		if (size == 0)
			continue;
		list[*out_count] = calloc(1, size + 1);
		if (list[*out_count] == NULL)
			return -ENOMEM;
		put_with((uint8_t *)list[*out_count], from->list[i], 'u', name);
		(*out_count)++;
	}
	return 0;
}

int
access_rules_init(struct access_rules *rules, const char *user,
    const struct conf_strings *publish, const struct conf_strings *subscribe)
{
	int err;

	err =
	    copy_filters(&rules->publish, &rules->publish_count, user, publish);
	if (err == 0)
		err = copy_filters(&rules->subscribe, &rules->subscribe_count,
		    user, subscribe);
	if (err != 0)
		access_rules_fini(rules);
	return err;
}

void
access_rules_fini(struct access_rules *rules)
{
	for (size_t i = 0; i < rules->publish_count; i++)
		free(rules->publish[i]);
	for (size_t i = 0; i < rules->subscribe_count; i++)
		free(rules->subscribe[i]);
	free(rules->publish);
	free(rules->subscribe);
	*rules = (struct access_rules){ 0 };
}

static bool
has_everything(char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_everything(list[i]))
			return true;
	return false;
}

bool
access_rules_limit_subscriptions(const struct access_rules *rules)
{
	return !has_everything(rules->subscribe, rules->subscribe_count);
}

bool
access_rules_may_publish(const struct access_rules *rules, struct slice topic)
{
	for (size_t i = 0; i < rules->publish_count; i++)
		if (find_mark(rules->publish[i], 'c') == NULL &&
		    topic_matches(slice_of_string(rules->publish[i]), topic))
			return true;
	return false;
}

/* ---- access -------------------------------------------------------------- */

static size_t
size_of_all(char *const *list, size_t count, struct slice client_id)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += size_with(list[i], 'c', client_id);
	return size;
}

/* Into access->filters from *slot on, and *bytes; returns how many. */
static size_t
put_all(struct access *access, size_t slot, uint8_t **bytes, char *const *list,
    size_t count, struct slice client_id)
{
	size_t size, put = 0;

	for (size_t i = 0; i < count; i++) {
		size = size_with(list[i], 'c', client_id);
		if (size == 0)
			continue;
		put_with(*bytes, list[i], 'c', client_id);
		access->filters[slot + put++] = slice_of(*bytes, size);
		*bytes += size;
	}
	return put;
}

int
access_new(const struct access_rules *rules, struct slice client_id,
    struct access **out_access)
{
	const size_t most = rules->publish_count + rules->subscribe_count;
	struct access *access;
	uint8_t *bytes;

	*out_access = NULL;
	if (has_everything(rules->publish, rules->publish_count) &&
	    has_everything(rules->subscribe, rules->subscribe_count))
		return 0;
	access = malloc(sizeof(*access) + most * sizeof(struct slice) +
	    size_of_all(rules->publish, rules->publish_count, client_id) +
	    size_of_all(rules->subscribe, rules->subscribe_count, client_id));
	if (access == NULL)
		return -ENOMEM;
	bytes = (uint8_t *)(access->filters + most);
	access->publishes_all =
	    has_everything(rules->publish, rules->publish_count);
	access->subscribes_all =
	    has_everything(rules->subscribe, rules->subscribe_count);
	access->publish_count = put_all(
	    access, 0, &bytes, rules->publish, rules->publish_count, client_id);
	access->subscribe_count = put_all(access, access->publish_count, &bytes,
	    rules->subscribe, rules->subscribe_count, client_id);
	*out_access = access;
	return 0;
}

void
access_free(struct access *access)
{
	free(access);
}

bool
access_may_publish(const struct access *access, struct slice topic)
{
	if (access->publishes_all)
		return true;
	for (size_t i = 0; i < access->publish_count; i++)
		if (topic_matches(access->filters[i], topic))
			return true;
	return false;
}

bool
access_may_subscribe(const struct access *access, struct slice filter)
{
	const struct slice *filters = access->filters + access->publish_count;
	struct topic_share share;

	if (access->subscribes_all)
		return true;
	if (topic_share_split(filter, &share))
		filter = share.filter;
	for (size_t i = 0; i < access->subscribe_count; i++)
		if (topic_filter_covers(filters[i], filter))
			return true;
	return false;
}
