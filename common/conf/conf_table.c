/* SPDX-License-Identifier: Apache-2.0 */

#include "common/conf/conf_table.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/options.h"
#include "common/base/parse.h"

#define STRUCT_GLOBAL struct conf
#define STRUCT_JOURNAL struct conf_journal
#define STRUCT_SHARE struct conf_share
#define STRUCT_ACCOUNT struct conf_account
#define STRUCT_ACCESS struct conf_access
#define STRUCT_LISTENER struct conf_listener
#define STRUCT_HTTP struct conf_http
#define STRUCT_HTTP_KEY struct conf_key_account
#define STRUCT_TLS_SERVER struct conf_tls
#define STRUCT_TLS_LISTENER struct conf_tls
#define STRUCT_TLS_NAME struct conf_tls_name
#define STRUCT_FAILED_LOGINS struct conf_failures
#define STRUCT_JWT struct conf_jwt
#define STRUCT_TLS_CLIENT struct conf_tls
#define STRUCT_RATE struct conf_rate
#define STRUCT_RATE_FILTER struct conf_rate_filter
#define STRUCT_CONNECT_RATE struct conf_rate
#define STRUCT_PUBLISH_RATE struct conf_rate
#define STRUCT_RING_HTTP struct conf_ring
#define STRUCT_RING_BRIDGE struct conf_ring
#define STRUCT_BRIDGE struct conf_bridge
#define STRUCT_RULE struct conf_rule
#define STRUCT_RATE_BRIDGE struct conf_rate
#define STRUCT_USER_PROPERTY struct conf_user_property
#define STRUCT_WILL struct conf_will

#define RELOAD_RELOAD CONF_RELOAD
#define RELOAD_RECONNECT CONF_RECONNECT
#define RELOAD_RESTART CONF_RESTART

/* Compared by address; not "", which a compiler may share with others. */
static const char required[] = "(required)";
#define REQUIRED required

#define FIELD_SIZE(type, field) sizeof(((type *)0)->field)

#define KEY(in, key, kind, field, default_, min_, max_, reload_, text)         \
	{ .section = CONF_SECTION_##in,                                        \
		.name = #key,                                                  \
		.type = CONF_TYPE_##kind,                                      \
		.offset = offsetof(STRUCT_##in, field),                        \
		.size = FIELD_SIZE(STRUCT_##in, field),                        \
		.fallback = default_,                                          \
		.min = min_,                                                   \
		.max = max_,                                                   \
		.reload = RELOAD_##reload_,                                    \
		.sentence = text },
#define GROUP(in, key, inner_, field, text)                                    \
	{ .section = CONF_SECTION_##in,                                        \
		.name = #key,                                                  \
		.type = CONF_TYPE_GROUP,                                       \
		.offset = offsetof(STRUCT_##in, field),                        \
		.inner = CONF_SECTION_##inner_,                                \
		.sentence = text },
#define LIST(in, key, inner_, field, count, max_, text)                        \
	LIST_OF(in, key, inner_, field, count, max_, false, text)
#define ONE_OR_LIST(in, key, inner_, field, count, max_, text)                 \
	LIST_OF(in, key, inner_, field, count, max_, true, text)
#define LIST_OF(in, key, inner_, field, count, max_, one, text)                \
	{ .section = CONF_SECTION_##in,                                        \
		.name = #key,                                                  \
		.type = CONF_TYPE_LIST,                                        \
		.offset = offsetof(STRUCT_##in, field),                        \
		.max = max_,                                                   \
		.inner = CONF_SECTION_##inner_,                                \
		.count_offset = offsetof(STRUCT_##in, count),                  \
		.takes_one = one,                                              \
		.sentence = text },
#define REFUSED(in, key, reason)                                               \
	{ .section = CONF_SECTION_##in,                                        \
		.name = #key,                                                  \
		.type = CONF_TYPE_REFUSED,                                     \
		.sentence = reason },

const struct conf_key conf_keys[] = {
#include "common/conf/conf_keys.def"
};
const size_t conf_key_count = ARRAY_LENGTH(conf_keys);

#define WORD(key, word, value) { #key, word, (int)value, NULL },
#define NOT_YET(key, word, reason) { #key, word, 0, reason },

const struct conf_word conf_words[] = {
#include "common/conf/conf_words.def"
};
const size_t conf_word_count = ARRAY_LENGTH(conf_words);

static const struct section {
	const char *name;
	size_t size;
} sections[CONF_SECTIONS] = {
	[CONF_SECTION_GLOBAL] = { "the configuration", sizeof(struct conf) },
	[CONF_SECTION_JOURNAL] = { "journal", sizeof(struct conf_journal) },
	[CONF_SECTION_SHARE] = { "shares", sizeof(struct conf_share) },
	[CONF_SECTION_ACCOUNT] = { "accounts", sizeof(struct conf_account) },
	[CONF_SECTION_ACCESS] = { "access", sizeof(struct conf_access) },
	[CONF_SECTION_LISTENER] = { "listeners", sizeof(struct conf_listener) },
	[CONF_SECTION_HTTP] = { "http", sizeof(struct conf_http) },
	[CONF_SECTION_HTTP_KEY] = { "http.keys",
	    sizeof(struct conf_key_account) },
	[CONF_SECTION_TLS_SERVER] = { "tls", sizeof(struct conf_tls) },
	[CONF_SECTION_TLS_LISTENER] = { "tls", sizeof(struct conf_tls) },
	[CONF_SECTION_TLS_NAME] = { "sni", sizeof(struct conf_tls_name) },
	[CONF_SECTION_FAILED_LOGINS] = { "failed_logins",
	    sizeof(struct conf_failures) },
	[CONF_SECTION_JWT] = { "http.jwt", sizeof(struct conf_jwt) },
	[CONF_SECTION_TLS_CLIENT] = { "tls", sizeof(struct conf_tls) },
	[CONF_SECTION_RATE] = { "a rate", sizeof(struct conf_rate) },
	[CONF_SECTION_RATE_FILTER] = { "http.rate_per_filter",
	    sizeof(struct conf_rate_filter) },
	[CONF_SECTION_PUBLISH_RATE] = { "publish_rate",
	    sizeof(struct conf_rate) },
	[CONF_SECTION_CONNECT_RATE] = { "a rate of connections",
	    sizeof(struct conf_rate) },
	[CONF_SECTION_RING_HTTP] = { "a ring", sizeof(struct conf_ring) },
	[CONF_SECTION_RING_BRIDGE] = { "a ring", sizeof(struct conf_ring) },
	[CONF_SECTION_BRIDGE] = { "bridges", sizeof(struct conf_bridge) },
	[CONF_SECTION_RATE_BRIDGE] = { "a bridge's rate",
	    sizeof(struct conf_rate) },
	[CONF_SECTION_USER_PROPERTY] = { "user_properties",
	    sizeof(struct conf_user_property) },
	[CONF_SECTION_WILL] = { "will", sizeof(struct conf_will) },
	[CONF_SECTION_RULE] = { "a rule", sizeof(struct conf_rule) },
};

bool
conf_key_is_required(const struct conf_key *key)
{
	return key->fallback == required;
}

const char *
conf_section_name(enum conf_section section)
{
	return sections[section].name;
}

size_t
conf_section_size(enum conf_section section)
{
	return sections[section].size;
}

const struct conf_key *
conf_key_find(enum conf_section section, const char *name)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].section == section &&
		    strcmp(conf_keys[i].name, name) == 0)
			return &conf_keys[i];
	return NULL;
}

static unsigned
least(unsigned a, unsigned b, unsigned c)
{
	unsigned low = a < b ? a : b;

	return low < c ? low : c;
}

/* Letters to insert, remove or change; of at most 63 letters each. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[64], diagonal, above;
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > 63 || b_len > 63)
		return 64;
	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			above = row[j];
			row[j] = least(above + 1, row[j - 1] + 1,
			    diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_len];
}

const char *
conf_key_nearest(enum conf_section section, const char *name)
{
	unsigned best = (unsigned)strlen(name) / 3 + 2, d;
	const char *nearest = NULL;

	for (size_t i = 0; i < conf_key_count; i++) {
		if (conf_keys[i].section != section ||
		    conf_keys[i].type == CONF_TYPE_REFUSED)
			continue;
		d = distance(name, conf_keys[i].name);
		if (d < best) {
			best = d;
			nearest = conf_keys[i].name;
		}
	}
	return nearest;
}

const char *
conf_key_spell(const struct conf_key *key, uint64_t value, char *out_text)
{
	if (key->type == CONF_TYPE_SIZE)
		return format_size(value, out_text);
	if (key->type != CONF_TYPE_INT)
		return format_duration(value, out_text);
	snprintf(out_text, PARSE_TEXT_SIZE, "%llu", (unsigned long long)value);
	return out_text;
}

bool
conf_has_key(const char *path)
{
	enum conf_section section = CONF_SECTION_GLOBAL;
	const struct conf_key *key;
	char name[64];
	size_t length;

	for (;;) {
		length = strcspn(path, ".");
		if (length >= sizeof(name))
			return false;
		memcpy(name, path, length);
		name[length] = '\0';
		key = conf_key_find(section, name);
		if (key == NULL || key->type == CONF_TYPE_REFUSED)
			return false;
		if (path[length] == '\0')
			return true;
		if (key->type != CONF_TYPE_GROUP && key->type != CONF_TYPE_LIST)
			return false;
		section = key->inner;
		path += length + 1;
	}
}
