/* SPDX-License-Identifier: Apache-2.0 */

/*
 * conf_table - conf_keys.def as rows, for the reader and the manual.
 *
 * Private to common/conf.  Any thread; all constant.
 */

#ifndef WEIR_COMMON_CONF_CONF_TABLE_H
#define WEIR_COMMON_CONF_CONF_TABLE_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/conf/conf.h"

#define CONF_MIN_RING (UINT64_C(64) << 10)
#define CONF_MAX_RING (UINT64_C(1) << 30)

/* A segment of the journal; the largest packet fits the largest four times. */
#define CONF_MIN_SEGMENT (UINT64_C(64) << 10)
#define CONF_MAX_SEGMENT (UINT64_C(4) << 30)

/* Of the largest record: its header, topic and properties beside a payload. */
#define CONF_RECORD_OVERHEAD 1024

/* Texts that a key of STRINGS takes. */
#define CONF_MAX_STRINGS 1024

enum conf_section {
	CONF_SECTION_GLOBAL,
	CONF_SECTION_JOURNAL,
	CONF_SECTION_SHARE,
	CONF_SECTION_ACCOUNT,
	CONF_SECTION_ACCESS,
	CONF_SECTION_LISTENER,
	CONF_SECTION_HTTP,
	CONF_SECTION_HTTP_KEY,
	CONF_SECTION_TLS_SERVER,
	CONF_SECTION_TLS_LISTENER,
	CONF_SECTION_TLS_NAME,
	CONF_SECTION_FAILED_LOGINS,
	CONF_SECTION_JWT,
	CONF_SECTION_TLS_CLIENT,
	CONF_SECTION_RATE,
	CONF_SECTION_RATE_FILTER,
	CONF_SECTION_CONNECT_RATE,
	CONF_SECTION_PUBLISH_RATE,
	CONF_SECTION_RING_HTTP,
	CONF_SECTION_RING_BRIDGE,
	CONF_SECTION_BRIDGE,
	CONF_SECTION_RATE_BRIDGE,
	CONF_SECTION_USER_PROPERTY,
	CONF_SECTION_WILL,
	CONF_SECTION_RULE,
	CONF_SECTIONS
};

enum conf_type {
	CONF_TYPE_BOOL,
	CONF_TYPE_INT,
	CONF_TYPE_SIZE,
	CONF_TYPE_DURATION,
	CONF_TYPE_DURATION_OR_NEVER,
	CONF_TYPE_STRING,
	CONF_TYPE_PATH, /* a string; relative to the file's folder */
	CONF_TYPE_ENUM,
	CONF_TYPE_WORDS,   /* a set of what an ENUM takes one of, or-ed */
	CONF_TYPE_STRINGS, /* struct conf_strings */
	CONF_TYPE_GROUP,
	CONF_TYPE_LIST,
	CONF_TYPE_REFUSED
};

struct conf_key {
	enum conf_section section;
	const char *name;
	enum conf_type type;
	size_t offset; /* of the field, in the section's struct */
	size_t size;   /* of the field */
	const char *fallback;
	uint64_t min;
	uint64_t max; /* of a LIST: elements */
	enum conf_reload reload;
	enum conf_section inner; /* of a GROUP or LIST */
	bool takes_one;          /* of a LIST: a group alone, too */
	size_t count_offset;     /* of a LIST */
	const char *sentence;    /* of a REFUSED: the reason */
};

extern const struct conf_key conf_keys[];
extern const size_t conf_key_count;

struct conf_word {
	const char *key;
	const char *word;
	int value;
	const char *refused; /* NULL, or why it is not accepted */
};

extern const struct conf_word conf_words[];
extern const size_t conf_word_count;

/* The row, or NULL. */
const struct conf_key *conf_key_find(
    enum conf_section section, const char *name);

/* Whether the file must have it; `fallback` then is "". */
bool conf_key_is_required(const struct conf_key *key);

/* The key of that section most like `name`, or NULL if none is. */
const char *conf_key_nearest(enum conf_section section, const char *name);

/*
 * A number as people write it, in the unit of the key's type.  `out_text` has
 * room for PARSE_TEXT_SIZE bytes; returns it.
 */
const char *conf_key_spell(
    const struct conf_key *key, uint64_t value, char *out_text);

/* Its value is shown to nobody. */
bool conf_key_is_secret(const struct conf_key *key);

/* How the section is called in messages: "bridges", "http". */
const char *conf_section_name(enum conf_section section);

/* Bytes of the struct that a section is read into. */
size_t conf_section_size(enum conf_section section);

/* One conf_load(): where mistakes go. */
struct conf_reader {
	const char *path;
	char *folder; /* with its slash, or "" */
	FILE *errors;
	unsigned mistakes;
	bool no_memory;
	const char *try_name; /* this bridge as if its file had this text */
	const char *try_text; /* NULL: as if there were none */
};

/* Read a group (NULL: it is not there) into the section's struct. */
void conf_read_section(struct conf_reader *reader, enum conf_section section,
    config_setting_t *group, void *target);

/* The bridges of CONF_BRIDGES_FOLDER, to those that are there. */
void conf_read_folder(struct conf_reader *reader, struct conf *conf);

/* Report `FILE:LINE: ...` at the setting, or `FILE: ...` for NULL. */
void conf_mistake(struct conf_reader *reader, const config_setting_t *at,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * What one row at a time cannot see; `setting` is NULL for a group that is
 * not in the file, `target` the section's struct, complete.
 */
void conf_check(struct conf_reader *reader, enum conf_section section,
    config_setting_t *setting, void *target);

/* One listener's parts, for conf_check(): true if it is a Unix socket. */
bool conf_check_unix(struct conf_reader *reader, config_setting_t *at,
    const struct conf_listener *listener);
void conf_check_proxy(struct conf_reader *reader, config_setting_t *at,
    struct conf_listener *listener);
void conf_check_websocket(struct conf_reader *reader, config_setting_t *at,
    const struct conf_listener *listener);

/* A tls group alone; and who needs accounts, for all listeners. */
void conf_check_user_names(struct conf_reader *reader, config_setting_t *root,
    const struct conf *conf);
void conf_check_tls(struct conf_reader *reader, enum conf_section section,
    config_setting_t *at, struct conf_tls *tls);

/* url and urls of a bridge, read into its remotes. */
void conf_check_remotes(struct conf_reader *reader, config_setting_t *at,
    struct conf_bridge *bridge);
void conf_clear_remotes(struct conf_bridge *bridge);

/* The member, or the group itself where the file has no such member. */
config_setting_t *conf_at_key(config_setting_t *group, const char *name);

/* Has the group (NULL: not in the file) such a member? */
bool conf_is_given(config_setting_t *group, const char *name);

/*
 * One text of a WORDS or STRINGS key, or all of them; `at` is NULL for the
 * default.  A set in one text has its words parted by blanks or commas.
 */
void conf_take_strings(struct conf_reader *reader, const struct conf_key *key,
    const config_setting_t *at, void *target, const char *text);
void conf_read_strings(struct conf_reader *reader, const struct conf_key *key,
    config_setting_t *at, void *target);
void conf_clear_strings(struct conf_strings *strings);

/* "stall, reject": the words of a key that are taken. */
void conf_list_words(const char *key, char *text, size_t size);

/* The set of words in `text`; -1 for one that is not in the list. */
int conf_parse_words(const char *key, const char *text);

/* What is wrong with a topic filter, after its text, or NULL. */
const char *conf_filter_fault(const char *filter);

/* Names in the list of that key of `group` must differ. */
void conf_check_names_differ(
    struct conf_reader *reader, config_setting_t *group, const char *list_name);

/* Accounts and keys, one by one and all together; conf_check() calls them. */
void conf_check_account(struct conf_reader *reader, config_setting_t *at,
    struct conf_account *account);
void conf_check_access(struct conf_reader *reader, config_setting_t *at,
    struct conf_access *access);
void conf_check_http_key(struct conf_reader *reader, config_setting_t *at,
    struct conf_key_account *key);
void conf_check_jwt(
    struct conf_reader *reader, config_setting_t *at, struct conf_jwt *jwt);
void conf_check_identities(struct conf_reader *reader, config_setting_t *root,
    const struct conf *conf);

/*
 * The journal's sizes and the bridges' backlogs; conf_check() calls it for
 * the whole configuration, max_packet_size resolved.
 */
void conf_check_journal(
    struct conf_reader *reader, config_setting_t *root, struct conf *conf);

/* One bridge, and one rule of it, for conf_check(). */
void conf_check_bridge(struct conf_reader *reader, config_setting_t *at,
    struct conf_bridge *bridge);
void conf_check_rule(
    struct conf_reader *reader, config_setting_t *at, struct conf_rule *rule);

/*
 * The member `filter`, a topic filter, and `name`, small letters and the
 * like; NULL, which was reported, is passed over.
 */
void conf_check_filter(
    struct conf_reader *reader, config_setting_t *at, const char *filter);
void conf_check_name(
    struct conf_reader *reader, config_setting_t *at, const char *name);

/* One rate, and one of http.rate_per_filter, for conf_check(). */
void conf_check_rate(
    struct conf_reader *reader, config_setting_t *at, struct conf_rate *rate);
void conf_check_share(
    struct conf_reader *reader, config_setting_t *at, struct conf_share *share);
void conf_check_rate_filter(struct conf_reader *reader, config_setting_t *at,
    struct conf_rate_filter *limit);
/* What a bridge says when it connects, and its will, for conf_check(). */
void conf_check_connect(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge);
void conf_check_will(
    struct conf_reader *reader, config_setting_t *at, struct conf_will *will);

/* Free what a section's struct holds, not the struct. */
void conf_clear(enum conf_section section, void *target);

#endif
